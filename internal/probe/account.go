package probe

import (
	"slices"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// account is where one caller stood at its last look at a load balancer.
type account struct {
	// seen is when that was.
	seen time.Time
	// marks are where it stood in each instance.
	marks map[*instance]*mark
	// proxies are those in which a container of the caller was found, ever: while
	// the last one is replaced, its proxy is still the caller's.
	proxies map[string]bool
	// ids are the caller's containers.
	ids identities
}

// mark is where an account stood in the ledger of an instance.
type mark struct {
	// pages and epoch are the ledger's; pages is 0 when it was never read.
	pages, epoch uint64
	total        counters
	// rows are the servers that were listed at the last look.
	rows map[*server]*standing
	// looks counts the looks.
	looks uint64
	// proxies is where it stood in the proxies that are not the caller's.
	proxies []proxyMark
}

// proxyMark is where an account stood in a proxy.
type proxyMark struct {
	proxy *proxySum
	sum   counters
}

// standing is where an account stood in a row.
type standing struct {
	// container was behind the row; empty when nobody knew.
	container string
	sum       counters
	// epoch is the process, and base what it had counted when the container came
	// to be behind the row.
	epoch uint64
	base  counters
	// look is the mark's last look that listed the row.
	look uint64
}

// maxProxies bounds the proxies an account remembers.
const maxProxies = 1000

func newAccount() *account {
	return &account{marks: make(map[*instance]*mark), proxies: make(map[string]bool)}
}

// mark finds or makes the mark in an instance.
func (a *account) mark(in *instance) *mark {
	m := a.marks[in]
	if m == nil {
		m = &mark{rows: make(map[*server]*standing)}
		a.marks[in] = m
	}
	return m
}

// findProxies notes the proxies with rows of the caller's containers.
func (a *account) findProxies(in *instance) {
	for _, s := range in.ledger.servers {
		if a.proxies[s.row.proxy] || len(a.proxies) >= maxProxies {
			continue
		}
		if a.ids.container(&s.row) != "" {
			a.proxies[s.row.proxy] = true
		}
	}
}

// read lists what an instance counted since the account's last look at it, and
// moves the account there. Rows that are not listed go into the sum Others.
func (a *account) read(in *instance, isListed func(*server, string) bool, out *observe.LoadBalancer) {
	led, m := &in.ledger, a.mark(in)
	isFirst := m.pages == 0
	others := led.total.minus(&m.total)
	m.looks++
	out.Servers = slices.Grow(out.Servers, len(m.rows))
	for _, s := range led.servers {
		container := a.ids.container(&s.row)
		if !isListed(s, container) {
			continue
		}
		st := m.find(s, container)
		grown := s.sum.minus(&st.sum)
		others = others.minus(&grown)
		if st.move(s, container, led.epoch, m.looks) {
			grown = counters{}
		}
		out.Servers = append(out.Servers, describe(in, s, st, &grown))
	}
	gone := m.dropGone(led.pages)
	others = others.minus(&gone)
	if !isFirst {
		addCounts(&out.Others, others.counts())
		out.Reloaded = out.Reloaded || m.epoch != led.epoch
	}
	m.readOthers(led, a.proxies, isFirst, out)
	m.pages, m.epoch, m.total = led.pages, led.epoch, led.total
}

// readOthers tells what each proxy counted in which no container of the caller is
// found.
func (m *mark) readOthers(led *ledger, own map[string]bool, isFirst bool, out *observe.LoadBalancer) {
	kept := 0
	for _, p := range led.proxies {
		if own[p.name] || kept == observe.MaxOtherProxies {
			continue
		}
		var grown counters
		switch before := m.proxyMark(p, kept); {
		case before != nil:
			grown = p.sum.minus(&before.sum)
		case !isFirst && p.born > m.pages:
			grown = p.sum
		}
		if c := grown.counts(); c.Requests > 0 {
			addProxy(out, p.name, c)
		}
		m.keep(p, kept)
		kept++
	}
	clear(m.proxies[kept:])
	m.proxies = m.proxies[:kept]
}

// proxyMark finds the mark in a proxy, most often where it was the last time.
func (m *mark) proxyMark(p *proxySum, place int) *proxyMark {
	for i := range m.proxies[min(place, len(m.proxies)):] {
		if at := &m.proxies[place+i]; at.proxy == p {
			return at
		}
	}
	return nil
}

// keep puts a proxy's mark in its place; marks that stood before it are of proxies
// that are gone.
func (m *mark) keep(p *proxySum, place int) {
	if place == len(m.proxies) {
		m.proxies = append(m.proxies, proxyMark{})
	}
	m.proxies[place] = proxyMark{p, p.sum}
}

// addProxy adds up what several instances counted of a proxy.
func addProxy(out *observe.LoadBalancer, name string, c observe.Counts) {
	for i := range out.OtherProxies {
		if out.OtherProxies[i].Proxy == name {
			addCounts(&out.OtherProxies[i].Counts, c)
			return
		}
	}
	out.OtherProxies = append(out.OtherProxies, observe.ProxyCounts{Proxy: name, Counts: c})
}

// find is the standing in a row. One that is listed for the first time begins
// where the row is, or at nothing when the row itself came after the last look.
func (m *mark) find(s *server, container string) *standing {
	st := m.rows[s]
	if st == nil {
		st = &standing{container: container, sum: s.sum}
		if m.pages > 0 && s.born > m.pages {
			st.sum = counters{}
		}
		m.rows[s] = st
	}
	return st
}

// move brings a standing up to the row, and says whether another container is
// behind it now. An IP, and with it a row, can pass to another container without a
// reload; what was counted meanwhile is nobody's.
func (st *standing) move(s *server, container string, epoch, look uint64) (hasPassed bool) {
	hasPassed = st.container != container
	switch {
	case hasPassed:
		st.base = s.row.counted()
	case st.epoch != epoch:
		st.base = counters{}
	}
	st.container, st.sum, st.epoch, st.look = container, s.sum, epoch, look
	return hasPassed
}

// dropGone forgets the rows that were not listed at this look, and sums what those
// that HAProxy no longer shows had counted since the last.
func (m *mark) dropGone(page uint64) counters {
	var sum counters
	for s, st := range m.rows {
		if st.look == m.looks {
			continue
		}
		if s.shown != page {
			last := s.sum.minus(&st.sum)
			sum.add(&last)
		}
		delete(m.rows, s)
	}
	return sum
}

// describe is what is said of a row.
func describe(in *instance, s *server, at *standing, grown *counters) observe.Server {
	r := &s.row
	now := r.counted()
	total := now.minus(&at.base)
	return observe.Server{
		Container: at.container,
		Instance:  in.name,
		Proxy:     r.proxy,
		Name:      r.name,
		Status:    classify(r.status, r.check, r.weight),
		Text:      r.status,
		Weight:    r.weight,
		Check:     r.check,
		Delta:     grown.counts(),
		Total:     total.counts(),
		Uncounted: !r.countsResponses(),

		CheckFailures: grown.checkFailures(),
		Latency:       r.latency(in.page.header.layout.rtime),
	}
}

func addCounts(sum *observe.Counts, c observe.Counts) {
	sum.Requests += c.Requests
	sum.Failures += c.Failures
	sum.ClientErrors += c.ClientErrors
	sum.Retries += c.Retries
}
