package reconcile

import (
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
