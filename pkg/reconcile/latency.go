package reconcile

import (
	"fmt"
	"math"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Answering times are compared by rank: the one-sided test of Mann and Whitney
// says whether the new version's probes take longer than the old one's, and the
// ratio of the medians whether it matters (rollout-safety 3.6). The load
// balancer's own averages are not used: their window begins at zero after each
// reload. There are two looks, when the batches are over and at the end of the
// bake, each at half the error rate; in between nothing is tested. A slower
// version is held and never rolled back by it.

const (
	// latencyAlpha is the chance that a look calls an equal version slower.
	latencyAlpha = 0.005
	// minTimes is how many answers each side must have: with fewer, only a factor
	// of three is seen.
	minTimes = 10
	// latencyBuckets cover latencyLeast to about a minute.
	latencyBuckets = 256
	latencyLeast   = 50 * time.Microsecond
	// latencyStep is the width of a bucket: a small part of the ratio that matters.
	latencyStep = 1.056
)

// histogram counts answering times in buckets of equal ratio, so that a bake of
// any length takes the same memory.
type histogram struct {
	n      uint32
	counts [latencyBuckets]uint32
}

var logLatencyStep = math.Log(latencyStep)

func bucketOf(d time.Duration) int {
	if d <= latencyLeast {
		return 0
	}
	return min(int(math.Log(float64(d)/float64(latencyLeast))/logLatencyStep)+1, latencyBuckets-1)
}

// timeOf is the time so many buckets reach up to.
func timeOf(buckets float64) time.Duration {
	return time.Duration(float64(latencyLeast) * math.Pow(latencyStep, buckets))
}

// median is the time in which half of the answers came, interpolated within its
// bucket: the ratio of two medians is to be finer than a bucket.
func (h *histogram) median() time.Duration {
	half, seen := float64(h.n)/2, 0.0
	for b, n := range h.counts {
		if n > 0 && seen+float64(n) >= half {
			return timeOf(float64(b) - 1 + (half-seen)/float64(n))
		}
		seen += float64(n)
	}
	return 0
}

// latencies are the answering times of both sides.
type latencies struct {
	old, fresh histogram
	// isBaking says that the first look is over: fresh is of the bake.
	isBaking bool
	// isOver says that the second is.
	isOver bool
	// verdict is the last look's; empty when there was none, or too few times.
	slower string
}

// timings collects the answering times of one look.
type timings struct {
	old, fresh []time.Duration
}

// note takes a good answer's time, once its container is warm.
func (t *timings) note(l *look, g *desired.HTTPGate, c *tracked, s *observe.Sample) {
	if *g.MaxSlowdown == 0 || l.in.Now.Sub(c.running) < g.WarmUp.Duration {
		return
	}
	isNew := c.version == l.svc().Launch.Version
	switch {
	case l.mem.rollout == "" && isNew, l.mem.rollout != "" && !isNew:
		t.old = append(t.old, s.Latency)
	case l.mem.rollout != "":
		t.fresh = append(t.fresh, s.Latency)
	}
}

// keep adds them to a copy of what is remembered.
func (t *timings) keep(l *look) {
	if len(t.old)+len(t.fresh) == 0 {
		return
	}
	next := l.mem.probes.latency.copied()
	next.old.add(t.old)
	next.fresh.add(t.fresh)
	l.mem.probes.latency = next
}

func (m *latencies) copied() *latencies {
	var next latencies
	if m != nil {
		next = *m
	}
	return &next
}

func (h *histogram) add(times []time.Duration) {
	for _, d := range times {
		h.counts[bucketOf(d)]++
		h.n++
	}
}

// ofBefore makes the version that ran until now the old one.
func (m *latencies) ofBefore() *latencies {
	if m == nil || m.fresh.n < minTimes {
		return m
	}
	return &latencies{old: m.fresh}
}

// baseline keeps what the old version's answers took, for the next rollout.
func (m *latencies) baseline() *latencies {
	if m == nil {
		return nil
	}
	return &latencies{old: m.old}
}

// compareLatency takes a look at the answering times when one is due.
func (l *look) compareLatency(g *desired.HTTPGate) {
	m := l.mem.probes.latency
	if m == nil || l.r == nil || m.isOver {
		return
	}
	isBaked := !l.mem.bakeStart.IsZero() && l.in.Now.Sub(l.mem.bakeStart) >= l.in.Target.Rollout.Bake.Duration
	isProved := l.svc().State == observe.StateUpgraded
	if !isBaked && (m.isBaking || !isProved) {
		return
	}
	next := m.copied()
	next.slower = slower(&m.old, &m.fresh, *g.MaxSlowdown)
	next.isBaking, next.isOver = true, isBaked
	if !isBaked {
		next.fresh = histogram{}
	}
	l.mem.probes.latency = next
}

// slower says by how much the second histogram is slower than the first; empty
// when it is not, or when there is too little to tell.
func slower(old, fresh *histogram, limit float64) string {
	if old.n < minTimes || fresh.n < minTimes {
		return ""
	}
	before, after := old.median(), fresh.median()
	ratio := float64(after) / float64(before)
	p := rankTest(old, fresh)
	if p > latencyAlpha || ratio < limit {
		return ""
	}
	return fmt.Sprintf("median %s of %d answers, old %s of %d: %.2g times, by chance once in %.2g (Mann-Whitney)",
		roundTime(after), fresh.n, roundTime(before), old.n, ratio, 1/max(p, 1e-12))
}

// roundTime rounds to two digits, which is what a bucket knows.
func roundTime(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 100 {
		unit *= 10
	}
	return d.Round(unit)
}

// rankTest is the one-sided p-value of Mann and Whitney's test that fresh is not
// slower than old, by the normal approximation with its correction for ties:
// bucketed times are tied often.
func rankTest(old, fresh *histogram) float64 {
	n0, n1 := float64(old.n), float64(fresh.n)
	n := n0 + n1
	if n0 == 0 || n1 == 0 {
		return 1
	}
	u, ties, below := 0.0, 0.0, 0.0
	for b := range latencyBuckets {
		o, f := float64(old.counts[b]), float64(fresh.counts[b])
		u += f * (below + o/2)
		below += o
		t := o + f
		ties += t*t*t - t
	}
	variance := n0 * n1 / 12 * (n + 1 - ties/(n*(n-1)))
	if variance <= 0 {
		return 1
	}
	z := (u - n0*n1/2 - 0.5) / math.Sqrt(variance)
	return 0.5 * math.Erfc(z/math.Sqrt2)
}
