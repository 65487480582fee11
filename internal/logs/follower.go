package logs

import (
	"context"
	"math"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultWindow is how long a line waits for older ones of other containers.
	DefaultWindow = 200 * time.Millisecond
	// DefaultBuffer bounds the lines not yet read, in bytes, all streams together.
	DefaultBuffer = 64 << 20
	// maxTick is the longest time between two moves of lines to the reader.
	maxTick = 25 * time.Millisecond
	// drainTime is how long the stream of a container that is no longer asked for
	// goes on: its last lines are mostly under way.
	drainTime = 2 * time.Second
	// lineCost is what a line takes beside its text.
	lineCost = 128
)

// FollowOptions sets a follower up. The zero value has the defaults.
type FollowOptions struct {
	// Window is how long a line waits for older ones; DefaultWindow when 0. It is
	// shorter while more than half of Buffer is taken, as by a long history.
	Window time.Duration
	// Buffer bounds the memory of lines not yet read; DefaultBuffer when 0.
	Buffer int64
	// Client dials the websockets; a client with keep-alive when nil.
	Client *http.Client
	// Once reads what there is instead of following: the follower ends by itself,
	// and all of it is in order as far as half of Buffer holds it.
	Once bool
}

// Follower merges the logs of a changing set of containers. Set, Next and Close
// may be called at the same time; Next by one reader only.
type Follower struct {
	source Source
	opts   FollowOptions
	ctx    context.Context
	cancel context.CancelFunc
	// merging ends after streams.
	merging, streams sync.WaitGroup

	// used is the memory of all lines between a websocket and the reader.
	used atomic.Int64

	mu sync.Mutex
	// entries are the streams of the set by container id; leaving are those that
	// left it and have not ended.
	entries map[string]*entry
	leaving []*entry
	// ready are merged lines for the reader, ended that there will be no more;
	// closing that no stream may be started.
	ready          []item
	ended, closing bool
	// readable wakes the reader.
	readable chan struct{}
	// clocks are read by merge.
	clocks func() (wall time.Time, running time.Duration)

	// taken, of which the first rendered are done, and lines belong to the reader.
	taken    []item
	rendered int
	lines    []Line
}

// entry is one followed container.
type entry struct {
	container atomic.Pointer[Container]
	stream    *stream
	cancel    context.CancelFunc
	// leave ends the stream some time after the container left the set; nil while
	// it is in the set.
	leave *time.Timer

	mu    sync.Mutex
	queue []item
	// dropped counts lines that found no room, since is when the first was written.
	dropped int64
	since   int64
	over    bool
}

// Follow follows containers until ctx ends or Close is called.
func Follow(ctx context.Context, src Source, o FollowOptions, containers ...Container) *Follower {
	f := newFollower(ctx, src, o)
	f.begin(containers...)
	return f
}

func newFollower(ctx context.Context, src Source, o FollowOptions) *Follower {
	if o.Window <= 0 {
		o.Window = DefaultWindow
	}
	if o.Buffer <= 0 {
		o.Buffer = DefaultBuffer
	}
	f := &Follower{source: src, opts: o, entries: map[string]*entry{}, readable: make(chan struct{}, 1), clocks: Clocks()}
	f.ctx, f.cancel = context.WithCancel(ctx)
	return f
}

func (f *Follower) begin(containers ...Container) {
	f.Set(containers)
	f.merging.Go(f.merge)
}

// Close ends all streams and waits for them. What was read already can still be
// had from Next.
func (f *Follower) Close() {
	f.cancel()
	f.merging.Wait()
}

// Set says which containers to follow from now on. New ones are attached at
// once; the stream of one that is gone goes on for two seconds for what is under
// way. A container whose stream waits, because it stopped or could not be
// reached, is tried again at once.
func (f *Follower) Set(containers []Container) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing || f.ctx.Err() != nil {
		return
	}
	listed := make(map[string]bool, len(containers))
	for _, c := range containers {
		listed[c.ID] = true
		f.keep(c)
	}
	for id, e := range f.entries {
		if !listed[id] {
			e.leave = time.AfterFunc(drainTime, e.cancel)
			f.leaving = append(f.leaving, e)
			delete(f.entries, id)
		}
	}
}

// keep follows c: still, again, or anew.
func (f *Follower) keep(c Container) {
	e := f.entries[c.ID]
	if e == nil {
		e = f.rejoin(c.ID)
	}
	if e == nil {
		f.attach(c)
		return
	}
	if old := e.container.Swap(&c); *old != c {
		e.stream.wake()
	}
}

// rejoin takes back a container that left the set a moment ago.
func (f *Follower) rejoin(id string) *entry {
	for i, e := range f.leaving {
		if e.container.Load().ID != id || !e.leave.Stop() {
			continue
		}
		f.leaving = slices.Delete(f.leaving, i, i+1)
		f.entries[id], e.leave = e, nil
		return e
	}
	return nil
}

