package reconcile

import (
	"math"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// lbMemory is what the load balancer gate has counted. New and old are the two
// sides of the rollout; base is the running version before it.
type lbMemory struct {
	base, fresh, old observe.Counts
	// othersBase and others are the other services of the load balancer, before
	// and since.
	othersBase, others observe.Counts
	// baseLooks is how many looks the baseline was learned in.
	baseLooks int
	// synthetic are probes of new containers, apart from what users asked.
	synthetic, syntheticFailures int64
	// unknown are requests of servers behind which no container is known.
	unknown int64
	// failureRun are new-side failures in a row, without one success.
	failureRun int64
	evidence   comparison
	absolute   sequential
	interval   interval
}

// interval collects new-side requests until there are enough of them to be one
// of the distinct intervals that failures must be spread over (rollout-safety
// 3.5b): one client's burst of retries is one interval.
type interval struct {
	requests, failures int64
	// withFailures is how many complete intervals had one.
	withFailures int
}

const (
	intervalRequests = 20
	minIntervals     = 3
	minFailures      = 3
	minBurst         = 5
	minFailureShare  = 0.02
	// evidenceToFail is 1/α for α = 1 % (Ville); evidenceToBlame is what the
	// comparison must add when the absolute test has fired.
	evidenceToFail  = 100
	evidenceToBlame = 20
	sumToFail       = 4.605170185988092 // ln 100
	cusumToFail     = 9
	// quietShare is the part of the new side's traffic below which the old side
	// cannot serve as a control.
	quietShare = 0.2
	// unknownShare is how much of the traffic servers of unknown containers may
	// take before nothing can be said (H11).
	unknownShare = 0.2
	// refusedLimit is how many connections a server may refuse, having been
	// healthy, without serving one request.
	refusedLimit = 10
)

// countServers takes this look's counters into the memory. A container has a row
// for each instance and proxy; they are one to the gate.
func (l *look) countServers() {
	lb := &l.in.Observed.LoadBalancer
	if l.in.Target.Gates.LoadBalancer == nil || lb.Problem != nil {
		return
	}
	l.noteRows()
	if lb.First {
		return
	}
	var fresh, old observe.Counts
	for i := range l.mem.tracked {
		if l.mem.tracked[i].version == l.svc().Launch.Version {
			add(&fresh, l.rows.of(i).delta)
		} else {
			add(&old, l.rows.of(i).delta)
		}
	}
	isBefore := l.r == nil && l.svc().State == observe.StateActive
	if isBefore {
		add(&l.mem.lb.base, fresh)
		add(&l.mem.lb.othersBase, lb.Others)
		l.mem.lb.baseLooks++
	}
	if l.mem.rollout != "" {
		add(&l.mem.lb.others, lb.Others)
		l.mem.lb.count(fresh, old, l.firstGuess(), l.alternative())
	}
}

// noteRows sums the rows of this look by container.
func (l *look) noteRows() {
	l.rows.fit(len(l.mem.tracked))
	servers, hint := l.in.Observed.LoadBalancer.Servers, 0
	for i := range servers {
		s := &servers[i]
		n := indexOf(l.mem.tracked, hint, s.Container)
		if n < 0 {
			l.mem.lb.unknown += s.Delta.Requests
			continue
		}
		l.rows.of(n).note(s)
		hint = n + 1
	}
	for i := range l.mem.tracked {
		t := &l.mem.tracked[i]
		row := l.rows.of(i)
		wasUp, retries := t.wasUp || row.up > 0, t.retriesAfter(row)
		if wasUp != t.wasUp || retries != t.retries {
			t = &l.own()[i]
			t.wasUp, t.retries = wasUp, retries
		}
	}
}

// rowTable is the rows of a look, by the place of the container in mem.tracked. It
// has room for most services in itself: a look would otherwise leave more for the
// collector than it costs.
type rowTable struct {
	few  [24]rows
	many []rows
}

func (t *rowTable) fit(n int) {
	if n > len(t.few) {
		t.many = make([]rows, n-len(t.few))
	}
}

func (t *rowTable) of(i int) *rows {
	if i < len(t.few) {
		return &t.few[i]
	}
	return &t.many[i-len(t.few)]
}

// rows are the server rows of one container in one look, together.
type rows struct {
	up, down, out, all int16
	delta              observe.Counts
	// isUncounted says that a row is in mode tcp, which counts no requests: that
	// nothing was served cannot be said.
	isUncounted bool
}

func (r *rows) note(s *observe.Server) {
	r.all++
	switch s.Status {
	case observe.ServerUp:
		r.up++
	case observe.ServerDown:
		r.down++
	case observe.ServerOut:
		r.out++
	case observe.ServerUnknown:
	}
	r.isUncounted = r.isUncounted || s.Uncounted
	add(&r.delta, s.Delta)
}

// rowText is the status of a container's last row that is not up.
func (l *look) rowText(container string) string {
	servers := l.in.Observed.LoadBalancer.Servers
	for i := len(servers) - 1; i >= 0; i-- {
		switch s := &servers[i]; {
		case s.Container != container:
		case s.Status == observe.ServerDown:
			return s.Text + " " + s.Check
		case s.Status == observe.ServerOut:
			return s.Text
		}
	}
	return ""
}

// retriesAfter counts connections that were refused without a request served
// between them, once the container was healthy.
func (t *tracked) retriesAfter(row *rows) int64 {
	switch {
	case t.healthy.IsZero() || row.isUncounted:
		return t.retries
	case row.delta.Requests > 0:
		return 0
	}
	return t.retries + row.delta.Retries
}

func (m *lbMemory) count(fresh, old observe.Counts, p0, p1 float64) {
	add(&m.fresh, fresh)
	add(&m.old, old)
	m.evidence = m.evidence.add(fresh, old)
	m.absolute = m.absolute.add(fresh, p0, p1)
	m.interval = m.interval.add(fresh)
	m.failureRun += fresh.Failures
	if fresh.Requests > fresh.Failures || old.Failures > 0 {
		m.failureRun = 0
	}
}

func (i interval) add(c observe.Counts) interval {
	i.requests += c.Requests
	i.failures += c.Failures
	if i.requests < intervalRequests {
		return i
	}
	if i.failures > 0 {
		i.withFailures++
	}
	i.requests, i.failures = 0, 0
	return i
}

func add(to *observe.Counts, c observe.Counts) {
	to.Requests += c.Requests
	to.Failures += c.Failures
	to.ClientErrors += c.ClientErrors
	to.Retries += c.Retries
}

// firstGuess is p0, the failure rate a good version may have: what is allowed, or
// what the running version showed before.
func (l *look) firstGuess() float64 {
	b := l.mem.lb.base
	p := float64(*l.in.Target.Gates.LoadBalancer.MaxErrorRate)
	if b.Requests > 0 {
		p = max(p, upperBound(b.Failures, b.Requests))
	}
	return min(max(p, 0.001), 0.5)
}

// alternative is p1, the failure rate of a version that is bad for certain.
func (l *look) alternative() float64 {
	p0 := l.firstGuess()
	if p0 > 0.15 {
		return p0 + (1-p0)/2
	}
	return max(0.05, 5*p0)
}

// judgeLoadBalancer is what users get, as the load balancer counts it: hard
// triggers first, then new against old in the same looks, then new against its
// limit, and last whether there is enough to pass.
func judgeLoadBalancer(l *look) Finding {
	lb := &l.in.Observed.LoadBalancer
	m := &l.mem.lb
	g := l.in.Target.Gates.LoadBalancer
	f := Finding{
		Gate: "load balancer", Limit: float64(*g.MaxErrorRate), Needed: int64(g.MinRequests),
		Requests: m.fresh.Requests, Failures: m.fresh.Failures,
		OldRequests: m.old.Requests, OldFailures: m.old.Failures,
		Evidence: m.evidence.value(), Sum: max(m.absolute.l, m.absolute.c),
	}
	if *g.ProbesCount {
		f.Synthetic = m.synthetic
	}
	if lb.Problem != nil {
		f.Verdict, f.Code, f.Detail = NoData, CodeSourceProblem, lb.Problem.Message
		return f
	}
	f.Bound = upperBound(f.Failures+m.countedFailures(f.Synthetic), f.Requests+f.Synthetic)
	if bad, ok := l.judgeServers(f); ok {
		return bad
	}
	if bad, ok := l.judgeRates(f); ok {
		return bad
	}
	return l.judgeEvidence(f)
}

func (m *lbMemory) countedFailures(synthetic int64) int64 {
	if synthetic == 0 {
		return 0
	}
	return m.syntheticFailures
}

// judgeServers looks at the rows of the new containers.
func (l *look) judgeServers(f Finding) (Finding, bool) {
	for i := range l.svc().Containers {
		c, t, row := &l.svc().Containers[i], &l.mem.tracked[i], l.rows.of(i)
		if t.isLeaving || t.running.IsZero() || !l.isNew(c) || c.LaunchName != "" {
			continue
		}
		f.Container = c.Name
		switch {
		case row.down > 0 && row.up == 0 && t.wasUp:
			f.Verdict, f.Code, f.Detail = Fail, CodeServerDown, l.rowText(c.ID)
			return f, true
		case row.down > 0 && t.wasUp, row.out > 0:
			// Up at one instance and not at another, or taken out by a person (H19).
			f.Verdict, f.Code, f.Detail = Hold, CodeServerOut, l.rowText(c.ID)
			return f, true
		case t.retries >= refusedLimit:
			f.Verdict, f.Code, f.Failures = Fail, CodeRefused, t.retries
			return f, true
		}
	}
	f.Container = ""
	return f, false
}

// judgeRates is the statistics: who fails more, and is it too much.
func (l *look) judgeRates(f Finding) (Finding, bool) {
	m := &l.mem.lb
	isBurst := m.failureRun >= minBurst && float64(m.failureRun) >= math.Ceil(math.Log(1e-6)/math.Log(l.firstGuess()))
	isSpread := m.interval.withFailures >= minIntervals && f.Failures >= minFailures
	isWorse := f.Evidence >= evidenceToFail && float64(f.Failures) >= minFailureShare*float64(f.Requests)
	isTooMany := m.absolute.l >= sumToFail || m.absolute.c >= cusumToFail
	hasControl := float64(f.OldRequests) >= quietShare*float64(f.Requests)
	switch {
	case isBurst:
		f.Verdict, f.Code = Fail, CodeTooManyErrors
	case isSpread && isWorse:
		f.Verdict, f.Code = Fail, CodeWorseThanOld
	case isSpread && isTooMany && (hasControl && f.Evidence < evidenceToBlame || m.othersFail()):
		f.Verdict, f.Code = Hold, CodeSharedIncident
	case isSpread && isTooMany:
		f.Verdict, f.Code = Fail, CodeTooManyErrors
	case m.unknown > 0 && float64(m.unknown) > unknownShare*float64(m.unknown+f.Requests+f.OldRequests):
		f.Verdict, f.Code, f.Failures, f.Requests = Hold, CodeUnknownTraffic, m.unknown, m.unknown+f.Requests+f.OldRequests
	case l.manyClientErrors():
		f.Verdict, f.Code, f.Failures = Hold, CodeClientErrors, m.fresh.ClientErrors
	default:
		return f, false
	}
	return f, true
}

// othersFail says that other services behind the same load balancer fail above
// their own baseline: then it is not the new version (rollout-safety 3.4).
func (m *lbMemory) othersFail() bool {
	usual := 0.0
	if m.othersBase.Requests > 0 {
		usual = upperBound(m.othersBase.Failures, m.othersBase.Requests)
	}
	return m.others.Failures >= minFailures && share(m.others.Failures, m.others.Requests) >= max(0.05, 3*usual)
}

// manyClientErrors says that the share of 4xx jumped: ten times what it was and
// at least one request in twenty. A broken route table often answers 404; a
// scanner does too, so it holds and does not fail (H17).
func (l *look) manyClientErrors() bool {
	m := &l.mem.lb
	before := share(m.base.ClientErrors+m.old.ClientErrors, m.base.Requests+m.old.Requests)
	now := share(m.fresh.ClientErrors, m.fresh.Requests)
	return l.r != nil && m.fresh.Requests >= intervalRequests && now >= 0.05 && now >= 10*before
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// judgeEvidence says whether what was seen is enough to pass.
func (l *look) judgeEvidence(f Finding) Finding {
	lb := &l.in.Observed.LoadBalancer
	f.Covered = !lb.First && !lb.Partial && (!lb.Reloaded || l.isProbed())
	f.Container = ""
	if missing := l.missingRow(); missing != "" {
		f.Verdict, f.Code, f.Container, f.Covered = NoData, CodeServerMissing, missing, false
		return f
	}
	n := f.Requests + f.Synthetic
	switch {
	case lb.Partial:
		f.Verdict, f.Code = Hold, CodePartial
	case n == 0:
		f.Verdict, f.Code = NoData, CodeNoTraffic
	case n < f.Needed:
		f.Verdict, f.Code = Hold, CodeShortOfEvidence
	case f.Bound > f.Limit || l.mem.lb.absolute.l > 0:
		f.Verdict, f.Code = Hold, CodeErrorRate
	default:
		f.Verdict, f.Code = Pass, CodeErrorRate
	}
	return f
}

// isProbed says that the HTTP gate covered what a reload hid.
func (l *look) isProbed() bool {
	return l.in.Target.Gates.HTTP != nil && len(l.in.Observed.Probes.Samples) > 0
}

// missingRow names a running new container without a server row (H10).
func (l *look) missingRow() string {
	for i := range l.svc().Containers {
		c := &l.svc().Containers[i]
		t := &l.mem.tracked[i]
		if t.isLeaving || t.running.IsZero() || !l.isNew(c) || c.LaunchName != "" {
			continue
		}
		if l.rows.of(i).all == 0 {
			return c.Name
		}
	}
	return ""
}
