package controller

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"

	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// TestDurableBeforeVisible: the intent is written before the request leaves, the
// answer after it.
func TestDurableBeforeVisible(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	step(t, core, "chat/one")
	want := []string{"append started", "append status", "upgrade 1sone", "append answer"}
	if got := w.history(); !slices.Equal(got, want) {
		t.Errorf("effects = %q, want %q", got, want)
	}
	r := core.History("chat/one").Rollout
	if r == nil || r.To.Image != imageB || len(r.Previous) == 0 {
		t.Errorf("open rollout = %+v, want one to %s that knows its way back", r, imageB)
	}
}

// TestBudgetIsTakenBySomebody: the environment has room for one rollout.
func TestBudgetIsTakenBySomebody(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	step(t, core, "chat/one")
	step(t, core, "chat/two")
	if r := core.History("chat/two").Rollout; r != nil {
		t.Errorf("a second rollout was started: %s", r.ID)
	}
	if got := core.Last("chat/two").Decision.Code; got != reconcile.CodeBudget {
		t.Errorf("code = %s, want %s", got, reconcile.CodeBudget)
	}
}

// lateStart decides to start one target and then starts the other, which takes the last
// place.
func lateStart(t *testing.T, core *Core) (observe.Snapshot, reconcile.Decision) {
	t.Helper()
	seen, late, err := core.Look(t.Context(), "chat/two", reconcile.Memory{})
	if err != nil || late.Action != reconcile.Upgrade {
		t.Fatalf("look = %s %s (%v), want an upgrade", late.Phase, late.Reason, err)
	}
	step(t, core, "chat/one")
	return seen, late
}

// TestReserveLooksAgain: two decisions made at the same time cannot both take the
// last place.
func TestReserveLooksAgain(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	seen, late := lateStart(t, core)
	if err := core.commit(t.Context(), "chat/two", seen, &late); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(w.history(), "upgrade 1stwo") || core.History("chat/two").Rollout != nil {
		t.Errorf("both were started: %q", w.history())
	}
}

// TestWayBackWaitsForNoPlace: budgets hold back starts. A way back from a version that
// fails goes although every place is taken.
func TestWayBackWaitsForNoPlace(t *testing.T) {
	for kind, want := range map[reconcile.Kind]bool{reconcile.Restore: true, reconcile.Deploy: false, reconcile.Pin: false} {
		w := newWorld()
		core := adopted(t, w)
		seen, late := lateStart(t, core)
		late.Plan.Kind = kind
		if err := core.commit(t.Context(), "chat/two", seen, &late); err != nil {
			t.Fatal(err)
		}
		if went := slices.Contains(w.history(), "upgrade 1stwo"); went != want {
			t.Errorf("a %s without a place goes: %t, want %t", kind, went, want)
		}
	}
}

// TestJournalFails: nothing starts or finishes that cannot be written down; a
// rollback goes (ruling 8, C10, C14).
func TestJournalFails(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	w.appendError = errors.New("no space left on device")
	if _, err := core.Step(t.Context(), "chat/one"); err == nil {
		t.Error("a start that could not be written down gave no error")
	}
	if slices.Contains(w.history(), "upgrade 1sone") || core.History("chat/one").Rollout != nil {
		t.Fatalf("started without a journal: %q", w.history())
	}
	w.appendError = nil
	step(t, core, "chat/one") // Finds out that the journal works again.
	step(t, core, "chat/one")
	w.show(core, "chat/one")
	step(t, core, "chat/one")
	w.appendError = errors.New("no space left on device")
	w.edit("chat/one", func(s *observe.Service) { s.Containers[1].Health = "unhealthy" })
	step(t, core, "chat/one")
	if !slices.Contains(w.history(), "rollback 1sone") {
		t.Errorf("effects = %q, want a rollback", w.history())
	}
}

