package reconcile

import (
	"fmt"
	"slices"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// probeMemory is what the gates that probe remember. The lists are in the order of
// Memory.tracked, and nil while no target of theirs is configured.
type probeMemory struct {
	http, tcp []probed
	// latency compares answering times; nil while nothing was measured. It is
	// copied before it is written to.
	latency *latencies
}

// probed is what is remembered of one container's probes of one kind.
type probed struct {
	// at is when the last sample was taken.
	at time.Time
	// failures are failed probes in a row; answered says that one succeeded.
	failures int
	answered bool
}

// keepProbes brings a list into the order of the containers of this look.
func (l *look) keepProbes(list []probed, before []tracked, isWanted bool) []probed {
	if !isWanted {
		return nil
	}
	next := make([]probed, len(l.mem.tracked))
	if len(list) != len(before) {
		return next // The memory is from zero.
	}
	for i := range next {
		if old := indexOf(before, i, l.mem.tracked[i].id); old >= 0 {
			next[i] = list[old]
		}
	}
	return next
}

// countProbes takes this look's samples into the memory: failures in a row for
// the hard trigger, answering times, and requests that may fill the minimum
// evidence.
func (l *look) countProbes() {
	if g := l.in.Target.Gates.HTTP; g != nil {
		l.countHTTP(g)
	}
	if l.in.Target.Gates.TCP != nil {
		for i := range l.in.Observed.TCP.Samples {
			s := &l.in.Observed.TCP.Samples[i]
			l.countSample(l.mem.probes.tcp, i, s, s.Error == "")
		}
	}
}

func (l *look) countHTTP(g *desired.HTTPGate) {
	var times timings
	for i := range l.in.Observed.Probes.Samples {
		s := &l.in.Observed.Probes.Samples[i]
		isGood := isGood(g, s)
		n := l.countSample(l.mem.probes.http, i, s, isGood)
		if n < 0 {
			continue
		}
		t := &l.mem.tracked[n]
		switch {
		case isGood:
			l.countSynthetic(t, 0)
			times.note(l, g, t, s)
		case l.mem.probes.http[n].answered || t.wasHealthy:
			l.countSynthetic(t, 1)
		}
	}
	times.keep(l)
}

// countSample notes whether a sample was good, and says whose it was: the index
// of a container that runs, or -1.
func (l *look) countSample(list []probed, hint int, s *observe.Sample, isGood bool) int {
	n := indexOf(l.mem.tracked, hint, s.Container)
	if n < 0 || l.mem.tracked[n].isLeaving {
		return -1
	}
	p := &list[n]
	p.at = s.At
	if l.mem.tracked[n].running.IsZero() {
		return -1
	}
	if isGood {
		p.failures, p.answered = 0, true
	} else {
		p.failures++
	}
	return n
}

func (l *look) countSynthetic(t *tracked, failures int64) {
	if l.mem.rollout == "" || t.version != l.svc().Launch.Version {
		return
	}
	m := l.traffic()
	m.synthetic++
	m.syntheticFailures += failures
}

// isGood says whether an answer is one the target accepts.
func isGood(g *desired.HTTPGate, s *observe.Sample) bool {
	switch {
	case s.Status == 0, s.Unmet != "":
		return false
	case len(g.Statuses) > 0:
		return slices.Contains(g.Statuses, s.Status)
	}
	return s.Status >= 200 && s.Status < 400
}

// isShortOfEvidence says that the load balancer gate has seen too little of the
// new version to pass, and that probes are to fill what is missing.
func (l *look) isShortOfEvidence() bool {
	lb, probe := l.in.Target.Gates.LoadBalancer, l.in.Target.Gates.HTTP
	return l.r != nil && lb != nil && probe != nil && probe.EvidenceRate > 0 && *lb.ProbesCount && l.mem.counted().fresh.Requests+l.mem.counted().synthetic < int64(lb.MinRequests)
}

// prober is one kind of probe, for the judge: what is configured, what was read
// and what is remembered.
type prober struct {
	gate           string
	every, timeout time.Duration
	threshold      int
	readings       observe.Probes
	list           []probed
}

// controlFails says that the old version fails its probes as well: then the
// network between here and there is to blame, or something both need (H23).
func (l *look) controlFails(p *prober) bool {
	controls, failing := 0, 0
	for i := range l.svc().Containers {
		c := &l.svc().Containers[i]
		if l.mem.tracked[i].isLeaving || l.isNew(c) || !isRunning(c) || c.LaunchName != "" || p.list[i].at.IsZero() {
			continue
		}
		controls++
		if p.list[i].failures > 0 {
			failing++
		}
	}
	return controls > 0 && failing == controls
}

// isFresh says that a container was probed lately enough to count as now.
func (l *look) isFresh(p *prober, i int) bool {
	gap := 2*max(p.every, l.in.Target.Rollout.Look.Duration) + p.timeout
	return !p.list[i].at.IsZero() && l.in.Now.Sub(p.list[i].at) <= gap
}

// last is the last sample of a container in this look, in words.
func (p *prober) last(container string) string {
	for i := len(p.readings.Samples) - 1; i >= 0; i-- {
		s := &p.readings.Samples[i]
		if s.Container != container {
			continue
		}
		switch {
		case s.Error != "":
			return s.Error
		case s.Unmet != "":
			return fmt.Sprintf("status %d in %s, but %s", s.Status, s.Latency.Round(time.Millisecond), s.Unmet)
		}
		return fmt.Sprintf("status %d in %s", s.Status, s.Latency.Round(time.Millisecond))
	}
	return ""
}
