package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// recordedAt is when the answers of testdata/prometheus were taken, from Debian's
// Prometheus 2.42.
var recordedAt = time.Unix(1795656185, 0)

func TestAnswersOfARealPrometheus(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		want   float64
		cause  observe.Cause
		text   string
	}{
		"vector": {200, 2, "", ""},
		"scalar": {200, 2, "", ""},
		"empty":  {200, 0, observe.CausePending, "gives no value"},
		"nan":    {200, 0, observe.CausePending, "NaN"},
		"inf":    {200, 0, observe.CausePending, "+Inf"},
		"many":   {200, 0, observe.CauseUnusable, "2 series"},
		"matrix": {200, 0, observe.CauseUnusable, `"matrix"`},
		"string": {200, 0, observe.CauseUnusable, `"string"`},
		"bad":    {400, 0, observe.CauseUnusable, "parse error"},
	} {
		body, err := os.ReadFile(filepath.Join("testdata/prometheus", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		problem := answerStatus(c.status, body)
		got := 0.0
		if problem == nil {
			got, problem = parseAnswer(body, recordedAt, time.Minute)
		}
		if c.cause == "" && (problem != nil || got != c.want) {
			t.Errorf("%s = %v, %v, want %v", name, got, problem, c.want)
		}
		if c.cause != "" && (problem == nil || problem.Cause != c.cause || !strings.Contains(problem.Message, c.text)) {
			t.Errorf("%s = %v, %v, want %s with %q", name, got, problem, c.cause, c.text)
		}
	}
}

func TestAnswersThatAreNoEvidence(t *testing.T) {
	const good = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1795656185,"0.5"]}]}}`
	if v, problem := parseAnswer([]byte(good), recordedAt, time.Minute); v != 0.5 || problem != nil {
		t.Fatalf("parseAnswer = %v, %v", v, problem)
	}
	for name, c := range map[string]struct {
		body  string
		after time.Duration
		cause observe.Cause
	}{
		"stale":                     {good, 2 * time.Minute, observe.CausePending},
		"partial in Thanos":         {strings.Replace(good, `"data"`, `"warnings":["store unreachable"],"data"`, 1), 0, observe.CauseUnreachable},
		"partial in VictoriaMetric": {strings.Replace(good, `"data"`, `"isPartial":true,"data"`, 1), 0, observe.CauseUnreachable},
		"HTML":                      {"<html>", 0, observe.CauseInvalid},
		"cut":                       {good[:60], 0, observe.CauseInvalid},
		"error with 200":            {`{"status":"error","error":"boom"}`, 0, observe.CauseInvalid},
		"no data":                   {`{"status":"success"}`, 0, observe.CauseUnusable},
		"no number":                 {strings.Replace(good, `"0.5"`, `"many"`, 1), 0, observe.CauseInvalid},
		"no text":                   {strings.Replace(good, `"0.5"`, `0.5`, 1), 0, observe.CauseInvalid},
		"no pair":                   {strings.Replace(good, `[1795656185,"0.5"]`, `[1795656185]`, 1), 0, observe.CauseInvalid},
	} {
		if v, problem := parseAnswer([]byte(c.body), recordedAt.Add(c.after), time.Minute); problem == nil || problem.Cause != c.cause {
			t.Errorf("%s = %v, %v, want %s", name, v, problem, c.cause)
		}
	}
}

// fakePrometheus answers every query with one value, or as answer says.
func fakePrometheus(t *testing.T, answer http.HandlerFunc) (*Prometheus, PrometheusSpec) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return NewPrometheus(&http.Transport{DisableKeepAlives: true}), PrometheusSpec{Name: "main", URL: server.URL + "/prom/", Timeout: 5 * time.Second}
}

func say(w http.ResponseWriter, value string) {
	fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[%d,"%s"]}]}}`, time.Now().Unix(), value)
}

func oneQuery(q, old string) []observe.MetricQuery {
	return []observe.MetricQuery{{Name: "errors", Server: "main", New: q, Old: old, Every: 15 * time.Second, StaleAfter: time.Minute}}
}

func TestQueryIsAskedForBothVersions(t *testing.T) {
	p, spec := fakePrometheus(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if r.Method != http.MethodPost || r.URL.Path != "/prom/api/v1/query" || user != "drover" || password != "word" {
			t.Errorf("request = %s %s by %q", r.Method, r.URL, user)
		}
		if r.FormValue("timeout") != "5" || r.FormValue("lookback_delta") != "60" || r.FormValue("time") != "" {
			t.Errorf("form = %v", r.Form)
		}
		say(w, map[string]string{`errors{ip=~"b"}`: "0.25", `errors{ip=~"a"}`: "0.125"}[r.FormValue("query")])
	})
	spec.Username, spec.Secret = "drover", func() (string, error) { return "word", nil }
	p.Update([]PrometheusSpec{spec})
	got := p.Metrics(t.Context(), "k", oneQuery(`errors{ip=~"b"}`, `errors{ip=~"a"}`))
	if len(got) != 1 || got[0].New != (observe.Value{Number: 0.25}) || got[0].Old == nil || *got[0].Old != (observe.Value{Number: 0.125}) || got[0].At.IsZero() {
		t.Errorf("Metrics = %s", asText(got))
	}
}

