package faulttable

import (
	"net/http"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Rows about what people and other programs do to the service.

func TestA03ServiceDeletedInTheMiddle(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.push("v2", behaviour{})
		w.untilState(time.Minute, "upgrading")
		w.remove("/services/" + w.service()["id"].(string))
		w.until(time.Minute, "the service is gone in Rancher", func() bool { return w.service() == nil })
		missing := time.Now()
		w.untilPhase(5*time.Minute, reconcile.Gone)
		if waited := time.Since(missing); waited < 50*time.Second {
			t.Errorf("taken for gone after %s, want two reads a minute apart", waited)
		}
		w.want(reconcile.Gone, reconcile.CodeTargetGone, true)
		w.wantOutcome("v2", reconcile.TakenOver)
		time.Sleep(5 * time.Minute)
		w.wantSent("upgrade 202") // And no new service.
		w.wantQuarantine()
	})
}

func TestA23OldContainerPurgedByHand(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.push("v2", behaviour{})
		w.untilPhase(5*time.Minute, reconcile.Bake)
		w.removeContainers("v1")
		w.until(time.Minute, "a person is called", func() bool { return w.decision().Alert })
		w.wantReason("3 of the 3 containers that ran before are gone")
		w.untilClosed(5 * time.Minute)
		w.wantFinished("v2")
	})
}

func TestA24PersonRollsBack(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.push("v2", behaviour{})
		w.until(time.Minute, "a batch is through", func() bool { return len(w.ids("v2")) == 2 })
		w.act("rollback", nil)
		w.untilClosed(5 * time.Minute)
		w.want(reconcile.Held, reconcile.CodeForeignRollback, true)
		w.wantReason("somebody rolled back in Rancher (account 1a1")
		w.wantRolledBack("v2", true)
		time.Sleep(5 * time.Minute)
		w.wantSent("upgrade 202")
		w.wantService("active", "v1", "v1 v1 v1")
	})
}

func TestA25PersonFinishesDuringTheBake(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.push("v2", behaviour{})
		w.untilPhase(5*time.Minute, reconcile.Bake)
		w.act("finishupgrade", nil)
		w.untilClosed(5 * time.Minute)
		w.wantFinished("v2")
		w.wantSent("upgrade 202")
		if by := w.history().Last.FinishBy; by != "somebody in Rancher" {
			t.Errorf("finished by %q", by)
		}
		w.runtime.sicken(w.ids("v2")[0]) // It is still watched, and only told.
		w.untilCode(time.Minute, reconcile.CodeProbationFailed)
		w.want(reconcile.Probation, reconcile.CodeProbationFailed, true)
		time.Sleep(2 * time.Minute)
		w.wantSent("upgrade 202")
	})
}

func TestA26PersonCancels(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.push("v2", behaviour{})
		w.untilState(time.Minute, "upgrading")
		w.act("cancelupgrade", nil)
		w.untilPhase(2*time.Minute, reconcile.Held)
		w.want(reconcile.Held, reconcile.CodeForeignCancel, true)
		w.wantReason("somebody cancelled the upgrade (account 1a1", " from ", " at 2") // The audit log says who.
		w.wantOutcome("v2", reconcile.TakenOver)
		time.Sleep(5 * time.Minute)
		w.wantSent("upgrade 202")
		if got := w.state(); got != "canceled-upgrade" {
			t.Errorf("the service is %s", got)
		}
		w.wantQuarantine()
	})
}

func TestA27PersonUpgrades(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.act("upgrade", w.upgradeBody(w.image("v3")))
		w.untilPhase(2*time.Minute, reconcile.Held)
		w.want(reconcile.Held, reconcile.CodeForeign, true)
		w.wantReason("(account 1a1")
		w.push("v2", behaviour{})
		time.Sleep(5 * time.Minute)
		w.wantSent("")
		w.wantService("upgraded", "v3", "v3 v3 v3")
		w.act("finishupgrade", nil)
		w.untilState(time.Minute, "active")
		w.tell(controller.Resume)
		w.until(time.Minute, "v3 is adopted", func() bool { b := w.history().Baseline; return b != nil && w.version(b.Image) == "v3" })
		time.Sleep(time.Minute)
		w.wantSent("") // What the tag named meanwhile is passed over.
		w.wantService("active", "v3", "v3 v3 v3")
	})
}

func TestA28PersonScales(t *testing.T) {
	t.Run("up in the bake", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{})
			w.untilPhase(5*time.Minute, reconcile.Bake)
			time.Sleep(10 * time.Second)
			w.put(map[string]any{"scale": 4})
			scaled := time.Now()
			w.untilClosed(5 * time.Minute)
			if baked := time.Since(scaled); baked < 30*time.Second {
				t.Errorf("finished %s after the scale changed, want a bake from zero", baked)
			}
			w.wantOutcome("v2", reconcile.Finished)
			w.wantService("active", "v2", "v2 v2 v2 v2")
			w.wantSent("upgrade 202, finishupgrade 202")
		})
	})
	t.Run("in the middle of a batch, which ends the upgrade early", func(t *testing.T) {
		play(t, options{rollout: "interval: 30s"}, func(w *world) {
			w.push("v2", behaviour{})
			w.untilState(time.Minute, "upgrading")
			w.put(map[string]any{"scale": 4})
			w.untilState(2*time.Minute, "upgraded")
			w.untilPhase(5*time.Minute, reconcile.RollingBack)
			w.want(reconcile.RollingBack, reconcile.CodeProofFailed, false)
			w.untilClosed(10 * time.Minute)
			w.wantOutcome("v2", reconcile.RolledBack)
			w.wantQuarantine()
		})
	})
}

