package ranchersim

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxFaults bounds how many faults are kept at once.
const maxFaults = 1000

// faultBook is the one place where faults are decided on. Whether a fault happens on an occasion depends on the seed,
// on which fault it is and on how many occasions it had: the same occasions give the same faults, whatever else goes on.
type faultBook struct {
	seed uint64
	// any says that some fault is active, so that a server without faults pays nothing.
	any atomic.Bool

	mu     sync.Mutex
	last   int // Number of the last fault.
	active []*activeFault
}

// activeFault is a fault that was asked for.
type activeFault struct {
	Fault
	id     int
	until  time.Time // Zero is until it is cleared.
	seen   int       // Occasions.
	struck int       // How often it happened.
	stale  map[string]*recorder
	end    func() // Undoes it; nil when there is nothing to undo.
}

// FaultStatus is a fault that was asked for, and what came of it.
type FaultStatus struct {
	ID   int               `json:"id"`
	Name string            `json:"name"`
	Args map[string]string `json:"args,omitempty"`
	// Struck is how often it happened; Spent says that it will not any more.
	Struck int  `json:"struck"`
	Spent  bool `json:"spent,omitempty"`
}

func (b *faultBook) init(seed uint64) { b.seed = seed }

// SetFault makes something go wrong from now on, and returns the number to end it with.
func (s *Server) SetFault(f Fault) (int, error) {
	if _, ok := faultKind(f.Name); !ok {
		return 0, unknownFault(f.Name)
	}
	a := &activeFault{Fault: f.withDefaults(), stale: map[string]*recorder{}}
	if f.Name != FaultRestart && f.For > 0 {
		a.until = time.Now().Add(f.For)
	}
	if err := s.beginFault(a); err != nil {
		return 0, err
	}
	b := &s.faults
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.active) >= maxFaults {
		return 0, fmt.Errorf("there are %d faults already; clear some", maxFaults)
	}
	b.last++
	a.id = b.last
	b.active = append(b.active, a)
	b.any.Store(true)
	return a.id, nil
}

// errNoFault says that a number names no fault.
var errNoFault = errors.New("no such fault")

// ClearFault ends one fault.
func (s *Server) ClearFault(id int) error {
	if s.clearFaults(func(a *activeFault) bool { return a.id == id }) == 0 {
		return fmt.Errorf("%w: %d", errNoFault, id)
	}
	return nil
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() { s.clearFaults(func(*activeFault) bool { return true }) }

func (s *Server) clearFaults(chosen func(*activeFault) bool) int {
	b := &s.faults
	b.mu.Lock()
	var gone []*activeFault
	b.active = slices.DeleteFunc(slices.Clone(b.active), func(a *activeFault) bool {
		if !chosen(a) {
			return false
		}
		gone = append(gone, a)
		return true
	})
	b.any.Store(len(b.active) > 0)
	b.mu.Unlock()
	for _, a := range gone {
		if a.end != nil {
			a.end()
		}
	}
	return len(gone)
}

// Faults lists what was asked for and not cleared, oldest first.
func (s *Server) Faults() []FaultStatus {
	b := &s.faults
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]FaultStatus, len(b.active))
	for n, a := range b.active {
		list[n] = FaultStatus{ID: a.id, Name: a.Name, Args: a.args(), Struck: a.struck, Spent: a.isSpent()}
	}
	return list
}

// isSpent says that the fault will not happen any more. The caller holds mu.
func (a *activeFault) isSpent() bool {
	return a.Count > 0 && a.struck >= a.Count || a.isOver()
}

func (a *activeFault) isOver() bool { return !a.until.IsZero() && !time.Now().Before(a.until) }

// draw takes the first fault of the given names that happens on this occasion.
func (b *faultBook) draw(matches func(*activeFault) bool, names ...string) *activeFault {
	if !b.any.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.active {
		if slices.Contains(names, a.Name) && matches(a) && b.happens(a) {
			return a
		}
	}
	return nil
}

// happens counts an occasion and decides on it. The caller holds mu.
func (b *faultBook) happens(a *activeFault) bool {
	if a.isSpent() {
		return false
	}
	a.seen++
	if a.seen <= a.Skip || a.Chance > 0 && b.chance(a) >= a.Chance {
		return false
	}
	a.struck++
	return true
}

// chance is a number in [0, 1) that belongs to this occasion of this fault. The caller holds mu.
func (b *faultBook) chance(a *activeFault) float64 {
	x := b.seed ^ uint64(a.id)<<40 ^ uint64(a.seen)
	for range 2 { // splitmix64
		x += 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return float64(x>>11) / (1 << 53)
}

// lasts says that a fault which happened goes on: it was not cleared and its time is not over.
func (b *faultBook) lasts(a *activeFault) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !a.isOver() && slices.Contains(b.active, a)
}

// shown is the first active fault of a name for a service, without counting an occasion: what is merely shown wrongly
// is shown so to everybody.
func (b *faultBook) shown(name string, svc *service) *activeFault {
	if !b.any.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.active {
		if a.Name == name && !a.isOver() && a.isAbout(svc) {
			a.struck++
			return a
		}
	}
	return nil
}

// isAbout says whether a fault concerns a service.
func (a *activeFault) isAbout(svc *service) bool {
	if a.Service == "" {
		return true
	}
	return svc != nil && (a.Service == formatID(prefixService, svc.id) || a.Service == svc.stack.name+"/"+svc.name)
}

// about is isAbout for draw.
func about(svc *service) func(*activeFault) bool {
	return func(a *activeFault) bool { return a.isAbout(svc) }
}

// concerns says whether a fault is about a request.
func (a *activeFault) concerns(r *http.Request) bool {
	access, _, _ := r.BasicAuth()
	return (a.Method == "" || a.Method == r.Method) && (a.Key == "" || a.Key == access) && strings.Contains(r.URL.RequestURI(), a.Path) &&
		(a.Action == "" || a.Action == r.URL.Query().Get("action"))
}
