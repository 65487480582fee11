package reconcile

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// What must hold at every look of a walk, whether something is done or not:
// I9, I11, I13, I15 and I16 of rollout-safety 4.3. Those of the writes alone are in
// property_test.go.

// begun is what was so when a rollout began.
type begun struct {
	deadline time.Time
	policy   desired.Target
	// looks is how many there were since, in upgrading, that found no failure.
	looks int
}

func (w *walk) always(in Input, h History, d Decision) {
	w.checkWrites(in, h, d)
	w.checkTimes(in, h, d)
	w.checkRollbackStandsAlone(in, d)
	w.checkExposure(in, h, d)
	w.checkPolicy(in, h)
	w.remember(d)
}

// remember keeps what a rollout begins with, to hold it to that.
func (w *walk) remember(d Decision) {
	for _, e := range d.Events {
		if e.Kind != EventStarted && e.Kind != EventRecovered {
			continue
		}
		known := maps.Clone(w.begun)
		if known == nil {
			known = map[string]begun{}
		}
		b := begun{deadline: e.Start.Deadline, policy: e.Start.Policy, looks: known[e.Start.ID].looks}
		if before, isKnown := known[e.Start.ID]; isKnown && e.Kind == EventRecovered {
			// A label has whole seconds; the policy of a lost journal is the file's.
			if off := before.deadline.Sub(b.deadline).Abs(); off >= time.Second {
				w.fail("I11: %s was recovered with a deadline %s off", e.Start.ID, off)
			}
		}
		known[e.Start.ID] = b
		w.begun = known
	}
}

// checkWrites: while a rollout is open nothing but finish, cancel and rollback is
// written, and nothing ever but Rancher's four actions (I9).
func (w *walk) checkWrites(in Input, h History, d Decision) {
	switch d.Action {
	case NoAction, FinishUpgrade, CancelUpgrade, Rollback:
		if d.Plan != nil {
			w.fail("I9: %q comes with another launch configuration", d.Action)
		}
	case Upgrade:
		switch s := in.Observed.Service; {
		case s.State != observe.StateActive:
			w.fail("I9: writes the launch configuration in %s", s.State)
		case h.Rollout != nil:
			w.fail("I9: writes the launch configuration while %s is open", h.Rollout.ID)
		case d.Plan.ExpectVersion != s.Launch.Version:
			w.fail("I9: would write over %s, having seen %s", d.Plan.ExpectVersion, s.Launch.Version)
		}
	default:
		w.fail("I9: writes by %q", d.Action)
	}
}

// checkTimes: a deadline stays what it was and takes effect; a bake begins with
// this look or goes on, and a hole ends it (I11).
func (w *walk) checkTimes(in Input, h History, d Decision) {
	before, now := in.Memory.bakeStart, in.Now
	switch {
	case d.BakeStart.IsZero() || d.BakeStart.Equal(now):
	case !d.BakeStart.Equal(before):
		w.fail("I11: the bake began at %s, and at the look before at %s", d.BakeStart, before)
	case in.Observed.Service.Problem != nil:
		w.fail("I11: the bake goes on although Rancher could not be read")
	case now.Sub(in.Memory.lastLook) > missedLooks*in.Target.Rollout.Look.Duration+time.Second || now.Before(in.Memory.lastLook):
		w.fail("I11: the bake goes on after %s without a look", now.Sub(in.Memory.lastLook))
	}
	r := h.Rollout
	if r == nil {
		return
	}
	b, isKnown := w.begun[r.ID]
	if isKnown && !r.Deadline.Equal(b.deadline) {
		w.fail("I11: the deadline of %s moved from %s to %s", r.ID, b.deadline, r.Deadline)
	}
	if isKnown && w.isOverdue(in, h, b) && d.Action != Rollback && d.Action != FinishUpgrade && d.Phase != Stuck && d.Phase != AwaitApproval {
		w.fail("I11: the deadline of %s was %s ago, and Drover says %s %s: %s", r.ID, now.Sub(b.deadline), d.Phase, d.Code, d.Reason)
	}
}

// isOverdue says that nothing keeps a rollout's deadline from taking effect in this
// look.
func (w *walk) isOverdue(in Input, h History, b begun) bool {
	s, r, m := in.Observed.Service, h.Rollout, in.Memory
	switch gap := in.Now.Sub(m.lastLook); {
	case in.Now.Before(b.deadline), s.Problem != nil, h.Holding != nil, !r.StuckAt.IsZero(), !r.RollingBackAt.IsZero(), r.CancelBy != "":
		return false
	case s.State != observe.StateUpgrading && s.State != observe.StateUpgraded, s.Launch.Labels[LabelRollout] != r.ID:
		return false
	case b.policy.Rollout.OnDeadline == desired.TimeoutHold, m.sent.action != NoAction, !m.passedSince.IsZero(), gap > jump || gap < 0:
		return false
	}
	return true
}

