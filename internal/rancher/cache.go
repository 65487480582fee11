package rancher

import (
	"hash/maphash"
	"iter"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// cache is the reduced picture of the followed services: no launch configuration,
// no foreign label, nothing of services that nobody follows. It does no I/O. What
// it is told comes from one goroutine, in order: a listing, then the events that
// came since the stream was opened, which was before the listing. An event may thus
// be older than the listing; then a newer one of the same resource is on its way,
// so the picture ends right.
type cache struct {
	mu sync.RWMutex
	// followed are the services of interest.
	followed map[Key]bool
	// seed is for the sums of what was read; another set of services makes another one.
	seed maphash.Seed
	// covered are those that the last listing looked for.
	covered map[Key]bool
	// stacks are the names of the stacks of interest, by id.
	stacks map[string]string
	// services are by id, ids by key.
	services map[string]*record
	ids      map[Key]string
	// containers are by id.
	containers map[string]*cached
	// actions are the sets of actions that services offer: few, and one copy of each
	// is enough.
	actions map[string][]string
	// images are the image ids by Docker's container id, from events.
	images map[string]string
	// own is Docker's id of the container that this process runs in, or its
	// beginning; empty when it runs in none.
	own string
	// hosts says whether a host can take a container.
	hosts map[string]bool
	// seenAt is when the picture was last known to be true.
	seenAt time.Time
	// live says that it is kept true right now; fault why it is not.
	live  bool
	fault error
}

// record is what is held of a service. What it shows is never changed once it is filed:
// an edit files another one, so that before and after are compared without a copy.
type record struct {
	// view has no containers.
	view observe.Service
	// told are the containers that Rancher counted when the service was heard of last.
	told wireIDs
	// held are those that are known, in the order of their ids.
	held []*cached
	// sum is that of the bytes in a listing that told view and told, as in cached.
	sum uint64
	// stack and hidden are what else the view was made from: the stack's id, and that
	// secrets are not shown.
	stack  string
	hidden bool
}

// cached is a container in the cache; it is not changed either.
type cached struct {
	view observe.Container
	// external is Docker's id.
	external string
	// services are the ids of the followed services it belongs to.
	services []string
	// sum is that of the bytes in a listing that told the same, 0 when none did. It is the
	// one thing that changes, and only the goroutine that lists reads it.
	sum uint64
}

// unreferencedImages is how many image ids of unknown containers are kept: the
// event about a container may come before the container.
const unreferencedImages = 4096

// maxActionSets bounds what is kept of the sets of actions.
const maxActionSets = 64

// newCache is an empty picture.
func newCache() *cache {
	return &cache{
		followed: map[Key]bool{}, seed: maphash.MakeSeed(), covered: map[Key]bool{}, stacks: map[string]string{},
		services: map[string]*record{}, ids: map[Key]string{}, containers: map[string]*cached{}, actions: map[string][]string{},
		images: map[string]string{}, hosts: map[string]bool{},
	}
}

// news is what came of telling the cache something.
type news struct {
	// changed are the services that look different now.
	changed []Key
	// doubtful are those whose picture may be incomplete: read them again.
	doubtful []Key
	// uneven are those that hold other containers than Rancher counts: events under
	// way may answer that, and if they do not a read must.
	uneven []Key
	// relist says that something of interest was met that cannot be placed.
	relist bool
}

// add joins two pieces of news.
func (n *news) add(other news) {
	n.changed = append(n.changed, other.changed...)
	n.doubtful = append(n.doubtful, other.doubtful...)
	n.uneven = append(n.uneven, other.uneven...)
	n.relist = n.relist || other.relist
}

// follow sets the services of interest and says whether there are new ones.
func (c *cache) follow(followed map[Key]bool) (added bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range followed {
		added = added || !c.followed[k]
	}
	c.followed, c.seed = followed, maphash.MakeSeed()
	for id, r := range c.services {
		if !followed[keyOf(r.view)] {
			c.dropService(id)
		}
	}
	return added
}

// keys are the services of interest. The set is replaced and never changed.
func (c *cache) keys() map[Key]bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.followed
}

// packed is the record with its own texts in one piece.
func (r *record) packed() *record {
	texts := []*string{&r.view.ID, &r.view.Name, &r.view.TransitioningMessage, &r.view.Launch.Image, &r.view.Launch.Version}
	for i := range r.told.ids {
		texts = append(texts, &r.told.ids[i])
	}
	pack(texts...)
	return r
}

// records are all followed services.
func (c *cache) records() map[Key]*record {
	all := make(map[Key]*record, len(c.services))
	for _, r := range c.services {
		all[keyOf(r.view)] = r
	}
	return all
}

// differing are the keys whose records would be shown differently.
func (c *cache) differing(before, after map[Key]*record) []Key {
	var keys []Key
	for k, r := range before {
		if now, ok := after[k]; !ok || !c.isAlike(r, now) {
			keys = append(keys, k)
		}
	}
	for k := range after {
		if _, ok := before[k]; !ok {
			keys = append(keys, k)
		}
	}
	return keys
}

