package ranchersim

import (
	"context"
	"fmt"
	"slices"
)

// RemoveHost takes a host out of its environment, as a person does: what ran on it is removed, and active services get
// other containers elsewhere, where there is room.
func (s *Server) RemoveHost(hostID string) error {
	n, ok := parseID(hostID)
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[n]
	if !ok || h == nil || !h.removed.IsZero() {
		return fmt.Errorf("no host %s", hostID)
	}
	s.removeHost(h)
	return nil
}

// removeHost removes a host and its containers in a moment. The caller holds mu.
func (s *Server) removeHost(h *host) {
	if h.state == stateRemoving || h.state == stateRemoved {
		return
	}
	h.state = stateRemoving
	h.relink()
	s.bus.touch(kindHost, h.id)
	var gone []*instance
	for _, id := range sortedIDs(s.instances) {
		if i := s.instances[id]; i.host == h && i.removed.IsZero() {
			gone = append(gone, i)
		}
	}
	s.spawn(func(ctx context.Context) {
		s.removeInstances(ctx, gone)
		s.mu.Lock()
		defer s.mu.Unlock()
		h.state, h.removed = stateRemoved, s.now()
		s.bus.touch(kindHost, h.id)
		for _, svc := range s.services {
			if svc.isGlobal() || slices.ContainsFunc(gone, func(i *instance) bool { return i.service == svc }) {
				s.trigger(svc)
			}
		}
	})
}
