package reconcile

import (
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestC15ClockJumpsADayAhead: nothing expires in the look that finds the jump, and
// the bake begins again.
func TestC15ClockJumpsADayAhead(t *testing.T) {
	in := bakeInput(t)
	in.Now = in.Now.Add(24 * time.Hour)
	d := Decide(in)
	if d.Action != NoAction || d.BakeStart.Before(in.Now) && !d.BakeStart.IsZero() {
		t.Errorf("after the jump: action %q (%s), bake since %v; want none, and a bake from zero", d.Action, d.Reason, d.BakeStart)
	}
	in.Memory, in.Now = d.Memory, in.Now.Add(time.Second)
	if d := Decide(in); d.Action != Rollback || d.Code != CodeDeadline {
		t.Errorf("a look later: action %q, code %s; the deadline is over, want %q", d.Action, d.Code, Rollback)
	}
}

// TestC16ClockJumpsADayBack: no bake without end and nothing negative.
func TestC16ClockJumpsADayBack(t *testing.T) {
	in := bakeInput(t)
	in.Now = in.Now.Add(-24 * time.Hour)
	d := Decide(in)
	if d.Action != NoAction || d.BakeStart.After(in.Now) || d.RequeueAfter <= 0 {
		t.Errorf("after the jump: action %q, bake since %v at %v, again after %s", d.Action, d.BakeStart, in.Now, d.RequeueAfter)
	}
}

// TestC17SuspendedHostBeginsTheBakeAgain: after a gap the gates are from zero.
func TestC17SuspendedHostBeginsTheBakeAgain(t *testing.T) {
	in := bakeInput(t)
	in.Now = in.Now.Add(time.Minute)
	if d := Decide(in); d.Action != NoAction || !d.BakeStart.IsZero() && d.BakeStart.Before(in.Now) {
		t.Errorf("after a minute without a look: action %q, bake since %v, want a bake from zero at %v", d.Action, d.BakeStart, in.Now)
	}
}

// TestC37BreakerStopsStartsNotRollbacks is a rollback storm over all targets.
func TestC37BreakerStopsStartsNotRollbacks(t *testing.T) {
	storm := func(in Input) Decision {
		in.Observed.Fleet.LimitRollbacks, in.Observed.Fleet.RollbacksLastHour = 3, 3
		return Decide(in)
	}
	if d := storm(aboutTo(t, Upgrade, func(*paper) {})); d.Action != NoAction || d.Code != CodeBreaker || !d.Alert {
		t.Errorf("a start: action %q, code %s, alert %v; want none, %s, true", d.Action, d.Code, d.Alert, CodeBreaker)
	}
	if d := storm(aboutTo(t, Rollback, func(p *paper) { p.behaviour["b"] = "crash" })); d.Action != Rollback {
		t.Errorf("a rollback: action %q (%s), want %q", d.Action, d.Reason, Rollback)
	}
}

// TestStatesThatAreNotARollouts is the lower half of the recovery table (4.6):
// nothing is written, and what lasts calls a person.
func TestStatesThatAreNotARollouts(t *testing.T) {
	for _, tt := range []struct {
		state  observe.ServiceState
		phase  Phase
		code   Code
		alerts time.Duration // -1 never, 0 at once.
	}{
		{observe.StateRestarting, Waiting, CodeRancherBusy, patience},
		{observe.StateActivating, Waiting, CodeRancherBusy, patience},
		{observe.StateUpdatingActive, Waiting, CodeRancherBusy, patience},
		{observe.StateRegistering, Waiting, CodeRancherBusy, patience},
		{observe.StateDeactivating, Waiting, CodeInactive, -1},
		{observe.StateInactive, Waiting, CodeInactive, -1},
		{observe.StateRemoved, Waiting, CodeTargetGone, goneAfter},
		{observe.StatePurged, Waiting, CodeTargetGone, goneAfter},
		{"dreaming", Held, CodeUnknownState, 0},
	} {
		p := tenContainers()
		p.tag, p.seenAt = "b", p.now // Something newer waits all the while.
		p.state = tt.state
		d := p.look()
		if d.Phase != tt.phase || d.Code != tt.code || d.Action != NoAction || d.Alert != (tt.alerts == 0) {
			t.Errorf("%s: %s %s, action %q, alert %v; want %s %s", tt.state, d.Phase, d.Code, d.Action, d.Alert, tt.phase, tt.code)
		}
		p.now = p.now.Add(max(tt.alerts, time.Hour))
		if d := p.look(); d.Action != NoAction || d.Alert != (tt.alerts >= 0) {
			t.Errorf("%s an hour later: action %q, alert %v", tt.state, d.Action, d.Alert)
		}
	}
}

// TestMixedVersionsInActiveHoldStarts: Rancher has two minutes to put it right.
func TestMixedVersionsInActiveHoldStarts(t *testing.T) {
	p := tenContainers()
	p.containers[4].Version, p.containers[4].Image = "v-other", repository+"@"+digest("9")
	p.tag, p.seenAt = "b", p.now
	p.run(20*time.Second, func(Decision) {})
	if p.last.Action != NoAction || p.last.Code != CodeMixed || p.last.Alert {
		t.Fatalf("%s %s, action %q, alert %v; want %s and no alert yet", p.last.Phase, p.last.Code, p.last.Action, p.last.Alert, CodeMixed)
	}
	p.run(settleMixed, func(Decision) {})
	if p.last.Action != NoAction || p.last.Code != CodeMixed || !p.last.Alert {
		t.Errorf("two minutes later: %s %s, action %q, alert %v; want an alert", p.last.Phase, p.last.Code, p.last.Action, p.last.Alert)
	}
}
