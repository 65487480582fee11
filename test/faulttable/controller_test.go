package faulttable

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Rows about Drover itself that need a whole one. The others of table C are where docs/faults.md says.

// TestC27TargetPointsToAnotherService: a rollout keeps its service, whatever its target is made to name meanwhile.
func TestC27TargetPointsToAnotherService(t *testing.T) {
	const next = "gf-chat/parrot-next"
	t.Run("in the file", func(t *testing.T) {
		for _, tt := range []struct {
			name string
			v2   behaviour
		}{{"a version that fails", behaviour{neverHealthy: true}}, {"a version that is well", behaviour{}}} {
			t.Run(tt.name, func(t *testing.T) {
				play(t, options{rollout: "progressDeadline: 4m"}, func(w *world) {
					nextID := w.createOther("parrot-next")
					w.push("v2", tt.v2)
					w.untilState(time.Minute, "upgrading")
					first := w.history().Rollout.ID
					w.configure(strings.Replace(w.targets("drover"), "service: parrot-rest", "service: parrot-next", 1))
					w.until(time.Minute, "the other service is adopted", func() bool { return w.drover.Control.History(next).Baseline != nil })
					w.untilClosed(30 * time.Minute) // At once, or at its deadline: it is not finished, for nobody wants it any more.
					w.wantRolledBack("v2", tt.v2.neverHealthy)
					if got := w.history().Last.ID; got != first {
						t.Errorf("the old target's rollout is %s, want %s", got, first)
					}
					if slices.Contains(w.drover.Control.Keys(), key) {
						t.Errorf("%s is still looked after, with nothing open and not in the file", key)
					}
					w.push("v3", behaviour{})
					w.until(10*time.Minute, "the other service was upgraded", func() bool {
						h := w.drover.Control.History(next)
						return h.Rollout == nil && h.Last != nil
					})
					last := w.drover.Control.History(next).Last
					if last.ID == first || last.Outcome != reconcile.Finished || last.ServiceID != nextID {
						t.Errorf("the new target's rollout is %s of service %s and ended %s; want one of its own that finished %s", last.ID, last.ServiceID, last.Outcome, nextID)
					}
					w.wantService("active", "v1", "v1 v1 v1") // Nobody wants another version there.
				})
			})
		}
	})
	t.Run("in Rancher", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{})
			w.untilState(time.Minute, "upgrading")
			first, firstID := w.history().Rollout.ID, w.service()["id"].(string)
			w.remove("/services/" + firstID)
			w.until(time.Minute, "the service is gone in Rancher", func() bool { return w.service() == nil })
			secondID := w.createOther("parrot-rest")
			w.until(10*time.Second, "Drover sees another service", func() bool { return strings.Contains(w.decision().Reason, secondID) })
			w.untilClosed(2 * time.Minute)
			w.wantOutcome("v2", reconcile.TakenOver)
			if got := w.history().Last; got.ID != first || got.ServiceID != firstID {
				t.Errorf("closed was %s of %s, want %s of %s", got.ID, got.ServiceID, first, firstID)
			}
			w.untilCode(time.Minute, reconcile.CodePassedOver) // Seen for the first time: what is at the tag stays there.
			w.wantSent("upgrade 202")
			w.push("v3", behaviour{})
			w.until(10*time.Minute, "the second service was upgraded", func() bool { h := w.history(); return h.Rollout == nil && h.Last.ID != first })
			w.wantFinished("v3")
			if got := w.history().Last.ServiceID; got != secondID {
				t.Errorf("the second rollout was of %s, want %s", got, secondID)
			}
		})
	})
	t.Run("in Rancher, with the labels of the first", func(t *testing.T) {
		play(t, options{}, func(w *world) {
			w.push("v2", behaviour{neverHealthy: true})
			w.untilState(time.Minute, "upgrading")
			first := w.service()
			launch, err := json.Marshal(first["launchConfig"])
			if err != nil {
				t.Fatal(err)
			}
			w.remove("/services/" + first["id"].(string))
			w.until(time.Minute, "the service is gone in Rancher", func() bool { return w.service() == nil })
			w.create("parrot-rest", launch) // As Clone in the browser does.
			w.untilClosed(2 * time.Minute)
			w.wantOutcome("v2", reconcile.TakenOver)
			time.Sleep(5 * time.Minute)
			w.wantSent("upgrade 202") // The clone is sick, and not this rollout's to take back.
		})
	})
}

// TestC36ItsOwnService: Drover runs as a service of the Rancher that it drives, and somebody lists that service.
func TestC36ItsOwnService(t *testing.T) {
	play(t, options{}, func(w *world) {
		docker, _ := w.instances()[1]["externalId"].(string)
		if len(docker) < 12 {
			t.Fatalf("container %v has no Docker id", w.instances()[1])
		}
		w.drover.Clients.Informer.SetOwn(docker[:12])
		w.push("v2", behaviour{})
		w.untilCode(time.Minute, reconcile.CodeOwnService)
		w.want(reconcile.Held, reconcile.CodeOwnService, true)
		w.wantReason("this Drover runs in it")
		time.Sleep(10 * time.Minute)
		w.wantSent("")
		w.wantService("active", "v1", "v1 v1 v1")

		// What a person does to it is left alone, and that it is Drover's own is found out anew with new containers.
		w.act("upgrade", w.upgradeBody(w.image("v2")))
		w.untilState(5*time.Minute, "upgraded")
		docker, _ = w.instances()[len(w.instances())-1]["externalId"].(string)
		w.drover.Clients.Informer.SetOwn(docker)
		w.act("finishupgrade", nil)
		time.Sleep(10 * time.Minute)
		w.want(reconcile.Held, reconcile.CodeOwnService, true)
		w.wantSent("")

		// Another service's containers are no reason to leave this one alone.
		w.drover.Clients.Informer.SetOwn("0123456789ab")
		w.drover.Control.WakeAll(0)
		w.untilCode(time.Minute, reconcile.CodeForeign) // The person's upgrade.
		w.tell(controller.Resume)
		w.push("v3", behaviour{})
		w.untilClosed(10 * time.Minute)
		w.wantFinished("v3")
	})
}

// configure puts another targets.yaml in force, as the running daemon does when the file changes.
func (w *world) configure(text string) {
	w.t.Helper()
	config, err := desired.Parse("targets.yaml", []byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.drover.Configure(config); err != nil {
		w.t.Fatal(err)
	}
	w.drover.Control.WakeAll(0)
}

// createOther creates another service that runs v1 and waits for it.
func (w *world) createOther(name string) string {
	w.t.Helper()
	id := w.create(name, w.launch(""))
	w.until(5*time.Minute, name+" is active", func() bool {
		_, s := w.person(http.MethodGet, "/services/"+id, nil)
		return s["state"] == "active" && s["healthState"] == "healthy"
	})
	return id
}

// create creates a service of the stack.
func (w *world) create(name string, launch json.RawMessage) string {
	w.t.Helper()
	_, stacks := w.person(http.MethodGet, "/stacks?name=gf-chat", nil)
	stack := stacks["data"].([]any)[0].(map[string]any)["id"].(string)
	id, err := w.rancher.CreateService(ranchersim.ServiceSpec{StackID: stack, Name: name, Scale: w.scale(), LaunchConfig: launch, Start: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}
