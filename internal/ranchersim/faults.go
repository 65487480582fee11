package ranchersim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The faults a server can be asked for, by name.
const (
	FaultLate          = "late"           // Answer after Delay.
	FaultCutBefore     = "cut-before"     // Close the connection without doing anything.
	FaultCutAfter      = "cut-after"      // Do it, then close the connection without an answer.
	FaultStale         = "stale"          // Answer reads as they were first answered.
	FaultStall         = "stall"          // No container of an upgrade counts as healthy.
	FaultEarlyUpgraded = "early-upgraded" // An upgrade ends after its first batch.
	FaultLostEvent     = "lost-event"     // Events do not arrive.
	FaultRestart       = "restart"        // Sockets break and requests get 503, until it is cleared.
	FaultHTML          = "html"           // A proxy's page with status 200.
	Fault500           = "500"
	Fault502           = "502"
	Fault503           = "503"
	Fault429           = "429"
)

// FaultNames are all of them.
func FaultNames() []string {
	return []string{
		FaultLate, FaultCutBefore, FaultCutAfter, FaultStale, FaultStall, FaultEarlyUpgraded, FaultLostEvent,
		FaultRestart, FaultHTML, Fault500, Fault502, Fault503, Fault429,
	}
}

// Fault says what goes wrong, where and how often.
type Fault struct {
	Name   string
	Method string        // "" is every method.
	Path   string        // Part of the path and query; "" is every address.
	Delay  time.Duration // Of late.
	Count  int           // How often it happens; 0 is always.
	Chance float64       // Probability each time, by the server's seed; 0 is certain.
}

// faultBook is the one place where faults are decided on.
type faultBook struct {
	mu     sync.Mutex
	random *rand.Rand
	active []*Fault
	stale  map[string]*recorder
}

func (b *faultBook) init(seed uint64) {
	b.random = rand.New(rand.NewPCG(seed, 0xfa017))
	b.stale = map[string]*recorder{}
}

// SetFault makes something go wrong from now on.
func (s *Server) SetFault(f Fault) error {
	if !slices.Contains(FaultNames(), f.Name) {
		return fmt.Errorf("unknown fault %q, known are %s", f.Name, strings.Join(FaultNames(), ", "))
	}
	s.faults.mu.Lock()
	s.faults.active = append(s.faults.active, &f)
	s.faults.mu.Unlock()
	if f.Name == FaultRestart {
		s.bus.closeAll()
	}
	return nil
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.active = nil
	clear(s.faults.stale)
}

// draw takes the first fault of the given names that strikes now.
func (b *faultBook) draw(r *http.Request, names ...string) *Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n, f := range b.active {
		if !slices.Contains(names, f.Name) || !f.matches(r) || f.Chance > 0 && b.random.Float64() >= f.Chance {
			continue
		}
		if f.Count > 0 {
			if f.Count--; f.Count == 0 {
				b.active = slices.Delete(slices.Clone(b.active), n, n+1)
			}
		}
		return f
	}
	return nil
}

func (f *Fault) matches(r *http.Request) bool {
	if r == nil {
		return true
	}
	return (f.Method == "" || f.Method == r.Method) && strings.Contains(r.URL.RequestURI(), f.Path)
}

// endsEarly tells whether an upgrade ends after this batch.
func (b *faultBook) endsEarly() bool { return b.draw(nil, FaultEarlyUpgraded) != nil }

func (b *faultBook) losesEvent() bool { return b.draw(nil, FaultLostEvent) != nil }

// stall holds an upgrade up for as long as the fault lasts, unless the service is taken over meanwhile.
func (b *faultBook) stall(ctx context.Context, owned func() bool, check time.Duration) error {
	for b.draw(nil, FaultStall) != nil {
		select {
		case <-time.After(check):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if !owned() {
			return errStateChanged
		}
	}
	return nil
}

// middleware is the choke point that every request passes.
func (b *faultBook) middleware(s *Server, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := b.draw(r, FaultLate, FaultCutBefore, FaultCutAfter, FaultStale, FaultRestart, FaultHTML, Fault500, Fault502, Fault503, Fault429)
		if f == nil {
			next.ServeHTTP(w, r)
			return
		}
		b.strike(s, f, w, r, next)
	})
}

func (b *faultBook) strike(s *Server, f *Fault, w http.ResponseWriter, r *http.Request, next http.Handler) {
	switch f.Name {
	case FaultLate:
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		case <-s.ctx.Done():
		}
	case FaultCutBefore:
		panic(http.ErrAbortHandler)
	case FaultCutAfter:
		next.ServeHTTP(newRecorder(), r)
		panic(http.ErrAbortHandler)
	case FaultStale:
		b.replay(w, r, next)
	case FaultHTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<html><body><h1>Sign in</h1></body></html>"))
	case FaultRestart:
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
	case Fault500:
		view{server: s}.fail(w, plainError(http.StatusInternalServerError))
	case Fault502:
		http.Error(w, "<html><body>502 Bad Gateway</body></html>", http.StatusBadGateway)
	case Fault503:
		view{server: s}.fail(w, plainError(http.StatusServiceUnavailable))
	case Fault429:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Too Many Requests", http.StatusTooManyRequests)
	}
}

// replay answers a read as the first time it was asked under this fault.
func (b *faultBook) replay(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.Method != http.MethodGet || r.Header.Get("Upgrade") != "" {
		next.ServeHTTP(w, r)
		return
	}
	key := r.URL.RequestURI()
	b.mu.Lock()
	old := b.stale[key]
	b.mu.Unlock()
	if old == nil {
		old = newRecorder()
		next.ServeHTTP(old, r)
		b.mu.Lock()
		b.stale[key] = old
		b.mu.Unlock()
	}
	for name, values := range old.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(old.status)
	_, _ = w.Write(old.body) // A client that is gone is no error here.
}

// recorder keeps an answer instead of sending it.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

func newRecorder() *recorder { return &recorder{header: http.Header{}, status: http.StatusOK} }

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	r.body = append(r.body, b...)
	return len(b), nil
}
