package registry

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/registry/registrytest"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// faults stands before a registry: it counts requests and answers some itself.
type faults struct {
	mu sync.Mutex
	// answer, when not nil, answers a request and says that it did.
	answer func(w http.ResponseWriter, r *http.Request) bool
	// log holds "METHOD path" of every request.
	log  []string
	next http.Handler
}

func (f *faults) wrap(next http.Handler) http.Handler {
	f.next = next
	return f
}

func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.log = append(f.log, r.Method+" "+r.URL.Path)
	answer := f.answer
	f.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	f.next.ServeHTTP(w, r)
}

// set replaces the answer; nil lets everything through.
func (f *faults) set(answer func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// status answers manifest requests with a status and nothing else.
func status(code int, header ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		return true
	}
}

// count is how many requests contained the text, and forgets none.
func (f *faults) count(text string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, line := range f.log {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (f *faults) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = nil
}

// world is a registry with faults before it and a watcher that follows one tag.
type world struct {
	*testing.T
	*faults
	registry *registrytest.Registry
	config   desired.Registry
	watcher  *Watcher
	ref      string
	changes  chan string
}

const repo, tag = "clickeggs/parrot-rest", "latest"

// newWorld starts a registry and pushes one image.
func newWorld(t *testing.T, options registrytest.Options) *world {
	t.Helper()
	w := &world{T: t, faults: &faults{}, changes: make(chan string, 1000)}
	options.Wrap = w.wrap
	var err error
	if w.registry, err = registrytest.Start(options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.registry.Close() })
	w.ref = w.registry.Ref(repo, tag)
	w.config = desired.Registry{Host: w.registry.Host(), PlainHTTP: !options.TLS}
	if options.TLS {
		w.config.CAFile = filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(w.config.CAFile, w.registry.CAPEM(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.watcher = New(Options{RequestTimeout: 2 * time.Second, OnChange: func(ref string) { w.changes <- ref }})
	t.Cleanup(func() { w.watcher.Update(nil, nil) })
	return w
}

// follow makes the watcher follow the world's tag with the present configuration.
func (w *world) follow() {
	w.watcher.Update([]desired.Registry{w.config}, []Ref{{Image: w.ref}})
}

// push pushes an image with the content and returns its digest.
func (w *world) push(content string) string {
	w.Helper()
	d, err := w.registry.PushImage(w.Context(), repo, tag, registrytest.ImageSpec{
		Content: content, Created: time.Unix(1700000000, 0),
		Labels: map[string]string{"org.opencontainers.image.revision": "rev-" + content},
	})
	if err != nil {
		w.Fatal(err)
	}
	return d
}

// look sweeps once and returns what is known then.
func (w *world) look() observe.Image {
	w.watcher.Sweep(w.Context())
	return w.image()
}

func (w *world) image() observe.Image {
	return w.watcher.Image(context.Background(), w.ref, "")
}

// wantProblem compares the cause of an image's problem.
func (w *world) wantProblem(i observe.Image, cause observe.Cause, text string) {
	w.Helper()
	switch {
	case i.Problem == nil:
		w.Errorf("Problem = nil, want %s", cause)
	case i.Problem.Cause != cause:
		w.Errorf("Problem = %v, want cause %s", i.Problem, cause)
	case !strings.Contains(i.Problem.Message, text):
		w.Errorf("Problem.Message = %q, want %q in it", i.Problem.Message, text)
	}
}

// wantDigest compares the digest of an image without a problem.
func (w *world) wantDigest(i observe.Image, want string) {
	w.Helper()
	if i.Problem != nil || i.Digest != want {
		w.Errorf("Image = %q, problem %v, want %q and none", i.Digest, i.Problem, want)
	}
}
