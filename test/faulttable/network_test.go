package faulttable

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// network is a network in memory: servers listen under names, and connections are pipes, so that a bubble of
// testing/synctest sees everybody wait.
type network struct {
	mu        sync.Mutex
	listeners map[string]*listener
}

func newNetwork() *network { return &network{listeners: map[string]*listener{}} }

// listener accepts the connections that are dialled to its address.
type listener struct {
	address string
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

// serve serves a handler under host:port until the returned function is called.
func (n *network) serve(address string, handler http.Handler) (closeServer func()) {
	l := &listener{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.mu.Lock()
	n.listeners[address] = l
	n.mu.Unlock()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // It always ends with an error; the end is ours.
	}()
	return func() {
		_ = server.Close()
		<-done
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l }

// Network implements net.Addr.
func (l *listener) Network() string { return "memory" }

// String implements net.Addr.
func (l *listener) String() string { return l.address }

// uplink is how one process reaches the network; it can be cut for good.
type uplink struct {
	network *network
	mu      sync.Mutex
	isCut   bool
	conns   map[*conn]bool
}

// conn is an open connection of an uplink.
type conn struct {
	net.Conn
	uplink *uplink
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.uplink.mu.Lock()
	delete(c.uplink.conns, c)
	c.uplink.mu.Unlock()
	return c.Conn.Close()
}

var errCut = errors.New("network is unreachable")

// dial connects to a server.
func (u *uplink) dial(ctx context.Context, _, address string) (net.Conn, error) {
	u.network.mu.Lock()
	l := u.network.listeners[address]
	u.network.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: errors.New("connection refused: " + address)}
	}
	near, far := net.Pipe()
	u.mu.Lock()
	if u.isCut {
		u.mu.Unlock()
		return nil, errCut
	}
	open := &conn{Conn: near, uplink: u}
	if u.conns == nil {
		u.conns = map[*conn]bool{}
	}
	u.conns[open] = true
	u.mu.Unlock()
	select {
	case l.conns <- far:
		return open, nil
	case <-l.closed:
		_ = open.Close()
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: errors.New("connection refused: " + address)}
	case <-ctx.Done():
		_ = open.Close()
		return nil, ctx.Err()
	}
}

// cut breaks every connection and lets no new one through.
func (u *uplink) cut() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.isCut = true
	for c := range u.conns {
		_ = c.Conn.Close()
	}
	u.conns = nil
}
