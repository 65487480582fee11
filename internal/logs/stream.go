package logs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// minDelay and maxDelay bound the wait between two attempts.
	minDelay = time.Second
	maxDelay = 30 * time.Second
	// firstDelay is the wait after the first attempt at a container that was never
	// attached: it is young, and Rancher may not know its host yet.
	firstDelay = 250 * time.Millisecond
	// maxDrains bounds how often the end of a stopped container's log is asked for.
	maxDrains = 5
	// maxReads bounds how often a log is asked for that is read once.
	maxReads = 3
)

// Phase is where a stream stands.
type Phase string

const (
	// PhaseConnecting has not been attached yet, or not again.
	PhaseConnecting Phase = "connecting"
	// PhaseAttached is receiving.
	PhaseAttached Phase = "attached"
	// PhaseStopped has read all that a stopped container wrote, and waits for it to
	// be started again.
	PhaseStopped Phase = "stopped"
	// PhaseEnded is over: the container was removed or nobody follows it any more.
	PhaseEnded Phase = "ended"
)

// status is where a stream stands and what went wrong last.
type status struct {
	phase Phase
	// at is when the phase began.
	at time.Time
	// err is the last failure; nil once attached.
	err error
	// seen says that a connection was ever open.
	seen bool
}

// stream follows one container.
type stream struct {
	source Source
	client *http.Client
	id     string
	// tail is how many lines of history come first.
	tail int
	// sink takes each line once, on the goroutine that reads the websocket: it must
	// not wait for anyone.
	sink func(Record)
	// nudge wakes a stream that waits: the container's state changed.
	nudge chan struct{}

	bound *boundary
	now   atomic.Pointer[status]
	// connected is the connection that is read; nil when none is.
	connected atomic.Pointer[conn]
	// seen says that a connection was ever open, since when; fails counts attempts
	// since the last one.
	seen   bool
	seenAt time.Time
	fails  int
	// arrived counts lines delivered over the current connection.
	arrived int
}

func newStream(src Source, client *http.Client, id string, tail int, sink func(Record)) *stream {
	if client == nil {
		client = defaultClient
	}
	s := &stream{source: src, client: client, id: id, tail: max(0, tail), sink: sink, nudge: make(chan struct{}, 1), bound: newBoundary()}
	s.bound.isTail = s.tail < AllLines
	s.now.Store(&status{phase: PhaseConnecting, at: time.Now()})
	return s
}

// is sets the phase; one that goes on keeps its beginning.
func (s *stream) is(p Phase, err error) {
	now := &status{phase: p, at: time.Now(), err: err, seen: s.seen}
	if before := s.now.Load(); before.phase == p {
		now.at = before.at
	}
	s.now.Store(now)
}

// wake ends a wait early.
func (s *stream) wake() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

// cut drops the connection: whoever calls it knows that it may be dead. What was
// written meanwhile comes with the next one.
func (s *stream) cut() {
	if c := s.connected.Load(); c != nil {
		_ = c.ws.CloseNow()
	}
	s.wake()
}

// run follows the container until it is removed or ctx ends. A close says
// nothing of the reason (1000 is sent for a stop, a removal and a lost agent
// alike), so the container's state is asked for after each.
func (s *stream) run(ctx context.Context) {
	defer s.is(PhaseEnded, nil)
	for ctx.Err() == nil {
		err := s.session(ctx, true)
		if ctx.Err() != nil {
			return
		}
		s.is(PhaseConnecting, err)
		if s.after(ctx) {
			return
		}
	}
}

// once reads what there is without following it. A close with 1000 may have been a
// cut, so that what gave fewer lines than were asked for is read again from the
// last one on.
func (s *stream) once(ctx context.Context) {
	var err error
	for range maxReads {
		err = s.session(ctx, false)
		if err == nil && (s.arrived >= s.tail || s.arrived == 0 && s.bound.complete()) {
			break
		}
		if err != nil && ctx.Err() == nil {
			s.is(PhaseConnecting, err)
			s.wait(ctx)
		}
	}
	s.is(PhaseEnded, err)
}

// after decides what follows a closed connection; true means that it was the
// last.
func (s *stream) after(ctx context.Context) bool {
	state, err := s.state(ctx)
	switch {
	case err != nil:
		s.wait(ctx)
		return false
	case isGone(state):
		return true
	case state == "stopped":
		return s.stopped(ctx)
	default:
		s.wait(ctx)
		return false
	}
}

