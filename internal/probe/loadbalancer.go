package probe

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// loadBalancer is a named load balancer with its instances and its callers.
type loadBalancer struct {
	fetcher *fetcher
	fresh   time.Duration
	maxKeys int

	// mu guards all below. The instances' pages are written by the one who holds
	// the flight, without it.
	mu        sync.Mutex
	spec      LoadBalancerSpec
	instances []*instance
	accounts  map[string]*account
	// claims are the accounts by the names and addresses of their containers' rows; nil
	// until somebody asks.
	claims map[string][]*account
	// flight is closed when the fetch under way is over; nil when there is none.
	flight chan struct{}
	// fetched is when the last one was begun.
	fetched time.Time
}

func newLoadBalancer(spec LoadBalancerSpec, r *Reader) (*loadBalancer, error) {
	lb := &loadBalancer{
		fetcher:  r.fetcher,
		fresh:    r.options.Fresh,
		maxKeys:  r.options.MaxKeys,
		spec:     spec,
		accounts: make(map[string]*account),
	}
	if len(spec.Stats) == 0 {
		return nil, fmt.Errorf("no statistics page")
	}
	hosts := make(map[string]int)
	for i, stats := range spec.Stats {
		at, err := parseEndpoint(stats)
		if err != nil {
			return nil, fmt.Errorf("page %d: %w", i+1, err)
		}
		name := at.name
		if hosts[name]++; hosts[name] > 1 {
			name = fmt.Sprintf("%s#%d", name, hosts[name])
		}
		lb.instances = append(lb.instances, &instance{name: name, at: at, place: i})
	}
	return lb, nil
}

// respec takes over what may change without new counters.
func (lb *loadBalancer) respec(spec LoadBalancerSpec) {
	lb.mu.Lock()
	defer lb.mu.Unlock()
	lb.spec = spec
}

func (lb *loadBalancer) forget(key string) {
	lb.mu.Lock()
	defer lb.mu.Unlock()
	delete(lb.accounts, key)
	lb.claims = nil
}

// refresh fetches the pages unless that was done a moment ago. Callers that come
// together share one fetch; when the one who makes it gives up, the next one
// makes it.
func (lb *loadBalancer) refresh(ctx context.Context) error {
	for {
		lb.mu.Lock()
		switch {
		case lb.flight == nil && !lb.fetched.IsZero() && time.Since(lb.fetched) < lb.fresh:
			lb.mu.Unlock()
			return nil
		case lb.flight == nil:
			lb.fly(ctx)
			return nil
		}
		flight := lb.flight
		lb.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// fly fetches all pages at once. It is entered with mu held and leaves without.
func (lb *loadBalancer) fly(ctx context.Context) {
	flight := make(chan struct{})
	who := credentials{lb.spec.Username, lb.spec.Password}
	lb.flight = flight
	lb.mu.Unlock()

	begun := time.Now()
	arrivals := make([]arrival, len(lb.instances))
	var all sync.WaitGroup
	for i, in := range lb.instances {
		all.Go(func() { arrivals[i] = in.fetch(ctx, lb.fetcher, who) })
	}
	all.Wait()

	lb.mu.Lock()
	defer lb.mu.Unlock()
	lb.flight = nil
	close(flight)
	for i, in := range lb.instances {
		in.take(arrivals[i])
	}
	if ctx.Err() == nil {
		// What a caller that gave up could not read, the next one reads again.
		lb.fetched = begun
	}
}

// read brings a caller's account up to the last pages.
func (lb *loadBalancer) read(key string, containers []observe.Container) observe.LoadBalancer {
	lb.mu.Lock()
	defer lb.mu.Unlock()
	a := lb.account(key)
	lb.identify(a, containers)
	usable, out := lb.usable()
	if out.Problem != nil {
		return out
	}
	for _, in := range usable {
		a.tie(&in.ledger)
	}
	own := a.proxies
	if len(lb.spec.Backends) > 0 {
		own = lb.spec.Backends
	}
	news := 0
	for _, in := range usable {
		if a.mark(in).pages == 0 {
			news++
		}
		a.read(in, own, func(s *server) bool { return lb.isOthers(a, s) }, &out)
	}
	out.First = news == len(usable)
	out.Partial = out.Partial || (news > 0 && !out.First)
	out.Version = usable[0].page.header.layout.name
	return out
}

// usable are the instances that could be read, and what is to be said of the
// others. One that cannot be measured as it is set up makes all of it unusable:
// that is for a person to repair, not to be waited for.
func (lb *loadBalancer) usable() ([]*instance, observe.LoadBalancer) {
	var usable []*instance
	var out observe.LoadBalancer
	for _, in := range lb.instances {
		if in.problem == nil {
			usable = append(usable, in)
			continue
		}
		out.Missing = append(out.Missing, *in.problem)
	}
	out.Partial = len(out.Missing) > 0
	worst := slices.IndexFunc(out.Missing, func(p observe.Problem) bool { return p.Cause == observe.CauseUnusable })
	switch {
	case worst >= 0:
		out.Problem = &out.Missing[worst]
	case len(usable) == 0:
		out.Problem = &out.Missing[0]
	}
	return usable, out
}

// identify notes which containers a caller has now.
func (lb *loadBalancer) identify(a *account, containers []observe.Container) {
	sum := identitySum(containers)
	if sum == a.sum && a.ids != nil {
		return
	}
	a.ids, a.sum = identify(containers), sum
	lb.claims = nil
}

// isOthers says that another caller has lately seen its container behind a row.
func (lb *loadBalancer) isOthers(me *account, s *server) bool {
	for _, a := range lb.claimants(&s.row) {
		if a != me && time.Since(a.seen) < otherKeysCount && a.ids.container(&s.row) != "" {
			return true
		}
	}
	return false
}

// claimants are the callers of which a container may be behind a row. They are sought
// out for all rows at once, when some row is nobody's, and again when some caller's
// containers have changed.
func (lb *loadBalancer) claimants(r *row) []*account {
	if lb.claims == nil {
		lb.claims = make(map[string][]*account)
		for _, a := range lb.accounts {
			for i := range a.ids {
				lb.claims[a.ids[i].name] = append(lb.claims[a.ids[i].name], a)
				lb.claims[a.ids[i].addr] = append(lb.claims[a.ids[i].addr], a)
			}
		}
	}
	if named := lb.claims[r.name]; named != nil {
		return named
	}
	return lb.claims[r.plainAddr()]
}

// account finds or makes a caller's account.
func (lb *loadBalancer) account(key string) *account {
	a := lb.accounts[key]
	if a == nil {
		lb.makeRoom()
		a = new(account)
		lb.accounts[key] = a
	}
	a.seen = time.Now()
	return a
}

// makeRoom forgets the caller that was not seen for longest when there are too
// many.
func (lb *loadBalancer) makeRoom() {
	if len(lb.accounts) < lb.maxKeys {
		return
	}
	oldest := ""
	for key, a := range lb.accounts {
		if oldest == "" || a.seen.Before(lb.accounts[oldest].seen) {
			oldest = key
		}
	}
	delete(lb.accounts, oldest)
	lb.claims = nil
}
