package reconcile

import (
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// takeBack answers what ends a rollout early, in upgrading and upgraded alike: a
// rollback already decided, a person's abort, a gate that fails.
func (l *look) takeBack() (step, bool) {
	if !l.r.RollingBackAt.IsZero() {
		return l.repeatRollback(), true
	}
	l.findings = l.judge()
	if by := l.aborted(); by != "" {
		return l.rollBack(CodeAborted, by+" takes it back", true, by), true
	}
	if sum(l.findings) == Fail {
		return l.rollBack(CodeGateFailed, failed(l.findings), isCondemned(l.findings), ""), true
	}
	return step{}, false
}

func (l *look) aborted() string {
	if l.r.AbortBy != "" {
		return l.r.AbortBy
	}
	if l.in.Target.Abort == l.r.ID {
		return "targets.yaml"
	}
	return ""
}

// repeatRollback sends a rollback again that Rancher shows no sign of: it is safe
// to repeat, after looks that agree, and only until its deadline.
func (l *look) repeatRollback() step {
	if d, done := l.awaitEffect(Rollback, RollingBack); done {
		return d
	}
	if l.isLate() {
		return l.giveUp(CodeRollbackLate, "Rancher does not take the rollback"+l.rancherSays())
	}
	d := l.say(RollingBack, CodeRollingBack, l.every(), "rolling back: %s", l.r.Reason)
	d.Action = Rollback
	return d
}

// awaitEffect waits after a write until enough looks agree that it had no effect
// (I10).
func (l *look) awaitEffect(a Action, p Phase) (step, bool) {
	if l.mem.sent.action != a {
		return step{}, false
	}
	l.mem.sent.looks++
	if refused := l.mem.sent.refused; refused != "" && l.in.Now.Sub(l.mem.sent.at) < again {
		d := l.say(p, CodeNotAllowed, l.every(), "Rancher does not let this key do it: %s; asked again every %s", refused, again)
		d.Alert = true
		return d, true
	}
	if l.mem.sent.looks < proofLooks {
		return l.say(p, CodeAwaitingRancher, l.every(), "waiting for Rancher to show %s", a), true
	}
	l.mem.sent = sent{}
	return step{}, false
}

// deadline is the rollout's own, absolute. Without a failure it takes the version
// back as inconclusive: the digest is not condemned.
func (l *look) deadline() (step, bool) {
	if l.isJump || l.in.Now.Before(l.r.Deadline) {
		return step{}, false
	}
	if l.mem.state == "upgraded" && !l.mem.passedSince.IsZero() {
		// Passed and waiting for a person: the approval has its own limit.
		return step{}, false
	}
	if l.in.Target.Rollout.OnDeadline == desired.TimeoutHold {
		d := l.say(Bake, CodeDeadline, l.every(), "the deadline is over without a verdict: a person decides")
		d.Alert = true
		return d, true
	}
	return l.rollBack(CodeDeadline, "inconclusive: not finished by "+l.r.Deadline.UTC().Format(time.RFC3339)+l.rancherSays(), false, ""), true
}

// condemned are the digests a rollback puts into quarantine: those that changed.
func (l *look) condemned() []string {
	isPersons := l.r.RollingBackAt.IsZero()
	if !l.r.Condemned && !isPersons || l.r.Kind != Deploy {
		return nil
	}
	return l.r.brought()
}

// brought are the digests that a rollout changed to, of the primary and of sidekicks.
func (r *Rollout) brought() []string { return r.To.Changes(r.From) }

func (l *look) quarantineReason() string {
	if l.r.RollingBackAt.IsZero() {
		return "rolled back by " + byRancher
	}
	return l.r.Reason
}

// backoff doubles with each rollback of the last 24 hours.
func (l *look) backoff() time.Duration {
	before := l.in.History.RollbacksSince(l.in.Now.Add(-rollbackWindow))
	return l.in.Target.Rollout.Backoff.Duration << min(before, 6)
}

// rancherSays adds Rancher's own message, when it has one worth reading.
func (l *look) rancherSays() string {
	m := plainly(l.svc().TransitioningMessage)
	if m == "" {
		return ""
	}
	return "; Rancher says: " + m
}

// isBlindTooLong says that gates have had no data for longer than allowed.
func (l *look) isBlindTooLong() bool {
	if len(l.findings) == 0 || sum(l.findings) != NoData {
		l.mem.noDataSince = time.Time{}
		return false
	}
	return since(&l.mem.noDataSince, l.in.Now) >= l.in.Target.Rollout.NoDataLimit.Duration
}

// blindGates names the gates that have not passed, and why.
func (l *look) blindGates() string {
	var texts []string
	for i := range l.findings {
		if f := &l.findings[i]; f.Verdict != Pass || !f.Covered {
			texts = append(texts, f.Gate+": "+f.Text())
		}
	}
	return strings.Join(texts, "; ")
}
