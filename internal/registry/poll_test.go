package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/distribution/manifest/schema2"
	"github.com/opencontainers/go-digest"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// pipes is a listener without a network, for synctest bubbles.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// clockwork is a registry of one image under every name, that remembers when it
// was asked.
type clockwork struct {
	mu    sync.Mutex
	asked map[string][]time.Time
	// content changes the digest.
	content string
}

func (c *clockwork) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	config := `{"created":"` + c.content + `"}`
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"size":2,"digest":%q},"layers":[]}`,
		schema2.MediaTypeManifest, schema2.MediaTypeImageConfig, digest.FromString(config))
	d := digest.FromString(manifest).String()
	switch {
	case strings.Contains(r.URL.Path, "/blobs/"):
		_, _ = w.Write([]byte(config))
		return
	case r.Method == http.MethodHead:
		c.asked[r.URL.Path] = append(c.asked[r.URL.Path], time.Now())
		w.Header().Set("Docker-Content-Digest", d)
		if r.Header.Get("If-None-Match") == `"`+d+`"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.Header().Set("Content-Type", schema2.MediaTypeManifest)
	if r.Method == http.MethodGet {
		_, _ = w.Write([]byte(manifest))
	}
}

// polling runs a watcher over n references within a bubble, until the bubble ends.
func polling(t *testing.T, n int) (*Watcher, *clockwork, []Ref) {
	p, c := newPipes(), &clockwork{asked: map[string][]time.Time{}, content: "1"}
	server := &http.Server{Handler: c}
	go func() { _ = server.Serve(p) }()
	w := New(Options{Dial: p.dial})
	var refs []Ref
	for i := range n {
		refs = append(refs, Ref{Image: fmt.Sprintf("r.example/gf/repo-%03d:latest", i)})
	}
	w.Update([]desired.Registry{{Host: "r.example", PlainHTTP: true}}, refs)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
		_ = server.Close()
	})
	return w, c, refs
}

// TestPollIsSpreadAndSteady watches 100 references for ten minutes: each is asked
// once per interval, between 0.6 and 1.4 intervals after the last time, and no
// twentieth of an interval gets more than a fifth of all.
func TestPollIsSpreadAndSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, _ := polling(t, 100)
		begun := time.Now()
		time.Sleep(10 * time.Minute)
		c.mu.Lock()
		defer c.mu.Unlock()
		buckets := map[time.Duration]int{}
		for path, asked := range c.asked {
			if len(asked) < 19 || len(asked) > 22 {
				t.Errorf("%s was asked %d times in 10m, want about 20", path, len(asked))
			}
			for i, at := range asked {
				if i > 1 {
					buckets[at.Sub(begun)/(1500*time.Millisecond)]++
					if gap := at.Sub(asked[i-1]); gap < 18*time.Second || gap > 42*time.Second {
						t.Errorf("%s was asked again after %v, want 30s give or take", path, gap)
					}
				}
			}
		}
		for at, n := range buckets {
			if n > 20 {
				t.Errorf("%d requests in one 1.5s at %v, want them spread", n, at*1500*time.Millisecond)
			}
		}
		if first := len(c.asked); first != 100 {
			t.Errorf("%d references asked for, want 100", first)
		}
	})
}

func TestWakeAsksNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, refs := polling(t, 3)
		time.Sleep(time.Minute)
		c.mu.Lock()
		c.content = "2"
		c.mu.Unlock()
		before := w.Image(t.Context(), refs[1].Image, "")
		w.Wake(refs[1].Image)
		synctest.Wait()
		after := w.Image(t.Context(), refs[1].Image, "")
		if after.Digest == before.Digest || after.Created != "2" {
			t.Errorf("Image after Wake = %+v, want another digest than %q", after, before.Digest)
		}
		w.Wake("r.example/not/followed:latest")
		w.Wake("not a reference")
	})
}

func TestUpdateWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, refs := polling(t, 3)
		time.Sleep(time.Second)
		w.Update([]desired.Registry{{Host: "r.example", PlainHTTP: true}}, append(refs[:1:1], Ref{Image: "r.example/gf/new:v1"}))
		time.Sleep(time.Second)
		if i := w.Image(t.Context(), "r.example/gf/new:v1", ""); i.Problem != nil {
			t.Errorf("Image of a new reference = %+v, want it read", i)
		}
		if i := w.Image(t.Context(), refs[2].Image, ""); i.Problem == nil || i.Problem.Cause != observe.CausePending {
			t.Errorf("Image of a dropped reference = %+v, want pending", i)
		}
		// Another way to ask keeps what is known.
		known := w.Image(t.Context(), refs[0].Image, "")
		w.Update([]desired.Registry{{Host: "r.example", PlainHTTP: true, Poll: desired.Seconds(60)}}, refs[:1])
		if i := w.Image(t.Context(), refs[0].Image, ""); i.Digest != known.Digest || i.SeenAt != known.SeenAt {
			t.Errorf("Image after a new configuration = %+v, want %+v kept", i, known)
		}
		before := len(c.times("/v2/gf/repo-000/manifests/latest"))
		time.Sleep(10 * time.Minute)
		if n := len(c.times("/v2/gf/repo-000/manifests/latest")) - before; n < 9 || n > 12 {
			t.Errorf("asked %d times in 10m at a poll of 60s, want about 10", n)
		}
	})
}

func (c *clockwork) times(path string) []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[path]
}
