package sandbox

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxHeader bounds a request's header.
const maxHeader = 64 << 10

// server is an HTTP server that waits for everything it started: net/http's own does not wait for what it cuts.
type server struct {
	http.Server
	// owned counts accept loops and connections.
	owned sync.WaitGroup
	// onConn, when not nil, hears of each connection's begin and end.
	onConn func(conn net.Conn, open bool)
}

func newServer(handler http.Handler) *server {
	s := &server{Server: http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second,
		MaxHeaderBytes: maxHeader, ErrorLog: discard,
	}}
	s.ConnState = s.count
	return s
}

// serve accepts connections until the server is closed.
func (s *server) serve(l net.Listener) {
	s.owned.Go(func() { _ = s.Serve(l) }) // It always returns an error; the server's end is ours.
}

// count is net/http's hook; it hears of a new connection within the accept loop, which is itself counted.
func (s *server) count(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.owned.Add(1)
		s.tell(conn, true)
	case http.StateClosed, http.StateHijacked:
		s.tell(conn, false)
		s.owned.Done()
	}
}

func (s *server) tell(conn net.Conn, open bool) {
	if s.onConn != nil {
		s.onConn(conn, open)
	}
}

// drain stops accepting and lets open requests finish for at most the time given.
func (s *server) drain(grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	_ = s.Shutdown(ctx) // What is still open then is cut by Close.
}