func TestA29PersonPutsMetadata(t *testing.T) {
	t.Run("nothing comes of it", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{})
			w.untilState(time.Minute, "upgrading")
			w.put(map[string]any{"metadata": map[string]any{"note": "hello"}, "description": "hello"})
			w.untilClosed(5 * time.Minute)
			w.wantFinished("v2")
		})
	})
	t.Run("it ends the upgrade early", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{})
			w.untilState(time.Minute, "upgrading")
			w.fault("early-upgraded=count=1")
			w.put(map[string]any{"metadata": map[string]any{"note": "hello"}})
			w.untilPhase(5*time.Minute, reconcile.RollingBack)
			w.want(reconcile.RollingBack, reconcile.CodeProofFailed, false)
			w.untilClosed(5 * time.Minute)
			w.wantRolledBack("v2", false)
		})
	})
}

func TestA30SecondController(t *testing.T) {
	play(t, options{}, func(w *world) {
		other := w.run(t.TempDir(), "drover-b")
		defer func() {
			if err := other.end(); err != nil {
				t.Error(err)
			}
		}()
		w.until(time.Minute, "both know the service", func() bool { return other.Control.History(key).Baseline != nil })
		w.push("v2", behaviour{})
		w.until(5*time.Minute, "v2 is finished", func() bool { return w.inForce() == "v2" && w.state() == "active" })
		time.Sleep(2 * time.Minute)
		w.wantService("active", "v2", "v2 v2 v2")
		held, won := 0, 0
		for _, d := range []*drover{w.drover, other} {
			last := d.Control.Last(key).Decision
			switch {
			case last.Phase == reconcile.Held && last.Code == reconcile.CodeTwoControllers && last.Alert:
				held++
			case d.Control.History(key).Last != nil && d.Control.History(key).Last.Outcome == reconcile.Finished:
				won++
			default:
				t.Errorf("one of them is in %s, %s: %s", last.Phase, last.Code, last.Reason)
			}
		}
		if held != 1 || won != 1 {
			t.Errorf("%d held and %d finished it, want one of each", held, won)
		}
		accepted := 0
		for _, r := range w.audited() {
			if r == "upgrade 202" {
				accepted++
			}
		}
		if accepted != 1 {
			t.Errorf("Rancher took %d upgrades: %v", accepted, w.audited())
		}
	})
}

func TestA31AnotherTool(t *testing.T) {
	play(t, options{}, func(w *world) {
		// As rancher-gitlab-deploy does: the tag in place of the digest, and the finish at once.
		w.act("upgrade", w.upgradeBody(registryHost+"/"+repository+":v3"))
		w.untilPhase(2*time.Minute, reconcile.Held)
		w.want(reconcile.Held, reconcile.CodeForeign, true)
		w.untilState(2*time.Minute, "upgraded")
		w.act("finishupgrade", nil)
		w.push("v2", behaviour{})
		time.Sleep(5 * time.Minute)
		w.wantSent("")
		w.want(reconcile.Held, reconcile.CodeForeign, true)
		w.wantReason("drover resume")
		w.wantService("active", ":v3", ":v3 :v3 :v3")
	})
}

func TestA35NoUpgradeAction(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.fault("hidden-action")
		w.push("v2", behaviour{})
		w.untilCode(time.Minute, reconcile.CodeNotUpgradable)
		w.want(reconcile.Preflight, reconcile.CodeNotUpgradable, true)
		w.wantReason("does not offer the upgrade action")
		time.Sleep(5 * time.Minute)
		w.wantSent("")
		w.clear()
		w.untilClosed(5 * time.Minute)
		w.wantFinished("v2")
	})
}

// remove deletes a thing as a person.
func (w *world) remove(path string) {
	w.t.Helper()
	if status, out := w.person(http.MethodDelete, path, nil); status >= 300 {
		w.t.Fatalf("a person's DELETE %s: %d %v", path, status, out)
	}
}

// removeContainers purges the containers of a version.
func (w *world) removeContainers(version string) {
	w.t.Helper()
	for _, i := range w.instances() {
		if w.versionOf(i) == version {
			w.remove("/containers/" + i["id"].(string))
		}
	}
}

// hostOf is the host a container is on.
func (w *world) hostOf(id string) string {
	for _, i := range w.instances() {
		if i["id"] == id {
			host, _ := i["hostId"].(string)
			return host
		}
	}
	return ""
}

// sidekickBody is an upgrade of the sidekick alone.
func (w *world) sidekickBody(version string) map[string]any {
	side := w.service()["secondaryLaunchConfigs"].([]any)[0].(map[string]any)
	side["imageUuid"] = "docker:" + w.image(version)
	return map[string]any{"inServiceStrategy": map[string]any{"batchSize": 1, "intervalMillis": 100, "secondaryLaunchConfigs": []any{side}}}
}

// audited are the actions on services that Rancher has taken or refused, oldest first.
func (w *world) audited() []string {
	_, list := w.person(http.MethodGet, "/auditLogs?limit=1000", nil)
	data, _ := list["data"].([]any)
	var all []string
	for _, item := range data {
		e := item.(map[string]any)
		if event, _ := e["eventType"].(string); event == "api.service.upgrade" {
			code, _ := e["responseCode"].(float64)
			all = append(all, "upgrade "+map[bool]string{true: "202", false: "refused"}[code == 202])
		}
	}
	return all
}
