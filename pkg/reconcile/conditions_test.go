package reconcile

import (
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestConditionsOfAStart: each alone keeps a rollout from starting, and none of them
// just below its limit.
func TestConditionsOfAStart(t *testing.T) {
	base := aboutTo(t, Upgrade, func(*paper) {})
	if d := Decide(base); d.Action != Upgrade {
		t.Fatalf("without any of them: %s (%s)", d.Code, d.Reason)
	}
	rollbacks := func(n int, ago time.Duration) func(*Input) {
		return func(in *Input) {
			for range n {
				in.History.Rollbacks = append(in.History.Rollbacks[:len(in.History.Rollbacks):len(in.History.Rollbacks)], in.Now.Add(-ago))
			}
		}
	}
	problem := &observe.Problem{Cause: observe.CauseUnreachable, Message: "timeout"}
	for name, tt := range map[string]struct {
		edit func(*Input)
		want Code // Empty starts.
	}{
		"flaps at the limit":          {func(in *Input) { in.Observed.Image.Flaps = flapLimit }, ""},
		"flaps above it":              {func(in *Input) { in.Observed.Image.Flaps = flapLimit + 1 }, CodeFlapping},
		"platform missing":            {func(in *Input) { in.Observed.Image.PlatformMissing = true }, CodePlatformMissing},
		"sidekick's platform missing": {func(in *Input) { in.Observed.Sidekicks = map[string]observe.Image{"logger": {PlatformMissing: true}} }, CodePlatformMissing},
		"not settled": {func(in *Input) {
			in.Observed.Image.SeenAt = in.Now.Add(time.Second - in.Target.Rollout.Settle.Duration)
		}, CodeSettling},
		"settled": {func(in *Input) { in.Observed.Image.SeenAt = in.Now.Add(-in.Target.Rollout.Settle.Duration) }, ""},
		"sidekick not settled": {func(in *Input) {
			in.Observed.Sidekicks = map[string]observe.Image{"logger": {SeenAt: in.Now.Add(-time.Second)}}
		}, CodeSettling},
		"system service":                {func(in *Input) { in.Observed.Service.System = true }, CodeSystemService},
		"upgrade not offered":           {func(in *Input) { in.Observed.Service.Actions = []string{"restart"} }, CodeNotUpgradable},
		"secrets hidden":                {func(in *Input) { in.Observed.Service.Launch.Secrets = -1 }, CodeSecretsHidden},
		"containers unreadable":         {func(in *Input) { in.Observed.Service.ContainersProblem = problem }, CodeBlind},
		"another version runs as well":  {func(in *Input) { in.Observed.Service.Containers[0].Version = "v9" }, CodeMixed},
		"hosts unreadable":              {func(in *Input) { in.Observed.Hosts.Problem = problem }, CodeNoHost},
		"no host":                       {func(in *Input) { in.Observed.Hosts.Active = 0 }, CodeNoHost},
		"retained address, start first": {func(in *Input) { in.Target.Rollout.StartFirst, in.Observed.Service.RetainIP = ptr(true), true }, CodeStartFirst},
		"ports, no host to spare": {func(in *Input) {
			in.Target.Rollout.StartFirst, in.Observed.Service.HostPorts, in.Observed.Hosts.Active = ptr(true), true, in.Observed.Service.Scale
		}, CodeStartFirst},
		"ports, a host to spare": {func(in *Input) {
			in.Target.Rollout.StartFirst, in.Observed.Service.HostPorts, in.Observed.Hosts.Active = ptr(true), true, in.Observed.Service.Scale+1
		}, ""},
		"rollback too slow":          {func(in *Input) { in.Target.Rollout.RollbackDeadline = desired.Seconds(10) }, CodeRollbackTooSlow},
		"way back of another digest": {func(in *Input) { in.Observed.Previous.Digest = digest("9") }, CodeNotPullable},
		"way back unknown":           {func(in *Input) { in.Observed.Previous.Problem = problem }, CodeNotPullable},
		"way back gone":              {func(in *Input) { in.Observed.Previous.OK = false }, CodeNotPullable},
		"nobody sees health":         {func(in *Input) { in.Observed.Service.HasHealthCheck = false }, CodeNoHealthSource},
		"what runs is not well":      {func(in *Input) { in.Observed.Service.Containers[0].Health = "unhealthy" }, CodeUnhealthyBefore},
		"load balancer unreadable":   {func(in *Input) { in.Observed.LoadBalancer = observe.LoadBalancer{Problem: problem} }, CodeBaselineBlind},
		"journal not writable":       {func(in *Input) { in.Observed.Fleet.NotDurable = true }, CodeNotDurable},
		"journal lost lately":        {func(in *Input) { in.Observed.Fleet.ConservativeUntil = in.Now.Add(time.Second) }, CodeConservative},
		"journal lost an hour ago":   {func(in *Input) { in.Observed.Fleet.ConservativeUntil = in.Now }, ""},
		"breaker one below":          {func(in *Input) { in.Observed.Fleet.LimitRollbacks, in.Observed.Fleet.RollbacksLastHour = 3, 2 }, ""},
		"breaker":                    {func(in *Input) { in.Observed.Fleet.LimitRollbacks, in.Observed.Fleet.RollbacksLastHour = 3, 3 }, CodeBreaker},
		"daily budget one below":     {rollbacks(1, time.Hour), ""},
		"daily budget":               {rollbacks(2, time.Hour), CodeDailyBudget},
		"daily budget of yesterday":  {rollbacks(2, rollbackWindow), ""},
		"back-off":                   {func(in *Input) { in.History.NotBefore = in.Now.Add(time.Second) }, CodeBackoff},
		"back-off over":              {func(in *Input) { in.History.NotBefore = in.Now }, ""},
		"tag moved back":             {func(in *Input) { in.History.Past = []string{digest("b")} }, CodeRegression},
		"quarantined":                {func(in *Input) { in.History.Quarantine = map[string]Quarantined{digest("b"): {}} }, CodeQuarantined},
		"hold of the file":           {func(in *Input) { in.Target.Hold = "freeze" }, CodeHoldFile},
		"paused":                     {func(in *Input) { in.History.PausedBy = "mei" }, CodePaused},
		"passed over":                {func(in *Input) { b := *in.History.Baseline; b.Over = digest("b"); in.History.Baseline = &b }, CodePassedOver},
		"quarantined, and asked for by name": {func(in *Input) {
			in.History.Quarantine, in.History.Released = map[string]Quarantined{digest("b"): {}}, []string{digest("b")}
		}, ""},
		"another digest asked for by name": {func(in *Input) {
			in.History.Quarantine, in.History.Released = map[string]Quarantined{digest("b"): {}}, []string{digest("c")}
		}, CodeQuarantined},
	} {
		in := base
		in.Observed.Service.Containers = append([]observe.Container(nil), base.Observed.Service.Containers...)
		tt.edit(&in)
		d := Decide(in)
		if tt.want == "" && d.Action != Upgrade || tt.want != "" && (d.Action != NoAction || d.Code != tt.want) {
			t.Errorf("%s: action %q, %s (%s), want %q", name, d.Action, d.Code, d.Reason, tt.want)
		}
	}
}

// TestEndOfARollback: what ran before has to run again within the deadline, verified;
// else a person is called, once, and nothing more is written.
func TestEndOfARollback(t *testing.T) {
	rolling := func(state observe.ServiceState, ago time.Duration) Input {
		in := aboutTo(t, Rollback, func(p *paper) { p.behaviour["b"] = "crash" })
		r := *in.History.Rollout
		r.RollingBackAt, r.Code, r.Condemned = in.Now.Add(-ago), CodeGateFailed, true
		in.History.Rollout = &r
		in.Observed.Service.State = state
		in.Memory.lastLook = in.Now.Add(-2 * time.Second)
		if state == observe.StateActive {
			in.Observed.Service.Launch = in.Observed.Service.Upgrade.From
			for i := range in.Observed.Service.Containers {
				in.Observed.Service.Containers[i].ImageID = "" // Not another image under the same tag.
			}
		}
		return in
	}
	limit := aboutTo(t, Rollback, func(p *paper) { p.behaviour["b"] = "crash" }).Target.Rollout.RollbackDeadline.Duration
	for name, tt := range map[string]struct {
		state observe.ServiceState
		ago   time.Duration
		want  Phase
	}{
		"under way":               {observe.StateRollingBack, limit - time.Second, RollingBack},
		"under way too long":      {observe.StateRollingBack, limit, Stuck},
		"not begun":               {observe.StateUpgraded, limit - time.Second, RollingBack},
		"not begun for too long":  {observe.StateUpgraded, limit, Stuck},
		"over, not yet verified":  {observe.StateActive, limit - time.Second, Verifying},
		"over, and never will be": {observe.StateActive, limit, Stuck},
	} {
		in := rolling(tt.state, tt.ago)
		d := Decide(in)
		if d.Phase != tt.want || d.Alert != (tt.want == Stuck) || tt.want == Stuck && (d.Action != NoAction || d.Code != CodeRollbackLate) {
			t.Errorf("%s: %s %s (%s), action %q, alert %t; want %s", name, d.Phase, d.Code, d.Reason, d.Action, d.Alert, tt.want)
		}
		in.Memory.lastLook = in.Now.Add(-jump - time.Second)
		if d := Decide(in); d.Phase == Stuck {
			t.Errorf("%s, after a jump of the clock: stuck at once", name)
		}
	}
}

// TestDeadlineOfARollout: without a failure it is inconclusive; an approval that is
// waited for has its own limit, and the file may leave it to a person.
func TestDeadlineOfARollout(t *testing.T) {
	late := func(edit func(*Input)) Decision {
		in := bakeInput(t)
		r := *in.History.Rollout
		r.Deadline = in.Now
		in.History.Rollout = &r
		edit(&in)
		return Decide(in)
	}
	if d := late(func(*Input) {}); d.Action != Rollback || d.Code != CodeDeadline || d.Events[0].Condemned {
		t.Errorf("%s, action %q, events %+v; want it taken back and not condemned", d.Code, d.Action, d.Events)
	}
	if d := late(func(in *Input) { in.Now = in.Now.Add(-time.Millisecond) }); d.Action != NoAction {
		t.Errorf("a moment early: %s (%s)", d.Action, d.Reason)
	}
	if d := late(func(in *Input) { in.Memory.passedSince = in.Now }); d.Action != NoAction {
		t.Errorf("passed, waiting for approval: %s (%s)", d.Action, d.Reason)
	}
	if d := late(func(in *Input) { in.Target.Rollout.OnDeadline = desired.TimeoutHold }); d.Action != NoAction || d.Code != CodeDeadline || !d.Alert {
		t.Errorf("onDeadline hold: %s, action %q, alert %t", d.Code, d.Action, d.Alert)
	}
	if d := late(func(in *Input) { in.Memory.lastLook = in.Now.Add(-jump - time.Second) }); d.Action != NoAction {
		t.Errorf("in the look after a jump of the clock: %s (%s)", d.Action, d.Reason)
	}
}

// TestPersonsAndTheFileTakeBack: whoever asks for it, at once and in any state.
func TestPersonsAndTheFileTakeBack(t *testing.T) {
	for name, edit := range map[string]func(*Input){
		"a person": func(in *Input) { in.with(func(r *Rollout) { r.AbortBy = "mei" }) },
		"the file": func(in *Input) { in.Target.Abort = in.History.Rollout.ID },
	} {
		in := bakeInput(t)
		edit(&in)
		if d := Decide(in); d.Action != Rollback || d.Code != CodeAborted {
			t.Errorf("%s: action %q, code %s", name, d.Action, d.Code)
		}
	}
	in := bakeInput(t)
	in.Target.Abort = "parrot-rest-000000000000"
	if d := Decide(in); d.Action != NoAction {
		t.Errorf("abort of another rollout: %s", d.Action)
	}
}

// TestCanceledUpgrade: a rollback that was decided is sent from there too; a cancel
// is sent only where Rancher offers it.
func TestCanceledUpgrade(t *testing.T) {
	in := bakeInput(t)
	in.Observed.Service.State, in.Observed.Service.Actions = observe.StateCanceledUpgrade, []string{"rollback", "continueupgrade"}
	in.with(func(r *Rollout) { r.RollingBackAt = in.Now })
	if d := Decide(in); d.Action != Rollback {
		t.Errorf("a rollback decided before: action %q (%s)", d.Action, d.Reason)
	}
	in = bakeInput(t)
	in.with(func(r *Rollout) { r.CancelBy = "mei" })
	in.Observed.Service.State = observe.StateUpgrading
	for action, want := range map[string]Action{"cancelupgrade": CancelUpgrade, "rollback": NoAction} {
		in.Observed.Service.Actions = []string{action}
		if d := Decide(in); d.Action != want || d.Phase != Held {
			t.Errorf("Rancher offers %s: action %q in %s, want %q", action, d.Action, d.Phase, want)
		}
	}
}

// TestBackoffDoubles with each rollback of a day.
func TestBackoffDoubles(t *testing.T) {
	l := look{in: bakeInput(t)}
	l.in.History.Rollbacks = nil
	for n := range 9 {
		if got, want := l.backoff(), l.in.Target.Rollout.Backoff.Duration<<min(n, 6); got != want {
			t.Errorf("after %d rollbacks: %s, want %s", n, got, want)
		}
		l.in.History.Rollbacks = append(l.in.History.Rollbacks, l.in.Now)
	}
}
