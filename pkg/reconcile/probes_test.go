package reconcile

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// probing is a paper world whose containers are probed too; answer makes the
// sample of a container, by the letter of its image.
func probing(t *testing.T, gates func(*desired.Gates)) *paper {
	t.Helper()
	p := newPaper()
	for i := range p.containers {
		p.containers[i].ImageID = ""
	}
	p.target.Gates.HTTP = httpGate()
	if gates != nil {
		gates(&p.target.Gates)
	}
	p.answer = func(string) observe.Sample { return observe.Sample{Status: 200, Latency: 10 * time.Millisecond} }
	return p
}

func httpGate() *desired.HTTPGate {
	return &desired.HTTPGate{
		Port: 8080, Path: "/healthz", Every: desired.Seconds(2), Timeout: desired.Seconds(1), FailureThreshold: 3,
		WarmUp: ptr(desired.Seconds(0)), MaxSlowdown: ptr(1.3),
	}
}

func tcpGate() *desired.TCPGate {
	return &desired.TCPGate{Port: 9000, Every: desired.Seconds(2), Timeout: desired.Seconds(1), FailureThreshold: 3}
}

// until runs the world, a push of digest b included, until a decision is reached.
func (p *paper) until(t *testing.T, reached func(Decision) bool) Decision {
	t.Helper()
	if p.tag == "a" {
		p.run(4*time.Second, func(Decision) {})
		p.tag, p.seenAt = "b", p.now
	}
	return p.wait(t, reached)
}

// wait runs the world until a decision is reached.
func (p *paper) wait(t *testing.T, reached func(Decision) bool) Decision {
	t.Helper()
	for range 1000 {
		p.run(2*time.Second, func(Decision) {})
		if reached(p.last) {
			return p.last
		}
	}
	t.Fatalf("not reached; last was %s %s: %s", p.last.Phase, p.last.Code, p.last.Reason)
	return Decision{}
}

func inBake(d Decision) bool  { return d.Code == CodeBaking }
func ended(d Decision) bool   { return d.Action == Rollback || d.Action == FinishUpgrade }
func overdue(d Decision) bool { return d.Action != NoAction || d.Code == CodeShortOfEvidence }

func finding(t *testing.T, d Decision, gate string) Finding {
	t.Helper()
	for _, f := range d.Gates {
		if f.Gate == gate {
			return f
		}
	}
	t.Fatalf("no finding of %s in %+v", gate, d.Gates)
	return Finding{}
}

func TestProbesThatFailInARowTakeAVersionBack(t *testing.T) {
	for name, bad := range map[string]observe.Sample{
		"status 502":           {Status: 502},
		"no answer":            {Error: "connection refused"},
		"something else in it": {Status: 200, Unmet: `its JSON has db = "down", not "up"`},
	} {
		p := probing(t, nil)
		p.until(t, inBake)
		p.answer = func(letter string) observe.Sample {
			if letter == "b" {
				return bad
			}
			return observe.Sample{Status: 200}
		}
		d := p.until(t, ended)
		if f := finding(t, d, "http"); d.Action != Rollback || f.Code != CodeProbeFailed || f.Failures != 3 {
			t.Errorf("%s: %s, %s, want a rollback after 3 failed probes", name, d.Action, f.Text())
		}
		if want := bad.Error + bad.Unmet; want != "" && !strings.Contains(d.Reason, want) {
			t.Errorf("%s: the reason %q does not say %q", name, d.Reason, want)
		}
	}
}

// H13: without a request of a user, probes fill the minimum evidence, counted
// apart; without probes there is no pass.
func TestH13ProbesFillTheMinimumEvidence(t *testing.T) {
	p := probing(t, func(g *desired.Gates) {
		g.LoadBalancer.MinRequests = 59
		g.LoadBalancer.MaxErrorRate = ptr(desired.Percent(0.05))
	})
	p.quiet = true
	d := p.until(t, ended)
	if f := finding(t, d, "load balancer"); d.Action != FinishUpgrade || f.Requests != 0 || f.Synthetic < 59 {
		t.Errorf("idle service: %s with %d requests and %d probes, want a finish on at least 59 probes", d.Action, f.Requests, f.Synthetic)
	}
	p = probing(t, func(g *desired.Gates) { g.LoadBalancer.ProbesCount = ptr(false) })
	p.quiet = true
	if d := p.until(t, func(d Decision) bool { return ended(d) || p.now.Sub(p.seenAt) > 20*time.Minute }); ended(d) {
		t.Errorf("idle service without probes that count: %s %s, want it to wait", d.Action, d.Reason)
	}
}

