package ranchersim

import (
	"context"
	"time"
)

// beginHealth sets the health state of a container that starts. The caller holds mu.
func (s *Server) beginHealth(i *instance, first bool) {
	switch {
	case !i.hasHealthCheck():
		i.healthState = ""
	case first:
		i.healthState = healthInitializing
	default:
		i.healthState = healthReinitializing
	}
	i.initSince = time.Now()
}

// checkHealth does what rancher/healthcheck does on a host: it asks the container again and again and reports when
// enough answers in a row agree.
func (s *Server) checkHealth(ctx context.Context, i *instance, generation int, proc Process) {
	hc := i.healthCheck()
	check := HealthCheck{
		Port: number(hc["port"], 0), RequestLine: text(hc["requestLine"]),
		Timeout: millis(hc["responseTimeout"], 2000),
	}
	rise, fall := number(hc["healthyThreshold"], 2), number(hc["unhealthyThreshold"], 3)
	interval := millis(hc["interval"], 2000)
	up, down := 0, 0
	for {
		if s.isReachable(i) && s.askOnce(ctx, proc, check) {
			up, down = up+1, 0
		} else {
			up, down = 0, down+1
		}
		if ctx.Err() != nil {
			return
		}
		if s.isDown() {
			up, down = 0, 0 // Nobody takes a report.
		}
		if up == rise || down == fall {
			s.update1(i, generation, func() { s.report(i, up == rise) })
		}
		if !s.sleep(ctx, interval) {
			return
		}
	}
}

// isReachable tells whether a container's host is on the network: a health checker of another host asks it.
func (s *Server) isReachable(i *instance) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return i.host == nil || i.host.state != stateReconnecting
}

func (s *Server) askOnce(ctx context.Context, proc Process, check HealthCheck) bool {
	ctx, cancel := context.WithTimeout(ctx, check.Timeout)
	defer cancel()
	return proc.Check(ctx, check)
}

// millis reads a number of milliseconds; missing stands for absent and for less than one.
func millis(v any, missing int) time.Duration {
	n := number(v, missing)
	if n < 1 {
		n = missing
	}
	return time.Duration(n) * time.Millisecond
}

// ReportHealth is a health checker's report about a container, such as 1i7. It is false when there is no such running
// container with a health check.
func (s *Server) ReportHealth(containerID string, up bool) bool {
	id, ok := parseID(containerID)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.instances[id]
	if !ok || i == nil || i.state != stateRunning || !i.hasHealthCheck() {
		return false
	}
	s.report(i, up)
	return true
}

// report takes a verdict in. Unhealthy is ignored while a container is initializing: it never turns unhealthy before
// it was healthy once (HealthcheckServiceImpl#shouldUpdate). The caller holds mu.
func (s *Server) report(i *instance, up bool) {
	to := healthUnhealthy
	if up {
		to = healthHealthy
	}
	if i.healthState == to || i.healthState == healthUpdating+to || !up && i.isInitializing() {
		return
	}
	generation := i.generation
	i.healthState = healthUpdating + to
	s.touchInstance(i)
	s.spawn(func(ctx context.Context) {
		s.sleep(ctx, reportTime)
		s.update1(i, generation, func() {
			if i.healthState == healthUpdating+to {
				s.setHealth(i, to)
			}
		})
	})
}

// setHealth records a health state and what follows from it. The caller holds mu.
func (s *Server) setHealth(i *instance, health string) {
	i.healthState = health
	s.touchInstance(i)
	i.service.signal()
	s.healthSoon(i.service)
	s.changedContainers()
	s.trigger(i.service)
}

// healthSoon works out the service's healthState and shows it in a moment: the stack-reconcile item takes as long. What
// happens in between counts the next time. The caller holds mu.
func (s *Server) healthSoon(svc *service) {
	health := s.serviceHealth(svc)
	if health == svc.healthNext {
		return
	}
	svc.healthNext = health
	s.spawn(func(ctx context.Context) {
		s.sleep(ctx, healthLag)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.showHealth(svc, health)
	})
}

func (s *Server) showHealth(svc *service, health string) {
	if health != svc.healthState {
		svc.healthState = health
		s.touchService(svc)
		s.bus.touch(kindStack, svc.stack.id)
	}
	svc.stack.healthState = s.stackHealth(svc.stack)
}

