package ranchersim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// rollout is the loop that upgrade, finishupgrade and rollback share (UpgradeManagerImpl#doInServiceUpgrade). A
// rollback is the same loop with the roles swapped and without waiting for health.
type rollout struct {
	s          *Server
	p          *process
	svc        *service
	batchSize  int
	interval   time.Duration
	startFirst bool
	forward    bool
	target     map[string]string // Wanted version by launch configuration; absent means it shall have no container.
}

// errNoBatch is what a null batchSize comes to in Cattle: an exception without a message, in every execution.
var errNoBatch = errors.New("")

// newRollout reads the strategy of the upgrade under way. The caller holds mu.
func (s *Server) newRollout(p *process, forward bool) (*rollout, error) {
	strategy, _ := p.service.upgrade["inServiceStrategy"].(map[string]any)
	if strategy == nil {
		return nil, nil // A toServiceStrategy: nothing is replaced in this service.
	}
	r := &rollout{
		s: s, p: p, svc: p.service, forward: forward, batchSize: number(strategy["batchSize"], 0),
		interval:   time.Duration(number(strategy["intervalMillis"], 0)) * time.Millisecond,
		startFirst: toBool(strategy["startFirst"]), target: map[string]string{},
	}
	if r.batchSize < 1 {
		return nil, errNoBatch
	}
	primary, secondary := "launchConfig", "secondaryLaunchConfigs"
	if !forward {
		primary, secondary = "previousLaunchConfig", "previousSecondaryLaunchConfigs"
	}
	r.wantConfigs(strategy[primary], strategy[secondary])
	return r, nil
}

// wantConfigs takes the versions of the strategy's configurations.
func (r *rollout) wantConfigs(primary, secondaries any) {
	if c, ok := primary.(map[string]any); ok {
		r.target[primaryConfig] = text(c["version"])
	}
	list, _ := secondaries.([]any)
	for _, item := range list {
		if c, ok := item.(map[string]any); ok && c["imageUuid"] != imageNone {
			r.target[text(c["name"])] = text(c["version"])
		}
	}
}

// run goes on in batches until no unit is left to replace.
func (r *rollout) run(ctx context.Context) error {
	for {
		done, err := r.pass(ctx)
		if err == nil {
			err = context.Cause(ctx) // Cut off by a restart: what comes next is for the next execution.
		}
		if err != nil || done {
			return err
		}
		err = r.s.part(r.p, r.op("sleep"), fmt.Sprintf("Sleeping for %d seconds", r.interval/time.Second), func() error {
			return r.s.pause(ctx, r.p, r.interval)
		})
		if err != nil {
			return err
		}
	}
}

// pass replaces one batch. Rancher looks at the service's state only where this returns errStateChanged: in the
// waits for health and in the pauses, never while containers stop or start.
func (r *rollout) pass(ctx context.Context) (done bool, err error) {
	left := r.outdatedUnits()
	if r.forward {
		if err := r.reconcile(ctx, ""); err != nil {
			return false, err
		}
		if err := r.waitHealthy(ctx); err != nil {
			return false, err
		}
		if err := r.stopMarked(ctx); err != nil {
			return false, err
		}
	}
	if err := r.tripOver(left); err != nil {
		return false, err
	}
	batch := left[:min(r.batchSize, len(left))]
	r.mark(batch)
	if err := r.replace(ctx); err != nil {
		return false, err
	}
	if r.forward {
		if err := r.waitHealthy(ctx); err != nil {
			return false, err
		}
	}
	if r.forward && r.s.faults.endsEarly(r.svc) {
		return true, nil
	}
	if len(batch) < len(left) {
		return false, nil
	}
	return true, r.reconcile(ctx, "")
}

// tripOver fails when a unit that was to be replaced has just been removed because the scale is lower by now. Cattle
// stops its container all the same, which is no longer there; the next execution passes (recorded).
func (r *rollout) tripOver(left []*unit) error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for _, u := range left {
		if !slices.Contains(r.svc.units, u) && !slices.ContainsFunc(r.svc.instances, func(i *instance) bool { return i.unit == u }) {
			return fmt.Errorf("State [removed] is not valid for process [instance.stop:%d] on resource [%d]", r.s.next(prefixProcess), u.last) //nolint:staticcheck // Cattle's own words.
		}
	}
	return nil
}

// replace stops the marked containers and creates their successors, or the other way round.
func (r *rollout) replace(ctx context.Context) error {
	if !r.startFirst {
		if err := r.stopMarked(ctx); err != nil {
			return err
		}
		if err := r.s.faults.midBatch(ctx, r.s, r.svc); err != nil {
			return err
		}
		return r.start(ctx)
	}
	if err := r.start(ctx); err != nil {
		return err
	}
	if r.forward {
		if err := r.waitHealthy(ctx); err != nil {
			return err
		}
	}
	if err := r.s.faults.midBatch(ctx, r.s, r.svc); err != nil {
		return err
	}
	return r.stopMarked(ctx)
}

