package operator

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// situations are what a person may come upon.
func situations() []struct {
	name  string
	sight Sight
} {
	image := observe.Image{Ref: repository + ":latest", Repository: repository, Digest: digest('b')}
	withImage := func(s Sight) Sight { s.Image = image; return s }
	withBack := func(s Sight, source string) Sight {
		s.Back = &Back{Digest: digest('c'), Image: pinned('c'), Source: source, Restoring: &reconcile.Restoring{Base: []byte(`{}`)}}
		return s
	}
	quarantined := map[string]reconcile.Quarantined{digest('b'): {Reason: "load balancer: new failed 24 of 120"}}
	held := view(idle('b'), func(v *web.View) { v.Phase, v.Holding = reconcile.Held, "somebody else upgrades the service" })
	return []struct {
		name  string
		sight Sight
	}{
		{"alone, nothing under way", withImage(alone(service(observe.StateActive)))},
		{"alone, finished, a way back in the journal", withBack(alone(finished()), "the journal")},
		{"alone, upgrading", alone(service(observe.StateUpgrading))},
		{"alone, upgraded and proved", alone(service(observe.StateUpgraded))},
		{"alone, upgraded and a new container unhealthy", alone(unhealthy(service(observe.StateUpgraded)))},
		{"alone, finishing", alone(service(observe.StateFinishingUpgrade))},
		{"alone, cancelled", alone(service(observe.StateCanceledUpgrade))},
		{"alone, rolling back", alone(service(observe.StateRollingBack))},
		{"alone, stopped", alone(service(observe.StateInactive))},
		{"alone, Rancher away", alone(observe.Service{Problem: &observe.Problem{Cause: observe.CauseUnreachable, Message: "connection refused"}})},
		{"alone, no such service", alone(observe.Service{Problem: &observe.Problem{Cause: observe.CauseNotFound, Message: "stack shop has no service api"}})},
		{"watched, nothing to do", watched(service(observe.StateActive), idle('a'))},
		{"watched, finished, a way back in the journal", withBack(watched(finished(), view(idle('b'), func(v *web.View) { v.Running = digest('b') })), "the journal")},
		{"watched, a new digest settles", watched(service(observe.StateActive), view(idle('b'), func(v *web.View) {
			v.Phase, v.Reason = reconcile.Settle, "sha256:bbbb must stay the same for 3s more"
		}))},
		{"watched, quarantined", watched(rolledBack(), view(idle('b'), func(v *web.View) {
			v.Code, v.Reason, v.Quarantine = reconcile.CodeQuarantined, "sha256:bbbb is quarantined", quarantined
			v.Last = &web.Rollout{ID: "api-1", To: digest('b'), Outcome: reconcile.RolledBack}
		}))},
		{"watched, a fix waits for the back-off", watched(rolledBack(), view(idle('b'), func(v *web.View) {
			v.Phase, v.Code, v.Reason = reconcile.Preflight, reconcile.CodeBackoff, "the last rollout did not stay, so the next waits until 12:15"
			v.Last = &web.Rollout{ID: "api-1", To: digest('d'), Outcome: reconcile.RolledBack}
			v.Quarantine = map[string]reconcile.Quarantined{digest('d'): {Reason: "load balancer: new failed 24 of 120"}}
		}))},
		{"watched, paused", watched(service(observe.StateActive), view(idle('b'), func(v *web.View) { v.PausedBy = "mei" }))},
		{"watched, upgrading", watched(service(observe.StateUpgrading), view(baking(), func(v *web.View) {
			v.Phase, v.Reason, v.BakeStart, v.BakeUntil = reconcile.Upgrading, "1 of 2 containers are new, 1 old ones run", noon.Truncate(0).AddDate(-2026, 0, 0), noon.AddDate(-1, 0, 0)
		}))},
		{"watched, baking", watched(service(observe.StateUpgraded), baking())},
		{"watched, baking, Rancher not here", watched(observe.Service{Problem: &observe.Problem{Cause: observe.CauseUnusable, Message: "no key"}}, baking())},
		{"watched, stuck", watched(service(observe.StateUpgraded), view(baking(), func(v *web.View) {
			v.Phase, v.Reason = reconcile.Stuck, "the rollback is not over after 5m"
		}))},
		{"watched, held while somebody upgrades", watched(service(observe.StateUpgraded), held)},
		{"watched, a way back is under way", watched(service(observe.StateUpgraded), view(baking(), func(v *web.View) { v.Rollout.Kind = reconcile.Restore }))},
	}
}

func unhealthy(s observe.Service) observe.Service {
	s.Containers[3].Health = "unhealthy"
	return s
}

