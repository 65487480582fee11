package rancher

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// event is a frame of the event stream, reduced to what the cache takes. At most
// one member is set; none is a sign of life.
type event struct {
	stack     *wireStack
	service   *wireService
	container *wireContainer
	host      *wireHost
	image     *imageEvent
	// lost says that a frame of interest could not be understood.
	lost bool
	// logout says that the session was revoked.
	logout bool
}

// imageEvent says which image a container runs.
type imageEvent struct {
	// external is Docker's id of the container.
	external string
	// image is the id of the image.
	image string
	// label is stack/service[/sidekick]; empty when the container has none.
	label string
}

// decodeFrame reduces a frame. Most frames are about things nobody follows, such
// as serviceLog, and are not decoded further (rancher-api 14.3).
func decodeFrame(data []byte) (event, error) {
	var frame struct {
		Name         string `json:"name"`
		ResourceType string `json:"resourceType"`
		ResourceID   string `json:"resourceId"`
		Data         struct {
			Resource json.RawMessage `json:"resource"`
		} `json:"data"`
	}
	if err := json.Unmarshal(data, &frame); err != nil {
		return event{}, &Error{Op: "reading an event", Code: CodeNotJSON, Message: "the frame is not Rancher's", err: err}
	}
	switch frame.Name {
	case "logout":
		return event{logout: true}, nil
	case "resource.change":
	default:
		return event{}, nil
	}
	ev, err := decodeResource(frame.ResourceType, frame.Data.Resource)
	if err != nil || !ev.isAbout(frame.ResourceID) {
		return event{lost: true}, nil //nolint:nilerr // A frame that cannot be read is told as lost: a listing follows.
	}
	return ev, nil
}

// decodeResource decodes a resource of a type that means something here.
func decodeResource(kind string, raw []byte) (ev event, err error) {
	switch kind {
	case "stack":
		err = json.Unmarshal(raw, &ev.stack)
	case "host":
		err = json.Unmarshal(raw, &ev.host)
	case "container":
		err = json.Unmarshal(raw, &ev.container)
	case "containerEvent":
		var w wireContainerEvent
		if err = json.Unmarshal(raw, &w); err == nil {
			ev.image = w.event()
		}
	default:
		// service, loadBalancerService, dnsService, …
		if strings.HasSuffix(strings.ToLower(kind), "service") {
			err = json.Unmarshal(raw, &ev.service)
		}
	}
	return ev, err
}

// event is the image that a container runs, if the frame tells.
func (w *wireContainerEvent) event() *imageEvent {
	id := w.DockerInspect.ID
	if id == "" {
		id = w.ExternalID
	}
	if len(id) < 12 || len(id) > 128 || !imageID.MatchString(w.DockerInspect.Image) {
		return nil
	}
	return &imageEvent{external: id, image: same(w.DockerInspect.Image), label: w.DockerInspect.Config.Labels.stack}
}

// isAbout says that the resource is the one the frame names.
func (e event) isAbout(id string) bool {
	switch {
	case e.stack != nil:
		return e.stack.ID == id && isID(id, "1st")
	case e.service != nil:
		return e.service.ID == id && isID(id, "1s")
	case e.container != nil:
		return e.container.ID == id && isID(id, "1i")
	case e.host != nil:
		return e.host.ID == id && isID(id, "1h")
	}
	return true
}

// apply takes an event into the picture.
func (c *cache) apply(ev event, secretsHidden bool) news {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case ev.lost:
		return news{relist: true}
	case ev.stack != nil:
		return c.applyStack(ev.stack)
	case ev.service != nil:
		return c.applyService(ev.service, secretsHidden)
	case ev.container != nil:
		return c.applyContainer(ev.container)
	case ev.image != nil:
		return c.applyImage(ev.image)
	case ev.host != nil && isGone(ev.host.State):
		delete(c.hosts, ev.host.ID)
	case ev.host != nil:
		c.hosts[ev.host.ID] = ev.host.usable()
	}
	return news{}
}

// applyStack notes names. A stack that is new or was renamed may hold followed
// services whose events have passed already: only a listing tells.
func (c *cache) applyStack(s *wireStack) news {
	old, known := c.stacks[s.ID]
	gone := isGone(s.State)
	switch {
	case known && (gone || old != s.Name):
		delete(c.stacks, s.ID)
		return news{relist: true}
	case !known && !gone && c.followsStack(s.Name):
		c.stacks[s.ID] = s.Name
		return news{relist: true}
	}
	return news{}
}

// followsStack says that a followed service is named to be in the stack.
func (c *cache) followsStack(name string) bool {
	for k := range c.followed {
		if k.Stack == name {
			return true
		}
	}
	return false
}

// applyService replaces what is held of a service.
func (c *cache) applyService(w *wireService, secretsHidden bool) news {
	var n news
	k := Key{Stack: c.stacks[w.StackID], Service: w.Name}
	r, known := c.services[w.ID]
	if known && (isGone(w.State) || keyOf(r.view) != k) {
		was := keyOf(r.view)
		n.add(c.change(was, func() { c.dropService(w.ID) }))
		// Its name may be another service's now.
		n.doubtful = append(n.doubtful, was)
	}
	if isGone(w.State) || k.Stack == "" || !c.followed[k] || !isID(w.ID, "1s") {
		return n
	}
	n.add(c.change(k, func() {
		if old, ok := c.ids[k]; ok && old != w.ID {
			c.dropService(old)
		}
		next := (&record{view: w.view(k.Stack, time.Time{}, secretsHidden), told: w.InstanceIDs}).packed()
		if r := c.services[w.ID]; r != nil {
			next.held = r.held
		}
		c.putService(k, next)
	}))
	switch {
	case !known && !w.InstanceIDs.told:
		n.doubtful = append(n.doubtful, k)
	case !c.agrees(c.services[w.ID], w.InstanceIDs):
		n.uneven = append(n.uneven, k)
	}
	return n
}

// applyContainer replaces what is held of a container.
func (c *cache) applyContainer(w *wireContainer) news {
	before := map[Key]*record{}
	note := func(serviceIDs []string) {
		for _, id := range serviceIDs {
			if r, ok := c.services[id]; ok {
				before[keyOf(r.view)] = r
			}
		}
	}
	if held, ok := c.containers[w.ID]; ok {
		note(held.services)
	}
	note(w.ServiceIDs)
	c.putContainers(slices.Values([]wireContainer{*w}))
	after := make(map[Key]*record, len(before))
	for k := range before {
		after[k] = c.services[c.ids[k]]
	}
	return news{changed: c.differing(before, after)}
}

// applyImage notes which image a container runs.
func (c *cache) applyImage(ev *imageEvent) news {
	if ev.label != "" && !c.follows(ev.label) || c.images[ev.external] == ev.image {
		return news{}
	}
	c.images[ev.external] = ev.image
	c.pruneImages()
	var n news
	for _, held := range c.containers {
		if held.external != ev.external {
			continue
		}
		for _, id := range held.services {
			n.changed = append(n.changed, keyOf(c.services[id].view))
		}
	}
	return n
}
