package gitlab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// server is a GitLab of a few routes; a request that no route knows fails the
// test.
func server(t *testing.T, routes map[string]http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Private-Token"); got != "glpat-hunter2" {
			t.Errorf("token = %q", got)
		}
		route := r.Method + " " + strings.TrimPrefix(r.URL.EscapedPath(), "/api/v4/projects/team%2Fe2e")
		if h := routes[route]; h != nil {
			h(w, r)
			return
		}
		t.Errorf("unexpected request %s", route)
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(s.Close)
	return New(s.URL, func() (string, error) { return "glpat-hunter2", nil }, &http.Transport{DisableKeepAlives: true})
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func TestTriggerSendsRefAndVariables(t *testing.T) {
	c := server(t, map[string]http.HandlerFunc{"POST /pipeline": func(w http.ResponseWriter, r *http.Request) {
		var got struct {
			Ref       string
			Variables []struct{ Key, Value string }
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		if text := fmt.Sprint(got); text != "{main [{DROVER_IMAGE r.example/a@sha256:b} {SUITE smoke}]}" {
			t.Errorf("body = %s", text)
		}
		answer(201, `{"id":4711,"status":"created","web_url":"https://gitlab.example/team/e2e/-/pipelines/4711"}`)(w, r)
	}})
	p, err := c.Trigger(t.Context(), "team/e2e", "main", map[string]string{"SUITE": "smoke", "DROVER_IMAGE": "r.example/a@sha256:b"})
	if err != nil || p.ID != "4711" || p.Status != "created" || !strings.HasSuffix(p.URL, "/4711") {
		t.Errorf("Trigger = %+v, %v", p, err)
	}
}

// A POST that was answered with a 5xx may have run a pipeline: it is sent once.
func TestTriggerIsNotRepeated(t *testing.T) {
	sent := 0
	c := server(t, map[string]http.HandlerFunc{"POST /pipeline": func(w http.ResponseWriter, r *http.Request) {
		sent++
		answer(502, `{"message":"Whoops"}`)(w, r)
	}})
	_, err := c.Trigger(t.Context(), "team/e2e", "main", nil)
	var failed *Error
	if !errors.As(err, &failed) || !failed.Unknown() || failed.Status != 502 || sent != 1 {
		t.Errorf("Trigger = %v after %d requests, want an unknown result after one", err, sent)
	}
}

func TestErrorsKeepTokenAndAddress(t *testing.T) {
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		status  int
		unknown bool
		text    string
	}{
		"refused": {answer(400, `{"message":{"base":["Reference not found"]}}`), 400, false, "Reference not found"},
		"denied":  {answer(403, `{"message":"403 Forbidden"}`), 403, false, "Forbidden"},
		"missing": {answer(404, `{"message":"404 Project Not Found"}`), 404, false, "no such project"},
		"HTML":    {answer(200, "<html>"), 0, true, "invalid character"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://other.example/", http.StatusFound)
		}, 302, false, ""},
		"long": {answer(400, `{"message":"`+strings.Repeat("x", 5000)+`"}`), 400, false, "xxx"},
	} {
		client := server(t, map[string]http.HandlerFunc{"GET /pipelines/1": c.answer})
		_, err := client.Pipeline(t.Context(), "team/e2e", "1")
		var failed *Error
		if !errors.As(err, &failed) || failed.Status != c.status || failed.Unknown() != c.unknown || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v (%+v), want status %d", name, err, failed, c.status)
			continue
		}
		if text := err.Error(); strings.Contains(text, "hunter2") || strings.Contains(text, "127.0.0.1") || len(text) > maxMessage+50 {
			t.Errorf("%s: the error tells too much: %s", name, text)
		}
	}
	nobody := New("http://127.0.0.1:1", func() (string, error) { return "glpat-hunter2", nil }, nil)
	if _, err := nobody.Pipeline(t.Context(), "team/e2e", "1"); err == nil || strings.Contains(err.Error(), "http://") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v", err)
	}
	noToken := New("http://127.0.0.1:1", func() (string, error) { return "", errors.New("reading secret env:X: it is not set") }, nil)
	if _, err := noToken.Pipeline(t.Context(), "team/e2e", "1"); err == nil || !strings.Contains(err.Error(), "env:X") {
		t.Errorf("no token: %v", err)
	}
	if _, err := nobody.Pipeline(t.Context(), "team/e2e", "../1"); err == nil || !strings.Contains(err.Error(), "no pipeline's number") {
		t.Errorf("no number: %v", err)
	}
}

func TestPipelineIsFoundByItsVariable(t *testing.T) {
	since := time.Date(2026, 11, 26, 1, 0, 0, 0, time.UTC)
	c := server(t, map[string]http.HandlerFunc{
		"GET /pipelines": func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if q.Get("ref") != "main" || q.Get("per_page") != "20" || q.Get("updated_after") != "2026-11-26T01:00:00Z" {
				t.Errorf("query = %v", q)
			}
			answer(200, `[{"id":3,"status":"running","web_url":"u3"},{"id":2,"status":"success","web_url":"u2"}]`)(w, r)
		},
		"GET /pipelines/3/variables": answer(200, `[{"key":"DROVER_CHECK","value":"e2e"},{"key":"DROVER_ROLLOUT","value":"r0"}]`),
		"GET /pipelines/2/variables": answer(200, `[{"key":"DROVER_ROLLOUT","value":"r1"},{"key":"DROVER_CHECK","value":"e2e"}]`),
	})
	if p, found, err := c.Find(t.Context(), "team/e2e", "main", since, map[string]string{"DROVER_ROLLOUT": "r1", "DROVER_CHECK": "e2e"}); err != nil || !found || p != (Pipeline{"2", "u2", "success"}) {
		t.Errorf("Find = %+v, %t, %v", p, found, err)
	}
	if _, found, err := c.Find(t.Context(), "team/e2e", "main", since, map[string]string{"DROVER_ROLLOUT": "r2", "DROVER_CHECK": "e2e"}); err != nil || found {
		t.Errorf("Find of another rollout = %t, %v", found, err)
	}
}

func TestFailedJobsLeaveOutThoseThatMayFail(t *testing.T) {
	c := server(t, map[string]http.HandlerFunc{"GET /pipelines/7/jobs": func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query()["scope[]"]; len(got) != 1 || got[0] != "failed" {
			t.Errorf("scope = %v", got)
		}
		answer(200, `[{"name":"login","status":"failed"},{"name":"lint","status":"failed","allow_failure":true}]`)(w, r)
	}})
	names, err := c.FailedJobs(t.Context(), "team/e2e", "7")
	if err != nil || len(names) != 1 || names[0] != "login" {
		t.Errorf("FailedJobs = %v, %v", names, err)
	}
}
