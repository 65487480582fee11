package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// containerOf makes a container of a test server, and a spec with its port.
func containerOf(t *testing.T, url string) (observe.Container, observe.ProbeSpec) {
	t.Helper()
	addr, err := netip.ParseAddrPort(strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return running("1i1", addr.Addr().String()), observe.ProbeSpec{Port: int(addr.Port()), Path: "/healthz", Timeout: 5 * time.Second}
}

func serve(t *testing.T, handler http.HandlerFunc) (observe.Container, observe.ProbeSpec) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return containerOf(t, server.URL)
}

// probeOnce takes the one sample of a container.
func probeOnce(t *testing.T, spec observe.ProbeSpec, c observe.Container) observe.Sample {
	t.Helper()
	probes := NewProber(ProberOptions{}).Probe(t.Context(), "k", spec, []observe.Container{c})
	if probes.Problem != nil || len(probes.Samples) != 1 {
		t.Fatalf("Probe = %+v, want one sample", probes)
	}
	return probes.Samples[0]
}

func TestProbeAsksTheContainerItself(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	c, spec := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RequestURI() != "/healthz?deep=1" || r.Host != "chat.example" || r.Header.Get("X-Probe") != "yes" || r.Method != http.MethodGet {
			t.Errorf("request = %s %s, host %s, headers %v", r.Method, r.URL, r.Host, r.Header)
		}
		w.WriteHeader(http.StatusTeapot)
	})
	spec.Path, spec.Headers = "/healthz?deep=1", map[string]string{"host": "chat.example", "X-Probe": "yes"}
	s := probeOnce(t, spec, c)
	if s.Container != "1i1" || s.Status != http.StatusTeapot || s.Error != "" || s.Latency <= 0 || s.At.IsZero() {
		t.Errorf("sample = %+v, want status 418", s)
	}
}

func TestH22RedirectIsAnAnswer(t *testing.T) {
	var asked atomic.Int64
	c, spec := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, "/healthz", http.StatusFound)
	})
	if s := probeOnce(t, spec, c); s.Status != http.StatusFound || asked.Load() != 1 {
		t.Errorf("sample = %+v after %d requests, want 302 after 1", s, asked.Load())
	}
}

func TestH22HugeBodyIsNotReadToItsEnd(t *testing.T) {
	var sent atomic.Int64
	c, spec := serve(t, func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 1<<20)
		for {
			n, err := w.Write(chunk)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	if s := probeOnce(t, spec, c); s.Status != http.StatusOK {
		t.Errorf("sample = %+v, want status 200", s)
	}
	if sent.Load() > 64<<20 {
		t.Errorf("%d bytes were sent", sent.Load())
	}
}

func TestH22SlowBodyIsAFailure(t *testing.T) {
	c, spec := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "a")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	spec.Timeout = 50 * time.Millisecond
	if s := probeOnce(t, spec, c); s.Status != 0 || s.Error != "timeout after 50ms" {
		t.Errorf("sample = %+v, want a time-out", s)
	}
}

func TestProbeFailures(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(net.Conn)
		want   string
	}{
		"closed without a byte": {func(net.Conn) {}, "connection closed without an answer"},
		"reset":                 {func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }, "reset"},
		"garbage":               {func(c net.Conn) { fmt.Fprint(c, "hello\r\n\r\n") }, "malformed HTTP"},
		"cut body":              {func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc") }, "status 200, then"},
		"endless header":        {func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20)) }, "header"},
	} {
		t.Run(name, func(t *testing.T) {
			s := probeOnce(t, probedServer(t, c.answer), running("1i1", "127.0.0.1"))
			if s.Status != 0 || !strings.Contains(s.Error, c.want) || len(s.Error) > maxError {
				t.Errorf("sample = %+v, want error %q", s, c.want)
			}
		})
	}
}

// probedServer answers each connection's request by hand.
func probedServer(t *testing.T, answer func(net.Conn)) observe.ProbeSpec {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 4096))
			answer(conn)
			conn.Close()
		}
	})
	t.Cleanup(func() { listener.Close(); all.Wait() })
	return observe.ProbeSpec{Port: listener.Addr().(*net.TCPAddr).Port, Timeout: 5 * time.Second}
}

func TestProbeRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, spec := containerOf(t, listener.Addr().String())
	listener.Close()
	if s := probeOnce(t, spec, c); !strings.Contains(s.Error, "connection refused") || strings.Contains(s.Error, "http://") {
		t.Errorf("sample = %+v, want a refused connection and no URL", s)
	}
}

func TestProbeIPv6(t *testing.T) {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("NOT TESTED: this machine has no IPv6 loopback")
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	defer server.Close()
	c, spec := containerOf(t, listener.Addr().String())
	if s := probeOnce(t, spec, c); s.Status != http.StatusNotFound {
		t.Errorf("sample = %+v, want 404", s)
	}
}

func TestWhoIsNotProbed(t *testing.T) {
	c, spec := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("was asked") })
	stopped, sidekick, noIP := c, c, c
	stopped.State, sidekick.LaunchName, noIP.IP = "stopped", "side", ""
	probes := NewProber(ProberOptions{}).Probe(t.Context(), "k", spec, []observe.Container{stopped, sidekick, noIP})
	if probes.Problem != nil || len(probes.Samples) != 0 {
		t.Errorf("Probe = %+v, want nothing", probes)
	}
}

