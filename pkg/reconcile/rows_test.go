package reconcile

import (
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// baking is a paper world in the middle of a bake, and the input of its next look
// as edit leaves it.
func baking(t *testing.T) *paper {
	t.Helper()
	p := newPaper()
	for i := range p.containers {
		p.containers[i].ImageID = ""
	}
	p.run(4*time.Second, func(Decision) {})
	p.tag, p.seenAt = "b", p.now
	for i := 0; p.last.Code != CodeBaking; i++ {
		if i > 60 {
			t.Fatalf("no bake: %s %s", p.last.Phase, p.last.Reason)
		}
		p.run(2*time.Second, func(Decision) {})
	}
	return p
}

// looks decides n times on what edit makes of the snapshot, and returns the load
// balancer's finding and the decision of the last.
func (p *paper) looks(n int, edit func(*observe.LoadBalancer)) (Finding, Decision) {
	var d Decision
	for range n {
		p.now = p.now.Add(2 * time.Second)
		seen := p.snapshot()
		edit(&seen.LoadBalancer)
		d = Decide(Input{Target: InForce(p.target, p.history), Observed: seen, History: p.history, Memory: p.memory, Now: p.now})
		p.memory = d.Memory
		if d.Action != NoAction {
			break
		}
	}
	for _, f := range d.Gates {
		if f.Gate == "load balancer" {
			return f, d
		}
	}
	return Finding{}, d
}

func TestDownAtOneOfTwoInstancesHoldsWhereverTheRowStands(t *testing.T) {
	for container := range 3 {
		p := baking(t)
		f, d := p.looks(1, func(lb *observe.LoadBalancer) {
			row := lb.Servers[container]
			row.Instance, row.Status, row.Text, row.Delta = "second", observe.ServerDown, "DOWN", observe.Counts{}
			lb.Servers = append(lb.Servers, row)
		})
		if f.Verdict != Hold || f.Code != CodeServerOut || d.Action != NoAction {
			t.Errorf("container %d down at one instance: %s %s, action %q, want Hold %s", container, f.Verdict, f.Code, d.Action, CodeServerOut)
		}
	}
}

func TestDownEverywhereFails(t *testing.T) {
	p := baking(t)
	f, d := p.looks(1, func(lb *observe.LoadBalancer) {
		lb.Servers[1].Status, lb.Servers[1].Text = observe.ServerDown, "DOWN"
	})
	if f.Verdict != Fail || f.Code != CodeServerDown || d.Action != Rollback {
		t.Errorf("down after up: %s %s, action %q, want a rollback", f.Verdict, f.Code, d.Action)
	}
}

// In mode tcp HAProxy counts no requests: that none was served cannot be said.
func TestRetriesOfUncountedRowsDoNotFail(t *testing.T) {
	edit := func(isUncounted bool) func(*observe.LoadBalancer) {
		return func(lb *observe.LoadBalancer) {
			lb.Servers[0].Uncounted, lb.Servers[0].Delta = isUncounted, observe.Counts{Retries: 3}
		}
	}
	if f, d := baking(t).looks(5, edit(true)); f.Verdict == Fail || d.Action == Rollback {
		t.Errorf("uncounted retries: %s %s, want no failure", f.Verdict, f.Code)
	}
	if f, d := baking(t).looks(5, edit(false)); f.Code != CodeRefused || d.Action != Rollback {
		t.Errorf("counted retries: %s %s, action %q, want %s", f.Verdict, f.Code, d.Action, CodeRefused)
	}
}

func TestOtherServicesFailingTooIsNobodysFault(t *testing.T) {
	fail := func(others bool) func(*observe.LoadBalancer) {
		return func(lb *observe.LoadBalancer) {
			for i := range lb.Servers {
				lb.Servers[i].Delta = observe.Counts{Requests: 20, Failures: 6}
			}
			if others {
				lb.Others = observe.Counts{Requests: 100, Failures: 30}
			}
		}
	}
	if f, d := baking(t).looks(6, fail(true)); f.Code != CodeSharedIncident || d.Action != NoAction {
		t.Errorf("others fail too: %s %s, action %q, want %s", f.Verdict, f.Code, d.Action, CodeSharedIncident)
	}
	if f, d := baking(t).looks(6, fail(false)); f.Code != CodeTooManyErrors || d.Action != Rollback {
		t.Errorf("others are well: %s %s, action %q, want a rollback", f.Verdict, f.Code, d.Action)
	}
}

func TestJumpOfClientErrorsHolds(t *testing.T) {
	p := baking(t)
	f, d := p.looks(20, func(lb *observe.LoadBalancer) {
		for i := range lb.Servers {
			lb.Servers[i].Delta = observe.Counts{Requests: 20, ClientErrors: 20}
		}
	})
	if f.Verdict != Hold || f.Code != CodeClientErrors || d.Action != NoAction {
		t.Errorf("every answer a 4xx: %s %s, action %q, want Hold %s", f.Verdict, f.Code, d.Action, CodeClientErrors)
	}
}

// TestDecideIsPure decides twice on the same input (I14).
func TestDecideIsPure(t *testing.T) {
	p := baking(t)
	in := Input{Target: InForce(p.target, p.history), Observed: p.snapshot(), History: p.history, Memory: p.memory, Now: p.now.Add(time.Second)}
	first, second := Decide(in), Decide(in)
	if first.Phase != second.Phase || first.Code != second.Code || first.Action != second.Action || len(first.Events) != len(second.Events) {
		t.Errorf("Decide gave %s %s %q, then %s %s %q", first.Phase, first.Code, first.Action, second.Phase, second.Code, second.Action)
	}
}
