package reconcile

import "fmt"

const (
	// unknownShare is how much of the traffic servers of unknown containers may
	// take before nothing can be said (H11).
	unknownShare = 0.2
	// refusedLimit is how many connections a server may refuse, having been
	// healthy, without serving one request.
	refusedLimit = 10
)

// judgeLoadBalancer is what users get, as the load balancer counts it: hard
// triggers first, then new against old in the same looks, then new against its
// limit, and last whether there is enough to pass.
func judgeLoadBalancer(l *look) Finding {
	lb := &l.in.Observed.LoadBalancer
	m := l.mem.counted()
	g := l.in.Target.Gates.LoadBalancer
	f := Finding{
		Gate: "load balancer", Limit: float64(*g.MaxErrorRate), Needed: int64(g.MinRequests),
		Requests: m.fresh.Requests, Failures: m.fresh.Failures,
		OldRequests: m.old.Requests, OldFailures: m.old.Failures,
	}
	if *g.ProbesCount {
		f.Synthetic = m.synthetic
	}
	if lb.Problem != nil {
		f.Verdict, f.Code, f.Detail = NoData, CodeSourceProblem, lb.Problem.Message
		return f
	}
	f.Bound = upperBound(f.Failures+m.countedFailures(f.Synthetic), f.Requests+f.Synthetic)
	missing, isDecided := l.judgeServers(&f)
	if isDecided || l.judgeRates(&f) {
		return f
	}
	l.judgeEvidence(&f, missing)
	return f
}

func (m *lbMemory) countedFailures(synthetic int64) int64 {
	if synthetic == 0 {
		return 0
	}
	return m.syntheticFailures
}

// judgeServers looks at the rows of the new containers, and says whether that decides
// it. It names the first container that has none.
func (l *look) judgeServers(f *Finding) (missing string, isDecided bool) {
	for i := range l.svc().Containers {
		c, t, row := &l.svc().Containers[i], &l.mem.tracked[i], l.rows.of(i)
		if !row.kind.has(serving) || c.LaunchName != "" {
			continue
		}
		switch {
		case row.down > 0 && row.up == 0 && t.wasUp:
			f.Verdict, f.Code, f.Detail = Fail, CodeServerDown, l.rowText(c.ID)
		case row.down > 0 && t.wasUp, row.out > 0:
			// Up at one instance and not at another, or taken out by a person (H19).
			f.Verdict, f.Code, f.Detail = Hold, CodeServerOut, l.rowText(c.ID)
		case t.retries >= refusedLimit:
			f.Verdict, f.Code, f.Failures = Fail, CodeRefused, t.retries
		case row.all == 0 && missing == "":
			missing = c.Name
			continue
		default:
			continue
		}
		f.Container = c.Name
		return missing, true
	}
	return missing, false
}

// judgeRates is the statistics: who fails more, is it too much, and could it be
// anybody else. It says whether that decides it.
func (l *look) judgeRates(f *Finding) bool {
	m, a := l.mem.counted(), l.accusation()
	f.Evidence, f.Sum, f.Dispersion = a.evidence, a.sum, a.phi
	switch {
	case m.fails(a):
		f.Verdict, f.Code = Fail, CodeTooManyErrors
		switch {
		case a.isWorse:
			f.Code = CodeWorseThanOld
		case a.isBurst:
			f.Detail = fmt.Sprintf("%d in a row", m.run)
		}
	case m.incident == incidentOfOld:
		f.Verdict, f.Code, f.Detail = Hold, CodeSharedIncident, "the old version fails more than before the rollout"
	case m.incident == incidentOfOthers:
		f.Verdict, f.Code, f.Detail = Hold, CodeSharedIncident, failingNeighbour(m.neighbours)+" failed more than before the rollout as well"
	case a.isTooMany:
		f.Verdict, f.Code, f.Detail = Hold, CodeSharedIncident, "the old version may fail as much"
	case m.unknown > 0 && float64(m.unknown) > unknownShare*float64(m.unknown+f.Requests+f.OldRequests):
		f.Verdict, f.Code, f.Failures, f.Requests = Hold, CodeUnknownTraffic, m.unknown, m.unknown+f.Requests+f.OldRequests
	case m.manyClientErrors():
		f.Verdict, f.Code, f.Failures, f.Requests = Hold, CodeClientErrors, m.latest.ClientErrors, m.latest.Requests
	case m.pace.isSlow():
		f.Verdict, f.Code, f.Detail = Hold, CodeSlower, m.pace.text()
	default:
		return false
	}
	return true
}

// accusation is what the statistics say after this look. Counting has worked it out,
// when there was something to count.
func (l *look) accusation() *accusation {
	if !l.hasAccused {
		l.accused, l.hasAccused = l.mem.counted().accuse(l.held()), true
	}
	return &l.accused
}

// held are the rates that this rollout is held to.
func (l *look) held() *rates {
	if l.rates.good == 0 {
		l.rates = l.mem.counted().rates(float64(*l.in.Target.Gates.LoadBalancer.MaxErrorRate))
	}
	return &l.rates
}

// manyClientErrors says that the share of 4xx jumped: ten times what it was and
// at least one request in twenty. A broken route table often answers 404; a
// scanner does too, so it holds and does not fail (H17).
func (m *lbMemory) manyClientErrors() bool {
	before := share(m.base.counts.ClientErrors+m.old.ClientErrors, m.base.counts.Requests+m.old.Requests)
	now := share(m.latest.ClientErrors, m.latest.Requests)
	return m.latest.Requests >= intervalRequests && now >= 0.05 && now >= 10*before
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// judgeEvidence says whether what was seen is enough to pass.
func (l *look) judgeEvidence(f *Finding, missing string) {
	lb := &l.in.Observed.LoadBalancer
	f.Covered = !lb.First && !lb.Partial && (!lb.Reloaded || l.isProbed())
	if missing != "" {
		f.Verdict, f.Code, f.Container, f.Covered = NoData, CodeServerMissing, missing, false
		return
	}
	n := f.Requests + f.Synthetic
	switch {
	case lb.Partial:
		f.Verdict, f.Code = Hold, CodePartial
	case n == 0:
		f.Verdict, f.Code = NoData, CodeNoTraffic
	case n < f.Needed:
		f.Verdict, f.Code = Hold, CodeShortOfEvidence
	case f.Bound > f.Limit || l.mem.counted().absolute.l > 0:
		f.Verdict, f.Code = Hold, CodeErrorRate
	default:
		f.Verdict, f.Code = Pass, CodeErrorRate
	}
}

// isProbed says that the HTTP gate covered what a reload hid.
func (l *look) isProbed() bool {
	return l.in.Target.Gates.HTTP != nil && len(l.in.Observed.Probes.Samples) > 0
}

// missingRow names a running new container without a server row (H10).
func (l *look) missingRow() string {
	for i := range l.svc().Containers {
		c, row := &l.svc().Containers[i], l.rows.of(i)
		if row.kind.has(serving) && c.LaunchName == "" && row.all == 0 {
			return c.Name
		}
	}
	return ""
}
