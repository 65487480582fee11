package probe

import (
	"fmt"
	"slices"
	"time"
)

// server is a server row through all pages that showed it without a gap.
type server struct {
	row row
	// proxy is the one it is in.
	proxy *proxySum
	// sum is what was counted since the instance is read. It never falls.
	sum tally
	// born is the number of the page that showed the row first.
	born uint64
	// shown is that of the last page, scanned that of the last attempt to read
	// one.
	shown, scanned uint64

	// nextNamed and nextAt are further rows of the same name and at the same address.
	nextNamed, nextAt *server
	// container is the one behind the row, where tied is the ledger's present tying.
	container string
	tied      uint64
}

type rowKey struct{ proxy, name string }

// proxySum is what the servers of a proxy have counted, through all pages that
// showed one of them.
type proxySum struct {
	name string
	sum  tally
	// born is the number of the page that showed it first, shown that of the last.
	born, shown uint64
	// servers are its rows on the last page, in its order, and place where the first is.
	servers []*server
	place   int
}

// ledger adds the pages of one HAProxy up to sums that outlive its processes.
type ledger struct {
	// pages counts what was entered; 0 means nothing yet.
	pages uint64
	// epoch counts the processes that were seen. An interval in which it changed
	// is not covered.
	epoch uint64
	// servers are the rows of the last page, in its order; index finds them.
	servers []*server
	index   map[rowKey]*server
	// total is the sum over all servers that ever were.
	total tally
	// proxies are those of the last page with servers, in its order.
	proxies []*proxySum
	// rows finds the rows of the last page in other ways, for all callers.
	rows rowIndex
	// tying counts the callers whose containers were tied to rows.
	tying uint64
	// standing is where the proxies stand; nil until somebody asks.
	standing []proxyMark
	// last is the last page's sighting.
	last sighting
	// distrust counts down the pages until a source that showed several processes
	// is believed again; reason says what it showed.
	distrust int
	reason   string

	// scans, next and hasServers are scratch, as are own and standingRows for the caller
	// that reads.
	scans        uint64
	next         []*server
	hasServers   map[string]bool
	own          []*proxySum
	standingRows []standing
}

// enter adds a page. An error in the page leaves the sums as they were; an
// *unusableError says that several processes answer, and was noted.
func (l *ledger) enter(p *page, asked, answered time.Time) error {
	now, err := l.sight(p.rows)
	if err != nil {
		return err
	}
	if err := l.find(p.rows); err != nil {
		l.forgetGone()
		return err
	}
	now.asked, now.answered = asked, answered
	if now.pid > 1 {
		l.suspect(fmt.Sprintf("column pid is %d: there are several processes (nbproc), and each counts for itself", now.pid))
	}
	how := l.relate(now, p)
	l.pages++
	if how != continued {
		l.epoch++
	}
	l.count(p.rows, how)
	l.last = now
	return l.trust()
}

// find fills next with the servers of the rows, known and new.
func (l *ledger) find(rows []row) error {
	if l.index == nil {
		l.index = make(map[rowKey]*server)
	}
	l.next = l.next[:0]
	l.scans++
	for i := range rows {
		r := &rows[i]
		if r.kind != typeServer {
			continue
		}
		s := l.lookup(r, len(l.next))
		if s.scanned == l.scans {
			return fmt.Errorf("server %.100q of proxy %.100q comes twice", r.name, r.proxy)
		}
		s.scanned = l.scans
		l.next = append(l.next, s)
	}
	return nil
}

// lookup finds the server of a row. Pages keep their order, so the same place in
// the last one is tried first.
func (l *ledger) lookup(r *row, place int) *server {
	if place < len(l.servers) {
		s := l.servers[place]
		if s.row.name == r.name && s.row.proxy == r.proxy {
			return s
		}
	}
	key := rowKey{r.proxy, r.name}
	s := l.index[key]
	if s == nil {
		s = &server{row: row{proxy: r.proxy, name: r.name}, proxy: l.proxy(r.proxy, place)}
		l.index[key] = s
	}
	return s
}

// proxy finds or makes the sum of a proxy, which is often that of the row before.
func (l *ledger) proxy(name string, place int) *proxySum {
	if place > 0 && l.next[place-1].proxy.name == name {
		return l.next[place-1].proxy
	}
	for _, p := range l.proxies {
		if p.name == name {
			return p
		}
	}
	p := &proxySum{name: name, born: l.pages + 1}
	l.proxies = append(l.proxies, p)
	return p
}

// rowsChanged says that next holds other servers than the last page did.
func (l *ledger) rowsChanged() bool {
	if len(l.next) != len(l.servers) {
		return true
	}
	for _, s := range l.next {
		if s.shown != l.pages {
			return true
		}
	}
	return false
}

// count adds the rows to the sums and takes them over.
func (l *ledger) count(rows []row, how continuity) {
	place, isMoved := 0, !slices.Equal(l.next, l.servers)
	for i := range rows {
		r := &rows[i]
		if r.kind != typeServer {
			continue
		}
		s := l.next[place]
		place++
		news := l.news(s, r, how)
		isMoved = isMoved || s.row.addr != r.addr
		s.sum.add(&news)
		l.total.add(&news)
		s.proxy.sum.add(&news)
		s.row, s.shown, s.proxy.shown = *r, l.pages, l.pages
	}
	l.servers, l.next = l.next, l.servers
	l.forgetGone()
	l.standing = nil
	if isMoved {
		l.reindex()
	}
}

// news is what a row counted since the last page. A row that was not on it began
// at zero, in a new process or by "add server" in the old one.
func (l *ledger) news(s *server, r *row, how continuity) tally {
	isNew := s.shown == 0
	if isNew {
		s.born = l.pages
	}
	now := r.counted()
	switch {
	case how == first || how == replaced:
		return tally{}
	case how == restarted || isNew:
		return now.tally()
	}
	before := s.row.counted()
	grown := now.growth(&before)
	return grown.tally()
}

// counted are the counters that mean something. A proxy in mode tcp counts
// failures but no responses, and a share of the two would always be 100 %.
func (r *row) counted() counters {
	c := r.counters
	if !r.countsResponses() {
		for i := hrsp1xx; i <= eresp; i++ {
			c[i] = 0
		}
	}
	return c
}

// forgetGone drops the servers that the last page did not show. One that comes
// back is a new one.
func (l *ledger) forgetGone() {
	l.proxies = slices.DeleteFunc(l.proxies, func(p *proxySum) bool { return p.shown != l.pages })
	if len(l.index) == len(l.servers) {
		return
	}
	for key, s := range l.index {
		if s.shown == 0 || s.shown != l.pages {
			delete(l.index, key)
		}
	}
}
