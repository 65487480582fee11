package reconcile

import (
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// C34: between a person's approval and the look that would finish, the gates turn.
// The approval was given on what was seen; it is void, and the person is asked
// again when they pass.
func TestC34ApprovalIsVoidWhenTheGatesTurn(t *testing.T) {
	for name, turn := range map[string]func(*paper){
		"blind":        func(p *paper) { p.lbDown = true },
		"a probe hole": func(p *paper) { p.answer = func(string) observe.Sample { return observe.Sample{Error: "timeout"} } },
	} {
		p := probing(t, nil)
		p.target.Rollout.Finish = desired.FinishManual
		p.until(t, func(d Decision) bool { return d.Phase == AwaitApproval })
		if err := p.person([]string{"approves"}); err != nil {
			t.Fatal(err)
		}
		good := p.answer
		turn(p)
		p.run(2*time.Second, func(Decision) {})
		if p.last.Action != NoAction || p.history.Rollout.ApprovedBy != "" {
			t.Errorf("%s: %s, approved by %q, want the approval to be void", name, p.last.Action, p.history.Rollout.ApprovedBy)
		}
		p.lbDown, p.answer = false, good
		if d := p.until(t, func(d Decision) bool { return ended(d) || d.Phase == AwaitApproval }); d.Phase != AwaitApproval {
			t.Errorf("%s: then %s %s, want it to ask again", name, d.Action, d.Reason)
		}
		if err := p.person([]string{"approves"}); err != nil {
			t.Fatal(err)
		}
		if d := p.until(t, ended); d.Action != FinishUpgrade {
			t.Errorf("%s: approved again: %s %s", name, d.Action, d.Reason)
		}
	}
}

// Given before the bake is over an approval waits for its end.
func TestApprovalGivenBeforehandWaitsForTheGates(t *testing.T) {
	p := probing(t, nil)
	p.target.Rollout.Finish = desired.FinishManual
	p.until(t, inBake)
	if err := p.person([]string{"approves"}); err != nil {
		t.Fatal(err)
	}
	p.run(4*time.Second, func(Decision) {})
	if p.last.Action != NoAction || p.history.Rollout.ApprovedBy != "mei" {
		t.Errorf("in the bake: %s, approved by %q", p.last.Action, p.history.Rollout.ApprovedBy)
	}
	if d := p.until(t, ended); d.Action != FinishUpgrade {
		t.Errorf("%s %s", d.Action, d.Reason)
	}
}
