package sandbox

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// smallBalancer is a load balancer for machines without haproxy. It counts as HAProxy 2.1 does.
type smallBalancer struct {
	options   BalancerOptions
	addr      string
	server    *server
	retryWait time.Duration

	mu      sync.Mutex
	process *process
	servers []Server
	closed  bool
}

// errClosed answers who would reload a load balancer that is gone.
var errClosed = errors.New("the load balancer is closed")

// NewBalancer starts the small load balancer without servers.
func NewBalancer(o BalancerOptions) (Balancer, error) {
	return newSmallBalancer(o)
}

func newSmallBalancer(o BalancerOptions) (*smallBalancer, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("starting the load balancer: %w", err)
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("starting the load balancer: %w", err)
	}
	b := &smallBalancer{options: o, addr: l.Addr().String(), retryWait: retryWait}
	b.process = newProcess(o, nil)
	b.server = newServer(b)
	b.server.onConn = b.countConn
	b.server.serve(l, b.counted)
	return b, nil
}

// Addr implements Balancer.
func (b *smallBalancer) Addr() string { return b.addr }

// StatsAddr implements Balancer.
func (b *smallBalancer) StatsAddr() string { return b.addr }

// SetServers implements Balancer.
func (b *smallBalancer) SetServers(_ context.Context, servers []Server) error {
	old, err := b.replace(servers)
	if old != nil {
		old.close()
	}
	return err
}

// replace starts a process for other servers and returns the one before, nil when nothing changes.
func (b *smallBalancer) replace(servers []Server) (*process, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	if slices.Equal(servers, b.servers) {
		return nil, nil
	}
	old := b.process
	b.servers, b.process = slices.Clone(servers), newProcess(b.options, servers)
	return old, nil
}

// Close implements Balancer.
func (b *smallBalancer) Close() error {
	b.server.drain(time.Second)
	err := b.server.Close()
	b.server.owned.Wait()
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.current().close()
	return err
}

func (b *smallBalancer) current() *process {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.process
}

// countConn counts a client's connection in the process that accepted it.
func (b *smallBalancer) countConn(conn net.Conn, open bool) {
	p := conn.(*clientConn).process // The listener makes no other.
	p.mu.Lock()
	defer p.mu.Unlock()
	if open {
		p.front.begin(time.Now())
		return
	}
	p.front.open--
}

// ServeHTTP answers the statistics page and forwards everything else.
func (b *smallBalancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := b.current()
	p.mu.Lock()
	p.front.requests++
	p.front.requestRate.add(time.Now())
	p.mu.Unlock()
	// A prefix of the request URI, so that /admin?stats;csv and ;norefresh belong to it and /admin does not.
	if strings.HasPrefix(r.RequestURI, StatsURI) {
		b.serveStats(w, r, p)
		return
	}
	p.serve(w, r, b.retryWait)
}

// serveStats shows the page or the table to who knows the password.
func (b *smallBalancer) serveStats(w http.ResponseWriter, r *http.Request, p *process) {
	w.Header().Set("Cache-Control", "no-cache")
	user, password, _ := r.BasicAuth()
	known := subtle.ConstantTimeCompare([]byte(user), []byte(b.options.User)) &
		subtle.ConstantTimeCompare([]byte(password), []byte(b.options.Password))
	if known == 0 {
		p.countIntercepted(http.StatusUnauthorized)
		w.Header().Set("WWW-Authenticate", `Basic realm="HAProxy Statistics"`)
		writePage(w, http.StatusUnauthorized, "You need a valid user and password to access this content.")
		return
	}
	p.countIntercepted(http.StatusOK)
	rows := p.rows(port(b.addr), time.Now())
	if strings.Contains(r.RequestURI, ";csv") {
		w.Header().Set("Content-Type", "text/plain")
		writeCSV(w, rows)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	writeTable(w, rows)
}

func (p *process) countIntercepted(code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.front.intercepted++
	p.front.status(code)
}

// writePage writes an error page as HAProxy words it.
func writePage(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, "<html><body><h1>%d %s</h1>\n%s\n</body></html>\n", code, http.StatusText(code), text)
}

// counted remembers with a client's connection which process accepted it.
func (b *smallBalancer) counted(conn net.Conn) net.Conn {
	return &clientConn{Conn: conn, process: b.current()}
}

// clientConn counts bytes on the FRONTEND row of the process that accepted it.
type clientConn struct {
	net.Conn
	process *process
}

func (c *clientConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.count(n, 0)
	return n, err
}

func (c *clientConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.count(0, n)
	return n, err
}

func (c *clientConn) count(in, out int) {
	c.process.mu.Lock()
	defer c.process.mu.Unlock()
	c.process.front.in += int64(in)
	c.process.front.out += int64(out)
}
