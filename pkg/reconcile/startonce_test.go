package reconcile

import (
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestSidekickThatStartsOnce: a sidekick that does its work and ends, such as a migration, is as good as one that runs;
// without the label one that ended is a fault.
func TestSidekickThatStartsOnce(t *testing.T) {
	for _, startsOnce := range []bool{true, false} {
		p := newPaper()
		look := func(d time.Duration) {
			for end := p.now.Add(d); p.now.Before(end); {
				p.tick()
				p.now = p.now.Add(2 * time.Second)
				seen := p.snapshot()
				seen.Service.Secondary = []observe.Launch{{Name: "migrate", Image: "migrate:1", Version: "v0", StartsOnce: startsOnce}}
				seen.Service.Containers = append(seen.Service.Containers, observe.Container{
					ID: "1i900", Name: "migrate-1", LaunchName: "migrate", Version: "v0", Image: "migrate:1", State: "stopped", StartCount: 1,
				})
				p.take(Decide(Input{Target: InForce(p.target, p.history), Observed: seen, History: p.history, Memory: p.memory, Now: p.now}))
			}
		}
		look(6 * time.Second)
		p.tag, p.seenAt, p.behaviour["b"] = "b", p.now, "ok"
		look(5 * time.Minute)
		acted := strings.Join(p.acted, " ")
		if finished := strings.Contains(acted, string(FinishUpgrade)); finished != startsOnce {
			t.Errorf("starts once: %t; Drover did %q and says %s %s: %s", startsOnce, acted, p.last.Phase, p.last.Code, p.last.Reason)
		}
		if !startsOnce && !strings.Contains(p.last.Reason, "migrate-1 is stopped") {
			t.Errorf("without the label it says %q, want that the sidekick is stopped", p.last.Reason)
		}
	}
}

// TestProveStartsOnce: of a primary that starts once every container has to have begun, and stopped ones of the version
// before do not count.
func TestProveStartsOnce(t *testing.T) {
	of := func(states ...string) observe.Service {
		s := observe.Service{State: observe.StateUpgraded, Scale: 2, Launch: observe.Launch{Image: "job:2", Version: "v2", StartsOnce: true}}
		for _, state := range states {
			c := observe.Container{Name: "job", Version: "v2", Image: "job:2", State: state, StartCount: 1}
			switch state {
			case "not started":
				c.State, c.StartCount = "stopped", 0
			case "old":
				c.State, c.Version, c.Image = "stopped", "v1", "job:1"
			}
			s.Containers = append(s.Containers, c)
		}
		return s
	}
	for _, tt := range []struct {
		states []string
		want   string
	}{
		{[]string{"stopped", "running"}, ""},
		{[]string{"stopped", "stopped"}, ""},
		{[]string{"stopped", "stopped", "old", "old"}, ""},
		{[]string{"stopped", "old", "old"}, "1 of 2"},
		{[]string{"stopped", "not started"}, "job is stopped"},
		{[]string{"stopped", "starting"}, "job is starting"},
	} {
		got := Prove(of(tt.states...), 0)
		if tt.want == "" != (got == "") || !strings.Contains(got, tt.want) {
			t.Errorf("Prove(%v) = %q, want %q", tt.states, got, tt.want)
		}
	}
}
