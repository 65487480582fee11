package watch

import (
	"context"
	"slices"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// lookBusy and lookIdle are the pauses between looks while a rollout goes on and
	// while none does; lookAgain is the least, however often Rancher tells of changes.
	lookBusy  = time.Second
	lookIdle  = 2 * time.Second
	lookAgain = 200 * time.Millisecond
	// lookTimeout bounds one look.
	lookTimeout = 10 * time.Second
	// renewAfter is how long Rancher must have been away for open connections to be
	// doubted.
	renewAfter = 3 * time.Second
	// frame is the least time between two batches of lines: the screen is made anew for
	// each, and keys wait meanwhile.
	frame = 20 * time.Millisecond
	// tagEvery is how often the registry is asked what the tag names.
	tagEvery = 3 * time.Second
)

// LineReader hands out log lines; *logs.Follower satisfies it.
type LineReader interface {
	// Next waits for lines; they are valid until the next call.
	Next(ctx context.Context) ([]logs.Line, error)
}

// Feed looks, for a model or for plain lines.
type Feed struct {
	Session *operator.Session
	// Changed holds a token when Rancher tells of a change; nil looks by the clock
	// only.
	Changed <-chan struct{}
	// Balancer reads the load balancer's statistics; nil takes the daemon's.
	Balancer func(ctx context.Context, containers []observe.Container) *observe.LoadBalancer
	// Tag asks the registry what a tag names; nil asks nobody.
	Tag func(ctx context.Context, ref string) observe.Image
	// Lines are the containers' lines; nil has none.
	Lines LineReader
	// Renew is called when connections that were open may be dead and not know it:
	// the machine slept, or Rancher could not be read for a while. It may be nil.
	Renew func()

	// clocks are the wall clock and the monotonic one; nil reads the machine's.
	clocks func() (wall time.Time, running time.Duration)

	// blindSince is when Rancher could not be read any more.
	blindSince time.Time

	// tag and taggedAt are what the registry said last.
	tag      observe.Image
	taggedAt time.Time
}

// Run looks until ctx ends, and waits for what it started. send may block: then
// nothing is looked at meanwhile.
func (f *Feed) Run(ctx context.Context, send func(msg any)) {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { f.look(ctx, send) })
	if f.Lines != nil {
		parts.Go(func() { f.read(ctx, send) })
	}
	parts.Go(func() { f.tick(ctx, send) })
}

// look looks again and again.
func (f *Feed) look(ctx context.Context, send func(any)) {
	var awake logs.Awake
	if f.clocks == nil {
		f.clocks = logs.Clocks()
	}
	for {
		if slept := awake.Slept(f.clocks()); slept > 0 {
			f.renew()
			send(Slept(slept))
		}
		l := f.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if f.isBack(&l) {
			f.renew()
		}
		send(l)
		pause := lookIdle
		if isUnderWay(&l.Sight) {
			pause = lookBusy
		}
		if !sleep(ctx, lookAgain, nil) || !sleep(ctx, pause-lookAgain, f.Changed) {
			return
		}
	}
}

func (f *Feed) renew() {
	if f.Renew != nil {
		f.Renew()
	}
}

// isBack says that Rancher can be read again after a while.
func (f *Feed) isBack(l *Looked) bool {
	if l.Service.Problem != nil {
		if f.blindSince.IsZero() {
			f.blindSince = l.At
		}
		return false
	}
	wasBlind := !f.blindSince.IsZero() && l.At.Sub(f.blindSince) >= renewAfter
	f.blindSince = time.Time{}
	return wasBlind
}

// sleep waits, or until something changed, and says whether the context is alive.
func sleep(ctx context.Context, d time.Duration, changed <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-changed:
	}
	return true
}

// once looks once.
func (f *Feed) once(ctx context.Context) Looked {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	l := Looked{Sight: f.Session.Look(ctx)}
	switch {
	case f.Balancer != nil && l.Service.Problem == nil:
		l.BalancerAt = l.At
		l.Balancer = f.Balancer(ctx, primaries(l.Service.Containers))
	case l.Daemon != nil && l.Daemon.Observed != nil && len(l.Daemon.Observed.LoadBalancer.Servers) > 0:
		l.Balancer, l.BalancerAt = &l.Daemon.Observed.LoadBalancer, l.Daemon.Observed.At
	}
	if l.Daemon == nil {
		l.Tag = f.askTag(ctx, &l)
	}
	return l
}

// primaries are the containers that a load balancer can know.
func primaries(containers []observe.Container) []observe.Container {
	return slices.DeleteFunc(slices.Clone(containers), func(c observe.Container) bool {
		return c.LaunchName != "" || c.State != "running" && c.State != "updating-running" && c.State != "stopping"
	})
}

// askTag asks the registry now and then.
func (f *Feed) askTag(ctx context.Context, l *Looked) observe.Image {
	ref := l.Subject.Image
	if ref == "" {
		ref = operator.FollowedTag(&l.Service)
	}
	if f.Tag == nil || ref == "" || l.At.Sub(f.taggedAt) < tagEvery {
		return f.tag
	}
	f.tag, f.taggedAt = f.Tag(ctx, ref), l.At
	return f.tag
}

// read hands on lines in batches, a frame apart at least: the follower gathers them
// meanwhile.
func (f *Feed) read(ctx context.Context, send func(any)) {
	for {
		lines, err := f.Lines.Next(ctx)
		if err != nil {
			return
		}
		at := time.Now()
		send(Lines(slices.Clone(lines)))
		if !sleep(ctx, frame-time.Since(at), nil) {
			return
		}
	}
}

// tick tells the time.
func (f *Feed) tick(ctx context.Context, send func(any)) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			send(Now(f.Session.Now()))
		}
	}
}
