package reconcile

import (
	"math"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// comparison is an e-process: a bet, settled at every look, that failures land on
// the new side more often than its share of the traffic explains. When both sides
// fail alike its expectation never exceeds 1, so by Ville's inequality the chance
// that it ever reaches 100 is at most 1 %, however often it is looked at. What
// hits both sides leaves it alone (rollout-safety 3.3, layer B).
type comparison struct {
	// log holds ln E_r for each of the ratios.
	log [len(ratios)]float64
}

// ratios are how many times worse the new side is bet to be.
var ratios = [...]float64{2, 5, 20}

// add settles the bets of one look. Without traffic on both sides there is
// nothing to compare.
func (c comparison) add(fresh, old observe.Counts) comparison {
	if fresh.Requests == 0 || old.Requests == 0 || fresh.Failures+old.Failures == 0 {
		return c
	}
	share := float64(fresh.Requests) / float64(fresh.Requests+old.Requests)
	for i, r := range ratios {
		bet := r * share / (r*share + 1 - share)
		c.log[i] += float64(fresh.Failures)*math.Log(bet/share) + float64(old.Failures)*math.Log((1-bet)/(1-share))
	}
	return c
}

// value is E, the mean of the bets.
func (c comparison) value() float64 {
	sum := 0.0
	for _, v := range c.log {
		sum += math.Exp(min(v, 300))
	}
	return sum / float64(len(c.log))
}

// sequential is Wald's test of p1 against p0 on the new side alone, and the CUSUM
// of the same increments, which catches what begins late (layer C).
type sequential struct {
	l, c float64
}

func (s sequential) add(fresh observe.Counts, p0, p1 float64) sequential {
	x, n := float64(fresh.Failures), float64(fresh.Requests)
	step := x*math.Log(p1/p0) + (n-x)*math.Log((1-p1)/(1-p0))
	s.l += step
	s.c = max(0, s.c) + step
	return s
}

// upperBound is the one-sided 95 % upper bound of a failure rate, after Wilson.
// Without a request it is 1: nothing is known.
func upperBound(failures, requests int64) float64 {
	if requests <= 0 {
		return 1
	}
	const z = 1.6448536269514722
	n, p := float64(requests), float64(failures)/float64(requests)
	centre := p + z*z/(2*n)
	spread := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return min(1, (centre+spread)/(1+z*z/n))
}
