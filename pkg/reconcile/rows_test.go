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
	p.bake(t)
	return p
}

// bake goes on to the middle of one.
func (p *paper) bake(t *testing.T) {
	t.Helper()
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

// TestSlowAverageHolds: twice as slow and by 200 ms for five looks; the old version
// is gone, so it is compared with the time before.
func TestSlowAverageHolds(t *testing.T) {
	at := func(ms int64) func(*observe.LoadBalancer) {
		return func(lb *observe.LoadBalancer) {
			for i := range lb.Servers {
				lb.Servers[i].Latency, lb.Servers[i].Total = ms, observe.Counts{Requests: 500}
			}
		}
	}
	for _, c := range []struct {
		before, now int64
		looks       int
		isHeld      bool
	}{
		{150, 400, 5, true},
		{150, 400, 4, false},  // Not long enough.
		{150, 290, 9, false},  // Not twice.
		{50, 240, 9, false},   // Not by a fifth of a second.
		{300, 620, 9, true},   //
		{-1, 9000, 9, false},  // Nothing to compare with.
		{150, -1, 9, false},   // HAProxy's average must not be used.
		{9000, 150, 9, false}, // Faster.
	} {
		p := newPaper()
		p.latency = c.before
		p.bake(t)
		f, d := p.looks(c.looks, at(c.now))
		if isHeld := f.Verdict == Hold && f.Code == CodeSlower; isHeld != c.isHeld || d.Action == Rollback {
			t.Errorf("%d ms after %d ms for %d looks: %s %s %s, action %q", c.now, c.before, c.looks, f.Verdict, f.Code, f.Detail, d.Action)
		}
	}
}
