package reconcile

import (
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// measured is a paper world with one query of the Prometheus gate, whose value
// for an image's letter is in values; a letter that is not there has none.
func measured(g desired.PrometheusGate) (p *paper, values map[string]float64) {
	p = newPaper()
	for i := range p.containers {
		p.containers[i].ImageID = ""
	}
	g.Name, g.Server, g.Every, g.StaleAfter, g.FailureThreshold = "errors", "main", desired.Seconds(4), desired.Seconds(60), 3
	p.target.Gates.Prometheus = []desired.PrometheusGate{g}
	values = map[string]float64{"a": 1, "b": 1}
	value := func(letter string) observe.Value {
		if v, ok := values[letter]; ok {
			return observe.Value{Number: v}
		}
		return observe.Value{Problem: &observe.Problem{Cause: observe.CausePending, Message: "the query gives no value"}}
	}
	var last observe.Metric
	p.measure = func() []observe.Metric {
		if p.now.Sub(last.At) < 4*time.Second {
			return []observe.Metric{last}
		}
		last = observe.Metric{Name: "errors", At: p.now, New: value(p.newest())}
		if old := p.oldest(); old != "" && g.MaxRatio != nil {
			v := value(old)
			last.Old = &v
		}
		return []observe.Metric{last}
	}
	return p, values
}

func TestValueOutOfItsLimitsTakesAVersionBack(t *testing.T) {
	for name, c := range map[string]struct {
		gate desired.PrometheusGate
		bad  float64
		text string
	}{
		"above max":       {desired.PrometheusGate{Max: ptr(2.0)}, 2.5, "2.5, at most 2"},
		"below min":       {desired.PrometheusGate{Min: ptr(0.5)}, 0.25, "0.25, at least 0.5"},
		"above the ratio": {desired.PrometheusGate{MaxRatio: ptr(1.5)}, 1.6, "1.6, at most 1.5 times the old version's 1"},
	} {
		p, values := measured(c.gate)
		p.until(t, inBake)
		values["b"] = c.bad
		begun := p.now
		d := p.until(t, ended)
		f := finding(t, d, "prometheus errors")
		if d.Action != Rollback || f.Code != CodeMetricOut || f.Failures != 3 || !strings.Contains(d.Reason, c.text) {
			t.Errorf("%s: %s: %s, want a rollback with %q", name, d.Action, d.Reason, c.text)
		}
		// Three values, one every 4 s; the same value counts once.
		if took := p.now.Sub(begun); took < 8*time.Second || took > 14*time.Second {
			t.Errorf("%s: taken back after %v, want three values", name, took)
		}
	}
}

func TestGoodValueFinishes(t *testing.T) {
	for name, g := range map[string]desired.PrometheusGate{
		"limits":                  {Max: ptr(2.0), Min: ptr(0.5)},
		"ratio":                   {MaxRatio: ptr(1.5)},
		"twice next to nothing":   {MaxRatio: ptr(0.5), IgnoreBelow: 1},
		"ratio and its own limit": {MaxRatio: ptr(1.0), Max: ptr(1.0)},
	} {
		p, _ := measured(g)
		d := p.until(t, ended)
		if f := finding(t, d, "prometheus errors"); d.Action != FinishUpgrade || f.Verdict != Pass || f.Code != CodeMetricGood {
			t.Errorf("%s: %s: %s %s", name, d.Action, f.Verdict, f.Text())
		}
	}
}

// A reading is repeated at every look until the next is due; it counts once.
func TestRepeatedReadingCountsOnce(t *testing.T) {
	p, values := measured(desired.PrometheusGate{Max: ptr(2.0)})
	p.until(t, inBake)
	values["b"] = 9
	p.run(4*time.Second, func(Decision) {})
	bad := p.measure()
	p.measure = func() []observe.Metric { return bad }
	p.target.Gates.Prometheus[0].Every = desired.Seconds(60)
	p.history.Rollout.Policy.Gates.Prometheus = p.target.Gates.Prometheus
	p.run(20*time.Second, func(d Decision) {
		if d.Action != NoAction {
			t.Fatalf("decided %s: %s", d.Action, d.Reason)
		}
	})
	if f := finding(t, p.last, "prometheus errors"); f.Verdict != Hold || f.Failures > 2 {
		t.Errorf("one bad value, repeated: %s %s", f.Verdict, f.Text())
	}
}

// A single value out of its limits is an outlier; the bake waits for a good one.
func TestSingleOutlierHolds(t *testing.T) {
	p, values := measured(desired.PrometheusGate{Max: ptr(2.0)})
	p.until(t, inBake)
	values["b"] = 9
	p.run(4*time.Second, func(Decision) {})
	if f := finding(t, p.last, "prometheus errors"); f.Verdict != Hold || f.Code != CodeMetricOut {
		t.Errorf("one outlier: %s %s, want Hold", f.Verdict, f.Text())
	}
	values["b"] = 1
	if d := p.until(t, ended); d.Action != FinishUpgrade {
		t.Errorf("after one outlier: %s %s", d.Action, d.Reason)
	}
}

func TestNoValueIsNoData(t *testing.T) {
	p, values := measured(desired.PrometheusGate{Max: ptr(2.0)})
	p.until(t, inBake)
	delete(values, "b")
	p.run(2*time.Minute, func(d Decision) {
		if d.Action != NoAction {
			t.Fatalf("decided %s: %s", d.Action, d.Reason)
		}
	})
	f := finding(t, p.last, "prometheus errors")
	if f.Verdict != NoData || f.Covered || !strings.Contains(f.Text(), "gives no value") {
		t.Errorf("no value: %s (covered %t) %s", f.Verdict, f.Covered, f.Text())
	}
	values["b"] = 1
	if d := p.until(t, ended); d.Action != FinishUpgrade {
		t.Errorf("when it has a value again: %s %s", d.Action, d.Reason)
	}
}

// A reading that is repeated and repeated is old news, even when it is good.
func TestValueThatIsNotAskedForAgainIsNoData(t *testing.T) {
	p, _ := measured(desired.PrometheusGate{Max: ptr(2.0)})
	p.until(t, inBake)
	stuck := p.measure()
	p.measure = func() []observe.Metric { return stuck }
	p.run(30*time.Second, func(Decision) {})
	if f := finding(t, p.last, "prometheus errors"); f.Verdict != NoData || !strings.Contains(f.Text(), "not asked lately") {
		t.Errorf("stuck: %s %s", f.Verdict, f.Text())
	}
}

// What is out of its limits for the old version as well is not the new one's
// fault.
func TestValueOutForBothBlamesNobody(t *testing.T) {
	p, values := measured(desired.PrometheusGate{Max: ptr(2.0), MaxRatio: ptr(10.0)})
	p.until(t, func(d Decision) bool { return d.Phase == Upgrading })
	p.stalled = true
	values["a"], values["b"] = 5, 6
	p.run(time.Minute, func(d Decision) {
		if d.Action != NoAction {
			t.Fatalf("decided %s: %s", d.Action, d.Reason)
		}
	})
	if f := finding(t, p.last, "prometheus errors"); f.Verdict != Hold || f.Code != CodeMetricShared {
		t.Errorf("both out: %s %s", f.Verdict, f.Text())
	}
	values["a"] = 1
	p.run(8*time.Second, func(Decision) {})
	if p.last.Action != Rollback && p.state != observe.StateRollingBack && p.history.Last == nil {
		t.Errorf("only the new one out: %s %s", p.last.Action, p.last.Reason)
	}
}

func TestStartNeedsAValueWithinItsLimits(t *testing.T) {
	for name, c := range map[string]struct {
		value float64
		has   bool
		code  Code
	}{"none": {0, false, CodeBaselineBlind}, "out already": {3, true, CodeBaselineBad}} {
		p, values := measured(desired.PrometheusGate{Max: ptr(2.0)})
		if values["a"] = c.value; !c.has {
			delete(values, "a")
		}
		d := p.until(t, func(d Decision) bool { return d.Phase == Preflight })
		p.run(30*time.Second, func(Decision) {})
		if d.Code != c.code || len(p.acted) != 0 {
			t.Errorf("%s: %s %s, did %v", name, d.Code, d.Reason, p.acted)
		}
	}
}

// In the bake no old container serves; the old version's last value stays.
func TestRatioRemembersTheOldVersion(t *testing.T) {
	p, values := measured(desired.PrometheusGate{MaxRatio: ptr(2.0)})
	values["a"] = 0.5
	p.until(t, inBake)
	delete(values, "a")
	values["b"] = 1.1
	if d := p.until(t, ended); d.Action != Rollback || !strings.Contains(d.Reason, "2 times the old version's 0.5") {
		t.Errorf("%s: %s", d.Action, d.Reason)
	}
	p, values = measured(desired.PrometheusGate{MaxRatio: ptr(2.0)})
	p.until(t, inBake)
	p.memory = Memory{} // A restart of Drover in the bake.
	delete(values, "a")
	p.run(20*time.Second, func(Decision) {})
	if f := finding(t, p.last, "prometheus errors"); f.Verdict != NoData || f.Code != CodeNoOldValue {
		t.Errorf("nothing known of the old version: %s %s", f.Verdict, f.Text())
	}
}