// checkRollbackStandsAlone: what is taken back would be taken back as well with the
// registry, the journal and everything a person may forbid in the way; and without
// the load balancer, unless that is what failed the version (I13).
func (w *walk) checkRollbackStandsAlone(in Input, d Decision) {
	if d.Action != Rollback {
		return
	}
	down := &observe.Problem{Cause: observe.CauseUnreachable, Message: "connection refused"}
	in.Observed.Image = observe.Image{Ref: in.Observed.Image.Ref, Problem: down}
	for name := range in.Observed.Sidekicks {
		in.Observed.Sidekicks = map[string]observe.Image{name: {Problem: down}}
	}
	in.Observed.Previous = observe.Pullable{Problem: down}
	in.Observed.Fleet = observe.Fleet{Self: in.Observed.Fleet.Self, NotDurable: true, ConservativeUntil: in.Now.Add(time.Hour), RollbacksLastHour: 100, LimitRollbacks: 1}
	in.Target.Pause, in.Target.Hold, in.History.PausedBy = true, "freeze", "mei"
	if r := in.History.Rollout; r != nil {
		without := *r
		without.ApprovedBy = ""
		in.History.Rollout = &without
	}
	if !slices.ContainsFunc(d.Gates, func(f Finding) bool { return f.Gate == "load balancer" && f.Verdict == Fail }) {
		in.Observed.LoadBalancer = observe.LoadBalancer{Problem: down}
	}
	if alone := Decide(in); alone.Action != Rollback {
		w.fail("I13: rolls back for %s (%s), and not with registry, journal and load balancer down: %s %s (%s)", d.Code, d.Reason, alone.Phase, alone.Code, alone.Reason)
	}
}

// checkExposure: Rancher's pacing is what the policy says, a failing gate stops the
// batches in the look that finds it, and so there are never more new containers
// than the looks that found no failure let through, and one batch (I15; in
// interval mode only while the daemon lives).
func (w *walk) checkExposure(in Input, h History, d Decision) {
	r := in.Target.Rollout
	if p := d.Plan; p != nil && (p.BatchSize != r.BatchSize || p.Interval != r.Interval.Duration) {
		w.fail("I15: batches of %d every %s, the policy says %d every %s", p.BatchSize, p.Interval, r.BatchSize, r.Interval)
	}
	s, open := in.Observed.Service, h.Rollout
	if s.Problem != nil || s.State != observe.StateUpgrading {
		w.looked(w.launch.Labels[LabelRollout])
		return
	}
	if open == nil || s.Launch.Labels[LabelRollout] != open.ID {
		w.looked(s.Launch.Labels[LabelRollout])
		return
	}
	isFailed := sum(d.Gates) == Fail && len(d.Gates) > 0
	if isFailed && d.Action != Rollback && open.RollingBackAt.IsZero() && open.Kind != Restore {
		w.fail("I15: goes on with the batches although %s", failed(d.Gates))
	}
	b, isKnown := w.begun[open.ID]
	if !isKnown || !open.RollingBackAt.IsZero() || !open.StuckAt.IsZero() {
		return
	}
	fresh := 0
	for i := range s.Containers {
		if c := &s.Containers[i]; c.LaunchName == "" && c.Version == s.Launch.Version && isRunning(c) {
			fresh++
		}
	}
	if most := b.policy.Rollout.BatchSize * (b.looks + 1); fresh > most {
		w.fail("I15: %d new containers after %d looks without a failure, at most %d may be", fresh, b.looks, most)
	}
	if !isFailed {
		w.looked(open.ID)
	}
}

// looked counts a look that did not stop the batches of a rollout: Rancher goes on
// while nobody sees or knows better (ruling 3).
func (w *walk) looked(id string) {
	b, isKnown := w.begun[id]
	if !isKnown {
		return
	}
	b.looks++
	w.begun = maps.Clone(w.begun)
	w.begun[id] = b
}

// checkPolicy: a rollout is decided by the policy that it began with, and of the
// file only hold, pause, abort and retry reach it (I16).
func (w *walk) checkPolicy(in Input, h History) {
	if h.Rollout == nil {
		return
	}
	b, isKnown := w.begun[h.Rollout.ID]
	if !isKnown {
		return
	}
	got, want := in.Target, b.policy
	got.Hold, got.Pause, got.Abort, got.Retry = "", false, "", ""
	want.Hold, want.Pause, want.Abort, want.Retry = "", false, "", ""
	if !reflect.DeepEqual(got, want) {
		w.fail("I16: %s is decided by a policy that it did not begin with:\n%s\nnot\n%s", h.Rollout.ID, asJSON(got), asJSON(want))
	}
	if in.Target.Pause != w.target.Pause || in.Target.Hold != w.target.Hold || in.Target.Abort != w.target.Abort {
		w.fail("I16: pause, hold and abort of the file do not reach the rollout")
	}
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
