package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// LoadBalancerSpec says where the statistics of a load balancer are.
type LoadBalancerSpec struct {
	// Name is what gates refer to.
	Name string
	// Stats are the pages of its instances, without ;csv.
	Stats []string
	// Username and Password are those of the pages; the password is asked for at
	// every fetch.
	Username string
	Password func() (string, error)
	// Backends are the proxies to list; empty means those in which a container of
	// the caller is found.
	Backends []string
}

// ReaderOptions are the bounds of a Reader. The zero value is good.
type ReaderOptions struct {
	// Timeout bounds one fetch; default 5 s.
	Timeout time.Duration
	// Fresh is how old a page may be to serve another caller; default 500 ms.
	Fresh time.Duration
	// MaxPage bounds one page in bytes; default 16 MiB.
	MaxPage int64
	// MaxKeys bounds the callers remembered per load balancer; default 10,000. The
	// one not seen for longest is forgotten.
	MaxKeys int
	// Transport replaces the network in tests.
	Transport http.RoundTripper
}

const (
	defaultFresh   = 500 * time.Millisecond
	defaultMaxKeys = 10_000
	// otherKeysCount is how long containers of another caller are believed to be
	// where it saw them.
	otherKeysCount = time.Minute
)

// Reader counts what the servers of load balancers did since the last look. It
// implements observe.LoadBalancerReader and may be used by many at once.
type Reader struct {
	options ReaderOptions
	fetcher *fetcher

	mu            sync.Mutex
	loadBalancers map[string]*loadBalancer
}

var _ observe.LoadBalancerReader = (*Reader)(nil)

// NewReader makes a Reader that knows no load balancer yet.
func NewReader(o ReaderOptions) *Reader {
	if o.Fresh <= 0 {
		o.Fresh = defaultFresh
	}
	if o.MaxKeys <= 0 {
		o.MaxKeys = defaultMaxKeys
	}
	return &Reader{options: o, fetcher: newFetcher(o), loadBalancers: map[string]*loadBalancer{}}
}

// Update replaces the load balancers. One whose pages stay the same keeps its
// sums. On an error nothing changes.
func (r *Reader) Update(specs []LoadBalancerSpec) error {
	made := make(map[string]*loadBalancer, len(specs))
	var errs []error
	for _, spec := range specs {
		lb, err := newLoadBalancer(spec, r)
		if err != nil {
			errs = append(errs, fmt.Errorf("load balancer %s: %w", spec.Name, err))
			continue
		}
		made[spec.Name] = lb
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, lb := range made {
		if old := r.loadBalancers[name]; old != nil && slices.Equal(old.spec.Stats, lb.spec.Stats) {
			old.respec(lb.spec)
			made[name] = old
		}
	}
	r.loadBalancers = made
	return nil
}

// Read implements observe.LoadBalancerReader.
func (r *Reader) Read(ctx context.Context, key, name string, containers []observe.Container) observe.LoadBalancer {
	r.mu.Lock()
	lb := r.loadBalancers[name]
	r.mu.Unlock()
	if lb == nil {
		return observe.LoadBalancer{Problem: problemf(observe.CauseUnusable, "load balancer %q is not configured", name)}
	}
	if err := lb.refresh(ctx); err != nil {
		return observe.LoadBalancer{Problem: problemf(observe.CauseUnreachable, "reading statistics of %s: %v", name, err)}
	}
	return lb.read(key, containers)
}

// Forget drops what is remembered of a caller.
func (r *Reader) Forget(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, lb := range r.loadBalancers {
		lb.forget(key)
	}
}
