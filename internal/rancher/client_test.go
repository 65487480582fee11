package rancher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

var web = Key{"shop", "web"}

func TestURL(t *testing.T) {
	for in, want := range map[string]string{
		"http://rancher.example:8080":             "http://rancher.example:8080/v2-beta",
		"http://rancher.example:8080/v2-beta/":    "http://rancher.example:8080/v2-beta",
		"https://proxy.example/Rancher/v1":        "https://proxy.example/Rancher/v2-beta",
		"http://key:secret@rancher.example":       "",
		"rancher.example:8080":                    "",
		"http://rancher.example/?x=1":             "",
		"ftp://rancher.example":                   "",
		"http://rancher.example/v2-beta#fragment": "",
	} {
		got, err := baseURL(in)
		if want == "" {
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("baseURL(%q) = %v, %v; want an error without the secret", in, got, err)
			}
			continue
		}
		if err != nil || got.String() != want {
			t.Errorf("baseURL(%q) = %v, %v; want %s", in, got, err, want)
		}
	}
}

// TestGuard tries everything that this client must never send. The network behind
// the guard counts what arrives.
func TestGuard(t *testing.T) {
	var sent atomic.Int32
	base := parsed(t, "http://rancher.example:8080/v2-beta")
	g := &guard{
		base: base, grants: &grants{}, sign: func(*http.Request) error { return nil },
		next: roundTrip(func(*http.Request) (*http.Response, error) {
			sent.Add(1)
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		}),
	}
	g.grants.allow([]Key{web})
	g.grants.learnService("1s5", web)
	g.grants.learnService("1s6", Key{"shop", "other"})
	g.grants.learnContainer("1i5", "1s5")
	g.grants.learnContainer("1i6", "1s6")
	const p = "http://rancher.example:8080/v2-beta/projects/1a8"
	for _, c := range []struct {
		method, url string
		passes      bool
	}{
		{"GET", p + "/services?name=web", true},
		{"POST", p + "/services/1s5/?action=upgrade", true},
		{"POST", p + "/services/1s5/?action=finishupgrade", true},
		{"POST", p + "/services/1s5/?action=cancelupgrade", true},
		{"POST", p + "/services/1s5/?action=rollback", true},
		{"POST", p + "/containers/1i5/?action=logs", true},
		{"POST", p + "/services/1s6/?action=upgrade", false},
		{"POST", p + "/services/1s7/?action=rollback", false},
		{"POST", p + "/services/1s5/?action=remove", false},
		{"POST", p + "/services/1s5/?action=deactivate", false},
		{"POST", p + "/services/1s5/?action=restart", false},
		{"POST", p + "/services/1s5/?action=continueupgrade", false},
		{"POST", p + "/services/1s5/?action=setservicelinks", false},
		{"POST", p + "/services/1s5/?action=upgrade&action=remove", false},
		{"POST", p + "/services/1s5/?action=upgrade&x=1", false},
		{"POST", p + "/services/1s5/?ACTION=upgrade", false},
		{"POST", p + "/services/1s5/", false},
		{"POST", p + "/services", false},
		{"POST", p + "/loadbalancerservices/1s5/?action=rollback", false},
		{"POST", p + "/stacks/1s5/?action=upgrade", false},
		{"POST", p + "/services/1i5/?action=upgrade", false},
		{"POST", p + "/containers/1i5/?action=execute", false},
		{"POST", p + "/containers/1i5/?action=stop", false},
		{"POST", p + "/containers/1i5/?action=upgrade", false},
		{"POST", p + "/containers/1i6/?action=logs", false},
		{"POST", p + "/containers/1i7/?action=logs", false},
		{"POST", "http://rancher.example:8080/v2-beta/services/1s5/?action=upgrade", false},
		{"POST", p + "/services/1s6/../1s5/?action=upgrade", false},
		{"POST", p + "/services/1s5%2f..%2f1s6/?action=upgrade", false},
		{"GET", p + "/services/1s5/?action=upgrade", false},
		{"GET", p + "/services/1s5?_method=DELETE", false},
		{"GET", "http://rancher.example:8080/v2-betaX", false},
		{"GET", "http://rancher.example:8080/v1/services", false},
		{"GET", "https://rancher.example:8080/v2-beta/projects", false},
		{"GET", "http://elsewhere.example/v2-beta/projects", false},
		{"PUT", p + "/services/1s5", false},
		{"DELETE", p + "/services/1s5", false},
		{"PATCH", p + "/services/1s5", false},
		{"OPTIONS", p + "/services/1s5", false},
		{"POST", p + "/services/1s5/?action=%zz", false},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := sent.Load()
		resp, err := g.RoundTrip(r)
		if resp != nil {
			resp.Body.Close()
		}
		var refused *CapabilityError
		if passed := sent.Load() > before; passed != c.passes || passed == errors.As(err, &refused) {
			t.Errorf("%s %s: passed %v (error %v), want %v", c.method, c.url, passed, err, c.passes)
		}
	}
	g.grants.allow(nil)
	r, _ := http.NewRequestWithContext(t.Context(), "POST", p+"/services/1s5/?action=rollback", nil)
	if _, err := g.RoundTrip(r); err == nil {
		t.Error("a service that is no target any more could be rolled back")
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A client that may only read logs asks for nothing else, not even for the same
// service.
func TestGuardOfLogsOnly(t *testing.T) {
	g := &guard{base: parsed(t, "http://rancher.example:8080/v2-beta"), grants: &grants{}}
	g.grants.allowLogs([]Key{web})
	g.grants.learnService("1s5", web)
	g.grants.learnService("1s6", Key{"shop", "other"})
	g.grants.learnContainer("1i5", "1s5")
	g.grants.learnContainer("1i6", "1s6")
	g.grants.learnContainer("1i7", "1s7")
	const p = "http://rancher.example:8080/v2-beta/projects/1a8"
	for url, passes := range map[string]bool{
		p + "/containers/1i5/?action=logs":          true,
		p + "/containers/1i6/?action=logs":          false,
		p + "/containers/1i7/?action=logs":          false,
		p + "/containers/1i5/?action=stop":          false,
		p + "/services/1s5/?action=upgrade":         false,
		p + "/services/1s5/?action=finishupgrade":   false,
		p + "/services/1s5/?action=rollback":        false,
		p + "/services/1s5/?action=cancelupgrade":   false,
		p + "/services/1s6/?action=continueupgrade": false,
	} {
		r, err := http.NewRequest(http.MethodPost, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if _, reason := g.check(r); (reason == "") != passes {
			t.Errorf("POST %s: refused because %q, want it to pass: %t", url, reason, passes)
		}
	}
}

func TestActionOnForeignServiceIsRefused(t *testing.T) {
	f := newFake(t)
	f.addService("1s5", "web")
	f.addService("1s6", "other")
	c := f.client(web)
	_, err := c.Rollback(t.Context(), "1s6")
	var refused *CapabilityError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "shop/other is not a target") {
		t.Errorf("Rollback(1s6) = %v, want a refusal that names the service", err)
	}
	for _, r := range f.requests() {
		if strings.HasPrefix(r, "POST") {
			t.Errorf("%s was sent", r)
		}
	}
}

func TestServiceIsReadThroughPages(t *testing.T) {
	f := newFake(t)
	f.addService("1s5", "web")
	f.addService("1s6", "other")
	f.pageCap, f.linkBase = 2, "http://RANCHER.internal:9999"
	for i := range 7 {
		id := fmt.Sprintf("1i%d", i+1)
		f.containers[id] = containerJSON(id, "1s5")
	}
	f.containers["1i3"]["state"] = "removed"
	s := f.client().Service(t.Context(), "shop", "web")
	if s.Problem != nil || s.ContainersProblem != nil || s.ID != "1s5" || len(s.Containers) != 6 || s.Containers[5].ID != "1i7" {
		t.Errorf("Service = %+v, want 1s5 with six containers in order", s)
	}
	f.hosts["1h2"] = map[string]any{"id": "1h2", "type": "host", "state": "active", "agentState": "reconnecting"}
	if h := f.client().Hosts(t.Context()); h.Problem != nil || h.Active != 1 || h.Total != 2 || !slices.Equal(h.Down, []string{"1h2"}) {
		t.Errorf("Hosts = %+v", h)
	}
}

func TestPagesInACircle(t *testing.T) {
	f := newFake(t)
	f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/hosts") {
			return false
		}
		fmt.Fprintf(w, `{"type":"collection","resourceType":"host","data":[],"pagination":{"next":"http://x/v2-beta/projects/1a8/hosts?marker=m%d"}}`, len(f.requests())%2)
		return true
	}
	h := f.client().Hosts(t.Context())
	if h.Problem == nil || h.Problem.Cause != observe.CauseInvalid || !strings.Contains(h.Problem.Message, "circle") {
		t.Errorf("Hosts = %+v, want a complaint about the circle", h.Problem)
	}
}

