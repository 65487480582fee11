package probe

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// fakeRow is a server of a fakeHAProxy.
type fakeRow struct {
	proxy, name, status, check, addr, mode string
	weight                                 int
	ok, notFound, failed, eresp, wredis    int
	lastchg                                int
}

// fakeHAProxy serves a statistics page that a test may change between polls.
type fakeHAProxy struct {
	mu      sync.Mutex
	age     int
	pid     int
	rows    []fakeRow
	status  int
	body    string
	polls   atomic.Int64
	entered chan struct{}
	release chan struct{}
	server  *httptest.Server
}

func newFakeHAProxy(t *testing.T, rows ...fakeRow) *fakeHAProxy {
	f := &fakeHAProxy{age: 100, pid: 1, rows: rows}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func (f *fakeHAProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.polls.Add(1)
	if f.entered != nil {
		f.entered <- struct{}{}
		<-f.release
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	user, password, _ := r.BasicAuth()
	switch {
	case user != "admin" || password != "secret":
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.RawQuery != "stats;csv":
		w.WriteHeader(http.StatusNotFound)
	case f.status != 0:
		w.WriteHeader(f.status)
	case f.body != "":
		fmt.Fprint(w, f.body)
	default:
		fmt.Fprint(w, f.page())
	}
}

func (f *fakeHAProxy) page() string {
	var b strings.Builder
	b.WriteString(tinyHeader)
	if f.age >= 0 {
		fmt.Fprintf(&b, "default,BACKEND,UP,0,,1,%d,%d,0,0,0,0,0,0,0,0,0,0,,0,0,,http,,\n", f.pid, f.age)
	}
	for _, r := range f.rows {
		mode, responses := r.mode, fmt.Sprintf("0,%d,0,%d,%d,0", r.ok, r.notFound, r.failed)
		if mode == "" {
			mode = "http"
		}
		if mode == "tcp" {
			responses = ",,,,,"
		}
		fmt.Fprintf(&b, "%s,%s,%s,%d,%s,2,%d,%d,%s,0,%d,0,%d,0,0,5,%s,%s,,\n",
			r.proxy, r.name, r.status, r.weight, r.check, f.pid, r.lastchg, responses, r.eresp, r.wredis, r.addr, mode)
	}
	return b.String()
}

// set changes the page.
func (f *fakeHAProxy) set(change func(*fakeHAProxy)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// serving is a row of Rancher's making for a container that serves.
func serving(ip string, ok, failed int) fakeRow {
	return fakeRow{proxy: "80_", name: rancherName(ip), status: "UP", check: "L7OK", weight: 1, ok: ok, failed: failed}
}

func rancherName(ip string) string {
	sum := sha1.Sum([]byte(ip))
	return hex.EncodeToString(sum[:])
}

func running(id, ip string) observe.Container {
	return observe.Container{ID: id, IP: ip, State: "running"}
}

func secret() (string, error) { return "secret", nil }

// newTestReader makes a Reader of one load balancer "lb" that never shares a page
// between looks.
func newTestReader(t *testing.T, haproxies ...*fakeHAProxy) *Reader {
	t.Helper()
	spec := LoadBalancerSpec{Name: "lb", Username: "admin", Password: secret}
	for _, f := range haproxies {
		spec.Stats = append(spec.Stats, f.server.URL+"/admin?stats")
	}
	return newReaderOf(t, spec)
}

func newReaderOf(t *testing.T, spec LoadBalancerSpec) *Reader {
	t.Helper()
	r := NewReader(ReaderOptions{Fresh: time.Nanosecond})
	if err := r.Update([]LoadBalancerSpec{spec}); err != nil {
		t.Fatal(err)
	}
	return r
}

// look reads and fails the test on a problem.
func look(t *testing.T, r *Reader, key string, containers ...observe.Container) observe.LoadBalancer {
	t.Helper()
	lb := r.Read(t.Context(), key, "lb", containers)
	if lb.Problem != nil {
		t.Fatalf("Read: %v", lb.Problem)
	}
	return lb
}

// serverOf finds the row of a container.
func serverOf(t *testing.T, lb observe.LoadBalancer, container string) observe.Server {
	t.Helper()
	for _, s := range lb.Servers {
		if s.Container == container {
			return s
		}
	}
	t.Fatalf("no server of container %q in %+v", container, lb.Servers)
	return observe.Server{}
}

func wantDelta(t *testing.T, lb observe.LoadBalancer, container string, requests, failures int64) {
	t.Helper()
	d := serverOf(t, lb, container).Delta
	if d.Requests != requests || d.Failures != failures {
		t.Errorf("delta of %q = %d requests, %d failed, want %d, %d", container, d.Requests, d.Failures, requests, failures)
	}
}

func wantProblem(t *testing.T, lb observe.LoadBalancer, cause observe.Cause, text string) {
	t.Helper()
	if lb.Problem == nil || lb.Problem.Cause != cause || !strings.Contains(lb.Problem.Message, text) {
		t.Errorf("problem = %v, want cause %s and %q", lb.Problem, cause, text)
	}
}

func TestDifferencesBetweenLooks(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 100, 2))
	r := newTestReader(t, f)
	lb := look(t, r, "k", running("1i1", "10.0.0.1"))
	if !lb.First || lb.Reloaded || lb.Partial {
		t.Errorf("first look = %+v, want First only", lb)
	}
	wantDelta(t, lb, "1i1", 0, 0)
	f.set(func(f *fakeHAProxy) { f.rows[0].ok, f.rows[0].failed, f.rows[0].eresp = 110, 3, 1 })
	lb = look(t, r, "k", running("1i1", "10.0.0.1"))
	if lb.First || lb.Reloaded || lb.Partial {
		t.Errorf("second look = %+v, want a plain one", lb)
	}
	wantDelta(t, lb, "1i1", 12, 2)
	s := serverOf(t, lb, "1i1")
	if s.Total.Requests != 114 || s.Status != observe.ServerUp || s.Proxy != "80_" || s.Name != rancherName("10.0.0.1") || s.Weight != 1 {
		t.Errorf("server = %+v", s)
	}
}

func TestTwoCallersCountApart(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 0, 0))
	r := newTestReader(t, f)
	c := running("1i1", "10.0.0.1")
	look(t, r, "a", c)
	f.set(func(f *fakeHAProxy) { f.rows[0].ok = 5 })
	look(t, r, "b", c)
	f.set(func(f *fakeHAProxy) { f.rows[0].ok = 7 })
	wantDelta(t, look(t, r, "a", c), "1i1", 7, 0)
	wantDelta(t, look(t, r, "b", c), "1i1", 2, 0)
	r.Forget("a")
	if lb := look(t, r, "a", c); !lb.First {
		t.Errorf("look after Forget is not First")
	}
}

