package faulttable

import (
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Rows about what Rancher answers, or does not.

func TestA01KeyRevokedInTheMiddle(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.push("v2", behaviour{})
		w.untilState(time.Minute, "upgrading")
		w.fault("401")
		w.untilPhase(time.Minute, reconcile.Blind)
		time.Sleep(3 * time.Minute)
		w.want(reconcile.Blind, reconcile.CodeBlind, true)
		w.wantReason("401")
		w.wantSent("upgrade 202")
		w.wantService("upgraded", "v2", "v2 v2 v2") // Rancher goes on by itself, and stops here.
		w.clear()
		back := time.Now()
		w.untilClosed(5 * time.Minute)
		if baked := time.Since(back); baked < 30*time.Second {
			t.Errorf("finished %s after Rancher could be read again, want a whole bake of 30s", baked)
		}
		w.wantFinished("v2")
		w.wantSent("upgrade 202, finishupgrade 202")
	})
}

func TestA04NotFoundForEverything(t *testing.T) {
	for name, fault := range map[string]string{"in Rancher's words": "404", "a proxy's page": "404=page=true"} {
		t.Run(name, func(t *testing.T) {
			play(t, options{}, func(w *world) {
				w.push("v2", behaviour{})
				w.untilState(time.Minute, "upgrading")
				w.fault(fault)
				time.Sleep(3 * time.Minute)
				w.want(reconcile.Blind, reconcile.CodeBlind, true)
				w.wantSent("upgrade 202")
				w.clear()
				w.untilClosed(5 * time.Minute)
				w.wantFinished("v2")
				for _, s := range w.statuses() {
					if s.Phase == reconcile.Gone {
						t.Error("the service was taken for gone")
					}
				}
			})
		})
	}
}

func TestA05RaceOnUpgrade(t *testing.T) {
	t.Run("nothing happened", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("409=action=upgrade,count=1")
			w.push("v2", behaviour{})
			w.until(5*time.Minute, "v2 is finished", func() bool { return w.inForce() == "v2" && w.state() == "active" })
			w.untilClosed(time.Minute)
			w.wantFinished("v2")
			w.wantSent("upgrade 409, upgrade 202, finishupgrade 202")
		})
	})
	t.Run("it was ours", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("422=action=upgrade,applied=true,code=ActionNotAvailable,field=action,count=1")
			w.push("v2", behaviour{})
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
			w.wantSent("upgrade 422, finishupgrade 202")
		})
	})
	t.Run("somebody was faster", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("late=action=upgrade,delay=3s,count=1")
			w.push("v2", behaviour{})
			w.until(time.Minute, "the upgrade is on its way", func() bool { return w.sent() != "" })
			w.act("upgrade", w.upgradeBody(w.image("v3")))
			w.untilPhase(time.Minute, reconcile.Held)
			w.want(reconcile.Held, reconcile.CodeForeign, true)
			w.wantOutcome("v2", reconcile.TakenOver)
			time.Sleep(5 * time.Minute)
			w.wantSent("upgrade 422")
			w.wantService("upgraded", "v3", "v3 v3 v3")
			w.wantQuarantine()
		})
	})
}

func TestA06RaceOnFinishAndRollback(t *testing.T) {
	t.Run("finish", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("409=action=finishupgrade,count=1")
			w.push("v2", behaviour{})
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
			w.wantSent("upgrade 202, finishupgrade 409, finishupgrade 202")
		})
	})
	t.Run("rollback", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("422=action=rollback,code=ActionNotAvailable,field=action,count=1")
			w.push("v2", behaviour{neverHealthy: true})
			w.untilClosed(10 * time.Minute)
			w.wantRolledBack("v2", true)
			w.wantSent("upgrade 202, rollback 422, rollback 202")
		})
	})
	t.Run("a person rolls back while the finish is on its way", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("late=action=finishupgrade,delay=3s,count=1")
			w.push("v2", behaviour{})
			w.until(5*time.Minute, "the finish is on its way", func() bool { return len(w.sentSoFar()) == 2 })
			w.act("rollback", nil)
			w.untilClosed(5 * time.Minute)
			w.want(reconcile.Held, reconcile.CodeForeignRollback, true)
			w.wantRolledBack("v2", true)
			w.wantSent("upgrade 202, finishupgrade 422")
		})
	})
}

