package ranchersim

import (
	"context"
	"fmt"
	"slices"
)

// census is what reconcile finds: the numbers of its line in the service log.
type census struct {
	requested, created, unhealthy, bad, incomplete int
	surplus                                        []*unit
	broken                                         []*unit // Bad and unhealthy ones, to be replaced.
	stopped                                        []*instance
	missing                                        int
}

func (c census) idle() bool {
	return len(c.surplus)+len(c.broken)+len(c.stopped)+c.missing+c.incomplete == 0
}

func (c census) String() string {
	return fmt.Sprintf("Requested: %d, Created: %d, Unhealthy: %d, Bad: %d, Incomplete: %d",
		c.requested, c.created, c.unhealthy, c.bad, c.incomplete)
}

// reconcile brings a service to the wanted number of complete running units (DeploymentManagerImpl#activate): broken
// units are replaced, missing containers created from the *current* launch configuration, stopped ones started. With
// no active host it does nothing at all, which is how an upgrade can end without a single new container.
func (s *Server) reconcile(ctx context.Context, p *process, prefix string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	svc := p.service
	s.mu.RLock()
	c := s.takeCensus(svc)
	serving := isServing(svc.state)
	skip := !svc.hasContainers() && len(svc.instances) == 0 || !s.hasActiveHost(svc.project)
	s.mu.RUnlock()
	if skip && svc.hasContainers() || !serving {
		return nil
	}
	s.info(p, prefix+".info", c.String())
	if c.idle() {
		s.sleep(ctx, idleTime)
		s.info(p, prefix+".info", "Service already reconciled")
		return nil
	}
	s.removeUnits(ctx, p, c)
	err := s.part(p, prefix+".wait", "Waiting for instances to start", func() error {
		return s.waitForStart(ctx, svc, s.fill(ctx, p))
	})
	if err != nil {
		return err
	}
	s.awaitPublication(ctx)
	s.mu.RLock()
	c = s.takeCensus(svc)
	s.mu.RUnlock()
	s.info(p, prefix+".info", "Service reconciled: "+c.String())
	return nil
}

// takeCensus counts and sorts a service's units. The caller holds mu.
func (s *Server) takeCensus(svc *service) census {
	c := census{requested: s.wantedUnits(svc), created: len(svc.units)}
	if !isServing(svc.state) || !svc.hasContainers() {
		c.requested = 0
	}
	healthyUnits := svc.healthyUnits()
	var whole []*unit
	for _, u := range svc.units {
		switch {
		case svc.isBad(u):
			c.bad++
			c.broken = append(c.broken, u)
		case svc.isUnhealthy(u) && svc.replacesUnhealthy(healthyUnits):
			c.unhealthy++
			c.broken = append(c.broken, u)
		default:
			whole = append(whole, u)
		}
	}
	c.created -= c.bad
	s.compareScale(svc, &c, whole)
	return c
}

// compareScale finds what is missing, too many, incomplete or stopped among the sound units.
func (s *Server) compareScale(svc *service, c *census, whole []*unit) {
	if svc.isGlobal() {
		c.surplus, whole = s.splitByHost(svc, whole)
	} else if extra := len(whole) - c.requested; extra > 0 {
		slices.SortFunc(whole, func(a, b *unit) int { return a.index - b.index })
		c.surplus = slices.Clone(whole[c.requested:])
		whole = whole[:c.requested]
	}
	c.missing = max(c.requested-len(whole), 0)
	if svc.isGlobal() {
		c.missing = s.hostsWithout(svc)
	}
	for _, u := range whole {
		if len(svc.missingConfigs(u)) > 0 {
			c.incomplete++
		}
		for _, i := range svc.unitInstances(u) {
			if i.state == stateStopped && (!i.startsOnce() || i.startCount == 0) {
				c.stopped = append(c.stopped, i)
			}
		}
	}
}

// splitByHost sorts a global service's units into those of hosts that are gone and the others.
func (s *Server) splitByHost(svc *service, units []*unit) (surplus, rest []*unit) {
	for _, u := range units {
		if u.host == nil || u.host.state == stateRemoving || u.host.state == stateRemoved {
			surplus = append(surplus, u)
		} else {
			rest = append(rest, u)
		}
	}
	return surplus, rest
}

// hostsWithout counts the active hosts that have no unit of a global service. Units on hosts that are away stay.
func (s *Server) hostsWithout(svc *service) int {
	n := 0
	for _, h := range s.hosts {
		if isServing(svc.state) && svc.hasContainers() && h.project == svc.project && h.active() && !svc.hasUnitOn(h) {
			n++
		}
	}
	return n
}

// wantedUnits is the scale, or the number of active hosts for a global service. The caller holds mu.
func (s *Server) wantedUnits(svc *service) int {
	if svc.isGlobal() {
		n := 0
		for _, h := range s.hosts {
			if h.project == svc.project && h.active() {
				n++
			}
		}
		return n
	}
	if policy, ok := svc.fields["scalePolicy"].(map[string]any); ok {
		return number(policy["min"], svc.scale)
	}
	return svc.scale
}

func (s *Server) hasActiveHost(p *project) bool {
	for _, h := range s.hosts {
		if h.project == p && h.active() {
			return true
		}
	}
	return false
}

