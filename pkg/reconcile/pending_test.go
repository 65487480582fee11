package reconcile

import (
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestNothingReadYetIsNoNews: a daemon that has just begun has read neither the
// registry nor Rancher. It writes nothing about it, for any target.
func TestNothingReadYetIsNoNews(t *testing.T) {
	pending := &observe.Problem{Cause: observe.CausePending, Message: "not read yet"}
	idle := newPaper()
	idle.run(6*time.Second, func(Decision) {})
	for name, h := range map[string]History{"never seen": {}, "idle": idle.history, "in a bake": bakeInput(t).History} {
		for part, edit := range map[string]func(*observe.Snapshot){
			"registry": func(s *observe.Snapshot) { s.Image = observe.Image{Problem: pending} },
			"Rancher":  func(s *observe.Snapshot) { s.Service = observe.Service{Problem: pending} },
		} {
			if h.Rollout != nil && part == "registry" {
				continue // A rollout does not ask the registry.
			}
			in := Input{Target: InForce(idle.target, h), Observed: idle.snapshot(), History: h, Now: idle.now}
			edit(&in.Observed)
			if d := Decide(in); len(d.Events) != 0 || d.Action != NoAction || d.RequeueAfter == 0 {
				t.Errorf("%s, %s pending: %s %s, %d events, action %q, again after %s; want no event, and another look", name, part, d.Phase, d.Code, len(d.Events), d.Action, d.RequeueAfter)
			}
		}
	}
}

// TestUnreadableIsNews: what could not be read is told, and so is what stays
// unread.
func TestUnreadableIsNews(t *testing.T) {
	p := newPaper()
	p.run(6*time.Second, func(Decision) {})
	in := p.nextInput()
	in.Observed.Image = observe.Image{Problem: &observe.Problem{Cause: observe.CauseUnreachable, Message: "connection refused"}}
	if d := Decide(in); len(d.Events) != 1 || d.Events[0].Kind != EventStatus || d.Code != CodeRegistryProblem {
		t.Errorf("registry unreachable: %s %s with %d events, want one of its status", d.Phase, d.Code, len(d.Events))
	}
	in.Observed.Service = observe.Service{Problem: &observe.Problem{Cause: observe.CausePending, Message: "not listed yet"}}
	in.Memory = Decide(in).Memory
	in.Now = in.Now.Add(p.target.Rollout.NoDataLimit.Duration)
	if d := Decide(in); !d.Alert || len(d.Events) != 1 {
		t.Errorf("Rancher pending for %s: alert %v, %d events, want an alert that is written", p.target.Rollout.NoDataLimit, d.Alert, len(d.Events))
	}
}