func TestA07InvalidIsNotRepeated(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.fault("422=action=upgrade,count=1")
		w.push("v2", behaviour{})
		w.untilCode(time.Minute, reconcile.CodeGaveUp)
		w.want(reconcile.Held, reconcile.CodeGaveUp, true)
		w.wantReason("InvalidOption", "drover retry")
		time.Sleep(8 * time.Minute)
		w.wantSent("upgrade 422")
		w.wantQuarantine() // The attempt is, not the digest.
		w.wantService("active", "v1", "v1 v1 v1")
		w.tell(controller.Retry)
		w.until(5*time.Minute, "v2 is finished", func() bool { return w.inForce() == "v2" && w.state() == "active" })
		w.untilClosed(time.Minute)
		w.wantFinished("v2")
	})
}

func TestA08ServerErrors(t *testing.T) {
	for _, status := range []string{"500", "502", "503"} {
		t.Run(status, func(t *testing.T) {
			play(t, options{}, func(w *world) {
				w.push("v2", behaviour{})
				w.untilPhase(5*time.Minute, reconcile.Bake)
				w.fault(status + "=count=1") // One is tried again at once.
				begun := w.decision().BakeStart
				time.Sleep(10 * time.Second)
				w.want(reconcile.Bake, reconcile.CodeBaking, false)
				if got := w.decision().BakeStart; !got.Equal(begun) {
					t.Errorf("the bake began at %s, and after one error at %s", begun, got)
				}
				w.fault(status)
				w.untilPhase(10*time.Second, reconcile.Blind)
				time.Sleep(10 * time.Second)
				w.clear()
				back := time.Now()
				w.untilClosed(5 * time.Minute)
				if baked := time.Since(back); baked < 30*time.Second {
					t.Errorf("finished %s after the gap, want a bake from zero", baked)
				}
				w.wantFinished("v2")
				w.wantSent("upgrade 202, finishupgrade 202")
			})
		})
	}
}

func TestA09TimeoutNotApplied(t *testing.T) {
	for _, fault := range []string{"cut-before=action=upgrade,count=1", "late=action=upgrade,delay=1h,count=1"} {
		t.Run(fault, func(t *testing.T) {
			play(t, options{}, func(w *world) {
				w.fault(fault)
				w.push("v2", behaviour{})
				w.until(5*time.Minute, "v2 is finished", func() bool { return w.inForce() == "v2" && w.state() == "active" })
				w.untilClosed(time.Minute)
				w.wantFinished("v2")
				w.wantSent("upgrade cut, upgrade 202, finishupgrade 202")
				w.wantEvents("started", "answer", "not-applied", "started", "answer", "confirmed", "finishing", "answer", "finished")
				if sent := w.sentSoFar(); len(sent) > 1 && sent[1].at.Sub(sent[0].at) < 4*time.Second {
					t.Errorf("sent again after %s, want two looks that agree in between", sent[1].at.Sub(sent[0].at))
				}
			})
		})
	}
}

func TestA10TimeoutApplied(t *testing.T) {
	for _, fault := range []string{"cut-after=action=upgrade,count=1", "late=action=upgrade,applied=true,delay=1h,count=1"} {
		t.Run(fault, func(t *testing.T) {
			play(t, options{}, func(w *world) {
				w.fault(fault)
				w.push("v2", behaviour{})
				w.untilClosed(5 * time.Minute)
				w.wantFinished("v2")
				w.wantSent("upgrade cut, finishupgrade 202")
				w.wantAnswers("upgrade unknown, finishupgrade taken")
			})
		})
	}
	t.Run("of the rollback", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("cut-after=action=rollback,count=1")
			w.push("v2", behaviour{neverHealthy: true})
			w.untilClosed(10 * time.Minute)
			w.wantRolledBack("v2", true)
			w.wantSent("upgrade 202, rollback cut")
		})
	})
	t.Run("of the finish", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("cut-after=action=finishupgrade,count=1")
			w.push("v2", behaviour{})
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
			w.wantSent("upgrade 202, finishupgrade cut")
		})
	})
}