// removeUnits deletes broken and surplus units. A unit that replaces a broken one has another uuid: that is why a
// rollback cannot re-adopt the old container of a unit whose new container was recreated.
func (s *Server) removeUnits(ctx context.Context, p *process, c census) {
	var gone []*instance
	s.mu.Lock()
	for _, u := range append(slices.Clone(c.broken), c.surplus...) {
		for _, i := range p.service.unitInstances(u) {
			s.instanceLog(p, i, "delete", deleteReason(i, slices.Contains(c.surplus, u)), levelOf(i))
			gone = append(gone, i)
		}
		p.service.dropUnit(u)
	}
	s.mu.Unlock()
	if len(gone) > 0 {
		s.removeInstances(ctx, gone)
		s.awaitPublication(ctx)
	}
}

func deleteReason(i *instance, surplus bool) string {
	switch {
	case surplus:
		return "Removing extra service instance"
	case i.state == stateError:
		return "Removing bad service instance: " + i.transMessage
	default:
		return "Removing unhealthy service instance"
	}
}

func levelOf(i *instance) string {
	if i.state == stateError {
		return "error"
	}
	return "info"
}

// fill creates missing units and containers, one after the other, and starts stopped ones; it returns everything that
// has to run.
func (s *Server) fill(ctx context.Context, p *process) []*instance {
	svc := p.service
	s.mu.Lock()
	defer s.mu.Unlock()
	if !isServing(svc.state) {
		return nil
	}
	s.addUnits(svc)
	for _, u := range slices.Clone(svc.units) {
		for _, name := range svc.missingConfigs(u) {
			i := s.newInstance(svc, u, name)
			s.instanceLog(p, i, "create", "Creating extra service instance", "info")
			s.launch(i)
			s.mu.Unlock()
			s.sleep(ctx, creationGap)
			s.mu.Lock()
		}
	}
	var wanted []*instance
	for _, u := range svc.units {
		for _, i := range svc.unitInstances(u) {
			if i.state == stateStopped && (!i.startsOnce() || i.startCount == 0) {
				s.instanceLog(p, i, "start", "Starting stopped instance", "info")
				s.launch(i)
			}
			wanted = append(wanted, i)
		}
	}
	return wanted
}

// addUnits creates the missing units: the lowest free index, for a global service one per active host.
func (s *Server) addUnits(svc *service) {
	if !svc.hasContainers() {
		return
	}
	if svc.isGlobal() {
		for _, id := range sortedIDs(s.hosts) {
			if h := s.hosts[id]; h.project == svc.project && h.active() && !svc.hasUnitOn(h) {
				svc.units = append(svc.units, &unit{uuid: s.uuid(), index: svc.freeIndex(), host: h})
			}
		}
		return
	}
	for len(svc.units) < s.wantedUnits(svc) {
		svc.units = append(svc.units, &unit{uuid: s.uuid(), index: svc.freeIndex()})
	}
}

func (svc *service) hasUnitOn(h *host) bool {
	return slices.ContainsFunc(svc.units, func(u *unit) bool { return u.host == h })
}

func (svc *service) freeIndex() int {
	for n := 1; ; n++ {
		if !slices.ContainsFunc(svc.units, func(u *unit) bool { return u.index == n }) {
			return n
		}
	}
}

// unitInstances are the managed containers of a unit.
func (svc *service) unitInstances(u *unit) []*instance {
	var list []*instance
	for _, i := range svc.instances {
		if i.unit == u && i.managed {
			list = append(list, i)
		}
	}
	return list
}

// missingConfigs are the launch configurations a unit has no managed container for.
func (svc *service) missingConfigs(u *unit) []string {
	var missing []string
	for _, name := range svc.configNames() {
		if !slices.ContainsFunc(svc.unitInstances(u), func(i *instance) bool { return i.config == name }) {
			missing = append(missing, name)
		}
	}
	return missing
}

// isBad tells whether a unit has a container that cannot be used any more.
func (svc *service) isBad(u *unit) bool {
	return slices.ContainsFunc(svc.unitInstances(u), func(i *instance) bool {
		return i.state == stateError || i.state == stateRemoving
	})
}

func (svc *service) isUnhealthy(u *unit) bool {
	return slices.ContainsFunc(svc.unitInstances(u), func(i *instance) bool {
		return i.state == stateRunning && i.healthState == healthUnhealthy
	})
}

func (svc *service) healthyUnits() int {
	n := 0
	for _, u := range svc.units {
		list := svc.unitInstances(u)
		if len(list) > 0 && !slices.ContainsFunc(list, func(i *instance) bool { return i.state != stateRunning || !i.isHealthy() }) {
			n++
		}
	}
	return n
}

// replacesUnhealthy reads the strategy, which only the primary's health check has (setHealthCheckAction in Cattle).
func (svc *service) replacesUnhealthy(healthyUnits int) bool {
	hc, _ := svc.launchConfig["healthCheck"].(map[string]any)
	switch text(hc["strategy"]) {
	case "none":
		return false
	case "recreateOnQuorum":
		quorum, _ := hc["recreateOnQuorumStrategyConfig"].(map[string]any)
		return healthyUnits >= number(quorum["quorum"], 1)
	}
	return true
}
