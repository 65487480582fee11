package main

import (
	"context"
	"slices"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

const (
	// planLooks is how often a target is looked at whose gates, or whose way back, were
	// not seen yet: a probe answers after the look that asked for it.
	planLooks = 6
	// planPause is the time between such looks.
	planPause = time.Second
)

// planner decides about targets and does nothing.
type planner struct {
	// asWritten goes by the file, settled by the file without the time that digests
	// settle in.
	asWritten, settled *controller.Core
}

// planning is one target while it is planned.
type planning struct {
	planned
	// core is the one of the planner's that decides.
	core *controller.Core
	// memory is what the gates have seen so far.
	memory reconcile.Memory
}

// planAll plans every target. Those whose gates have seen nothing yet are looked at
// again, all of them after one pause.
func (p planner) planAll(ctx context.Context, targets []desired.Target) []planned {
	all := make([]planning, len(targets))
	for i := range all {
		all[i] = planning{planned: planned{Target: targets[i].Key()}, core: p.asWritten}
		p.plan(ctx, &all[i])
	}
	isBlind := func(g planning) bool {
		return g.Error == "" && (g.Code == reconcile.CodeBaselineBlind || g.Code == reconcile.CodeNotPullable)
	}
	for n := 1; n < planLooks && slices.ContainsFunc(all, isBlind); n++ {
		if !pause(ctx, planPause) {
			break
		}
		for i := range all {
			if isBlind(all[i]) {
				p.plan(ctx, &all[i])
			}
		}
	}
	plans := make([]planned, len(all))
	for i := range all {
		plans[i] = all[i].planned
	}
	return plans
}

// plan decides about one target. What is seen for the first time is remembered
// here only, and looked at again: what follows from it is what people ask for. So it
// is with a digest that has to settle.
func (p planner) plan(ctx context.Context, g *planning) {
	for range 3 {
		seen, d, err := g.core.Look(ctx, g.Target, g.memory)
		if err != nil {
			g.Error = err.Error()
			return
		}
		g.take(seen, d, g.core.History(g.Target))
		g.memory = d.Memory
		switch {
		case d.Phase == reconcile.Settle:
			g.Settle, g.core = d.Reason, p.settled
		case d.Code == reconcile.CodeFirstSight && len(d.Events) > 0:
			g.FirstSight = d.Reason
			p.asWritten.Suppose(g.Target, d.Events...)
			p.settled.Suppose(g.Target, d.Events...)
		default:
			return
		}
	}
}

// settled is a configuration that takes each digest at once.
func settled(config *desired.Config) *desired.Config {
	at := *config
	at.Targets = slices.Clone(config.Targets)
	for i := range at.Targets {
		at.Targets[i].Rollout.Settle = &desired.Duration{}
	}
	return &at
}

// pause waits, and says whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
