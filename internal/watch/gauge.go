package watch

import (
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// sparkWidth is how many steps a sparkline has, one per look.
	sparkWidth = 16
	// rateWindow is the time over which a rate is taken.
	rateWindow = 5 * time.Second
)

// sample is a counter at a time.
type sample struct {
	at    time.Time
	total observe.Counts
}

// gauge turns a server's counters into rates. It is a value: add returns the next.
type gauge struct {
	// samples count from the first look on, raw is what the load balancer showed
	// last.
	samples []sample
	raw     observe.Counts
	// status is the load balancer's word, latency its average in ms or -1.
	status  string
	class   observe.ServerStatus
	latency int64
}

// add takes the counters of one look. A load balancer reloads whenever a server
// comes or goes, and counts from zero again: what it then shows is what came since.
func (g gauge) add(s sample) gauge {
	raw := s.total
	if n := len(g.samples); n > 0 {
		last := g.samples[n-1]
		if !s.at.After(last.at) {
			return g // The same reading, shown twice.
		}
		s.total = last.total
		if raw.Requests < g.raw.Requests || raw.Retries < g.raw.Retries {
			g.raw = observe.Counts{}
		}
		s.total.Requests += raw.Requests - g.raw.Requests
		s.total.Failures += max(raw.Failures-g.raw.Failures, 0)
		s.total.Retries += raw.Retries - g.raw.Retries
	}
	kept := g.samples[max(0, len(g.samples)-sparkWidth):]
	g.samples, g.raw = append(append(make([]sample, 0, len(kept)+1), kept...), s), raw
	return g
}

// rate is what was counted per second lately; ok is false before two looks.
func (g gauge) rate() (perSecond, failed float64, retries int64, ok bool) {
	n := len(g.samples)
	if n < 2 {
		return 0, 0, 0, false
	}
	last, first := g.samples[n-1], g.samples[n-2]
	for i := n - 2; i >= 0 && last.at.Sub(g.samples[i].at) <= rateWindow; i-- {
		first = g.samples[i]
	}
	requests := last.total.Requests - first.total.Requests
	if requests > 0 {
		failed = float64(last.total.Failures-first.total.Failures) / float64(requests)
	}
	return float64(requests) / last.at.Sub(first.at).Seconds(), failed, last.total.Retries - g.samples[0].total.Retries, true
}

// steps are requests per second from look to look, oldest first.
func (g gauge) steps() []float64 {
	steps := make([]float64, 0, sparkWidth)
	for i := 1; i < len(g.samples); i++ {
		a, b := g.samples[i-1], g.samples[i]
		steps = append(steps, float64(b.total.Requests-a.total.Requests)/b.at.Sub(a.at).Seconds())
	}
	return steps
}

// gauges are a service's servers, by container.
type gauges map[string]gauge

// take adds a look's rows, joined over the rows of a container. It returns new
// gauges; containers that are gone are left out.
func (all gauges) take(at time.Time, lb *observe.LoadBalancer, containers []observe.Container) gauges {
	if lb == nil || lb.Problem != nil {
		return all
	}
	next := gauges{}
	for i := range containers {
		id := containers[i].ID
		g, isShown := join(all[id], at, id, lb.Servers)
		if isShown {
			next[id] = g
		}
	}
	return next
}

// join adds up the rows behind which a container stands: one per instance and
// proxy.
func join(g gauge, at time.Time, id string, rows []observe.Server) (gauge, bool) {
	total, isShown := observe.Counts{}, false
	g.latency = -1
	for i := range rows {
		r := &rows[i]
		if r.Container != id {
			continue
		}
		isShown = true
		total.Requests += r.Total.Requests
		total.Failures += r.Total.Failures
		total.Retries += r.Total.Retries
		g.latency = max(g.latency, r.Latency)
		g.status, g.class = r.Text, r.Status
	}
	if !isShown {
		return g, false
	}
	return g.add(sample{at, total}), true
}

// bars are the eighths of a block.
var bars = []rune("▁▂▃▄▅▆▇█")

// spark draws steps against the highest of all servers, so that they can be
// compared; the newest is at the right.
func spark(steps []float64, highest float64) string {
	line := make([]rune, sparkWidth)
	for i := range line {
		line[i] = ' '
	}
	steps = steps[max(0, len(steps)-sparkWidth):]
	for i, v := range steps {
		level := 0
		if highest > 0 {
			level = int(v / highest * float64(len(bars)-1))
		}
		line[sparkWidth-len(steps)+i] = bars[min(max(level, 0), len(bars)-1)]
	}
	return string(line)
}

// highest is the highest step of all servers.
func (all gauges) highest() float64 {
	top := 0.0
	for _, g := range all {
		for _, v := range g.steps() {
			top = max(top, v)
		}
	}
	return top
}
