package faulttable

import (
	"encoding/json"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Rows about a rollout that does not go as it should.

func TestA16StuckUpgrading(t *testing.T) {
	play(t, options{rollout: "progressDeadline: 5m"}, func(w *world) {
		w.fault("stall=skip=1")
		w.push("v2", behaviour{})
		w.untilPhase(6*time.Minute, reconcile.RollingBack)
		w.want(reconcile.RollingBack, reconcile.CodeDeadline, false)
		w.untilClosed(5 * time.Minute)
		w.wantRolledBack("v2", false) // Inconclusive.
		w.wantSent("upgrade 202, rollback 202")
		w.wantEvents("started", "answer", "confirmed", "rolling-back", "evidence", "answer", "rolled-back")
		for _, e := range w.journal() {
			var kept controller.Evidence
			if e.Type != controller.TypeEvidence {
				continue
			}
			if err := json.Unmarshal(e.Data, &kept); err != nil || len(kept.Containers) == 0 || len(kept.Containers[0].Lines) == 0 {
				t.Errorf("evidence = %s (%v), want the new container's last lines", e.Data, err)
			}
		}
	})
}

func TestA17UpgradedTooEarly(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.fault("early-upgraded=count=1")
		w.push("v2", behaviour{})
		w.untilPhase(time.Minute, reconcile.Proving)
		w.wantService("upgraded", "v2", "v1 v1 v2")
		w.wantReason("of another version still runs")
		w.untilPhase(3*time.Minute, reconcile.RollingBack)
		w.want(reconcile.RollingBack, reconcile.CodeProofFailed, false)
		w.untilClosed(5 * time.Minute)
		w.wantRolledBack("v2", false)
		w.wantSent("upgrade 202, rollback 202")
	})
}

func TestA18FinishStuck(t *testing.T) {
	t.Run("old containers are there", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("stall-finish")
			w.push("v2", behaviour{})
			w.untilCode(10*time.Minute, reconcile.CodeFinishHangs)
			w.want(reconcile.Committing, reconcile.CodeFinishHangs, true)
			w.wantReason("cancelupgrade and then rollback", "a person decides")
			time.Sleep(8 * time.Minute)
			w.wantSent("upgrade 202, finishupgrade 202")
			w.wantService("finishing-upgrade", "v2", "v2 v2 v2")
			w.clear()
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
		})
	})
	t.Run("they are gone", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("stall-finish")
			w.push("v2", behaviour{})
			w.untilState(10*time.Minute, "finishing-upgrade")
			w.removeContainers("v1")
			w.untilCode(10*time.Minute, reconcile.CodeFinishHangs)
			w.wantReason("the old containers are gone", "fresh upgrade to docker.example:5000/clickeggs/parrot-rest@"+w.digests["v1"][:19])
			w.wantSent("upgrade 202, finishupgrade 202")
			w.clear()
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
		})
	})
}

func TestA19RollbackStuck(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.fault("stall-rollback")
		w.push("v2", behaviour{neverHealthy: true})
		w.untilPhase(15*time.Minute, reconcile.Stuck)
		w.want(reconcile.Stuck, reconcile.CodeRollbackLate, true)
		w.push("v3", behaviour{})
		time.Sleep(8 * time.Minute)
		w.want(reconcile.Stuck, reconcile.CodeRollbackLate, true)
		w.wantReason("drover resume")
		w.wantSent("upgrade 202, rollback 202") // No second action.
		w.clear()
		w.untilState(time.Minute, "active")
		w.wantService("active", "v1", "v1 v1 v1")
		w.wantSent("upgrade 202, rollback 202")
		w.tell(controller.Resume)
		w.untilCode(time.Minute, reconcile.CodePassedOver) // What was pushed meanwhile waits for the next digest or a retry.
		w.wantService("active", "v1", "v1 v1 v1")
	})
}

func TestA20RollbackToTheWrongImage(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.fault("wrong-rollback")
		w.push("v2", behaviour{neverHealthy: true})
		w.untilPhase(15*time.Minute, reconcile.Stuck)
		w.want(reconcile.Stuck, reconcile.CodeRollbackMismatch, true)
		w.wantReason("after the rollback the service still names")
		time.Sleep(8 * time.Minute)
		w.wantSent("upgrade 202, rollback 202")
		w.want(reconcile.Stuck, reconcile.CodeRollbackMismatch, true)
	})
}

