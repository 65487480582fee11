package check

import (
	"context"
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

	"gitlab.gf.com.cn/clickeggs/drover/internal/gitlab"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

var about = observe.CheckSubject{
	Check: "e2e", Target: "parrot-rest", Stack: "gf-chat", Service: "parrot-rest", Rollout: "r1", Kind: "deploy",
	Image: "r.example/parrot@sha256:bb", Tag: "r.example/parrot:latest", From: "sha256:aa", To: "sha256:bb",
}

// roundTrip answers without a network, so that time can be a bubble's.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answers gives one answer after the other, the last one again and again, and
// counts the requests.
func answers(asked *atomic.Int64, list ...string) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		text := list[min(int(asked.Add(1)), len(list))-1]
		if text == "" {
			return nil, errors.New("connection reset")
		}
		w := httptest.NewRecorder()
		var status int
		if _, err := fmt.Sscanf(text, "%d", &status); err != nil {
			return nil, err
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, body, _ := strings.Cut(text, " ")
		io.WriteString(w, body)
		return w.Result(), nil
	}
}

// running runs a runner with one spec in a bubble.
func running(t *testing.T, spec Spec, transport http.RoundTripper, test func(t *testing.T, r *Runner, look func() observe.CheckResult)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := NewRunner(transport)
		spec.Name = "e2e"
		r.Update([]Spec{spec})
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		synctest.Wait()
		wanted := observe.CheckRun{Name: "e2e", Started: time.Now(), About: about}
		test(t, r, func() observe.CheckResult {
			r.Checks(t.Context(), "k", []observe.CheckRun{wanted})
			synctest.Wait()
			return r.Checks(t.Context(), "k", []observe.CheckRun{wanted})[0]
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func hook(timeout time.Duration) Spec {
	return Spec{Timeout: timeout, Every: 15 * time.Second, Webhook: &Webhook{URL: "http://ci.example/hooks/hunter2", Token: func() (string, error) { return "hunter2", nil }}}
}

func TestWebhookIsToldOfTheRolloutOnce(t *testing.T) {
	var asked atomic.Int64
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		var got map[string]any
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		if got["image"] != about.Image || got["rollout"] != "r1" || got["attempt"] != 1.0 || got["check"] != "e2e" {
			t.Errorf("body = %v", got)
		}
		if r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer hunter2" || r.Header.Get("Idempotency-Key") != "r1/e2e" {
			t.Errorf("request = %s with %v", r.Method, r.Header)
		}
		return answers(&asked, `200 {"verdict":"pass","reason":"42 tests\npassed","url":"https://ci.example/1"}`)(r)
	})
	running(t, hook(time.Hour), transport, func(t *testing.T, r *Runner, look func() observe.CheckResult) {
		for range 5 {
			got := look()
			want := observe.CheckResult{Name: "e2e", Rollout: "r1", State: observe.CheckPassed, Detail: "42 tests passed", URL: "https://ci.example/1"}
			if got != want {
				t.Fatalf("result = %+v, want %+v", got, want)
			}
			time.Sleep(20 * time.Second)
		}
		if asked.Load() != 1 {
			t.Errorf("called %d times, want once", asked.Load())
		}
	})
}

func TestWebhookAsksToComeBack(t *testing.T) {
	var asked atomic.Int64
	transport := answers(&asked, `200 {"verdict":"wait","after":"40s","reason":"queued"}`, `202 `, `200 {"verdict":"fail","reason":"login broken"}`)
	running(t, hook(time.Hour), transport, func(t *testing.T, r *Runner, look func() observe.CheckResult) {
		for _, step := range []struct {
			after time.Duration
			asked int64
			state observe.CheckState
		}{{0, 1, observe.CheckRunning}, {39 * time.Second, 1, observe.CheckRunning}, {2 * time.Second, 2, observe.CheckRunning}, {15 * time.Second, 3, observe.CheckFailed}} {
			time.Sleep(step.after)
			if got := look(); got.State != step.state || asked.Load() != step.asked || got.Problem != nil {
				t.Fatalf("after %v: %+v and %d calls, want %s and %d", step.after, got, asked.Load(), step.state, step.asked)
			}
		}
		if got := look(); got.Detail != "login broken" {
			t.Errorf("detail = %q", got.Detail)
		}
	})
}

