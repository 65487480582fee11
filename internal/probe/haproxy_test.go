package probe

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// patience bounds every wait for the real HAProxy.
const patience = 20 * time.Second

// haproxy is a running HAProxy with a configuration of Rancher's shape.
type haproxy struct {
	t                     *testing.T
	binary, dir           string
	public, stats, port42 int
	// admin is the port of the runtime socket on TCP; on unix it is at socket().
	admin   int
	process *exec.Cmd
	// log is what all its processes wrote.
	log      *os.File
	backends []*backend
	starts   int
}

// backend is a container: a small server on an address of its own.
type backend struct {
	id, ip string
	port   int
	// checked says that its service has a health check.
	checked bool
}

func newHAProxy(t *testing.T, backends ...*backend) *haproxy {
	t.Helper()
	binary, err := exec.LookPath("haproxy")
	if err != nil {
		binary = "/usr/sbin/haproxy"
		if _, err := os.Stat(binary); err != nil {
			t.Skip("NOT TESTED AGAINST THE REAL HAPROXY: it is not installed (apt-get install haproxy)")
		}
	}
	h := &haproxy{t: t, binary: binary, dir: t.TempDir(), backends: backends}
	if h.log, err = os.Create(filepath.Join(h.dir, "log")); err != nil {
		t.Fatal(err)
	}
	h.public, h.stats, h.port42, h.admin = freePort(t), freePort(t), freePort(t), freePort(t)
	h.start()
	t.Cleanup(h.stop)
	return h
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// config is what lb-controller generates (testdata/haproxy/config-rancher-generated.cfg),
// on loopback and without chroot.
func (h *haproxy) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, `global
    maxconn 4096
    stats timeout 2m
    stats socket %s mode 600 level admin
    stats socket ipv4@127.0.0.1:%d level user
defaults
    maxconn 4096
    mode tcp
    option forwardfor
    option http-server-close
    option redispatch
    retries 3
    timeout client 50000
    timeout connect 5000
    timeout server 50000
listen stats
    bind 127.0.0.1:%d
    mode http
    stats enable
    stats uri /admin?stats
    stats realm Haproxy\ Statistics
    stats auth admin:secret
listen default
bind 127.0.0.1:%d
frontend 80
bind 127.0.0.1:%d
mode http
default_backend 80_
backend 80_
    timeout check 1000
    option httpchk GET /health HTTP/1.0
mode http
`, h.socket(), h.admin, h.stats, h.port42, h.public)
	for _, s := range h.backends {
		fmt.Fprintf(&b, "server %s %s:%d ", rancherName(s.ip), s.ip, s.port)
		if s.checked {
			fmt.Fprintf(&b, " check port %d inter 100 rise 2 fall 3", s.port)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "backend tcp_\nserver %s 127.0.0.99:1\n", rancherName("127.0.0.99"))
	return b.String()
}

func (h *haproxy) socket() string { return filepath.Join(h.dir, "haproxy.sock") }

