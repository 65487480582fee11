package deploytool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// patience is how many reads in a row must show something bad: what passes between
// two steps of Rancher is no verdict.
const patience = 3

// errTakenOver means that somebody else changed the service meanwhile. They win.
var errTakenOver = errors.New("taken over")

// sickError is a new version that is not well.
type sickError struct{ reason string }

// Error names what is wrong.
func (e *sickError) Error() string { return e.reason }

// rollout follows an upgrade until it is complete.
type rollout struct {
	t *tool
	// version is the launch configuration's that was posted, scale how many
	// containers it had to make.
	version string
	scale   int
	// gate is how long the containers must be well; below 0 they are not asked.
	gate time.Duration
	// wellSince is when they were first seen well in this streak.
	wellSince time.Time
	// problem is what is missing; sick and strange count bad reads in a row.
	problem       string
	sick, strange int
	// isFinished says that somebody finished the upgrade already.
	isFinished bool
}

// complete waits until the upgrade is through and its containers are well.
func (t *tool) complete(ctx context.Context) error {
	gate, _ := t.o.gate() // It was checked.
	r := &rollout{t: t, version: t.service.Launch.Version, scale: t.before.Scale, gate: gate}
	err := t.await(ctx, t.timeout()+max(gate, 0), r.judge)
	if err != nil {
		return t.incomplete(ctx, r, err)
	}
	if r.isFinished {
		t.say.warn("Somebody else finished the upgrade")
		t.say.progress("Upgrade finished")
		t.result.Outcome = Finished
	}
	return nil
}

// incomplete answers what kept the upgrade from being complete.
func (t *tool) incomplete(ctx context.Context, r *rollout, err error) error {
	var late *timeoutError
	var sick *sickError
	switch {
	case errors.As(err, &late):
		if r.problem != "" {
			late.last += ", " + r.problem
		}
		return t.failed(onTimeout, fmt.Errorf("a timeout occurred while waiting for Rancher to complete the upgrade, which is not complete: %w", late))
	case errors.As(err, &sick):
		return t.failed(onUnhealthy, sick)
	case errors.Is(err, errTakenOver), ctx.Err() != nil:
		return err
	}
	return t.failed(onError, err)
}

// judge looks at one read.
func (r *rollout) judge(s *observe.Service) (bool, error) {
	if s.Launch.Version != r.version {
		if r.strange++; r.strange < patience {
			return false, nil
		}
		return false, fmt.Errorf("%w: somebody else changed %s, which is '%s' and runs %s; it is left alone", errTakenOver, r.t.name(), s.State, s.Launch.Image)
	}
	r.strange = 0
	switch s.State {
	case observe.StateUpgraded:
		return r.judgeContainers(s)
	case observe.StateActive:
		r.isFinished = true
		return true, nil
	case observe.StateUpgrading:
		return false, r.judgeHealth(s, r.t.failing(s, r.version))
	case observe.StateCancelingUpgrade, observe.StateCanceledUpgrade:
		return false, fmt.Errorf("%w: somebody else canceled the upgrade of %s; it is left alone", errTakenOver, r.t.name())
	default: // On its way from one to the other.
		return false, nil
	}
}

// judgeContainers asks the containers themselves: a service is upgraded without a
// single new container when no host was active, and with containers that died.
func (r *rollout) judgeContainers(s *observe.Service) (bool, error) {
	if r.gate < 0 {
		return true, nil
	}
	if r.problem = r.missing(s); r.problem != "" {
		r.wellSince = time.Time{}
		return false, r.judgeHealth(s, r.problem)
	}
	r.sick = 0
	if r.wellSince.IsZero() {
		r.wellSince = time.Now()
		if r.gate > 0 {
			r.t.say.progress("Service upgraded, its containers must stay well for %s...", r.gate)
		}
	}
	return time.Since(r.wellSince) >= r.gate, nil
}

// judgeHealth counts bad reads, where a rollback is asked for on them.
func (r *rollout) judgeHealth(s *observe.Service, problem string) error {
	if problem == "" {
		r.sick = 0
		return nil
	}
	if r.sick++; r.sick < patience || !r.t.o.rollsBack(onUnhealthy) {
		return nil
	}
	return &sickError{fmt.Sprintf("the new version is not healthy: %s (the service is '%s')", problem, s.State)}
}

// missing says what keeps an upgraded service from being complete.
func (r *rollout) missing(s *observe.Service) string {
	if p := s.ContainersProblem; p != nil {
		return "its containers cannot be read: " + p.Message
	}
	if problem := r.t.failing(s, r.version); problem != "" {
		return problem
	}
	running, want := 0, min(r.scale, s.Scale)
	for i := range s.Containers {
		if c := &s.Containers[i]; isNew(c, r.version) && (c.State == "running" || s.Launch.StartsOnce) {
			running++
		}
	}
	if s.Global {
		want = min(want, 1) // One per host, however many there are.
	}
	if s.Launch.Image == imageNone {
		want = 0
	}
	if running < want {
		return fmt.Sprintf("%d of %d new containers run", running, want)
	}
	return ""
}

// imageNone is the image of a service without containers of its own.
const imageNone = "rancher/none"

// failing names a new container that is not well, or the service's own error.
func (t *tool) failing(s *observe.Service, version string) string {
	for i := range s.Containers {
		c := &s.Containers[i]
		switch {
		case !isNew(c, version):
		case c.Health == "unhealthy", c.State == "error":
			return fmt.Sprintf("container %s is in state %s", c.Name, orState(c))
		case c.State == "stopped" && !s.Launch.StartsOnce:
			return fmt.Sprintf("container %s stopped", c.Name)
		}
	}
	if s.Transitioning == "error" {
		return s.TransitioningMessage
	}
	return ""
}

// orState is what is wrong with a container.
func orState(c *observe.Container) string {
	text := c.State
	if c.Health == "unhealthy" {
		text = c.Health
	}
	if c.Message != "" {
		text += ": " + c.Message
	}
	return text
}

// isNew says that a container of the primary is of the new version.
func isNew(c *observe.Container, version string) bool {
	return c.LaunchName == "" && c.Version == version
}