// serviceHealth is ServiceDiscoveryServiceImpl#calculateServiceHealthState. Marked containers do not count, so during
// an upgrade it speaks of the rest only. The caller holds mu.
func (s *Server) serviceHealth(svc *service) string {
	if svc.kind != "service" && svc.kind != "loadBalancerService" {
		return healthHealthy
	}
	if !isServing(svc.state) {
		return healthUnhealthy
	}
	t := s.tally(svc)
	switch {
	case t.all > 0 && t.startedOnce == t.all:
		return "started-once"
	case svc.isGlobal() && t.all > 0 && t.healthy >= t.all, !svc.isGlobal() && t.healthy >= t.expected:
		return healthHealthy
	case t.initializing > 0:
		return healthInitializing
	case t.healthy > 0:
		return "degraded"
	default:
		return healthUnhealthy
	}
}

type tally struct{ all, healthy, initializing, startedOnce, expected int }

func (s *Server) tally(svc *service) tally {
	t := tally{expected: s.wantedUnits(svc) * len(svc.configNames())}
	if !svc.hasContainers() {
		t.expected = 0
	}
	for _, i := range svc.instances {
		if !i.managed || i.state == stateRemoving || i.state == stateError || svc.isGlobal() && (i.host == nil || !i.host.active()) {
			continue
		}
		t.all++
		switch {
		case i.state == stateRunning && i.isInitializing():
			t.initializing++
		case i.state == stateRunning && i.isHealthy():
			t.healthy++
		case i.state == stateStopped && i.startsOnce() && i.startCount > 0:
			t.healthy++
			t.startedOnce++
		}
	}
	return t
}

// stackHealth aggregates services as a service does containers: one that initializes outweighs one that is degraded
// (calculateStackHealthState). The caller holds mu.
func (s *Server) stackHealth(st *stack) string {
	count := map[string]int{}
	all := 0
	for _, svc := range s.services {
		if svc.stack == st && svc.removed.IsZero() {
			count[svc.healthState]++
			all++
		}
	}
	switch {
	case count[healthHealthy]+count["started-once"] == all:
		return healthHealthy
	case count[healthInitializing] > 0:
		return healthInitializing
	case count[healthHealthy]+count["started-once"]+count["degraded"] > 0:
		return "degraded"
	default:
		return healthUnhealthy
	}
}

// removeOverdue takes away containers that initialize for longer than their timeout; without one they may for ever.
func (s *Server) removeOverdue() {
	s.mu.Lock()
	var overdue []*instance
	for _, svc := range s.services {
		for _, i := range svc.instances {
			if s.isOverdue(i) {
				overdue = append(overdue, i)
			}
		}
	}
	s.mu.Unlock()
	if len(overdue) == 0 {
		return
	}
	s.spawn(func(ctx context.Context) {
		s.removeInstances(ctx, overdue)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, i := range overdue {
			s.trigger(i.service)
		}
	})
}

func (s *Server) isOverdue(i *instance) bool {
	field := "initializingTimeout"
	if i.healthState == healthReinitializing {
		field = "reinitializingTimeout"
	}
	timeout := millis(i.healthCheck()[field], 0)
	// Whether it runs is not asked: an old container that an upgrade stopped while it initialized goes as well (recorded).
	lives := i.state == stateRunning || i.state == stateStopped
	return timeout > 0 && lives && i.isInitializing() && time.Since(i.initSince) > s.scaled(timeout)
}

// trigger has an active service looked at again, and repaired by an update when something is wrong with it. In every
// other state nothing happens: upgraded does not heal itself. The caller holds mu.
func (s *Server) trigger(svc *service) {
	if svc.triggered {
		return
	}
	svc.triggered = true
	s.spawn(func(ctx context.Context) {
		s.sleep(ctx, triggerDelay)
		s.mu.Lock()
		svc.triggered = false
		active := svc.state == stateActive || svc.state == stateUpdatingActive
		c := s.takeCensus(svc)
		repair := active && svc.process == nil && !c.idle() && s.hasActiveHost(svc.project)
		if repair {
			s.schedule(svc, "update")
		}
		s.mu.Unlock()
		if active && !repair {
			s.logTrigger(svc, c)
		}
	})
}

func (s *Server) logTrigger(svc *service, c census) {
	s.mu.Lock()
	p := &process{name: "trigger", service: svc, transaction: s.uuid()}
	s.mu.Unlock()
	_ = s.whole(p, "Re-evaluating state", func() error {
		s.info(p, "service.trigger.info", c.String())
		s.info(p, "service.trigger.info", "Service already reconciled")
		return nil
	})
}
