package reconcile

import (
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestCrashLoopOnlyObserves is C9: whatever is decided stays undone and unwritten
// until this Drover has lived for a while; what a person asks for is done.
func TestCrashLoopOnlyObserves(t *testing.T) {
	failing := func(p *paper) { p.behaviour["b"] = "crash" }
	for name, tt := range map[string]struct {
		edit func(*paper)
		want Action
	}{"start": {func(*paper) {}, Upgrade}, "rollback": {failing, Rollback}, "finish": {func(*paper) {}, FinishUpgrade}} {
		in := aboutTo(t, tt.want, tt.edit)
		in.Observed.Fleet.ObserveUntil = in.Now.Add(time.Minute)
		d := Decide(in)
		if d.Action != NoAction || d.Code != CodeCrashLoop || !d.Alert || d.RequeueAfter <= 0 {
			t.Errorf("%s: action %q, code %s, alert %v, again after %s; want none, %s, true and later", name, d.Action, d.Code, d.Alert, d.RequeueAfter, CodeCrashLoop)
		}
		if len(d.Events) != 1 || d.Events[0].Kind != EventStatus {
			t.Errorf("%s: events %+v, want only its status", name, d.Events)
		}
		in.Now = in.Observed.Fleet.ObserveUntil
		in.Memory = Memory{bakeStart: in.Now.Add(-time.Hour)}
		in.Observed.LoadBalancer = observe.LoadBalancer{Problem: &observe.Problem{Cause: observe.CauseUnreachable}}
		if d := Decide(in); d.Code == CodeCrashLoop {
			t.Errorf("%s: still %s when the time is over", name, d.Code)
		}
	}
	in := aboutTo(t, Rollback, failing)
	in.Observed.Fleet.ObserveUntil = in.Now.Add(time.Minute)
	in.History = in.History.Apply(Event{Kind: EventAbort, At: in.Now, Rollout: in.History.Rollout.ID, By: "ann"})
	if d := Decide(in); d.Action != Rollback {
		t.Errorf("a person's rollback: action %q (%s), want %q", d.Action, d.Reason, Rollback)
	}
}

// aboutTo is the input of the first look that decides an action, in a paper world
// to which b was pushed.
func aboutTo(t *testing.T, want Action, edit func(*paper)) Input {
	t.Helper()
	p := tenContainers()
	p.tag, p.seenAt = "b", p.now
	edit(p)
	for range 100 {
		p.tick()
		p.now = p.now.Add(2 * time.Second)
		in := Input{Target: InForce(p.target, p.history), Observed: p.snapshot(), History: p.history, Memory: p.memory, Now: p.now}
		d := Decide(in)
		if d.Action == want {
			return in
		}
		p.take(d)
	}
	t.Fatalf("never decided %s: %s %s", want, p.last.Phase, p.last.Reason)
	return Input{}
}