// isAlike says that two records would be shown alike.
func (c *cache) isAlike(a, b *record) bool {
	if a == b || a == nil || b == nil {
		return a == b
	}
	return slices.EqualFunc(a.held, b.held, func(x, y *cached) bool {
		return x.view == y.view && c.images[x.external] == c.images[y.external] && c.isOwn(x.external) == c.isOwn(y.external)
	}) && reflect.DeepEqual(a.view, b.view)
}

// put takes a fresh read of one service for the truth.
func (c *cache) put(k Key, s observe.Service, containers []wireContainer) news {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.followed[k] || s.Problem != nil && s.Problem.Cause != observe.CauseNotFound || s.ContainersProblem != nil {
		return news{}
	}
	return c.change(k, func() {
		if id, ok := c.ids[k]; ok {
			c.dropService(id)
		}
		if s.Problem != nil {
			return
		}
		s.ReadAt, s.Containers = time.Time{}, nil
		c.putService(k, (&record{view: s}).packed())
		c.putContainers(slices.Values(containers))
	})
}

// change runs an edit of one service and tells whether it looks different after.
func (c *cache) change(k Key, edit func()) news {
	before := c.services[c.ids[k]]
	edit()
	if c.isAlike(before, c.services[c.ids[k]]) {
		return news{}
	}
	return news{changed: []Key{k}}
}

// shown is the picture of a key, if there is one.
func (c *cache) shown(k Key) (observe.Service, bool) {
	id, ok := c.ids[k]
	if !ok {
		return observe.Service{}, false
	}
	return c.picture(id), true
}

// picture joins a service and its containers.
func (c *cache) picture(id string) observe.Service {
	r := c.services[id]
	s := r.view
	if len(r.held) > 0 {
		s.Containers = make([]observe.Container, len(r.held))
	}
	for i, held := range r.held {
		s.Containers[i] = held.view
		s.Containers[i].ImageID = c.images[held.external]
		s.Own = s.Own || c.isOwn(held.external)
	}
	return s
}

// putService files a service.
func (c *cache) putService(k Key, r *record) {
	r.view.Actions = c.sameActions(r.view.Actions)
	c.services[r.view.ID], c.ids[k] = r, r.view.ID
}

// sameActions is the one copy of a set of actions.
func (c *cache) sameActions(names []string) []string {
	set := strings.Join(names, " ")
	if known, ok := c.actions[set]; ok {
		return known
	}
	if len(c.actions) < maxActionSets {
		c.actions[set] = names
	}
	return names
}

// putContainers files containers under their followed services, and forgets those
// that are gone or belong to none.
func (c *cache) putContainers(all iter.Seq[wireContainer]) {
	var fresh []*cached
	for w := range all {
		c.dropContainer(w.ID)
		if held := c.hold(&w); held != nil {
			fresh = append(fresh, held)
		}
	}
	c.fileContainers(fresh)
}

// fileContainers files what is held of containers that no service has now.
func (c *cache) fileContainers(all []*cached) {
	of := map[string][]*cached{}
	for _, held := range all {
		held = c.ofKnown(held)
		if len(held.services) == 0 {
			continue
		}
		c.containers[held.view.ID] = held
		for _, id := range held.services {
			of[id] = append(of[id], held)
		}
	}
	for id, more := range of {
		r := *c.services[id]
		r.held = slices.Concat(r.held, more)
		slices.SortFunc(r.held, func(a, b *cached) int { return byID(a.view, b.view) })
		c.services[id] = &r
	}
}

// ofKnown is a container without the services that are not known any more.
func (c *cache) ofKnown(held *cached) *cached {
	isUnknown := func(id string) bool { return c.services[id] == nil }
	if !slices.ContainsFunc(held.services, isUnknown) {
		return held
	}
	next := *held
	next.sum, next.services = 0, slices.DeleteFunc(slices.Clone(held.services), isUnknown)
	return &next
}

// hold makes what is held of a container; nil when it is gone or nobody's here.
func (c *cache) hold(w *wireContainer) *cached {
	if isGone(w.State) {
		return nil
	}
	held := &cached{view: w.view(), external: w.ExternalID}
	for _, id := range w.ServiceIDs {
		r, ok := c.services[id]
		if !ok || slices.Contains(held.services, id) {
			continue
		}
		held.services = append(held.services, r.view.ID)
		share(&held.view, &r.view)
	}
	if held.services == nil {
		return nil
	}
	pack(&held.view.ID, &held.view.Name, &held.view.IP, &held.view.Unit, &held.view.Message, &held.external)
	return held
}

