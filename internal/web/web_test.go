package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

const key = "web/api"

// planted stands in a launch configuration, where people put passwords.
const planted = "planted-secret"

// fake is a daemon with one target and an open rollout.
type fake struct {
	mu      sync.Mutex
	told    []controller.Command
	last    *controller.Report
	reports chan controller.Report
	refuse  error
}

func (f *fake) Keys() []string { return []string{key} }
func (f *fake) Config() *desired.Config {
	return &desired.Config{Targets: []desired.Target{{Name: "api", Stack: "web", Service: "api", Image: "r.example/a:1"}}}
}
func (f *fake) History(string) reconcile.History { return reconcile.History{Rollout: open()} }
func (f *fake) Last(string) *controller.Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}
func (f *fake) Listen(context.Context) <-chan controller.Report { return f.reports }
func (f *fake) WayBack(_, digest string) (*reconcile.Restoring, error) {
	if digest == "sha256:gone" {
		return nil, &controller.RefusedError{Reason: "the journal keeps none"}
	}
	return &reconcile.Restoring{To: reconcile.Baseline{Part: reconcile.Part{Digest: "sha256:old", Image: "r.example/a@sha256:old"}}, Base: json.RawMessage(`"` + planted + `"`)}, nil
}

func (f *fake) Tell(_ context.Context, _ string, c controller.Command) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, c)
	return f.refuse
}

func open() *reconcile.Rollout {
	return &reconcile.Rollout{ID: "r1", To: reconcile.Baseline{Part: reconcile.Part{Digest: "sha256:new"}}, Previous: json.RawMessage(`{"environment":{"P":"` + planted + `"}}`)}
}

// serve serves f on a socket of a fresh state directory.
func serve(t *testing.T, f Daemon, o Options) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "d") // t.TempDir is too long for a socket on some systems.
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, SocketPath(dir), Handler(f, o)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve() = %v", err)
		}
		if _, err := os.Stat(SocketPath(dir)); err == nil {
			t.Error("the socket is still there after the stop")
		}
		os.RemoveAll(dir)
	})
	deadline := time.After(5 * time.Second)
	for {
		if _, err := NewClient(dir).Health(ctx); !errors.Is(err, ErrNoDaemon) {
			return dir
		}
		select {
		case err := <-ended:
			t.Fatalf("Serve() = %v", err)
		case <-deadline:
			t.Fatal("nobody listens")
		default:
		}
	}
}