func TestA11ReplyLostAndKilled(t *testing.T) {
	t.Run("upgrade", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("late=action=upgrade,applied=true,delay=4s")
			w.push("v2", behaviour{})
			w.untilState(time.Minute, "upgrading")
			w.kill()
			w.clear()
			time.Sleep(10 * time.Second)
			w.start(w.dir)
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
			w.wantSent("upgrade cut, finishupgrade 202")
			w.wantEvents("started", "confirmed", "finishing", "answer", "finished")
		})
	})
	t.Run("upgrade, and the journal too", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("late=action=upgrade,applied=true,delay=4s")
			w.push("v2", behaviour{})
			w.untilState(time.Minute, "upgrading")
			w.kill()
			w.clear()
			w.dir = t.TempDir()
			w.start(w.dir)
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
			w.wantSent("upgrade cut, finishupgrade 202")
			w.wantEvents("recovered", "finishing", "answer", "finished")
		})
	})
	t.Run("rollback", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("late=action=rollback,applied=true,delay=4s")
			w.push("v2", behaviour{neverHealthy: true})
			w.until(10*time.Minute, "the rollback is on its way", func() bool { return len(w.sentSoFar()) == 2 })
			w.kill()
			w.clear()
			time.Sleep(10 * time.Second)
			w.start(w.dir)
			w.untilClosed(5 * time.Minute)
			w.wantRolledBack("v2", true)
			w.wantSent("upgrade 202, rollback cut")
		})
	})
	t.Run("finish", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("late=action=finishupgrade,applied=true,delay=4s")
			w.push("v2", behaviour{})
			w.until(10*time.Minute, "the finish is on its way", func() bool { return len(w.sentSoFar()) == 2 })
			w.kill()
			w.clear()
			time.Sleep(10 * time.Second)
			w.start(w.dir)
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
			w.wantSent("upgrade 202, finishupgrade cut")
		})
	})
}

func TestA13UnreadableAnswers(t *testing.T) {
	for _, fault := range []string{"html", "truncated", "endless"} {
		t.Run(fault, func(t *testing.T) {
			play(t, options{}, func(w *world) {
				w.push("v2", behaviour{})
				w.untilState(time.Minute, "upgrading")
				w.fault(fault + "=method=GET")
				w.untilPhase(time.Minute, reconcile.Blind)
				time.Sleep(90 * time.Second)
				w.want(reconcile.Blind, reconcile.CodeBlind, true)
				w.wantSent("upgrade 202")
				w.clear()
				w.untilClosed(5 * time.Minute)
				w.wantFinished("v2")
				w.wantSent("upgrade 202, finishupgrade 202")
			})
		})
	}
	t.Run("of the upgrade itself", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("html=action=upgrade,applied=true,count=1")
			w.push("v2", behaviour{})
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
			w.wantSent("upgrade 200, finishupgrade 202")
		})
	})
}

func TestA14UnknownState(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.push("v2", behaviour{})
		w.untilState(time.Minute, "upgrading")
		w.fault("unknown-state=state=upgrade-pondering")
		w.untilPhase(time.Minute, reconcile.Held)
		time.Sleep(time.Minute)
		w.want(reconcile.Held, reconcile.CodeUnknownState, true)
		w.wantReason("upgrade-pondering")
		w.wantSent("upgrade 202")
		w.clear()
		w.untilClosed(5 * time.Minute)
		w.wantFinished("v2")
	})
}

func TestA15PagesHideContainers(t *testing.T) {
	t.Run("102 containers on pages of 50", func(t *testing.T) {
		play(t, options{scale: 102, rollout: "batchSize: 51\nlook: 5s\nbake: 50s"}, func(w *world) {
			w.fault("short-pages=size=50")
			w.push("v2", behaviour{})
			w.untilClosed(10 * time.Minute)
			w.wantFinished("v2")
			w.wantSent("upgrade 202, finishupgrade 202")
		})
	})
	t.Run("what follows the first page is lost", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{})
			w.untilState(time.Minute, "upgrading")
			w.fault("short-pages=size=4,path=/instances")
			id := w.fault("lost-pages=path=/instances")
			w.untilPhase(time.Minute, reconcile.Blind)
			time.Sleep(3 * time.Minute)
			w.want(reconcile.Blind, reconcile.CodeBlind, true)
			w.wantReason("the list of the service's containers does not have it")
			w.wantSent("upgrade 202")
			if w.struck(id) == 0 {
				t.Error("no page was lost")
			}
			w.clear()
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
			w.wantSent("upgrade 202, finishupgrade 202")
		})
	})
}

