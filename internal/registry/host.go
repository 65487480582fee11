package registry

import (
	"container/heap"
	"context"
	"hash/fnv"
	"math"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// defaultPoll is how often a reference is asked for.
	defaultPoll = 30 * time.Second
	// pollJitter is the share by which a look may come early or late.
	pollJitter = 0.2
	// firstGap is the time between the first looks at two references after a
	// start, so that thousands do not come at once and few do not wait.
	firstGap = 2 * time.Millisecond
	// maxAuthDelay is by how many intervals a look at a reference is put off whose
	// credentials are refused time and again.
	maxAuthDelay = 8
)

// host is one registry with all references that are followed in it. It has its
// own schedule and its own workers, so that no registry waits for another.
type host struct {
	// config is what the host was made from.
	config  desired.Registry
	client  *client
	poll    time.Duration
	details *lru[detailsKey, *details]
	onEvent func(ref string)

	mu       sync.Mutex
	entries  map[name]*entry
	schedule schedule
	// epoch is where the intervals are counted from.
	epoch time.Time
	// wake tells the dispatcher that the schedule's top may have changed.
	wake chan struct{}
	// stop ends the workers; nil while they do not run.
	stop context.CancelFunc
}

// detailsKey finds details in the cache that all registries share: what a digest
// stands for does not depend on where it was read.
type detailsKey struct {
	digest   string
	platform platform
}

func newHost(config desired.Registry, options Options, cache *lru[detailsKey, *details]) *host {
	h := &host{
		config: config,
		client: newClient(config, options), details: cache, onEvent: options.OnChange,
		poll: config.Poll.Duration, entries: map[name]*entry{}, epoch: time.Now(), wake: make(chan struct{}, 1),
	}
	if h.poll <= 0 {
		h.poll = defaultPoll
	}
	return h
}

// follow makes the entries those of the names, keeping what is known.
func (h *host) follow(wanted map[name]*wish) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n, e := range h.entries {
		if wanted[n] == nil {
			h.drop(e)
		}
	}
	repositories := make([]string, 0, len(wanted))
	for n, w := range wanted {
		repositories = append(repositories, n.repo)
		e := h.entries[n]
		if e == nil {
			e = h.add(n, len(wanted))
		}
		e.refs = w.refs
		h.setPlatforms(e, w.platforms)
	}
	h.client.auth.follow(repositories)
	h.nudge()
}

// add schedules a new entry for its first look, soon.
func (h *host) add(n name, among int) *entry {
	e := &entry{name: n, phase: phaseOf(n)}
	e.due = time.Now().Add(time.Duration(e.phase * float64(min(h.poll, time.Duration(among-1)*firstGap))))
	h.entries[n] = e
	heap.Push(&h.schedule, e)
	return e
}

func (h *host) drop(e *entry) {
	e.gone = true
	delete(h.entries, e.name)
	if e.index >= 0 {
		heap.Remove(&h.schedule, e.index)
	}
}

// setPlatforms forgets platforms nobody wants, and looks at once for new ones.
func (h *host) setPlatforms(e *entry, platforms []platform) {
	old := e.views
	e.views = make([]view, 0, len(platforms))
	for _, p := range platforms {
		e.wants(p)
	}
	e.merge(old)
	for _, v := range e.views {
		if v.details == nil && e.digest != "" {
			h.hurry(e)
		}
	}
}

// phaseOf places a reference within the interval, between 0 and 1.
func phaseOf(n name) float64 {
	f := fnv.New32a()
	_, _ = f.Write([]byte(n.String()))
	// FNV's last bytes barely reach the upper bits; one multiplication spreads them.
	return float64(f.Sum32()*2654435761) / (math.MaxUint32 + 1)
}

// hurry makes an entry due now.
func (h *host) hurry(e *entry) {
	if e.index < 0 {
		e.again = true
		return
	}
	e.due = time.Now()
	heap.Fix(&h.schedule, e.index)
	h.nudge()
}

// nudge wakes the dispatcher.
func (h *host) nudge() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// next takes the entry that is due, or says how long there is none.
func (h *host) next(now time.Time) (*entry, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.schedule) == 0 {
		return nil, time.Hour
	}
	if wait := h.schedule[0].due.Sub(now); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&h.schedule).(*entry), 0
}

// reschedule puts an entry back after a look.
func (h *host) reschedule(e *entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.gone {
		return
	}
	e.due = h.dueAfter(e, time.Now())
	if e.again {
		e.again, e.due = false, time.Now()
	}
	if e.index < 0 {
		heap.Push(&h.schedule, e)
	} else {
		heap.Fix(&h.schedule, e.index)
	}
	h.nudge()
}