func TestSocketIsPrivate(t *testing.T) {
	dir := serve(t, &fake{}, Options{})
	info, err := os.Stat(SocketPath(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v, %v, want 0600", info.Mode(), err)
	}
}

func TestSocketInTheWay(t *testing.T) {
	dir := serve(t, &fake{}, Options{})
	if err := Serve(t.Context(), SocketPath(dir), nil); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("Serve() beside a daemon = %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), file, nil); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("Serve() over a file = %v", err)
	}
	if err := Serve(t.Context(), filepath.Join(dir, strings.Repeat("x", 120)), nil); err == nil || !strings.Contains(err.Error(), "shorter state directory") {
		t.Errorf("Serve() with a long path = %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := SocketPath(t.TempDir())
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	fresh, err := listen(t.Context(), path)
	if err != nil {
		t.Fatalf("listen() over a stale socket = %v", err)
	}
	fresh.Close()
}

func TestTargetsHideLaunchConfigurations(t *testing.T) {
	dir := serve(t, &fake{}, Options{})
	views, err := NewClient(dir).Targets(t.Context())
	if err != nil || len(views) != 1 || views[0].Target != key || views[0].Rollout.ID != "r1" || views[0].Wanted != "sha256:new" {
		t.Fatalf("Targets() = %+v, %v", views, err)
	}
	event, err := json.Marshal(EventOf(controller.Report{Target: key, Rollout: open()}))
	if text, _ := json.Marshal(views); err != nil || strings.Contains(string(text)+string(event), planted) {
		t.Errorf("a launch configuration is shown: %s %s", text, event)
	}
}

func TestCommands(t *testing.T) {
	f := &fake{}
	client := NewClient(serve(t, f, Options{}))
	want := controller.Command{Verb: controller.Approve, By: "jo", Rollout: "r1"}
	if _, err := client.Tell(t.Context(), key, want); err != nil || len(f.told) != 1 || f.told[0] != want {
		t.Errorf("Tell() = %v, told %+v", err, f.told)
	}
	f.refuse = &controller.RefusedError{Reason: "no rollout is open"}
	var status *StatusError
	if _, err := client.Tell(t.Context(), key, want); !errors.As(err, &status) || !status.Refused() || status.Reason != "no rollout is open" {
		t.Errorf("a refused Tell() = %v", err)
	}
	f.refuse = errors.New("the disk is full")
	if _, err := client.Tell(t.Context(), key, want); !errors.As(err, &status) || status.Status != http.StatusServiceUnavailable {
		t.Errorf("a failed Tell() = %v", err)
	}
	if _, err := client.Tell(t.Context(), "web/other", want); !errors.As(err, &status) || !status.NotFound() {
		t.Errorf("Tell() about nothing = %v", err)
	}
}

func TestBadRequests(t *testing.T) {
	notify := func(body io.Reader) (int, error) { _, err := io.ReadAll(body); return 0, err }
	client := NewClient(serve(t, &fake{}, Options{Notify: notify}))
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/", "", 404},
		{"DELETE", "/v1/targets", "", 404},
		{"GET", "/v1/targets/web/other", "", 404},
		{"POST", "/v1/targets/web/api/commands", "{", 400},
		{"POST", "/v1/targets/web/api/commands", `{"verb":"pause","zz":1}`, 400},
		{"POST", "/v1/targets/web/api/commands", `{"verb":"` + strings.Repeat("x", maxCommand) + `"}`, 400},
		{"POST", "/v1/notifications/registry", strings.Repeat("x", maxNotification+1), 400},
		{"POST", "/v1/notifications/registry", "{}", 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://drover"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.http.Do(req)
		if err != nil {
			t.Errorf("%s %s: %v", c.method, c.path, err)
			continue
		}
		if resp.StatusCode != c.want || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s = %s %s, want %d and JSON", c.method, c.path, resp.Status, resp.Header.Get("Content-Type"), c.want)
		}
		resp.Body.Close()
	}
}

func TestHealth(t *testing.T) {
	now := time.Unix(1000, 0)
	var journalFailed error
	f := &fake{last: &controller.Report{At: now, Decision: reconcile.Decision{RequeueAfter: time.Second}}}
	client := NewClient(serve(t, f, Options{Now: func() time.Time { return now }, JournalFailed: func(context.Context) error { return journalFailed }}))
	check := func(want string) {
		t.Helper()
		h, err := client.Health(t.Context())
		if err != nil || h.OK != (want == "") || !strings.Contains(strings.Join(h.Problems, " "), want) {
			t.Errorf("Health() = %+v, %v, want %q", h, err, want)
		}
	}
	check("")
	journalFailed = errors.New("disk full")
	check("disk full")
	journalFailed = nil
	f.mu.Lock()
	f.last = &controller.Report{At: now.Add(-time.Second - overdueAfter - 1), Decision: reconcile.Decision{RequeueAfter: time.Second}}
	f.mu.Unlock()
	check("not looked at any more")
}

func TestEvents(t *testing.T) {
	f := &fake{reports: make(chan controller.Report, 1)}
	client := NewClient(serve(t, f, Options{Heartbeat: 10 * time.Millisecond}))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://drover/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	await := func(prefix string) string {
		t.Helper()
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				return rest
			}
		}
		t.Fatalf("the stream ended before %q: %v", prefix, lines.Err())
		return ""
	}
	await(": alive")
	f.reports <- controller.Report{Target: key, Decision: reconcile.Decision{Phase: reconcile.Bake}}
	var e Event
	if err := json.Unmarshal([]byte(await("data: ")), &e); err != nil || e.Target != key || e.Phase != reconcile.Bake {
		t.Errorf("event = %+v, %v", e, err)
	}
}

// TestLook: what the last look saw, with the bake's end, and no launch
// configuration.
func TestLook(t *testing.T) {
	at := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	f := &fake{}
	client := NewClient(serve(t, f, Options{}))
	if d, err := client.Look(t.Context(), key); err != nil || d.Observed != nil || d.Target != key {
		t.Fatalf("Look() before the first look = %+v, %v", d, err)
	}
	rollout := open()
	rollout.Policy.Rollout.Bake = desired.Seconds(600)
	f.mu.Lock()
	f.last = &controller.Report{At: at, Rollout: rollout, Decision: reconcile.Decision{Phase: reconcile.Bake, BakeStart: at}}
	f.last.Observed.Service.Containers = []observe.Container{{ID: "1i1"}}
	f.mu.Unlock()
	d, err := client.Look(t.Context(), key)
	if err != nil || d.Observed == nil || len(d.Observed.Service.Containers) != 1 || !d.BakeUntil.Equal(at.Add(10*time.Minute)) {
		t.Errorf("Look() = %+v, %v", d, err)
	}
	if text, _ := json.Marshal(d); strings.Contains(string(text), planted) {
		t.Errorf("a launch configuration is shown: %s", text)
	}
	if _, err := client.Look(t.Context(), "nonsense"); err == nil {
		t.Error("Look() of no stack/service gives no error")
	}
}

func TestWayBackHidesTheLaunchConfiguration(t *testing.T) {
	client := NewClient(serve(t, &fake{}, Options{}))
	back, err := client.WayBack(t.Context(), key, "")
	if text, _ := json.Marshal(back); err != nil || back.Digest != "sha256:old" || strings.Contains(string(text), planted) {
		t.Errorf("WayBack() = %+v, %v", back, err)
	}
	var status *StatusError
	if _, err := client.WayBack(t.Context(), key, "sha256:gone"); !errors.As(err, &status) || !status.Refused() {
		t.Errorf("WayBack() to nothing = %v, want it refused", err)
	}
}
