package controller

import (
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// TestDecisionsAreBoundToWhatWasSeen: rows C33 and C34 of the fault table, and
// what comes too late.
func TestDecisionsAreBoundToWhatWasSeen(t *testing.T) {
	now := time.Date(2026, 11, 26, 1, 0, 0, 0, time.UTC)
	open := func(edit func(*reconcile.Rollout)) reconcile.History {
		r := reconcile.Rollout{ID: "r1", Deadline: now.Add(time.Hour), To: ran("sha256:bb")}
		r.To.Manifest = "sha256:mm"
		edit(&r)
		return reconcile.History{Rollout: &r}
	}
	as := func(*reconcile.Rollout) {}
	saw := func(p reconcile.Phase, code reconcile.Code, baking bool, verdicts ...reconcile.Verdict) func(h reconcile.History) *Report {
		return func(h reconcile.History) *Report {
			d := reconcile.Decision{Phase: p, Code: code}
			if baking {
				d.BakeStart = now.Add(-time.Minute)
			}
			for _, v := range verdicts {
				d.Gates = append(d.Gates, reconcile.Finding{Gate: "http", Verdict: v, Code: reconcile.CodeProbeFailed, Failures: 3})
			}
			return &Report{Rollout: h.Rollout, Decision: d}
		}
	}
	passed := saw(reconcile.AwaitApproval, reconcile.CodeNeedsApproval, true, reconcile.Pass)
	for _, tt := range []struct {
		name string
		cmd  Command
		edit func(*reconcile.Rollout)
		saw  func(reconcile.History) *Report
		want string // Part of the refusal; empty is accepted.
	}{
		{"approve what passed", Command{Verb: Approve, Rollout: "r1", Digest: "sha256:bb"}, as, passed, ""},
		{"approve by the platform's manifest", Command{Verb: Approve, Digest: "sha256:mm"}, as, passed, ""},
		{"approve beforehand, in the bake", Command{Verb: Approve}, as, saw(reconcile.Bake, reconcile.CodeBaking, true, reconcile.Hold), ""},
		{"approve before any look", Command{Verb: Approve}, as, func(reconcile.History) *Report { return nil }, ""},
		{"C33: another rollout", Command{Verb: Approve, Rollout: "r0"}, as, passed, "rollout r0 is not the open one"},
		{"another digest", Command{Verb: Approve, Rollout: "r1", Digest: "sha256:cc"}, as, passed, "brings sha256:bb, not sha256:cc"},
		{"finish of another digest", Command{Verb: Finish, Digest: "sha256:cc"}, as, passed, "not sha256:cc"},
		{"rollback of another digest", Command{Verb: Abort, Digest: "sha256:cc"}, as, passed, "not sha256:cc"},
		{"C34: a gate failed", Command{Verb: Approve}, as, saw(reconcile.AwaitApproval, reconcile.CodeNeedsApproval, true, reconcile.Pass, reconcile.Fail), "the gates have turned: http: 3 probes in a row failed"},
		{"C34: the bake is over and they do not pass", Command{Verb: Approve}, as, saw(reconcile.Bake, reconcile.CodeShortOfEvidence, true, reconcile.Hold), "the gates have turned"},
		{"taken back already", Command{Verb: Approve}, func(r *reconcile.Rollout) { r.RollingBackAt, r.Reason = now, "http: dead" }, passed, "too late: rollout r1 is taken back: http: dead"},
		{"finish of what is taken back", Command{Verb: Finish}, func(r *reconcile.Rollout) { r.RollingBackAt = now }, passed, "too late"},
		{"rollback of what is taken back", Command{Verb: Abort}, func(r *reconcile.Rollout) { r.RollingBackAt = now }, passed, ""},
		{"stuck", Command{Verb: Approve}, func(r *reconcile.Rollout) { r.StuckAt = now }, passed, "stuck"},
		{"being finished", Command{Verb: Approve}, func(r *reconcile.Rollout) { r.FinishingAt = now }, passed, "being finished already"},
		{"after the deadline", Command{Verb: Approve}, func(r *reconcile.Rollout) { r.Deadline = now.Add(-time.Second) }, saw(reconcile.Bake, reconcile.CodeBaking, true), "too late: rollout r1 was to be finished by"},
		{"after the deadline, having waited", Command{Verb: Approve}, func(r *reconcile.Rollout) { r.Deadline = now.Add(-time.Second) }, passed, ""},
	} {
		h := open(tt.edit)
		_, err := eventOf(tt.cmd, h)
		if err == nil && tt.cmd.Verb == Approve {
			err = checkApproval(h.Rollout, tt.saw(h), now)
		}
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
