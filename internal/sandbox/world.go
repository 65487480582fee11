package sandbox

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
	"gitlab.gf.com.cn/clickeggs/drover/internal/registry/registrytest"
)

// What every world holds.
const (
	Stack      = "gf-chat"
	Service    = "parrot-rest"
	Repository = "clickeggs/parrot-rest"
	Tag        = "latest"
	statsUser  = "admin"
	project    = "dev"
)

// reloadDelay is how long the load balancer waits for further changes before it reloads. With Rancher's it is about a
// quarter of a second from a change to the new configuration (load-balancer-and-logs 1.4).
const reloadDelay = 100 * time.Millisecond

// Options say what kind of world is started. The zero value is a world of three containers on free ports.
type Options struct {
	// RegistryAddr, RancherAddr and BalancerAddr are loopback host:port; empty and :0 pick a free port on 127.0.0.1.
	RegistryAddr, RancherAddr, BalancerAddr string
	// AdminAddr is where faults are asked for; like the others.
	AdminAddr string
	// Faults go wrong with Rancher from when the world is up.
	Faults []ranchersim.Fault
	// Seed makes ids, addresses and the pattern of failures repeatable.
	Seed int64
	// HAProxy runs the installed haproxy instead of the small load balancer.
	HAProxy bool
	// StatsIn is where its statistics page is, as in BalancerOptions.
	StatsIn string
	// Scale is the service's number of containers; 0 means 3.
	Scale int
	// Speed is how much faster than a real Rancher's the simulator's waits pass; 0 means 1.
	Speed float64
	// Pinned has the service name its image by digest, as after a rollout by Drover; else it names the tag.
	Pinned bool
	// Behaviour is what the first image does; empty serves.
	Behaviour string
	// CheckInterval is the time between two health checks of a container; 0 means 500 ms.
	CheckInterval time.Duration
}

// Info is what a client has to know about a world.
type Info struct {
	// Registry is host:port; the others are URLs.
	Registry      string `json:"registry"`
	Rancher       string `json:"rancher"`
	LoadBalancer  string `json:"loadBalancer"`
	Stats         string `json:"stats"`
	StatsUser     string `json:"statsUser"`
	StatsPassword string `json:"statsPassword"`
	// Admin is where faults are asked for.
	Admin string `json:"admin"`
	// Environment is the id of the Rancher environment that the key is for.
	Environment string `json:"environment"`
	AccessKey   string `json:"accessKey"`
	SecretKey   string `json:"secretKey"`
	Stack       string `json:"stack"`
	Service     string `json:"service"`
	// Image is the tag that the service was created with.
	Image string `json:"image"`
}

// World is a registry, a Rancher with one service, its containers and a load balancer in front of them.
type World struct {
	options  Options
	info     Info
	registry *registrytest.Registry
	engine   *Engine
	rancher  *ranchersim.Server
	balancer Balancer

	// ctx ends when the world is closed; owned are the goroutines that then end.
	ctx   context.Context
	stop  context.CancelFunc
	owned sync.WaitGroup
	// created is the image that the service is created with.
	created string
	// feeding is the goroutine that feeds the load balancer.
	feeding sync.WaitGroup
	// changed holds a token when a container changed.
	changed chan struct{}
	// closers undo what was started, last first.
	closers []func() error

	mu sync.Mutex
	// pushes numbers the images; problem is the first reload that failed.
	pushes  int
	problem error
}

// startTimeout bounds a start.
const startTimeout = time.Minute

// Start makes a world and returns when its service is active and healthy behind the load balancer. ctx bounds the start
// only; the world lives until it is closed.
func Start(ctx context.Context, o Options) (*World, error) {
	w := &World{changed: make(chan struct{}, 1), info: Info{Stack: Stack, Service: Service}}
	w.ctx, w.stop = context.WithCancel(context.Background())
	if err := w.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the sandbox: %w", err), w.Close())
	}
	return w, nil
}

