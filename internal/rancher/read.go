package rancher

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Service reads a service and its containers. What could not be read is in its
// Problem, or in its ContainersProblem.
func (c *Client) Service(ctx context.Context, stack, name string) observe.Service {
	s, _ := c.service(ctx, stack, name)
	return s
}

// service is Service with the containers as Rancher sent them, for the cache.
func (c *Client) service(ctx context.Context, stack, name string) (observe.Service, []wireContainer) {
	at := time.Now()
	blank := observe.Service{ReadAt: at, Name: name, Stack: stack}
	w, err := c.findService(ctx, stack, name)
	if err != nil {
		blank.Problem = problem(err)
		return blank, nil
	}
	if w == nil {
		blank.StackKnown = true
		blank.Problem = notFound("stack %s has no service %s", stack, name)
		return blank, nil
	}
	hidden, err := c.secretsHidden(ctx)
	s := w.view(stack, at, hidden || err != nil)
	containers, err := c.containers(ctx, w.ID)
	if err == nil {
		err = c.missesNone(ctx, w, containers)
	}
	s.ContainersProblem = problem(err)
	for i := range containers {
		s.Containers = append(s.Containers, containers[i].view())
	}
	slices.SortFunc(s.Containers, byID)
	return s, containers
}

// maxDoubted bounds how many containers are asked for one by one.
const maxDoubted = 10

// missesNone looks for containers that the service names and the list lacks: a page
// that was lost, or a list older than the service. The names may lag (rancher-api
// 12.10), so a container counts only when it still exists.
func (c *Client) missesNone(ctx context.Context, w *wireService, listed []wireContainer) error {
	doubted := 0
	for _, id := range w.InstanceIDs.ids {
		if !isID(id, "1i") || slices.ContainsFunc(listed, func(l wireContainer) bool { return l.ID == id }) {
			continue
		}
		if doubted++; doubted > maxDoubted {
			return nil
		}
		op := "reading container " + id
		u, err := c.scope(ctx, "/containers/"+id, nil)
		if err != nil {
			return err
		}
		var held wireContainer
		switch err := c.get(ctx, op, u, &held); {
		case isNotFound(err):
		case err != nil:
			return err
		case held.ID == id && !isGone(held.State):
			return &Error{Op: op, Status: http.StatusOK, Code: CodeMismatch, Message: "it exists, and the list of the service's containers does not have it"}
		}
	}
	return nil
}

// findService looks a service up by the names. No service and no error means that
// the stack was read and the service is not in it.
func (c *Client) findService(ctx context.Context, stack, name string) (*wireService, error) {
	c.mu.Lock()
	id, cached := c.stackIDs[stack]
	c.mu.Unlock()
	if cached {
		w, err := c.serviceInStack(ctx, Key{stack, name}, id)
		if w != nil || err != nil {
			return w, err
		}
		// The stack may have been made anew under its name.
	}
	id, err := c.findStack(ctx, stack)
	if err != nil {
		return nil, err
	}
	return c.serviceInStack(ctx, Key{stack, name}, id)
}