func TestH1Unreachable(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 1, 0))
	r := newTestReader(t, f)
	f.set(func(f *fakeHAProxy) { f.status = 503 })
	wantProblem(t, r.Read(t.Context(), "k", "lb", nil), observe.CauseUnreachable, "answered 503")
	f.server.Close()
	wantProblem(t, r.Read(t.Context(), "k", "lb", nil), observe.CauseUnreachable, "refused")
}

func TestH1NoAnswerInTime(t *testing.T) {
	f := newFakeHAProxy(t)
	f.entered, f.release = make(chan struct{}, 1), make(chan struct{})
	defer close(f.release)
	r := NewReader(ReaderOptions{Timeout: 50 * time.Millisecond})
	if err := r.Update([]LoadBalancerSpec{{Name: "lb", Stats: []string{f.server.URL}}}); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, r.Read(t.Context(), "k", "lb", nil), observe.CauseUnreachable, "no answer within 50ms")
}

func TestH2Refused(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 1, 0))
	spec := LoadBalancerSpec{Name: "lb", Stats: []string{f.server.URL + "/admin?stats"}, Username: "admin"}
	for name, c := range map[string]struct {
		password func() (string, error)
		text     string
	}{
		"none":       {nil, "answered 401"},
		"wrong":      {func() (string, error) { return "hunter2", nil }, "answered 401"},
		"unreadable": {func() (string, error) { return "", errors.New("CHAT_STATS_PASSWORD is not set") }, "CHAT_STATS_PASSWORD"},
	} {
		spec.Password = c.password
		lb := newReaderOf(t, spec).Read(t.Context(), "k", "lb", nil)
		wantProblem(t, lb, observe.CauseAuth, c.text)
		if strings.Contains(lb.Problem.Message, "hunter2") {
			t.Errorf("%s: the password is in %q", name, lb.Problem.Message)
		}
	}
	f.set(func(f *fakeHAProxy) { f.status = 403 })
	wantProblem(t, newTestReader(t, f).Read(t.Context(), "k", "lb", nil), observe.CauseAuth, "answered 403")
}