// H20: one probe in ten fails. That is no run of failures; it counts among the
// requests.
func TestH20FlappingProbeCountsAndDoesNotFail(t *testing.T) {
	p := probing(t, func(g *desired.Gates) {
		g.LoadBalancer.MinRequests = 59
		g.LoadBalancer.MaxErrorRate = ptr(desired.Percent(0.05))
	})
	p.quiet = true
	n := 0
	p.answer = func(letter string) observe.Sample {
		if n++; letter == "b" && n%10 == 0 {
			return observe.Sample{Status: 503}
		}
		return observe.Sample{Status: 200}
	}
	p.until(t, inBake)
	d := p.until(t, func(d Decision) bool { return ended(d) || p.now.Sub(p.seenAt) > 10*time.Minute })
	f := finding(t, d, "load balancer")
	if ended(d) || f.Code != CodeErrorRate || f.Verdict != Hold || f.Bound < 0.05 {
		t.Errorf("one probe in ten fails: %s, %s %s (at most %.1f %%), want a hold above the limit", d.Action, f.Verdict, f.Code, 100*f.Bound)
	}
}

// H23: when the probes of the old version fail as well, nobody is blamed.
func TestH23ControlFailsToo(t *testing.T) {
	p := probing(t, nil)
	p.stalled = false
	p.until(t, func(d Decision) bool { return d.Phase == Upgrading })
	p.stalled = true // Old and new side by side.
	p.run(4*time.Second, func(Decision) {})
	p.answer = func(string) observe.Sample { return observe.Sample{Error: "no route to host"} }
	p.run(30*time.Second, func(d Decision) {
		if d.Action != NoAction {
			t.Fatalf("decided %s: %s", d.Action, d.Reason)
		}
	})
	if f := finding(t, p.last, "http"); f.Verdict != NoData || f.Code != CodeControlFailed {
		t.Errorf("both fail: %s %s, want NoData %s", f.Verdict, f.Code, CodeControlFailed)
	}
	p.answer = func(letter string) observe.Sample {
		if letter == "b" {
			return observe.Sample{Error: "no route to host"}
		}
		return observe.Sample{Status: 200}
	}
	p.run(2*time.Second, func(Decision) {})
	if p.last.Action != Rollback {
		t.Errorf("only the new one fails: %s %s, want a rollback", p.last.Action, p.last.Reason)
	}
}

func TestTCPGate(t *testing.T) {
	p := probing(t, func(g *desired.Gates) {
		g.HTTP = nil
		g.TCP = &desired.TCPGate{Port: 9000, Every: desired.Seconds(2), Timeout: desired.Seconds(1), FailureThreshold: 3}
	})
	p.until(t, inBake)
	if f := finding(t, p.last, "tcp"); f.Verdict != Pass || f.Healthy != 3 {
		t.Errorf("open ports: %s %s", f.Verdict, f.Text())
	}
	p.answer = func(string) observe.Sample { return observe.Sample{Error: "connection refused"} }
	d := p.until(t, ended)
	if f := finding(t, d, "tcp"); d.Action != Rollback || f.Code != CodeProbeFailed || !strings.Contains(d.Reason, "connection refused") {
		t.Errorf("closed ports: %s, %s", d.Action, f.Text())
	}
}

// A gate that probes is a health source: the start waits until what runs now
// answers.
func TestStartWaitsForAnAnswerOfWhatRuns(t *testing.T) {
	p := probing(t, func(g *desired.Gates) {
		g.HTTP = nil
		g.TCP = &desired.TCPGate{Port: 9000, Every: desired.Seconds(2), Timeout: desired.Seconds(1), FailureThreshold: 3}
	})
	p.answer = func(string) observe.Sample { return observe.Sample{Error: "connection refused"} }
	d := p.until(t, func(d Decision) bool { return d.Phase == Preflight })
	if d.Code != CodeBaselineBlind || !strings.Contains(d.Reason, "TCP probe") {
		t.Errorf("preflight says %s: %s", d.Code, d.Reason)
	}
}

// TestEvidenceRateIsAskedForWhileEvidenceIsShort: synthetic traffic comes at its
// rate only as long as it is needed.
func TestEvidenceRateIsAskedForWhileEvidenceIsShort(t *testing.T) {
	p := probing(t, func(g *desired.Gates) { g.HTTP.EvidenceRate = 5 })
	p.quiet = true
	need := func() bool {
		return Need(Input{Target: InForce(p.target, p.history), Observed: p.snapshot(), History: p.history, Memory: p.memory, Now: p.now}).Evidence
	}
	if need() {
		t.Error("without a rollout probes come at the evidence rate")
	}
	p.until(t, inBake)
	if !need() {
		t.Error("in the bake probes do not come at the evidence rate")
	}
	p.quiet = false
	p.requests = 200
	p.run(4*time.Second, func(Decision) {})
	if need() {
		t.Error("with evidence enough probes still come at the evidence rate")
	}
}

