package ranchersim

import (
	"context"
)

// create registers a service; it becomes inactive, and active from there when asked for.
func (s *Server) create(ctx context.Context, p *process) error {
	if !s.sleep(ctx, registerTime/5) {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	if p.service.secondaries == nil {
		p.service.secondaries = []map[string]any{}
		s.touchService(p.service)
	}
	s.mu.Unlock()
	if !s.sleep(ctx, registerTime*4/5) {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.linkTargets(p.service)
	s.bus.touch(kindStack, p.service.stack.id)
	return nil
}

// activate creates and starts the containers. It waits for them to run, not for their health.
func (s *Server) activate(ctx context.Context, p *process) error {
	return s.whole(p, "Activating service", func() error { return s.reconcileAndCount(ctx, p) })
}

// update acts on a change of scale or the like, and repairs an active service.
func (s *Server) update(ctx context.Context, p *process) error {
	return s.whole(p, "Updating service", func() error {
		if !s.sleep(ctx, stepTime) {
			return context.Cause(ctx)
		}
		return s.reconcileAndCount(ctx, p)
	})
}

// reconcileAndCount recomputes currentScale as only activate and update do (ServiceUpdateActivate#handle).
func (s *Server) reconcileAndCount(ctx context.Context, p *process) error {
	s.allocatePorts(p.service)
	if err := s.reconcile(ctx, p, "service."+p.name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.linkTargets(p.service)
	n := 0
	for _, i := range p.service.instances {
		if i.config == primaryConfig && !i.upgraded && i.state != stateError && i.state != stateRemoving {
			n++
		}
	}
	if isServing(p.service.state) {
		p.service.currentScale = n
	}
	return nil
}

// deactivate stops the containers without waiting for them.
func (s *Server) deactivate(ctx context.Context, p *process) error {
	return s.whole(p, "Deactivating service", func() error {
		s.mu.Lock()
		for _, i := range p.service.instances {
			if i.state != stateStopped && i.state != stateRemoving && i.state != stateError {
				s.halt(i)
			}
		}
		s.mu.Unlock()
		s.sleep(ctx, stepTime)
		return nil
	})
}

// removeService takes the containers away and then the service.
func (s *Server) removeService(ctx context.Context, p *process) error {
	return s.whole(p, "Removing service", func() error {
		s.mu.Lock()
		all := append([]*instance(nil), p.service.instances...)
		p.service.units = nil
		s.mu.Unlock()
		s.removeInstances(ctx, all)
		s.sleep(ctx, settleTime)
		return nil
	})
}

// upgrade shows the posted strategy and runs the loop. It also continues a canceled upgrade.
func (s *Server) upgrade(ctx context.Context, p *process) error {
	if p.executions == 1 && !s.sleep(ctx, upgradeVisible) {
		return context.Cause(ctx)
	}
	s.showUpgrade(p)
	return s.whole(p, "Upgrading service", func() error {
		s.sleep(ctx, upgradeBegins)
		return s.roll(ctx, p, true)
	})
}

// showUpgrade writes the upgrade field: it happens when the process starts, not in the POST (ServiceUpgrade#handle).
func (s *Server) showUpgrade(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	svc := p.service
	if svc.pending != nil && svc.process == p {
		svc.upgrade, svc.pending = svc.pending, nil
		s.touchService(svc)
	}
}

// roll runs the loop of the upgrade under way.
func (s *Server) roll(ctx context.Context, p *process, forward bool) error {
	s.mu.RLock()
	r, err := s.newRollout(p, forward)
	s.mu.RUnlock()
	if err != nil || r == nil {
		return err
	}
	return r.run(ctx)
}

// finishUpgrade runs the whole loop once more, with its waits for health, and only then deletes the old containers.
// So it hangs while a new container is not healthy; cancelupgrade is the way out.
func (s *Server) finishUpgrade(ctx context.Context, p *process) error {
	return s.whole(p, "Finishing upgrade", func() error {
		if err := s.roll(ctx, p, true); err != nil {
			return err
		}
		if err := s.faults.stall(ctx, FaultStallFinish, s, p); err != nil {
			return err
		}
		s.removeMarked(ctx, p.service)
		return s.reconcile(ctx, p, "service.finishupgrade")
	})
}

// rollback runs the loop towards the previous configurations, without waiting for health, and deletes what is left.
func (s *Server) rollback(ctx context.Context, p *process) error {
	return s.whole(p, "Rolling back service", func() error {
		if err := s.faults.stall(ctx, FaultStallRollback, s, p); err != nil {
			return err
		}
		if err := s.roll(ctx, p, false); err != nil {
			return err
		}
		s.removeMarked(ctx, p.service)
		return s.reconcile(ctx, p, "service.rollback")
	})
}

func (s *Server) removeMarked(ctx context.Context, svc *service) {
	s.mu.RLock()
	var marked []*instance
	for _, i := range svc.instances {
		if i.upgraded {
			marked = append(marked, i)
		}
	}
	s.mu.RUnlock()
	if len(marked) > 0 {
		s.removeInstances(ctx, marked)
		s.sleep(ctx, removedTime)
	}
}

// restart stops and starts the same containers in batches, waiting for the health of all before each
// (UpgradeManagerImpl#restart).
func (s *Server) restart(ctx context.Context, p *process) error {
	s.mu.RLock()
	strategy, _ := p.input["rollingRestartStrategy"].(map[string]any)
	r := &rollout{
		s: s, p: p, svc: p.service, forward: true, batchSize: max(number(strategy["batchSize"], 1), 1),
		interval: millis(strategy["intervalMillis"], 2000), target: map[string]string{},
	}
	r.target[primaryConfig] = text(p.service.launchConfig["version"])
	for _, c := range p.service.secondaries {
		r.target[text(c["name"])] = text(c["version"])
	}
	units := append([]*unit(nil), p.service.units...)
	s.mu.RUnlock()
	return s.whole(p, "Restarting service", func() error { return r.restart(ctx, units) })
}

func (r *rollout) restart(ctx context.Context, units []*unit) error {
	for len(units) > 0 {
		if err := r.waitHealthy(ctx); err != nil {
			return err
		}
		batch := units[:min(r.batchSize, len(units))]
		units = units[len(batch):]
		var list []*instance
		r.s.mu.RLock()
		for _, u := range batch {
			list = append(list, r.svc.unitInstances(u)...)
		}
		r.s.mu.RUnlock()
		if err := r.s.stopAndWait(ctx, r.svc, list); err != nil {
			return err
		}
		if err := r.reconcile(ctx, ""); err != nil {
			return err
		}
		if len(units) > 0 {
			if err := r.s.pause(ctx, r.p, r.interval); err != nil {
				return err
			}
		}
	}
	return nil
}