// start starts a process in the foreground; reload replaces it.
func (h *haproxy) start(args ...string) {
	h.t.Helper()
	h.starts++
	path := filepath.Join(h.dir, fmt.Sprintf("haproxy-%d.cfg", h.starts))
	if err := os.WriteFile(path, []byte(h.config()), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.process = exec.Command(h.binary, append([]string{"-db", "-f", path}, args...)...)
	h.process.Stderr = h.log
	if err := h.process.Start(); err != nil {
		h.t.Fatal(err)
	}
}

// reload does what lb-controller's haproxy_reload does: a new process that lets the
// old one finish its connections.
func (h *haproxy) reload(backends ...*backend) {
	h.t.Helper()
	old := h.process
	h.backends = backends
	h.start("-sf", strconv.Itoa(old.Process.Pid))
	overdue := time.AfterFunc(patience, func() { old.Process.Kill() })
	defer overdue.Stop()
	old.Wait()
}

func (h *haproxy) stop() {
	h.process.Process.Kill()
	h.process.Wait()
	h.log.Close()
	if wrote, err := os.ReadFile(h.log.Name()); h.t.Failed() {
		h.t.Logf("haproxy wrote: %s %v", wrote, err)
	}
}

func (h *haproxy) spec(password string) LoadBalancerSpec {
	return LoadBalancerSpec{
		Name: "lb", Stats: []string{fmt.Sprintf("http://127.0.0.1:%d/admin?stats", h.stats)},
		Username: "admin", Password: func() (string, error) { return password, nil },
	}
}

func (h *haproxy) containers() []observe.Container {
	containers := []observe.Container{running("tcp", "127.0.0.99")}
	for _, b := range h.backends {
		containers = append(containers, running(b.id, b.ip))
	}
	return containers
}

// await reads until a look satisfies, and returns that look.
func (h *haproxy) await(r *Reader, what string, isGood func(observe.LoadBalancer) bool) observe.LoadBalancer {
	h.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for {
		lb := r.Read(h.t.Context(), "k", "lb", h.containers())
		if isGood(lb) {
			return lb
		}
		select {
		case <-pace.C:
		case <-deadline.C:
			h.t.Fatalf("waited %v for %s; the last look was %+v", patience, what, lb)
		}
	}
}

// allUp says that every container's server is in rotation and, where it is
// checked, was checked.
func (h *haproxy) allUp(lb observe.LoadBalancer) bool {
	up := 0
	for _, s := range lb.Servers {
		if s.Container != "" && s.Container != "tcp" && s.Status == observe.ServerUp {
			up++
		}
	}
	return lb.Problem == nil && up == len(h.backends)
}

// send makes n requests, each on a connection of its own, and counts the 5xx.
func (h *haproxy) send(n int) (failed int) {
	h.t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for range n {
		resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", h.public))
		if err != nil {
			h.t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode >= 500 {
			failed++
		}
	}
	return failed
}

// behave starts a container: its health check is good, and every other request is
// answered by hand.
func behave(t *testing.T, id, ip string, answer http.HandlerFunc) *backend {
	t.Helper()
	listener, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Skipf("NOT TESTED: loopback addresses other than 127.0.0.1 do not work here: %v", err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			answer(w, r)
		}
	}))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return &backend{id: id, ip: ip, port: listener.Addr().(*net.TCPAddr).Port, checked: true}
}

func good(http.ResponseWriter, *http.Request) {}

func fails(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }

// hangUp closes the connection without a byte; reset sends an RST.
func hangUp(w http.ResponseWriter, _ *http.Request) { cut(w, -1) }
func reset(w http.ResponseWriter, _ *http.Request)  { cut(w, 0) }

func cut(w http.ResponseWriter, linger int) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	conn.(*net.TCPConn).SetLinger(linger)
	conn.Close()
}

// TestRealHAProxyBlamesTheRightServer: every way to fail behind a good health
// check is seen on the row of the container that failed, and on no other.
func TestRealHAProxyBlamesTheRightServer(t *testing.T) {
	refuses := behave(t, "refuses", "127.0.0.15", good)
	refuses.checked, refuses.port = false, freePort(t)
	h := newHAProxy(t,
		behave(t, "good", "127.0.0.11", good), behave(t, "fails", "127.0.0.12", fails),
		behave(t, "hangs up", "127.0.0.13", hangUp), behave(t, "resets", "127.0.0.14", reset), refuses)
	r := newReaderOf(t, h.spec("secret"))
	h.await(r, "all servers to be up", h.allUp)
	failed := h.send(60)
	lb := look(t, r, "k", h.containers()...)
	if lb.Version == "" || lb.Version == "unknown" {
		t.Errorf("version = %q, want that of the column layout", lb.Version)
	}
	var requests, failures int64
	for _, id := range []string{"good", "fails", "hangs up", "resets", "refuses"} {
		d := serverOf(t, lb, id).Delta
		requests, failures = requests+d.Requests, failures+d.Failures
		switch id {
		case "good":
			if d.Requests == 0 || d.Failures != 0 {
				t.Errorf("%s = %+v, want requests and no failure", id, d)
			}
		case "refuses":
			if d.Requests != 0 || d.Retries == 0 {
				t.Errorf("%s = %+v, want retries only: the requests went elsewhere", id, d)
			}
		default:
			if d.Requests == 0 || d.Failures != d.Requests {
				t.Errorf("%s = %+v, want failures only", id, d)
			}
		}
	}
	// HAProxy 2.6 counts a reset connection twice in eresp.
	extra := requests - 60
	if half := serverOf(t, lb, "resets").Delta.Requests / 2; extra != 0 && extra != half {
		t.Errorf("counted %d requests, want 60, or %d more", requests, half)
	}
	if failures-extra != int64(failed) {
		t.Errorf("counted %d failed, %d of them twice; clients saw %d", failures, extra, failed)
	}
	if s := serverOf(t, lb, "tcp"); !s.Uncounted {
		t.Errorf("server of the tcp proxy = %+v, want uncounted", s)
	}
}

