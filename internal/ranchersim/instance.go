package ranchersim

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// newInstance records a container of a unit. The caller holds mu.
func (s *Server) newInstance(svc *service, u *unit, config string) *instance {
	launch := svc.config(config)
	svc.createIndex++
	i := &instance{
		id: s.next(prefixInstance), uuid: s.uuid(), service: svc, unit: u, config: config, launch: launch,
		name: instanceName(svc, u, config), version: text(launch["version"]),
		mapID: s.next(prefixExposeMap), mapUUID: s.uuid(), managed: true,
		state: stateRequested, createIndex: svc.createIndex, created: s.now(),
	}
	u.last = i.id
	s.instances[i.id] = i
	svc.instances = append(svc.instances, i)
	s.touchInstance(i)
	s.bus.touch(kindExposeMap, i.id)
	s.touchService(svc)
	return i
}

// instanceName is stack-service-index or stack-service-sidekick-index; an old and a new container share it.
func instanceName(svc *service, u *unit, config string) string {
	parts := []string{svc.stack.name, svc.name}
	if config != primaryConfig {
		parts = append(parts, config)
	}
	return strings.Join(append(parts, strconv.Itoa(u.index)), "-")
}

// launch starts a container, new or stopped. The caller holds mu.
func (s *Server) launch(i *instance) {
	i.generation++
	generation := i.generation
	if i.state == stateStopped {
		s.setState(i, stateStarting, "In Progress")
	}
	ctx, cancel := context.WithCancel(s.ctx)
	i.cancel = cancel
	s.spawn(func(context.Context) {
		if err := s.startUp(ctx, i, generation); err != nil && !errors.Is(err, errLate) && ctx.Err() == nil {
			s.failStart(ctx, i, generation, err)
		}
	})
}

// errLate ends a start that was overtaken by a stop or a removal.
var errLate = errors.New("overtaken")

// startUp takes a container through creating and starting to running, with the texts Cattle shows on the way.
func (s *Server) startUp(ctx context.Context, i *instance, generation int) error {
	step := func(state, message string, d time.Duration) error {
		if !s.update1(i, generation, func() { s.setState(i, state, message) }) || !s.sleep(ctx, s.varied(d)) {
			return errLate
		}
		return nil
	}
	if i.startCountNow(s) == 0 {
		if err := errors.Join(ignoreFalse(s.sleep(ctx, stepTime/2)), step(stateCreating, "In Progress", createTime)); err != nil {
			return errLate
		}
	}
	if err := step(stateStarting, "Scheduling", startPhase); err != nil {
		return err
	}
	if !s.update1(i, generation, func() { s.place(i); s.openEndpoints(i) }) {
		return errLate
	}
	for _, phase := range []string{"Networking", "Storage"} {
		if err := step(stateStarting, phase, startPhase); err != nil {
			return err
		}
	}
	return s.startProcess(ctx, i, generation)
}

func ignoreFalse(ok bool) error {
	if !ok {
		return errLate
	}
	return nil
}

func (i *instance) startCountNow(s *Server) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return i.startCount
}

// startProcess pulls the image, starts the container and shows it running.
func (s *Server) startProcess(ctx context.Context, i *instance, generation int) error {
	spec := s.containerSpec(i)
	var proc Process
	if s.runtime == nil {
		if err := simulatedFailure(spec); err != nil {
			s.update1(i, generation, func() { i.externalID = s.newExternalID() })
			return err
		}
	}
	if s.runtime != nil && spec.Image != "" {
		imageID, err := s.runtime.Pull(ctx, spec.Image)
		if err != nil {
			return err
		}
		spec.ImageID = imageID
		s.update1(i, generation, func() { i.imageID = imageID; s.setState(i, stateStarting, "Starting") })
		if proc, err = s.runtime.Start(ctx, spec); err != nil {
			return err
		}
	}
	if !s.update1(i, generation, func() { s.attach(i, proc) }) {
		s.discard(proc)
		return errLate
	}
	if !s.sleep(ctx, startPhase) {
		return errLate
	}
	if !s.update1(i, generation, func() { s.running(ctx, i, generation) }) {
		return errLate
	}
	return nil
}

// simulatedFailure is what Cattle's own simulator of hosts, which stands in for a runtime, makes of a label: it fails
// the step that the label names.
func simulatedFailure(spec ContainerSpec) error {
	if step, ok := strings.CutSuffix(spec.Labels["test"], "::fail"); ok {
		return errors.New("Failing [" + step + "]")
	}
	return nil
}

// discard stops a process that nobody wants any more.
func (s *Server) discard(p Process) {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	_ = p.Stop(ctx) // The container is already on its way out of the records.
}

// containerSpec is what the runtime is told.
func (s *Server) containerSpec(i *instance) ContainerSpec {
	s.mu.RLock()
	defer s.mu.RUnlock()
	image := strings.TrimPrefix(text(i.launch["imageUuid"]), "docker:")
	return ContainerSpec{
		ID: formatID(prefixInstance, i.id), Name: i.name, Image: image, ImageID: i.imageID,
		Environment: textMap(i.launch["environment"]), Labels: textMap(s.labels(i)),
		Ports: privatePorts(i.launch), Restart: i.startCount > 0, IP: i.ip,
	}
}

