package probe

import "gitlab.gf.com.cn/clickeggs/drover/pkg/observe"

// The counters of a server row that are read. All grow only, until the process
// ends.
const (
	hrsp1xx = iota
	hrsp2xx
	hrsp3xx
	hrsp4xx
	hrsp5xx
	hrspOther
	econ
	eresp
	wretr
	wredis
	chkfail
	chkdown
	numCounters
)

// counters are the values of one row, or a difference of two.
type counters [numCounters]int64

// growth is c − d where c is larger, and 0 elsewhere.
func (c *counters) growth(d *counters) counters {
	var diff counters
	for i := range c {
		diff[i] = max(0, c[i]-d[i])
	}
	return diff
}

// fellBelow says that some counter is lower than it was.
func (c *counters) fellBelow(before *counters) bool {
	for i := range c {
		if c[i] < before[i] {
			return true
		}
	}
	return false
}

// answered is the number of requests that got a response from the server.
func (c *counters) answered() int64 {
	return c[hrsp1xx] + c[hrsp2xx] + c[hrsp3xx] + c[hrsp4xx] + c[hrsp5xx] + c[hrspOther]
}

// counts are the sums people ask for. Requests are answers and failures to
// answer: stot and lbtot would count retries and redispatches too
// (testdata/haproxy/12-retries-econ-and-server-timeout.csv, 08a). A connection that
// the server resets is in eresp twice (measured, 2.6), and one cut in the middle of
// a body is in hrsp and eresp: never less than the truth, and no column would tell
// the two apart.
func (c *counters) counts() observe.Counts {
	return observe.Counts{
		Requests:     c.answered() + c[eresp] + c[econ],
		Failures:     c[hrsp5xx] + c[eresp] + c[econ],
		ClientErrors: c[hrsp4xx],
		Retries:      c[wretr] + c[wredis],
	}
}

// tally is what counters are kept as from look to look.
type tally struct {
	observe.Counts
	// checkFailures is chkfail + chkdown.
	checkFailures int64
}

// tally is the sum that counters come to. It is linear: the tally of a difference is the
// difference of the tallies.
func (c *counters) tally() tally {
	return tally{Counts: c.counts(), checkFailures: c[chkfail] + c[chkdown]}
}

func (t *tally) add(d *tally) {
	addCounts(&t.Counts, d.Counts)
	t.checkFailures += d.checkFailures
}

// minus is t − d.
func (t *tally) minus(d *tally) tally {
	return tally{
		Counts: observe.Counts{
			Requests: t.Requests - d.Requests, Failures: t.Failures - d.Failures,
			ClientErrors: t.ClientErrors - d.ClientErrors, Retries: t.Retries - d.Retries,
		},
		checkFailures: t.checkFailures - d.checkFailures,
	}
}

func addCounts(sum *observe.Counts, c observe.Counts) {
	sum.Requests += c.Requests
	sum.Failures += c.Failures
	sum.ClientErrors += c.ClientErrors
	sum.Retries += c.Retries
}
