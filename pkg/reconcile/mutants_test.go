package reconcile

import (
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// The tests here are for changes of the code that no other test noticed.

// TestI7WayBackIsNeverRolledBack: one that fails is given to a person.
func TestI7WayBackIsNeverRolledBack(t *testing.T) {
	in := aboutTo(t, Rollback, func(p *paper) { p.behaviour["b"] = "crash" })
	r := *in.History.Rollout
	r.Kind = Restore
	in.History.Rollout = &r
	if d := Decide(in); d.Action != NoAction || d.Phase != Stuck || d.Code != CodeRestoreFailed || !d.Alert {
		t.Errorf("%s %s, action %q, alert %v; want %s, no action and an alert", d.Phase, d.Code, d.Action, d.Alert, Stuck)
	}
}

// TestI4BudgetOfTheEnvironment: the last place is the last.
func TestI4BudgetOfTheEnvironment(t *testing.T) {
	in := aboutTo(t, Upgrade, func(*paper) {})
	in.Observed.Fleet.LimitEnvironment, in.Observed.Fleet.Open = 3, 2
	if d := Decide(in); d.Action != Upgrade {
		t.Errorf("two of three open: action %q (%s), want %q", d.Action, d.Reason, Upgrade)
	}
	in.Observed.Fleet.Open = 3
	if d := Decide(in); d.Action != NoAction || d.Code != CodeBudget {
		t.Errorf("three of three open: action %q, code %s, want none, %s", d.Action, d.Code, CodeBudget)
	}
	in.Observed.Fleet.Open, in.Observed.Fleet.LimitLoadBalancer, in.Observed.Fleet.OpenOnLoadBalancer = 0, 1, 1
	if d := Decide(in); d.Action != NoAction || d.Code != CodeBudget {
		t.Errorf("the load balancer is taken: action %q, code %s, want none, %s", d.Action, d.Code, CodeBudget)
	}
}

// TestI5AnotherImageInActiveIsSomebodys: what Drover did not bring is not upgraded
// over, although something newer is at the tag.
func TestI5AnotherImageInActiveIsSomebodys(t *testing.T) {
	in := aboutTo(t, Upgrade, func(*paper) {})
	in.Observed.Service.Launch.Image = repository + "@" + digest("9")
	for i := range in.Observed.Service.Containers {
		in.Observed.Service.Containers[i].Image = in.Observed.Service.Launch.Image
	}
	if d := Decide(in); d.Action != NoAction || d.Phase != Held || d.Code != CodeForeign || !d.Alert {
		t.Errorf("%s %s, action %q, alert %v; want %s %s and an alert", d.Phase, d.Code, d.Action, d.Alert, Held, CodeForeign)
	}
}

// TestIndexWithTheSameManifestIsNothingNew: the tag's digest is another one, and
// what would run is the same.
func TestIndexWithTheSameManifestIsNothingNew(t *testing.T) {
	in := idleInput()
	in.Observed.Image.Digest = digest("b")
	if d := Decide(in); d.Action != NoAction || d.Code != CodeNothingToDo {
		t.Errorf("%s %s, action %q; want nothing to do", d.Phase, d.Code, d.Action)
	}
	in.Observed.Image.Manifest = digest("b")
	if d := Decide(in); d.Code == CodeNothingToDo {
		t.Error("another manifest is nothing to do")
	}
}

// TestNotFoundWithoutItsStackIsAnOutage: 404 for everything is not the end of the
// service (A4). With its stack there, it is.
func TestNotFoundWithoutItsStackIsAnOutage(t *testing.T) {
	for _, stackKnown := range []bool{false, true} {
		in := idleInput()
		in.Observed.Service = observe.Service{StackKnown: stackKnown, Problem: &observe.Problem{Cause: observe.CauseNotFound, Message: "404"}}
		d := Decide(in)
		for range 60 {
			in.Memory, in.Now = d.Memory, in.Now.Add(2*time.Second)
			d = Decide(in)
		}
		want := map[bool]Phase{false: Blind, true: Gone}[stackKnown]
		if d.Phase != want {
			t.Errorf("stack known %t: %s after two minutes, want %s", stackKnown, d.Phase, want)
		}
	}
}
