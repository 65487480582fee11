package probe

import (
	"slices"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// account is where one caller stood at its last look at a load balancer. There is one
// for each target, so it keeps little.
type account struct {
	// seen is when that was.
	seen time.Time
	// marks are where it stood in each instance, in their order.
	marks []mark
	// proxies are those in which a container of the caller was found, ever: while
	// the last one is replaced, its proxy is still the caller's.
	proxies []string
	// ids are the caller's containers, sum tells whether they are the same.
	ids identities
	sum uint64
}

// mark is where an account stood in the ledger of an instance.
type mark struct {
	// pages and epoch are the ledger's; pages is 0 when it was never read.
	pages, epoch uint64
	total        tally
	// rows are the servers that were listed at the last look, in its order.
	rows []standing
	// proxies is where the first proxies stood. It is shared and never changed.
	proxies []proxyMark
}

// proxyMark is where a proxy stood.
type proxyMark struct {
	proxy *proxySum
	sum   tally
}

// standing is where an account stood in a row.
type standing struct {
	server *server
	// container was behind the row; empty when nobody knew.
	container string
	sum       tally
	// epoch is the process, and base what it had counted when the container came
	// to be behind the row.
	epoch uint64
	base  tally
}

const (
	// maxProxies bounds the proxies an account remembers.
	maxProxies = 1000
	// maxOthers bounds the proxies of others that a look tells of.
	maxOthers = observe.MaxOtherProxies
)

// mark finds or makes the mark in an instance.
func (a *account) mark(in *instance) *mark {
	if in.place >= len(a.marks) {
		a.marks = append(a.marks, make([]mark, in.place+1-len(a.marks))...)
	}
	return &a.marks[in.place]
}

// tie ties the caller's containers to their rows and notes the proxies of these.
func (a *account) tie(l *ledger) {
	l.tie(a.ids, func(s *server) {
		if len(a.proxies) < maxProxies && !slices.Contains(a.proxies, s.proxy.name) {
			a.proxies = append(a.proxies, s.proxy.name)
		}
	})
}

// read lists what an instance counted since the account's last look at it, and
// moves the account there: the rows of its own proxies, but for those that are
// others'. Rows that are not listed go into the sum Others.
func (a *account) read(in *instance, own []string, isOthers func(*server) bool, out *observe.LoadBalancer) {
	led, m := &in.ledger, a.mark(in)
	isFirst := m.pages == 0
	others := led.total.minus(&m.total)
	walk, rows := rowWalk{before: m.rows}, led.standingRows[:0]
	out.Servers = slices.Grow(out.Servers, len(m.rows))
	for _, p := range led.ownProxies(own) {
		for _, s := range p.servers {
			container := led.containerOf(s)
			if container == "" && isOthers(s) {
				continue
			}
			st, isKnown := walk.find(s)
			if !isKnown {
				st = m.begin(s, container)
			}
			grown := s.sum.minus(&st.sum)
			others = others.minus(&grown)
			if st.move(container, led.epoch) {
				grown = tally{}
			}
			rows = append(rows, st)
			out.Servers = append(out.Servers, describe(in, &st, &grown))
		}
	}
	gone := walk.gone(led.pages)
	others = others.minus(&gone)
	if !isFirst {
		addCounts(&out.Others, others.Counts)
		out.Reloaded = out.Reloaded || m.epoch != led.epoch
	}
	m.readOthers(led, a.proxies, isFirst, out)
	m.pages, m.epoch, m.total, m.proxies = led.pages, led.epoch, led.total, led.standings()
	m.keep(rows)
	led.standingRows = rows
}

// keep takes over the rows of this look, in the room of those of the last where it does.
func (m *mark) keep(rows []standing) {
	clear(m.rows[min(len(rows), len(m.rows)):])
	if cap(m.rows) < len(rows) {
		m.rows = make([]standing, 0, len(rows))
	}
	m.rows = append(m.rows[:0], rows...)
}

// ownProxies are those of some names, in the order of the page.
func (l *ledger) ownProxies(names []string) []*proxySum {
	own := l.own[:0]
	for i, name := range names {
		if p := l.rows.proxies[name]; p != nil && !slices.Contains(names[:i], name) {
			own = append(own, p)
		}
	}
	slices.SortFunc(own, func(a, b *proxySum) int { return a.place - b.place })
	l.own = own
	return own
}

// readOthers tells what each proxy counted in which no container of the caller is
// found.
func (m *mark) readOthers(led *ledger, own []string, isFirst bool, out *observe.LoadBalancer) {
	kept := 0
	for place := range led.standings() {
		p := led.proxies[place]
		switch {
		case kept == maxOthers:
			return
		case slices.Contains(own, p.name):
			continue
		}
		kept++
		var grown tally
		switch before := m.proxyMark(p, place); {
		case before != nil:
			grown = p.sum.minus(&before.sum)
		case !isFirst && p.born > m.pages:
			grown = p.sum
		}
		if grown.Requests > 0 {
			addProxy(out, p.name, grown.Counts)
		}
	}
}

// proxyMark finds the mark in a proxy, most often where it was the last time.
func (m *mark) proxyMark(p *proxySum, place int) *proxyMark {
	if place < len(m.proxies) && m.proxies[place].proxy == p {
		return &m.proxies[place]
	}
	if i := slices.IndexFunc(m.proxies, func(at proxyMark) bool { return at.proxy == p }); i >= 0 {
		return &m.proxies[i]
	}
	return nil
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

// rowWalk goes through the rows of the last look beside those of this one.
type rowWalk struct {
	before []standing
	// place is how many of them were met in their order, rest are those that were not,
	// by their rows, once the orders differ.
	place int
	rest  map[*server]int
}

// find is where a row stood at the last look.
func (w *rowWalk) find(s *server) (st standing, isKnown bool) {
	if w.rest == nil {
		if w.place < len(w.before) && w.before[w.place].server == s {
			w.place++
			return w.before[w.place-1], true
		}
		w.rest = make(map[*server]int, len(w.before)-w.place)
		for i := w.place; i < len(w.before); i++ {
			w.rest[w.before[i].server] = i
		}
	}
	i, isKnown := w.rest[s]
	if !isKnown {
		return standing{}, false
	}
	delete(w.rest, s)
	return w.before[i], true
}

// gone sums what the rows that HAProxy no longer shows, of those that were not met, had
// counted since the last look.
func (w *rowWalk) gone(page uint64) tally {
	var sum tally
	add := func(st *standing) {
		if st.server.shown != page {
			last := st.server.sum.minus(&st.sum)
			sum.add(&last)
		}
	}
	if w.rest == nil {
		for i := w.place; i < len(w.before); i++ {
			add(&w.before[i])
		}
	}
	for _, i := range w.rest {
		add(&w.before[i])
	}
	return sum
}

// begin is the standing in a row that is listed for the first time: where the row is,
// or at nothing when the row itself came after the last look.
func (m *mark) begin(s *server, container string) standing {
	st := standing{server: s, container: container, sum: s.sum}
	if m.pages > 0 && s.born > m.pages {
		st.sum = tally{}
	}
	return st
}

// move brings a standing up to the row, and says whether another container is
// behind it now. An IP, and with it a row, can pass to another container without a
// reload; what was counted meanwhile is nobody's.
func (st *standing) move(container string, epoch uint64) (hasPassed bool) {
	hasPassed = st.container != container
	switch {
	case hasPassed:
		now := st.server.row.counted()
		st.base = now.tally()
	case st.epoch != epoch:
		st.base = tally{}
	}
	st.container, st.sum, st.epoch = container, st.server.sum, epoch
	return hasPassed
}

// describe is what is said of a row.
func describe(in *instance, at *standing, grown *tally) observe.Server {
	r := &at.server.row
	counted := r.counted()
	now := counted.tally()
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
		Delta:     grown.Counts,
		Total:     total.Counts,
		Uncounted: !r.countsResponses(),

		CheckFailures: grown.checkFailures,
		Latency:       r.latency(in.page.header.layout.rtime),
	}
}
