package rancher

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"time"
)

// maxFiltered is how many stacks are listed each by a filter of its own; more are
// found in pages of everything. A page of 500 services is 1.5 MB, a filtered one
// that matches nothing 3.5 kB (rancher-api 14.4).
const maxFiltered = 8

// listing reads what is followed, in pages, and leaves out what is known already. The
// order matters: a container is kept when its service was. Filters are a help, not a promise: an unknown one is
// ignored by Rancher and everything comes back (rancher-api 1.5), so whatever
// comes is looked at again.
func (c *Client) listing(ctx context.Context, known *cache) (listing, error) {
	keys := known.keys()
	l := listing{keys: keys, stacks: map[string]string{}, services: map[string]*record{}, containers: map[string]wireContainer{}}
	f := filtersFor(keys)
	var err error
	if l.hosts, err = c.hosts(ctx); err != nil || len(keys) == 0 {
		return l, err
	}
	err = listEach(ctx, c, "/stacks", f.stacks(), "stack", func(s *wireStack) error {
		if _, isWanted := f.services[s.Name]; isWanted && isID(s.ID, "1st") && !isGone(s.State) {
			l.stacks[s.ID] = s.Name
		}
		return nil
	})
	if err != nil {
		return l, err
	}
	hidden, _ := c.secretsHidden(ctx)
	err = listEach(ctx, c, "/services", f.ofServices(l.stacks), "service", func(raw *json.RawMessage) error {
		r, sum := known.serviceToldBefore(*raw, l.stacks, hidden)
		if r != nil {
			l.services[r.view.ID] = r
			return nil
		}
		var s wireService
		if err := json.Unmarshal(*raw, &s); err != nil {
			return jsonError(err)
		}
		k := Key{Stack: l.stacks[s.StackID], Service: s.Name}
		if keys[k] && s.isService() && !isGone(s.State) {
			r := known.known(&record{view: s.view(k.Stack, time.Time{}, hidden), told: s.InstanceIDs, sum: sum, stack: same(s.StackID), hidden: hidden})
			l.services[r.view.ID] = r
			c.grants.learnService(s.ID, keyOf(r.view))
			c.learnStack(s.StackID, k.Stack)
		}
		return nil
	})
	if err != nil || len(l.services) == 0 {
		return l, err
	}
	return l, listEach(ctx, c, "/containers", f.containers(), "container", func(raw *json.RawMessage) error {
		return c.take(&l, *raw, known)
	})
}

// take takes a container into a listing.
func (c *Client) take(l *listing, raw []byte, known *cache) error {
	held, sum := known.toldBefore(raw)
	if held != nil {
		if i := slices.IndexFunc(held.services, func(id string) bool { return l.services[id] != nil }); i >= 0 {
			l.still = append(l.still, held.view.ID)
			c.grants.learnContainer(held.view.ID, held.services[i])
		}
		return nil
	}
	var w wireContainer
	if err := json.Unmarshal(raw, &w); err != nil {
		return jsonError(err)
	}
	for _, id := range w.ServiceIDs {
		if _, ok := l.services[id]; !ok || !isID(w.ID, "1i") || isGone(w.State) {
			continue
		}
		if known.isStill(&w, l.services) {
			known.mark(&w, sum)
			l.still = append(l.still, w.ID)
		} else {
			l.containers[w.ID] = w
		}
		c.grants.learnContainer(w.ID, id)
		return nil
	}
	return nil
}

// filters are the queries by which a listing asks for no more than it needs.
type filters struct {
	// services are the followed services by the name of their stack.
	services map[string][]string
}

// filtersFor are the filters of some services.
func filtersFor(keys map[Key]bool) filters {
	f := filters{services: map[string][]string{}}
	for k := range keys {
		f.services[k.Stack] = append(f.services[k.Stack], k.Service)
	}
	return f
}

// everything is the query without a filter.
var everything = []url.Values{nil}

// stacks asks for each stack by its name.
func (f filters) stacks() []url.Values {
	if len(f.services) > maxFiltered {
		return everything
	}
	var all []url.Values
	for stack := range f.services {
		all = append(all, url.Values{"name": {stack}})
	}
	return all
}

// ofServices asks for the services of each stack, or for the only one of interest.
func (f filters) ofServices(stacks map[string]string) []url.Values {
	if len(f.services) > maxFiltered {
		return everything
	}
	var all []url.Values
	for id, name := range stacks {
		q := url.Values{"stackId": {id}}
		if services := f.services[name]; len(services) == 1 {
			q.Set("name", services[0])
		}
		all = append(all, q)
	}
	return all
}

// containers asks by names, which begin with those of stack and service: a
// container of a service has no stackId (rancher-api 4.2, 15). One that is named
// otherwise, as after a renaming, is missed; then its service does not agree with
// what Rancher counts, and is read by itself.
func (f filters) containers() []url.Values {
	if len(f.services) > maxFiltered {
		return everything
	}
	var all []url.Values
	for stack, services := range f.services {
		prefix := stack + "-"
		if len(services) == 1 {
			prefix += services[0] + "-"
		}
		all = append(all, url.Values{"name_prefix": {prefix}})
	}
	return all
}

// listEach lists a collection of the environment, once by each query.
func listEach[T any](ctx context.Context, c *Client, path string, queries []url.Values, resource string, each func(*T) error) error {
	for _, q := range queries {
		u, err := c.scope(ctx, path, q)
		if err != nil {
			return err
		}
		if err := list(ctx, c, "listing "+path[1:], u, resource, each); err != nil {
			return err
		}
	}
	return nil
}

// listAll lists a collection of the environment.
func listAll[T any](ctx context.Context, c *Client, path, resource string, each func(*T) error) error {
	return listEach(ctx, c, path, everything, resource, each)
}