func (r *rollout) start(ctx context.Context) error {
	return r.s.part(r.p, r.op("starting"), "Starting new instances", func() error { return r.reconcile(ctx, ".starting") })
}

func (r *rollout) reconcile(ctx context.Context, suffix string) error {
	return r.s.reconcile(ctx, r.p, "service."+r.p.name+suffix)
}

func (r *rollout) op(what string) string { return "service." + r.p.name + "." + what }

// outdatedUnits lists the units with a managed container that is not of the wanted version.
func (r *rollout) outdatedUnits() []*unit {
	r.s.mu.RLock()
	defer r.s.mu.RUnlock()
	var units []*unit
	for _, i := range r.svc.instances {
		if r.outdated(i) && (len(units) == 0 || units[len(units)-1] != i.unit) && !containsUnit(units, i.unit) {
			units = append(units, i.unit)
		}
	}
	return units
}

func containsUnit(units []*unit, u *unit) bool {
	for _, other := range units {
		if other == u {
			return true
		}
	}
	return false
}

func (r *rollout) outdated(i *instance) bool {
	version, wanted := r.target[i.config]
	return i.managed && (!wanted || i.version != version)
}

// mark takes the outdated containers of a batch out of service and, where the unit has marked ones of the wanted
// version, takes those back: that is how a rollback finds the old containers again.
func (r *rollout) mark(batch []*unit) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for _, u := range batch {
		r.readopt(u)
		for _, i := range r.svc.instances {
			if i.unit == u && r.outdated(i) {
				r.s.instanceLog(r.p, i, "mark.upgrade", "Mark for upgrade", "info")
				r.s.setManaged(i, false)
			}
		}
		if !r.svc.keepsUnits() {
			r.svc.dropUnit(u)
		}
	}
}

// readopt un-marks containers of the wanted version; without lasting units any marked unit will do.
func (r *rollout) readopt(u *unit) {
	source := u
	if !r.svc.keepsUnits() {
		if source = r.markedUnit(); source == nil {
			return
		}
		r.svc.units = append(r.svc.units, source)
	}
	for _, i := range r.svc.instances {
		if i.unit == source && r.isMarkedTarget(i) {
			r.s.setManaged(i, true)
		}
	}
}

func (r *rollout) isMarkedTarget(i *instance) bool {
	version, wanted := r.target[i.config]
	return i.upgraded && wanted && i.version == version
}

func (r *rollout) markedUnit() *unit {
	for _, i := range r.svc.instances {
		if r.isMarkedTarget(i) {
			return i.unit
		}
	}
	return nil
}

// stopMarked stops what is marked and still runs; marked containers in error are removed at once.
func (r *rollout) stopMarked(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.s.part(r.p, r.op("stopping"), "Stopping instances", func() error { return r.stopAll(ctx) })
}

func (r *rollout) stopAll(ctx context.Context) error {
	var running, broken []*instance
	r.s.mu.RLock()
	for _, i := range r.svc.instances {
		switch {
		case !i.upgraded || i.state == stateStopped || i.state == stateRemoving:
		case i.state == stateError:
			broken = append(broken, i)
		default:
			running = append(running, i)
		}
	}
	r.s.mu.RUnlock()
	if len(broken) > 0 {
		r.s.removeInstances(ctx, broken)
		r.s.awaitPublication(ctx)
	}
	return r.s.stopAndWait(ctx, r.svc, running)
}

// waitHealthy waits for each running managed container of the wanted version in turn; old ones are not looked at.
func (r *rollout) waitHealthy(ctx context.Context) error {
	return r.s.part(r.p, r.op("wait"), "Waiting for all instances to be healthy", func() error { return r.waitForEach(ctx) })
}

func (r *rollout) waitForEach(ctx context.Context) error {
	if err := r.s.faults.stall(ctx, FaultStall, r.s, r.p); err != nil {
		return err
	}
	began := time.Now()
	for _, i := range r.current() {
		ok, err := r.s.waitUntil(ctx, r.svc, r.p, func() (bool, error) {
			return i.state != stateRunning || !i.managed || i.isHealthy(), nil
		})
		if err != nil {
			return err
		}
		if !ok {
			return &waitError{"Waiting: healthy [container:" + formatID(prefixInstance, i.id) + "]", i}
		}
	}
	if time.Since(began) > r.s.scaled(stepTime) {
		r.s.awaitPublication(ctx)
	}
	if !r.s.owns(r.p) {
		return errStateChanged
	}
	return nil
}

func (r *rollout) current() []*instance {
	r.s.mu.RLock()
	defer r.s.mu.RUnlock()
	var list []*instance
	for _, i := range r.svc.instances {
		if i.managed && i.state == stateRunning && i.version == r.target[i.config] {
			list = append(list, i)
		}
	}
	return list
}

// dropUnit takes a unit off the current ones. The caller holds mu.
func (svc *service) dropUnit(u *unit) {
	for n, other := range svc.units {
		if other == u {
			svc.units = append(svc.units[:n:n], svc.units[n+1:]...)
			return
		}
	}
}