// TestRealHAProxyReload: nothing that is counted after a reload is lost, doubled or
// negative, and the interval is not covered.
func TestRealHAProxyReload(t *testing.T) {
	old := behave(t, "old", "127.0.0.11", good)
	h := newHAProxy(t, old)
	r := newReaderOf(t, h.spec("secret"))
	h.await(r, "the server to be up", h.allUp)
	h.send(50)
	wantDelta(t, look(t, r, "k", h.containers()...), "old", 50, 0)

	h.reload(old, behave(t, "new", "127.0.0.12", fails))
	var seen observe.Counts
	isReloaded := false
	count := func(lb observe.LoadBalancer) {
		isReloaded = isReloaded || lb.Reloaded
		for _, s := range lb.Servers {
			if s.Delta.Requests < 0 || s.Delta.Failures < 0 || s.Delta.Retries < 0 {
				t.Errorf("delta of %s = %+v", s.Container, s.Delta)
			}
			addCounts(&seen, s.Delta)
		}
	}
	h.await(r, "both servers to be up", func(lb observe.LoadBalancer) bool {
		count(lb)
		return h.allUp(lb)
	})
	failed := h.send(30)
	lb := look(t, r, "k", h.containers()...)
	count(lb)
	if !isReloaded {
		t.Error("no look was Reloaded")
	}
	if seen.Requests != 30 || seen.Failures != int64(failed) || failed == 0 {
		t.Errorf("counted %+v since the reload; clients saw 30 and %d failures", seen, failed)
	}
	if d := serverOf(t, lb, "old").Delta; d.Failures != 0 {
		t.Errorf("old = %+v, want no failure", d)
	}
}

// TestRealHAProxyUnderLoadAcrossReloads: a reload that falls between two looks
// while requests run never counts more than clients sent.
func TestRealHAProxyUnderLoadAcrossReloads(t *testing.T) {
	a, b := behave(t, "a", "127.0.0.11", good), behave(t, "b", "127.0.0.12", good)
	h := newHAProxy(t, a)
	r := newReaderOf(t, h.spec("secret"))
	h.await(r, "the server to be up", h.allUp)
	sets := [][]*backend{{a, b}, {b}, {a, b}}
	var counted, sent int64
	for _, set := range sets {
		h.send(7)
		h.reload(set...)
		h.await(r, "the servers of the set to be up", func(lb observe.LoadBalancer) bool {
			for _, s := range lb.Servers {
				counted += s.Delta.Requests
			}
			return h.allUp(lb)
		})
		h.send(20)
		for _, s := range look(t, r, "k", h.containers()...).Servers {
			counted += s.Delta.Requests
		}
		sent += 20
	}
	// The seven before each reload ended with the process that counted them.
	if counted != sent {
		t.Errorf("counted %d requests, want %d", counted, sent)
	}
}

func TestRealHAProxyRefusesAndStops(t *testing.T) {
	h := newHAProxy(t, behave(t, "a", "127.0.0.11", good))
	r := newReaderOf(t, h.spec("secret"))
	h.await(r, "the server to be up", h.allUp)
	wantProblem(t, newReaderOf(t, h.spec("wrong")).Read(t.Context(), "k", "lb", nil), observe.CauseAuth, "401")
	h.process.Process.Kill()
	h.process.Wait()
	wantProblem(t, r.Read(t.Context(), "k", "lb", nil), observe.CauseUnreachable, "refused")
}
