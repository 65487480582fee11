package reconcile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// The tests here are for changes of the code that only tests of the whole
// controller noticed.

// bakingFor is the input of a look in a bake, as edit leaves it.
func bakingFor(t *testing.T, edit func(*Input)) Input {
	t.Helper()
	in := bakeInput(t)
	edit(&in)
	return in
}

// TestHalfAPictureOfAVersionThatIsJudgedIsNone: containers that could not be read did
// not vanish, and what holds without them proves nothing.
func TestHalfAPictureOfAVersionThatIsJudgedIsNone(t *testing.T) {
	in := bakingFor(t, func(in *Input) {
		in.Observed.Service.Containers = nil
		in.Observed.Service.ContainersProblem = &observe.Problem{Cause: observe.CauseUnreachable, Message: "timeout"}
	})
	d := Decide(in)
	if d.Phase != Blind || d.Code != CodeBlind || d.Action != NoAction || !d.BakeStart.IsZero() || !strings.Contains(d.Reason, "timeout") {
		t.Errorf("%s %s (%s), action %q, bake since %s; want blind", d.Phase, d.Code, d.Reason, d.Action, d.BakeStart)
	}
}

// TestOlderPicturesAreNotBelieved: what only grows has shrunk, or what was there is
// not yet there (A12).
func TestOlderPicturesAreNotBelieved(t *testing.T) {
	before := func(in *Input) {
		in.Observed.Service.State, in.Observed.Service.Upgrade = observe.StateActive, nil
		in.Observed.Service.Launch = observe.Launch{Image: in.History.Rollout.From.Image, Version: in.History.Rollout.FromVersion}
	}
	closed := func(in *Input, outcome Outcome) {
		r := *in.History.Rollout
		r.Outcome, r.Ended = outcome, in.Now
		in.History.Rollout, in.History.Last = nil, &r
	}
	for name, edit := range map[string]func(*Input){
		"fewer containers created than before": func(in *Input) {
			in.Memory.serviceID, in.Memory.createIndex, in.Observed.Service.CreateIndex = in.Observed.Service.ID, 20, 19
		},
		"nothing of a confirmed upgrade":  before,
		"an upgrade that is finished":     func(in *Input) { closed(in, Finished) },
		"nothing of a finished one":       func(in *Input) { before(in); closed(in, Finished) },
		"an upgrade that was rolled back": func(in *Input) { closed(in, RolledBack) },
	} {
		in := bakingFor(t, edit)
		if d := Decide(in); d.Phase != Blind || d.Code != CodeStale || d.Action != NoAction || !d.BakeStart.IsZero() {
			t.Errorf("%s: %s %s (%s), action %q; want %s %s", name, d.Phase, d.Code, d.Reason, d.Action, Blind, CodeStale)
		}
	}
	in := bakingFor(t, func(in *Input) {
		in.Memory.serviceID, in.Memory.createIndex, in.Observed.Service.CreateIndex = in.Observed.Service.ID, 20, 20
	})
	if d := Decide(in); d.Code == CodeStale {
		t.Error("as many containers created as before is no older picture")
	}
}

// TestScaleChangeBeginsTheBakeAgain, although every container is there and well.
func TestScaleChangeBeginsTheBakeAgain(t *testing.T) {
	in := bakingFor(t, func(in *Input) { in.Observed.Service.Scale++ })
	if d := Decide(in); !d.BakeStart.Equal(in.Now) || d.Phase != Bake {
		t.Errorf("%s (%s), bake since %s; want that it begins now, at %s", d.Phase, d.Reason, d.BakeStart, in.Now)
	}
}

// TestLabelsOfOursOnAnotherImageAreNotOurs: a person who edits the image of our
// launch configuration keeps its labels.
func TestLabelsOfOursOnAnotherImageAreNotOurs(t *testing.T) {
	in := bakingFor(t, func(in *Input) { in.Observed.Service.Launch.Image = repository + "@" + digest("9") })
	if d := Decide(in); d.Phase != Held || d.Code != CodeForeign || d.Action != NoAction || !d.Alert {
		t.Errorf("%s %s (%s), action %q, alert %t; want it held as somebody's", d.Phase, d.Code, d.Reason, d.Action, d.Alert)
	}
}

