package reconcile

import (
	"strings"
	"testing"
	"time"
)

// TestWayBackUndoesNobodysUpgrade: a finished version that fails on probation is not taken back by itself when somebody
// upgraded the service since, to the same image but with something else changed (A34).
func TestWayBackUndoesNobodysUpgrade(t *testing.T) {
	for _, isChanged := range []bool{false, true} {
		p := newPaper()
		p.run(6*time.Second, func(Decision) {})
		p.tag, p.seenAt, p.behaviour["b"] = "b", p.now, "ok"
		for end := p.now.Add(10 * time.Minute); p.history.Probation == nil && p.now.Before(end); {
			p.run(2*time.Second, func(Decision) {})
		}
		if p.history.Probation == nil {
			t.Fatalf("the rollout did not finish: %v", p.acted)
		}
		if isChanged {
			p.launch.Version = "theirs"
			for i := range p.containers {
				p.containers[i].Version = "theirs"
			}
		}
		p.run(4*time.Second, func(Decision) {})
		p.containers[0].Health = "unhealthy"
		var said string
		sent := len(p.acted)
		for range 10 {
			p.now = p.now.Add(2 * time.Second)
			if d := p.look(); d.Code == CodeProbationFailed && said == "" {
				said = d.Reason
			}
		}
		if took := len(p.acted) > sent; took == isChanged || said == "" {
			t.Errorf("changed since: %t; Drover did %v and said %q", isChanged, p.acted[sent:], said)
		}
		if isChanged && !strings.Contains(said, "somebody upgraded the service since") {
			t.Errorf("it said %q, want why it is not taken back", said)
		}
	}
}
