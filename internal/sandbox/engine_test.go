package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
	"gitlab.gf.com.cn/clickeggs/drover/internal/registry/registrytest"
)

// bench is an engine with a registry beside it.
type bench struct {
	t        *testing.T
	registry *registrytest.Registry
	engine   *Engine
	started  int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	registry, err := registrytest.Start(registrytest.Options{})
	if err != nil {
		t.Fatalf("starting the registry: %v", err)
	}
	b := &bench{t: t, registry: registry, engine: NewEngine(uint64(time.Now().UnixNano()))}
	t.Cleanup(func() {
		if err := errors.Join(b.engine.Close(), registry.Close()); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return b
}

// push pushes an image that behaves so and returns its reference by digest.
func (b *bench) push(behaviour string) string {
	b.t.Helper()
	spec := registrytest.ImageSpec{Labels: map[string]string{
		BehaviourLabel: behaviour, "org.opencontainers.image.version": "1.4.2", "org.opencontainers.image.revision": "9f1c2ab",
	}}
	d, err := b.registry.PushImage(b.t.Context(), "clickeggs/parrot-rest", "latest", spec)
	if err != nil {
		b.t.Fatalf("pushing: %v", err)
	}
	return b.registry.Host() + "/clickeggs/parrot-rest@" + d
}

// run starts a container of a new image that behaves so.
func (b *bench) run(behaviour string) *container {
	b.t.Helper()
	p, err := b.start(b.push(behaviour))
	if err != nil {
		b.t.Fatalf("starting a container that is to %s: %v", behaviour, err)
	}
	return p.(*container)
}

func (b *bench) start(image string) (ranchersim.Process, error) {
	id, err := b.engine.Pull(b.t.Context(), image)
	if err != nil {
		b.t.Fatalf("Pull(%q): %v", image, err)
	}
	b.started++
	return b.engine.Start(b.t.Context(), ranchersim.ContainerSpec{
		ID: fmt.Sprintf("1i%d", b.started), Name: fmt.Sprintf("gf-chat-parrot-rest-%d", b.started), Image: image, ImageID: id, Ports: []int{8080},
	})
}

// get asks a container and returns the status, or the error.
func get(t *testing.T, c *container, path string) (int, error) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + net.JoinHostPort(c.IP(), "8080") + path)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}

// awaitLine waits for a log line that matches and returns all lines until then.
func awaitLine(t *testing.T, source ranchersim.LogSource, pattern string) []ranchersim.LogLine {
	t.Helper()
	want := regexp.MustCompile(pattern)
	deadline := time.After(10 * time.Second)
	var all []ranchersim.LogLine
	for from := 0; ; {
		lines, next, changed, ended := source.Lines(from)
		from = next
		for _, line := range lines {
			all = append(all, line)
			if want.MatchString(line.Text) {
				return all
			}
		}
		if ended {
			t.Fatalf("the log ended without %q: %v", pattern, all)
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no line %q within 10 s: %v", pattern, all)
		}
	}
}

func await(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("not within 10 s: %s", what)
	}
}

// eventually waits for a condition that nothing announces.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func TestServe(t *testing.T) {
	b := newBench(t)
	c := b.run("serve")
	for _, path := range []string{"/healthz", "/v1/rooms"} {
		if status, err := get(t, c, path); status != 200 || err != nil {
			t.Errorf("GET %s = %d, %v, want 200", path, status, err)
		}
	}
	lines := awaitLine(t, c.Logs(), `^GET /v1/rooms 200 \d+ms$`)
	var texts []string
	for _, l := range lines[:2] {
		texts = append(texts, l.Text)
	}
	want := "starting gf-chat-parrot-rest-1 version 1.4.2 revision 9f1c2ab\nlistening on 8080"
	if got := strings.Join(texts, "\n"); got != want {
		t.Errorf("the log begins with\n%s\nwant\n%s", got, want)
	}
}

