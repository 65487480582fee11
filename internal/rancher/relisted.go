package rancher

import (
	"bytes"
	"hash/maphash"
	"maps"
	"reflect"
	"slices"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// What a listing does to the picture. Nearly always it tells what is held already.

// listing is one look at everything, reduced while it is read.
type listing struct {
	// keys are the services that were looked for.
	keys   map[Key]bool
	stacks map[string]string
	// services are without containers; one that is as it was known is the record that
	// is known.
	services map[string]*record
	// containers are those that are new or look different, still the ids of the others:
	// a listing without news takes next to no room.
	containers map[string]wireContainer
	still      []string
	hosts      map[string]bool
}

// replace takes a listing for the truth, but for one thing: pages go by offset, so
// a row may fall between two pages. Whatever is missing, and every service whose
// containers are not the ones Rancher counts, is doubtful; a service that was known
// is kept until it was read again.
func (c *cache) replace(l listing, at time.Time) news {
	c.mu.Lock()
	defer c.mu.Unlock()
	var n news
	c.stacks, c.hosts, c.covered = l.stacks, l.hosts, l.keys
	if !c.isHeld(&l) {
		n.changed = c.refile(&l)
	}
	for k := range c.followed {
		s, ok := l.services[c.ids[k]]
		switch {
		case !l.keys[k]:
		case !ok || c.isBare(c.ids[k], s):
			n.doubtful = append(n.doubtful, k)
		case !c.agrees(c.services[c.ids[k]], s.told):
			n.uneven = append(n.uneven, k)
		}
	}
	c.pruneImages()
	c.seenAt, c.live, c.fault = at, true, nil
	return n
}

// isHeld says that a listing found what is held, no more and no less, as it is held:
// nearly always, and then nothing is made anew.
func (c *cache) isHeld(l *listing) bool {
	if len(l.containers) > 0 || len(l.services) != len(c.services) {
		return false
	}
	for id, r := range l.services {
		if c.services[id] != r {
			return false
		}
	}
	slices.Sort(l.still)
	l.still = slices.Compact(l.still)
	isGone := func(id string) bool { return c.containers[id] == nil }
	return len(l.still) == len(c.containers) && !slices.ContainsFunc(l.still, isGone)
}

// refile makes the picture that of a listing, and returns the keys that look different
// then.
func (c *cache) refile(l *listing) []Key {
	before, old, still := c.records(), maps.Clone(c.services), c.stillHeld(l.still)
	for id, s := range l.services {
		k := keyOf(s.view)
		if !c.followed[k] {
			continue
		}
		if other, ok := c.ids[k]; ok {
			c.dropService(other)
		}
		c.dropService(id)
		c.putService(k, &record{view: s.view, told: s.told, sum: s.sum, stack: s.stack, hidden: s.hidden})
	}
	for _, held := range still {
		c.dropContainer(held.view.ID) // Those of services that were not listed.
	}
	c.fileContainers(still)
	c.putContainers(maps.Values(l.containers))
	c.keepSame(old, l.services)
	return c.differing(before, c.records())
}

// stillHeld are the held containers of some ids.
func (c *cache) stillHeld(ids []string) []*cached {
	all := make([]*cached, 0, len(ids))
	for _, id := range ids {
		if held := c.containers[id]; held != nil {
			all = append(all, held)
		}
	}
	return all
}

// keepSame puts the records of before back where those in force say the same: what
// is held from one listing to the next then stays where it is in memory.
func (c *cache) keepSame(before, listed map[string]*record) {
	for id, old := range before {
		if r := c.services[id]; r != nil && listed[id] == old && slices.Equal(r.held, old.held) {
			c.services[id] = old
		}
	}
}

// isToldAs says that Rancher tells of two records alike.
func (r *record) isToldAs(other *record) bool {
	return r.told.told == other.told.told && slices.Equal(r.told.ids, other.told.ids) && reflect.DeepEqual(r.view, other.view)
}

// known is the record that tells what a fresh one does: it, when it is the first to.
func (c *cache) known(r *record) *record {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.services[r.view.ID]; old != nil && old.isToldAs(r) {
		old.sum, old.stack, old.hidden = r.sum, r.stack, r.hidden
		return old
	}
	return r.packed()
}

// toldBefore is the container that a listing tells of with the very bytes that it told of
// it with before, and that nothing else was told of since; nil when it must be read.
// Reading is what a listing without news costs.
func (c *cache) toldBefore(raw []byte) (held *cached, sum uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	sum = maphash.Bytes(c.seed, raw)
	if held = c.containers[string(leadingID(raw))]; held == nil || held.sum != sum || sum == 0 {
		return nil, sum
	}
	return held, sum
}

// serviceToldBefore is toldBefore for a service, which is also made from what is not in
// the bytes: its stack's name, and whether secrets are shown.
func (c *cache) serviceToldBefore(raw []byte, stacks map[string]string, hidden bool) (r *record, sum uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	sum = maphash.Bytes(c.seed, raw)
	r = c.services[string(leadingID(raw))]
	if r == nil || r.sum != sum || sum == 0 || r.hidden != hidden || stacks[r.stack] != r.view.Stack {
		return nil, sum
	}
	return r, sum
}

// leadingID is the id that a resource begins with, as Rancher writes it; empty when it
// begins otherwise.
func leadingID(raw []byte) []byte {
	rest, ok := bytes.CutPrefix(raw, []byte(`{"id":"`))
	id, _, isWhole := bytes.Cut(rest, []byte(`"`))
	if !ok || !isWhole {
		return nil
	}
	return id
}

// mark remembers which bytes told what is held of a container. One of several
// services is read each time: another of them may have become known.
func (c *cache) mark(w *wireContainer, sum uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.containers[w.ID]; held != nil && len(w.ServiceIDs) == 1 {
		held.sum = sum
	}
}

// isStill says that a container looks as it is held, and belongs to the same of the
// services that are followed.
func (c *cache) isStill(w *wireContainer, listed map[string]*record) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	held := c.containers[w.ID]
	if held == nil || held.external != w.ExternalID || held.view != w.view() {
		return false
	}
	belongs := 0
	for _, id := range w.ServiceIDs {
		if listed[id] == nil && c.services[id] == nil {
			continue
		}
		if belongs++; !slices.Contains(held.services, id) {
			return false
		}
	}
	return belongs == len(held.services)
}

// isBare says that no container was listed of a service that should have some and
// does not say which.
func (c *cache) isBare(id string, s *record) bool {
	return !s.told.told && len(c.services[id].held) == 0 && s.view.Scale > 0 && s.view.State == observe.StateActive
}
