package ranchersim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// process is one run of the state machine over a service. Like Cattle's it never fails for good: it is run again, later
// and later, until it is through or another process takes the service over.
type process struct {
	name        string // As the action: upgrade, rollback …; also update, create.
	service     *service
	via         string // The transitioning state it put the service into.
	executions  int
	transaction string         // Groups the service log entries of one execution.
	input       map[string]any // The action's body, where the process needs it.
}

// errStateChanged ends an execution because another process owns the service now.
var errStateChanged = errors.New("STATE_CHANGED")

// waitError is a monitor that ran out of time. It is no error to the API: transitioning stays yes, the text shows.
type waitError struct {
	text     string
	instance *instance
}

func (e *waitError) Error() string { return e.text }

// instanceError is a container that will not run. It shows as transitioning: error.
type instanceError struct {
	text     string
	instance *instance
}

func (e *instanceError) Error() string { return e.text }

// schedule puts the service into the process's transitioning state and starts working. The caller holds mu and has
// checked that the action is offered.
func (s *Server) schedule(svc *service, name string) *process {
	p := &process{name: name, service: svc, via: serviceProcesses[name].viaState(svc.state)}
	svc.process = p
	svc.state = p.via
	svc.transError, svc.transMessage = false, ""
	svc.signal()
	s.touchService(svc)
	s.spawn(func(ctx context.Context) { s.work(ctx, p) })
	return p
}

// work executes a process until it is done or superseded.
func (s *Server) work(ctx context.Context, p *process) {
	for ctx.Err() == nil {
		life := s.awaitLife(ctx)
		done := s.execute(life, p)
		wasCut := life.Err() != nil && ctx.Err() == nil && s.owns(p)
		if done && !wasCut {
			return
		}
		if life = s.awaitLife(ctx); !s.waitForReplay(life, p) && life.Err() == nil {
			return
		}
	}
}

// execute runs a process once under the service lock; it is true when nothing is left to do for it.
func (s *Server) execute(ctx context.Context, p *process) bool {
	select {
	case p.service.lock <- struct{}{}:
	case <-ctx.Done():
		return true
	}
	defer func() { <-p.service.lock }()
	if !s.owns(p) {
		return true
	}
	s.begin(p)
	s.sleep(ctx, beginTime)
	return s.settle(ctx, p, s.handle(ctx, p))
}

func (s *Server) begin(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.executions++
	p.transaction = s.uuid()
}

// handle does what the process is for.
func (s *Server) handle(ctx context.Context, p *process) error {
	switch p.name {
	case "create":
		return s.create(ctx, p)
	case "activate":
		return s.activate(ctx, p)
	case "update":
		return s.update(ctx, p)
	case "deactivate":
		return s.deactivate(ctx, p)
	case "remove":
		return s.removeService(ctx, p)
	case "upgrade", "continueupgrade":
		return s.upgrade(ctx, p)
	case "finishupgrade":
		return s.finishUpgrade(ctx, p)
	case "rollback":
		return s.rollback(ctx, p)
	case "restart":
		return s.restart(ctx, p)
	case "cancelupgrade":
		return nil // The lock is held, so the loop has ended; that is all there is to do.
	default:
		return fmt.Errorf("no handler for process %s", p.name)
	}
}

// settle records the outcome of an execution; it is true when the process will not run again.
func (s *Server) settle(ctx context.Context, p *process, err error) bool {
	if ctx.Err() != nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	svc := p.service
	switch {
	case errors.Is(err, errStateChanged):
		// The text is written into the process that took over, where it is not an error. An update leaves the state as
		// it is, so nothing changed.
		if isTransitioning(svc.state) && svc.process != nil && svc.process.name != "update" {
			svc.transMessage = err.Error()
		}
	case err == nil && svc.process == p:
		s.finish(p)
	case err != nil:
		s.note(p, err)
	}
	s.touchService(svc)
	svc.signal()
	return err == nil || svc.process != p
}

// finish moves the service to the process's end state. The caller holds mu.
func (s *Server) finish(p *process) {
	svc := p.service
	svc.process = nil
	svc.state = serviceProcesses[p.name].doneState(p.via)
	svc.transError, svc.transMessage = false, ""
	if svc.state == stateRemoved {
		svc.removed = s.now()
	}
	s.changedContainers()
	if p.name == "create" && toBool(svc.fields["startOnCreate"]) {
		s.schedule(svc, "activate") // healthState stays healthy until a container runs (recorded).
		return
	}
	s.healthSoon(svc)
}

// note shows why an execution ended early. The caller holds mu.
func (s *Server) note(p *process, err error) {
	svc := p.service
	svc.transMessage = err.Error()
	var wait *waitError
	if !errors.As(err, &wait) {
		svc.transError = true
	}
}

// waitForReplay waits for the scanner to run the process again; it is false when that will not happen. The delay is
// that of DefaultProcessInstanceImpl#setNextRunAfter, the scanner looks at fixed times.
func (s *Server) waitForReplay(ctx context.Context, p *process) bool {
	delay := min(retryBase+100*time.Millisecond<<min(max(p.executions-1, 0), 20), retryMax)
	sinceStart := time.Duration(float64(time.Since(s.started)) * s.speed)
	next := (sinceStart + delay + replayInterval - 1) / replayInterval * replayInterval
	return s.sleep(ctx, next-sinceStart) && s.owns(p)
}

// owns tells whether the process still is the one the service's state belongs to.
func (s *Server) owns(p *process) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return p.service.process == p
}

// pause waits unless the service is taken over meanwhile, which only a look once per slice notices.
func (s *Server) pause(ctx context.Context, p *process, d time.Duration) error {
	for d > 0 {
		slice := min(d, sleepSlice)
		if !s.sleep(ctx, slice) {
			return context.Cause(ctx)
		}
		if !s.owns(p) {
			return errStateChanged
		}
		d -= slice
	}
	return nil
}

// waitUntil waits for a condition on the service's records, looking again whenever something changes. With a process
// given it also ends when the service is taken over, noticed every five seconds or on a change.
func (s *Server) waitUntil(ctx context.Context, svc *service, p *process, cond func() (bool, error)) (bool, error) {
	deadline := time.NewTimer(s.scaled(monitorTimeout))
	defer deadline.Stop()
	check := time.NewTicker(s.scaled(stateCheck))
	defer check.Stop()
	for {
		s.mu.RLock()
		ok, err := cond()
		changed := svc.changed
		owned := p == nil || svc.process == p
		s.mu.RUnlock()
		if ok || err != nil {
			return ok, err
		}
		select {
		case <-changed:
			continue // The state is looked at on the next tick, or when the condition holds.
		case <-check.C:
			if !owned {
				return false, errStateChanged
			}
		case <-deadline.C:
			return false, nil
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// hasAction tells whether a process action is offered in the service's state. The caller holds mu.
func hasAction(svc *service, name string) bool {
	return slices.Contains(serviceProcesses[name].from, svc.state)
}
