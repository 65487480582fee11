package reconcile

import (
	"fmt"
	"slices"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// countProbes takes this look's samples into the memory: failures in a row for
// the hard trigger, and requests that may fill the minimum evidence.
func (l *look) countProbes() {
	g := l.in.Target.Gates.HTTP
	if g == nil {
		return
	}
	for i := range l.in.Observed.Probes.Samples {
		s := &l.in.Observed.Probes.Samples[i]
		t := at(l.mem.tracked, i, s.Container)
		if t == nil || t.isLeaving {
			continue
		}
		t.probed = s.At
		if t.running.IsZero() {
			continue
		}
		if isGood(g, s) {
			t.failures, t.answered = 0, true
			l.countSynthetic(t, 0)
			continue
		}
		t.failures++
		if t.answered || t.wasHealthy {
			l.countSynthetic(t, 1)
		}
	}
}

func (l *look) countSynthetic(t *tracked, failures int64) {
	if l.mem.rollout == "" || t.version != l.svc().Launch.Version {
		return
	}
	l.mem.lb.synthetic++
	l.mem.lb.syntheticFailures += failures
}

// isGood says whether an answer is one the target accepts.
func isGood(g *desired.HTTPGate, s *observe.Sample) bool {
	if s.Status == 0 {
		return false
	}
	if len(g.Statuses) > 0 {
		return slices.Contains(g.Statuses, s.Status)
	}
	return s.Status >= 200 && s.Status < 400
}

// controlFails says that the old version fails its probes as well: then the
// network between here and there is to blame, or something both need (H23).
func (l *look) controlFails() bool {
	controls, failing := 0, 0
	for i := range l.svc().Containers {
		c := &l.svc().Containers[i]
		t := &l.mem.tracked[i]
		if t.isLeaving || l.isNew(c) || !isRunning(c) || c.LaunchName != "" || t.probed.IsZero() {
			continue
		}
		controls++
		if t.failures > 0 {
			failing++
		}
	}
	return controls > 0 && failing == controls
}

// probeGap is how old a sample may be and still count as now.
func (l *look) probeGap() time.Duration {
	g := l.in.Target.Gates.HTTP
	return 2*max(g.Every.Duration, l.in.Target.Rollout.Look.Duration) + g.Timeout.Duration
}

func (l *look) lastProbe(container string) string {
	samples := l.in.Observed.Probes.Samples
	for i := len(samples) - 1; i >= 0; i-- {
		s := &samples[i]
		if s.Container != container {
			continue
		}
		if s.Error != "" {
			return s.Error
		}
		return fmt.Sprintf("status %d in %s", s.Status, s.Latency.Round(time.Millisecond))
	}
	return ""
}
