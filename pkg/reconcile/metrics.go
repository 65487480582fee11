package reconcile

import (
	"fmt"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// metricMemory is what is remembered of one query of the Prometheus gate.
type metricMemory struct {
	// at is when the last value that was counted was asked for.
	at time.Time
	// failures are values out of their limits, in a row.
	failures int
	// fresh and old are the last values of either version. While no rollout is
	// judged, the version that runs is fresh.
	fresh, old       float64
	hasFresh, hasOld bool
}

// countMetrics takes new values into the memory. A reading is repeated until the
// next is due; only its time tells that it is another.
func (l *look) countMetrics() {
	gates := l.in.Target.Gates.Prometheus
	if len(gates) == 0 {
		l.mem.metrics = nil
		return
	}
	next := make([]metricMemory, len(gates))
	copy(next, l.mem.metrics)
	for i := range gates {
		if r := l.metric(i); r != nil && !r.At.Equal(next[i].at) {
			next[i].count(&gates[i], r)
		}
	}
	l.mem.metrics = next
}

// metric is this look's reading of a query; nil when there is none.
func (l *look) metric(i int) *observe.Metric {
	readings := l.in.Observed.Metrics
	if i >= len(readings) || readings[i].Name != l.in.Target.Gates.Prometheus[i].Name || readings[i].At.IsZero() {
		return nil
	}
	return &readings[i]
}

func (m *metricMemory) count(g *desired.PrometheusGate, r *observe.Metric) {
	m.at = r.At
	if r.Old != nil && r.Old.Problem == nil {
		m.old, m.hasOld = r.Old.Number, true
	}
	if r.New.Problem != nil {
		return
	}
	m.fresh, m.hasFresh = r.New.Number, true
	if m.isOut(g) {
		m.failures++
	} else {
		m.failures = 0
	}
}

// isOut says that the new version's value is out of a limit.
func (m *metricMemory) isOut(g *desired.PrometheusGate) bool {
	return isBeyond(g, m.fresh) || g.MaxRatio != nil && m.hasOld && m.fresh > g.IgnoreBelow && m.fresh > *g.MaxRatio*m.old
}

// isBeyond says that a value is out of the limits that hold for either version.
func isBeyond(g *desired.PrometheusGate, value float64) bool {
	return g.Max != nil && value > *g.Max || g.Min != nil && value < *g.Min
}

// metricsFromZero forgets what was counted, and keeps what the old version had.
func metricsFromZero(memory []metricMemory) []metricMemory {
	var next []metricMemory
	for _, m := range memory {
		next = append(next, metricMemory{old: m.old, hasOld: m.hasOld})
	}
	return next
}

// metricsOfBefore makes what runs now the old version of a rollout that begins.
func metricsOfBefore(memory []metricMemory) []metricMemory {
	var next []metricMemory
	for _, m := range memory {
		if m.hasFresh {
			m.old, m.hasOld = m.fresh, true
		}
		next = append(next, metricMemory{old: m.old, hasOld: m.hasOld})
	}
	return next
}

// judgePrometheus is one query of the Prometheus gate.
func judgePrometheus(l *look, i int) Finding {
	g, m, r := &l.in.Target.Gates.Prometheus[i], &l.mem.metrics[i], l.metric(i)
	f := Finding{Gate: "prometheus " + g.Name, Verdict: NoData, Code: CodeSourceProblem}
	switch {
	case r == nil:
		f.Detail = "not asked yet"
		return f
	case r.New.Problem != nil:
		f.Detail = r.New.Problem.Message
		return f
	case l.in.Now.Sub(r.At) > 2*max(g.Every.Duration, l.every())+time.Second:
		f.Detail = "not asked lately"
		return f
	case g.MaxRatio != nil && !m.hasOld:
		f.Code = CodeNoOldValue
		if r.Old != nil && r.Old.Problem != nil {
			f.Detail = r.Old.Problem.Message
		}
		return f
	}
	f.Covered, f.Detail = true, m.text(g)
	isShared := r.Old != nil && r.Old.Problem == nil && isBeyond(g, r.Old.Number) && isBeyond(g, m.fresh)
	switch {
	case m.failures == 0:
		f.Verdict, f.Code = Pass, CodeMetricGood
	case isShared:
		f.Verdict, f.Code = Hold, CodeMetricShared
	case m.failures >= g.FailureThreshold:
		f.Verdict, f.Code, f.Failures = Fail, CodeMetricOut, int64(m.failures)
	default:
		f.Verdict, f.Code, f.Failures = Hold, CodeMetricOut, int64(m.failures)
	}
	return f
}

// text is the value with its limits.
func (m *metricMemory) text(g *desired.PrometheusGate) string {
	parts := []string{fmt.Sprintf("%.4g", m.fresh)}
	if g.Min != nil {
		parts = append(parts, fmt.Sprintf("at least %.4g", *g.Min))
	}
	if g.Max != nil {
		parts = append(parts, fmt.Sprintf("at most %.4g", *g.Max))
	}
	if g.MaxRatio != nil && m.hasOld {
		parts = append(parts, fmt.Sprintf("at most %.4g times the old version's %.4g", *g.MaxRatio, m.old))
	}
	return strings.Join(parts, ", ")
}

// checkMetrics: a query that gives nothing now would give nothing to judge by,
// and a value that is out already is nobody's but the running version's.
func checkMetrics(l *look) *step {
	for i := range l.in.Target.Gates.Prometheus {
		if d := l.checkMetric(i); d != nil {
			return d
		}
	}
	return nil
}

func (l *look) checkMetric(i int) *step {
	g, r := &l.in.Target.Gates.Prometheus[i], l.metric(i)
	switch {
	case r == nil:
		return l.not(CodeBaselineBlind, false, "prometheus %s: not asked yet", g.Name)
	case r.New.Problem != nil:
		isWrong := r.New.Problem.Cause == observe.CauseUnusable || r.New.Problem.Cause == observe.CauseAuth
		return l.not(CodeBaselineBlind, isWrong, "prometheus %s: %s", g.Name, r.New.Problem.Message)
	case isBeyond(g, r.New.Number):
		return l.not(CodeBaselineBad, true, "prometheus %s: what runs now is out of its limits already: %s", g.Name, l.mem.metrics[i].text(g))
	}
	return nil
}