// TestGoneOrNotSeen: only a stack that was read without the service in it says that
// the service is gone; everything else is an outage (rollout-safety A3, A4).
func TestGoneOrNotSeen(t *testing.T) {
	answer := func(status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/projects/1a8/") {
				return false
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	for name, c := range map[string]struct {
		intercept  func(http.ResponseWriter, *http.Request) bool
		service    string
		cause      observe.Cause
		stackKnown bool
	}{
		"gone from its stack": {nil, "missing", observe.CauseNotFound, true},
		"404 for everything":  {answer(404, `{"type":"error","status":404,"code":"Not Found"}`), "web", observe.CauseUnreachable, false},
		"a proxy's page":      {answer(200, `<html>welcome</html>`), "web", observe.CauseInvalid, false},
		"cut off":             {answer(200, `{"type":"collection","data":[`), "web", observe.CauseInvalid, false},
		"another list":        {answer(200, `{"type":"collection","resourceType":"host","data":[]}`), "web", observe.CauseInvalid, false},
		"empty":               {answer(200, ``), "web", observe.CauseInvalid, false},
		"key revoked":         {answer(401, `{"type":"error","status":401,"code":"Unauthorized"}`), "web", observe.CauseAuth, false},
		"forbidden":           {answer(403, `{"type":"error","status":403,"code":"Forbidden"}`), "web", observe.CauseAuth, false},
		"500":                 {answer(500, `oops`), "web", observe.CauseUnreachable, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.addService("1s5", "web")
			f.intercept = c.intercept
			s := f.client().Service(t.Context(), "shop", c.service)
			if s.Problem == nil || s.Problem.Cause != c.cause || s.StackKnown != c.stackKnown {
				t.Errorf("Problem = %v, StackKnown = %v; want %s, %v", s.Problem, s.StackKnown, c.cause, c.stackKnown)
			}
		})
	}
}