// TestPlans writes down what every verb says it will do in every situation: what a
// person reads before anything is done.
func TestPlans(t *testing.T) {
	const file = "testdata/plans.txt"
	var b strings.Builder
	for _, at := range situations() {
		fmt.Fprintf(&b, "# %s\n", at.name)
		for _, verb := range []Verb{Upgrade, Finish, Rollback, Cancel, Approve, Pause, Resume, Retry} {
			p, err := MakePlan(at.sight, Request{Verb: verb, By: "jo"})
			fmt.Fprintf(&b, "%s\n%s", verb, describe(p, err))
		}
		b.WriteString("\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("plans differ from %s; look at them with -update and git diff", file)
	}
}

func describe(p Plan, err error) string {
	var b strings.Builder
	switch {
	case err != nil:
		var refused *RefusedError
		var needs *NeedsDaemonError
		var blind *BlindError
		kind := "error"
		switch {
		case errors.As(err, &refused):
			kind = "refused"
		case errors.As(err, &needs):
			kind = "needs the daemon"
		case errors.As(err, &blind):
			kind = "blind"
		}
		fmt.Fprintf(&b, "    %s: %v\n", kind, err)
		return b.String()
	case p.Nothing != "":
		return fmt.Sprintf("    nothing: %s\n", p.Nothing)
	}
	for _, s := range p.Says {
		fmt.Fprintf(&b, "    %s\n", s)
	}
	through := "Rancher"
	if c := p.Command; c != nil {
		through = fmt.Sprintf("the daemon: %s", c.Verb)
		if c.Rollout != "" {
			through += " of " + c.Rollout
		}
		if c.Digest != "" {
			through += " " + web.Short(c.Digest)
		}
	}
	fmt.Fprintf(&b, "    -> %s, until %s\n", through, word(string(p.Goal), "told"))
	return b.String()
}

func word(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// TestPlanIsBoundToARollout: what a person saw is what they decide about (C33).
func TestPlanIsBoundToARollout(t *testing.T) {
	s := watched(service(observe.StateUpgraded), baking())
	for _, verb := range []Verb{Finish, Rollback, Cancel, Approve} {
		_, err := MakePlan(s, Request{Verb: verb, By: "jo", Rollout: "api-0"})
		var refused *RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "api-1 is") {
			t.Errorf("%s of another rollout = %v, want it refused", verb, err)
		}
	}
	p, err := MakePlan(s, Request{Verb: Finish, By: "jo"})
	if err != nil || p.Command == nil || *p.Command != (controller.Command{Verb: controller.Finish, By: "jo", Rollout: "api-1"}) {
		t.Errorf("finish = %+v, %v, want it bound to api-1", p.Command, err)
	}
	if _, err := MakePlan(alone(service(observe.StateUpgraded)), Request{Verb: Finish, Rollout: "api-1"}); err == nil {
		t.Error("a rollout that nobody knows is finished")
	}
}

// TestUpgradeByHandIsSigned: a daemon that comes later sees whose it is.
func TestUpgradeByHandIsSigned(t *testing.T) {
	s := alone(service(observe.StateActive))
	s.Image = observe.Image{Ref: repository + ":latest", Repository: repository, Digest: digest('b'), Revision: "c0ffee"}
	p, err := MakePlan(s, Request{Verb: Upgrade, By: "jo@desk", StartFirst: true})
	if err != nil {
		t.Fatal(err)
	}
	u := p.upgrade
	if u.Image != pinned('b') || u.ExpectVersion != "va" || u.ServiceID != "1s5" || !u.StartFirst || u.BatchSize != 1 || u.Interval != defaultInterval {
		t.Errorf("upgrade = %+v", u)
	}
	for label, want := range map[string]string{
		reconcile.LabelOwner: "jo@desk", reconcile.LabelTo: digest('b'), reconcile.LabelFrom: digest('a'),
		reconcile.LabelImage: repository + ":latest", reconcile.LabelRevision: "c0ffee", reconcile.LabelStarted: "2026-05-04T12:00:00Z",
	} {
		if got := u.Labels[label]; got != want {
			t.Errorf("label %s = %q, want %q", label, got, want)
		}
	}
	s.Image.Digest = digest('a')
	if p, err := MakePlan(s, Request{Verb: Upgrade, By: "jo"}); err != nil || p.Nothing == "" {
		t.Errorf("an upgrade to what runs = %+v, %v, want nothing to do", p, err)
	}
	if _, err := MakePlan(s, Request{Verb: Upgrade, By: "jo", Digest: digest('c')}); err == nil {
		t.Error("an upgrade to another digest than the tag's is not refused")
	}
}

func TestUnknownVerbIsRefused(t *testing.T) {
	if _, err := MakePlan(alone(service(observe.StateActive)), Request{Verb: "dance"}); err == nil {
		t.Error("an unknown verb is planned")
	}
}

// TestABadBaselineIsPassedOverForOneDigest: --despite-baseline without --digest is
// refused, and with it the daemon is told so (H16).
func TestABadBaselineIsPassedOverForOneDigest(t *testing.T) {
	tried := 0
	for _, at := range situations() {
		plain, err := MakePlan(at.sight, Request{Verb: Upgrade, By: "jo"})
		if err != nil || plain.Command == nil {
			continue
		}
		tried++
		if _, err := MakePlan(at.sight, Request{Verb: Upgrade, By: "jo", DespiteBaseline: true}); err == nil {
			t.Errorf("%s: accepted without a digest", at.name)
		}
		p, err := MakePlan(at.sight, Request{Verb: Upgrade, By: "jo", DespiteBaseline: true, Digest: plain.Command.Digest})
		if err != nil || !p.Command.DespiteBaseline || p.Command.Digest != plain.Command.Digest {
			t.Errorf("%s: command %+v, %v, want one that passes the baseline over for %s", at.name, p.Command, err, plain.Command.Digest)
		}
	}
	if tried == 0 {
		t.Error("in no situation the daemon would have been told to upgrade")
	}
}