// dueAfter is the time of the next look: the entry's own place in an interval to
// come, give or take; sooner after a failure that may pass, later after refused
// credentials.
func (h *host) dueAfter(e *entry, now time.Time) time.Time {
	slot := h.slotAfter(e, now)
	if e.problem == nil {
		return slot
	}
	switch e.problem.Cause {
	case observe.CauseAuth:
		return slot.Add(h.poll * time.Duration(min(1<<min(e.failures-1, 10), maxAuthDelay)-1))
	case observe.CauseUnreachable:
		soon := now.Add(jitter(time.Second<<min(e.failures, 6), pollJitter))
		if open := h.client.gate.openAt(); open.After(now) {
			soon = open.Add(jitter(time.Second, 1))
		}
		if soon.Before(slot) {
			return soon
		}
	case observe.CauseInvalid, observe.CauseNotFound, observe.CauseUnusable, observe.CausePending:
	}
	return slot
}

// slotAfter is the entry's place in the next interval that begins to matter: at
// least half an interval away, so that a look out of turn replaces one in turn.
func (h *host) slotAfter(e *entry, now time.Time) time.Time {
	first := h.epoch.Add(time.Duration(e.phase * float64(h.poll)))
	past := now.Add(h.poll / 2).Sub(first)
	n := past/h.poll + 1
	if past < 0 {
		n = 0
	}
	return first.Add(n * h.poll).Add(jitter(h.poll, pollJitter) - h.poll)
}

// start runs the dispatcher and its workers until ctx ends or the host is stopped.
func (h *host) start(ctx context.Context, group *sync.WaitGroup) {
	ctx, h.stop = context.WithCancel(ctx)
	work := make(chan *entry)
	group.Go(func() {
		defer close(work)
		h.dispatch(ctx, work)
	})
	for range h.client.config.Concurrency {
		group.Go(func() {
			for e := range work {
				h.ask(ctx, e)
				h.reschedule(e)
			}
		})
	}
}

// dispatch hands entries to the workers when they are due.
func (h *host) dispatch(ctx context.Context, work chan<- *entry) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		e, wait := h.next(time.Now())
		if e == nil {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-h.wake:
			case <-ctx.Done():
				return
			}
			continue
		}
		select {
		case work <- e:
		case <-ctx.Done():
			h.reschedule(e)
			return
		}
	}
}

// result is how a look ended, for counting.
type result int

const (
	// resultSame is a tag that still stands for the same digest.
	resultSame result = iota
	// resultChanged is a tag that stands for another one, or for its first.
	resultChanged
	// resultFailed is a tag that could not be read.
	resultFailed
)

// ask looks at one reference and tells whoever should know.
func (h *host) ask(ctx context.Context, e *entry) result {
	e.asking.Lock()
	defer e.asking.Unlock()
	h.mu.Lock()
	known := outcome{digest: e.digest, views: append([]view(nil), e.views...)}
	h.mu.Unlock()
	o := h.look(ctx, e.name, known)
	if o.err != nil && ctx.Err() != nil {
		// Being stopped is no reading.
		return resultFailed
	}
	h.mu.Lock()
	changed := e.apply(o, time.Now())
	refs, gone := e.refs, e.gone
	h.mu.Unlock()
	if changed && !gone {
		for _, ref := range refs {
			h.onEvent(ref)
		}
	}
	switch {
	case o.err != nil:
		return resultFailed
	case o.digest != known.digest:
		return resultChanged
	}
	return resultSame
}

// look asks the registry about a tag, and about whatever is not known of the
// digest behind it.
func (h *host) look(ctx context.Context, n name, known outcome) outcome {
	d, document, err := h.client.resolve(ctx, n, known.digest)
	if err != nil {
		return outcome{err: err}
	}
	o := outcome{digest: d, views: known.views}
	for i, v := range o.views {
		if v.details != nil && d == known.digest {
			continue
		}
		if o.views[i].details, document, err = h.detailsOf(ctx, n, d, document, v.platform); err != nil {
			return outcome{err: wrap(err, "reading", n.at(d))}
		}
	}
	return o
}

// detailsOf finds details in the cache or reads them, and the document with them
// when nobody has yet.
func (h *host) detailsOf(ctx context.Context, n name, d digest.Digest, document *document, p platform) (*details, *document, error) {
	key := detailsKey{d.String(), p}
	if found, ok := h.details.get(key); ok {
		return found, document, nil
	}
	if document == nil {
		var err error
		if document, err = h.client.fetchDigest(ctx, n.repo, d); err != nil {
			return nil, nil, err
		}
	}
	found, err := h.client.describe(ctx, n.repo, document, p)
	if err == nil {
		found.layers = nil // Each idle target would keep them, and Pullable reads them anew.
		h.details.put(key, found)
	}
	return found, document, err
}

// schedule is a heap of entries by due time.
type schedule []*entry

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due.Before(s[j].due) }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

// Push is for package heap.
func (s *schedule) Push(x any) {
	e := x.(*entry)
	e.index = len(*s)
	*s = append(*s, e)
}

// Pop is for package heap.
func (s *schedule) Pop() any {
	last := len(*s) - 1
	e := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	e.index = -1
	return e
}
