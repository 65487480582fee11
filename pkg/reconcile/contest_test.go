package reconcile

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

func counts(requests, failures int64) observe.Counts {
	return observe.Counts{Requests: requests, Failures: failures}
}

// TestDispersionIsTheChiSquare holds the running sums to the definition.
func TestDispersionIsTheChiSquare(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var s spread
	var last lastBlocks
	var n, x []float64
	for range recentBlocks {
		c := counts(blockRequests+rng.Int64N(30), rng.Int64N(9))
		s.add(c)
		last.add(c)
		n, x = append(n, float64(c.Requests)), append(x, float64(c.Failures))
	}
	var requests, failures, chi float64
	for i := range n {
		requests += n[i]
		failures += x[i]
	}
	p := failures / requests
	for i := range n {
		chi += (x[i] - n[i]*p) * (x[i] - n[i]*p) / (n[i] * p * (1 - p))
	}
	want := max(1, chi/float64(len(n)-1))
	if got := s.phi(); math.Abs(got-want) > 1e-9 {
		t.Errorf("φ of all = %v, want %v", got, want)
	}
	if got := last.phi(); math.Abs(got-want) > 1e-9 {
		t.Errorf("φ of the last blocks = %v, want %v", got, want)
	}
	for range recentBlocks {
		last.add(counts(blockRequests, 0))
	}
	if got := last.phi(); got != 1 {
		t.Errorf("φ = %v when nothing has failed for ten blocks, want 1", got)
	}
}

func TestDispersionNeedsEvidence(t *testing.T) {
	var one spread
	for i := range 20 {
		one.add(counts(blockRequests, int64(8*(i/19))))
	}
	if phi, failures := one.told(); phi != 1 || failures != 0 {
		t.Errorf("one failing block tells φ = %v from %v failures, want nothing", phi, failures)
	}
	if one.phi() <= 5 {
		t.Errorf("a bound after one clump of 8 is made wider by %v, want more than 5", one.phi())
	}
	all := spread{}
	for range 5 {
		all.add(counts(blockRequests, blockRequests))
	}
	if got := all.phi(); got != 1 {
		t.Errorf("φ = %v when everything fails, want 1", got)
	}
}

// good is a baseline of so many requests of which none failed.
func learned(requests, failures int64) *rates {
	var b baseline
	for seen := int64(0); seen < requests; seen += 40 {
		b.learn(counts(40, failures), newPaper().now)
	}
	r := b.rates(0.01)
	return &r
}

// play counts looks and follows incidents, as a look does.
func (c *contest) play(r *rates, looks int, fresh, old observe.Counts) accusation {
	var a accusation
	for range looks {
		c.count(fresh, old, r)
		a = c.accuse(r)
		c.follow(&a, r, false)
	}
	return a
}

func TestIncidentIsNobodysFaultAndIsForgotten(t *testing.T) {
	r, c := learned(2000, 0), contest{}
	c.play(r, 20, counts(20, 0), counts(20, 0))
	c.play(r, 10, counts(20, 5), counts(20, 5))
	if c.incident != incidentOfOld {
		t.Fatalf("incident = %v while both fail, want that of the old version", c.incident)
	}
	c.play(r, 100, counts(20, 0), counts(20, 0))
	if c.incident != noIncident {
		t.Fatalf("incident = %v long after it was over", c.incident)
	}
	if c.fresh.Failures != 0 || c.absolute.c > 0 || c.fresh.Requests == 0 {
		t.Errorf("after the incident: %+v, want it thrown away and counted on", c.fresh)
	}
}

// TestIncidentOutlivesTheOldVersion: the last old server goes in the middle of an
// incident, and the new one is not blamed for what was there before.
func TestIncidentOutlivesTheOldVersion(t *testing.T) {
	r, c := learned(2000, 0), contest{}
	c.play(r, 10, counts(20, 5), counts(20, 5))
	c.play(r, 50, counts(20, 5), observe.Counts{})
	if c.incident != incidentOfOld {
		t.Fatalf("incident = %v while the new version still fails alone, want that of the old one", c.incident)
	}
	c.play(r, 20, counts(20, 0), observe.Counts{})
	if c.incident != noIncident || c.fresh.Failures != 0 {
		t.Fatalf("incident = %v, %d failures counted, once the new version is well: want none", c.incident, c.fresh.Failures)
	}
	if a := c.play(r, 20, counts(20, 5), observe.Counts{}); !a.isTooMany || a.hasControl {
		t.Errorf("when it fails later and alone: %+v, want it accused without a control", a)
	}
}

