package operator

import (
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// through takes a track through sights.
func through(t Track, sights ...Sight) Track {
	for _, s := range sights {
		t = t.Take(s)
	}
	return t
}

// TestTracksWithoutADaemon follows what Rancher shows from sight to sight.
func TestTracksWithoutADaemon(t *testing.T) {
	active, upgrading, upgraded := alone(service(observe.StateActive)), alone(service(observe.StateUpgrading)), alone(service(observe.StateUpgraded))
	rolling, canceled, away := alone(service(observe.StateRollingBack)), alone(service(observe.StateCanceledUpgrade)), alone(observe.Service{Problem: &observe.Problem{Cause: observe.CauseUnreachable, Message: "no route"}})
	another := service(observe.StateUpgraded)
	another.Launch.Version, another.Launch.Image = "vc", pinned('c')
	somebody := service(observe.StateActive)
	somebody.Launch.Version, somebody.Launch.Image = "vc", pinned('c')
	for i := range somebody.Containers {
		somebody.Containers[i].Version, somebody.Containers[i].Image = "vc", pinned('c')
	}
	notYet := finished()
	notYet.Containers[0].Health = "initializing"
	bare := finished()
	bare.Launch.Image = repository + ":7"
	for i := range bare.Containers {
		bare.Containers[i].Image = bare.Launch.Image
	}
	want := Track{Digest: digest('b')}
	for _, tt := range []struct {
		name    string
		from    Track
		sights  []Sight
		outcome Outcome
		goal    Goal // Reached in the end; empty says none of the goals.
		text    string
	}{
		{"nothing begins", Track{}, []Sight{active}, Open, NoGoal, "runs aaaaaaaaaaaa on 2 containers"},
		{"upgrading", Track{}, []Sight{active, upgrading}, Open, NoGoal, "1 of 2 containers are new"},
		{"upgraded", Track{}, []Sight{upgrading, upgraded}, Open, ToUpgraded, "upgraded: 2 new containers are healthy"},
		{"upgraded, not proved", Track{}, []Sight{upgrading, alone(unhealthy(service(observe.StateUpgraded)))}, Open, NoGoal, "is unhealthy"},
		{"finished", Track{}, []Sight{upgrading, upgraded, alone(service(observe.StateFinishingUpgrade)), alone(finished())}, Finished, ToFinished, "finished"},
		{"active, not proved yet", Track{}, []Sight{upgraded, alone(notYet)}, Open, NoGoal, "active, but"},
		{"rolled back", Track{}, []Sight{upgrading, rolling, alone(rolledBack())}, RolledBack, ToRolledBack, "rolled-back"},
		{"rolled back between two looks", Track{}, []Sight{upgraded, alone(rolledBack())}, RolledBack, ToRolledBack, "rolled-back"},
		{"first seen while it rolls back", Track{}, []Sight{rolling, alone(rolledBack())}, RolledBack, ToRolledBack, "rolled-back"},
		{"cancelled", Track{}, []Sight{upgrading, canceled}, Open, ToCanceled, "cancelled: 2 new and 0 old"},
		{"another upgrade took over", Track{}, []Sight{upgraded, alone(another)}, TakenOver, NoGoal, "another upgrade took its place"},
		{"somebody changed it", Track{}, []Sight{upgraded, alone(somebody)}, TakenOver, NoGoal, "somebody changed the service"},
		{"Rancher away and back", Track{}, []Sight{upgrading, away, away, alone(finished())}, Finished, ToFinished, "finished"},
		{"Rancher away", Track{}, []Sight{upgrading, away}, Open, NoGoal, "Rancher cannot be read since 00:00: no route"},
		{"removed", Track{}, []Sight{upgrading, alone(service(observe.StateRemoved))}, TakenOver, NoGoal, "removed"},

		{"wanted, not there yet", want, []Sight{active}, Open, NoGoal, "waiting for bbbbbbbbbbbb"},
		{"wanted, runs already", want, []Sight{alone(finished())}, Finished, ToFinished, "it runs already"},
		{"wanted, was taken back before", want, []Sight{alone(rolledBack())}, RolledBack, ToRolledBack, "rolled back in Rancher"},
		{"wanted, another is under way", want, []Sight{alone(another)}, Open, NoGoal, "upgraded, but"},
		{"wanted, comes", want, []Sight{active, upgraded, alone(finished())}, Finished, ToFinished, "finished"},
		{"wanted by tag", Track{Image: repository + ":7"}, []Sight{active, alone(bare)}, Finished, ToFinished, "it runs already"},
		{"a bare tag does not say which digest", want, []Sight{alone(bare)}, Open, NoGoal, "waiting"},
		{"what ended stays ended", Track{}, []Sight{upgraded, alone(rolledBack()), upgraded, alone(finished())}, RolledBack, ToRolledBack, "rolled-back"},
	} {
		got := through(tt.from, tt.sights...)
		if got.Outcome != tt.outcome || !strings.Contains(got.Text, tt.text) {
			t.Errorf("%s: %q %q, want %q with %q", tt.name, got.Outcome, got.Text, tt.outcome, tt.text)
		}
		for _, g := range []Goal{ToUpgraded, ToFinished, ToRolledBack, ToCanceled} {
			isReached := g == tt.goal || g == ToUpgraded && tt.goal == ToFinished
			if got.Has(g) != isReached {
				t.Errorf("%s: goal %s reached: %t, want %t", tt.name, g, got.Has(g), isReached)
			}
		}
	}
}

// TestTracksWithADaemon: its word is the outcome.
func TestTracksWithADaemon(t *testing.T) {
	follow := Track{Watched: true}
	want := Track{Watched: true, Digest: digest('b')}
	over := func(o reconcile.Outcome, reason string) web.View {
		return view(idle('b'), func(v *web.View) {
			v.Last = &web.Rollout{ID: "api-1", Kind: reconcile.Deploy, To: digest('b'), Outcome: o, Reason: reason}
		})
	}
	pin := view(baking(), func(v *web.View) { v.Rollout.ID, v.Rollout.Kind, v.Rollout.To = "api-0", reconcile.Pin, digest('a') })
	upgraded, active := service(observe.StateUpgraded), service(observe.StateActive)
	newer := view(idle('c'), func(v *web.View) {
		v.Rollout = &web.Rollout{ID: "api-2", Kind: reconcile.Deploy, To: digest('c')}
	})
	silent := watched(upgraded, baking())
	silent.DaemonProblem = "no answer"
	for _, tt := range []struct {
		name    string
		from    Track
		sights  []Sight
		outcome Outcome
		text    string
	}{
		{"baking", follow, []Sight{watched(upgraded, baking())}, Open, "baking 03:00 of 10:00: every gate holds so far"},
		{"finished", follow, []Sight{watched(upgraded, baking()), watched(finished(), over(reconcile.Finished, ""))}, Finished, "idle"},
		{"rolled back", follow, []Sight{watched(upgraded, baking()), watched(rolledBack(), over(reconcile.RolledBack, "a gate failed"))}, RolledBack, "idle"},
		{"never applied", follow, []Sight{watched(active, baking()), watched(active, over(reconcile.NotApplied, "refused"))}, NotApplied, "idle"},
		{"Rancher looks finished, the daemon has not said so", follow, []Sight{watched(upgraded, baking()), watched(finished(), baking())}, Open, "baking"},
		{"a pinning is not what is followed", follow, []Sight{watched(upgraded, pin)}, Open, "baking"},
		{"the daemon is silent", follow, []Sight{silent}, Open, "the daemon does not answer now: no answer"},
		{"an old one is over", Track{Watched: true, Digest: digest('b'), Not: "api-1"}, []Sight{watched(active, over(reconcile.RolledBack, ""))}, Open, "idle"},
		{"wanted, was finished before", want, []Sight{watched(finished(), over(reconcile.Finished, ""))}, Finished, "idle"},
		{"wanted, runs already", want, []Sight{watched(finished(), view(idle('b'), func(v *web.View) { v.Running = digest('b') }))}, Finished, "idle"},
		{"wanted, passed over at first sight", want, []Sight{watched(active, view(idle('b'), func(v *web.View) { v.Running, v.Code = digest('b'), reconcile.CodePassedOver }))}, Open, "idle"},
		{"wanted, condemned", want, []Sight{watched(active, view(idle('b'), func(v *web.View) {
			v.Quarantine = map[string]reconcile.Quarantined{digest('b'): {Reason: "it crashed"}}
		}))}, RolledBack, "idle"},
		{"wanted, a newer one was faster", want, []Sight{watched(active, idle('b')), watched(upgraded, newer)}, TakenOver, "idle"},
		{"wanted, what runs is pinned first", want, []Sight{watched(active, idle('b')), watched(upgraded, pin)}, Open, "baking"},
		{"wanted, not seen yet", want, []Sight{watched(upgraded, newer)}, Open, "idle"},
		{"not looked yet", follow, []Sight{watched(active, web.View{})}, Open, "the daemon has not looked yet"},
	} {
		got := through(tt.from, tt.sights...)
		if got.Outcome != tt.outcome || !strings.Contains(got.Text, tt.text) {
			t.Errorf("%s: %q (%s) %q, want %q with %q", tt.name, got.Outcome, got.Reason, got.Text, tt.outcome, tt.text)
		}
	}
}

func TestBlindSinceTheFirstFailure(t *testing.T) {
	away := alone(observe.Service{Problem: &observe.Problem{Message: "no route"}})
	later := away
	later.At = noon.Add(90 * time.Second)
	if got := through(Track{}, away, later); got.Text != "Rancher cannot be read since 01:30: no route" {
		t.Errorf("text = %q", got.Text)
	}
}