func TestA21NoHealth(t *testing.T) {
	t.Run("no check and no probe", func(t *testing.T) {
		play(t, options{noCheck: true}, func(w *world) {
			w.push("v2", behaviour{})
			w.untilCode(time.Minute, reconcile.CodeNoHealthSource)
			w.want(reconcile.Preflight, reconcile.CodeNoHealthSource, true)
			time.Sleep(5 * time.Minute)
			w.wantSent("")
			w.wantService("active", "v1", "v1 v1 v1")
		})
	})
	t.Run("a check that says nothing", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("no-health")
			w.push("v2", behaviour{})
			w.untilCode(time.Minute, reconcile.CodeUnhealthyBefore)
			time.Sleep(5 * time.Minute)
			w.wantSent("")
			w.clear()
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
		})
	})
}

func TestA22HostLost(t *testing.T) {
	t.Run("with what ran there before", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{})
			w.untilPhase(5*time.Minute, reconcile.Bake)
			w.fault("host-lost=host=1h2,for=90s")
			time.Sleep(30 * time.Second)
			w.want(reconcile.Proving, reconcile.CodeProving, false)
			if f := w.decision().Gates; len(f) == 0 || f[0].Code != reconcile.CodeHostLost {
				t.Errorf("the gates say %+v, want that the host is lost", f)
			}
			w.wantSent("upgrade 202")
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
		})
	})
	t.Run("in the middle of a batch", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{})
			w.until(time.Minute, "the second new container runs", func() bool { return len(w.ids("v2")) == 2 })
			w.fault("host-lost=host=1h1,for=60s")
			w.until(10*time.Minute, "v2 is finished", func() bool { return w.state() == "active" })
			w.untilClosed(time.Minute)
			w.wantFinished("v2")
		})
	})
	t.Run("only the new version is sick there", func(t *testing.T) {
		play(t, options{scale: 4, rollout: "interval: 30s"}, func(w *world) {
			w.push("v2", behaviour{})
			w.until(time.Minute, "a new container is healthy", func() bool { return len(w.ids("v2")) == 1 && w.decision().Phase == reconcile.Upgrading })
			id := w.ids("v2")[0]
			time.Sleep(8 * time.Second)
			if err := w.rancher.SetHostState(w.hostOf(id), "inactive"); err != nil {
				t.Fatal(err)
			}
			w.runtime.sicken(id)
			w.until(5*time.Minute, "it is taken back", func() bool { return len(w.sentSoFar()) == 2 })
			w.wantSent("upgrade 202, rollback 202")
		})
	})
}

func TestA36CrashLoopHiddenByRecreation(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.push("v2", behaviour{crashAfter: 6 * time.Second})
		w.untilClosed(10 * time.Minute)
		w.wantRolledBack("v2", true)
		w.wantSent("upgrade 202, rollback 202")
		if last := w.history().Last; last.Code != reconcile.CodeGateFailed {
			t.Errorf("taken back for %s: %s", last.Code, last.Reason)
		}
	})
}

func TestA37RanchersClockIsOff(t *testing.T) {
	for _, by := range []string{"-5h", "5h"} {
		t.Run(by, func(t *testing.T) {
			play(t, options{}, func(w *world) {
				w.fault("skew=by=" + by)
				begun := time.Now()
				w.push("v2", behaviour{})
				w.untilClosed(5 * time.Minute)
				w.wantFinished("v2")
				if took := time.Since(begun); took < 35*time.Second || took > 3*time.Minute {
					t.Errorf("the rollout took %s, as if the clocks were compared", took)
				}
				time.Sleep(2 * time.Minute)
				w.push("v3", behaviour{neverHealthy: true})
				w.until(10*time.Minute, "v3 was taken back", func() bool { h := w.history(); return h.Rollout == nil && w.version(h.Last.To.Image) == "v3" })
				w.wantOutcome("v3", reconcile.RolledBack)
				w.wantQuarantine("v3")
				w.wantService("active", "v2", "v2 v2 v2")
			})
		})
	}
}

func TestA32CattleRestartsInTheMiddleOfABatch(t *testing.T) {
	for _, start := range []string{"startFirst: false", "startFirst: true"} {
		t.Run(start, func(t *testing.T) {
			play(t, options{rollout: start}, func(w *world) {
				w.fault("restart=skip=1,for=20s")
				w.push("v2", behaviour{})
				w.untilPhase(time.Minute, reconcile.Blind)
				w.untilClosed(5 * time.Minute)
				w.wantFinished("v2")
				w.wantSent("upgrade 202, finishupgrade 202")
			})
		})
	}
}
