package reconcile

import (
	"reflect"
	"testing"
	"time"
)

// TestServiceHealthStateDecidesNothing: what Rancher says of a service's health describes neither the new version nor
// the old one while an upgrade is under way, and lags behind elsewhere (rancher-api 14.3). Whatever it says at any look
// of a whole rollout, good or bad, the decision is the same. currentScale, which lies as well, is not even read.
func TestServiceHealthStateDecidesNothing(t *testing.T) {
	for _, behaviour := range []string{"ok", "never"} {
		p := newPaper()
		p.run(6*time.Second, func(Decision) {})
		p.tag, p.seenAt, p.behaviour["b"] = "b", p.now, behaviour
		phases := map[Phase]bool{}
		for range 200 {
			p.tick()
			p.now = p.now.Add(2 * time.Second)
			seen := p.snapshot()
			in := Input{Target: InForce(p.target, p.history), Observed: seen, History: p.history, Memory: p.memory, Now: p.now}
			want := Decide(in)
			phases[want.Phase] = true
			for _, says := range []string{"healthy", "unhealthy", "degraded", "initializing", "started-once"} {
				in.Observed.Service.HealthState = says
				if got := Decide(in); !reflect.DeepEqual(got, want) {
					t.Fatalf("%s: when Rancher says %s of the service the decision is %s %s %q, else %s %s %q", behaviour, says,
						got.Phase, got.Code, got.Action, want.Phase, want.Code, want.Action)
				}
			}
			p.take(want)
		}
		last := map[string]Phase{"ok": Bake, "never": RollingBack}[behaviour]
		if !phases[Upgrading] || !phases[last] {
			t.Errorf("%s: the rollout went through %v, want upgrading and %s", behaviour, phases, last)
		}
	}
}