// H24: the new version is three times slower, once it is warm. It is held at the
// end of the bake, and not taken back.
func TestH24SlowerVersionIsHeld(t *testing.T) {
	for name, test := range map[string]struct {
		slowdown, limit float64
		isHeld          bool
	}{
		"three times":                      {3, 1.3, true},
		"equal":                            {1, 1.3, false},
		"a tenth":                          {1.1, 1.3, false},
		"three times and nothing compared": {3, 0, false},
		"three times, four allowed":        {3, 4, false},
	} {
		p := probing(t, func(g *desired.Gates) { g.HTTP.MaxSlowdown = ptr(test.limit) })
		p.target.Rollout.Bake = desired.Seconds(60)
		rng := rand.New(rand.NewPCG(1, 2))
		p.answer = func(letter string) observe.Sample {
			d := 50 * math.Exp(0.3*rng.NormFloat64())
			if letter == "b" {
				d *= test.slowdown
			}
			return observe.Sample{Status: 200, Latency: time.Duration(d * float64(time.Millisecond))}
		}
		p.run(30*time.Second, func(Decision) {})
		p.until(t, inBake)
		d := p.until(t, func(d Decision) bool { return overdue(d) })
		f := finding(t, d, "http")
		if got := d.Action == NoAction && f.Verdict == Hold && f.Code == CodeSlower; got != test.isHeld {
			t.Errorf("%s: %s, %s %s", name, d.Action, f.Verdict, f.Text())
		}
		if test.isHeld {
			p.run(time.Minute, func(Decision) {})
			if p.last.Action != NoAction || p.state != observe.StateUpgraded {
				t.Errorf("%s: then %s %s, want it to wait for a person", name, p.last.Action, p.last.Reason)
			}
		}
	}
}

// A container's first answers are slow; they are left out.
func TestWarmUpIsNotCompared(t *testing.T) {
	for warmUp, isHeld := range map[float64]bool{0: true, 20: false} {
		p := probing(t, func(g *desired.Gates) { g.HTTP.WarmUp = ptr(desired.Seconds(warmUp)) })
		p.target.Rollout.Bake = desired.Seconds(30)
		born := map[string]time.Time{}
		p.answer = func(letter string) observe.Sample {
			if born[letter].IsZero() {
				born[letter] = p.now
			}
			if letter == "b" && p.now.Sub(born[letter]) < 24*time.Second {
				return observe.Sample{Status: 200, Latency: 900 * time.Millisecond}
			}
			return observe.Sample{Status: 200, Latency: 100 * time.Millisecond}
		}
		p.run(40*time.Second, func(Decision) {})
		p.until(t, inBake)
		d := p.until(t, overdue)
		if f := finding(t, d, "http"); (f.Code == CodeSlower) != isHeld {
			t.Errorf("warm-up of %vs: %s %s", warmUp, f.Verdict, f.Text())
		}
	}
}

// TestRankTest reproduces the table of rollout-safety 3.6 for one look at half
// the error rate: log-normal times, σ = 0.5.
func TestRankTest(t *testing.T) {
	const runs = 1500
	for _, c := range []struct {
		n           int
		ratio       float64
		least, most float64
	}{
		{10, 1, 0, 0.005},
		{50, 1, 0, 0.005},
		{500, 1, 0, 0},
		{20, 2, 0.90, 1},
		{50, 2, 0.99, 1},
		{50, 1.5, 0.75, 1},
		{10, 3, 0.93, 1},
		{100, 1.5, 0.90, 1},
		{500, 1.2, 0, 0.03}, // Below the ratio that matters.
	} {
		rng := rand.New(rand.NewPCG(uint64(c.n), math.Float64bits(c.ratio)))
		found := 0
		for range runs {
			var old, fresh histogram
			for range c.n {
				old.add([]time.Duration{logNormal(rng, 1)})
				fresh.add([]time.Duration{logNormal(rng, c.ratio)})
			}
			if slower(&old, &fresh, 1.3) != "" {
				found++
			}
		}
		got := float64(found) / runs
		noise := 3 * math.Sqrt(max(c.most*(1-c.most), 0)/runs)
		if got < c.least || got > c.most+noise {
			t.Errorf("n=%d, %g times: called slower in %.2f %% of the runs, want %.1f %% to %.2f %%", c.n, c.ratio, 100*got, 100*c.least, 100*(c.most+noise))
		}
	}
}

func logNormal(rng *rand.Rand, ratio float64) time.Duration {
	return time.Duration(80 * ratio * math.Exp(0.5*rng.NormFloat64()) * float64(time.Millisecond))
}

func TestRankTestKnowsItsEnds(t *testing.T) {
	var old, fresh histogram
	if p := rankTest(&old, &fresh); p != 1 {
		t.Errorf("without times p = %v, want 1", p)
	}
	for range 30 {
		old.add([]time.Duration{time.Millisecond})
		fresh.add([]time.Duration{time.Millisecond})
	}
	if p := rankTest(&old, &fresh); p != 1 {
		t.Errorf("all times equal: p = %v, want 1", p)
	}
	for d, want := range map[time.Duration]int{0: 0, latencyLeast: 0, time.Hour: latencyBuckets - 1} {
		if got := bucketOf(d); got != want {
			t.Errorf("bucketOf(%v) = %d, want %d", d, got, want)
		}
	}
	for d := latencyLeast; d < 50*time.Second; d += d / 7 {
		upper := timeOf(float64(bucketOf(d)))
		if upper < d || float64(upper) > float64(d)*latencyStep*1.001 {
			t.Errorf("%v is in the bucket that ends at %v", d, upper)
		}
	}
}