func TestProbeThatCannotBeSent(t *testing.T) {
	for name, spec := range map[string]observe.ProbeSpec{
		"no port":      {},
		"port":         {Port: 65536},
		"path":         {Port: 80, Path: "/%zz"},
		"header name":  {Port: 80, Headers: map[string]string{"a b": "c"}},
		"header value": {Port: 80, Headers: map[string]string{"a": "b\r\nc: d"}},
	} {
		probes := NewProber(ProberOptions{}).Probe(t.Context(), "k", spec, []observe.Container{running("1i1", "127.0.0.1")})
		if probes.Problem == nil || probes.Problem.Cause != observe.CauseUnusable || len(probes.Samples) != 0 {
			t.Errorf("%s: Probe = %+v, want unusable", name, probes)
		}
	}
}

// TestCancelledProbeIsNoSample: what the caller cut short says nothing of the
// container.
func TestCancelledProbeIsNoSample(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, spec := serve(t, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	probes := NewProber(ProberOptions{}).Probe(ctx, "k", spec, []observe.Container{c})
	if len(probes.Samples) != 0 || probes.Problem == nil {
		t.Errorf("Probe = %+v, want a problem and no sample", probes)
	}
}

// roundTrip is a network that answers at once.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int) (*http.Response, error) {
	return &http.Response{StatusCode: status, Body: http.NoBody, Header: http.Header{}}, nil
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		p := NewProber(ProberOptions{Concurrency: 3, Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Millisecond)
			now.Add(-1)
			return answer(200)
		})})
		var containers []observe.Container
		for i := range 20 {
			containers = append(containers, running(fmt.Sprint(i), fmt.Sprintf("10.0.0.%d", i)))
		}
		probes := p.Probe(t.Context(), "k", observe.ProbeSpec{Port: 80}, containers)
		if len(probes.Samples) != 20 || most.Load() != 3 {
			t.Errorf("%d samples with %d at once, want 20 and 3", len(probes.Samples), most.Load())
		}
		for i, s := range probes.Samples {
			if s.Container != containers[i].ID {
				t.Errorf("sample %d is of %s, want %s", i, s.Container, containers[i].ID)
			}
		}
	})
}

// TestPacing: samples are taken when they are due, several in one look when looks
// are rare, and looks that are a little early count.
func TestPacing(t *testing.T) {
	for name, c := range map[string]struct {
		every time.Duration
		looks []time.Duration
		want  []int
	}{
		"every look":            {0, []time.Duration{1 * time.Second, 1 * time.Second}, []int{1, 1, 1}},
		"as often as looks":     {2 * time.Second, []time.Duration{1950 * time.Millisecond, 2050 * time.Millisecond, 2 * time.Second}, []int{1, 1, 1, 1}},
		"every second look":     {4 * time.Second, []time.Duration{2 * time.Second, 2 * time.Second, 2 * time.Second, 2 * time.Second}, []int{1, 0, 1, 0, 1}},
		"four times a look":     {500 * time.Millisecond, []time.Duration{2 * time.Second, 2 * time.Second}, []int{1, 4, 4}},
		"bounded after a pause": {time.Second, []time.Duration{time.Hour, time.Second}, []int{1, 10, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewProber(ProberOptions{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return answer(200) })})
				for i, want := range c.want {
					if i > 0 {
						time.Sleep(c.looks[i-1])
					}
					probes := p.Probe(t.Context(), "k", observe.ProbeSpec{Port: 80, Every: c.every}, []observe.Container{running("1i1", "10.0.0.1")})
					if got := len(probes.Samples); got != want {
						t.Errorf("look %d took %d samples, want %d", i, got, want)
					}
				}
			})
		})
	}
}

func TestProberForgets(t *testing.T) {
	p := NewProber(ProberOptions{MaxKeys: 3, Transport: roundTrip(func(*http.Request) (*http.Response, error) { return answer(200) })})
	spec, c := observe.ProbeSpec{Port: 80, Every: time.Hour}, []observe.Container{running("1i1", "10.0.0.1")}
	for i := range 10 {
		p.Probe(t.Context(), fmt.Sprint(i), spec, c)
	}
	if len(p.pacers) != 3 {
		t.Errorf("keys = %d, want 3", len(p.pacers))
	}
	if got := p.Probe(t.Context(), "9", spec, c).Samples; len(got) != 0 {
		t.Errorf("samples = %v, want none yet", got)
	}
	p.Forget("9")
	if got := p.Probe(t.Context(), "9", spec, c).Samples; len(got) != 1 {
		t.Errorf("samples after Forget = %v, want one", got)
	}
	p.Probe(t.Context(), "9", spec, nil)
	if got := len(p.pacers["9"].next); got != 0 {
		t.Errorf("containers remembered = %d, want none", got)
	}
}

func FuzzPlainAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	f.Add([]byte("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dial := func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				defer server.Close()
				go io.Copy(io.Discard, server)
				server.Write(data)
			}()
			return client, nil
		}
		p := NewProber(ProberOptions{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeaderBytes}})
		probes := p.Probe(t.Context(), "k", observe.ProbeSpec{Port: 80, Timeout: time.Second}, []observe.Container{running("1i1", "10.0.0.1")})
		if len(probes.Samples) != 1 {
			t.Fatalf("Probe = %+v, want one sample", probes)
		}
		if s := probes.Samples[0]; (s.Status == 0) != (s.Error != "") || len(s.Error) > maxError {
			t.Errorf("sample = %+v, want a status or an error", s)
		}
	})
}