func TestErrorsLeaveHealthGreen(t *testing.T) {
	b := newBench(t)
	c := b.run("errors=20%")
	var failed int
	for range 50 {
		if status, _ := get(t, c, "/v1/rooms"); status == 500 {
			failed++
		}
		if status, _ := get(t, c, "/healthz"); status != 200 {
			t.Fatalf("GET /healthz = %d, want 200", status)
		}
	}
	if failed != 10 {
		t.Errorf("%d of 50 requests failed, want 10", failed)
	}
}

func TestHealth(t *testing.T) {
	b := newBench(t)
	hc := ranchersim.HealthCheck{Port: 8080, RequestLine: `GET "/healthz" "HTTP/1.0"`, Timeout: 5 * time.Second}
	for behaviour, want := range map[string]bool{
		"serve": true, "unhealthy-after=1h": true, "never-healthy": false, "refuse": false, "start-delay=1h": false,
	} {
		if got := b.run(behaviour).Check(t.Context(), hc); got != want {
			t.Errorf("%s: Check = %v, want %v", behaviour, got, want)
		}
	}
	c := b.run("unhealthy-after=1ms")
	eventually(t, "the container turns unhealthy", func() bool { return !c.Check(t.Context(), hc) })
	if status, err := get(t, c, "/v1/rooms"); status != 200 {
		t.Errorf("GET of an unhealthy container = %d, %v, want 200", status, err)
	}
}

func TestTCPCheckOnlyConnects(t *testing.T) {
	b := newBench(t)
	hc := ranchersim.HealthCheck{Port: 8080, Timeout: 5 * time.Second}
	if !b.run("never-healthy").Check(t.Context(), hc) {
		t.Error("Check of a listening port without a request line = false, want true")
	}
	if b.run("refuse").Check(t.Context(), hc) {
		t.Error("Check of a closed port = true, want false")
	}
}

func TestLatency(t *testing.T) {
	c := newBench(t).run("latency=50ms")
	began := time.Now()
	if status, err := get(t, c, "/v1/rooms"); status != 200 || time.Since(began) < 50*time.Millisecond {
		t.Errorf("GET = %d, %v after %v, want 200 after at least 50ms", status, err, time.Since(began))
	}
	awaitLine(t, c.Logs(), `^GET /v1/rooms 200 ([5-9]\d|\d{3,})ms$`)
}

func TestStartDelay(t *testing.T) {
	c := newBench(t).run("start-delay=50ms")
	if _, err := get(t, c, "/healthz"); !errors.Is(err, syscall.ECONNREFUSED) && time.Since(c.app.started) < 50*time.Millisecond {
		t.Errorf("GET before the delay is over = %v, want connection refused", err)
	}
	awaitLine(t, c.Logs(), "^listening on 8080")
	if status, err := get(t, c, "/healthz"); status != 200 {
		t.Errorf("GET after the delay = %d, %v, want 200", status, err)
	}
}

