package registry

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// maxDetails bounds the cache of what digests stand for.
const maxDetails = 1024

// Ref is a tag that a target follows.
type Ref struct {
	// Image is host/repository:tag.
	Image string
	// Platform is os/architecture[/variant]; empty means DefaultPlatform.
	Platform string
}

// Watcher keeps what references resolve to. See the package comment.
type Watcher struct {
	options Options
	details *lru[detailsKey, *details]
	// pulls remembers for a moment what could be pulled.
	pulls *lru[pullKey, pullAnswer]
	group sync.WaitGroup

	mu         sync.Mutex
	registries map[string]desired.Registry
	hosts      map[string]*host
	// running is the context of Run; nil while it does not.
	running context.Context
}

var _ observe.ImageReader = (*Watcher)(nil)

// New makes a Watcher that follows nothing yet.
func New(options Options) *Watcher {
	return &Watcher{
		options: options.withDefaults(),
		details: newLRU[detailsKey, *details](maxDetails),
		pulls:   newLRU[pullKey, pullAnswer](maxPulls),
		hosts:   map[string]*host{},
	}
}

// wish is what targets want of one distinct reference.
type wish struct {
	refs      []string
	platforms []platform
}

// Update says which references are followed and how their registries are asked.
// What is known of references that stay is kept. It may be called while Run runs.
func (w *Watcher) Update(registries []desired.Registry, refs []Ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.registries = make(map[string]desired.Registry, len(registries))
	for _, r := range registries {
		w.registries[r.Host] = r
	}
	wishes := w.parse(refs)
	for at, h := range w.hosts {
		if wishes[at] == nil || h.isOutdated(w.config(at)) {
			w.remove(at, wishes[at])
		}
	}
	for at, wanted := range wishes {
		w.host(at).follow(wanted)
	}
}

// parse groups references by registry and name. One that cannot be read is left
// out; Image says why.
func (w *Watcher) parse(refs []Ref) map[string]map[name]*wish {
	wishes := map[string]map[name]*wish{}
	for _, r := range refs {
		n, err := parseName(r.Image)
		if err != nil {
			continue
		}
		if wishes[n.host] == nil {
			wishes[n.host] = map[name]*wish{}
		}
		wanted := wishes[n.host][n]
		if wanted == nil {
			wanted = &wish{}
			wishes[n.host][n] = wanted
		}
		if !slices.Contains(wanted.refs, r.Image) {
			wanted.refs = append(wanted.refs, r.Image)
		}
		if p := parsePlatform(r.Platform); !slices.Contains(wanted.platforms, p) {
			wanted.platforms = append(wanted.platforms, p)
		}
	}
	return wishes
}

// config is how a registry is asked; one that is not listed is asked anonymously
// over HTTPS.
func (w *Watcher) config(at string) desired.Registry {
	if r, ok := w.registries[at]; ok {
		return r
	}
	return desired.Registry{Host: at}
}

// isOutdated says that a host was made from another configuration, or from one
// that did not work then and may work now.
func (h *host) isOutdated(config desired.Registry) bool {
	return !reflect.DeepEqual(h.config, config) || h.client.broken != nil
}

// host finds or makes the host of a registry. w.mu is held.
func (w *Watcher) host(at string) *host {
	h := w.hosts[at]
	if h == nil {
		h = newHost(w.config(at), w.options, w.details)
		w.hosts[at] = h
		if w.running != nil {
			h.start(w.running, &w.group)
		}
	}
	return h
}

// remove stops a host. When its references stay, because only the way to ask the
// registry changed, what is known of them moves to its successor.
func (w *Watcher) remove(at string, wanted map[name]*wish) {
	old := w.hosts[at]
	delete(w.hosts, at)
	if old.stop != nil {
		old.stop()
	}
	old.client.close()
	if wanted == nil {
		return
	}
	next := w.host(at)
	old.mu.Lock()
	defer old.mu.Unlock()
	next.mu.Lock()
	defer next.mu.Unlock()
	for n, e := range old.entries {
		if wanted[n] != nil {
			next.inherit(e)
		}
		e.gone = true
	}
}

// inherit takes over what is known of a reference. Both hosts' locks are held.
func (h *host) inherit(old *entry) {
	e := h.add(old.name, 1)
	e.refs, e.digest, e.views, e.problem = old.refs, old.digest, old.views, old.problem
	e.seenAt, e.checkedAt, e.changes = old.seenAt, old.checkedAt, old.changes
}

