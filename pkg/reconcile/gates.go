package reconcile

import (
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// judge asks every gate the target has. A gate is a function of the look: it reads
// one kind of evidence, keeps what it counts in the look's memory, and does not
// know the other gates.
func (l *look) judge() []Finding {
	g := &l.in.Target.Gates
	findings := make([]Finding, 0, 2+len(g.Prometheus))
	if g.Health != nil {
		findings = append(findings, judgeHealth(l))
	}
	if g.LoadBalancer != nil {
		findings = append(findings, judgeLoadBalancer(l))
	}
	if g.HTTP != nil {
		findings = append(findings, judgeHTTP(l))
	}
	if g.TCP != nil {
		findings = append(findings, judgeTCP(l))
	}
	if g.Logs != nil {
		findings = append(findings, judgeLogs(l))
	}
	for i := range g.Prometheus {
		findings = append(findings, judgePrometheus(l, i))
	}
	for _, name := range l.checks() {
		findings = append(findings, judgeCheck(l, name))
	}
	return findings
}

// judgeHealth is Rancher's own view of the new containers: healthy by the
// deadline, healthy for long enough, and no churn.
func judgeHealth(l *look) Finding {
	g := l.in.Target.Gates.Health
	f := Finding{Gate: "health", Verdict: Pass, Code: CodeHealthy, Covered: l.svc().ContainersProblem == nil, For: -1}
	allowed := 0
	if g.MaxRestarts != nil {
		allowed = *g.MaxRestarts
	}
	restarts := l.mem.replaced
	var latest time.Time
	for i := range l.svc().Containers {
		c, t, k := &l.svc().Containers[i], &l.mem.tracked[i], l.rows.of(i).kind
		if k.has(leaving) || !k.has(fresh) {
			continue
		}
		f.Containers++
		// A container's first start is no restart; the count is Rancher's, so it
		// survives a restart of Drover.
		restarts += max(0, c.StartCount-1)
		if k.has(healthy) {
			if f.Healthy++; t.healthy.After(latest) {
				latest = t.healthy
			}
			continue
		}
		f.Covered = false
		if bad := l.judgeUnwell(c, t); bad != nil {
			return *bad
		}
	}
	if f.Healthy > 0 {
		f.For = l.in.Now.Sub(latest)
	}
	if bad, ok := l.judgeDeadEnd(); ok {
		return bad
	}
	switch {
	case restarts > allowed:
		return Finding{Gate: f.Gate, Verdict: Fail, Code: CodeRestarts, Failures: int64(restarts), Needed: int64(allowed), Detail: plainly(l.svc().TransitioningMessage)}
	case l.svc().ContainersProblem != nil:
		f.Verdict, f.Code, f.Detail = NoData, CodeSourceProblem, l.svc().ContainersProblem.Message
	case f.Containers == 0:
		f.Verdict, f.Code, f.Detail = Hold, CodeNoContainer, plainly(l.svc().TransitioningMessage)
	case f.Healthy < f.Containers || f.For < g.MinHealthyTime.Duration:
		f.Verdict, f.Code = Hold, CodeBecoming
	}
	return f
}

// judgeUnwell says what is wrong with a container that is not healthy, if anything
// is.
func (l *look) judgeUnwell(c *observe.Container, t *tracked) *Finding {
	const gate = "health"
	if !t.lostAt.IsZero() && l.in.Now.Sub(t.lostAt) < l.in.Target.Gates.Health.Deadline.Duration {
		return &Finding{Gate: gate, Verdict: Hold, Code: CodeHostLost, Container: c.Name}
	}
	// Initializing is before the first health and never after it: such a look is older
	// than another (A12).
	if t.wasHealthy && c.Health != "initializing" {
		return &Finding{Gate: gate, Verdict: Fail, Code: CodeBecameUnhealthy, Container: c.Name, Detail: plainly(c.Message)}
	}
	if waited := l.in.Now.Sub(t.seen); waited >= l.in.Target.Gates.Health.Deadline.Duration {
		return &Finding{Gate: gate, Verdict: Fail, Code: CodeNotHealthyYet, Container: c.Name, For: waited, Detail: plainly(c.Message)}
	}
	return nil
}

// judgeHTTP is the probe of each new container at its own address, with the old
// ones as control, and the comparison of their answering times.
func judgeHTTP(l *look) Finding {
	g := l.in.Target.Gates.HTTP
	l.compareLatency(g)
	f := l.judgeProbes(&prober{
		gate: "http", every: g.Every.Duration, timeout: g.Timeout.Duration, threshold: g.FailureThreshold,
		readings: l.in.Observed.Probes, list: l.mem.probes.http,
	})
	if m := l.mem.probes.latency; f.Verdict == Pass && m != nil && m.slower != "" {
		f.Verdict, f.Code, f.Detail = Hold, CodeSlower, m.slower
	}
	return f
}

// judgeTCP is a connection to each new container at its own address.
func judgeTCP(l *look) Finding {
	g := l.in.Target.Gates.TCP
	return l.judgeProbes(&prober{
		gate: "tcp", every: g.Every.Duration, timeout: g.Timeout.Duration, threshold: g.FailureThreshold,
		readings: l.in.Observed.TCP, list: l.mem.probes.tcp,
	})
}

func (l *look) judgeProbes(p *prober) Finding {
	f := Finding{Gate: p.gate, Verdict: Pass, Code: CodeAnswers, Covered: true, Limit: float64(p.threshold)}
	if problem := p.readings.Problem; problem != nil {
		return Finding{Gate: p.gate, Verdict: NoData, Code: CodeSourceProblem, Detail: problem.Message}
	}
	isBlind := l.controlFails(p)
	for i := range l.svc().Containers {
		c := &l.svc().Containers[i]
		if l.mem.tracked[i].isLeaving || !l.isNew(c) || c.LaunchName != "" {
			continue
		}
		f.Containers++
		isFresh := l.isFresh(p, i)
		if p.list[i].answered && p.list[i].failures == 0 && isFresh {
			f.Healthy++
			continue
		}
		f.Covered = f.Covered && p.list[i].failures == 0 && isFresh
		if bad := l.judgeProbed(p, i, isBlind); bad != nil {
			return *bad
		}
	}
	if f.Containers == 0 || f.Healthy < f.Containers {
		f.Verdict, f.Code, f.Covered = NoData, CodeNotProbedYet, false
	}
	return f
}

// judgeProbed says what is wrong with one container's probes.
func (l *look) judgeProbed(p *prober, i int, isBlind bool) *Finding {
	c, t, of := &l.svc().Containers[i], &l.mem.tracked[i], &p.list[i]
	waited := l.in.Now.Sub(t.seen)
	isWarm := of.answered || t.wasHealthy && l.svc().HasHealthCheck
	switch {
	case of.failures < p.threshold:
	case isWarm && isBlind:
		return &Finding{Gate: p.gate, Verdict: NoData, Code: CodeControlFailed, Container: c.Name}
	case isWarm:
		return &Finding{Gate: p.gate, Verdict: Fail, Code: CodeProbeFailed, Container: c.Name, Failures: int64(of.failures), Detail: p.last(c.ID)}
	case waited >= l.in.Target.Gates.Health.Deadline.Duration && !isBlind:
		return &Finding{Gate: p.gate, Verdict: Fail, Code: CodeProbeNever, Container: c.Name, For: waited, Detail: p.last(c.ID)}
	}
	return nil
}

// judgeLogs fails on the first line of a new container that matches, and tells of
// errors that only the new version writes.
func judgeLogs(l *look) Finding {
	logs := &l.in.Observed.Logs
	f := Finding{Gate: "logs", Verdict: Pass, Code: CodeNoPattern, Covered: true, Requests: logs.Lines}
	for i := range logs.Matches {
		m := &logs.Matches[i]
		if m.Count > 0 && l.isNewID(m.Container) {
			return Finding{Gate: "logs", Verdict: Fail, Code: CodePatternSeen, Container: l.nameOf(m.Container), Failures: m.Count, Requests: logs.Lines, Detail: m.Example}
		}
	}
	switch {
	case logs.Problem != nil:
		return Finding{Gate: "logs", Verdict: NoData, Code: CodeSourceProblem, Requests: logs.Lines, Detail: logs.Problem.Message}
	case len(logs.Novel) > 0:
		first := &logs.Novel[0]
		f.Code, f.Failures, f.Needed = CodeNovelErrors, logs.NovelLines, int64(logs.NovelKinds)
		f.Container, f.Detail = l.nameOf(first.Container), first.Example
		if l.in.Target.Gates.Logs.Novelty == desired.NoveltyHold {
			f.Verdict = Hold
		}
	case logs.OldProblem != nil && l.in.Target.Gates.Logs.Novelty == desired.NoveltyHold:
		f.Verdict, f.Code, f.Covered, f.Detail = NoData, CodeOldLogsUnread, false, logs.OldProblem.Message
	case logs.OldProblem != nil:
		f.Detail = "errors are not compared: " + logs.OldProblem.Message
	}
	return f
}