// dropContainer forgets a container.
func (c *cache) dropContainer(id string) {
	held, ok := c.containers[id]
	if !ok {
		return
	}
	delete(c.containers, id)
	for _, serviceID := range held.services {
		r := *c.services[serviceID]
		r.held = slices.DeleteFunc(slices.Clone(r.held), func(h *cached) bool { return h == held })
		c.services[serviceID] = &r
	}
}

// dropService forgets a service, and the containers that belong to no other.
func (c *cache) dropService(id string) {
	r, ok := c.services[id]
	if !ok {
		return
	}
	for _, held := range r.held {
		c.leave(id, held)
	}
	if k := keyOf(r.view); c.ids[k] == id {
		delete(c.ids, k)
	}
	delete(c.services, id)
}

// leave takes a container out of a service that is forgotten.
func (c *cache) leave(service string, held *cached) {
	if len(held.services) == 1 {
		delete(c.containers, held.view.ID)
		return
	}
	next := *held
	next.sum, next.services = 0, slices.DeleteFunc(slices.Clone(held.services), func(id string) bool { return id == service })
	c.containers[held.view.ID] = &next
	for _, other := range next.services {
		r := *c.services[other]
		r.held = slices.Clone(r.held)
		r.held[slices.Index(r.held, held)] = &next
		c.services[other] = &r
	}
}

// isSettled says that a doubt about a service was answered by events that came
// since: the containers held are those that Rancher counts.
func (c *cache) isSettled(k Key) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, known := c.services[c.ids[k]]
	return known && r.told.told && c.agrees(r, r.told)
}

// agrees says that the held containers of a service are those Rancher counts.
func (c *cache) agrees(r *record, told wireIDs) bool {
	if !told.told {
		return true
	}
	for _, id := range told.ids {
		if held, ok := c.containers[id]; !ok || !slices.Contains(held.services, r.view.ID) {
			return false
		}
	}
	return len(told.ids) == len(r.held)
}

// pruneImages forgets image ids that no held container refers to, once there are
// many.
func (c *cache) pruneImages() {
	if len(c.images) <= len(c.containers)+unreferencedImages {
		return
	}
	kept := make(map[string]string, len(c.containers))
	for _, held := range c.containers {
		if image, ok := c.images[held.external]; ok {
			kept[held.external] = image
		}
	}
	c.images = kept
}

// keyOf is the key of a service.
func keyOf(s observe.Service) Key { return Key{Stack: s.Stack, Service: s.Name} }

// service is what is shown of a followed service.
func (c *cache) service(k Key, now time.Time, patience time.Duration) observe.Service {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s, ok := c.shown(k)
	s.Name, s.Stack, s.ReadAt = k.Service, k.Stack, c.seenAt
	s.StackKnown = ok || c.knowsStack(k.Stack)
	switch {
	case !c.covered[k] || !c.followed[k]:
		s.Problem = c.unread()
	case !c.live && now.Sub(c.seenAt) > patience:
		s.Problem = c.unread()
	case !ok && s.StackKnown:
		s.Problem = notFound("stack %s has no service %s", k.Stack, k.Service)
	case !ok:
		s.Problem = notFound("there is no stack %s", k.Stack)
	}
	return s
}

// knowsStack says that a stack with this name exists.
func (c *cache) knowsStack(name string) bool {
	for _, known := range c.stacks {
		if known == name {
			return true
		}
	}
	return false
}

// unread is why there is no picture.
func (c *cache) unread() *observe.Problem {
	if c.fault != nil {
		return problem(c.fault)
	}
	return &observe.Problem{Cause: observe.CausePending, Message: "rancher has not been listed yet"}
}

// setOwn says which container this process runs in.
func (c *cache) setOwn(container string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own = container
}

// isOwn says that this process runs in a container.
func (c *cache) isOwn(external string) bool {
	return c.own != "" && strings.HasPrefix(external, c.own)
}

// imageIDs fills in what events told of the images that containers run, and whether
// this process runs in one of them.
func (c *cache) imageIDs(s *observe.Service, containers []wireContainer) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	external := make(map[string]string, len(containers))
	for i := range containers {
		external[containers[i].ID] = containers[i].ExternalID
		s.Own = s.Own || c.isOwn(containers[i].ExternalID)
	}
	for i := range s.Containers {
		s.Containers[i].ImageID = c.images[external[s.Containers[i].ID]]
	}
}

// confirm says that the picture was true at a time.
func (c *cache) confirm(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seenAt = at
}

// lose says that the picture is no longer kept true.
func (c *cache) lose(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live, c.fault = false, err
}

// isLive says that the picture is kept true.
func (c *cache) isLive() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.live
}

// hostCount counts the hosts.
func (c *cache) hostCount() observe.Hosts {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return countHosts(c.hosts)
}

// follows says that stack/service or stack/service/sidekick, as a label has it, is
// followed.
func (c *cache) follows(label string) bool {
	stack, rest, _ := strings.Cut(label, "/")
	service, _, _ := strings.Cut(rest, "/")
	return c.followed[Key{stack, service}]
}