// TestAnotherServiceIsBelievedAfterAMinute: until then the name may only be read wrong
// (C27). Its own service is never touched (C36), whatever its state.
func TestAnotherServiceIsBelievedAfterAMinute(t *testing.T) {
	in := bakingFor(t, func(in *Input) {
		r := *in.History.Rollout
		r.ServiceID = "1s4"
		in.History.Rollout = &r
	})
	begun := in.Now
	for {
		d := Decide(in)
		if d.Action != NoAction {
			t.Fatalf("after %s: %s of another service", in.Now.Sub(begun), d.Action)
		}
		h := in.History.Apply(d.Events...)
		if h.Rollout == nil {
			if waited := in.Now.Sub(begun); waited < goneAfter || d.Phase != Gone || !d.Alert || h.Last.Outcome != TakenOver || h.Baseline != nil {
				t.Errorf("closed after %s in %s as %s, alert %t; want after a minute, and what is there now is seen for the first time", waited, d.Phase, h.Last.Outcome, d.Alert)
			}
			break
		}
		if in.Now.Sub(begun) > 2*goneAfter {
			t.Fatalf("not closed: %s %s", d.Phase, d.Reason)
		}
		in.History, in.Memory, in.Now = h, d.Memory, in.Now.Add(2*time.Second)
	}
}

func TestOwnServiceIsNeverTouched(t *testing.T) {
	for name, in := range map[string]Input{
		"about to start":     aboutTo(t, Upgrade, func(*paper) {}),
		"about to finish":    aboutTo(t, FinishUpgrade, func(*paper) {}),
		"about to roll back": aboutTo(t, Rollback, func(p *paper) { p.behaviour["b"] = "crash" }),
	} {
		in.Observed.Service.Own = true
		if d := Decide(in); d.Action != NoAction || d.Phase != Held || d.Code != CodeOwnService || !d.Alert {
			t.Errorf("%s: %s %s, action %q, alert %t; want it held", name, d.Phase, d.Code, d.Action, d.Alert)
		}
	}
}

// TestStuckWritesNothing, whatever Rancher offers: a person has been called.
func TestStuckWritesNothing(t *testing.T) {
	for name, in := range map[string]Input{
		"about to finish":    aboutTo(t, FinishUpgrade, func(*paper) {}),
		"about to roll back": aboutTo(t, Rollback, func(p *paper) { p.behaviour["b"] = "crash" }),
	} {
		r := *in.History.Rollout
		r.StuckAt, r.Code, r.Reason = in.Now, CodeRollbackLate, "the rollback is not over"
		in.History.Rollout = &r
		if d := Decide(in); d.Action != NoAction || d.Phase != Stuck || d.Code != CodeRollbackLate || !d.Alert || !strings.Contains(d.Reason, "drover resume") {
			t.Errorf("%s: %s %s (%s), action %q; want it stuck", name, d.Phase, d.Code, d.Reason, d.Action)
		}
	}
}

// with changes the open rollout of an input.
func (in *Input) with(change func(*Rollout)) {
	r := *in.History.Rollout
	change(&r)
	in.History.Rollout = &r
}

// TestClosedRolloutIsNotTakenUpAgain: a person took it over; its labels are still
// there.
func TestClosedRolloutIsNotTakenUpAgain(t *testing.T) {
	in := bakingFor(t, func(in *Input) {
		r := *in.History.Rollout
		r.Outcome, r.Ended = TakenOver, in.Now
		in.History.Rollout, in.History.Last = nil, &r
	})
	if d := Decide(in); d.Action != NoAction || d.Phase != Held || d.Code != CodeForeign {
		t.Errorf("%s %s (%s), action %q; want it held as somebody's", d.Phase, d.Code, d.Reason, d.Action)
	}
}

// TestConfirmedRolloutThatIsGoneIsSomebodys: Rancher has shown the upgrade, and now
// shows another launch configuration with the old image: that is no request lost.
func TestConfirmedRolloutThatIsGoneIsSomebodys(t *testing.T) {
	in := bakingFor(t, func(in *Input) {
		in.Observed.Service.State, in.Observed.Service.Upgrade = observe.StateActive, nil
		in.Observed.Service.Launch = observe.Launch{Image: in.History.Rollout.From.Image, Version: "v77"}
	})
	for range 3 {
		d := Decide(in)
		if d.Phase != Held || d.Code != CodeForeign {
			t.Fatalf("%s %s (%s); want it held as somebody's", d.Phase, d.Code, d.Reason)
		}
		in.Memory, in.Now = d.Memory, in.Now.Add(2*time.Second)
	}
}

