package reconcile

import (
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// lbMemory is what the load balancer gate has counted: the running version before
// a rollout, and both sides of it since. It takes the same room however long a bake
// lasts.
type lbMemory struct {
	base baseline
	contest
	// neighbours are the other services behind the same load balancer, at most one
	// more than observe.MaxOtherProxies.
	neighbours []neighbour
	// pace is how fast the servers answer.
	pace pace
	// shadow is what trials of the gate on this service have shown; nil before the
	// first. It is never changed once a memory has it.
	shadow *shadow
	// synthetic are probes of new containers, apart from what users asked.
	synthetic, syntheticFailures int64
	// unknown are requests of servers behind which no container is known.
	unknown int64
}

// nothingCounted is the memory of a gate that has counted nothing. It is only read.
var nothingCounted lbMemory

// counted is the load balancer gate's part, to be read.
func (m *Memory) counted() *lbMemory {
	if m.lb == nil {
		return &nothingCounted
	}
	return m.lb
}

// traffic is the load balancer gate's part, to be written: a copy, once a look.
func (l *look) traffic() *lbMemory {
	if !l.ownsTraffic {
		next := *l.mem.counted()
		l.mem.lb, l.ownsTraffic = &next, true
	}
	return l.mem.lb
}

// fromZero forgets a rollout and keeps the baseline.
func (m *lbMemory) fromZero() *lbMemory {
	if m == nil {
		return nil
	}
	return &lbMemory{base: m.base, pace: pace{usual: m.pace.usual}, neighbours: quietened(m.neighbours), shadow: m.shadow.ofNewVersion()}
}

// ofNewVersion forgets the baseline as well: what runs is another version.
func (m *lbMemory) ofNewVersion() *lbMemory {
	if m == nil || m.shadow == nil {
		return nil
	}
	return &lbMemory{shadow: m.shadow.ofNewVersion()}
}

// rates are what a new version is held to.
func (m *lbMemory) rates(limit float64) rates {
	r := m.base.rates(limit)
	if m.shadow.isNervous() {
		r.least = nervousPhi
	}
	return r
}

// countServers takes this look's counters into the memory. A container has a row
// for each instance and proxy; they are one to the gate.
func (l *look) countServers() {
	lb := &l.in.Observed.LoadBalancer
	if l.in.Target.Gates.LoadBalancer == nil || lb.Problem != nil {
		return
	}
	l.noteRows()
	if lb.First || len(lb.Servers) == 0 { // None: it was not asked, or has nothing of this service.
		return
	}
	var fresh, old side
	for i := range l.mem.tracked {
		t := &l.mem.tracked[i]
		if t.version == l.svc().Launch.Version {
			fresh.take(l.rows.of(i), t)
		} else {
			old.take(l.rows.of(i), t)
		}
	}
	if l.mem.rollout != "" {
		l.countRollout(&fresh, &old)
	} else if l.svc().State == observe.StateActive {
		m := l.traffic()
		m.base.learn(fresh.counts, l.in.Now)
		m.pace.learn(&fresh)
		l.tryShadow()
		m.neighbours = learnNeighbours(m.neighbours, lb)
	}
}

// side is one side of a rollout in one look.
type side struct {
	counts observe.Counts
	// serving is how many of its containers run.
	serving int
	// slow and timed are as in rows.
	slow  int64
	timed int
}

func (s *side) take(r *rows, t *tracked) {
	add(&s.counts, r.delta)
	s.slow += r.slow
	s.timed += int(r.timed)
	if !t.running.IsZero() {
		s.serving++
	}
}

func (l *look) countRollout(fresh, old *side) {
	m := l.traffic()
	limit := float64(*l.in.Target.Gates.LoadBalancer.MaxErrorRate)
	m.served(fresh.serving)
	m.pace.count(fresh, old)
	l.rates = m.rates(limit)
	m.count(fresh.counts, old.counts, &l.rates)
	m.neighbours = countNeighbours(m.neighbours, &l.in.Observed.LoadBalancer, limit)
	l.accused = m.accuse(&l.rates)
	l.hasAccused = !m.follow(&l.accused, &l.rates, failingNeighbour(m.neighbours) != "")
}

// noteRows sums the rows of this look by container.
func (l *look) noteRows() {
	servers, hint := l.in.Observed.LoadBalancer.Servers, 0
	for i := range servers {
		s := &servers[i]
		n := indexOf(l.mem.tracked, hint, s.Container)
		if n < 0 {
			l.traffic().unknown += s.Delta.Requests
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

// rowTable is the rows of a look, by the place of the container in the service and
// in mem.tracked. It
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

// rows are the server rows of one container in one look, together, and what kind of
// container it is.
type rows struct {
	up, down, out, all int16
	delta              observe.Counts
	// slow is the sum of the usable average response times, in ms, and timed how many
	// rows had one.
	slow  int64
	timed int16
	// isUncounted says that a row is in mode tcp, which counts no requests: that
	// nothing was served cannot be said.
	isUncounted bool
	kind        kind
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
	if s.Latency >= 0 && s.Total.Requests >= minTimed {
		r.slow += s.Latency
		r.timed++
	}
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

func add(to *observe.Counts, c observe.Counts) {
	to.Requests += c.Requests
	to.Failures += c.Failures
	to.ClientErrors += c.ClientErrors
	to.Retries += c.Retries
}