func (w *World) start(ctx context.Context, o Options) error {
	if err := o.setDefaults(); err != nil {
		return err
	}
	w.options = o
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, step := range []func(context.Context) error{
		w.startRegistry, w.startRancher, w.createService, w.startBalancer, w.awaitHealthy, w.startFaults,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// setDefaults completes the options and refuses addresses that other machines could reach.
func (o *Options) setDefaults() error {
	for _, addr := range []*string{&o.RegistryAddr, &o.RancherAddr, &o.BalancerAddr, &o.AdminAddr} {
		*addr = strings.Replace(*addr, "localhost:", "127.0.0.1:", 1)
		if *addr == "" || *addr == ":0" {
			*addr = "127.0.0.1:0"
		}
		if err := checkLoopback(*addr); err != nil {
			return err
		}
	}
	if o.Scale == 0 {
		o.Scale = 3
	}
	if o.CheckInterval == 0 {
		o.CheckInterval = 500 * time.Millisecond
	}
	switch {
	case o.Scale < 0:
		return fmt.Errorf("scale %d is negative", o.Scale)
	case o.Speed < 0:
		return fmt.Errorf("speed %g is negative", o.Speed)
	case o.CheckInterval < 10*time.Millisecond:
		return fmt.Errorf("check interval %s is below 10ms", o.CheckInterval)
	}
	return nil
}

// startRegistry starts the registry and pushes the image that the service begins with.
func (w *World) startRegistry(ctx context.Context) error {
	registry, err := registrytest.Start(registrytest.Options{Addr: w.options.RegistryAddr})
	if err != nil {
		return err
	}
	w.registry = registry
	w.onClose(registry.Close)
	w.info.Registry = registry.Host()
	w.info.Image = registry.Host() + "/" + Repository + ":" + Tag
	first, err := w.Push(ctx, w.options.Behaviour, nil)
	w.created = w.info.Image
	if w.options.Pinned {
		w.created = registry.Host() + "/" + Repository + "@" + first
	}
	return err
}

// startRancher serves a Rancher with one active host, whose containers the engine runs.
func (w *World) startRancher(context.Context) error {
	seed := uint64(w.options.Seed)
	w.engine = NewEngine(seed)
	w.onClose(w.engine.Close)
	w.info.AccessKey, w.info.SecretKey = strings.ToUpper(word64(seed, 1, 20)), word64(seed, 2, 40)
	w.rancher = ranchersim.New(ranchersim.Options{
		Runtime: w.engine, Seed: w.options.Seed, Speed: w.options.Speed, Project: project,
		AccessKey: w.info.AccessKey, SecretKey: w.info.SecretKey,
	})
	w.onClose(func() error { w.rancher.Close(); return nil })
	l, err := net.Listen("tcp", w.options.RancherAddr)
	if err != nil {
		return fmt.Errorf("listening for Rancher: %w", err)
	}
	s := newServer(w.rancher.Handler())
	s.serve(l, nil)
	w.onClose(func() error {
		err := s.Close()
		s.owned.Wait()
		return err
	})
	w.owned.Go(func() { w.rancher.Run(w.ctx) })
	w.info.Rancher, w.info.Environment = "http://"+l.Addr().String(), w.rancher.ProjectID()
	w.rancher.AddHost("host-1.example", "127.0.0.1")
	return nil
}

// word64 draws a secret of n hexadecimal digits from the seed: whoever can reach a loopback port may as well know it.
func word64(seed, which uint64, n int) string {
	b := make([]byte, n/2)
	for i := range b {
		b[i] = byte(mix(seed ^ mix(which<<32|uint64(i))))
	}
	return hex.EncodeToString(b)
}

// createService adds the stack and the service, whose image is a bare tag as people write it.
func (w *World) createService(context.Context) error {
	stack, err := w.rancher.CreateStack(Stack)
	if err != nil {
		return fmt.Errorf("creating stack %s: %w", Stack, err)
	}
	check := w.check()
	launch, err := json.Marshal(map[string]any{
		"imageUuid": "docker:" + w.created,
		"healthCheck": map[string]any{
			"port": check.Port, "requestLine": check.RequestLine, "interval": check.Interval.Milliseconds(),
			"responseTimeout": check.Timeout.Milliseconds(), "healthyThreshold": check.Rise, "unhealthyThreshold": check.Fall,
			"strategy": "recreate", "initializingTimeout": 60_000, "reinitializingTimeout": 60_000,
		},
	})
	if err != nil {
		return fmt.Errorf("creating service %s: %w", Service, err)
	}
	_, err = w.rancher.CreateService(ranchersim.ServiceSpec{
		StackID: stack, Name: Service, Scale: w.options.Scale, LaunchConfig: launch, Start: true,
	})
	if err != nil {
		return fmt.Errorf("creating service %s: %w", Service, err)
	}
	return nil
}

// check is the service's health check, and so the load balancer's.
func (w *World) check() *Check {
	return &Check{
		Port: defaultPort, RequestLine: `GET "/healthz" "HTTP/1.0"`,
		Interval: w.options.CheckInterval, Timeout: 2 * time.Second, Rise: 2, Fall: 3,
	}
}

// onClose notes how something just started is ended.
func (w *World) onClose(f func() error) { w.closers = append(w.closers, f) }

// Info says where everything is.
func (w *World) Info() Info { return w.info }

// Push builds an image that behaves so, pushes it as the tag that the service was created with, and returns its digest.
// Each push is a new version; extra labels win over the ones made here.
func (w *World) Push(ctx context.Context, behaviour string, extra map[string]string) (string, error) {
	if _, err := ParseBehaviour(behaviour); err != nil {
		return "", fmt.Errorf("pushing an image: %w", err)
	}
	w.mu.Lock()
	w.pushes++
	n := uint64(w.pushes)
	w.mu.Unlock()
	labels := map[string]string{
		"org.opencontainers.image.version":  fmt.Sprintf("1.%d.0", n),
		"org.opencontainers.image.revision": word64(uint64(w.options.Seed), 3<<16|n, 40),
	}
	if behaviour != "" {
		labels[BehaviourLabel] = behaviour
	}
	for name, value := range extra {
		labels[name] = value
	}
	return w.registry.PushImage(ctx, Repository, Tag, registrytest.ImageSpec{Labels: labels})
}

// Close ends everything and waits for it.
func (w *World) Close() error {
	w.stop()
	var errs []error
	for len(w.closers) > 0 {
		last := len(w.closers) - 1
		errs = append(errs, w.closers[last]())
		w.closers = w.closers[:last]
	}
	w.owned.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := errors.Join(append(errs, w.problem)...); err != nil {
		return fmt.Errorf("closing the sandbox: %w", err)
	}
	return nil
}