// TestRollbackThatLeftTheNewLaunchConfigurationIsStuck (A20).
func TestRollbackThatLeftTheNewLaunchConfigurationIsStuck(t *testing.T) {
	in := bakingFor(t, func(in *Input) {
		in.with(func(r *Rollout) { r.RollingBackAt = in.Now })
		in.Observed.Service.State = observe.StateActive
		for i := range in.Observed.Service.Containers {
			c := &in.Observed.Service.Containers[i]
			if isOld := c.Version != in.Observed.Service.Launch.Version; isOld {
				c.State, c.Health = "running", "healthy"
			}
		}
	})
	if d := Decide(in); d.Phase != Stuck || d.Code != CodeRollbackMismatch || !d.Alert {
		t.Errorf("%s %s (%s); want %s %s", d.Phase, d.Code, d.Reason, Stuck, CodeRollbackMismatch)
	}
}

// TestEarlyFinishNeedsProofAndNoPause: a person may skip bake and gates, and nothing
// else (ruling 5).
func TestEarlyFinishNeedsProofAndNoPause(t *testing.T) {
	early := func(in *Input) { in.with(func(r *Rollout) { r.EarlyFinishBy = "mei" }) }
	if d := Decide(bakingFor(t, early)); d.Action != FinishUpgrade || d.Code != CodePersonFinishes {
		t.Errorf("action %q, code %s (%s); want the finish", d.Action, d.Code, d.Reason)
	}
	for name, edit := range map[string]func(*Input){
		"a container is not well": func(in *Input) {
			for i := range in.Observed.Service.Containers {
				if c := &in.Observed.Service.Containers[i]; c.Version == in.Observed.Service.Launch.Version {
					c.Health = "initializing"
				}
			}
		},
		"paused by the file":   func(in *Input) { in.Target.Pause = true },
		"paused by a person":   func(in *Input) { in.History.PausedBy = "mei" },
		"journal not writable": func(in *Input) { in.Observed.Fleet.NotDurable = true },
	} {
		in := bakingFor(t, early)
		edit(&in)
		if d := Decide(in); d.Action != NoAction {
			t.Errorf("%s: %s (%s)", name, d.Action, d.Reason)
		}
	}
}

// TestMissingProofEndsTheBakeAndHasADeadline: an old container runs again, which no
// gate minds.
func TestMissingProofEndsTheBakeAndHasADeadline(t *testing.T) {
	in := bakingFor(t, func(in *Input) {
		for i := range in.Observed.Service.Containers {
			if c := &in.Observed.Service.Containers[i]; c.Version != in.Observed.Service.Launch.Version {
				c.State = "running"
				break
			}
		}
	})
	begun, limit := in.Now, in.Target.Gates.Health.Deadline.Duration
	for {
		d := Decide(in)
		waited := in.Now.Sub(begun)
		if d.Action == Rollback {
			if waited < limit || d.Code != CodeProofFailed || strings.Contains(string(d.Phase), "bake") {
				t.Errorf("taken back after %s for %s, want %s after %s", waited, d.Code, CodeProofFailed, limit)
			}
			return
		}
		if d.Phase != Proving || !d.BakeStart.IsZero() || waited > limit {
			t.Fatalf("after %s: %s (%s), bake since %s; want the proof missing, and no bake", waited, d.Phase, d.Reason, d.BakeStart)
		}
		in.Memory, in.Now = d.Memory, in.Now.Add(2*time.Second)
	}
}