func TestReadsAreRepeatedAndWritesAreNot(t *testing.T) {
	f := newFake(t)
	f.addService("1s5", "web")
	c := f.client(web)
	if s := c.Service(t.Context(), "shop", "web"); s.Problem != nil {
		t.Fatal(s.Problem)
	}
	var gets, posts atomic.Int32
	f.mu.Lock()
	f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == "POST" {
			posts.Add(1)
			w.WriteHeader(503)
			return true
		}
		if gets.Add(1) == 1 {
			w.WriteHeader(502)
			return true
		}
		return false
	}
	f.mu.Unlock()
	if s := c.Service(t.Context(), "shop", "web"); s.Problem != nil || gets.Load() < 3 {
		t.Errorf("Problem = %v after %d requests, want the read to be repeated", s.Problem, gets.Load())
	}
	_, err := c.Rollback(t.Context(), "1s5")
	var e *Error
	if !errors.As(err, &e) || !e.Unknown() || posts.Load() != 1 {
		t.Errorf("Rollback = %v after %d requests, want one request with an unknown result", err, posts.Load())
	}
}

func TestLostAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		handle  func(w http.ResponseWriter)
		unknown bool
	}{
		"cut":             {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, true},
		"page with 200":   {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>") }, true},
		"another service": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"id":"1s6","type":"service"}`) }, true},
		"conflict":        {func(w http.ResponseWriter) { w.WriteHeader(409) }, false},
		"refused":         {func(w http.ResponseWriter) { w.WriteHeader(422) }, false},
		"redirect":        {func(w http.ResponseWriter) { w.Header().Set("Location", "/v2-beta/projects"); w.WriteHeader(307) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.addService("1s5", "web")
			var posts atomic.Int32
			f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != "POST" {
					return false
				}
				posts.Add(1)
				c.handle(w)
				return true
			}
			_, err := f.client(web).Rollback(t.Context(), "1s5")
			var e *Error
			if !errors.As(err, &e) || e.Unknown() != c.unknown || posts.Load() != 1 {
				t.Errorf("Rollback = %v after %d requests, want unknown %v", err, posts.Load(), c.unknown)
			}
		})
	}
}

func TestNothingLeftMeansKnown(t *testing.T) {
	f := newFake(t)
	f.addService("1s5", "web")
	// Without kept connections the next request has to connect anew.
	c, err := New(Options{
		URL: f.server.URL, AccessKey: text("access"), SecretKey: text("hush"),
		Allow: []Key{web}, Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Service(t.Context(), "shop", "web"); s.Problem != nil {
		t.Fatal(s.Problem)
	}
	f.server.Close()
	_, err = c.Rollback(t.Context(), "1s5")
	var e *Error
	if !errors.As(err, &e) || e.Unknown() || !e.Temporary() {
		t.Errorf("Rollback without a server = %v, want a temporary error that is known not to be applied", err)
	}
}

func TestTimeoutOfAWriteIsUnknown(t *testing.T) {
	release := make(chan struct{})
	f := newFake(t)
	f.addService("1s5", "web")
	f.intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != "POST" {
			return false
		}
		<-release
		return true
	}
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := f.client(web).Rollback(ctx, "1s5")
	var e *Error
	if !errors.As(err, &e) || !e.Unknown() || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Rollback = %v, want a time-out with an unknown result", err)
	}
}

func TestRedirectToAnotherHostCarriesNoCredentials(t *testing.T) {
	var reached atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer other.Close()
	f := newFake(t)
	f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
		return true
	}
	s := f.client().Service(t.Context(), "shop", "web")
	if s.Problem == nil || reached.Load() {
		t.Errorf("Problem = %v, reached %v; want the redirect not followed", s.Problem, reached.Load())
	}
	if strings.Contains(s.Problem.Message, "hush") {
		t.Error("the secret is in the message")
	}
}

func TestEnvironment(t *testing.T) {
	many := `{"type":"collection","resourceType":"project","data":[{"id":"1a5","name":"dev","state":"active"},{"id":"1a8","name":"prod","state":"active"}]}`
	for _, c := range []struct{ environment, want, complaint string }{
		{"dev", "1a5", ""}, {"1a8", "1a8", ""}, {"", "", "name one of dev (1a5), prod (1a8)"}, {"prd", "", `no environment "prd"`},
	} {
		f := newFake(t)
		f.intercept = func(w http.ResponseWriter, _ *http.Request) bool { _, _ = io.WriteString(w, many); return true }
		client, err := New(Options{URL: f.server.URL, Environment: c.environment, AccessKey: text("access"), SecretKey: text("hush")})
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.Environment(t.Context())
		client.Close()
		if got != c.want || (err == nil) != (c.complaint == "") || err != nil && !strings.Contains(err.Error(), c.complaint) {
			t.Errorf("Environment(%q) = %q, %v", c.environment, got, err)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	f := newFake(t)
	f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/hosts") {
			return false
		}
		_, _ = io.WriteString(w, `{"type":"collection","resourceType":"host","x":"`)
		chunk := strings.Repeat("x", 1<<20)
		for range 20 {
			if _, err := io.WriteString(w, chunk); err != nil {
				return true
			}
		}
		return true
	}
	h := f.client().Hosts(t.Context())
	if h.Problem == nil || h.Problem.Cause != observe.CauseInvalid || !strings.Contains(h.Problem.Message, CodeTooLarge) {
		t.Errorf("Hosts = %v, want a complaint about the size", h.Problem)
	}
}

