package reconcile

import (
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// checked is a paper world with a check that answers as given; calls are the runs
// it was asked for, without repetition.
func checked(answer func(observe.CheckRun) observe.CheckResult) (p *paper, calls *[]observe.CheckRun) {
	p = newPaper()
	for i := range p.containers {
		p.containers[i].ImageID = ""
	}
	p.target.Gates.Checks = []string{"e2e"}
	calls = &[]observe.CheckRun{}
	seen := map[string]bool{}
	p.check = func(run observe.CheckRun) observe.CheckResult {
		if !seen[run.About.Rollout+run.Name] {
			seen[run.About.Rollout+run.Name] = true
			*calls = append(*calls, run)
		}
		r := answer(run)
		r.Name, r.Rollout = run.Name, run.About.Rollout
		return r
	}
	return p, calls
}

func TestCheckIsCalledWhenEveryContainerIsProved(t *testing.T) {
	p, calls := checked(func(observe.CheckRun) observe.CheckResult {
		return observe.CheckResult{State: observe.CheckPassed, Detail: "42 tests passed", Ref: "7"}
	})
	p.until(t, func(d Decision) bool {
		if len(*calls) > 0 && p.state == observe.StateUpgrading {
			t.Fatalf("called in state %s", p.state)
		}
		return ended(d)
	})
	f := finding(t, p.last, "check e2e")
	if p.last.Action != FinishUpgrade || f.Verdict != Pass || f.Text() != "passed: 42 tests passed" {
		t.Errorf("%s: %s %s", p.last.Action, f.Verdict, f.Text())
	}
	about := (*calls)[0].About
	if len(*calls) != 1 || about.Rollout != p.history.Rollout.ID || !strings.HasSuffix(about.Image, digest("b")) || about.From != digest("a") || about.Service != "parrot-rest" {
		t.Errorf("called with %+v", *calls)
	}
	if c := p.history.Rollout.Checks; len(c) != 1 || c[0].State != observe.CheckPassed || c[0].Ref != "7" || c[0].Ended.IsZero() {
		t.Errorf("remembered %+v", c)
	}
}

func TestCheckThatFailsTakesAVersionBack(t *testing.T) {
	p, _ := checked(func(observe.CheckRun) observe.CheckResult {
		return observe.CheckResult{State: observe.CheckFailed, Detail: "pipeline 7 failed in login"}
	})
	d := p.until(t, ended)
	if d.Action != Rollback || d.Reason != "check e2e: failed: pipeline 7 failed in login" {
		t.Errorf("%s: %s", d.Action, d.Reason)
	}
	p.run(30*time.Second, func(Decision) {})
	if len(p.history.Quarantine) != 1 {
		t.Errorf("quarantine %v, want the digest", p.history.Quarantine)
	}
}

// Without a verdict nothing is finished, and at the deadline the version is taken
// back without being condemned.
func TestCheckWithoutAVerdictNeverPasses(t *testing.T) {
	for name, c := range map[string]struct {
		result  observe.CheckResult
		verdict Verdict
		code    Code
	}{
		"running":   {observe.CheckResult{State: observe.CheckRunning}, Hold, CodeCheckRunning},
		"no answer": {observe.CheckResult{State: observe.CheckRunning, Problem: &observe.Problem{Cause: observe.CauseAuth, Message: "401"}}, NoData, CodeSourceProblem},
		"ended":     {observe.CheckResult{State: observe.CheckEnded, Detail: "no verdict within 30m0s"}, NoData, CodeCheckEnded},
		"nonsense":  {observe.CheckResult{}, Hold, CodeCheckRunning},
	} {
		p, _ := checked(func(observe.CheckRun) observe.CheckResult { return c.result })
		p.until(t, func(d Decision) bool { return d.Code == CodeShortOfEvidence })
		if f := finding(t, p.last, "check e2e"); f.Verdict != c.verdict || f.Code != c.code || !f.Covered {
			t.Errorf("%s: %s %s, covered %t", name, f.Verdict, f.Code, f.Covered)
		}
		d := p.until(t, ended)
		if d.Action != Rollback || d.Code != CodeDeadline {
			t.Errorf("%s: then %s %s", name, d.Action, d.Code)
		}
		p.run(30*time.Second, func(Decision) {})
		if len(p.history.Quarantine) != 0 {
			t.Errorf("%s: quarantine %v, want nothing", name, p.history.Quarantine)
		}
	}
}

// Once per rollout: a restart of Drover, a gap and a bake that begins again call
// nothing again; the verdict is history.
func TestCheckIsCalledOncePerRollout(t *testing.T) {
	passes := false
	p, calls := checked(func(run observe.CheckRun) observe.CheckResult {
		if passes {
			return observe.CheckResult{State: observe.CheckPassed}
		}
		return observe.CheckResult{State: observe.CheckRunning, Ref: "7", URL: "https://gitlab.example/p/7"}
	})
	p.until(t, func(d Decision) bool { return len(*calls) > 0 })
	p.run(4*time.Second, func(Decision) {})
	p.memory = Memory{}
	p.run(10*time.Second, func(Decision) {})
	if c := p.history.Rollout.Checks; len(c) != 1 || c[0].Ref != "7" || c[0].URL == "" {
		t.Fatalf("remembered %+v, want where it runs", c)
	}
	passes = true
	p.run(2*time.Second, func(Decision) {})
	p.memory = Memory{}
	p.check = func(observe.CheckRun) observe.CheckResult {
		t.Error("a check with a verdict is asked for again")
		return observe.CheckResult{}
	}
	if d := p.until(t, ended); d.Action != FinishUpgrade || len(*calls) != 1 {
		t.Errorf("%s after %d calls: %s", d.Action, len(*calls), d.Reason)
	}
	events := 0
	for _, e := range p.journal {
		if e.Kind == EventCheck {
			events++
		}
	}
	if events != 3 { // Called, where it runs, what it said.
		t.Errorf("%d events, want 3", events)
	}
}

func TestCheckIsNotCalledForNothing(t *testing.T) {
	pass := func(observe.CheckRun) observe.CheckResult { return observe.CheckResult{State: observe.CheckPassed} }
	p, calls := checked(pass)
	p.notDurable = true
	p.until(t, func(d Decision) bool { return d.Phase == Preflight })
	p.notDurable = false
	p.until(t, func(d Decision) bool { return d.Phase == Upgrading })
	p.notDurable = true
	p.run(time.Minute, func(Decision) {})
	if len(*calls) != 0 {
		t.Error("called although it cannot be written down")
	}
	p.notDurable = false
	if d := p.until(t, ended); d.Action != FinishUpgrade || len(*calls) != 1 {
		t.Errorf("%s after %d calls", d.Action, len(*calls))
	}
	// The same image, pinned first: nothing new to check.
	p, calls = checked(pass)
	for i := range p.containers {
		p.containers[i].ImageID = "config-a"
	}
	d := p.until(t, ended)
	if p.history.Rollout.Kind != Pin || d.Action != FinishUpgrade || len(*calls) != 0 {
		t.Errorf("%s of a %s after %d calls", d.Action, p.history.Rollout.Kind, len(*calls))
	}
}

// A result of another rollout is no news of this one.
func TestResultOfAnotherRolloutDoesNotCount(t *testing.T) {
	p, _ := checked(func(observe.CheckRun) observe.CheckResult { return observe.CheckResult{State: observe.CheckRunning} })
	p.until(t, inBake)
	p.now = p.now.Add(2 * time.Second)
	s := p.snapshot()
	s.Checks = []observe.CheckResult{{Name: "e2e", Rollout: "another", State: observe.CheckFailed}, {Name: "else", Rollout: p.history.Rollout.ID, State: observe.CheckFailed}}
	d := Decide(Input{Target: InForce(p.target, p.history), Observed: s, History: p.history, Memory: p.memory, Now: p.now})
	if d.Action != NoAction {
		t.Errorf("%s: %s", d.Action, d.Reason)
	}
}

func TestCheckOfPolicyIsTakenFromTheStart(t *testing.T) {
	p, calls := checked(func(observe.CheckRun) observe.CheckResult { return observe.CheckResult{State: observe.CheckPassed} })
	p.until(t, func(d Decision) bool { return d.Phase == Upgrading })
	p.target.Gates = desired.Gates{Health: p.target.Gates.Health}
	if p.until(t, ended); len(*calls) != 1 {
		t.Errorf("%d calls: a changed file altered a running rollout", len(*calls))
	}
}
