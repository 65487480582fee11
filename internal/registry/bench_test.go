package registry

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/registry/registrytest"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// benchConcurrency is the concurrency of both the sweep and the bare loop.
const benchConcurrency = 8

// peer is the registry that a benchmark asks.
type peer struct {
	config desired.Registry
	refs   []Ref
	// client trusts the registry.
	client *http.Client
	// separate says that the registry runs in a process of its own, so that its
	// work is not counted as ours.
	separate bool
}

// BenchmarkSweep is one poll cycle with nothing changed, beside a bare loop of
// conditional HEADs at the same concurrency: wall-ratio and cpu-ratio are the
// sweep's share of the loop's, and requests/ref what a reference costs.
func BenchmarkSweep(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := startPeer(b, n)
			w := New(Options{})
			defer w.Update(nil, nil)
			w.Update([]desired.Registry{p.config}, p.refs)
			if stats := w.Sweep(b.Context()); stats.Failed > 0 {
				b.Fatalf("first Sweep() = %+v, want none failed", stats)
			}
			compareWithLoop(b, p, w)
		})
	}
}

// compareWithLoop takes turns, so that both see the same machine.
func compareWithLoop(b *testing.B, p *peer, w *Watcher) {
	etags := make([]string, len(p.refs))
	for i, r := range p.refs {
		etags[i] = `"` + w.Image(b.Context(), r.Image, "").Digest + `"`
	}
	bareLoop(b, p, etags)
	var ours, bare usage
	var requests int64
	b.ResetTimer()
	for i := range b.N {
		sweepOnce := func() {
			ours.add(func() {
				stats := w.Sweep(b.Context())
				if stats.Same != int64(len(p.refs)) {
					b.Fatalf("Sweep() = %+v, want all the same", stats)
				}
				requests += stats.Requests
			})
		}
		if i%2 == 0 {
			sweepOnce()
		}
		bare.add(func() { bareLoop(b, p, etags) })
		if i%2 == 1 {
			sweepOnce()
		}
	}
	b.StopTimer()
	b.ReportMetric(ours.wall.Seconds()/float64(b.N), "sweep-s")
	b.ReportMetric(ours.wall.Seconds()/bare.wall.Seconds(), "wall-ratio")
	b.ReportMetric(float64(requests)/float64(b.N*len(p.refs)), "requests/ref")
	if p.separate {
		b.ReportMetric(ours.cpu.Seconds()/bare.cpu.Seconds(), "cpu-ratio")
	}
}

// usage sums up wall time and the processor time of this process.
type usage struct{ wall, cpu time.Duration }