// What is no clear word is asked again, and never a verdict.
func TestWebhookAnswersThatAreNoVerdict(t *testing.T) {
	for answer, cause := range map[string]observe.Cause{
		"": observe.CauseUnreachable, "500 ": observe.CauseUnreachable, "429 ": observe.CauseUnreachable, "401 ": observe.CauseAuth, "404 ": observe.CauseNotFound,
		"302 ": observe.CauseInvalid, "204 ": observe.CauseInvalid, "200 ": observe.CauseInvalid, "200 <html>": observe.CauseInvalid, `200 {"verdict":"Pass"}`: observe.CauseInvalid,
		`200 {"verdict":"ok"}`: observe.CauseInvalid, `200 {}`: observe.CauseInvalid, `500 {"verdict":"pass"}`: observe.CauseUnreachable, `400 {"verdict":"fail"}`: observe.CauseInvalid,
		"200 " + strings.Repeat(" ", maxAnswer) + `{"verdict":"pass"}`: observe.CauseInvalid,
	} {
		var asked atomic.Int64
		running(t, hook(time.Hour), answers(&asked, answer, `200 {"verdict":"pass"}`), func(t *testing.T, r *Runner, look func() observe.CheckResult) {
			got := look()
			if got.State != observe.CheckRunning || got.Problem == nil || got.Problem.Cause != cause {
				t.Errorf("%.40q: %+v, want a problem of cause %s", answer, got, cause)
			}
			if got.Problem != nil && strings.Contains(got.Problem.Message, "hunter2") {
				t.Errorf("%.40q: the message tells a secret: %s", answer, got.Problem.Message)
			}
			time.Sleep(firstRetry + time.Second)
			if got := look(); got.State != observe.CheckPassed || asked.Load() != 2 {
				t.Errorf("%.40q: then %+v after %d calls, want a pass", answer, got, asked.Load())
			}
		})
	}
}

func TestVerdictThatComesTooLateDoesNotCount(t *testing.T) {
	var asked atomic.Int64
	running(t, hook(time.Minute), answers(&asked, `200 {"verdict":"wait"}`), func(t *testing.T, r *Runner, look func() observe.CheckResult) {
		for range 8 {
			look()
			time.Sleep(10 * time.Second)
		}
		if got := look(); got.State != observe.CheckEnded || got.Detail != "no verdict within 1m0s" {
			t.Errorf("result = %+v, want it to have ended", got)
		}
		if asked.Load() > 5 {
			t.Errorf("called %d times", asked.Load())
		}
	})
	running(t, hook(time.Minute), answers(&asked, "500 "), func(t *testing.T, r *Runner, look func() observe.CheckResult) {
		for range 8 {
			look()
			time.Sleep(10 * time.Second)
		}
		if got := look(); got.State != observe.CheckEnded || !strings.Contains(got.Detail, "answered 500") || got.Problem != nil {
			t.Errorf("result = %+v, want it to say why", got)
		}
	})
}

// A rollout that is over takes its checks with it.
func TestRunsThatNobodyAsksForAreGivenUp(t *testing.T) {
	var asked atomic.Int64
	running(t, hook(time.Hour), answers(&asked, `200 {"verdict":"wait","after":"1s"}`), func(t *testing.T, r *Runner, look func() observe.CheckResult) {
		look()
		time.Sleep(idleAfter * 2)
		synctest.Wait()
		before := asked.Load()
		time.Sleep(idleAfter)
		synctest.Wait()
		if asked.Load() != before || len(r.runs) != 0 {
			t.Errorf("%d calls although nobody asks, %d runs", asked.Load()-before, len(r.runs))
		}
	})
}

