package probe

import (
	"errors"
	"fmt"
	"time"
)

// continuity is how a page relates to the one before it.
type continuity int

const (
	// first: there is none before it.
	first continuity = iota
	// continued: the same process counted on.
	continued
	// restarted: a process that started from zero after the last page. All it
	// counted is new.
	restarted
	// blurred: perhaps another process, perhaps one that did not start from zero.
	// What is above the last page is new in either case.
	blurred
	// replaced: counters that cannot be compared with the last page's, and that
	// may have begun before it. Nothing is counted.
	replaced
)

// sighting is what a page says of the process that made it.
type sighting struct {
	// asked and answered enclose the moment the page was made.
	asked, answered time.Time
	pid             int64
	// age is lastchg of a BACKEND row without servers. Such a row never changes
	// its state, so this is the age of the process in seconds, on every version
	// from 1.5 to 3.0 (testdata/haproxy/20-*, 03a, 03b). Rancher's load balancers
	// always have one: proxy "default" on port 42. unset when there is none.
	age int64
	// oldest is the largest lastchg of all rows: the process is at least as old.
	oldest int64
}

// tolerance covers the rounding of lastchg to whole seconds, in seconds.
const tolerance = 2

// trustAfter is how many pages must come from one process after several were
// seen. With nbproc 2 one process answers 30 times in a row once in 5·10^8.
const trustAfter = 30

// unusableError says that a source cannot be measured as it is set up.
type unusableError struct{ reason string }

func (e *unusableError) Error() string { return e.reason }

// sight reads the signs of the process off the rows.
func (l *ledger) sight(rows []row) (sighting, error) {
	s := sighting{pid: rows[0].pid, age: unset, oldest: unset}
	if l.hasServers == nil {
		l.hasServers = make(map[string]bool)
	}
	clear(l.hasServers)
	for i := range rows {
		if rows[i].kind == typeServer && (i == 0 || rows[i].proxy != rows[i-1].proxy || rows[i-1].kind != typeServer) {
			l.hasServers[rows[i].proxy] = true
		}
	}
	for i := range rows {
		r := &rows[i]
		if r.pid != s.pid {
			return s, errors.New("one page shows two processes")
		}
		s.oldest = max(s.oldest, r.lastchg)
		if r.kind == typeBackend && !l.hasServers[r.proxy] {
			s.age = max(s.age, r.lastchg)
		}
	}
	return s, nil
}

// relate compares the signs of two pages, the strongest first.
func (l *ledger) relate(now sighting, p *page) continuity {
	if l.pages == 0 {
		return first
	}
	// The pages were made at least short and at most long seconds apart.
	short := now.asked.Sub(l.last.answered).Seconds()
	long := now.answered.Sub(l.last.asked).Seconds()
	isYounger, isOlder := false, false
	if knowsAge := now.age != unset && l.last.age != unset; knowsAge {
		isYounger = float64(now.age) < float64(l.last.age)+short-tolerance
		isOlder = float64(now.age) > float64(l.last.age)+long+tolerance
	}
	fell := l.anyFell(p.rows)
	switch {
	case now.pid != l.last.pid:
		l.suspect(fmt.Sprintf("column pid changed from %d to %d: several processes (nbproc) each count for themselves", l.last.pid, now.pid))
		return replaced
	case isOlder:
		l.suspect(fmt.Sprintf("the process is %d s old, and was %d s old %.0f s ago: several load balancers answer at one address", now.age, l.last.age, long))
		return replaced
	case (isYounger || fell) && !now.startedWithin(long):
		return replaced
	case isYounger && !fell && p.header.layout.mayKeepCounters:
		return blurred
	case isYounger || fell:
		return restarted
	case l.rowsChanged() && l.ageSaysLittle(now):
		return blurred
	}
	return continued
}

// startedWithin says whether the process may have started in the last so many
// seconds. If it did not, low counters are no proof of a start from zero:
// somebody cleared them, or another load balancer answered.
func (s *sighting) startedWithin(seconds float64) bool {
	age := s.age
	if age == unset {
		age = s.oldest
	}
	return float64(age) <= seconds+tolerance
}

// ageSaysLittle says that a restart since the last page would not show in the age:
// there is none, or the process was so young that its successor looks like it.
func (l *ledger) ageSaysLittle(now sighting) bool {
	return now.age == unset || l.last.age == unset || l.last.age <= tolerance
}

// anyFell says that some server counts less than it did. No process does that.
func (l *ledger) anyFell(rows []row) bool {
	place := 0
	for i := range rows {
		if rows[i].kind != typeServer {
			continue
		}
		s := l.next[place]
		place++
		if s.shown == l.pages && rows[i].counters.fellBelow(&s.row.counters) {
			return true
		}
	}
	return false
}

// suspect stops the source from being used until one process has answered for
// long enough.
func (l *ledger) suspect(reason string) {
	l.distrust, l.reason = trustAfter, reason
}

// trust refuses a source that showed several processes. The differences of its
// pages would be differences of unlike things.
func (l *ledger) trust() error {
	if l.distrust == 0 {
		return nil
	}
	l.distrust--
	return &unusableError{l.reason}
}