// TestBlankAnswers: white space that does not end is refused early; a reading of it that is looked through again and again
// would take a core.
func TestBlankAnswers(t *testing.T) {
	f := newFake(t)
	var sent atomic.Int64
	f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/hosts") {
			return false
		}
		_, err := io.WriteString(w, `{"type":"collection","data":[`)
		for chunk := strings.Repeat(" ", 4<<10); err == nil && sent.Load() < 64<<20; sent.Add(4 << 10) {
			_, err = io.WriteString(w, chunk)
		}
		return true
	}
	h := f.client().Hosts(t.Context())
	if h.Problem == nil || h.Problem.Cause != observe.CauseInvalid || !strings.Contains(h.Problem.Message, "blank") {
		t.Errorf("Hosts = %v, want a complaint about blanks", h.Problem)
	}
	if n := sent.Load(); n > 16<<20 {
		t.Errorf("%d bytes of blanks were taken", n)
	}
}

func TestCredentialsThatCannotBeRead(t *testing.T) {
	f := newFake(t)
	c, err := New(Options{URL: f.server.URL, AccessKey: text("access"), SecretKey: func() (string, error) { return "", errors.New("no such file") }})
	if err != nil {
		t.Fatal(err)
	}
	s := c.Service(t.Context(), "shop", "web")
	if s.Problem == nil || s.Problem.Cause != observe.CauseAuth || len(f.requests()) != 0 {
		t.Errorf("Problem = %v after %v", s.Problem, f.requests())
	}
}

// TestErrorsAsRecorded classifies every error that a real server answered.
func TestErrorsAsRecorded(t *testing.T) {
	for _, line := range recording(t, "06-errors.jsonl") {
		resp := &http.Response{StatusCode: number(t, line["status"]), Body: io.NopCloser(strings.NewReader(string(line["responseBody"])))}
		var e *Error
		if !errors.As(answeredError("op", resp, true), &e) {
			t.Fatal("no Error")
		}
		conflict, invalid, denied := e.Code == codeActionNotAvailable, e.Status == 422 || e.Status == 400, e.Status == 401 || e.Status == 403 || e.Status == 405
		if e.Code == codeInvalidAction {
			invalid, denied = false, true
		}
		if e.Code == "" || e.Conflict() != conflict || e.Invalid() != (invalid && !conflict) || e.NotAllowed() != denied || e.Unknown() || e.Temporary() {
			t.Errorf("seq %s: %v classified wrongly", line["seq"], e)
		}
	}
}
