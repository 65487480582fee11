package probe

import "math"

// rtimeWindow is the number of requests HAProxy averages over, whatever its
// manual says (1024).
const rtimeWindow = 512

// minResponses is how many responses an average that started from zero needs
// before it says anything: at 50 it shows 9 % of the truth.
const minResponses = 50

// latency is rtime in ms, corrected for the window; -1 when it must not be used:
// no responses, too few of them, or a version of which nobody knows how it
// averages. 2.1 and older divide by the whole window from the start
// (testdata/haproxy/20-version-2.1.0: rtime 0 with rtime_max 2), 2.6 by the
// requests there were (08a).
func (r *row) latency(rule rtimeRule) int64 {
	responses := r.counters.answered()
	if r.rtime == unset || responses == 0 || !r.countsResponses() {
		return -1
	}
	switch {
	case rule == rtimeTrue:
		return r.rtime
	case rule == rtimeFromZero && responses >= minResponses:
		return correctRtime(r.rtime, responses)
	}
	return -1
}

// correctRtime undoes the zeros that an exponential window began with.
func correctRtime(rtime, responses int64) int64 {
	filled := 1 - math.Pow((rtimeWindow-1.0)/rtimeWindow, float64(responses))
	return int64(math.Round(float64(rtime) / filled))
}