func (u *usage) add(work func()) {
	runtime.GC()
	begun, before := time.Now(), cpuTime()
	work()
	u.wall += time.Since(begun)
	u.cpu += cpuTime() - before
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// bareLoop is the least that could be done: one conditional HEAD each.
func bareLoop(b *testing.B, p *peer, etags []string) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range benchConcurrency {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(p.refs)); i = next.Add(1) - 1 {
				if err := bareHead(b.Context(), p, p.refs[i].Image, etags[i]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
}

func bareHead(ctx context.Context, p *peer, ref, etag string) error {
	n, err := parseName(ref)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "https://"+n.host+"/v2/"+n.repo+"/manifests/"+n.tag, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", accepted)
	req.Header.Set("If-None-Match", etag)
	response, err := p.client.Do(req)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNotModified {
		return fmt.Errorf("HEAD %s = %s, want 304", ref, response.Status)
	}
	return nil
}

// BenchmarkSweepTokens counts requests with bearer tokens and round trips of
// 50 ms, tokens fetched anew in each sweep: requests/ref counts them too.
func BenchmarkSweepTokens(b *testing.B) {
	const n = 1000
	r, err := registrytest.Start(registrytest.Options{Auth: registrytest.AuthToken, Wrap: delayed(50 * time.Millisecond)})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	config := desired.Registry{Host: r.Host(), PlainHTTP: true, Concurrency: 32}
	refs := pushAll(b, r, n, n)
	w := New(Options{})
	defer w.Update(nil, nil)
	w.Update([]desired.Registry{config}, refs)
	if stats := w.Sweep(b.Context()); stats.Failed > 0 {
		b.Fatalf("first Sweep() = %+v, want none failed", stats)
	}
	var requests int64
	for b.Loop() {
		expireTokens(w)
		stats := w.Sweep(b.Context())
		if stats.Same != n {
			b.Fatalf("Sweep() = %+v, want all the same", stats)
		}
		requests += stats.Requests
	}
	b.ReportMetric(float64(requests)/float64(b.N*n), "requests/ref")
}

// expireTokens makes every token due for renewal.
func expireTokens(w *Watcher) {
	for _, h := range w.hosts {
		for _, t := range h.client.auth.tokens {
			t.until = time.Now()
		}
	}
}

// delayed puts a delay before what a client asks; pushes are spared.
func delayed(d time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("User-Agent") == userAgent {
				select {
				case <-time.After(d):
				case <-r.Context().Done():
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

// BenchmarkIdleMemory is what 5,000 followed references hold.
func BenchmarkIdleMemory(b *testing.B) {
	const n = 5000
	r, err := registrytest.Start(registrytest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	refs := pushAll(b, r, n, 500)
	for b.Loop() {
		before := heapInUse()
		w := New(Options{})
		w.Update([]desired.Registry{{Host: r.Host(), PlainHTTP: true}}, refs)
		if stats := w.Sweep(b.Context()); stats.Failed > 0 {
			b.Fatalf("Sweep() = %+v, want none failed", stats)
		}
		b.ReportMetric(float64(heapInUse()-before)/n, "heap-B/ref")
		w.Update(nil, nil)
	}
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// pushAll pushes one image to some repositories under as many tags as make n
// references.
func pushAll(b *testing.B, r *registrytest.Registry, n, repositories int) []Ref {
	b.Helper()
	refs := make([]Ref, n)
	var wait sync.WaitGroup
	for worker := range benchConcurrency {
		wait.Go(func() {
			for i := worker; i < n; i += benchConcurrency {
				repo, tag := fmt.Sprintf("bench/img%05d", i%repositories), fmt.Sprintf("v%d", i/repositories)
				if _, err := r.PushImage(b.Context(), repo, tag, registrytest.ImageSpec{Content: repo}); err != nil {
					b.Error(err)
					return
				}
				refs[i] = Ref{Image: r.Ref(repo, tag)}
			}
		})
	}
	wait.Wait()
	return refs
}

// startPeer starts Debian's docker-registry over HTTPS and fills it. Where it is
// not installed, the embedded registry stands in, and the benchmark says so.
func startPeer(b *testing.B, n int) *peer {
	b.Helper()
	binary, err := exec.LookPath("docker-registry")
	if err != nil {
		b.Log("docker-registry is NOT INSTALLED: measured against the embedded registry, whose work is counted as ours; cpu-ratio is left out")
		return embeddedPeer(b, n)
	}
	// The embedded registry lends its certificate and fills the other one.
	proxy := new(atomic.Pointer[httputil.ReverseProxy])
	filler, err := registrytest.Start(registrytest.Options{Wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { proxy.Load().ServeHTTP(w, r) })
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer filler.Close()
	host, client, ca := runRegistry(b, binary)
	target := &url.URL{Scheme: "https", Host: host}
	proxy.Store(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: client.Transport,
	})
	refs := pushAll(b, filler, n, 500)
	for i := range refs {
		refs[i].Image = strings.Replace(refs[i].Image, filler.Host(), host, 1)
	}
	return &peer{config: desired.Registry{Host: host, CAFile: ca, Concurrency: benchConcurrency}, refs: refs, client: client, separate: true}
}

func embeddedPeer(b *testing.B, n int) *peer {
	r, err := registrytest.Start(registrytest.Options{TLS: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = r.Close() })
	ca := filepath.Join(b.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, r.CAPEM(), 0o600); err != nil {
		b.Fatal(err)
	}
	config := desired.Registry{Host: r.Host(), CAFile: ca, Concurrency: benchConcurrency}
	client := r.Client()
	client.Timeout = 0
	return &peer{config: config, refs: pushAll(b, r, n, 500), client: client}
}

// runRegistry runs docker-registry with a certificate of httptest's until the
// benchmark ends.
func runRegistry(b *testing.B, binary string) (host string, client *http.Client, ca string) {
	b.Helper()
	dir := b.TempDir()
	certificate, key, roots := writeCertificate(b, dir)
	host = freeAddress(b)
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {inmemory: {}, maintenance: {uploadpurging: {enabled: false}}}\n"+
		"http: {addr: %q, tls: {certificate: %q, key: %q}}\n", host, certificate, key)
	path := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	command := exec.Command(binary, "serve", path)
	command.Stdout, command.Stderr = io.Discard, io.Discard
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	client = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: benchConcurrency,
	}}
	awaitRegistry(b, client, host)
	return host, client, certificate
}

// freeAddress finds a port that is free now.
func freeAddress(b *testing.B) string {
	b.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	return strings.TrimPrefix(server.URL, "http://")
}

// awaitRegistry waits until the registry answers.
func awaitRegistry(b *testing.B, client *http.Client, host string) {
	b.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(15 * time.Second)
	for {
		select {
		case <-tick.C:
			response, err := client.Get("https://" + host + "/v2/")
			if err == nil {
				response.Body.Close()
				return
			}
		case <-deadline:
			b.Fatal("docker-registry did not answer within 15s")
		}
	}
}
