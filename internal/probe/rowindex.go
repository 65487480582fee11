package probe

// rowIndex finds the rows of a page by what ties them to containers. It is made when
// the rows of a page are other ones than those of the page before, and serves all
// callers: what a caller's look costs is then a matter of its own rows.
type rowIndex struct {
	// named are the rows by svname, at those by IP where it is shown. Further ones of
	// the same text hang on the first (nextNamed, nextAt).
	named, at map[string]*server
	// proxies are the proxies by name.
	proxies map[string]*proxySum
}

// reindex makes the index anew from the rows of the last page.
func (l *ledger) reindex() {
	l.rows = rowIndex{
		named: make(map[string]*server, len(l.servers)), at: make(map[string]*server), proxies: make(map[string]*proxySum, len(l.proxies)),
	}
	for _, p := range l.proxies {
		p.servers = p.servers[:0]
	}
	for place, s := range l.servers {
		if len(s.proxy.servers) == 0 {
			s.proxy.place = place
			l.rows.proxies[s.proxy.name] = s.proxy
		}
		s.proxy.servers = append(s.proxy.servers, s)
		s.nextNamed = l.rows.named[s.row.name]
		l.rows.named[s.row.name] = s
		s.nextAt = nil
		if addr := s.row.plainAddr(); addr != "" {
			s.nextAt = l.rows.at[addr]
			l.rows.at[addr] = s
		}
	}
}

// tie ties a caller's containers to the rows they are behind, until the next caller's
// are, and hands each of the rows on. A name says more than an address.
func (l *ledger) tie(ids identities, each func(*server)) {
	l.tying++
	for i := range ids {
		for s := l.rows.named[ids[i].name]; s != nil; s = s.nextNamed {
			l.tieTo(s, ids[i].container, each)
		}
	}
	for i := range ids {
		for s := l.rows.at[ids[i].addr]; s != nil; s = s.nextAt {
			l.tieTo(s, ids[i].container, each)
		}
	}
}

// tieTo ties a row to a container, if none is tied to it.
func (l *ledger) tieTo(s *server, container string, each func(*server)) {
	if s.tied == l.tying {
		return
	}
	s.tied, s.container = l.tying, container
	each(s)
}

// containerOf is the container tied to a row now; empty when none is.
func (l *ledger) containerOf(s *server) string {
	if s.tied != l.tying {
		return ""
	}
	return s.container
}

// mostStanding is how many proxies a caller's look can need: as many as are told of,
// beside its own.
const mostStanding = 2 * maxOthers

// standings is where the first proxies of the page stand. All callers that look at the
// page share it: one of their own each would be most of what they keep.
func (l *ledger) standings() []proxyMark {
	if l.standing == nil {
		l.standing = make([]proxyMark, min(len(l.proxies), mostStanding))
		for i := range l.standing {
			l.standing[i] = proxyMark{l.proxies[i], l.proxies[i].sum}
		}
	}
	return l.standing
}