// state asks Rancher for the container's state.
func (s *stream) state(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	state, err := s.source.ContainerState(ctx, s.id)
	if err != nil && ctx.Err() == nil {
		s.is(PhaseConnecting, fmt.Errorf("reading state of container %s: %w", s.id, err))
	}
	return state, err
}

// isGone says that a container in this state has no logs any more.
func isGone(state string) bool {
	switch state {
	case "removing", "removed", "purging", "purged":
		return true
	}
	return false
}

// stopped reads the end of a stopped container's log, then waits until it is
// started again or removed.
func (s *stream) stopped(ctx context.Context) bool {
	drained := s.drain(ctx)
	for ctx.Err() == nil {
		if drained {
			s.is(PhaseStopped, nil)
		}
		s.wait(ctx)
		state, err := s.state(ctx)
		switch {
		case err != nil:
		case isGone(state):
			return true
		case state != "stopped":
			s.fails = 0
			return false
		case !drained:
			drained = s.drain(ctx)
		}
	}
	return true
}

// drain reads what a stopped container wrote without following it: the
// connection that closed may have been cut by something else just before. The
// whole is known by the lines that came again.
func (s *stream) drain(ctx context.Context) bool {
	for range maxDrains {
		if err := s.session(ctx, false); err != nil {
			return false
		}
		if s.arrived == 0 && s.bound.complete() {
			break
		}
	}
	return true
}

// session is one connection from the logs action to the close. Its error is nil
// when it closed with 1000.
func (s *stream) session(ctx context.Context, follow bool) error {
	s.arrived = 0
	c, err := s.open(ctx, follow)
	if errors.Is(err, errRefused) {
		// The token may have been too old: a fresh one answers that.
		c, err = s.open(ctx, follow)
	}
	if err != nil {
		return fmt.Errorf("following logs of container %s: %w", s.id, err)
	}
	defer c.close()
	s.connected.Store(c)
	defer s.connected.Store(nil)
	if !s.seen {
		s.seen, s.seenAt = true, time.Now()
	}
	if follow {
		s.is(PhaseAttached, nil)
	}
	begin := time.Now()
	cut := s.read(c)
	// A peer that opens and closes at once must not be asked every second.
	if s.arrived > 0 || time.Since(begin) > maxDelay {
		s.fails = 0
	}
	if cut != nil {
		return fmt.Errorf("following logs of container %s: %w", s.id, cut)
	}
	return nil
}

// open asks for a stream and dials it.
func (s *stream) open(ctx context.Context, follow bool) (*conn, error) {
	o := Options{Follow: follow, Lines: s.tail, Timestamps: true, Since: s.bound.resume()}
	switch {
	case s.bound.hasBegun():
		o.Lines = AllLines
	case s.tail == 0 && s.seen:
		// Without a line of history there is no point to go on from but the time when
		// the first connection opened.
		o.Since, o.Lines = s.bound.beginAt(s.seenAt.Add(-overlap)), AllLines
	}
	actx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	url, err := s.source.OpenLogs(actx, s.id, o)
	if err != nil {
		return nil, err
	}
	return dial(ctx, s.client, url)
}

// read decodes frames until the connection closes; its error is nil when the
// peer closed with 1000.
func (s *stream) read(c *conn) error {
	var d Decoder
	deliver := func(r Record) {
		if s.bound.fresh(r.Nanos, r.Text) {
			s.arrived++
			s.sink(r)
		}
	}
	for {
		frame, err := c.next()
		if err != nil {
			// A line whose end did not come would not be told from the whole one after
			// a cut; it comes again with the next connection.
			if isNormalClose(err) {
				d.Flush(deliver)
				return nil
			}
			return fmt.Errorf("reading websocket: %w", err)
		}
		d.Decode(frame, deliver)
	}
}

// wait backs off: 1 s after a connection that was open, doubling up to 30 s, and
// less at first for a container that was never attached.
func (s *stream) wait(ctx context.Context) {
	base := minDelay
	if !s.seen {
		base = firstDelay
	}
	delay := min(maxDelay, base<<min(s.fails, 7))
	s.fails++
	// Up to a quarter less keeps the streams of one host from coming all at once.
	t := time.NewTimer(delay - rand.N(delay/4))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-s.nudge:
	case <-t.C:
	}
}
