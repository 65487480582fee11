package sandbox

import "time"

// counters are what one row of the statistics counts since its process began. HAProxy's names of them are in
// management.txt 2.1, section 9.1.
type counters struct {
	// open and most are scur and smax.
	open, most int64
	// sessions is stot: connections of a frontend, requests of a backend, attempts of a server.
	sessions int64
	// in and out are bytes from and to the client.
	in, out int64
	// picked is lbtot, connects the attempts to connect.
	picked, connects int64
	// The errors: econ, eresp, wretr, wredis, cli_abrt, srv_abrt.
	connectErrors, responseErrors, retries, redispatches, clientAborts, serverAborts int64
	// statuses are hrsp_1xx to hrsp_5xx and hrsp_other.
	statuses [6]int64
	// requests is req_tot, intercepted those the statistics page answered.
	requests, intercepted    int64
	sessionRate, requestRate rate
	// connectTime, responseTime and totalTime are ctime, rtime and ttime.
	connectTime, responseTime, totalTime average
	// last is when the latest session began.
	last time.Time
}

// begin counts a session that is now open.
func (c *counters) begin(now time.Time) {
	c.sessions++
	c.open++
	c.most = max(c.most, c.open)
	c.last = now
	c.sessionRate.add(now)
}

func (c *counters) status(code int) {
	class := code/100 - 1
	if class < 0 || class > 4 {
		class = 5
	}
	c.statuses[class]++
}

// rate is HAProxy's events-per-second counter over a sliding second (include/common/freq_ctr.h).
type rate struct {
	second      int64
	now, before int64
	most        int64
}

func (r *rate) roll(t time.Time) {
	switch s := t.Unix(); s {
	case r.second:
	case r.second + 1:
		r.second, r.before, r.now = s, r.now, 0
	default:
		r.second, r.before, r.now = s, 0, 0
	}
}

func (r *rate) add(t time.Time) {
	r.roll(t)
	r.now++
	r.most = max(r.most, r.now)
}

func (r *rate) value(t time.Time) int64 {
	r.roll(t)
	if r.before <= 1 && r.now == 0 {
		return r.before // HAProxy: so that one event per second does not flap.
	}
	return r.now + r.before*int64(time.Second-time.Duration(t.Nanosecond()))/int64(time.Second)
}

// window is the number of requests that HAProxy's time averages weigh (TIME_STATS_SAMPLES).
const window = 512

// average is the moving average of times in ms as HAProxy 2.1 computes it: over the full window from the first request
// on, so that a few requests read near zero (sample 20-version-2.1.0).
type average struct {
	sum, most int64
}

func (a *average) add(d time.Duration) {
	ms := d.Milliseconds()
	a.sum += ms - (a.sum+window-1)/window
	a.most = max(a.most, ms)
}

func (a *average) value() int64 { return (a.sum + window - 1) / window }