func textMap(v any) map[string]string {
	m, _ := v.(map[string]any)
	out := make(map[string]string, len(m))
	for k, item := range m {
		out[k] = text(item)
	}
	return out
}

// privatePorts collects the container's own ports from ports, expose and the health check.
func privatePorts(launch map[string]any) []int {
	var ports []int
	for _, field := range []string{"ports", "expose"} {
		list, _ := launch[field].([]any)
		for _, item := range list {
			if spec, err := parsePort(text(item)); err == nil {
				ports = append(ports, spec.private)
			}
		}
	}
	if hc, ok := launch["healthCheck"].(map[string]any); ok {
		ports = append(ports, number(hc["port"], 0))
	}
	slices.Sort(ports)
	return slices.DeleteFunc(slices.Compact(ports), func(p int) bool { return p < 1 || p > 65535 })
}

// place chooses a host. The caller holds mu.
func (s *Server) place(i *instance) {
	if i.host != nil {
		return
	}
	if i.host = i.unit.host; i.host != nil {
		return
	}
	for _, id := range sortedIDs(s.hosts) {
		h := s.hosts[id]
		if h.project == i.service.project && h.active() && (i.host == nil || s.load(h) < s.load(i.host)) {
			i.host = h
		}
	}
}

// load counts a host's containers.
func (s *Server) load(h *host) int {
	n := 0
	for _, svc := range s.services {
		for _, i := range svc.instances {
			if i.host == h {
				n++
			}
		}
	}
	return n
}

// attach takes over what the runtime started. The caller holds mu.
func (s *Server) attach(i *instance, proc Process) {
	i.process = proc
	if i.externalID == "" {
		i.externalID = s.newExternalID()
	}
	switch {
	case proc != nil:
		i.ip, i.logs = proc.IP(), proc.Logs()
	case i.ip == "":
		i.ip = "10.42." + strconv.Itoa(i.id/250%250) + "." + strconv.Itoa(i.id%250+2)
	}
	first := i.startCount == 0
	i.startCount++
	if first {
		i.firstRunning = s.now()
	}
	s.beginHealth(i, first)
	s.setState(i, stateStarting, "Post-network")
}

// newExternalID is Docker's id of a new container; Cattle's simulator takes a uuid. The caller holds mu.
func (s *Server) newExternalID() string {
	if s.runtime == nil {
		return s.uuid()
	}
	return hex.EncodeToString(s.bytes(32))
}

// running shows the container running and begins to watch it. The caller holds mu.
func (s *Server) running(ctx context.Context, i *instance, generation int) {
	s.setState(i, stateRunning, "")
	s.dockerEvent(i, "start")
	s.healthSoon(i.service)
	s.changedContainers()
	proc := i.process
	if proc == nil {
		return
	}
	s.spawn(func(context.Context) { s.watchExit(ctx, i, generation, proc) })
	if i.hasHealthCheck() && !s.externalHealth {
		s.spawn(func(context.Context) { s.checkHealth(ctx, i, generation, proc) })
	}
}

// watchExit shows a container that ended by itself as stopped; an active service starts it again.
func (s *Server) watchExit(ctx context.Context, i *instance, generation int, proc Process) {
	select {
	case <-proc.Exited():
	case <-ctx.Done():
		return
	}
	s.update1(i, generation, func() {
		i.generation++
		i.cancel()
		i.process = nil
		s.setState(i, stateStopped, "")
		s.dockerEvent(i, "die")
		s.healthSoon(i.service)
		s.changedContainers()
		s.trigger(i.service)
	})
}

// failStart shows a failed start as Cattle does: stopping with the reason, then error.
func (s *Server) failStart(ctx context.Context, i *instance, generation int, err error) {
	s.update1(i, generation, func() { s.setState(i, stateStopping, err.Error()) })
	if !s.sleep(ctx, stopTime) {
		return
	}
	s.update1(i, generation, func() {
		i.transError = true
		s.setState(i, stateError, err.Error())
		s.trigger(i.service)
	})
}

// update1 changes a container's record if it still is in the given generation.
func (s *Server) update1(i *instance, generation int, f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i.generation != generation {
		return false
	}
	f()
	return true
}

// setState records a state and its message. The caller holds mu.
func (s *Server) setState(i *instance, state, message string) {
	i.state, i.transMessage = state, message
	if state != stateError {
		i.transError = false
	}
	if state == stateStopped || state == stateRemoved || state == stateError {
		s.closeEndpoints(i)
	}
	s.touchInstance(i)
	if i.host != nil && (state == stateRunning || state == stateStopped || state == stateRemoved) {
		s.bus.touch(kindHost, i.host.id)
	}
	i.service.signal()
}

// setManaged marks a container for upgrade or takes it back. The caller holds mu.
func (s *Server) setManaged(i *instance, managed bool) {
	i.managed, i.upgraded = managed, !managed
	s.bus.touch(kindExposeMap, i.id)
	s.touchInstance(i)
	i.service.signal()
	s.changedContainers()
}
