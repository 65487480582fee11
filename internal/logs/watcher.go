package logs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// DefaultStreams bounds how many containers a watcher follows at once.
	DefaultStreams = 500
	// idleAfter is how long a key may not be asked for before its streams end: a
	// rollout is looked at every few seconds, and what is over must not take the
	// streams of what begins.
	idleAfter = 2 * time.Minute
)

// WatchOptions sets a watcher up. The zero value has the defaults.
type WatchOptions struct {
	// Streams bounds the containers followed at once; DefaultStreams when 0.
	Streams int
	// Client dials the websockets; a client with keep-alive when nil.
	Client *http.Client
}

// Watcher counts what patterns match in the logs of new containers. It follows
// them in the background, from their first line on, and answers from memory.
type Watcher struct {
	source Source
	opts   WatchOptions
	wg     sync.WaitGroup

	mu sync.Mutex
	// ctx is set while Run runs; cancel ends it.
	ctx    context.Context
	cancel context.CancelFunc
	closed bool
	// watches are by key, one per target.
	watches map[string]*watch
	// streams is how many are followed.
	streams int
}

var _ observe.LogReader = (*Watcher)(nil)

// NewWatcher returns a watcher that follows nothing before Run.
func NewWatcher(src Source, o WatchOptions) *Watcher {
	if o.Streams <= 0 {
		o.Streams = DefaultStreams
	}
	return &Watcher{source: src, opts: o, watches: map[string]*watch{}}
}

// Run lets the watcher follow containers until ctx ends or Close is called, and
// returns when all streams have ended. It is called once.
func (w *Watcher) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.mu.Lock()
	if w.closed || w.ctx != nil {
		w.mu.Unlock()
		return errors.New("running log watcher: it was closed or runs already")
	}
	w.ctx, w.cancel = ctx, cancel
	w.mu.Unlock()
	<-ctx.Done()
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wg.Wait()
	return nil
}

// Close ends Run and waits for the streams.
func (w *Watcher) Close() {
	w.mu.Lock()
	w.closed = true
	if w.cancel != nil {
		w.cancel()
	}
	w.mu.Unlock()
	w.wg.Wait()
}

// Logs says what the patterns matched in the new containers' logs since the first
// call with the key and the rollout, and which errors the old ones do not write;
// another rollout and other patterns begin anew. It never waits for Rancher.
func (w *Watcher) Logs(_ context.Context, key string, spec observe.LogSpec, fresh, old []observe.Container) observe.Logs {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil || w.closed {
		return observe.Logs{Problem: &observe.Problem{Cause: observe.CausePending, Message: "log watcher does not run"}}
	}
	now := time.Now()
	w.endIdle(now)
	t, err := w.watch(key, spec)
	if err != nil {
		return observe.Logs{Problem: &observe.Problem{Cause: observe.CauseUnusable, Message: err.Error()}}
	}
	t.asked = now
	w.follow(t, fresh, false)
	if t.novelty == nil {
		return t.read(fresh)
	}
	w.follow(t, old, true)
	t.hasOld = t.hasOld || len(old) > 0
	return t.compare(t.read(fresh), old)
}

// endIdle ends the streams of keys that nobody has asked for lately.
func (w *Watcher) endIdle(now time.Time) {
	for key, t := range w.watches {
		if now.Sub(t.asked) > idleAfter {
			w.forget(key)
		}
	}
}

// Forget ends the streams of a key and drops what was counted.
func (w *Watcher) Forget(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(key)
}

func (w *Watcher) forget(key string) {
	if t := w.watches[key]; t != nil {
		for _, c := range t.counters {
			c.cancel()
		}
		delete(w.watches, key)
	}
}

// Tail returns the last n lines of a container: see the function Tail. Of one that
// Rancher has no log of any more it returns what was followed, with the error.
func (w *Watcher) Tail(ctx context.Context, containerID string, n int) ([]Line, error) {
	lines, err := Tail(ctx, w.source, w.opts.Client, containerID, n)
	if err != nil && len(lines) == 0 {
		lines = w.last(containerID, n)
	}
	return lines, err
}

// last are the last lines that were followed of a new container.
func (w *Watcher) last(containerID string, n int) []Line {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.watches {
		if c := t.counters[containerID]; c != nil && !c.isOld {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.last.last(containerID, n)
		}
	}
	return nil
}

// watch is the watch of the key, made anew when the rollout or the patterns
// changed.
func (w *Watcher) watch(key string, spec observe.LogSpec) (*watch, error) {
	t := w.watches[key]
	if t != nil && t.rollout == spec.Rollout && (t.novelty != nil) == spec.Novelty && slices.Equal(t.source, spec.Fail) {
		return t, nil
	}
	t = &watch{rollout: spec.Rollout, source: slices.Clone(spec.Fail), counters: map[string]*counter{}}
	for _, p := range spec.Fail {
		re, err := regexp.Compile(p)
		if err != nil {
			return nil, fmt.Errorf("compiling log pattern: %w", err)
		}
		t.patterns = append(t.patterns, re)
	}
	if spec.Novelty {
		t.novelty = newNovelty()
	}
	w.forget(key)
	w.watches[key] = t
	return t, nil
}

// follow starts streams of containers that have none. A container that is no
// longer listed is followed until it is removed or the key forgotten: one look
// that saw none must not make the watch blind.
func (w *Watcher) follow(t *watch, containers []observe.Container, isOld bool) {
	for i := range containers {
		w.keep(t, &containers[i], isOld)
	}
}

// keep follows one container: a changed state wakes a stream that waits. A
// container stays on the side where it was first seen.
func (w *Watcher) keep(t *watch, oc *observe.Container, isOld bool) {
	c := t.counters[oc.ID]
	switch {
	case c == nil && w.streams < w.opts.Streams:
		w.start(t, oc, isOld)
	case c != nil && (c.state != oc.State || c.starts != oc.StartCount):
		c.state, c.starts = oc.State, oc.StartCount
		c.stream.wake()
	}
}

// start follows a container: a new one from its first line on, an old one from
// its last ones.
func (w *Watcher) start(t *watch, oc *observe.Container, isOld bool) {
	c := &counter{
		id: oc.ID, patterns: t.patterns, hits: make([]hit, len(t.patterns)), state: oc.State, starts: oc.StartCount,
		novelty: t.novelty, isOld: isOld,
	}
	tail := AllLines
	if isOld {
		tail = learnLines
	}
	c.stream = newStream(w.source, w.opts.Client, oc.ID, tail, c.take)
	ctx, cancel := context.WithCancel(w.ctx)
	c.cancel = cancel
	t.counters[oc.ID] = c
	w.streams++
	w.wg.Go(func() {
		defer cancel()
		c.stream.run(ctx)
		w.mu.Lock()
		w.streams--
		w.mu.Unlock()
	})
}