func TestIncidentDoesNotHideWhatIsFarWorse(t *testing.T) {
	r, c := learned(2000, 0), contest{}
	a := c.play(r, 30, counts(20, 20), counts(20, 2))
	if c.incident != incidentOfOld || !a.isBeyondIncident() {
		t.Errorf("incident = %v, E = %.3g: want an incident, and the new version beyond it", c.incident, a.evidence)
	}
}

func TestBatchBeginsWaldsTestAnew(t *testing.T) {
	r, c := learned(2000, 0), contest{}
	c.served(1)
	c.play(r, 50, counts(20, 0), counts(20, 0))
	long := c.absolute.l
	if c.served(1); c.absolute.l != long {
		t.Error("L was reset without a new container")
	}
	if c.served(2); c.absolute.l != 0 {
		t.Errorf("L = %v after a batch, want 0: the credit was another container's", c.absolute.l)
	}
}

func TestBurst(t *testing.T) {
	clean, dirty := learned(2000, 0), learned(2000, 4)
	for _, c := range []struct {
		name        string
		r           *rates
		phi         float64
		isFirst     bool
		least, most float64
	}{
		{"never answered, clean before", clean, 1, true, 5, 10},
		{"later, clean before", clean, 1, false, 30, 50},
		{"never answered, one in ten failed before", dirty, 1, true, 10, 20},
		{"later, one in ten failed before in clumps of eight", dirty, 15, false, 50, 80},
	} {
		if got := c.r.burst(c.phi, c.isFirst); got < c.least || got > c.most {
			t.Errorf("%s: a burst is %v in a row, want %v to %v", c.name, got, c.least, c.most)
		}
	}
	var c contest
	for range 3 {
		c.count(counts(4, 4), counts(4, 0), clean)
	}
	if !func() bool { a := c.accuse(clean); return a.isBurst }() {
		t.Errorf("a version that failed its first 12 requests: no burst")
	}
	if c.count(counts(4, 4), counts(4, 1), clean); c.run != 0 {
		t.Error("the run goes on although the old side fails as well")
	}
}

// TestRatesAreMadeFromTheBaseline: p₀ and p₁ of a few services, at a limit of 1 %.
func TestRatesAreMadeFromTheBaseline(t *testing.T) {
	for _, c := range []struct {
		requests, failures int64
		good, bad          float64
	}{
		{0, 0, 0.0025, 0.05},     // Nothing known: a quarter of the limit.
		{2000, 0, 0.0025, 0.05},  // Better than that.
		{2000, 2, 0.0559, 0.279}, // One in twenty.
		{2000, 20, 0.513, 0.757}, // Halfway to everything; p₀ is bounded.
	} {
		r := learned(c.requests, c.failures)
		if c.good > mostRate {
			c.good, c.bad = mostRate, alternative(mostRate)
		}
		if math.Abs(r.good-c.good) > 0.001 || math.Abs(r.bad-c.bad) > 0.005 {
			t.Errorf("%d of 40 fail: p₀ = %.4f, p₁ = %.4f, want %.4f and %.4f", c.failures, r.good, r.bad, c.good, c.bad)
		}
	}
}

func TestBaselineForgets(t *testing.T) {
	var b baseline
	now := newPaper().now
	for range 1000 {
		b.learn(counts(100, 50), now)
	}
	if b.counts.Requests > longRequests+100 || b.latest.Requests > latestRequests+100 {
		t.Errorf("after 100,000 requests the baseline counts %d, and lately %d", b.counts.Requests, b.latest.Requests)
	}
	for range 30 {
		now = now.Add(latestTime)
		b.learn(counts(40, 0), now)
	}
	if share(b.latest.Failures, b.latest.Requests) > 0.01 {
		t.Errorf("five hours after a bad time %d of the latest %d requests count as failed", b.latest.Failures, b.latest.Requests)
	}
}

