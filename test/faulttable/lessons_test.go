package faulttable

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// What the recordings of a running Rancher taught, as the whole controller shows it. test/lessons_test.go is the table
// of sentences and their tests.

// TestTwoUpgradesAtOnce: both are accepted and the later one wins entirely, with the original as its way back
// (rancher-api 3.2).
func TestTwoUpgradesAtOnce(t *testing.T) {
	t.Run("a person's wins", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("two-upgrades")
			body := w.upgradeBody(w.image("v3"))
			w.push("v2", behaviour{})
			w.until(time.Minute, "Drover's upgrade is accepted", func() bool { return w.sent() == "upgrade 202" })
			w.act("upgrade", body)
			w.untilPhase(time.Minute, reconcile.Held)
			w.want(reconcile.Held, reconcile.CodeForeign, true)
			w.wantOutcome("v2", reconcile.TakenOver)
			w.wantQuarantine()
			w.untilState(5*time.Minute, "upgraded")
			time.Sleep(3 * time.Minute)
			w.wantSent("upgrade 202") // And nothing else: the rollout is a person's now.
			w.wantService("upgraded", "v3", "v3 v3 v3")
		})
	})
	t.Run("Drover's wins", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.fault("two-upgrades")
			w.fault("late=delay=2s,count=1,action=upgrade,key=DROVER")
			body := w.upgradeBody(w.image("v3"))
			w.push("v2", behaviour{})
			w.until(time.Minute, "Drover's upgrade is under way", func() bool { return w.sent() != "" })
			w.act("upgrade", body)
			w.untilClosed(10 * time.Minute)
			w.wantFinished("v2")
			w.wantSent("upgrade 202, finishupgrade 202")
		})
	})
}

// TestUpgradedWithoutANewContainer: Rancher says upgraded although no host was there to run one (rancher-api 15.1).
func TestUpgradedWithoutANewContainer(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.fault("late=delay=3s,count=1,action=upgrade")
		w.push("v2", behaviour{})
		w.until(time.Minute, "the upgrade is under way", func() bool { return w.sent() != "" })
		w.hosts("inactive")
		w.untilState(time.Minute, "upgraded")
		w.untilPhase(time.Minute, reconcile.Proving)
		w.wantReason("0 of 3 containers of the wanted version run")
		time.Sleep(time.Minute)
		w.wantSent("upgrade 202") // Not finished, whatever Rancher calls it.
		w.hosts("active")
		w.untilClosed(15 * time.Minute)
		if h := w.history(); h.Last.Outcome != reconcile.RolledBack {
			t.Errorf("the rollout ended %s, want it rolled back", h.Last.Outcome)
		}
		w.wantService("active", "v1", "v1 v1 v1")
	})
}

// TestMissingDigest: transitioning says error, which passes when the registry has the image again, and stays when it
// does not (rancher-api 15.2).
func TestMissingDigest(t *testing.T) {
	t.Run("the error passes", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.runtime.pulls(w.image("v2"), "")
			w.push("v2", behaviour{})
			w.until(2*time.Minute, "Rancher says error", func() bool { return w.service()["transitioning"] == "error" })
			w.until(time.Minute, "the gate says why", w.holdsFor("the registry does not have it"))
			w.runtime.pullsAgain(w.image("v2"))
			w.untilClosed(10 * time.Minute)
			w.wantFinished("v2")
		})
	})
	t.Run("the error stays", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.runtime.pulls(w.image("v2"), "")
			w.push("v2", behaviour{})
			w.until(2*time.Minute, "the gate says why", w.holdsFor("the registry does not have it"))
			w.untilClosed(15 * time.Minute)
			w.wantRolledBack("v2", false) // The registry's fault condemns no version.
			if reason := w.history().Last.Reason; !strings.Contains(reason, "the registry does not have it") {
				t.Errorf("taken back because %q, want the cause", reason)
			}
		})
	})
}

// TestRollbackPullsTheOldImage: where a new container was recreated its unit is another one, so that a rollback makes
// the old version anew and its image is pulled again (rancher-api 3.8).
func TestRollbackPullsTheOldImage(t *testing.T) {
	begin := func(w *world) {
		w.runtime.pulls(w.image("v2"), "") // Its container is recreated every 15 s.
		w.push("v2", behaviour{})
		w.until(2*time.Minute, "the gate says why", w.holdsFor("the registry does not have it"))
		time.Sleep(30 * time.Second)
	}
	t.Run("and it is there", func(t *testing.T) {
		play(t, options{scale: 1}, func(w *world) {
			before := w.ids("v1")
			begin(w)
			w.untilClosed(15 * time.Minute)
			w.wantRolledBack("v2", false)
			w.wantService("active", "v1", "v1")
			if after := w.ids("v1"); len(after) != 1 || after[0] == before[0] {
				t.Errorf("%v ran before and %v after, want one made anew", before, after)
			}
		})
	})
	t.Run("and it is gone", func(t *testing.T) {
		play(t, options{scale: 1}, func(w *world) {
			begin(w)
			w.runtime.pulls(w.image("v1"), "")
			w.untilPhase(20*time.Minute, reconcile.Stuck)
			if d := w.decision(); !d.Alert || !strings.Contains(d.Reason, w.digests["v1"]+" not found: manifest unknown") {
				t.Errorf("%s, alert %t: %q; want an alert that says why", d.Code, d.Alert, d.Reason)
			}
			sent := w.sent()
			time.Sleep(5 * time.Minute)
			w.wantSent(sent)
		})
	})
}

