package reconcile

import (
	"math/rand/v2"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// shadowed is a service that nobody rolls out, looked at every two seconds.
func shadowed(seed uint64, percent float64, clump int) *traffic {
	s := newTraffic(cell{course: course{before: percent}, clump: clump}, rand.New(rand.NewPCG(seed, 1)))
	s.in.Target.Gates.LoadBalancer.Shadow = ptr(desired.Seconds(2))
	return s
}

// halves looks so often at what both containers serve.
func (s *traffic) halves(looks int) Shadow {
	for range looks {
		s.look(s.old.serve(lookRequests/2), s.fresh.serve(lookRequests/2))
	}
	return s.in.Memory.Shadow()
}

// TestShadowMeasuresTheFalseTriggers: on halves that are alike the trials are blamed
// about as often as the table says, and on a half that fails nearly always.
func TestShadowMeasuresTheFalseTriggers(t *testing.T) {
	const looks = 50 + 50*400
	even := shadowed(1, 5, 8)
	got := even.halves(looks)
	if got.Trials < 350 || got.Trials > 410 || got.FalseTriggers > got.Trials/10 {
		t.Errorf("halves alike, clumps of 8: %+v, want some 400 trials and few triggers", got)
	}
	uneven := shadowed(2, 1, 1)
	uneven.halves(100)
	uneven.fresh.rate = 0.3
	before := uneven.in.Memory.Shadow()
	got = uneven.halves(2000)
	if n := got.FalseTriggers - before.FalseTriggers; n < 10 {
		t.Errorf("one half fails at 30 %%: %+v after %+v, want triggers in every other trial: the halves swap", got, before)
	}
}

func TestShadowIsTriedOnlyOnAQuietService(t *testing.T) {
	s := shadowed(3, 0.1, 1)
	s.halves(200)
	before := s.in.Memory.Shadow()
	if before.Trials == 0 {
		t.Fatal("no trial in 8,000 requests")
	}
	// Another container: the trial under way is void.
	s.in.Observed.Service.Containers[1].ID, s.in.Observed.LoadBalancer.Servers[1].Container = "1i7", "1i7"
	s.halves(1)
	if looks := s.in.Memory.lb.shadow.looks; looks != 0 {
		t.Errorf("the trial goes on for %d looks with another container", looks)
	}
	s.begin()
	s.halves(100)
	if got := s.in.Memory.Shadow(); got != before {
		t.Errorf("during a rollout %+v became %+v", before, got)
	}
	s.in.History.Rollout = nil
	s.in.Observed.Service.State = observe.StateActive
	s.halves(1)
	if got := s.in.Memory.Shadow(); got != before {
		t.Errorf("after the rollout %+v became %+v", before, got)
	}
}

func TestShadowOffOrWithOneContainer(t *testing.T) {
	off := shadowed(4, 1, 1)
	off.in.Target.Gates.LoadBalancer.Shadow = ptr(desired.Seconds(0))
	if got := off.halves(300); got != (Shadow{}) {
		t.Errorf("shadow: 0s, and %+v", got)
	}
	if Need(off.in).Balancer {
		t.Error("shadow: 0s, and the load balancer is wanted")
	}
	one := shadowed(5, 1, 1)
	one.in.Observed.Service.Containers[1].State = "stopped"
	if got := one.halves(300); got != (Shadow{}) {
		t.Errorf("one container, and %+v: it has no halves", got)
	}
	if !Need(one.in).Balancer {
		t.Error("the load balancer is not wanted, although the baseline is to be learned")
	}
}

// TestTrialsEndAtTheDefaultPace: looks of shadow mode are many times as far apart as
// those of a rollout, and between them no more is kept than of any target at rest;
// trials come to their end all the same. A look that is late ends none, a longer gap does.
func TestTrialsEndAtTheDefaultPace(t *testing.T) {
	s := shadowed(7, 0.1, 1)
	s.in.Target.Gates.LoadBalancer.Shadow = ptr(desired.Seconds(30))
	look := func(after time.Duration) {
		s.in.Now = s.in.Now.Add(after - 2*time.Second) // Two pass anyway.
		d := s.look(s.old.serve(lookRequests/2), s.fresh.serve(lookRequests/2))
		rest, ok := d.Memory.Rest()
		if !ok || !d.IsQuiet() || d.RequeueAfter == 0 {
			t.Fatalf("%s %s, looked at again in %s, is not at rest", d.Phase, d.Code, d.RequeueAfter)
		}
		s.in.Memory = rest.Memory()
	}
	for range 200 {
		look(30 * time.Second)
	}
	if got := s.in.Memory.Shadow(); got.Trials < 3 {
		t.Errorf("%+v after 200 looks, want a trial for each 1,000 requests of a half", got)
	}
	for s.in.Memory.lb.shadow.looks < 5 {
		look(30 * time.Second)
	}
	before := s.in.Memory.lb.shadow.looks
	if look(80 * time.Second); s.in.Memory.lb.shadow.looks != before+1 {
		t.Errorf("the trial has %d looks after a late one, want %d", s.in.Memory.lb.shadow.looks, before+1)
	}
	if look(2 * time.Minute); s.in.Memory.lb.shadow.looks > 1 {
		t.Errorf("the trial has %d looks after a gap, want a new one", s.in.Memory.lb.shadow.looks)
	}
}

// TestShadowLooksComeTogether: targets of one load balancer share its page when they
// look at the same moment, whenever each was looked at before.
func TestShadowLooksComeTogether(t *testing.T) {
	var due []time.Time
	for _, after := range []time.Duration{0, 3 * time.Second, 29 * time.Second} {
		s := shadowed(6, 1, 1)
		s.in.Target.Gates.LoadBalancer.Shadow = ptr(desired.Seconds(30))
		s.in.Now = s.in.Now.Add(after)
		d := s.look(observe.Counts{}, observe.Counts{})
		if d.RequeueAfter <= 0 || d.RequeueAfter > 30*time.Second {
			t.Errorf("the next look is in %s, want within 30 s", d.RequeueAfter)
		}
		due = append(due, s.in.Now.Add(d.RequeueAfter))
	}
	if !due[0].Equal(due[1]) || !due[2].Equal(due[0]) && !due[2].Equal(due[0].Add(30*time.Second)) {
		t.Errorf("looks are due at %v", due)
	}
}

// TestNervousServiceIsBelievedLess: where the gate is triggered falsely too often, φ
// is at least three.
func TestNervousServiceIsBelievedLess(t *testing.T) {
	for _, c := range []struct {
		shadow Shadow
		want   float64
	}{
		{Shadow{Trials: 1000, FalseTriggers: 11}, nervousPhi},
		{Shadow{Trials: 1000, FalseTriggers: 10}, 1},
		{Shadow{Trials: 199, FalseTriggers: 50}, 1},
		{Shadow{Trials: 300, FalseTriggers: 4}, 1},
	} {
		m := lbMemory{shadow: &shadow{Shadow: c.shadow}}
		r := m.rates(0.01)
		if got := m.phi(&r); got != c.want {
			t.Errorf("%+v: φ = %v, want %v", c.shadow, got, c.want)
		}
	}
}
