package observe

import (
	"context"
	"slices"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// The interfaces below are what an Observer is made of. The clients in internal/
// satisfy them; cmd wires them together.

// ImageReader answers from the registry watcher's cache.
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

// Prober probes containers at their own addresses.
type Prober interface {
	Probe(ctx context.Context, key string, spec ProbeSpec, containers []Container) Probes
}

// ProbeSpec is what a probe sends, and what it compares the answer with.
type ProbeSpec struct {
	// TCP opens a connection and sends nothing: Path, Headers and Want are HTTP's.
	TCP     bool
	Port    int
	Path    string
	Headers map[string]string
	Want    Expect
	// Every is the time since the last sample of a container before the next is
	// taken; Timeout bounds one probe.
	Every, Timeout time.Duration
}

// Expect is what an HTTP answer has to hold beside its status. The zero value
// expects nothing.
type Expect struct {
	// Headers are patterns by header name, Body is one of the body.
	Headers map[string]string
	Body    string
	// JSON is the text of scalars by their path in a JSON body: checks.db,
	// nodes[0].name.
	JSON map[string]string
	// Identity names a header that must hold the container's own name, id or IP.
	Identity string
}

// LogReader counts pattern matches in the logs of the new containers, and compares
// their errors with those of the old ones.
type LogReader interface {
	Logs(ctx context.Context, key string, spec LogSpec, fresh, old []Container) Logs
}

// LogSpec is what is looked for in logs.
type LogSpec struct {
	// Rollout is the one that is judged: another one begins anew.
	Rollout string
	// Fail are patterns.
	Fail []string
	// Novelty compares the versions' errors; without it old containers are not
	// followed.
	Novelty bool
}

// Wants says which readings a decision will ask for, so that thousands of idle
// targets cost a look into two caches and nothing else.
type Wants struct {
	// Fresh asks Rancher itself, not the informer's cache.
	Fresh bool
	// Gates takes the readings of load balancer and probes, Logs those of the new
	// containers' logs.
	Gates, Logs bool
	// Balancer takes the reading of the load balancer alone.
	Balancer bool
	// Rollout is the id of the rollout that is judged.
	Rollout string
	// Checks are those to work on.
	Checks []CheckRun
	// Evidence probes at the rate that was set for filling the minimum evidence.
	Evidence bool
	// Repository and Previous are the image whose presence is to be confirmed: the
	// way back.
	Repository, Previous string
	// PreviousSidekicks are those of the followed sidekicks, by name.
	PreviousSidekicks map[string]Pinned
}

// Pinned is an image by its digest.
type Pinned struct{ Repository, Digest string }

// Observer joins what the clients see into one Snapshot.
type Observer struct {
	Images    ImageReader
	Services  ServiceReader
	Balancers LoadBalancerReader
	Prober    Prober
	LogReader LogReader
	Metrics   MetricReader
	Checks    CheckReader
	// Acts may be nil: then nobody is named.
	Acts ActReader
}

// Glance looks into the caches: images and service.
func (o *Observer) Glance(ctx context.Context, t desired.Target, now time.Time) Snapshot {
	s := Snapshot{At: now, Image: o.Images.Image(ctx, t.Image, t.Platform)}
	for name, image := range t.Containers {
		if s.Sidekicks == nil {
			s.Sidekicks = make(map[string]Image, len(t.Containers))
		}
		s.Sidekicks[name] = o.Images.Image(ctx, image, t.Platform)
	}
	s.Service = o.Services.Service(ctx, t.Stack, t.Service, false)
	return s
}

// Look adds to a glance what is wanted, in parallel: no reading waits for
// another, and each tells its own Problem.
func (o *Observer) Look(ctx context.Context, t desired.Target, s Snapshot, w Wants) Snapshot {
	if w.Fresh {
		s.Service = o.Services.Service(ctx, t.Stack, t.Service, true)
	}
	var readings sync.WaitGroup
	if w.Fresh {
		readings.Go(func() { s.Hosts = o.Services.Hosts(ctx) })
	}
	o.readPrevious(ctx, t, w, &s, &readings)
	switch {
	case s.Service.Problem != nil:
	case w.Gates:
		o.readGates(ctx, t, w, &s, &readings)
	case w.Balancer:
		o.readBalancer(ctx, t, &s, running(s.Service.Containers), &readings)
	}
	if g := t.Gates.Logs; w.Logs && g != nil && s.Service.Problem == nil {
		readings.Go(func() {
			fresh, old := ofVersions(s.Service.Containers, s.Service.Launch.Version)
			s.Logs = o.LogReader.Logs(ctx, t.Key(), LogSpec{Rollout: w.Rollout, Fail: g.Fail, Novelty: g.Novelty != desired.NoveltyOff}, fresh, old)
		})
	}
	if len(w.Checks) > 0 {
		readings.Go(func() { s.Checks = o.Checks.Checks(ctx, t.Key(), w.Checks) })
	}
	readings.Wait()
	return s
}

// readPrevious asks whether what runs could be pulled again.
func (o *Observer) readPrevious(ctx context.Context, t desired.Target, w Wants, s *Snapshot, readings *sync.WaitGroup) {
	if w.Previous != "" {
		readings.Go(func() { s.Previous = o.Images.Pullable(ctx, w.Repository, w.Previous, t.Platform) })
	}
	if len(w.PreviousSidekicks) == 0 {
		return
	}
	s.PreviousSidekicks = make(map[string]Pullable, len(w.PreviousSidekicks))
	var writing sync.Mutex
	for name, image := range w.PreviousSidekicks {
		readings.Go(func() {
			p := o.Images.Pullable(ctx, image.Repository, image.Digest, t.Platform)
			writing.Lock()
			defer writing.Unlock()
			s.PreviousSidekicks[name] = p
		})
	}
}

// Gates takes the readings of a service's gates by themselves, for who has read the
// service already.
func (o *Observer) Gates(ctx context.Context, t desired.Target, s Snapshot) Snapshot {
	var readings sync.WaitGroup
	o.readGates(ctx, t, Wants{}, &s, &readings)
	readings.Wait()
	return s
}

func (o *Observer) readGates(ctx context.Context, t desired.Target, w Wants, s *Snapshot, readings *sync.WaitGroup) {
	running := running(s.Service.Containers)
	o.readBalancer(ctx, t, s, running, readings)
	if g := t.Gates.HTTP; g != nil {
		readings.Go(func() { s.Probes = o.Prober.Probe(ctx, t.Key(), httpSpec(g, w.Evidence), running) })
	}
	if g := t.Gates.TCP; g != nil {
		spec := ProbeSpec{TCP: true, Port: g.Port, Every: g.Every.Duration, Timeout: g.Timeout.Duration}
		readings.Go(func() { s.TCP = o.Prober.Probe(ctx, TCPKey(t.Key()), spec, running) })
	}
	if len(t.Gates.Prometheus) > 0 {
		queries := metricQueries(t, s.Service.Containers, s.Service.Launch.Version)
		readings.Go(func() { s.Metrics = o.Metrics.Metrics(ctx, t.Key(), queries) })
	}
}

func (o *Observer) readBalancer(ctx context.Context, t desired.Target, s *Snapshot, running []Container, readings *sync.WaitGroup) {
	if g := t.Gates.LoadBalancer; g != nil {
		readings.Go(func() { s.LoadBalancer = o.Balancers.Read(ctx, t.Key(), g.Name, running) })
	}
}

// TCPKey is the key that a target's TCP probes are paced under: a key has one
// pace.
func TCPKey(target string) string { return target + " tcp" }

func httpSpec(g *desired.HTTPGate, isShort bool) ProbeSpec {
	s := ProbeSpec{
		Port: g.Port, Path: g.Path, Headers: g.Headers, Every: g.Every.Duration, Timeout: g.Timeout.Duration,
		Want: Expect{Headers: g.ExpectHeaders, Body: g.ExpectBody, JSON: g.ExpectJSON, Identity: g.IdentityHeader},
	}
	if isShort && g.EvidenceRate > 0 {
		s.Every = min(s.Every, time.Duration(float64(time.Second)/g.EvidenceRate))
	}
	return s
}

// running are the primary containers that can serve.
func running(containers []Container) []Container {
	return slices.DeleteFunc(slices.Clone(containers), func(c Container) bool {
		return c.LaunchName != "" || (c.State != "running" && c.State != "updating-running" && c.State != "stopping")
	})
}

// ofVersions parts the containers made from a launch configuration from the other
// primary ones.
func ofVersions(containers []Container, version string) (fresh, old []Container) {
	for i := range containers {
		switch c := &containers[i]; {
		case c.Version == version:
			fresh = append(fresh, *c)
		case c.LaunchName == "":
			old = append(old, *c)
		}
	}
	return fresh, old
}