// TestNobodyApproves: the version is taken back and not condemned, or waits on.
func TestNobodyApproves(t *testing.T) {
	manual := func() Input {
		in := aboutTo(t, FinishUpgrade, func(*paper) {})
		in.Target.Rollout.Finish = desired.FinishManual
		in.Memory.passedSince = in.Now.Add(-in.Target.Rollout.ApprovalTimeout.Duration)
		return in
	}
	in := manual()
	if d := Decide(in); d.Action != Rollback || d.Code != CodeApprovalTimeout || d.Events[0].Condemned {
		t.Errorf("action %q, code %s, events %+v; want it taken back", d.Action, d.Code, d.Events)
	}
	in.Memory.passedSince = in.Memory.passedSince.Add(time.Second)
	if d := Decide(in); d.Action != NoAction || d.Phase != AwaitApproval || !d.Alert {
		t.Errorf("a second earlier: %s, action %q; want that it waits", d.Phase, d.Action)
	}
	in = manual()
	in.Target.Rollout.OnApprovalTimeout = desired.TimeoutHold
	if d := Decide(in); d.Action != NoAction || d.Phase != AwaitApproval || !d.Alert {
		t.Errorf("onApprovalTimeout hold: %s, action %q; want that it waits", d.Phase, d.Action)
	}
}

// TestActionThatIsNotOfferedIsNotTried.
func TestActionThatIsNotOfferedIsNotTried(t *testing.T) {
	in := aboutTo(t, FinishUpgrade, func(*paper) {})
	in.Observed.Service.Actions = []string{"rollback"}
	if d := Decide(in); d.Action != NoAction || d.Code != CodeAwaitingRancher {
		t.Errorf("action %q, code %s; want to wait for Rancher", d.Action, d.Code)
	}
}

// TestFinishThatHangsCallsAPerson, and says which way out there still is (A18).
func TestFinishThatHangsCallsAPerson(t *testing.T) {
	in := bakingFor(t, func(in *Input) {
		in.Observed.Service.State = observe.StateFinishingUpgrade
		in.Memory.state, in.Memory.stateSince = observe.StateFinishingUpgrade, in.Now.Add(time.Second-in.Target.Rollout.RollbackDeadline.Duration)
	})
	if d := Decide(in); d.Code != CodeFinishing || d.Alert {
		t.Errorf("a second early: %s, alert %t", d.Code, d.Alert)
	}
	in.Now = in.Now.Add(time.Second)
	if d := Decide(in); d.Code != CodeFinishHangs || !d.Alert || d.Action != NoAction || !strings.Contains(d.Reason, "cancelupgrade and then rollback") {
		t.Errorf("%s (%s), alert %t, action %q; want that a person is told the way out", d.Code, d.Reason, d.Alert, d.Action)
	}
	in.with(func(r *Rollout) { r.Containers = []string{"1i901", "1i902"} })
	if d := Decide(in); !strings.Contains(d.Reason, "nothing but a fresh upgrade") {
		t.Errorf("with the old containers gone: %s", d.Reason)
	}
}

// TestFinishedIsProvedOnceMore: active alone is not believed.
func TestFinishedIsProvedOnceMore(t *testing.T) {
	finished := func(in *Input) {
		in.with(func(r *Rollout) { r.FinishingAt = in.Now })
		in.Observed.Service.State = observe.StateActive
		var kept []observe.Container
		for _, c := range in.Observed.Service.Containers {
			if c.Version == in.Observed.Service.Launch.Version {
				kept = append(kept, c)
			}
		}
		in.Observed.Service.Containers = kept
	}
	if d := Decide(bakingFor(t, finished)); d.Phase != Probation || d.Code != CodeFinished {
		t.Fatalf("%s %s (%s); want it finished", d.Phase, d.Code, d.Reason)
	}
	in := bakingFor(t, finished)
	in.Observed.Service.Containers[0].Health = "unhealthy"
	for range settleMixed / (2 * time.Second) {
		d := Decide(in)
		if d.Phase != Committing || d.Code != CodeMixed || d.Alert {
			t.Fatalf("%s %s (%s), alert %t; want the proof missing", d.Phase, d.Code, d.Reason, d.Alert)
		}
		in.Memory, in.Now = d.Memory, in.Now.Add(2*time.Second)
	}
	if d := Decide(in); d.Phase != Committing || !d.Alert {
		t.Errorf("after %s: %s, alert %t; want that a person is called", settleMixed, d.Phase, d.Alert)
	}
}

