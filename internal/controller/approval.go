package controller

import (
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// checkDecision refuses a person's decision on the open rollout that comes too
// late, or is about something else than the person saw: approvals, early finishes
// and rollbacks are bound to a rollout and, when it is given, to its digest.
func checkDecision(cmd Command, r *reconcile.Rollout) error {
	switch {
	case cmd.Digest != "" && cmd.Digest != r.To.Digest && cmd.Digest != r.To.Manifest:
		return refuse("rollout %s brings %s, not %s", r.ID, r.To.Digest, cmd.Digest)
	case cmd.Verb != Approve && cmd.Verb != Finish:
	case !r.RollingBackAt.IsZero():
		return refuse("too late: rollout %s is taken back: %s", r.ID, r.Reason)
	case !r.StuckAt.IsZero():
		return refuse("too late: rollout %s is stuck: %s", r.ID, r.Reason)
	case !r.FinishingAt.IsZero():
		return refuse("rollout %s is being finished already", r.ID)
	}
	return nil
}

// checkApproval refuses an approval that the gates have overtaken: a person
// approves what was seen, and what was seen has turned (C34).
func checkApproval(r *reconcile.Rollout, last *Report, now time.Time) error {
	if now.After(r.Deadline) && (last == nil || last.Decision.Phase != reconcile.AwaitApproval) {
		return refuse("too late: rollout %s was to be finished by %s", r.ID, r.Deadline.UTC().Format(time.RFC3339))
	}
	if last == nil || last.Rollout == nil || last.Rollout.ID != r.ID {
		return nil
	}
	isOver := last.Decision.Phase == reconcile.Bake && last.Decision.Code == reconcile.CodeShortOfEvidence && !last.Decision.BakeStart.IsZero()
	for i := range last.Decision.Gates {
		f := &last.Decision.Gates[i]
		isBad := f.Verdict == reconcile.Fail || isOver && f.Verdict != reconcile.Pass
		if isBad {
			return refuse("the gates have turned: %s: %s", f.Gate, f.Text())
		}
	}
	return nil
}