func TestH3PageIsNotStatistics(t *testing.T) {
	f := newFakeHAProxy(t)
	r := newTestReader(t, f)
	for body, text := range map[string]string{
		"<html></html>":                         "web page",
		" ":                                     "empty",
		"hello":                                 "no header",
		tinyPage + "web,cut":                    "too few cells",
		tinyPage + tinyPage[len(tinyHeader):]:   "comes twice",
		strings.Replace(tinyPage, "90", "x", 1): "not a count",
	} {
		f.set(func(f *fakeHAProxy) { f.body = body })
		wantProblem(t, r.Read(t.Context(), "k", "lb", nil), observe.CauseInvalid, text)
	}
	f.set(func(f *fakeHAProxy) { f.body = ""; f.status = 404 })
	wantProblem(t, r.Read(t.Context(), "k", "lb", nil), observe.CauseNotFound, "404")
}

// TestRejectedPageLosesNothing: a bad page in between leaves the sums as they
// were.
func TestRejectedPageLosesNothing(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 10, 0))
	r := newTestReader(t, f)
	c := running("1i1", "10.0.0.1")
	look(t, r, "k", c)
	f.set(func(f *fakeHAProxy) { f.body = tinyPage + tinyPage[len(tinyHeader):] })
	wantProblem(t, r.Read(t.Context(), "k", "lb", nil), observe.CauseInvalid, "twice")
	f.set(func(f *fakeHAProxy) { f.body = ""; f.rows[0].ok = 14 })
	wantDelta(t, look(t, r, "k", c), "1i1", 4, 0)
}

func TestH4MissingColumnIsUnusable(t *testing.T) {
	f := newFakeHAProxy(t)
	f.body = strings.Replace(tinyPage, "eresp", "xresp", 1)
	wantProblem(t, newTestReader(t, f).Read(t.Context(), "k", "lb", nil), observe.CauseUnusable, "column eresp is missing")
}

func TestHugePageIsRefused(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 1, 0))
	r := NewReader(ReaderOptions{MaxPage: 200})
	if err := r.Update([]LoadBalancerSpec{{Name: "lb", Stats: []string{f.server.URL + "/admin?stats"}, Username: "admin", Password: secret}}); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, r.Read(t.Context(), "k", "lb", nil), observe.CauseInvalid, "larger than 200 bytes")
}

func TestRedirectsStayOnTheHost(t *testing.T) {
	var stolen atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { stolen.Store(true) }))
	defer other.Close()
	first := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer first.Close()
	r := newReaderOf(t, LoadBalancerSpec{Name: "lb", Stats: []string{first.URL}, Username: "admin", Password: secret})
	wantProblem(t, r.Read(t.Context(), "k", "lb", nil), observe.CauseInvalid, "another host")
	if stolen.Load() {
		t.Error("the redirect was followed")
	}
	loop := httptest.NewServer(http.RedirectHandler("/again", http.StatusFound))
	defer loop.Close()
	r = newReaderOf(t, LoadBalancerSpec{Name: "lb", Stats: []string{loop.URL}})
	wantProblem(t, r.Read(t.Context(), "k", "lb", nil), observe.CauseUnreachable, "too many redirects")
}

// reload starts the page's process again with the given counters.
func (f *fakeHAProxy) reload(rows ...fakeRow) {
	f.set(func(f *fakeHAProxy) { f.age, f.rows = 0, rows })
}

func TestH6ReloadOpensAnEpoch(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 1000, 10))
	r := newTestReader(t, f)
	old, new := running("1i1", "10.0.0.1"), running("1i2", "10.0.0.2")
	look(t, r, "k", old)
	f.reload(serving("10.0.0.1", 3, 0), serving("10.0.0.2", 4, 2))
	lb := look(t, r, "k", old, new)
	if !lb.Reloaded || lb.First {
		t.Errorf("Reloaded = %v, First = %v, want true, false", lb.Reloaded, lb.First)
	}
	wantDelta(t, lb, "1i1", 3, 0)
	wantDelta(t, lb, "1i2", 6, 2)
	if got := serverOf(t, lb, "1i1").Total.Requests; got != 3 {
		t.Errorf("total since the reload = %d, want 3", got)
	}
	f.set(func(f *fakeHAProxy) { f.rows[1].failed = 5 })
	lb = look(t, r, "k", old, new)
	if lb.Reloaded {
		t.Error("Reloaded again without a reload")
	}
	wantDelta(t, lb, "1i2", 3, 3)
}

