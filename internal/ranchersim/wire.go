package ranchersim

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Wire is a listener without a network: its connections are pipes, a write to one waits until it is read, and nothing of
// it waits for the outside. Tests in synctest bubbles serve through it.
type Wire struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// NewWire makes a Wire.
func NewWire() *Wire { return &Wire{conns: make(chan net.Conn), done: make(chan struct{})} }

// Accept implements net.Listener.
func (w *Wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (w *Wire) Close() error {
	w.once.Do(func() { close(w.done) })
	return nil
}

// Addr implements net.Listener; there is no address.
func (w *Wire) Addr() net.Addr { return &net.TCPAddr{} }

// Dial connects to whoever listens, whatever the address.
func (w *Wire) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case w.conns <- far:
		return near, nil
	case <-w.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Serve answers with a handler; stop ends it and waits for what it started.
func (w *Wire) Serve(h http.Handler) (stop func()) {
	srv := &http.Server{Handler: h}
	var served sync.WaitGroup
	served.Go(func() { _ = srv.Serve(w) })
	return func() { _ = srv.Close(); served.Wait() }
}

// Transport reaches whoever listens. It keeps no connection, so that none is left when a bubble ends.
func (w *Wire) Transport() *http.Transport {
	return &http.Transport{DialContext: w.Dial, DisableKeepAlives: true}
}
