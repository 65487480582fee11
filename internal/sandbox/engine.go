package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

const (
	// defaultPort is where a container listens when neither Rancher nor the image names a port.
	defaultPort = 8080
	// maxStopped is how many ended containers keep their logs and addresses for a restart.
	maxStopped = 256
	// maxPorts is how many ports one container may open.
	maxPorts = 16
)

// Engine runs containers as small HTTP servers in this process, as a host's Docker would run them as processes. It is
// the runtime of ranchersim.
type Engine struct {
	images    *images
	addresses *addresses
	seed      uint64

	mu sync.Mutex
	// slots are what outlives a container's process, by container id: its log and its address.
	slots map[string]*slot
	// stopped are the ids of slots without a process, the longest stopped first.
	stopped []string
	closed  bool
}

// slot is a container over all its starts.
type slot struct {
	logs  *logBuffer
	claim *claim
	// process runs now, or is nil.
	process *container
}

// NewEngine makes an engine without containers; the seed chooses addresses and who fails when.
func NewEngine(seed uint64) *Engine {
	return &Engine{
		images: newImages(), addresses: newAddresses(seed), seed: seed,
		slots: map[string]*slot{},
	}
}

var _ ranchersim.Runtime = (*Engine)(nil)

// Pull implements ranchersim.Runtime: it fetches the image's configuration from a registry on this machine.
func (e *Engine) Pull(ctx context.Context, name string) (string, error) {
	img, err := e.images.pull(ctx, name)
	if err != nil {
		return "", err
	}
	return img.id.String(), nil
}

// Start implements ranchersim.Runtime. The process runs until it is stopped, ends by itself or the engine is closed,
// not until ctx is done.
func (e *Engine) Start(_ context.Context, spec ranchersim.ContainerSpec) (ranchersim.Process, error) {
	img, ok := e.images.byID(digest.Digest(spec.ImageID))
	if !ok {
		return nil, daemonError("No such image: %s", spec.Image)
	}
	if img.badLabel != nil {
		return nil, daemonError("%w", img.badLabel)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.start(spec, img)
}

// start makes the process; the lock is held.
func (e *Engine) start(spec ranchersim.ContainerSpec, img *image) (ranchersim.Process, error) {
	if e.closed {
		return nil, daemonError("the engine is closed")
	}
	ports := choosePorts(spec.Ports, img.ports)
	s, err := e.slot(spec, ports[0])
	if err != nil {
		return nil, daemonError("%w", err)
	}
	c := newContainer(spec, img, s, ports, mix(e.seed^mix(ipBits(s.claim.ip))))
	if err := c.start(func() { e.onEnd(spec.ID, c) }); err != nil {
		e.idle(spec.ID)
		return nil, daemonError("%w", err)
	}
	s.process = c
	e.stopped = slices.DeleteFunc(e.stopped, func(id string) bool { return id == spec.ID })
	return c, nil
}

// choosePorts is what a container listens on: what Rancher expects of it, else what its image exposes, else 8080.
func choosePorts(expected, exposed []int) []int {
	for _, ports := range [][]int{expected, exposed} {
		if len(ports) > 0 {
			return slices.Clone(ports[:min(len(ports), maxPorts)])
		}
	}
	return []int{defaultPort}
}

// slot finds what a restarted container had, or makes a new one.
func (e *Engine) slot(spec ranchersim.ContainerSpec, port int) (*slot, error) {
	if s, ok := e.slots[spec.ID]; ok {
		if s.process != nil {
			return nil, fmt.Errorf("container %s is already started", spec.ID)
		}
		return s, nil
	}
	claim, err := e.addresses.take(spec.IP, port)
	if err != nil {
		return nil, err
	}
	s := &slot{logs: &logBuffer{}, claim: claim}
	e.slots[spec.ID] = s
	return s, nil
}

// onEnd is called once by a container whose process is gone.
func (e *Engine) onEnd(id string, c *container) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.slots[id]; s != nil && s.process == c {
		s.process = nil
		e.idle(id)
	}
}

// idle remembers a container without a process and forgets the one that has been so for longest when there are many.
func (e *Engine) idle(id string) {
	if slices.Contains(e.stopped, id) {
		return
	}
	e.stopped = append(e.stopped, id)
	if len(e.stopped) > maxStopped {
		e.slots[e.stopped[0]].claim.release()
		delete(e.slots, e.stopped[0])
		e.stopped = e.stopped[1:]
	}
}

// Close kills every container and waits until they are gone.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	var processes []*container
	for s := range maps.Values(e.slots) {
		if s.process != nil {
			processes = append(processes, s.process)
		}
	}
	e.mu.Unlock()
	var errs []error
	for _, c := range processes {
		errs = append(errs, c.kill())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, s := range e.slots {
		s.claim.release()
		delete(e.slots, id)
	}
	e.stopped = nil
	e.images.client.CloseIdleConnections()
	return errors.Join(errs...)
}
