package reconcile

import (
	"slices"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// A check is called when every container is proved, so that whatever it sends
// reaches the new version only; once per rollout, whatever is restarted meanwhile:
// that it was called, where it runs and what it said is history.

// checks are the names of the checks that judge this rollout. The same image
// under another name, and a way back, need none.
func (l *look) checks() []string {
	if l.r == nil || l.r.Kind != Deploy {
		return nil
	}
	return l.in.Target.Gates.Checks
}

// check is what is remembered of a check; nil when it was not called.
func (r *Rollout) check(name string) *Check {
	i := slices.IndexFunc(r.Checks, func(c Check) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Checks[i]
}

// checked is the rollout with what became of a check.
func (r Rollout) checked(c Check) Rollout {
	r.Checks = slices.Clone(r.Checks)
	if old := r.check(c.Name); old != nil {
		*old = c
	} else {
		r.Checks = append(r.Checks, c)
	}
	return r
}

// recordCheck makes a check's news history, for this look too.
func (l *look) recordCheck(c Check, reason string) {
	l.record(Event{Kind: EventCheck, Check: &c, Reason: reason})
	l.in.History = l.in.History.Apply(l.events[len(l.events)-1])
	l.r = l.in.History.Rollout
}

// startChecks calls the checks that were not called yet. Nothing is called that
// could not be written down, or it would be called again.
func (l *look) startChecks() {
	if l.in.Observed.Fleet.NotDurable || l.isPaused() {
		return
	}
	for _, name := range l.checks() {
		if l.r.check(name) == nil {
			l.recordCheck(Check{Name: name, Started: l.in.Now, State: observe.CheckRunning}, "every container is proved")
		}
	}
}

// noteChecks takes over where checks run and what they said.
func (l *look) noteChecks() {
	if l.r == nil {
		return
	}
	for i := range l.in.Observed.Checks {
		n := &l.in.Observed.Checks[i]
		c := l.r.check(n.Name)
		if c == nil || n.Rollout != l.r.ID || c.State != observe.CheckRunning {
			continue
		}
		isOver := n.State != observe.CheckRunning && n.State != ""
		if !isOver && (n.Ref == "" || n.Ref == c.Ref) {
			continue
		}
		next := *c
		next.Ref, next.URL = n.Ref, n.URL
		if isOver {
			next.State, next.Detail, next.Ended = n.State, n.Detail, l.in.Now
		}
		l.recordCheck(next, n.Detail)
	}
}

// checkRuns are the checks to work on.
func (l *look) checkRuns() []observe.CheckRun {
	var runs []observe.CheckRun
	for i := range l.r.Checks {
		c := &l.r.Checks[i]
		if c.State != observe.CheckRunning {
			continue
		}
		runs = append(runs, observe.CheckRun{Name: c.Name, Started: c.Started, Ref: c.Ref, About: observe.CheckSubject{
			Check: c.Name, Target: l.in.Target.Name, Stack: l.in.Target.Stack, Service: l.in.Target.Service,
			Rollout: l.r.ID, Kind: string(l.r.Kind), Image: l.r.To.Image, Tag: l.r.Tag, From: l.r.From.Digest, To: l.r.To.Digest,
			Revision: l.r.Revision, Started: l.r.Started, Deadline: l.r.Deadline,
		}})
	}
	return runs
}

// judgeCheck is one check. It never makes a hole in the bake: what it looks at is
// its own affair.
func judgeCheck(l *look, name string) Finding {
	f := Finding{Gate: "check " + name, Verdict: Hold, Code: CodeCheckWaits, Covered: true}
	c := l.r.check(name)
	if c == nil {
		return f
	}
	f.Detail = c.Detail
	switch c.State {
	case observe.CheckPassed:
		f.Verdict, f.Code = Pass, CodeCheckPassed
	case observe.CheckFailed:
		f.Verdict, f.Code = Fail, CodeCheckFailed
	case observe.CheckEnded:
		f.Verdict, f.Code = NoData, CodeCheckEnded
	case observe.CheckRunning:
		f.Code, f.For, f.Detail = CodeCheckRunning, l.in.Now.Sub(c.Started), c.URL
		if p := l.checkProblem(name); p != nil {
			f.Verdict, f.Code, f.Detail = NoData, CodeSourceProblem, p.Message
		}
	}
	return f
}

func (l *look) checkProblem(name string) *observe.Problem {
	for i := range l.in.Observed.Checks {
		if n := &l.in.Observed.Checks[i]; n.Name == name && n.Rollout == l.r.ID {
			return n.Problem
		}
	}
	return nil
}
