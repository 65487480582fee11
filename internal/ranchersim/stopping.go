package ranchersim

import (
	"context"
)

// halt begins to stop a container and returns at once. The caller holds mu.
func (s *Server) halt(i *instance) {
	i.generation++
	generation := i.generation
	if i.cancel != nil {
		i.cancel()
	}
	proc := i.process
	i.process = nil
	s.setState(i, stateStopping, "In Progress")
	s.changedContainers()
	if i.host != nil && !i.host.active() {
		// Nobody is there to stop it: Rancher shows stopped at once while Docker keeps the container running.
		s.setState(i, stateStopped, "")
		s.healthSoon(i.service)
		s.orphan(proc)
		return
	}
	s.spawn(func(ctx context.Context) {
		s.stopProcess(ctx, proc)
		s.sleep(ctx, s.varied(stopTime))
		s.update1(i, generation, func() {
			s.setState(i, stateStopped, "")
			for _, status := range []string{"kill", "die", "stop"} {
				s.dockerEvent(i, status)
			}
			s.healthSoon(i.service)
			s.trigger(i.service) // An active service starts it again, however long the stop took.
		})
	})
}

// orphan keeps a process that Rancher believes stopped running until the server is closed.
func (s *Server) orphan(proc Process) {
	if proc == nil {
		return
	}
	s.spawn(func(ctx context.Context) {
		<-ctx.Done()
		s.discard(proc)
	})
}

func (s *Server) stopProcess(ctx context.Context, proc Process) {
	if proc == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	_ = proc.Stop(ctx) // Docker would kill it; the record goes on to stopped either way.
}

// stopAndWait stops containers and waits until all are stopped.
func (s *Server) stopAndWait(ctx context.Context, svc *service, list []*instance) error {
	if len(list) == 0 {
		return nil
	}
	s.mu.Lock()
	for _, i := range list {
		if i.state != stateStopped && i.state != stateStopping {
			s.halt(i)
		}
	}
	s.mu.Unlock()
	for _, i := range list {
		ok, err := s.waitUntil(ctx, svc, nil, func() (bool, error) {
			return i.state == stateStopped || i.state == stateRemoving || i.state == stateRemoved || i.state == stateError, nil
		})
		if err != nil {
			return err
		}
		if !ok {
			return &waitError{"Waiting: stopped [container:" + formatID(prefixInstance, i.id) + "]", i}
		}
	}
	s.awaitPublication(ctx)
	return nil
}

// waitForStart waits until containers run; one that fails ends it with Cattle's text.
func (s *Server) waitForStart(ctx context.Context, svc *service, list []*instance) error {
	for _, i := range list {
		ok, err := s.waitUntil(ctx, svc, nil, func() (bool, error) {
			switch i.state {
			case stateError, stateRemoving, stateRemoved:
				return false, badInstance(i)
			case stateStopped:
				return i.startCount > 0, nil // It ran and ended; a crash is not this wait's business.
			}
			return i.state == stateRunning, nil
		})
		if err != nil {
			// The text reaches the service some moments after the container.
			s.awaitPublication(ctx)
			return err
		}
		if !ok {
			return &waitError{"Waiting: running [container:" + formatID(prefixInstance, i.id) + "]", i}
		}
	}
	return nil
}

func badInstance(i *instance) error {
	id := "[container:" + formatID(prefixInstance, i.id) + "]"
	text := "Failed to allocate instance " + id + ": Bad instance " + id + " in state [" + i.state + "]: " + i.transMessage
	return &instanceError{text, i}
}

// removeInstances takes containers away, stopping those that run, and returns when they are gone.
func (s *Server) removeInstances(ctx context.Context, list []*instance) {
	if len(list) == 0 {
		return
	}
	s.mu.Lock()
	procs := make([]Process, len(list))
	for n, i := range list {
		procs[n] = s.beginRemove(i)
	}
	s.mu.Unlock()
	for _, proc := range procs {
		s.stopProcess(ctx, proc)
	}
	s.sleep(ctx, removeTime)
	for n, i := range list {
		if n > 0 {
			s.sleep(ctx, removalGap)
		}
		s.mu.Lock()
		s.forget(i)
		s.mu.Unlock()
	}
}

// beginRemove shows the container removing and hands back its process. The caller holds mu.
func (s *Server) beginRemove(i *instance) Process {
	i.generation++
	if i.cancel != nil {
		i.cancel()
	}
	proc := i.process
	i.process = nil
	s.setState(i, stateRemoving, "In Progress")
	s.changedContainers()
	return proc
}

// forget takes a removed container out of its service; by id it can still be read. The caller holds mu.
func (s *Server) forget(i *instance) {
	if i.state == stateRemoved {
		return
	}
	i.removed = s.now()
	s.setState(i, stateRemoved, "")
	s.dockerEvent(i, "destroy")
	svc := i.service
	for n, other := range svc.instances {
		if other == i {
			svc.instances = append(svc.instances[:n:n], svc.instances[n+1:]...)
			break
		}
	}
	s.bus.touch(kindExposeMap, i.id)
	s.touchService(svc)
	s.healthSoon(svc)
	s.changedContainers()
}
