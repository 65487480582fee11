package ranchersim

import (
	"slices"
	"time"
)

// purge forgets what was removed long enough ago: until then it can be read by its id, afterwards it is 404. No event
// tells of it (ResourceChangeEventListenerImpl leaves purged ones out). How long Cattle waits is not recorded.
func (s *Server) purge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	isPast := func(removed time.Time) bool {
		return !removed.IsZero() && s.now().Sub(removed) >= s.scaled(purgeAfter)
	}
	for id, i := range s.instances {
		if isPast(i.removed) {
			delete(s.instances, id)
		}
	}
	for id, svc := range s.services {
		if isPast(svc.removed) && len(svc.instances) == 0 {
			delete(s.services, id)
		}
	}
	for id, st := range s.stacks {
		if isPast(st.removed) {
			delete(s.stacks, id)
		}
	}
	for id, h := range s.hosts {
		if isPast(h.removed) {
			delete(s.hosts, id)
		}
	}
	s.purgeEvents()
}

// purgeEvents forgets what agents reported longer ago than Cattle keeps it. The caller holds mu.
func (s *Server) purgeEvents() {
	cutoff := s.now().Add(-s.scaled(eventsKept))
	first, _ := slices.BinarySearchFunc(s.events, cutoff, func(e *containerEvent, t time.Time) int { return e.created.Compare(t) })
	if first > 0 {
		s.events = slices.Clone(s.events[first:])
	}
}