func TestChecksThatCannotBeRun(t *testing.T) {
	idle := NewRunner(nil)
	wanted := []observe.CheckRun{{Name: "e2e", Started: time.Now(), About: about}}
	if got := idle.Checks(t.Context(), "k", wanted)[0]; got.Problem == nil || got.Problem.Cause != observe.CausePending {
		t.Errorf("without Run: %+v", got)
	}
	accept := roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusAccepted, Body: http.NoBody}, nil
	})
	running(t, hook(time.Hour), accept, func(t *testing.T, r *Runner, look func() observe.CheckResult) {
		r.Update(nil)
		if got := look(); got.Problem == nil || got.Problem.Cause != observe.CauseUnusable {
			t.Errorf("unknown check: %+v", got)
		}
		r.Update([]Spec{{Name: "e2e", Timeout: time.Hour, Every: time.Second, Webhook: &Webhook{URL: "http://x.example"}}})
		for i := range maxRuns + 1 {
			w := wanted[0]
			w.Started, w.About.Rollout = time.Now(), fmt.Sprint(i)
			got := r.Checks(t.Context(), "k", []observe.CheckRun{w})[0]
			if isOver := i == maxRuns; (got.Problem != nil) != isOver {
				t.Errorf("run %d: %+v", i, got)
			}
		}
	})
}

func command(t *testing.T, script string) outcome {
	t.Helper()
	c := &Command{Run: []string{"sh", "-c", script}, Env: map[string]Secret{"KEY": func() (string, error) { return "hunter2", nil }}}
	return c.call(t.Context(), about)
}

func TestCommandsSpeakByTheirExitCode(t *testing.T) {
	for script, want := range map[string]outcome{
		"echo 3 tests passed":                        {state: observe.CheckPassed, detail: "3 tests passed"},
		"echo one; echo login is broken >&2; exit 1": {state: observe.CheckFailed, detail: "exit status 1: login is broken"},
		"exit 42":             {state: observe.CheckFailed, detail: "exit status 42:"},
		"echo later; exit 75": {state: observe.CheckRunning, detail: "later"},
		`echo "$DROVER_ROLLOUT $DROVER_IMAGE $DROVER_CHECK"`: {state: observe.CheckPassed, detail: "r1 r.example/parrot@sha256:bb e2e"},
		`echo "key $KEY"`:              {state: observe.CheckPassed, detail: "key ***"},
		`grep -o '"rollout":"[^"]*"'`:  {state: observe.CheckPassed, detail: `"rollout":"r1"`},
		`printf '\033[31mred\007\n\n'`: {state: observe.CheckPassed, detail: "[31mred"},
	} {
		if got := command(t, script); got != want {
			t.Errorf("%s = %+v, want %+v", script, got, want)
		}
	}
}

func TestCommandsThatSayNothing(t *testing.T) {
	if got := command(t, "kill -9 $$"); got.state != "" || got.problem == nil || !strings.Contains(got.problem.Message, "killed") {
		t.Errorf("killed: %+v", got)
	}
	if got := (&Command{Run: []string{"/no/such/program"}}).call(t.Context(), about); got.problem == nil || got.problem.Cause != observe.CauseUnusable {
		t.Errorf("no program: %+v", got)
	}
	noKey := &Command{Run: []string{"true"}, Env: map[string]Secret{"KEY": func() (string, error) { return "", errors.New("reading secret env:X: it is not set") }}}
	if got := noKey.call(t.Context(), about); got.problem == nil || got.problem.Cause != observe.CauseAuth {
		t.Errorf("no secret: %+v", got)
	}
}

// A command that hangs is killed with its children, and says nothing.
func TestCommandThatHangsIsKilledWithItsChildren(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, errors.New("no verdict in time"))
	defer cancel()
	c := &Command{Run: []string{"sh", "-c", "sleep 600 & echo $! > " + pid + "; wait"}}
	got := c.call(ctx, about)
	if got.state != "" || got.problem == nil || !strings.Contains(got.problem.Message, "no verdict in time") {
		t.Errorf("hanging: %+v", got)
	}
	text, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	state := "/proc/" + strings.TrimSpace(string(text)) + "/stat"
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		data, err := os.ReadFile(state)
		if err != nil || strings.Contains(string(data), ") Z ") {
			return // Gone, or waits to be reaped by init.
		}
		if time.Now().After(end) {
			t.Fatalf("the child lives: %s", data)
		}
	}
}