func TestRefuse(t *testing.T) {
	c := newBench(t).run("refuse")
	if _, err := get(t, c, "/healthz"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("GET = %v, want connection refused", err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Errorf("Stop = %v", err)
	}
}

// TestAnswersThatAreNone: a load balancer tells an empty reply from a reset, and
// both from a 404; health checks stay green.
func TestAnswersThatAreNone(t *testing.T) {
	b := newBench(t)
	for behaviour, is := range map[string]func(int, error) bool{
		"empty=100%":     func(_ int, err error) bool { return errors.Is(err, io.EOF) },
		"resets=100%":    func(_ int, err error) bool { return errors.Is(err, syscall.ECONNRESET) },
		"not-found=100%": func(status int, _ error) bool { return status == http.StatusNotFound },
	} {
		c := b.run(behaviour)
		if status, err := get(t, c, "/v1/rooms"); !is(status, err) {
			t.Errorf("%s: get = %d, %v", behaviour, status, err)
		}
		if status, err := get(t, c, "/healthz"); status != http.StatusOK {
			t.Errorf("%s: /healthz = %d, %v, want 200", behaviour, status, err)
		}
	}
}

func TestRefuseAfter(t *testing.T) {
	c := newBench(t).run("refuse-after=3s")
	if status, err := get(t, c, "/v1/rooms"); status != http.StatusOK {
		t.Fatalf("before it refuses get = %d, %v", status, err)
	}
	eventually(t, "connections are refused", func() bool {
		_, err := get(t, c, "/v1/rooms")
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	if c.serving.Err() != nil {
		t.Error("the process ended")
	}
}

func TestCrash(t *testing.T) {
	b := newBench(t)
	c := b.run("crash")
	await(t, "the container exits", c.Exited())
	lines, _, _, ended := c.Logs().Lines(0)
	if !ended || lines[len(lines)-1].Text != "panic: gf-chat-parrot-rest-1 crashed" || lines[len(lines)-1].Stream != 2 {
		t.Errorf("Lines = %v, ended %v, want the panic on stderr and the end", lines, ended)
	}
	if c.slot.process != nil {
		t.Error("the engine still has the process when its end is told")
	}
}

func TestCrashCutsOpenRequests(t *testing.T) {
	c := newBench(t).run("latency=1m,crash-after=100ms")
	_, err := get(t, c, "/v1/rooms")
	if err == nil || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("GET of a crashing container = %v, want a cut connection", err)
	}
	await(t, "the container exits", c.Exited())
}

func TestStopLetsOpenRequestsFinish(t *testing.T) {
	c := newBench(t).run("latency=200ms")
	status := make(chan int, 1)
	go func() {
		s, _ := get(t, c, "/v1/rooms")
		status <- s
	}()
	eventually(t, "the request is open", func() bool { return c.app.requests.Load() > 0 })
	if err := c.Stop(t.Context()); err != nil {
		t.Errorf("Stop = %v", err)
	}
	if got := <-status; got != 200 {
		t.Errorf("the open request got %d, want 200", got)
	}
	select {
	case <-c.Exited():
		t.Error("a stopped container says that it exited by itself")
	default:
	}
}

// TestStopAnswersWhoHasConnected: a request that was not read yet when the stop came is answered, not dropped.
func TestStopAnswersWhoHasConnected(t *testing.T) {
	c := newBench(t).run("serve")
	address := net.JoinHostPort(c.IP(), "8080")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- c.Stop(context.Background()) }()
	eventually(t, "nobody else can connect", func() bool {
		late, err := net.Dial("tcp", address)
		if err == nil {
			_ = late.Close()
		}
		return err != nil
	})
	if _, err := io.WriteString(conn, "GET /v1/rooms HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("status = %s, want 200", resp.Status)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Stop = %v", err)
	}
}