// TestActiveIsNotHealthy: a rollback ends as active while its containers are still initializing, so it is verified and
// not believed (rancher-api 14.3).
func TestActiveIsNotHealthy(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.push("v2", behaviour{neverHealthy: true})
		w.untilState(time.Minute, "upgrading")
		config, _ := w.config(w.image("v1"))
		w.runtime.behaves(config, behaviour{neverHealthy: true})
		w.untilState(10*time.Minute, "active")
		w.untilPhase(time.Minute, reconcile.Verifying)
		w.wantReason("rolled back, but", "initializing")
		w.untilPhase(5*time.Minute, reconcile.Stuck)
		w.want(reconcile.Stuck, reconcile.CodeRollbackLate, true)
	})
}

// TestHostsThatRunDifferentImages: events tell which image Docker runs in each container; a bare tag that moved
// between two pulls is told, in the log and in what status shows.
func TestHostsThatRunDifferentImages(t *testing.T) {
	play(t, options{bareTag: true}, func(w *world) {
		tag := registryHost + "/" + repository + ":latest"
		v3, _ := w.config(w.image("v3"))
		w.runtime.pulls(tag, v3)
		w.replaceContainer("1i1")
		w.runtime.pullsAgain(tag)
		w.replaceContainer("1i2")
		w.untilCode(time.Minute, reconcile.CodeImagesDiffer)
		w.want(reconcile.Idle, reconcile.CodeImagesDiffer, true)
		w.wantReason("different images run as", " on 1h", "runs in gf-chat-parrot-rest-")
		w.mu.Lock()
		logged := w.logged.String()
		w.mu.Unlock()
		if !strings.Contains(logged, `"code"="images-differ"`) {
			t.Error("the log does not say so")
		}
		view := web.ViewOf(key, desired.Target{}, w.history(), w.report())
		count := map[string]int{}
		for _, c := range view.Containers {
			switch {
			case c.AsAsked == nil:
				count["not known"]++
			case *c.AsAsked:
				count["as asked"]++
			default:
				count["another"]++
			}
		}
		if count["as asked"] != 2 || count["another"] != 1 || count["not known"] != 0 {
			t.Errorf("status says %v of the containers' images, want another one of one: %+v", count, view.Containers)
		}
		w.wantSent("")
	})
}

// holdsFor says whether the health gate holds or fails for a reason.
func (w *world) holdsFor(why string) func() bool {
	return func() bool {
		for _, f := range w.decision().Gates {
			if f.Gate == "health" && strings.Contains(f.Text(), why) {
				return true
			}
		}
		return false
	}
}

// replaceContainer purges a container by hand and waits for another one to run in its place.
func (w *world) replaceContainer(id string) {
	w.t.Helper()
	before := len(w.rancher.Containers())
	w.remove("/containers/" + id)
	w.until(time.Minute, "another container runs", func() bool {
		all := w.rancher.Containers()
		return len(all) == before && !slices.ContainsFunc(all, func(c ranchersim.Container) bool { return c.ID == id || c.Health != "healthy" })
	})
}

// hosts puts both hosts into a state.
func (w *world) hosts(state string) {
	w.t.Helper()
	for _, id := range []string{"1h1", "1h2"} {
		if err := w.rancher.SetHostState(id, state); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestKeyThatHidesSecrets: with a container's own key nothing is started, and a person is told why.
func TestKeyThatHidesSecrets(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.rancher.AddKey(ranchersim.Key{Access: "DROVER", Secret: "secret", Kind: ranchersim.AgentKey, Project: w.rancher.ProjectID()})
		time.Sleep(2 * time.Minute) // The next listing is made with it.
		w.push("v2", behaviour{})
		w.untilCode(time.Minute, reconcile.CodeSecretsHidden)
		w.want(reconcile.Preflight, reconcile.CodeSecretsHidden, true)
		w.wantReason("use an environment API key")
		time.Sleep(3 * time.Minute)
		w.wantSent("")
		w.rancher.AddKey(ranchersim.Key{Access: "DROVER", Secret: "secret", Project: w.rancher.ProjectID()})
		w.untilClosed(10 * time.Minute)
		w.wantFinished("v2")
	})
}