// A command gets nothing of Drover's environment beyond the few harmless names.
func TestCommandDoesNotInheritSecrets(t *testing.T) {
	t.Setenv("RANCHER_SECRET_KEY", "hunter2")
	if got := command(t, `echo "[$RANCHER_SECRET_KEY]"`); got.detail != "[]" {
		t.Errorf("the command sees %q", got.detail)
	}
}

func TestOutputIsBounded(t *testing.T) {
	var b lastBytes
	for i := range 10_000 {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	b.Write(make([]byte, 3*keptOutput))
	if len(b.kept) != keptOutput || cap(b.kept) > 8*keptOutput {
		t.Errorf("%d bytes kept in %d", len(b.kept), cap(b.kept))
	}
	if got := oneLine(strings.Repeat("ä", 1000)); len(got) > maxDetail || !strings.HasSuffix(got, "ä") {
		t.Errorf("a line of %d bytes", len(got))
	}
}

// fakeGitLab runs pipelines: each request for one gives the next status.
type fakeGitLab struct {
	t         *testing.T
	triggered atomic.Int64
	statuses  []string
	// lost answers the first trigger with a 502 although the pipeline runs.
	lost bool
	// unfindable answers the search with 403.
	unfindable bool
}

func (g *fakeGitLab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route := r.Method + " " + strings.TrimPrefix(r.URL.EscapedPath(), "/api/v4/projects/team%2Fe2e")
	w.Header().Set("Content-Type", "application/json")
	switch route {
	case "POST /pipeline":
		if g.triggered.Add(1) == 1 && g.lost {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"id":%d,"status":"created","web_url":"https://gitlab.example/p/%d"}`, 6+g.triggered.Load(), 6+g.triggered.Load())
	case "GET /pipelines":
		if g.unfindable {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if g.triggered.Load() == 0 {
			io.WriteString(w, "[]")
			return
		}
		fmt.Fprintf(w, `[{"id":%d,"status":"pending","web_url":"https://gitlab.example/p/%d"}]`, 6+g.triggered.Load(), 6+g.triggered.Load())
	case "GET /pipelines/7/variables":
		io.WriteString(w, `[{"key":"DROVER_ROLLOUT","value":"r1"},{"key":"DROVER_CHECK","value":"e2e"}]`)
	case "GET /pipelines/7":
		status := g.statuses[0]
		g.statuses = g.statuses[min(1, len(g.statuses)-1):]
		fmt.Fprintf(w, `{"id":7,"status":%q,"web_url":"https://gitlab.example/p/7"}`, status)
	case "GET /pipelines/7/jobs":
		io.WriteString(w, `[{"name":"login","status":"failed"}]`)
	default:
		g.t.Errorf("unexpected request %s", route)
	}
}

// transport serves a handler without a network.
func transport(h http.Handler) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result(), nil
	}
}

func pipelineOf(g *fakeGitLab) Spec {
	client := gitlab.New("http://gitlab.example", func() (string, error) { return "t", nil }, transport(g))
	return Spec{Timeout: time.Hour, Every: 15 * time.Second, Pipeline: &Pipeline{Client: client, Project: "team/e2e", Ref: "main"}}
}

func TestPipelineIsFollowedToItsEnd(t *testing.T) {
	for last, c := range map[string]struct {
		state  observe.CheckState
		detail string
	}{
		"success":  {observe.CheckPassed, "pipeline 7 is success"},
		"failed":   {observe.CheckFailed, "pipeline 7 failed in login"},
		"canceled": {observe.CheckEnded, "pipeline 7 is canceled"},
		"skipped":  {observe.CheckEnded, "pipeline 7 is skipped"},
		"manual":   {observe.CheckRunning, "pipeline 7 is manual: it waits for a person"},
	} {
		g := &fakeGitLab{t: t, statuses: []string{"pending", "running", last}}
		running(t, pipelineOf(g), nil, func(t *testing.T, r *Runner, look func() observe.CheckResult) {
			if got := look(); got.State != observe.CheckRunning || got.Ref != "7" || got.URL != "https://gitlab.example/p/7" {
				t.Fatalf("triggered: %+v", got)
			}
			for range 3 {
				time.Sleep(15 * time.Second)
				look()
			}
			if got := look(); got.State != c.state || got.Detail != c.detail || g.triggered.Load() != 1 {
				t.Errorf("%s: %+v after %d triggers", last, got, g.triggered.Load())
			}
		})
	}
}

// The answer to the trigger got lost: the pipeline that runs is found and
// followed, and no second one is triggered.
func TestLostAnswerTriggersNoSecondPipeline(t *testing.T) {
	g := &fakeGitLab{t: t, statuses: []string{"success"}, lost: true}
	running(t, pipelineOf(g), nil, func(t *testing.T, r *Runner, look func() observe.CheckResult) {
		if got := look(); got.Problem == nil || got.Problem.Cause != observe.CauseUnreachable {
			t.Fatalf("lost: %+v", got)
		}
		time.Sleep(time.Minute)
		if got := look(); got.State != observe.CheckPassed || g.triggered.Load() != 1 {
			t.Errorf("%+v after %d triggers, want the first to be followed", got, g.triggered.Load())
		}
	})
	// When it cannot be looked for, nothing is triggered blindly.
	g = &fakeGitLab{t: t, statuses: []string{"success"}, lost: true, unfindable: true}
	running(t, pipelineOf(g), nil, func(t *testing.T, r *Runner, look func() observe.CheckResult) {
		look()
		time.Sleep(time.Minute)
		if got := look(); got.State != observe.CheckRunning || got.Problem == nil || got.Problem.Cause != observe.CauseAuth || g.triggered.Load() != 1 {
			t.Errorf("%+v after %d triggers, want one", got, g.triggered.Load())
		}
	})
}

// After a restart of Drover the pipeline is known by its number, or looked for.
func TestRestartFollowsThePipelineThatRuns(t *testing.T) {
	for ref, triggered := range map[string]int64{"7": 1, "": 1} {
		g := &fakeGitLab{t: t, statuses: []string{"success"}}
		g.triggered.Store(triggered)
		spec := pipelineOf(g)
		running(t, spec, nil, func(t *testing.T, r *Runner, _ func() observe.CheckResult) {
			wanted := []observe.CheckRun{{Name: "e2e", Started: time.Now().Add(-30 * time.Second), Ref: ref, About: about}}
			r.Checks(t.Context(), "k", wanted)
			time.Sleep(20 * time.Second)
			if got := r.Checks(t.Context(), "k", wanted)[0]; got.State != observe.CheckPassed || g.triggered.Load() != 1 {
				t.Errorf("ref %q: %+v after %d triggers", ref, got, g.triggered.Load())
			}
		})
	}
}

func FuzzVerdict(f *testing.F) {
	f.Add(200, "", []byte(`{"verdict":"pass","reason":"x","url":"https://ci.example/1","after":"5s"}`))
	f.Add(202, "9999999999", []byte(``))
	f.Add(200, "-1", []byte(`{"verdict":"wait","after":"-5h","url":"https://a:b@c/"}`))
	f.Fuzz(func(t *testing.T, status int, after string, body []byte) {
		o := readVerdict(status, after, body)
		isVerdict := o.state == observe.CheckPassed || o.state == observe.CheckFailed
		if isVerdict && status != http.StatusOK {
			t.Errorf("status %d gave the verdict %s", status, o.state)
		}
		if (o.state == "") == (o.problem == nil) {
			t.Errorf("outcome %+v is neither an answer nor a problem", o)
		}
		if o.after < 0 || o.after > latest || len(o.detail) > maxDetail || len(o.url) > 3*maxDetail || strings.ContainsAny(o.detail, "\n\r\x1b\x00") {
			t.Errorf("outcome %+v is out of bounds", o)
		}
	})
}
