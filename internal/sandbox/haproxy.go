package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	// readyTimeout bounds how long haproxy may take to start.
	readyTimeout = 10 * time.Second
	// killAfter is how long it may take to end before it is killed.
	killAfter = 3 * time.Second
	// maxComplaint bounds what is kept of its standard error.
	maxComplaint = 8 << 10
)

// haproxy is the real load balancer, run as Rancher runs it: a change writes a new configuration and starts a new
// process that takes over from the old (lb-controller provider/haproxy/scripts/haproxy_reload).
type haproxy struct {
	options BalancerOptions
	binary  string
	// dir holds configuration and sockets.
	dir         string
	addr, plain string

	mu      sync.Mutex
	servers []Server
	// life numbers the processes; current is the one that listens.
	life    int
	current *haproxyProcess
	// all are the processes that have not ended.
	all    []*haproxyProcess
	closed bool
}

// haproxyProcess is one life of the program.
type haproxyProcess struct {
	process *os.Process
	// socket is the path of its admin socket.
	socket string
	// done is closed when it has ended; complaint is what it wrote until then.
	done      chan struct{}
	complaint boundedBuffer
}

// NewHAProxy starts the installed haproxy without servers. The error of a machine that has none wraps exec.ErrNotFound.
func NewHAProxy(ctx context.Context, o BalancerOptions) (Balancer, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("starting haproxy: %w", err)
	}
	binary, err := findHAProxy()
	if err != nil {
		return nil, fmt.Errorf("starting haproxy: %w", err)
	}
	dir, err := os.MkdirTemp("", "haproxy-")
	if err != nil {
		return nil, fmt.Errorf("starting haproxy: %w", err)
	}
	h := &haproxy{options: o, binary: binary, dir: dir}
	if err := h.begin(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting haproxy: %w", err), h.Close())
	}
	return h, nil
}

// findHAProxy also looks where Debian installs it, which is not in everybody's PATH.
func findHAProxy() (string, error) {
	path, err := exec.LookPath("haproxy")
	if err == nil {
		return path, nil
	}
	if sbin, sbinErr := exec.LookPath("/usr/sbin/haproxy"); sbinErr == nil {
		return sbin, nil
	}
	return "", err
}

// begin picks ports and starts the first process.
func (h *haproxy) begin(ctx context.Context) (err error) {
	if h.addr, err = freePort(h.options.Addr); err != nil {
		return err
	}
	if h.plain, err = freePort("127.0.0.1:0"); err != nil {
		return err
	}
	return h.reload(ctx)
}

// freePort turns port 0 into a number, because a configuration file needs one, and finds out early that one is taken.
func freePort(addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Addr implements Balancer.
func (h *haproxy) Addr() string { return h.addr }

// StatsAddr implements Balancer.
func (h *haproxy) StatsAddr() string {
	if h.options.statsIn() == StatsInListen {
		return h.plain
	}
	return h.addr
}

// SetServers implements Balancer.
func (h *haproxy) SetServers(ctx context.Context, servers []Server) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed
	}
	if slices.Equal(servers, h.servers) {
		return nil
	}
	h.servers = slices.Clone(servers)
	if err := h.reload(ctx); err != nil {
		return fmt.Errorf("reloading haproxy: %w", err)
	}
	return nil
}

// reload starts a process with the present servers and waits until it alone answers; -sf tells the old one to finish.
// Both accept for a moment, as with Rancher's, but not after this returns.
func (h *haproxy) reload(ctx context.Context) error {
	h.life++
	socket := filepath.Join(h.dir, strconv.Itoa(h.life)+".sock")
	config := haproxyConfig{options: h.options, addr: h.addr, plain: h.plain, socket: socket, servers: h.servers}
	path := filepath.Join(h.dir, "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config.String()), 0o600); err != nil {
		return err
	}
	args := []string{"-db", "-f", path}
	if h.current != nil {
		args = append(args, "-sf", strconv.Itoa(h.current.process.Pid))
	}
	p, err := startHAProxy(h.binary, args, socket)
	if err != nil {
		return err
	}
	h.all = append(slices.DeleteFunc(h.all, (*haproxyProcess).hasEnded), p)
	if err := p.await(ctx, true); err != nil {
		return err
	}
	old := h.current
	h.current = p
	if old == nil {
		return nil
	}
	return old.await(ctx, false)
}

// startHAProxy runs the program on a thread of its own: should this process be killed, the kernel ends the program with
// that thread.
func startHAProxy(binary string, args []string, socket string) (*haproxyProcess, error) {
	p := &haproxyProcess{done: make(chan struct{}), socket: socket}
	started := make(chan error)
	go func() {
		defer close(p.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := exec.Command(binary, args...)
		cmd.Stderr, cmd.SysProcAttr = &p.complaint, dieWithParent()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.process = cmd.Process
		started <- nil
		_ = cmd.Wait() // However it ended, it is gone.
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *haproxyProcess) hasEnded() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// await waits until the process accepts connections, or no longer does although open ones may still be served. Its
// admin socket tells: it opens and closes with the other listeners.
func (p *haproxyProcess) await(ctx context.Context, accepts bool) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for p.accepts() != accepts {
		select {
		case <-tick.C:
		case <-p.done:
			if accepts {
				return fmt.Errorf("it ended: %s", p.complaint.String())
			}
			return nil
		case <-ctx.Done():
			return fmt.Errorf("waiting for process %d: %w", p.process.Pid, ctx.Err())
		}
	}
	return nil
}

func (p *haproxyProcess) accepts() bool {
	conn, err := net.Dial("unix", p.socket)
	if err == nil {
		_ = conn.Close() // It was only a knock.
	}
	return err == nil
}

// Close implements Balancer.
func (h *haproxy) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.all {
		_ = p.process.Signal(syscall.SIGTERM) // An error says that it has ended.
	}
	for _, p := range h.all {
		p.awaitEnd()
	}
	h.all, h.current, h.closed = nil, nil, true
	return os.RemoveAll(h.dir)
}

func (p *haproxyProcess) awaitEnd() {
	select {
	case <-p.done:
	case <-time.After(killAfter):
		_ = p.process.Kill() // An error says that it has ended just now.
		<-p.done
	}
}

// boundedBuffer keeps the beginning of what is written to it.
type boundedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Write(p[:min(len(p), maxComplaint-b.b.Len())])
	return len(p), nil
}

func (b *boundedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(bytes.TrimSpace(b.b.Bytes()))
}