// ofNew changes the containers of the new version in an input.
func ofNew(in *Input, change func(*observe.Container)) {
	for i := range in.Observed.Service.Containers {
		if c := &in.Observed.Service.Containers[i]; c.Version == in.Observed.Service.Launch.Version {
			change(c)
			return
		}
	}
}

// TestContainerOfAnotherImageIsNoProof: the version is right, and what runs is not.
func TestContainerOfAnotherImageIsNoProof(t *testing.T) {
	in := bakingFor(t, func(in *Input) {
		ofNew(in, func(c *observe.Container) { c.Image = repository + "@" + digest("9") })
	})
	if d := Decide(in); d.Phase != Proving || d.Action != NoAction || !strings.Contains(d.Reason, short(digest("9"))[7:]) {
		t.Errorf("%s (%s), action %q; want that the proof is missing", d.Phase, d.Reason, d.Action)
	}
}

// TestVersionThatWasHealthyAndIsNotAnyMoreIsTakenBackAtOnce, long before the health
// deadline; one that looks as it did before its first health is only seen late (A12).
func TestVersionThatWasHealthyAndIsNotAnyMoreIsTakenBackAtOnce(t *testing.T) {
	for health, want := range map[string]Action{"unhealthy": Rollback, "updating-unhealthy": Rollback, "initializing": NoAction} {
		in := bakingFor(t, func(in *Input) { ofNew(in, func(c *observe.Container) { c.Health = health }) })
		d := Decide(in)
		if d.Action != want || want == Rollback && (d.Code != CodeGateFailed || d.Gates[0].Code != CodeBecameUnhealthy) {
			t.Errorf("%s: action %q, %s (%s), want %q", health, d.Action, d.Code, d.Reason, want)
		}
	}
}

// TestSidekicksAreNotCountedAsPrimaries: there are as many containers as there should
// be, and one primary is missing.
func TestSidekicksAreNotCountedAsPrimaries(t *testing.T) {
	p := newPaper()
	p.addSidekick()
	in := Input{Target: p.target, Observed: p.snapshot(), Now: p.now}
	if problem := Prove(in.Observed.Service, 0); problem != "" {
		t.Fatalf("all is well: %s", problem)
	}
	in.Observed.Service.Containers = in.Observed.Service.Containers[1:]
	if problem := Prove(in.Observed.Service, 0); !strings.Contains(problem, "2 of 3") {
		t.Errorf("a primary is missing: %q", problem)
	}
}

// TestUnknownServersHoldFromAFifthOfTheTrafficOn (H11).
func TestUnknownServersHoldFromAFifthOfTheTrafficOn(t *testing.T) {
	for percent, want := range map[int64]Code{19: "", 22: CodeUnknownTraffic, 60: CodeUnknownTraffic} {
		p := baking(t)
		f, _ := p.looks(40, func(lb *observe.LoadBalancer) {
			var known int64
			for i := range lb.Servers {
				lb.Servers[i].Delta = observe.Counts{Requests: 100}
				known += 100
			}
			lb.Servers = append(lb.Servers, observe.Server{Status: observe.ServerUp, Delta: observe.Counts{Requests: known * percent / (100 - percent)}})
		})
		if isHeld := f.Code == CodeUnknownTraffic; isHeld != (want != "") || isHeld && f.Verdict != Hold {
			t.Errorf("%d %% of the traffic: %s %s, want %q", percent, f.Verdict, f.Code, want)
		}
	}
}

// TestShortestBurst: five failures in a row are the least that fail a version by
// themselves, where clumps are known to be short.
func TestShortestBurst(t *testing.T) {
	r := rates{good: 0.001, bad: 0.05, felt: 1, phi: 1, failures: 1000}
	r.judged = stepsBetween(r.good, r.bad)
	if least := r.burst(1, true); least != minBurst {
		t.Fatalf("a version that never answered well needs %v failures in a row, want %d: the test proves nothing", least, minBurst)
	}
	for run, want := range map[int64]bool{minBurst - 1: false, minBurst: true} {
		c := contest{fresh: observe.Counts{Requests: run, Failures: run}, run: run}
		if a := c.accuse(&r); a.isBurst != want {
			t.Errorf("%d in a row: burst %t, want %t", run, a.isBurst, want)
		}
	}
}

