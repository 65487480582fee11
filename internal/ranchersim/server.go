package ranchersim

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how a Server behaves. The zero value is a server with access control off and containers that are only
// records.
type Options struct {
	Runtime Runtime // Runs the containers; nil keeps them as records that always start.
	Seed    int64   // Of uuids, tokens and faults.
	Speed   float64 // How much faster than a real Rancher its own waits pass; 0 is 1.

	Project   string // Name of the first project (environment); "" is Default.
	AccessKey string // An environment API key of the first project; "" switches access control off.
	SecretKey string

	// ExternalHealth leaves health to ReportHealth, as a real Rancher leaves it to its health checkers.
	ExternalHealth bool
}

// Server is an embedded Rancher 1.6. It is made with New, served through Handler, kept alive by Run and ended by Close.
type Server struct {
	runtime        Runtime
	speed          float64
	externalHealth bool
	started        time.Time

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	spawnM sync.Mutex // Orders spawn against Close.
	closed bool

	mu        sync.RWMutex // Guards everything below and all records.
	random    *rand.Rand
	counters  map[string]int
	projects  []*project
	stacks    map[int]*stack
	services  map[int]*service
	instances map[int]*instance
	hosts     map[int]*host
	secrets   map[int]*secret
	accounts  map[string]string // Of people, by access key.
	logs      logBook
	events    []*containerEvent
	audits    []*auditEntry
	keys      map[string]Key
	tokens    map[string]logGrant
	onChange  []func()

	bus    bus
	faults faultBook
	skew   atomic.Int64 // How far Rancher's clock is off, in nanoseconds.
	life   atomic.Pointer[life]
}

// New makes a server with one project and no hosts.
func New(opts Options) *Server {
	useSchemas()
	ctx, cancel := context.WithCancel(context.Background())
	seed := uint64(opts.Seed)
	s := &Server{
		runtime: opts.Runtime, speed: opts.Speed, externalHealth: opts.ExternalHealth, started: time.Now(),
		ctx: ctx, cancel: cancel,
		random: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)), counters: map[string]int{},
		stacks: map[int]*stack{}, services: map[int]*service{}, instances: map[int]*instance{},
		hosts: map[int]*host{}, secrets: map[int]*secret{}, keys: map[string]Key{}, accounts: map[string]string{}, tokens: map[string]logGrant{},
	}
	if s.speed <= 0 {
		s.speed = 1
	}
	s.bus.init()
	s.faults.init(seed)
	s.life.Store(s.newLife(time.Time{}))
	s.counters[prefixProject] = 4 // The numbers below belong to the accounts every Rancher begins with.
	name := opts.Project
	if name == "" {
		name = "Default"
	}
	p := s.AddProject(name)
	if opts.AccessKey != "" {
		s.AddKey(Key{Access: opts.AccessKey, Secret: opts.SecretKey, Kind: EnvironmentKey, Project: p})
	}
	return s
}

// Run works in the background until ctx ends, then closes the server: events are published once a second and health
// timeouts enforced once a minute, as Cattle's scheduled tasks do.
func (s *Server) Run(ctx context.Context) {
	defer s.Close()
	events := time.NewTicker(s.scaled(eventInterval))
	defer events.Stop()
	cleanup := time.NewTicker(s.scaled(cleanupInterval))
	defer cleanup.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ctx.Done():
			return
		case <-events.C:
			s.publish()
		case <-cleanup.C:
			s.removeOverdue()
			s.purge()
		}
	}
}

// Close stops every process and container and waits for them.
func (s *Server) Close() {
	s.spawnM.Lock()
	s.closed = true
	s.spawnM.Unlock()
	s.cancel()
	s.bus.closeAll()
	s.wg.Wait()
	s.stopProcesses()
}

// stopProcesses ends the containers that still run.
func (s *Server) stopProcesses() {
	s.mu.Lock()
	var left []Process
	for _, i := range s.instances {
		if i.process != nil {
			left = append(left, i.process)
			i.process = nil
		}
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for _, p := range left {
		_ = p.Stop(ctx) // Nothing can be done about it any more.
	}
}

// spawn starts a goroutine that Close waits for.
func (s *Server) spawn(f func(ctx context.Context)) {
	s.spawnM.Lock()
	defer s.spawnM.Unlock()
	if s.closed {
		return
	}
	s.wg.Go(func() { f(s.ctx) })
}

// scaled is how long one of Rancher's own waits takes here. Every wait of the package goes through it.
func (s *Server) scaled(d time.Duration) time.Duration {
	return max(time.Duration(float64(d)/s.speed), time.Microsecond)
}

// sleep waits for a scaled time; it is false when ctx ended first.
func (s *Server) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(s.scaled(d))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// awaitPublication waits for the next publication of changes, once a second: that is how Cattle's own waits learn that
// what they wait for has come (log times of a running server: stopping, starting and health waits end a second apart).
func (s *Server) awaitPublication(ctx context.Context) bool {
	elapsed := time.Duration(float64(time.Since(s.started))*s.speed) + settleTime
	next := (elapsed + eventInterval - 1) / eventInterval * eventInterval
	return s.sleep(ctx, settleTime+next-elapsed+beginTime)
}

// varied is a time as containers take it: up to a third more, each its own.
func (s *Server) varied(d time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return d + time.Duration(s.random.Int64N(int64(d)/3+1))
}

// next counts up the ids of a prefix. The caller holds mu.
func (s *Server) next(prefix string) int {
	s.counters[prefix]++
	return s.counters[prefix]
}

// uuid makes a random (version 4) UUID. The caller holds mu.
func (s *Server) uuid() string {
	b := s.bytes(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// bytes draws n random bytes. The caller holds mu.
func (s *Server) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.random.Uint32())
	}
	return b
}

// sortedIDs lists the keys of a table ascending. The caller holds mu.
func sortedIDs[T any](table map[int]T) []int {
	ids := make([]int, 0, len(table))
	for id := range table {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
