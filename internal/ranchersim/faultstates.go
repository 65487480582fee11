package ranchersim

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// beginFault does at once what a fault does by itself, and notes how it is undone.
func (s *Server) beginFault(a *activeFault) error {
	switch a.Name {
	case FaultRestart:
		a.end = func() { s.life.Load().begin() }
		if a.Now {
			a.struck++
			s.goDown(a.For)
		}
	case FaultHostLost:
		return s.loseHost(a)
	case FaultInactive:
		s.setProjectState(stateInactive)
		a.struck++
		a.end = func() { s.setProjectState(stateActive) }
		s.endLater(a)
	case FaultSkew:
		s.skew.Store(int64(a.By))
		a.end = func() { s.skew.Store(0) }
		s.endLater(a)
	}
	return nil
}

// endLater undoes a fault when its time is over.
func (s *Server) endLater(a *activeFault) {
	if a.For == 0 {
		return
	}
	s.spawn(func(ctx context.Context) {
		t := time.NewTimer(a.For)
		defer t.Stop()
		select {
		case <-t.C:
			if s.faults.has(a) {
				a.end()
			}
		case <-ctx.Done():
		}
	})
}

// has says that a fault was not cleared.
func (b *faultBook) has(a *activeFault) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, other := range b.active {
		if other == a {
			return true
		}
	}
	return false
}

// loseHost has a host's agent go away until the fault ends.
func (s *Server) loseHost(a *activeFault) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := parseID(a.Host)
	if ids := sortedIDs(s.hosts); a.Host == "" && len(ids) > 0 {
		n, ok = ids[0], true
	}
	h := s.hosts[n]
	if !ok || h == nil {
		return fmt.Errorf("fault %q: there is no host %q", a.Name, a.Host)
	}
	s.setHostState(h, stateReconnecting)
	a.struck++
	a.end = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if h.state == stateReconnecting {
			s.setHostState(h, stateActive)
		}
	}
	s.endLater(a)
	return nil
}

func (s *Server) setProjectState(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.projects[0].state = state
}

// now is the time on Rancher's own clock, which stands on everything it writes down.
func (s *Server) now() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) }

// endsEarly tells whether an upgrade ends after this batch.
func (b *faultBook) endsEarly(svc *service) bool {
	return b.draw(about(svc), FaultEarlyUpgraded) != nil
}

func (b *faultBook) losesEvent() bool {
	return b.draw(func(*activeFault) bool { return true }, FaultLostEvent) != nil
}

// stall holds a process up for as long as the fault lasts, unless the service is taken over meanwhile.
func (b *faultBook) stall(ctx context.Context, name string, s *Server, p *process) error {
	a := b.draw(about(p.service), name)
	for a != nil && b.lasts(a) {
		t := time.NewTimer(s.scaled(stateCheck))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
		if !s.owns(p) {
			return errStateChanged
		}
	}
	return nil
}

// midBatch is the moment in a batch when its new containers are there and its old ones still are, or the other way
// round: here a restart strikes.
func (b *faultBook) midBatch(ctx context.Context, s *Server, svc *service) error {
	if a := b.draw(func(a *activeFault) bool { return !a.Now && a.isAbout(svc) }, FaultRestart); a != nil {
		s.goDown(a.For)
	}
	return context.Cause(ctx)
}

// life is the time between two restarts of the server's process. What it works on ends with it.
type life struct {
	ctx    context.Context
	cancel context.CancelFunc
	// since is when it began or will begin; begun is closed when somebody has it begin earlier.
	since time.Time
	begun chan struct{}
	once  sync.Once
}

func (s *Server) newLife(since time.Time) *life {
	ctx, cancel := context.WithCancel(s.ctx)
	return &life{ctx: ctx, cancel: cancel, since: since, begun: make(chan struct{})}
}

// begin has a life begin now.
func (l *life) begin() { l.once.Do(func() { close(l.begun) }) }

// wait is how long it still takes to begin.
func (l *life) wait() time.Duration {
	select {
	case <-l.begun:
		return 0
	default:
		return max(time.Until(l.since), 0)
	}
}

// goDown restarts the server: sockets break, work is cut off, and nothing answers for a while.
func (s *Server) goDown(outage time.Duration) {
	before := s.life.Swap(s.newLife(time.Now().Add(outage)))
	before.cancel()
	s.bus.closeAll()
}

// isDown tells whether the server is between two lives.
func (s *Server) isDown() bool { return s.life.Load().wait() > 0 }

// awaitLife waits until the server is up; the context ends with the next restart.
func (s *Server) awaitLife(ctx context.Context) context.Context {
	for ctx.Err() == nil {
		l := s.life.Load()
		wait := l.wait()
		if wait == 0 {
			return l.ctx
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-l.begun:
		case <-ctx.Done():
		}
		t.Stop()
	}
	return ctx
}
