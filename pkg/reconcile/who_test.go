package reconcile

import (
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestWhoCancelled: the audit log's entry is told when it is about what was seen, and never made up.
func TestWhoCancelled(t *testing.T) {
	for _, tt := range []struct {
		act  *observe.Act
		want string
		not  string
	}{
		{nil, "somebody cancelled the upgrade; Rancher", "("},
		{&observe.Act{}, "somebody cancelled the upgrade; Rancher", "("},
		{&observe.Act{Action: "upgrade", By: "account 1a9"}, "somebody cancelled the upgrade; Rancher", "1a9"},
		{&observe.Act{Action: "cancelupgrade", By: "account 1a9", From: "192.0.2.7", At: "2026-11-24T01:38:12Z"}, "upgrade (account 1a9 from 192.0.2.7 at 2026-11-24T01:38:12Z); Rancher", ""},
		{&observe.Act{Problem: &observe.Problem{Message: "status 403"}}, "upgrade (who it was is not known: status 403); Rancher", ""},
	} {
		p := newPaper()
		p.run(6*time.Second, func(Decision) {})
		p.tag, p.seenAt, p.behaviour["b"] = "b", p.now, "ok"
		for p.state != observe.StateUpgrading {
			p.run(2*time.Second, func(Decision) {})
		}
		p.state = observe.StateCanceledUpgrade
		seen := p.snapshot()
		seen.Act = tt.act
		d := Decide(Input{Target: InForce(p.target, p.history), Observed: seen, History: p.history, Memory: p.memory, Now: p.now.Add(2 * time.Second)})
		if d.Code != CodeForeignCancel || !strings.Contains(d.Reason, tt.want) || tt.not != "" && strings.Contains(d.Reason, tt.not) {
			t.Errorf("with %+v: %s %q, want %q", tt.act, d.Code, d.Reason, tt.want)
		}
		if !d.NamesSomebody() {
			t.Errorf("with %+v the decision does not ask who it was", tt.act)
		}
		held := false
		for _, e := range d.Events {
			held = held || e.Kind == EventHeld && strings.Contains(e.Reason, tt.want)
		}
		if !held {
			t.Errorf("with %+v it is not written down: %+v", tt.act, d.Events)
		}
	}
}
