package observe

import (
	"context"
	"time"
)

// The interfaces below are what an Observer is made of. The clients in internal/
// satisfy them; cmd wires them together.

// ImageReader answers from the registry watcher's cache; it never waits for the
// network longer than ctx allows.
type ImageReader interface {
	// Image is what ref (host/repository:tag) resolves to for the platform.
	Image(ctx context.Context, ref, platform string) Image
	// Pullable asks whether repository@digest can still be fetched.
	Pullable(ctx context.Context, repository, digest, platform string) Pullable
}

// ServiceReader answers from the Rancher informer's cache; fresh asks Rancher
// itself (during a rollout, when the cache may lag).
type ServiceReader interface {
	Service(ctx context.Context, stack, service string, fresh bool) Service
	Hosts(ctx context.Context) Hosts
}

// LoadBalancerReader reads the statistics of a named load balancer and counts
// since the last call with the same key (one key per target).
type LoadBalancerReader interface {
	Read(ctx context.Context, key, loadBalancer string, containers []Container) LoadBalancer
}

// Prober probes containers over HTTP.
type Prober interface {
	Probe(ctx context.Context, key string, spec ProbeSpec, containers []Container) Probes
}

// ProbeSpec is what a probe sends.
type ProbeSpec struct {
	Port    int
	Path    string
	Headers map[string]string
	// Every is the time since the last sample of a container before the next is
	// taken; Timeout bounds one probe.
	Every, Timeout time.Duration
}

// LogReader counts pattern matches in the logs of the new containers.
type LogReader interface {
	Logs(ctx context.Context, key string, patterns []string, containers []Container) Logs
}
