package reconcile

import (
	"math"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// baseline is how the running version does while nobody rolls anything out: what a
// new version is held to once no old server serves beside it, and how the failures
// of this service clump.
type baseline struct {
	// counts and spread cover a day or so: half of them is forgotten when they have
	// grown to longRequests, and every longTime.
	counts observe.Counts
	spread spread
	since  time.Time
	// latest covers some minutes: what is bad now keeps a rollout from starting,
	// and what was bad this morning does not.
	latest      observe.Counts
	latestSince time.Time
	// looks is how many there were.
	looks int32
}

const (
	longRequests   = 20_000
	longTime       = 24 * time.Hour
	latestRequests = 2_000
	latestTime     = 10 * time.Minute
)

func (b *baseline) learn(c observe.Counts, now time.Time) {
	if b.counts.Requests >= longRequests || since(&b.since, now) >= longTime {
		halve(&b.counts)
		b.spread.fade()
		b.since = now
	}
	if b.latest.Requests >= latestRequests || since(&b.latestSince, now) >= latestTime {
		halve(&b.latest)
		b.latestSince = now
	}
	add(&b.counts, c)
	add(&b.latest, c)
	b.spread.add(c)
	b.looks++
}

// fails says that what the baseline is of fails more than is allowed.
func (b *baseline) fails(limit float64) bool {
	return b.latest.Failures >= minFailures && float64(b.latest.Failures) > limit*float64(b.latest.Requests)
}

func halve(c *observe.Counts) {
	c.Requests /= 2
	c.Failures /= 2
	c.ClientErrors /= 2
	c.Retries /= 2
}

// rates are the failure rates a rollout is tested with, and what the tests add for
// a failure and for a success.
type rates struct {
	// usual is what the baseline showed, a little above it for caution; good is p₀,
	// what a good version may have, and bad p₁, what a version has that is bad for
	// certain.
	usual, good, bad float64
	// allowed is what a version may fail without being blamed; for the old one too.
	allowed float64
	// judged are the steps of the new side.
	judged steps
	// felt is the least share of failing requests that users feel: below it a version
	// may be worse than the old one and is let be.
	felt float64
	// width is φ for bounds; phi is φ that is known, and failures what it was learned
	// from.
	width, phi, failures float64
	// least is the least φ to believe in; 0 for services of which nothing speaks
	// against what is seen of them.
	least float64
}

const (
	// strictness is how far below the allowed rate a version may be held to its own
	// baseline. At a quarter, the tests lean to neither side at about one and a half
	// times what is allowed: nothing that fails less is taken back by them.
	strictness = 0.25
	// leastRate and mostRate bound p₀.
	leastRate, mostRate = 0.001, 0.5
)

// rates are made from the baseline and what is allowed. Failures that clump tell as
// much as fewer of them would, so the baseline counts for n/φ requests (layer D).
func (b *baseline) rates(limit float64) rates {
	r := rates{width: b.spread.phi(), felt: min(mostFelt, max(limit, leastRate))}
	r.phi, r.failures = b.spread.told()
	if n := float64(b.counts.Requests) / r.width; n > 0 {
		r.usual = wilson(float64(b.counts.Failures)/r.width, n, quantile87)
	}
	r.good = min(max(r.usual, strictness*limit, leastRate), mostRate)
	r.allowed = min(max(r.usual, limit, leastRate), mostRate)
	r.bad = alternative(r.allowed)
	r.judged = stepsBetween(r.good, r.bad)
	return r
}

// control are the steps of the old side: it is over its baseline only when it fails
// more than is allowed.
func (r *rates) control() steps { return stepsBetween(r.allowed, r.bad) }

// alternative is the rate of a version that is bad for certain, where one may have
// p₀.
func alternative(p0 float64) float64 {
	if p0 > 0.15 {
		return p0 + (1-p0)/2
	}
	return max(0.05, 5*p0)
}

// burst is how many failures in a row, without a success between them, are one
// client's or one dependency's clump less than twice in a thousand rollouts of a
// thousand requests; and for a version that has never answered well, less than once
// in a thousand rollouts. How long clumps are is known from a baseline that failed
// often enough; before that they are taken for long.
func (r *rates) burst(phi float64, isFirst bool) float64 {
	const (
		requests, chance, chanceFirst = 1000, 0.002, 0.001
		unknown, shortest             = 8, 3
	)
	length := float64(unknown)
	if r.failures >= enoughToTell {
		length = max(shortest, (phi+1)/2)
	}
	often := requests * r.good / length / chance
	if isFirst {
		often = r.good / chanceFirst
	}
	return max(minBurst, math.Ceil(1+math.Log(often)/-math.Log(1-1/length)))
}

// minBurst is the least number of failures in a row that fails a version.
const minBurst = 5