func TestH7ReloadWithHigherCounters(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 5, 1))
	r := newTestReader(t, f)
	c := running("1i1", "10.0.0.1")
	look(t, r, "k", c)
	f.reload(serving("10.0.0.1", 9, 2))
	lb := look(t, r, "k", c)
	if !lb.Reloaded {
		t.Error("not Reloaded, although the process is younger")
	}
	wantDelta(t, lb, "1i1", 11, 2)
}

// TestReloadSeenByAnotherCaller: a page that only another caller read still
// counts.
func TestReloadSeenByAnotherCaller(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 100, 0))
	r := newTestReader(t, f)
	c := running("1i1", "10.0.0.1")
	look(t, r, "a", c)
	look(t, r, "b", c)
	f.set(func(f *fakeHAProxy) { f.rows[0].ok = 120 })
	look(t, r, "b", c)
	f.reload(serving("10.0.0.1", 1, 1))
	look(t, r, "b", c)
	lb := look(t, r, "a", c)
	wantDelta(t, lb, "1i1", 22, 1)
	if !lb.Reloaded {
		t.Error("a's interval holds a reload and is not Reloaded")
	}
}

// TestClearedCounters: counters fell in a process as old as before; what they show
// may have been counted before the last look.
func TestClearedCounters(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 1000, 10))
	r := newTestReader(t, f)
	c := running("1i1", "10.0.0.1")
	look(t, r, "k", c)
	f.set(func(f *fakeHAProxy) { f.rows[0].ok, f.rows[0].failed = 500, 9 })
	lb := look(t, r, "k", c)
	if !lb.Reloaded {
		t.Error("the interval is taken for covered")
	}
	wantDelta(t, lb, "1i1", 0, 0)
	f.set(func(f *fakeHAProxy) { f.rows[0].ok = 501 })
	wantDelta(t, look(t, r, "k", c), "1i1", 1, 0)
}

func TestH8SeveralProcessesAreUnusable(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 10, 0))
	r := newTestReader(t, f)
	c := running("1i1", "10.0.0.1")
	look(t, r, "k", c)
	f.set(func(f *fakeHAProxy) { f.pid, f.rows[0].ok = 2, 900 })
	wantProblem(t, r.Read(t.Context(), "k", "lb", []observe.Container{c}), observe.CauseUnusable, "column pid changed from 1 to 2")
	for range trustAfter + 5 {
		wantProblem(t, r.Read(t.Context(), "k", "lb", []observe.Container{c}), observe.CauseUnusable, "nbproc")
	}
	f.set(func(f *fakeHAProxy) { f.pid, f.rows[0].ok = 1, 30 })
	for range trustAfter {
		wantProblem(t, r.Read(t.Context(), "k", "lb", []observe.Container{c}), observe.CauseUnusable, "nbproc")
	}
	lb := look(t, r, "k", c)
	wantDelta(t, lb, "1i1", 0, 0)
	if !lb.Reloaded {
		t.Error("the interval is taken for covered")
	}
}

// TestH8SecondProcessAlone: whoever numbers itself 2 has a sibling that counts what
// is not on its page.
func TestH8SecondProcessAlone(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 10, 0))
	f.pid = 2
	wantProblem(t, newTestReader(t, f).Read(t.Context(), "k", "lb", nil), observe.CauseUnusable, "column pid is 2")
}

func TestH8SamplesOfTwoProcesses(t *testing.T) {
	in := &instance{name: "lb"}
	now := time.Now()
	if p := in.enter(sample(t, "21-nbproc2-v1.8-process1"), now, now); p != nil {
		t.Fatal(p)
	}
	p := in.enter(sample(t, "21-nbproc2-v1.8-process2"), now, now)
	if p == nil || p.Cause != observe.CauseUnusable {
		t.Errorf("problem = %v, want %s", p, observe.CauseUnusable)
	}
}

