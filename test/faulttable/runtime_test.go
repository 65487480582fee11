package faulttable

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// behaviour is what a container of an image does. The zero value is healthy after a second.
type behaviour struct {
	// neverHealthy fails every check; sickAfter fails them from then on.
	neverHealthy bool
	sickAfter    time.Duration
	// crashAfter ends the process by itself.
	crashAfter time.Duration
}

// runtime runs containers in memory.
type runtime struct {
	// resolve tells what an image reference is: its configuration's digest, or false when the registry does not have it.
	resolve func(image string) (config string, ok bool)

	mu        sync.Mutex
	behaviour map[string]behaviour // By configuration digest.
	running   map[string]*process  // By container id.
	// instead is what pulls bring in place of what the registry has: an image's configuration by reference, empty for
	// one that it does not have any more.
	instead map[string]string
	started int
}

func newRuntime(resolve func(string) (string, bool)) *runtime {
	return &runtime{resolve: resolve, behaviour: map[string]behaviour{}, running: map[string]*process{}, instead: map[string]string{}}
}

// Pull implements ranchersim.Runtime.
func (r *runtime) Pull(_ context.Context, image string) (string, error) {
	config, ok := r.resolve(image)
	r.mu.Lock()
	if other, is := r.instead[image]; is {
		config, ok = other, other != ""
	}
	r.mu.Unlock()
	if !ok {
		return "", fmt.Errorf("Error response from daemon: manifest for %s not found: manifest unknown: manifest unknown", image) //nolint:staticcheck // Docker's own words.
	}
	return config, nil
}

// Start implements ranchersim.Runtime.
func (r *runtime) Start(_ context.Context, c ranchersim.ContainerSpec) (ranchersim.Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started++
	p := &process{
		behaviour: r.behaviour[c.ImageID], begun: time.Now(), exited: make(chan struct{}),
		log: log{{Time: time.Now(), Stream: 1, Text: "started " + c.Name}},
		ip:  fmt.Sprintf("10.42.%d.%d", r.started/250, r.started%250+1),
	}
	if c.IP != "" {
		p.ip = c.IP
	}
	if d := p.behaviour.crashAfter; d > 0 {
		p.crash = time.AfterFunc(d, p.exit)
	}
	r.running[c.ID] = p
	return p, nil
}

// pulls has hosts get another image for a reference from now on, or with an empty one none.
func (r *runtime) pulls(image, config string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.instead[image] = config
}

// pullsAgain has hosts get what the registry has.
func (r *runtime) pullsAgain(image string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.instead, image)
}

// behaves has containers of an image that are started from now on behave so.
func (r *runtime) behaves(config string, b behaviour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behaviour[config] = b
}

// sicken has a container fail its checks from now on.
func (r *runtime) sicken(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.running[id]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behaviour.neverHealthy = true
}

// process is a container's process.
type process struct {
	begun  time.Time
	ip     string
	exited chan struct{}
	once   sync.Once
	crash  *time.Timer
	log    log

	mu        sync.Mutex
	behaviour behaviour
}

// IP implements ranchersim.Process.
func (p *process) IP() string { return p.ip }

// Check implements ranchersim.Process.
func (p *process) Check(context.Context, ranchersim.HealthCheck) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	age := time.Since(p.begun)
	return !p.behaviour.neverHealthy && age > time.Second && (p.behaviour.sickAfter == 0 || age < p.behaviour.sickAfter)
}

// Exited implements ranchersim.Process.
func (p *process) Exited() <-chan struct{} { return p.exited }

// Logs implements ranchersim.Process.
func (p *process) Logs() ranchersim.LogSource { return p.log }

// Stop implements ranchersim.Process.
func (p *process) Stop(context.Context) error {
	if p.crash != nil {
		p.crash.Stop()
	}
	return nil
}

func (p *process) exit() { p.once.Do(func() { close(p.exited) }) }

// log is a container's output: what it wrote when it started.
type log []ranchersim.LogLine

// Lines implements ranchersim.LogSource. Nothing is ever added, so nobody is woken.
func (l log) Lines(from int) ([]ranchersim.LogLine, int, <-chan struct{}, bool) {
	return l[min(from, len(l)):], len(l), nil, false
}
