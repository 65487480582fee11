package reconcile

import (
	"math"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// contest is what was counted of the two sides of a rollout since it began: the new
// version, and the old one serving beside it. It takes the same room however long
// it lasts.
type contest struct {
	fresh, old observe.Counts
	evidence   comparison
	absolute   sequential
	interval   interval
	// control says whether the old side fails more than it used to.
	control alarm
	// freshSpread and oldSpread are how each side's failures clump.
	freshSpread lastBlocks
	oldSpread   spread
	// latest is the new side's last thousand requests or so.
	latest observe.Counts
	// run are new-side failures in a row, without one success and with the old side
	// quiet.
	run int64
	// alone are new-side requests since the old side served last, quiet those since
	// the CUSUM of the new side was above zero.
	alone, quiet int64
	// incident says that something else than the new version fails, since when it is
	// nobody's fault.
	incident incident
	// batch is how many new containers served at the last look.
	batch int32
}

// incident is what fails beside the new version.
type incident uint8

const (
	noIncident incident = iota
	// incidentOfOld is the old version failing more than before the rollout.
	incidentOfOld
	// incidentOfOthers is another service of the load balancer doing so.
	incidentOfOthers
)

const (
	minFailures = 3
	// mostFelt is what share of its requests a version must fail at most to be called
	// worse than the old one; what it may fail, where that is less.
	mostFelt = 0.02
	// latestOfNew is where half of the latest requests is forgotten.
	latestOfNew = 1000
	// evidenceToFail is what E must reach by itself, evidenceToBlame what it must
	// add when the absolute test has fired. While the old side fails more than it
	// used to, only evidenceBeyondIncident will do.
	evidenceToFail         = 100
	evidenceToBlame        = 20
	evidenceBeyondIncident = 10_000
	// wellToBlame is how many times likelier the old side's counts must be at its
	// baseline than at the new side's rate, to stand in for evidenceToBlame, and
	// evidenceToAgree what E must say besides.
	wellToBlame     = 20
	evidenceToAgree = 5
	// sumToFail is ln 100, for L where no old server serves; with a control that
	// agrees, ln 50 will do.
	sumToFail   = 4.605170185988092
	sumToBlame  = 3.912023005428146
	cusumToFail = 9
	// quietShare is the part of the new side's traffic below which the old side
	// cannot serve as a control.
	quietShare = 0.2
	// Up to temperedWhole, φ divides the comparison in full, and above by
	// temperedRest of the rest: dividing by φ is right for clumps that are small
	// beside what is compared, and asks too much of long ones. L and the CUSUM have no
	// other side to lean on and are divided by all of it.
	temperedWhole, temperedRest = 6, 0.5
	// enoughToTell is how many failures φ must come from to be believed where it is
	// the larger of two.
	enoughToTell = 15
)

// count takes one look.
func (c *contest) count(fresh, old observe.Counts, r *rates) {
	add(&c.fresh, fresh)
	add(&c.old, old)
	if c.latest.Requests >= latestOfNew {
		halve(&c.latest)
	}
	add(&c.latest, fresh)
	c.evidence.add(fresh, old)
	c.absolute.add(fresh, old, r.judged)
	c.interval.add(fresh)
	var controlSteps steps
	if old != (observe.Counts{}) { // Else there is nothing to weigh, and logarithms are dear.
		controlSteps = r.control()
	}
	c.control.add(old, controlSteps)
	c.freshSpread.add(fresh)
	c.oldSpread.add(old)
	c.alone += fresh.Requests
	if old.Requests > 0 {
		c.alone = 0
	}
	if c.incident != noIncident {
		// It shall not take as long to see that it is over as it lasted.
		c.absolute.c = min(c.absolute.c, cusumToFail)
	}
	c.quiet += fresh.Requests
	if c.absolute.c > 0 {
		c.quiet = 0
	}
	switch {
	case fresh.Requests > fresh.Failures, old.Failures > 0:
		c.run = 0
	default:
		c.run += fresh.Failures
	}
}

// served says how many new containers serve now. With each batch Wald's test begins
// anew: a long good past of one container is no credit for the next.
func (c *contest) served(containers int) {
	if int32(containers) > c.batch {
		c.absolute.l = 0
	}
	c.batch = int32(containers)
}

// phi is how failures clump, as far as is known now: the old version's, before and
// since, or the new one's where that is more. Of the old version's two the larger
// counts, and their mean, each as much as it failed, while one is little known.
func (c *contest) phi(r *rates) float64 {
	old := r.phi
	switch phi, failures := c.oldSpread.told(); {
	case min(failures, r.failures) >= enoughToTell:
		old = max(old, phi)
	case failures > 0:
		old = (phi*failures + r.phi*r.failures) / (failures + r.failures)
	}
	return max(old, c.freshSpread.phi(), r.least)
}

// tempered is what φ divides the comparison by.
func tempered(phi float64) float64 { return min(phi, temperedWhole+temperedRest*(phi-temperedWhole)) }

// accusation is what the statistics say against the new side.
type accusation struct {
	// evidence is E, sum the larger of L and the CUSUM, phi the φ they were divided
	// by.
	evidence, sum, phi float64
	// isBurst: failures in a row. isWorse: worse than old in the same looks.
	// isTooMany: more than a version may have; isBlamed: with an old side that is
	// well.
	isBurst, isWorse, isTooMany, isBlamed bool
	// hasControl says that the old side serves enough to compare with.
	hasControl bool
}

func (c *contest) accuse(r *rates) accusation {
	phi := c.phi(r)
	l, cusum := c.absolute.l/phi, c.absolute.c/phi
	a := accusation{evidence: c.evidence.value(tempered(phi)), sum: max(l, cusum), phi: phi}
	isSpread := c.interval.isSpread() && c.fresh.Failures >= minFailures
	isFelt := float64(c.fresh.Failures) >= r.felt*float64(c.fresh.Requests)
	a.hasControl = float64(c.absolute.old.requests) >= quietShare*float64(c.absolute.fresh.requests)
	a.isBurst = c.run >= minBurst && float64(c.run) >= r.burst(phi, c.run == c.fresh.Requests)
	a.isWorse = isSpread && isFelt && a.evidence >= evidenceToFail
	a.isTooMany = isSpread && (l >= sumToFail || cusum >= cusumToFail)
	if isSpread && a.hasControl && (l >= sumToBlame || cusum >= cusumToFail) {
		a.isBlamed = a.evidence >= evidenceToBlame || a.evidence >= evidenceToAgree && c.isOldWell(r, phi)
	}
	return a
}

// isOldWell says that the old side, since the new one began to fail, did as before
// and not as the new one: what hits the new one is not there for all.
func (c *contest) isOldWell(r *rates, phi float64) bool {
	fresh, old := c.absolute.fresh, c.absolute.old
	if fresh.requests == 0 {
		return false
	}
	now := min(max(float64(fresh.failures)/float64(fresh.requests), r.bad), 0.9)
	usual := max(r.usual, leastRate/10)
	if now <= usual {
		return false
	}
	against := stepsBetween(usual, now).of(float64(old.failures), float64(old.requests))
	return -against/phi >= math.Log(wellToBlame)
}

// isBeyondIncident says that the new version fails so much more than the old one that
// an incident of both does not explain it.
func (a *accusation) isBeyondIncident() bool {
	return a.isWorse && a.evidence >= evidenceBeyondIncident
}

// follow notices the beginning and the end of an incident. What was counted in one
// is thrown away with its end: it says nothing of the version. It says whether either
// happened, and the accusation is of the past.
func (c *contest) follow(a *accusation, r *rates, othersFail bool) bool {
	switch now := c.incidentNow(a, r, othersFail); now {
	case c.incident:
		return false
	case noIncident:
		*c = contest{oldSpread: c.oldSpread, batch: c.batch}
	default:
		c.incident, c.absolute, c.quiet = now, sequential{}, 0
	}
	return true
}

// incidentNow is what fails beside the new version. It is over when that is well
// again; or, where the old version serves no longer, when the new one is.
func (c *contest) incidentNow(a *accusation, r *rates, othersFail bool) incident {
	const enough = minIntervals * intervalRequests
	hasOld := c.alone < enough
	switch {
	case hasOld && c.control.isOn(r.width):
		return incidentOfOld
	case c.incident == incidentOfOld && !hasOld && c.quiet < enough:
		return incidentOfOld
	case othersFail && (c.incident == incidentOfOthers || a.isAccused()):
		return incidentOfOthers
	}
	return noIncident
}

// fails says that the new version is to be taken back.
func (c *contest) fails(a *accusation) bool {
	if c.incident != noIncident {
		return a.isBeyondIncident()
	}
	return a.isBurst || a.isWorse || a.isBlamed || a.isTooMany && !a.hasControl
}

// isAccused says that something speaks against the new version that would fail it,
// were nobody else in trouble.
func (a *accusation) isAccused() bool { return a.isBurst || a.isWorse || a.isTooMany || a.isBlamed }