// attach starts a stream.
func (f *Follower) attach(c Container) {
	e := &entry{}
	e.container.Store(&c)
	e.stream = newStream(f.source, f.opts.Client, c.ID, c.Tail, func(r Record) { f.push(e, r) })
	if !c.Since.IsZero() {
		e.stream.bound.beginAt(c.Since)
	}
	ctx, cancel := context.WithCancel(f.ctx)
	e.cancel = cancel
	f.entries[c.ID] = e
	f.streams.Go(func() {
		defer cancel()
		if f.opts.Once {
			e.stream.once(ctx)
		} else {
			e.stream.run(ctx)
		}
		e.mu.Lock()
		e.over = true
		e.mu.Unlock()
	})
}

// push takes a line from a websocket's reader; it never waits for the reader of
// the lines. What finds no room is counted instead.
func (f *Follower) push(e *entry, r Record) {
	cost := int64(len(r.Text) + lineCost)
	if f.used.Add(cost) > f.opts.Buffer {
		f.used.Add(-cost)
		e.drop(r.Nanos)
		return
	}
	it := item{nanos: r.Nanos, from: e.container.Load(), text: string(r.Text), output: r.Output, truncated: r.Truncated}
	e.mu.Lock()
	e.queue = append(e.queue, it)
	e.mu.Unlock()
}

// drop counts a line that found no room.
func (e *entry) drop(nanos int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dropped == 0 {
		e.since = nanos
	}
	e.dropped++
}

// merge moves lines from the streams to the reader, in order. It is the only
// goroutine beside those of the streams.
func (f *Follower) merge() {
	m := merger{}
	tick := time.NewTicker(min(f.opts.Window/4, maxTick))
	defer tick.Stop()
	var fresh []item
	var awake Awake
	for {
		select {
		case <-f.ctx.Done():
			f.finish(&m)
			return
		case now := <-tick.C:
			if awake.Slept(f.clocks()) > 0 {
				f.Reconnect()
			}
			fresh = f.collect(fresh)
			m.add(now, fresh)
			fresh = recycle(fresh, 1<<16)
			window := f.patience()
			f.publish(func(ready []item) []item {
				ready = m.take(now, window, ready)
				if f.used.Load() > f.opts.Buffer/2 {
					ready = m.relieve(ready)
				}
				return ready
			})
			if f.opts.Once && f.isOver() {
				f.finish(&m)
				return
			}
		}
	}
}

// Reconnect has every stream take up where it stands, over a new connection: for
// who knows that the open ones may be dead.
func (f *Follower) Reconnect() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.entries {
		e.stream.cut()
	}
}

// patience is how long lines are held now: one stream alone is in order by
// itself, and what is read once is in order when all of it is there.
func (f *Follower) patience() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.opts.Once:
		return math.MaxInt64
	case len(f.entries)+len(f.leaving) <= 1:
		return 0
	}
	return f.opts.Window
}

// isOver says that no stream will bring more.
func (f *Follower) isOver() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.entries {
		if !e.isOver() {
			return false
		}
	}
	return len(f.leaving) == 0
}

// isOver says that the entry's stream has ended.
func (e *entry) isOver() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.over
}

// finish hands over what the streams leave behind.
func (f *Follower) finish(m *merger) {
	f.mu.Lock()
	f.closing = true
	f.mu.Unlock()
	f.streams.Wait()
	m.add(time.Time{}, f.collect(nil))
	f.publish(func(ready []item) []item {
		f.ended = true
		return m.flush(ready)
	})
}

// collect takes the lines that arrived since the last call, and forgets streams
// that left and are over.
func (f *Follower) collect(dst []item) []item {
	f.mu.Lock()
	defer f.mu.Unlock()
	room := f.used.Load() < f.opts.Buffer-f.opts.Buffer/8
	for _, e := range f.entries {
		dst, _ = e.take(dst, room)
	}
	left := f.leaving[:0]
	for _, e := range f.leaving {
		var over bool
		if dst, over = e.take(dst, room); !over {
			left = append(left, e)
		}
	}
	clear(f.leaving[len(left):])
	f.leaving = left
	return dst
}

// take moves the entry's lines to dst, and a notice of dropped ones when there
// is room again.
func (e *entry) take(dst []item, room bool) ([]item, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	dst = append(dst, e.queue...)
	e.queue = recycle(e.queue, 1<<12)
	if e.dropped > 0 && (room || e.over) {
		dst = append(dst, item{nanos: e.since, from: e.container.Load(), dropped: e.dropped})
		e.dropped = 0
	}
	return dst, e.over && e.dropped == 0
}

// publish lets put append merged lines to those for the reader.
func (f *Follower) publish(put func(ready []item) []item) {
	f.mu.Lock()
	f.ready = put(f.ready)
	news := len(f.ready) > 0 || f.ended
	f.mu.Unlock()
	if !news {
		return
	}
	select {
	case f.readable <- struct{}{}:
	default:
	}
}
