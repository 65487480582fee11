package ranchersim

import (
	"context"
	"slices"
	"sync"
)

// kind is a type of record as events name it.
type kind int

const (
	kindService kind = iota
	kindContainer
	kindStack
	kindExposeMap
	kindServiceLog
	kindHost
	kindContainerEvent
	kindSecret
)

// resource names one record.
type resource struct {
	kind kind
	id   int
}

// maxQueued is subscribe.max.queued.messages: a slower reader is cut off.
const maxQueued = 100

// bus collects what changed until the next publication, and knows the subscribers. It has its own lock so that records
// can be touched while the server's is held.
type bus struct {
	mu      sync.Mutex
	dirty   map[resource]bool
	order   []resource
	touched uint64 // Counts changes.
	members map[*subscriber]struct{}
}

// subscriber is one open event socket.
type subscriber struct {
	caller caller
	base   string      // How this client addresses the server.
	queue  chan []byte // Frames; full means too slow.
	ctx    context.Context
	cut    context.CancelFunc // Ends the socket, whatever it is writing.
}

func newSubscriber(ctx context.Context, c caller, base string) *subscriber {
	sub := &subscriber{caller: c, base: base, queue: make(chan []byte, maxQueued)}
	sub.ctx, sub.cut = context.WithCancel(ctx)
	return sub
}

func (b *bus) init() {
	b.dirty = map[resource]bool{}
	b.members = map[*subscriber]struct{}{}
}

// touch notes that a record changed.
func (b *bus) touch(k kind, id int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.touched++
	r := resource{k, id}
	if !b.dirty[r] {
		b.dirty[r] = true
		b.order = append(b.order, r)
	}
}

// take empties the list of changes, oldest first.
func (b *bus) take() []resource {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.order
	b.order = nil
	clear(b.dirty)
	return list
}

func (b *bus) join(sub *subscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.members[sub] = struct{}{}
}

func (b *bus) leave(sub *subscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.members, sub)
}

func (b *bus) subscribers() []*subscriber {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*subscriber, 0, len(b.members))
	for sub := range b.members {
		list = append(list, sub)
	}
	return list
}

// closeAll cuts every subscriber off, as a restart of the server does.
func (b *bus) closeAll() {
	for _, sub := range b.subscribers() {
		sub.cut()
	}
}

// touchService, touchInstance note changes of the two busiest types. The caller holds the server's lock.
func (s *Server) touchService(svc *service) { s.bus.touch(kindService, svc.id) }

func (s *Server) touchInstance(i *instance) { s.bus.touch(kindContainer, i.id) }

// changedContainers tells the Go listeners. The caller holds mu, so they run on their own.
func (s *Server) changedContainers() {
	for _, f := range slices.Clone(s.onChange) {
		f()
	}
}

// Changes counts the changes of records: who looks often need not look when it is what it was.
func (s *Server) Changes() uint64 {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return s.bus.touched
}