// Run asks for the references in the background until ctx ends, and returns when
// all its goroutines have.
func (w *Watcher) Run(ctx context.Context) error {
	w.mu.Lock()
	if w.running != nil {
		w.mu.Unlock()
		return errors.New("the registry watcher is running already")
	}
	w.running = ctx
	for _, h := range w.hosts {
		h.start(ctx, &w.group)
	}
	w.mu.Unlock()
	<-ctx.Done()
	w.mu.Lock()
	w.running = nil
	hosts := slices.Collect(maps.Values(w.hosts))
	w.mu.Unlock()
	w.group.Wait()
	for _, h := range hosts {
		h.client.close()
	}
	return nil
}

// find is the entry behind a reference as a target writes it; nil when nobody
// follows it.
func (w *Watcher) find(ref string) (*host, *entry) {
	n, err := parseName(ref)
	if err != nil {
		return nil, nil
	}
	return w.entry(n)
}

// entry is what is known of a name, and the host that knows it; nil when nobody
// follows it.
func (w *Watcher) entry(n name) (*host, *entry) {
	w.mu.Lock()
	h := w.hosts[n.host]
	w.mu.Unlock()
	if h == nil {
		return nil, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h, h.entries[n]
}

// Wake asks for a reference now instead of at its next turn.
func (w *Watcher) Wake(ref string) {
	h, e := w.find(ref)
	if e == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !e.gone {
		h.hurry(e)
	}
}

// Image is what a reference resolves to, as far as is known now. A problem does
// not hide what was known before it: the digest stays.
func (w *Watcher) Image(_ context.Context, ref, on string) observe.Image {
	n, err := parseName(ref)
	if err != nil {
		return observe.Image{Ref: ref, Problem: &observe.Problem{Cause: observe.CauseInvalid, Message: err.Error()}}
	}
	h, e := w.entry(n)
	if e == nil {
		return observe.Image{Ref: ref, Problem: &observe.Problem{Cause: observe.CausePending, Message: ref + " is not followed yet"}}
	}
	p := parsePlatform(on)
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.wants(p) {
		h.hurry(e)
	}
	return e.image(ref, p, time.Now())
}

// Stats is what a sweep cost and brought.
type Stats struct {
	// References is how many distinct references were asked for.
	References int
	// Requests is how many requests the registries and their token services got
	// meanwhile.
	Requests int64
	// Changed, Same and Failed say how the looks ended.
	Changed, Same, Failed int64
	// Elapsed is how long it took.
	Elapsed time.Duration
}

// Sweep asks for every reference once, as fast as the limits allow.
func (w *Watcher) Sweep(ctx context.Context) Stats {
	begun := time.Now()
	w.mu.Lock()
	hosts := slices.Collect(maps.Values(w.hosts))
	w.mu.Unlock()
	var s sweep
	for _, h := range hosts {
		s.start(ctx, h)
	}
	s.wait.Wait()
	stats := Stats{References: s.references, Changed: s.counts[resultChanged].Load(), Same: s.counts[resultSame].Load(), Failed: s.counts[resultFailed].Load()}
	for i, h := range s.hosts {
		stats.Requests += h.client.requests.Load() - s.before[i]
	}
	stats.Elapsed = time.Since(begun)
	return stats
}

// sweep is one Sweep under way.
type sweep struct {
	wait       sync.WaitGroup
	hosts      []*host
	before     []int64
	references int
	counts     [3]atomic.Int64
}

// start sweeps one registry, with as many workers as may ask at once.
func (s *sweep) start(ctx context.Context, h *host) {
	h.mu.Lock()
	entries := slices.SortedFunc(maps.Values(h.entries), func(a, b *entry) int { return compare(a.phase, b.phase) })
	h.mu.Unlock()
	s.hosts, s.before = append(s.hosts, h), append(s.before, h.client.requests.Load())
	s.references += len(entries)
	next := new(atomic.Int64)
	for range min(h.client.config.Concurrency, len(entries)) {
		s.wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(entries)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				s.counts[h.ask(ctx, entries[i])].Add(1)
				h.postpone(entries[i])
			}
		})
	}
}

// compare orders phases.
func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// postpone puts the next look where it belongs after a look out of turn. A worker
// that holds the entry does that itself.
func (h *host) postpone(e *entry) {
	h.mu.Lock()
	taken := e.index < 0
	h.mu.Unlock()
	if !taken {
		h.reschedule(e)
	}
}