// TestGateMemoryTakesTheSameRoom: nothing that a bake of any length would make
// longer. The one list is bounded by what a page is read for.
func TestGateMemoryTakesTheSameRoom(t *testing.T) {
	var lists []string
	var walk func(at string, v reflect.Type)
	walk = func(at string, v reflect.Type) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(at+"."+v.Field(i).Name, v.Field(i).Type)
			}
		case reflect.Slice, reflect.Map, reflect.Pointer, reflect.String, reflect.Interface, reflect.Chan, reflect.Func:
			lists = append(lists, at)
		default:
		}
	}
	walk("lb", reflect.TypeFor[lbMemory]())
	walk("shadow", reflect.TypeFor[shadow]())
	if want := []string{
		"lb.base.since.loc", "lb.base.latestSince.loc", "lb.neighbours", "lb.shadow", "shadow.base.since.loc", "shadow.base.latestSince.loc",
	}; !reflect.DeepEqual(lists, want) {
		t.Errorf("what is not of a fixed size: %v, want %v", lists, want)
	}
	var list []neighbour
	lb := observe.LoadBalancer{Others: counts(9, 0)}
	for i := range 10 * observe.MaxOtherProxies {
		lb.OtherProxies = []observe.ProxyCounts{{Proxy: fmt.Sprint(i), Counts: counts(9, 0)}}
		list = learnNeighbours(list, &lb)
	}
	if len(list) > observe.MaxOtherProxies+1 {
		t.Errorf("%d neighbours are remembered, want at most %d", len(list), observe.MaxOtherProxies+1)
	}
}

func TestNeighbourIsHeldToItsOwnBaseline(t *testing.T) {
	look := func(failed int64) *observe.LoadBalancer {
		return &observe.LoadBalancer{Others: counts(440, failed+20), OtherProxies: []observe.ProxyCounts{
			{Proxy: "81_small", Counts: counts(40, failed)}, {Proxy: "82_dirty", Counts: counts(400, 20)},
		}}
	}
	var list []neighbour
	for range 50 {
		list = learnNeighbours(list, look(0))
	}
	for range 20 {
		list = countNeighbours(list, look(0), 0.01)
	}
	if got := failingNeighbour(list); got != "" {
		t.Errorf("%s fails as it always did, and is called failing", got)
	}
	before := list
	for range 5 {
		list = countNeighbours(list, look(8), 0.01)
	}
	if got := failingNeighbour(list); got != "proxy 81_small" {
		t.Errorf("failing neighbour = %q, want the small one: in the sum it is one failure in fifty", got)
	}
	if failingNeighbour(before) != "" || failingNeighbour(quietened(list)) != "" {
		t.Error("an older memory, or one that begins from zero, was changed")
	}
}

// TestBaselineIsTheOldVersions: through rollout and probation the new version is
// held to what ran before it, and learns nothing from itself; then it is the running
// version, and the baseline begins anew. After a rollback the old one holds.
func TestBaselineIsTheOldVersions(t *testing.T) {
	p := newPaper()
	*p.target.Gates.LoadBalancer.MaxErrorRate, p.target.Gates.LoadBalancer.MinRequests = 0.05, 59
	p.behaviour["a"] = "errors=50"
	p.run(time.Minute, func(Decision) {})
	p.bake(t)
	before := p.memory.lb.base.counts
	if before.Failures == 0 {
		t.Fatalf("the baseline is %+v, want failures of the old version", before)
	}
	p.run(30*time.Second, func(Decision) {})
	if got := p.memory.lb.base.counts; p.last.Phase != Probation || got != before {
		t.Errorf("%s with a baseline of %+v, want probation with the old version's %+v", p.last.Phase, got, before)
	}
	p.run(time.Minute, func(Decision) {})
	if got := p.memory.lb.base.counts; p.last.Phase != Idle || got.Failures != 0 || got.Requests == 0 {
		t.Errorf("%s with a baseline of %+v, want the new version's alone", p.last.Phase, got)
	}
	p.tag, p.seenAt, p.behaviour["c"] = "c", p.now, "errors=3"
	running := p.memory.lb.base.counts
	for i := 0; p.history.Last.Outcome != RolledBack && i < 600; i++ {
		p.run(2*time.Second, func(Decision) {})
	}
	p.run(4*time.Second, func(Decision) {})
	if got := p.memory.lb.base.counts; p.history.Last.Outcome != RolledBack || got.Requests < running.Requests {
		t.Errorf("%s with a baseline of %+v, want what it was before, %+v, and more", p.history.Last.Outcome, got, running)
	}
}
