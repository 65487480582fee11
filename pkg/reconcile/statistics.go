package reconcile

import (
	"math"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// comparison is a bet, settled at every look, that failures land on the new side
// more often than its share of the traffic explains. Were failures independent, its
// expectation would never exceed 1 when both sides fail alike (Ville's inequality,
// rollout-safety 3.3, layer B). What hits both sides leaves it alone.
//
// The sums are kept as if φ were 1 and divided by the φ that is known when they
// are read: a clump that came before there was anything to learn φ from would
// otherwise count in full for ever.
type comparison struct {
	// log holds ln E_r for each of the ratios, at φ = 1.
	log [len(ratios)]float64
}

// ratios are how many times worse the new side is bet to be.
var ratios = [...]float64{2, 5, 20}

// add settles the bets of one look. Without traffic on both sides there is
// nothing to compare.
func (c *comparison) add(fresh, old observe.Counts) {
	if fresh.Requests == 0 || old.Requests == 0 || fresh.Failures+old.Failures == 0 {
		return
	}
	share := float64(fresh.Requests) / float64(fresh.Requests+old.Requests)
	for i, r := range ratios {
		bet := r * share / (r*share + 1 - share)
		c.log[i] += float64(fresh.Failures)*math.Log(bet/share) + float64(old.Failures)*math.Log((1-bet)/(1-share))
	}
}

// value is E at φ: the mean of the bets.
func (c *comparison) value(phi float64) float64 {
	if c.log == [len(ratios)]float64{} {
		return 1 // Nothing has failed: most looks.
	}
	sum := 0.0
	for _, v := range c.log {
		sum += math.Exp(min(v/phi, 300))
	}
	return sum / float64(len(c.log))
}

// steps are the increments of a likelihood ratio: what one failure says for a bad
// rate and against a good one, and what one success says.
type steps struct{ failure, success float64 }

func stepsBetween(good, bad float64) steps {
	return steps{math.Log(bad / good), math.Log((1 - bad) / (1 - good))}
}

func (s steps) of(failures, requests float64) float64 {
	return failures*s.failure + (requests-failures)*s.success
}

// sequential is Wald's test of a bad rate against a good one on the new side alone,
// and the CUSUM of the same increments, which catches what begins late (layer C).
// Both are sums at φ = 1.
type sequential struct {
	l, c float64
	// fresh and old are what was counted since the CUSUM last left zero: the part of
	// the rollout it speaks of.
	fresh, old block
}

func (s *sequential) add(fresh, old observe.Counts, by steps) {
	if s.c <= 0 {
		s.fresh, s.old = block{}, block{}
	}
	s.fresh.take(fresh)
	s.old.take(old)
	step := by.of(float64(fresh.Failures), float64(fresh.Requests))
	s.l += step
	s.c = max(0, s.c) + step
}

// interval collects requests until there are enough of them to be one of the
// distinct intervals that failures must be spread over (rollout-safety 3.5b): one
// client's burst of retries is one interval.
type interval struct {
	open block
	// withFailures is how many complete intervals had one.
	withFailures int32
}

// intervalRequests is how many requests an interval has at least, minIntervals how
// many of them must have failures.
const (
	intervalRequests = 20
	minIntervals     = 3
)

func (i *interval) add(c observe.Counts) {
	i.open.take(c)
	if i.open.requests < intervalRequests {
		return
	}
	if i.open.failures > 0 {
		i.withFailures++
	}
	i.open = block{}
}

func (i *interval) isSpread() bool { return i.withFailures >= minIntervals }

// alarm is the CUSUM of a side that is not judged: it says that something fails
// more than it used to, and not in one clump.
type alarm struct {
	sum      float64
	interval interval
}

func (a *alarm) add(c observe.Counts, by steps) {
	if a.sum <= 0 {
		a.interval = interval{}
	}
	a.interval.add(c)
	a.sum = max(0, a.sum) + by.of(float64(c.Failures), float64(c.Requests))
}

func (a *alarm) isOn(phi float64) bool { return a.sum >= cusumToFail*phi && a.interval.isSpread() }

// Quantiles of the normal distribution: the bound of a verdict, and the cautious
// guess that a test is made from.
const (
	quantile95 = 1.6448536269514722
	quantile87 = 1.15
)

// upperBound is the one-sided 95 % upper bound of a failure rate, after Wilson.
// Without a request it is 1: nothing is known.
func upperBound(failures, requests int64) float64 {
	return wilson(float64(failures), float64(requests), quantile95)
}

func wilson(x, n, z float64) float64 {
	if n <= 0 {
		return 1
	}
	p := x / n
	centre := p + z*z/(2*n)
	spread := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return min(1, (centre+spread)/(1+z*z/n))
}