// TestHangingJournalHoldsARollbackTwoSeconds and not longer.
func TestHangingJournalHoldsARollbackTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		core := adopted(t, w)
		step(t, core, "chat/one")
		w.show(core, "chat/one")
		step(t, core, "chat/one")
		w.edit("chat/one", func(s *observe.Service) { s.Containers[1].Health = "unhealthy" })
		w.hang = true
		begun := time.Now()
		var rolledBack time.Duration
		go func() { _, _ = core.Step(t.Context(), "chat/one") }()
		for rolledBack == 0 && time.Since(begun) < time.Minute {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if slices.Contains(w.history(), "rollback 1sone") {
				rolledBack = time.Since(begun)
			}
		}
		if rolledBack == 0 || rolledBack > rollbackGrace+200*time.Millisecond {
			t.Errorf("the rollback went after %s, want at most %s", rolledBack, rollbackGrace)
		}
		time.Sleep(time.Minute) // The answer's own append gives up.
	})
}

// TestRefusedUpgradeIsNotTriedAgain: a 422 about the request itself will be one
// next time too (A7). The digest is not condemned.
func TestRefusedUpgradeIsNotTriedAgain(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	w.upgradeError = &rancher.Error{Op: "upgrading", Status: http.StatusUnprocessableEntity, Code: "InvalidOption", FieldName: "ports"}
	if _, err := core.Step(t.Context(), "chat/one"); err == nil {
		t.Error("a refused upgrade gave no error")
	}
	step(t, core, "chat/one")
	h := core.History("chat/one")
	if got := core.Last("chat/one").Decision.Code; got != reconcile.CodeGaveUp || h.Rollout != nil {
		t.Errorf("code = %s with rollout %v, want %s without", got, h.Rollout, reconcile.CodeGaveUp)
	}
	if len(h.Quarantine) > 0 {
		t.Errorf("quarantine = %v, want none: the attempt failed, not the digest", h.Quarantine)
	}
	uploads := 0
	for _, did := range w.history() {
		if did == "upgrade 1sone" {
			uploads++
		}
	}
	if uploads != 1 {
		t.Errorf("the upgrade was sent %d times, want once", uploads)
	}
}

// TestLostAnswerIsNotRepeated: an unknown result is followed by reads (I10, A9).
func TestLostAnswerIsNotRepeated(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	w.upgradeError = errors.New("connection reset by peer")
	if _, err := core.Step(t.Context(), "chat/one"); err == nil {
		t.Error("a lost answer gave no error")
	}
	step(t, core, "chat/one")
	if n := len(w.history()); !slices.Contains(w.history(), "upgrade 1sone") || core.History("chat/one").Rollout == nil {
		t.Errorf("after one look: %d effects, rollout %v; want the rollout still open", n, core.History("chat/one").Rollout)
	}
	w.show(core, "chat/one")
	step(t, core, "chat/one")
	if r := core.History("chat/one").Rollout; r == nil || !r.Confirmed {
		t.Errorf("rollout = %+v, want it confirmed by what Rancher shows", r)
	}
}

// TestTargetLeavesTheFileMidRollout: observed under its own policy, paused
// (ruling 13).
func TestTargetLeavesTheFileMidRollout(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	step(t, core, "chat/one")
	w.show(core, "chat/one")
	smaller := *core.Config()
	smaller.Targets = slices.Clone(smaller.Targets[1:])
	core.Configure(&smaller)
	if !slices.Contains(core.Keys(), "chat/one") {
		t.Fatalf("keys = %q, want chat/one while its rollout is open", core.Keys())
	}
	current, isListed := core.Config().Target("chat/one")
	got, ok := policy(current, isListed, core.History("chat/one"))
	if !ok || !got.Pause || got.Service != "one" {
		t.Errorf("policy = %+v, %t; want the rollout's own, paused", got, ok)
	}
}

func TestPolicyOfAnUnknownTarget(t *testing.T) {
	if _, ok := policy(desired.Target{}, false, reconcile.History{}); ok {
		t.Error("a target that is nowhere has a policy")
	}
}