// findStack is the id of a stack. Filters are a help, not a promise: an unknown one
// is ignored by Rancher and everything comes back (rancher-api 1.5).
func (c *Client) findStack(ctx context.Context, name string) (string, error) {
	op := "reading stack " + clip(name)
	u, err := c.scope(ctx, "/stacks", url.Values{"name": {name}})
	if err != nil {
		return "", err
	}
	var ids []string
	err = list(ctx, c, op, u, "stack", func(s *wireStack) error {
		if s.Name == name && isID(s.ID, "1st") && !isGone(s.State) && !slices.Contains(ids, s.ID) {
			ids = append(ids, s.ID)
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case len(ids) == 0:
		c.forgetStack(name)
		return "", notFound("there is no stack %s", clip(name))
	case len(ids) > 1:
		return "", &Error{Op: op, Status: http.StatusOK, Code: CodeMismatch, Message: "several stacks have this name"}
	}
	c.learnStack(ids[0], name)
	return ids[0], nil
}

// serviceInStack reads the service with a name within a stack.
func (c *Client) serviceInStack(ctx context.Context, k Key, stackID string) (*wireService, error) {
	op := "reading service " + clip(k.String())
	u, err := c.scope(ctx, "/services", url.Values{"name": {k.Service}, "stackId": {stackID}})
	if err != nil {
		return nil, err
	}
	var found *wireService
	err = list(ctx, c, op, u, "service", func(s *wireService) error {
		switch {
		case s.Name != k.Service || s.StackID != stackID || isGone(s.State):
			return nil
		case !s.isService():
			return &Error{Code: CodeMismatch, Message: "the answer is no service but " + clip(s.Type+" "+s.ID)}
		case found != nil && found.ID != s.ID:
			return &Error{Code: CodeMismatch, Message: "several services have this name"}
		}
		found = s
		return nil
	})
	if err != nil || found == nil {
		return nil, err
	}
	c.grants.learnService(found.ID, k)
	return found, nil
}

// isService says that an answer is about a service, of whatever kind.
func (s *wireService) isService() bool {
	return isID(s.ID, "1s") && (s.BaseType == "service" || s.Type == "service")
}

// containers reads the containers of a service, old and new. The link pages like
// any other list and takes no filters (rancher-api 1.5).
func (c *Client) containers(ctx context.Context, serviceID string) ([]wireContainer, error) {
	op := "reading the containers of " + serviceID
	u, err := c.scope(ctx, "/services/"+serviceID+"/instances", nil)
	if err != nil {
		return nil, err
	}
	found := map[string]wireContainer{}
	err = list(ctx, c, op, u, "instance", func(w *wireContainer) error {
		switch {
		case !isID(w.ID, "1i"):
			return &Error{Code: CodeMismatch, Message: "the answer is no container but " + clip(w.Type+" "+w.ID)}
		case !isGone(w.State):
			found[w.ID] = *w
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := make([]wireContainer, 0, len(found))
	for _, w := range found {
		all = append(all, w)
	}
	return all, nil
}

// Hosts reads how many hosts can take containers.
func (c *Client) Hosts(ctx context.Context) observe.Hosts {
	hosts, err := c.hosts(ctx)
	if err != nil {
		return observe.Hosts{Problem: problem(err)}
	}
	return countHosts(hosts)
}

// hosts says for each host that exists whether it can take a container.
func (c *Client) hosts(ctx context.Context) (map[string]bool, error) {
	u, err := c.scope(ctx, "/hosts", nil)
	if err != nil {
		return nil, err
	}
	hosts := map[string]bool{}
	err = list(ctx, c, "reading hosts", u, "host", func(h *wireHost) error {
		if isID(h.ID, "1h") && !isGone(h.State) {
			hosts[h.ID] = h.usable()
		}
		return nil
	})
	return hosts, err
}

// countHosts counts.
func countHosts(hosts map[string]bool) observe.Hosts {
	counted := observe.Hosts{Total: len(hosts)}
	for id, usable := range hosts {
		if usable {
			counted.Active++
			continue
		}
		counted.Down = append(counted.Down, id)
	}
	slices.Sort(counted.Down)
	return counted
}

// rawServiceByID reads a service with its launch configurations as bytes, checks
// that it is the one asked for, and learns its name.
func (c *Client) rawServiceByID(ctx context.Context, op, id string) (*rawService, Key, error) {
	if !isID(id, "1s") {
		return nil, Key{}, &Error{Op: op, Code: CodeMismatch, Message: clip(id) + " is no id of a service"}
	}
	u, err := c.scope(ctx, "/services/"+id, nil)
	if err != nil {
		return nil, Key{}, err
	}
	var w rawService
	if err := c.get(ctx, op, u, &w); err != nil {
		return nil, Key{}, err
	}
	if w.ID != id || !w.isService() {
		return nil, Key{}, &Error{
			Op: op, Status: http.StatusOK, Code: CodeMismatch,
			Message: "asked for " + id + ", was told of " + clip(w.Type+" "+w.ID),
		}
	}
	stack, err := c.stackName(ctx, w.StackID)
	if err != nil {
		return nil, Key{}, err
	}
	k := Key{Stack: stack, Service: w.Name}
	c.grants.learnService(id, k)
	return &w, k, nil
}

// stackName is the name of a stack.
func (c *Client) stackName(ctx context.Context, id string) (string, error) {
	c.mu.Lock()
	name, ok := c.stackNames[id]
	c.mu.Unlock()
	if ok {
		return name, nil
	}
	op := "reading stack " + clip(id)
	if !isID(id, "1st") {
		return "", &Error{Op: op, Code: CodeMismatch, Message: "that is no id of a stack"}
	}
	u, err := c.scope(ctx, "/stacks/"+id, nil)
	if err != nil {
		return "", err
	}
	var s wireStack
	if err := c.get(ctx, op, u, &s); err != nil {
		return "", err
	}
	if s.ID != id || s.Type != "stack" {
		return "", &Error{Op: op, Status: http.StatusOK, Code: CodeMismatch, Message: "was told of " + clip(s.Type+" "+s.ID)}
	}
	c.learnStack(id, s.Name)
	return s.Name, nil
}

// learnStack remembers a stack's id and name.
func (c *Client) learnStack(id, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.stackNames) >= maxGrants {
		clear(c.stackNames)
		clear(c.stackIDs)
	}
	if old, ok := c.stackNames[id]; ok && old != name {
		delete(c.stackIDs, old)
	}
	c.stackIDs[name], c.stackNames[id] = id, name
}

// forgetStack forgets a stack that is gone.
func (c *Client) forgetStack(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.stackNames, c.stackIDs[name])
	delete(c.stackIDs, name)
}
