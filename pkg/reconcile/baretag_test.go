package reconcile

import (
	"slices"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestRollbackOfABareTagThatMoved: a container that Rancher makes anew after a
// rollback pulls what the tag names by then, the bad version. It will never be
// well, so nothing waits for that: one fresh upgrade goes to the pinned image
// (ruling 4).
func TestRollbackOfABareTagThatMoved(t *testing.T) {
	p := newPaper()
	for i := range p.containers {
		p.containers[i].ImageID = "" // They started before Drover: not verified, not pinned.
	}
	p.run(6*time.Second, func(Decision) {})
	p.tag, p.seenAt, p.behaviour["b"] = "b", p.now, "never"
	var restored *Plan
	var events []EventKind
	hasMoved := false
	for range 90 {
		p.tick()
		p.now = p.now.Add(2 * time.Second)
		if r := p.history.Rollout; r != nil && !r.RollingBackAt.IsZero() && p.state == observe.StateActive && !hasMoved {
			hasMoved = true
			c := &p.containers[0]
			c.Unit, c.ImageID, c.Health = "b", "config-b", "initializing"
		}
		d := p.look()
		for _, e := range d.Events {
			events = append(events, e.Kind)
		}
		if d.Action == Upgrade && d.Plan.Kind == Restore && restored == nil {
			restored = d.Plan
		}
	}
	if !hasMoved {
		t.Fatalf("the version was not rolled back: %v", events)
	}
	if want := repository + "@" + digest("a"); restored == nil || restored.Image != want {
		t.Fatalf("restored by %+v, want %s; events %v, now %+v", restored, want, events, p.history.Status)
	}
	if _, is := p.history.Quarantine[digest("b")]; !is {
		t.Error("the bad version is not in quarantine")
	}
}

// TestSidekickAlone: only the sidekick has a new digest. The primary comes by its own
// digest all the same, and both are pinned first where it is known what runs, so
// that the way back does not take what the tags name by then.
func TestSidekickAlone(t *testing.T) {
	primary, side := repository+"@"+digest("a"), func(letter string) string { return sideRepository + "@" + digest(letter) }
	for _, tt := range []struct {
		name    string
		isKnown bool
		want    []string
	}{
		{"what runs is known", true, []string{"pin " + primary + " " + side("1"), "deploy " + primary + " " + side("2")}},
		{"what runs is not known", false, []string{"deploy " + primary + " " + side("2")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPaper()
			p.addSidekick()
			for i := range p.containers {
				if !tt.isKnown {
					p.containers[i].ImageID = ""
				}
			}
			p.run(4*time.Second, func(Decision) {})
			p.sideTag, p.seenAt = "2", p.now
			var got []string
			p.run(10*time.Minute, func(d Decision) {
				if d.Plan != nil {
					got = append(got, string(d.Plan.Kind)+" "+d.Plan.Image+" "+d.Plan.Sidekicks["logger"])
				}
			})
			if !slices.Equal(got, tt.want) {
				t.Errorf("upgrades to\n%q, want\n%q", got, tt.want)
			}
			if b := p.history.Baseline; b.Image != primary || b.Sidekicks["logger"].Image != side("2") {
				t.Errorf("what runs at the end is %+v", b)
			}
		})
	}
}

// TestProbationGoesBackFromASidekick: only the sidekick had changed. It goes back to
// its own digest, not to its tag; it is what is condemned, not the primary that runs;
// and it does not come again.
func TestProbationGoesBackFromASidekick(t *testing.T) {
	p := newPaper()
	p.addSidekick()
	for i := range p.containers {
		p.containers[i].ImageID = "" // Not known, so not pinned before.
	}
	p.run(4*time.Second, func(Decision) {})
	p.sideTag, p.seenAt = "2", p.now
	p.wait(t, func(d Decision) bool { return d.Phase == Probation })
	p.behaviour["a"] = "crash"
	back := p.wait(t, func(d Decision) bool { return d.Plan != nil })
	p.behaviour["a"] = ""
	if got, want := back.Plan.Sidekicks["logger"], sideRepository+"@"+digest("1"); back.Plan.Kind != Restore || got != want {
		t.Errorf("%s brings the sidekick %s, want a restore to %s", back.Plan.Kind, got, want)
	}
	if q := p.history.Quarantine; len(q) != 1 || q[digest("2")].Reason == "" {
		t.Errorf("quarantined is %v, want the sidekick's digest alone", q)
	}
	for range 3 {
		p.run(20*time.Minute, func(d Decision) {
			if d.Plan != nil {
				t.Fatalf("%s: upgrades to %s, sidekick %s", p.now, d.Plan.Image, d.Plan.Sidekicks["logger"])
			}
		})
		p.now = p.now.Add(12 * time.Hour) // The daily budget is over in the end.
	}
	if p.side.Image != sideRepository+"@"+digest("1") || p.last.Code != CodeQuarantined {
		t.Errorf("at the end the sidekick is %s, and Drover says %s", p.side.Image, p.last.Reason)
	}
}