func TestStopKillsWhenItMayNotWait(t *testing.T) {
	c := newBench(t).run("latency=1m")
	go func() { _, _ = get(t, c, "/v1/rooms") }()
	eventually(t, "the request is open", func() bool { return c.app.requests.Load() > 0 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Stop(ctx); err != nil {
		t.Errorf("Stop = %v", err)
	}
}

func TestLogs(t *testing.T) {
	b := newBench(t)
	lines := awaitLine(t, b.run("log=UnhandledPromiseRejection: no room").Logs(), "^Unhandled")
	if last := lines[len(lines)-1]; last.Stream != 2 {
		t.Errorf("stream = %d, want 2 (stderr)", last.Stream)
	}
	lines = awaitLine(t, b.run("log=tick,log-rate=1000").Logs(), "^tick 50$")
	if got := lines[len(lines)-2].Text; got != "tick 49" {
		t.Errorf("the line before tick 50 is %q, want tick 49", got)
	}
}

func TestBadLabelFailsTheStart(t *testing.T) {
	b := newBench(t)
	_, err := b.start(b.push("explode"))
	want := `Error response from daemon: label io.drover.sandbox: unknown behaviour "explode"`
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Start = %v, want %s…", err, want)
	}
}

func TestRestartKeepsAddressAndLog(t *testing.T) {
	b := newBench(t)
	c := b.run("serve")
	if err := c.Stop(t.Context()); err != nil {
		t.Fatalf("Stop = %v", err)
	}
	spec := c.spec
	spec.Restart, spec.IP = true, c.IP()
	again, err := b.engine.Start(t.Context(), spec)
	if err != nil {
		t.Fatalf("Start = %v", err)
	}
	if again.IP() != c.IP() {
		t.Errorf("IP after the restart = %s, want %s", again.IP(), c.IP())
	}
	lines, _, _, ended := again.Logs().Lines(0)
	if len(lines) != 5 || ended {
		t.Errorf("Lines = %v, ended %v, want the lines of both starts and no end", lines, ended)
	}
	if _, err := b.engine.Start(t.Context(), spec); err == nil {
		t.Error("starting a started container = nil, want an error")
	}
}

func TestAddressesAreNeverShared(t *testing.T) {
	b := newBench(t)
	other := NewEngine(b.engine.seed)
	t.Cleanup(func() { _ = other.Close() })
	mine := b.run("serve")
	id, err := other.Pull(t.Context(), b.push("serve"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := other.Start(t.Context(), ranchersim.ContainerSpec{ID: "1i1", ImageID: id, Ports: []int{8080}, IP: mine.IP()})
	if err != nil {
		t.Fatal(err)
	}
	if theirs.IP() == mine.IP() {
		t.Errorf("two engines with one seed both use %s", mine.IP())
	}
}

func TestPull(t *testing.T) {
	b := newBench(t)
	repo := b.registry.Host() + "/clickeggs/parrot-rest"
	byDigest := b.push("serve")
	_, d, _ := strings.Cut(byDigest, "@")
	want, err := b.engine.Pull(t.Context(), byDigest)
	if err != nil || !strings.HasPrefix(want, "sha256:") || want == d {
		t.Fatalf("Pull(%q) = %q, %v, want the digest of the configuration", byDigest, want, err)
	}
	for _, name := range []string{repo, repo + ":latest", repo + ":latest@" + d, repo + ":gone@" + d} {
		if got, err := b.engine.Pull(t.Context(), name); got != want || err != nil {
			t.Errorf("Pull(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestPullOfAnIndexTakesThePlatform(t *testing.T) {
	b := newBench(t)
	amd := registrytest.ImageSpec{Labels: map[string]string{BehaviourLabel: "serve"}, OCI: true}
	arm := registrytest.ImageSpec{Platform: "linux/arm64", OCI: true}
	want, err := b.registry.PushImage(t.Context(), "app", "amd", amd)
	if err != nil {
		t.Fatal(err)
	}
	wantID, err := b.engine.Pull(t.Context(), b.registry.Host()+"/app@"+want)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.registry.PushIndex(t.Context(), "app", "both", arm, amd); err != nil {
		t.Fatal(err)
	}
	if got, err := b.engine.Pull(t.Context(), b.registry.Host()+"/app:both"); got != wantID || err != nil {
		t.Errorf("Pull of the index = %q, %v, want %q", got, err, wantID)
	}
	if _, err := b.registry.PushIndex(t.Context(), "app", "arm", arm); err != nil {
		t.Fatal(err)
	}
	if _, err := b.engine.Pull(t.Context(), b.registry.Host()+"/app:arm"); err == nil || !strings.Contains(err.Error(), "no matching manifest for linux/amd64") {
		t.Errorf("Pull of an index without the platform = %v", err)
	}
}

// TestPullErrors holds the words to those of a real engine (recording real-04).
func TestPullErrors(t *testing.T) {
	b := newBench(t)
	b.push("serve")
	host := b.registry.Host()
	missing := host + "/clickeggs/parrot-rest@sha256:" + strings.Repeat("ab", 32)
	tests := []struct{ image, want string }{
		{missing, "Error response from daemon: manifest for " + missing + " not found: manifest unknown: manifest unknown"},
		{host + "/clickeggs/parrot-rest:v9", "Error response from daemon: manifest for " + host + "/clickeggs/parrot-rest:v9 not found: manifest unknown: manifest unknown"},
		{"127.0.0.1:1/app:latest", "connection refused"},
		{"Bad//name", "invalid reference format"},
		{"192.0.2.1:5000/app:latest", "is not a loopback address"},
	}
	for _, tt := range tests {
		if got, err := b.engine.Pull(t.Context(), tt.image); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Pull(%q) = %q, %v, want an error with %q", tt.image, got, err, tt.want)
		}
	}
}

func TestPullChecksDigests(t *testing.T) {
	registry, err := registrytest.Start(registrytest.Options{Wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
				_ = json.NewEncoder(w).Encode(map[string]string{"architecture": "amd64"})
				return
			}
			h.ServeHTTP(w, r)
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	engine := NewEngine(1)
	t.Cleanup(func() { _ = errors.Join(engine.Close(), registry.Close()) })
	if _, err := registry.PushImage(t.Context(), "app", "latest", registrytest.ImageSpec{}); err != nil {
		t.Fatal(err)
	}
	if got, err := engine.Pull(t.Context(), registry.Host()+"/app:latest"); err == nil || !strings.Contains(err.Error(), "content is sha256:") {
		t.Errorf("Pull of a forged configuration = %q, %v, want an error", got, err)
	}
}

func TestLogBufferIsBounded(t *testing.T) {
	l := &logBuffer{}
	early, _, changed, _ := l.Lines(0)
	for i := range 5 * maxLogLines {
		l.add(1, fmt.Sprint(i))
	}
	await(t, "the waiting reader is woken", changed)
	lines, next, _, _ := l.Lines(0)
	if len(early) != 0 || len(lines) > 2*maxLogLines || next != 5*maxLogLines {
		t.Errorf("%d lines are kept, next is %d, want at most %d and %d", len(lines), next, 2*maxLogLines, 5*maxLogLines)
	}
	if got := lines[len(lines)-1].Text; got != fmt.Sprint(5*maxLogLines-1) {
		t.Errorf("the last line is %q", got)
	}
	if rest, _, _, _ := l.Lines(next - 3); len(rest) != 3 {
		t.Errorf("Lines(next-3) = %v, want three lines", rest)
	}
	if rest, _, _, _ := l.Lines(next + 10); len(rest) != 0 {
		t.Errorf("Lines beyond the end = %v, want none", rest)
	}
	l.add(1, strings.Repeat("é", maxLogLine))
	if rest, _, _, _ := l.Lines(next); len(rest[0].Text) > maxLogLine {
		t.Errorf("a line of %d bytes is kept, want at most %d", len(rest[0].Text), maxLogLine)
	}
}

func readTestdata(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// FuzzParseImage holds that no image configuration a registry may answer with breaks the engine.
func FuzzParseImage(f *testing.F) {
	f.Add([]byte(`{"config":{"Labels":{"io.drover.sandbox":"serve"},"ExposedPorts":{"8080/tcp":{},"53/udp":{},"x":{}}}}`))
	f.Add([]byte(`{"config":null}`))
	f.Add([]byte(`{"config":{"ExposedPorts":{"99999/tcp":{},"-1":{}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		img, err := parseImage("sha256:x", body)
		if err != nil {
			return
		}
		for _, p := range img.ports {
			if p < 1 || p > 65535 {
				t.Errorf("parseImage(%q) exposes port %d", body, p)
			}
		}
	})
}