// TestWhoFinishedDecidesWhoTakesBack: what a person finished is left to the person,
// with an alert, when it fails on probation.
func TestWhoFinishedDecidesWhoTakesBack(t *testing.T) {
	for by, want := range map[string]Action{"": Upgrade, "mei": NoAction} {
		p := newPaper()
		p.run(4*time.Second, func(Decision) {})
		p.tag, p.seenAt = "b", p.now
		p.wait(t, func(d Decision) bool { return d.Code == CodeProbation })
		w := *p.history.Probation
		w.Rollout.FinishBy = by
		p.history.Probation = &w
		p.behaviour["b"] = "crash"
		d := p.wait(t, func(d Decision) bool { return d.Code == CodeProbationFailed })
		if d.Action != want || !d.Alert {
			t.Errorf("finished by %q: action %q, alert %t (%s), want %q", by, d.Action, d.Alert, d.Reason, want)
		}
	}
}

// TestWhatHistoryKeepsOfEvents, where a decision much later depends on it.
func TestWhatHistoryKeepsOfEvents(t *testing.T) {
	at := time.Date(2026, 11, 26, 6, 0, 0, 0, time.UTC)
	r := &Rollout{ID: "r1", Kind: Deploy, CancelBy: "mei", To: Baseline{Part: Part{Digest: digest("b")}}}
	h := History{Rollout: r}.Apply(Event{Kind: EventFinishing, At: at, Rollout: "r1"})
	if h.Rollout.CancelBy != "" || !h.Rollout.FinishingAt.Equal(at) {
		t.Errorf("a finish decided after a cancellation is cancelled by it: %+v", h.Rollout)
	}
	if h = (History{}).Apply(Event{Kind: EventStarted, At: at, Start: &Rollout{ID: "r2", Kind: Restore}}); len(h.Rollbacks) != 1 || !h.Rollbacks[0].Equal(at) {
		t.Errorf("a way back is no rollback: %v (I7)", h.Rollbacks)
	}
	if h = (History{}).Apply(Event{Kind: EventStarted, At: at, Start: &Rollout{ID: "r2", Kind: Deploy}}); len(h.Rollbacks) != 0 {
		t.Errorf("a deployment is a rollback: %v", h.Rollbacks)
	}
	h = History{Rollout: r}.Apply(Event{Kind: EventNotApplied, At: at, Rollout: "r1", Code: CodeGaveUp})
	if h.Attempts < attemptLimit {
		t.Errorf("%d attempts after a refusal for good, want at least %d", h.Attempts, attemptLimit)
	}
	h = History{}
	for n := range quarantineLimit + 7 {
		h = h.Apply(Event{Kind: EventQuarantined, At: at.Add(time.Duration(n) * time.Second), Digests: []string{fmt.Sprint("sha256:", n)}})
	}
	_, hasOldest := h.Quarantine["sha256:6"]
	_, hasNext := h.Quarantine["sha256:7"]
	if len(h.Quarantine) != quarantineLimit || hasOldest || !hasNext {
		t.Errorf("%d digests are quarantined, the oldest too: %t, the next: %t; want the last %d", len(h.Quarantine), hasOldest, hasNext, quarantineLimit)
	}
}

// TestWorseIsBelievedFromTheLimitOn, and from 2 % on where more is allowed: what fails
// less than it may is let be, however strong the evidence.
func TestWorseIsBelievedFromTheLimitOn(t *testing.T) {
	for limit, want := range map[float64]float64{0: leastRate, 0.01: 0.01, 0.02: 0.02, 0.05: 0.02} {
		if r := (&baseline{}).rates(limit); r.felt != want {
			t.Errorf("limit %v: believed from %v on, want %v", limit, r.felt, want)
		}
	}
	r := (&baseline{}).rates(0.01)
	for requests, want := range map[int64]bool{2000: true, 2001: false} {
		c := contest{fresh: observe.Counts{Requests: requests, Failures: 20}, interval: interval{withFailures: minIntervals}}
		c.evidence.log = [3]float64{20, 20, 20}
		if a := c.accuse(&r); a.isWorse != want || a.evidence < evidenceToFail {
			t.Errorf("20 of %d failed, E = %.0f: worse %t, want %t", requests, a.evidence, a.isWorse, want)
		}
	}
}
