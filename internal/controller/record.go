package controller

import (
	"context"
	"sync"

	"gitlab.gf.com.cn/clickeggs/drover/internal/evidence"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

const (
	// deadPerLook and deadPerRollout bound how many dead containers' lines are read
	// in one look, which waits for them, and kept in all.
	deadPerLook    = 3
	deadPerRollout = 30
)

// keepStep adds a step to the rollout's evidence. Nothing depends on it: what
// cannot be kept is told once and costs nothing else.
func (c *Core) keepStep(key string, in reconcile.Input, d *reconcile.Decision, before []reconcile.Event, err error) {
	facts, action, at := c.state(key).endStep()
	if c.parts.Evidence == nil {
		return
	}
	step := evidence.Step{In: in, Decision: *d, Before: before, Facts: facts, Sent: action, SentAt: at}
	if err != nil {
		step.Err = err.Error()
	}
	c.tellOnce(c.parts.Evidence.Record(key, step))
}

// tellOnce logs an error of the evidence, and nothing more until it works again.
func (c *Core) tellOnce(err error) {
	if was := c.evidenceFails.Swap(err != nil); err != nil && !was {
		c.parts.Log.Error(err, "cannot keep evidence; rollouts go on without it")
	}
}

// alive is what is remembered of a new container between two looks, to notice its
// death.
type alive struct {
	container observe.Container
	isRunning bool
}

// keepDead keeps the last lines of new containers that died since the last look:
// Rancher replaces them, and purges them with their logs. A rollback keeps those of
// all new containers itself.
func (c *Core) keepDead(ctx context.Context, key string, in *reconcile.Input, d *reconcile.Decision) {
	if c.parts.Evidence == nil || c.parts.Tailer == nil {
		return
	}
	s := c.state(key)
	r := in.History.Rollout
	if r == nil || !r.RollingBackAt.IsZero() {
		s.alive, s.dead = nil, 0
		return
	}
	if in.Observed.Service.Problem != nil || in.Observed.Service.ContainersProblem != nil {
		return
	}
	died := s.died(&in.Observed.Service)
	if d.Action == reconcile.Rollback {
		return
	}
	room := min(deadPerLook, deadPerRollout-s.dead, len(died))
	if room <= 0 {
		return
	}
	s.dead += room
	for i, kept := range c.readTails(ctx, died[:room]) {
		c.tellOnce(c.parts.Evidence.AddContainer(key, in.Now, evidenceOf(died[i].why, kept)))
	}
}

// deadContainer is one that died, and how that was noticed.
type deadContainer struct {
	observe.Container
	why string
}

// died compares the new containers with those of the last look.
func (s *state) died(svc *observe.Service) []deadContainer {
	now := make(map[string]alive, len(svc.Containers))
	var died []deadContainer
	for i := range svc.Containers {
		container := &svc.Containers[i]
		if container.Version != svc.Launch.Version {
			continue
		}
		isRunning := container.State == "running" || container.State == "updating-running"
		now[container.ID] = alive{*container, isRunning}
		was, isKnown := s.alive[container.ID]
		switch {
		case !isKnown:
		case was.isRunning && !isRunning:
			died = append(died, deadContainer{*container, "it is " + container.State + " and was running"})
		case container.StartCount > was.container.StartCount:
			died = append(died, deadContainer{*container, "it was started again"})
		}
	}
	for id, was := range s.alive {
		if _, isThere := now[id]; !isThere && was.isRunning && was.container.Version == svc.Launch.Version {
			died = append(died, deadContainer{was.container, "it is gone"})
		}
	}
	s.alive = now
	return died
}

// readTails reads the last lines of containers, all at once, in most of the time
// that evidence may take.
func (c *Core) readTails(ctx context.Context, containers []deadContainer) []ContainerEvidence {
	ctx, cancel := context.WithTimeout(ctx, rollbackGrace*3/4)
	defer cancel()
	kept := make([]ContainerEvidence, len(containers))
	var reading sync.WaitGroup
	for i := range containers {
		kept[i] = ContainerEvidence{Container: containers[i].Container}
		reading.Go(func() { c.readTail(ctx, &kept[i]) })
	}
	reading.Wait()
	return kept
}

// readTail reads the last lines of one container, without secrets.
func (c *Core) readTail(ctx context.Context, kept *ContainerEvidence) {
	lines, err := c.parts.Tailer.Tail(ctx, kept.ID, evidenceLines)
	if err != nil {
		kept.Error = err.Error()
	}
	mask := c.redactor()
	for j := range lines {
		lines[j].Text = clip(mask.String(lines[j].Text), evidenceLineBytes)
	}
	kept.Lines = lines
}

func (c *Core) redactor() *evidence.Redactor {
	if c.parts.Evidence != nil {
		return c.parts.Evidence.Redactor()
	}
	return noSecrets
}

// hideSecrets keeps a configuration's secrets out of the evidence from now on.
func (c *Core) hideSecrets(config *desired.Config) {
	if c.parts.Evidence != nil {
		c.parts.Evidence.Redact(evidence.NewRedactor(evidence.SecretsOf(config)...))
	}
}

// noSecrets knows none, and what they look like.
var noSecrets = evidence.NewRedactor()

// evidenceOf is a container for the rollout's file.
func evidenceOf(why string, kept ContainerEvidence) evidence.Container {
	e := evidence.Container{Why: why, Container: kept.Container, Error: kept.Error}
	for i := range kept.Lines {
		e.Lines = append(e.Lines, lineOf(&kept.Lines[i]))
	}
	return e
}

func lineOf(l *logs.Line) evidence.LogLine {
	return evidence.LogLine{At: l.Time, Output: l.Output.String(), Text: l.Text}
}