func TestA02ActionForbidden(t *testing.T) {
	t.Run("upgrade", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("403=action=upgrade")
			w.push("v2", behaviour{})
			w.untilCode(time.Minute, reconcile.CodeNotAllowed)
			w.want(reconcile.Preflight, reconcile.CodeNotAllowed, true)
			w.wantReason("403")
			time.Sleep(12 * time.Minute)
			w.want(reconcile.Preflight, reconcile.CodeNotAllowed, true)
			if n := len(w.sentSoFar()); n > 4 {
				t.Errorf("Drover asked %d times in twelve minutes for what it may not", n)
			}
			w.wantService("active", "v1", "v1 v1 v1")
			w.wantQuarantine()
			w.clear()
			w.until(20*time.Minute, "v2 is finished", func() bool { return w.inForce() == "v2" && w.state() == "active" })
			w.untilClosed(time.Minute)
			w.wantFinished("v2")
		})
	})
	t.Run("rollback", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{neverHealthy: true})
			w.fault("403=action=rollback")
			w.untilPhase(5*time.Minute, reconcile.RollingBack)
			time.Sleep(20 * time.Second)
			w.want(reconcile.RollingBack, reconcile.CodeNotAllowed, true)
			w.wantReason("403")
			w.clear()
			w.untilClosed(3 * time.Minute)
			w.wantRolledBack("v2", true)
		})
	})
	t.Run("finish", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{})
			w.fault("403=action=finishupgrade")
			w.untilCode(5*time.Minute, reconcile.CodeNotAllowed)
			w.want(reconcile.Committing, reconcile.CodeNotAllowed, true)
			w.wantService("upgraded", "v2", "v2 v2 v2")
			w.clear()
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
		})
	})
}

// TestA08ContainersAloneUnreadable: half a picture is none, and containers that were not read did not vanish.
func TestA08ContainersAloneUnreadable(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.push("v2", behaviour{})
		w.untilPhase(5*time.Minute, reconcile.Bake)
		w.fault("500=path=/instances")
		w.untilPhase(10*time.Second, reconcile.Blind)
		time.Sleep(20 * time.Second)
		w.wantReason("the containers cannot be read")
		w.clear()
		w.untilClosed(5 * time.Minute)
		w.wantFinished("v2")
		w.wantSent("upgrade 202, finishupgrade 202")
	})
}

// TestA12StaleReads: an older state after a newer one is no change of the service.
func TestA12StaleReads(t *testing.T) {
	for _, what := range []struct{ name, path string }{
		{"service", "/services?"}, {"containers", "/instances"}, {"both", "/services"},
	} {
		for _, skip := range []string{"3", "14"} {
			t.Run(what.name+" after "+skip, func(t *testing.T) {
				play(t, options{}, func(w *world) {
					id := w.fault("stale=count=3,skip=" + skip + ",path=" + what.path)
					w.push("v2", behaviour{})
					w.untilClosed(8 * time.Minute)
					w.wantFinished("v2")
					w.wantSent("upgrade 202, finishupgrade 202")
					if w.struck(id) != 3 {
						t.Errorf("%d reads were stale, want 3", w.struck(id))
					}
				})
			})
		}
	}
	t.Run("while it is rolled back", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{neverHealthy: true})
			w.untilState(time.Minute, "upgrading")
			w.fault("stale=for=150s,chance=0.3")
			w.untilClosed(10 * time.Minute)
			w.wantRolledBack("v2", true)
		})
	})
	t.Run("after the finish", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{})
			w.untilPhase(5*time.Minute, reconcile.Bake)
			w.fault("stale=for=2m,chance=0.3")
			w.untilClosed(5 * time.Minute)
			time.Sleep(2 * time.Minute)
			w.wantFinished("v2")
			w.want(reconcile.Idle, reconcile.CodeNothingToDo, false)
		})
	})
}