// TestLogNamesTheVerdicts: a line that a gate's verdict caused does not read as the
// one before it.
func TestLogNamesTheVerdicts(t *testing.T) {
	findings := []reconcile.Finding{{Gate: "health", Verdict: reconcile.Pass}, {Gate: "load balancer", Verdict: reconcile.Hold}}
	var lines []string
	w := newWorld()
	core := adopted(t, w)
	core.parts.Log = funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{})
	d := reconcile.Decision{Phase: reconcile.Bake, Code: reconcile.CodeBaking, Events: []reconcile.Event{{Kind: reconcile.EventStatus}}, Gates: findings}
	core.log("chat/one", Report{Decision: d}, nil)
	if want := `"gates"="health Pass, load balancer Hold"`; len(lines) != 1 || !strings.Contains(lines[0], want) {
		t.Errorf("logged %q, want one line with %s", lines, want)
	}
}

// TestRetryIsAboutWhatTheTagNames: a fix that waits for the back-off is what a retry
// without a digest is about, not the version that was taken back before it.
func TestRetryIsAboutWhatTheTagNames(t *testing.T) {
	bad, fix := reconcile.Baseline{Part: reconcile.Part{Digest: "sha256:bad"}}, observe.Image{Digest: "sha256:fix"}
	runs := &reconcile.Baseline{Part: reconcile.Part{Digest: "sha256:old"}}
	h := reconcile.History{Baseline: runs, Last: &reconcile.Rollout{To: bad, Outcome: reconcile.RolledBack}}
	for _, tt := range []struct {
		name string
		h    reconcile.History
		seen *Report
		want string
	}{
		{"a fix waits", h, &Report{Observed: observe.Snapshot{Image: fix}}, "sha256:fix"},
		{"the tag names what runs", h, &Report{Observed: observe.Snapshot{Image: observe.Image{Digest: "sha256:old"}}}, ""},
		{"the tag cannot be read", h, &Report{}, ""},
		{"not looked yet", h, nil, ""},
		{"a rollout is open", reconcile.History{Baseline: runs, Rollout: &reconcile.Rollout{To: bad}}, &Report{Observed: observe.Snapshot{Image: fix}}, ""},
	} {
		if got := heldBack(tt.h, tt.seen); got != tt.want {
			t.Errorf("%s: heldBack = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestCommands(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	c := New(core, nil)
	step(t, core, "chat/one")
	open, digest := core.History("chat/one").Rollout.ID, core.History("chat/one").Rollout.To.Digest
	for _, tt := range []struct {
		name    string
		key     string
		cmd     Command
		refused bool
	}{
		{"nobody", "chat/one", Command{Verb: Pause}, true},
		{"no such target", "chat/none", Command{Verb: Pause, By: "mei"}, true},
		{"another rollout", "chat/one", Command{Verb: Approve, By: "mei", Rollout: "one-0"}, true},
		{"no rollout", "chat/two", Command{Verb: Abort, By: "mei"}, true},
		{"unknown verb", "chat/one", Command{Verb: "dance", By: "mei"}, true},
		{"retry of nothing", "chat/two", Command{Verb: Retry, By: "mei"}, true},
		{"retry of what is being rolled out", "chat/one", Command{Verb: Retry, By: "mei", Digest: digest}, true},
		{"a bad baseline passed over for no digest", "chat/two", Command{Verb: Retry, By: "mei", DespiteBaseline: true}, true},
		{"a bad baseline passed over for one digest", "chat/two", Command{Verb: Retry, By: "mei", DespiteBaseline: true, Digest: "sha256:f1"}, false},
		{"by name", "one", Command{Verb: Pause, By: "mei"}, false},
		{"the open one", "chat/one", Command{Verb: Approve, By: "mei", Rollout: open}, false},
	} {
		err := c.Tell(t.Context(), tt.key, tt.cmd)
		var refused *RefusedError
		if errors.As(err, &refused) != tt.refused || !tt.refused && err != nil {
			t.Errorf("%s: error = %v, want refused: %t", tt.name, err, tt.refused)
		}
	}
	h := core.History("chat/one")
	if h.PausedBy != "mei" || h.Rollout.ApprovedBy != "mei" {
		t.Errorf("paused by %q, approved by %q, want mei", h.PausedBy, h.Rollout.ApprovedBy)
	}
}
