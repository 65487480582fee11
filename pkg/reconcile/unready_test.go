package reconcile

import (
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// waiting is a new version that a fault keeps from starting; look looks once, two
// seconds later.
type waiting struct {
	*paper
	fault func(*observe.Snapshot)
}

func newWaiting(fault func(*observe.Snapshot)) *waiting {
	w := &waiting{paper: newPaper(), fault: fault}
	for i := range w.containers {
		w.containers[i].ImageID = "" // Nothing is pinned first.
	}
	w.run(6*time.Second, func(Decision) {})
	w.tag, w.seenAt = "b", w.now
	return w
}

func (w *waiting) look() Decision {
	w.now = w.now.Add(2 * time.Second)
	s := w.snapshot()
	if w.fault != nil {
		w.fault(&s)
	}
	return w.take(Decide(Input{Target: w.target, Observed: s, History: w.history, Memory: w.memory, Now: w.now}))
}

// until looks until a decision fits, and says how long that took since the first that
// said the code.
func (w *waiting) since(code Code, fits func(Decision) bool, most time.Duration) (time.Duration, bool) {
	var begun time.Time
	for end := w.now.Add(most); w.now.Before(end); {
		d := w.look()
		if d.Code == code && begun.IsZero() {
			begun = w.now
		}
		if !begun.IsZero() && fits(d) {
			return w.now.Sub(begun), true
		}
	}
	return 0, false
}

func isAlert(d Decision) bool { return d.Alert }

var unreachable = &observe.Problem{Cause: observe.CauseUnreachable, Message: "connection refused"}

// TestFaultThatKeepsAVersionWaitingCallsAPerson: whoever pushed it would wait for ever
// otherwise. What runs may heal for as long as a container may take to become healthy,
// what cannot be read for noDataLimit.
func TestFaultThatKeepsAVersionWaitingCallsAPerson(t *testing.T) {
	for name, tt := range map[string]struct {
		fault func(*observe.Snapshot)
		code  Code
		after time.Duration
	}{
		"what runs is unhealthy": {func(s *observe.Snapshot) { s.Service.Containers[1].Health = "unhealthy" }, CodeUnhealthyBefore, 2 * time.Minute},
		"containers unreadable":  {func(s *observe.Snapshot) { s.Service.ContainersProblem = unreachable }, CodeBlind, 5 * time.Minute},
		"hosts unreadable":       {func(s *observe.Snapshot) { s.Hosts.Problem = unreachable }, CodeNoHost, 5 * time.Minute},
		"way back unconfirmed":   {func(s *observe.Snapshot) { s.Previous = observe.Pullable{} }, CodeNotPullable, 5 * time.Minute},
		"registry unreachable":   {func(s *observe.Snapshot) { s.Previous.Problem = unreachable }, CodeNotPullable, 5 * time.Minute},
		"statistics unreachable": {func(s *observe.Snapshot) { s.LoadBalancer = observe.LoadBalancer{Problem: unreachable} }, CodeBaselineBlind, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWaiting(tt.fault)
			took, called := w.since(tt.code, isAlert, 10*time.Minute)
			d := w.last
			if !called || took < tt.after || took > tt.after+4*time.Second {
				t.Fatalf("%s called a person after %s (%t), want after %s: %s", d.Code, took, called, tt.after, d.Reason)
			}
			if d.Phase != Preflight || d.Code != tt.code || !strings.Contains(d.Reason, "has waited for more than") || !strings.Contains(d.Reason, short(digest("b"))) {
				t.Errorf("%s %s says %q, want what is wrong and what waits for it", d.Phase, d.Code, d.Reason)
			}
			if len(w.acted) > 0 {
				t.Errorf("it did %v", w.acted)
			}
			if d := w.look(); !d.Alert || len(d.Events) > 0 {
				t.Errorf("a look later: alert %t, %d events; want it said once", d.Alert, len(d.Events))
			}
			w.memory = Memory{} // The daemon starts again.
			if d := w.look(); !d.Alert && d.Code == tt.code {
				t.Errorf("after a restart nobody is called any more: %s", d.Reason)
			}
			w.fault = nil
			if _, started := w.since(CodeNewDigest, func(d Decision) bool { return d.Action == Upgrade }, 2*time.Minute); !started || w.last.Alert {
				t.Errorf("when all is well again: %s %s, alert %t, want the start", w.last.Code, w.last.Reason, w.last.Alert)
			}
		})
	}
}

// TestWaitThatIsMeantCallsNobody: a person chose it, or it passes by itself.
func TestWaitThatIsMeantCallsNobody(t *testing.T) {
	for name, fault := range map[string]func(*observe.Snapshot){
		"scale 0": func(s *observe.Snapshot) { s.Service.Scale, s.Service.Containers = 0, nil },
		"budget":  func(s *observe.Snapshot) { s.Fleet.LimitEnvironment, s.Fleet.Open = 1, 1 },
	} {
		w := newWaiting(fault)
		if _, called := w.since(w.look().Code, isAlert, time.Hour); called {
			t.Errorf("%s: a person is called: %s %s", name, w.last.Code, w.last.Reason)
		}
	}
}

// TestFaultsInTurnAreOneWait: what is sick is now unhealthy, now not counted; it is
// the version that waits all the time. One look without a fault begins anew.
func TestFaultsInTurnAreOneWait(t *testing.T) {
	n := 0
	w := newWaiting(func(s *observe.Snapshot) {
		if n++; n%2 == 0 {
			s.Service.Containers[1].Health = "unhealthy"
			return
		}
		s.Hosts.Problem = unreachable
	})
	isUnhealthy := func(d Decision) bool { return d.Alert && d.Code == CodeUnhealthyBefore }
	if took, called := w.since(CodeUnhealthyBefore, isUnhealthy, 10*time.Minute); !called || took > 2*time.Minute+4*time.Second {
		t.Errorf("called after %s (%t), want after 2 min", took, called)
	}
	w = newWaiting(func(s *observe.Snapshot) { s.Service.Containers[1].Health = "unhealthy" })
	w.since(CodeUnhealthyBefore, isAlert, 100*time.Second)
	w.target.Hold = "lunch"
	w.look()
	w.target.Hold = ""
	if took, called := w.since(CodeUnhealthyBefore, isAlert, 10*time.Minute); !called || took < 2*time.Minute {
		t.Errorf("after a hold: called after %s (%t), want another 2 min", took, called)
	}
}

// TestWaitIsKnownFromTheJournal: a restart does not begin it again.
func TestWaitIsKnownFromTheJournal(t *testing.T) {
	w := newWaiting(func(s *observe.Snapshot) { s.Service.Containers[1].Health = "unhealthy" })
	w.target.Rollout.Settle = ptr(desired.Seconds(0))
	w.since(CodeUnhealthyBefore, isAlert, 90*time.Second)
	w.memory = Memory{}
	if took, called := w.since(CodeUnhealthyBefore, isAlert, 10*time.Minute); !called || took > 40*time.Second {
		t.Errorf("called %s after the restart (%t), want about 30 s: it has been so for 90 s before", took, called)
	}
}