// TestTwoLoadBalancersBehindOneAddress: a name that resolves to two instances
// looks like a reload and then like a process that grew old at once.
func TestTwoLoadBalancersBehindOneAddress(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 1000, 0))
	r := newTestReader(t, f)
	c := running("1i1", "10.0.0.1")
	look(t, r, "k", c)
	f.set(func(f *fakeHAProxy) { f.age, f.rows[0].ok, f.rows[0].failed = 50, 700, 30 })
	wantDelta(t, look(t, r, "k", c), "1i1", 0, 0)
	f.set(func(f *fakeHAProxy) { f.age, f.rows[0].ok, f.rows[0].failed = 101, 1001, 0 })
	wantProblem(t, r.Read(t.Context(), "k", "lb", []observe.Container{c}), observe.CauseUnusable, "several load balancers")
}

func TestH9OneOfTwoInstancesIsDown(t *testing.T) {
	up, down := newFakeHAProxy(t, serving("10.0.0.1", 1, 0)), newFakeHAProxy(t, serving("10.0.0.1", 1, 0))
	r := newTestReader(t, up, down)
	c := running("1i1", "10.0.0.1")
	if lb := look(t, r, "k", c); !lb.First || lb.Partial || len(lb.Servers) != 2 {
		t.Errorf("first look = %+v, want both rows", lb)
	}
	up.set(func(f *fakeHAProxy) { f.rows[0].failed = 2 })
	down.set(func(f *fakeHAProxy) { f.rows[0].ok = 4 })
	lb := look(t, r, "k", c)
	if a, b := lb.Servers[0].Delta, lb.Servers[1].Delta; a.Failures != 2 || b.Requests != 3 {
		t.Errorf("deltas = %+v, %+v, want 2 failed, 3 requests", a, b)
	}
	down.set(func(f *fakeHAProxy) { f.status = 503 })
	up.set(func(f *fakeHAProxy) { f.rows[0].failed = 3 })
	lb = look(t, r, "k", c)
	wantDelta(t, lb, "1i1", 1, 1)
	if !lb.Partial || len(lb.Missing) != 1 || lb.Missing[0].Cause != observe.CauseUnreachable {
		t.Errorf("Partial = %v, Missing = %v, want one unreachable", lb.Partial, lb.Missing)
	}
	up.set(func(f *fakeHAProxy) { f.status = 503 })
	wantProblem(t, r.Read(t.Context(), "k", "lb", []observe.Container{c}), observe.CauseUnreachable, "503")
}

func TestH10NewServerIsMissing(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 1, 0))
	r := newTestReader(t, f)
	lb := look(t, r, "k", running("1i1", "10.0.0.1"), running("1i2", "10.0.0.2"))
	if len(lb.Servers) != 1 || lb.Servers[0].Container != "1i1" {
		t.Errorf("servers = %+v, want 1i1 only", lb.Servers)
	}
}

func TestH11UnknownServerIsListedWithoutContainer(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 1, 0), serving("10.9.9.9", 1, 0))
	r := newTestReader(t, f)
	c := running("1i1", "10.0.0.1")
	look(t, r, "k", c)
	f.set(func(f *fakeHAProxy) { f.rows[1].ok = 31 })
	wantDelta(t, look(t, r, "k", c), "", 30, 0)
}

func TestH12IPUsedByAnotherContainer(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 100, 0))
	r := newTestReader(t, f)
	look(t, r, "k", running("1i1", "10.0.0.1"))
	f.set(func(f *fakeHAProxy) { f.rows[0].failed = 40 })
	lb := look(t, r, "k", running("1i2", "10.0.0.1"))
	wantDelta(t, lb, "1i2", 0, 0)
	if got := serverOf(t, lb, "1i2").Total.Requests; got != 0 {
		t.Errorf("total = %d requests, want none of the container before", got)
	}
	f.set(func(f *fakeHAProxy) { f.rows[0].failed = 41 })
	lb = look(t, r, "k", running("1i2", "10.0.0.1"))
	wantDelta(t, lb, "1i2", 1, 1)
	if got := serverOf(t, lb, "1i2").Total.Failures; got != 1 {
		t.Errorf("total = %d failures, want 1", got)
	}
}

func TestH19OperatorTakesAServerOut(t *testing.T) {
	out := serving("10.0.0.1", 1, 0)
	out.status = "MAINT"
	f := newFakeHAProxy(t, out)
	lb := look(t, newTestReader(t, f), "k", running("1i1", "10.0.0.1"))
	if s := serverOf(t, lb, "1i1"); s.Status != observe.ServerOut || s.Text != "MAINT" {
		t.Errorf("server = %+v, want out", s)
	}
}