func asText(v any) string {
	text, err := json.Marshal(v)
	return fmt.Sprint(string(text), err)
}

func TestQueriesThatCannotBeAsked(t *testing.T) {
	var asked atomic.Int64
	p, spec := fakePrometheus(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.FormValue("query") {
		case "huge":
			w.Write(make([]byte, maxAnswer+2))
		case "elsewhere":
			http.Redirect(w, r, "/other", http.StatusFound)
		case "hang":
			<-r.Context().Done()
		case "cut":
			w.Header().Set("Content-Length", "99")
			w.Write([]byte("{"))
		case "denied":
			w.WriteHeader(http.StatusUnauthorized)
		case "overloaded":
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, `{"status":"error","errorType":"timeout","error":"query timed out"}`)
		case "lost":
			w.WriteHeader(http.StatusNotFound)
		}
	})
	spec.Timeout = 300 * time.Millisecond
	noSecret := spec
	noSecret.Name, noSecret.Secret = "no-secret", func() (string, error) { return "", errors.New("reading secret env:X: it is not set") }
	p.Update([]PrometheusSpec{spec, noSecret})
	for query, c := range map[string]struct {
		server string
		cause  observe.Cause
		text   string
	}{
		"huge":       {"main", observe.CauseInvalid, "larger than"},
		"elsewhere":  {"main", observe.CauseInvalid, "redirects are not followed"},
		"hang":       {"main", observe.CauseUnreachable, "no answer within 300ms"},
		"cut":        {"main", observe.CauseUnreachable, "unexpected EOF"},
		"denied":     {"main", observe.CauseAuth, "not accepted"},
		"overloaded": {"main", observe.CauseUnreachable, "query timed out"},
		"lost":       {"main", observe.CauseNotFound, "no query API"},
		"secret":     {"no-secret", observe.CauseAuth, "env:X"},
		"unknown":    {"nobody", observe.CauseUnusable, `"nobody" is not configured`},
		"":           {"main", observe.CausePending, "no container"},
	} {
		q := observe.MetricQuery{Name: "errors", Server: c.server, New: query, Every: time.Second, StaleAfter: time.Minute}
		got := p.Metrics(t.Context(), "k "+query, []observe.MetricQuery{q})[0].New
		if got.Problem == nil || got.Problem.Cause != c.cause || !strings.Contains(got.Problem.Message, c.text) {
			t.Errorf("%q: %s, want %s with %q", query, asText(got), c.cause, c.text)
		}
		if got.Problem != nil && strings.Contains(got.Problem.Message, spec.URL) {
			t.Errorf("%q: the message repeats the URL: %s", query, got.Problem.Message)
		}
	}
	if asked.Load() != 7 {
		t.Errorf("%d requests, want 7: what cannot be asked is not sent", asked.Load())
	}
}

func TestQueriesArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		p := NewPrometheus(roundTrip(func(*http.Request) (*http.Response, error) {
			asked++
			w := httptest.NewRecorder()
			say(w, fmt.Sprint(asked))
			return w.Result(), nil
		}))
		p.Update([]PrometheusSpec{{Name: "main", URL: "http://prometheus.example", Timeout: time.Second}})
		for look := range 31 { // A look every 2 s for a minute.
			if look > 0 {
				time.Sleep(2 * time.Second)
			}
			got := p.Metrics(t.Context(), "k", oneQuery("up", ""))[0]
			if got.New.Number != float64(asked) {
				t.Fatalf("look %d: value %v, want the last asked, %d", look, got.New.Number, asked)
			}
		}
		if asked != 5 { // At 0, 14, 28, 42 and 56 s.
			t.Errorf("asked %d times in a minute, want 5", asked)
		}
		p.Metrics(t.Context(), "k", oneQuery(`up{ip=~"another"}`, ""))
		if asked != 6 {
			t.Error("another query was not asked at once")
		}
		p.Metrics(t.Context(), "k2", oneQuery("up", ""))
		p.Forget("k")
		if len(p.callers) != 1 {
			t.Errorf("%d callers are remembered, want 1", len(p.callers))
		}
		p.maxKeys = 2
		for i := range 5 {
			time.Sleep(time.Second)
			p.Metrics(t.Context(), fmt.Sprint(i), oneQuery("up", ""))
		}
		if len(p.callers) != 2 || p.callers["4"] == nil {
			t.Errorf("%d callers are remembered, want the last 2", len(p.callers))
		}
	})
}

func FuzzAnswer(f *testing.F) {
	files, err := filepath.Glob("testdata/prometheus/*.json")
	if err != nil || len(files) < 9 {
		f.Fatalf("found %d answers, %v", len(files), err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, 200)
		f.Add(body, 503)
	}
	f.Add([]byte(`{"status":"success","data":{"resultType":"scalar","result":[1e400,"1"]}}`), 200)
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		problem := answerStatus(status, body)
		value := 0.0
		if problem == nil {
			value, problem = parseAnswer(body, recordedAt, time.Minute)
		}
		if problem != nil && len(problem.Message) > 2*maxError+100 {
			t.Errorf("a message of %d bytes", len(problem.Message))
		}
		if _, err := json.Marshal(observe.Value{Problem: problem, Number: value}); err != nil {
			t.Errorf("the value cannot be written down: %v", err)
		}
	})
}
