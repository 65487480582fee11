package faulttable

import (
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Rows about what people take away and change beside the service's own image.

func TestA33EnvironmentOrStackGone(t *testing.T) {
	t.Run("environment deactivated", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{})
			w.untilState(time.Minute, "upgrading")
			w.fault("inactive-environment")
			w.untilPhase(time.Minute, reconcile.Blind)
			time.Sleep(3 * time.Minute)
			w.want(reconcile.Blind, reconcile.CodeBlind, true)
			w.wantSent("upgrade 202")
			w.clear()
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
		})
	})
	t.Run("environment deactivated while nothing goes on", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("inactive-environment")
			time.Sleep(2 * time.Minute)
			w.push("v2", behaviour{})
			w.untilPhase(time.Minute, reconcile.Blind)
			time.Sleep(5 * time.Minute)
			w.want(reconcile.Blind, reconcile.CodeBlind, true)
			w.wantSent("") // The new digest waits.
			w.clear()
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
		})
	})
	t.Run("environment deactivated in the bake", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{})
			w.untilPhase(5*time.Minute, reconcile.Bake)
			w.fault("inactive-environment")
			time.Sleep(2 * time.Minute) // Longer than the bake.
			w.want(reconcile.Blind, reconcile.CodeBlind, true)
			w.wantSent("upgrade 202")
			back := time.Now()
			w.clear()
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
			if held := time.Since(back); held < 30*time.Second {
				t.Errorf("finished %s after the environment came back, want the whole bake from zero", held)
			}
		})
	})
	t.Run("stack removed", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{})
			w.untilState(time.Minute, "upgrading")
			w.remove("/stacks/" + w.service()["stackId"].(string))
			time.Sleep(5 * time.Minute)
			if d := w.decision(); !d.Alert || d.Action != reconcile.NoAction {
				t.Errorf("Drover is in %s, %s, alert %t: %s", d.Phase, d.Code, d.Alert, d.Reason)
			}
			w.wantReason("gf-chat")
			w.wantSent("upgrade 202")
			w.tag("v3")
			time.Sleep(5 * time.Minute)
			w.wantSent("upgrade 202") // Nor is anything made anew for a newer digest.
		})
	})
	t.Run("stack removed and made again", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.remove("/stacks/" + w.service()["stackId"].(string))
			time.Sleep(5 * time.Minute)
			w.createService()
			time.Sleep(5 * time.Minute)
			w.wantSent("") // It is looked at as if for the first time.
			w.push("v2", behaviour{})
			w.untilClosed(10 * time.Minute)
			w.wantFinished("v2")
		})
	})
}

func TestA34SidekickChangedByHand(t *testing.T) {
	t.Run("before anything", func(t *testing.T) {
		play(t, options{sidekick: true}, func(w *world) {
			w.act("upgrade", w.sidekickBody("v3"))
			w.untilPhase(2*time.Minute, reconcile.Held)
			w.untilState(3*time.Minute, "upgraded")
			w.act("finishupgrade", nil)
			w.push("v2", behaviour{})
			time.Sleep(5 * time.Minute)
			w.want(reconcile.Held, reconcile.CodeForeign, true)
			w.wantSent("")
		})
	})
	t.Run("a sidekick that the target does not follow", func(t *testing.T) {
		play(t, options{extra: true}, func(w *world) {
			w.act("upgrade", w.sidekickBody("v3"))
			w.untilState(3*time.Minute, "upgraded")
			w.act("finishupgrade", nil)
			w.untilState(time.Minute, "active")
			w.want(reconcile.Held, reconcile.CodeForeign, true)
			w.tell(controller.Resume)
			theirs := w.sidekick()
			w.push("v2", behaviour{})
			w.untilClosed(10 * time.Minute)
			w.wantOutcome("v2", reconcile.Finished)
			if got := w.sidekick(); got != theirs || w.version(got) != "v3" {
				t.Errorf("the sidekick runs %s, want what the person gave it: %s", got, theirs)
			}
		})
	})
	t.Run("between the finish and a way back", func(t *testing.T) {
		play(t, options{extra: true}, func(w *world) {
			w.push("v2", behaviour{})
			w.untilClosed(5 * time.Minute)
			w.act("upgrade", w.sidekickBody("v3"))
			w.untilState(3*time.Minute, "upgraded")
			w.act("finishupgrade", nil)
			w.untilState(time.Minute, "active")
			theirs := w.sidekick()
			for _, id := range w.ids("v2") {
				w.runtime.sicken(id)
			}
			time.Sleep(5 * time.Minute)
			if got := w.sidekick(); got != theirs {
				t.Errorf("the sidekick runs %s, want the person's left alone: %s", got, theirs)
			}
			w.wantSent("upgrade 202, finishupgrade 202")
			w.want(reconcile.Held, reconcile.CodeRestoreFailed, true)
			w.wantReason("somebody changed sidekick logger since", "/secondaryLaunchConfigs/logger/imageUuid")
		})
	})
	t.Run("in Rancher's form, which keeps the labels of the rollout before the last", func(t *testing.T) {
		play(t, options{sidekick: true}, func(w *world) {
			w.push("v2", behaviour{})
			w.untilClosed(10 * time.Minute)
			w.push("v3", behaviour{neverHealthy: true})
			time.Sleep(10 * time.Minute)
			w.wantOutcome("v3", reconcile.RolledBack)
			sent := w.sent()
			body := w.sidekickBody("v1")
			body["inServiceStrategy"].(map[string]any)["launchConfig"] = w.service()["launchConfig"]
			w.act("upgrade", body)
			w.untilPhase(2*time.Minute, reconcile.Held)
			w.want(reconcile.Held, reconcile.CodeForeign, true)
			w.untilState(3*time.Minute, "upgraded")
			time.Sleep(2 * time.Hour) // Past the deadline in the labels.
			w.act("finishupgrade", nil)
			w.untilState(time.Minute, "active")
			theirs := w.sidekick()
			w.tell(controller.Resume)
			time.Sleep(5 * time.Minute)
			if got := w.sidekick(); got != theirs || w.version(got) != "v1" {
				t.Errorf("the sidekick runs %s, want what the person gave it: %s", got, theirs)
			}
			w.wantSent(sent)
		})
	})
	t.Run("while the upgrade is prepared", func(t *testing.T) {
		play(t, options{sidekick: true, scale: 1}, func(w *world) {
			id := w.service()["id"].(string)
			w.fault("late=delay=4s,count=1,path=/services/" + id)
			w.push("v2", behaviour{})
			w.until(time.Minute, "the upgrade is being prepared", func() bool { return len(w.rancher.Faults()) == 1 && w.rancher.Faults()[0].Struck == 1 })
			w.act("upgrade", w.sidekickBody("v3"))
			time.Sleep(20 * time.Second)
			w.wantSent("")
			w.wantQuarantine()
		})
	})
}

// sidekick is the image that the sidekick is given in Rancher.
func (w *world) sidekick() string {
	side := w.service()["secondaryLaunchConfigs"].([]any)[0].(map[string]any)
	image, _ := side["imageUuid"].(string)
	return image
}
