package sandbox

import (
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxHeader bounds a request's header.
	maxHeader = 64 << 10
	// lull is how long nobody may have connected before a listener that is to close does so.
	lull = 5 * time.Millisecond
	// lastCalls is how many may still connect while it waits for that.
	lastCalls = 64
)

// server is an HTTP server that waits for everything it started: net/http's own does not wait for what it cuts.
type server struct {
	http.Server
	// owned counts accept loops and connections.
	owned sync.WaitGroup
	// listeners are what it accepts from.
	listeners []*gentleListener
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

// serve accepts connections until the server is closed; wrap, when not nil, is put around each of them. It must not be
// called while the server is drained.
func (s *server) serve(l net.Listener, wrap func(net.Conn) net.Conn) {
	gentle := &gentleListener{TCPListener: l.(*net.TCPListener), wrap: wrap} // All listeners here are TCP.
	s.listeners = append(s.listeners, gentle)
	s.owned.Go(func() { _ = s.Serve(gentle) }) // It always returns an error; the server's end is ours.
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
	default:
	}
}

func (s *server) tell(conn net.Conn, open bool) {
	if s.onConn != nil {
		s.onConn(conn, open)
	}
}

// drain stops accepting and answers who has connected, for at most the time given; Close cuts what is open then.
// net/http's Shutdown is of no use here: it drops a request that it has not read yet without an answer, which a load
// balancer counts as the server's failure.
func (s *server) drain(grace time.Duration) {
	s.refuse()
	done := make(chan struct{})
	go func() {
		s.owned.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(grace):
	}
}

// refuse stops accepting for good; what has connected is still answered once, and
// nothing is kept alive.
func (s *server) refuse() {
	s.SetKeepAlivesEnabled(false)
	for _, l := range s.listeners {
		l.finish()
	}
}

// gentleListener takes everybody who has connected before it closes: what waits in the kernel's queue when a listener is
// closed is reset.
type gentleListener struct {
	*net.TCPListener
	wrap func(net.Conn) net.Conn
	// isClosing says that it is to close as soon as nobody comes.
	isClosing atomic.Bool
	// late counts who came since; only Accept uses it.
	late int
}

// finish makes the listener close after a lull.
func (l *gentleListener) finish() {
	l.isClosing.Store(true)
	_ = l.SetDeadline(time.Now().Add(lull)) // Fails only when it is closed.
}

// Accept implements net.Listener.
func (l *gentleListener) Accept() (net.Conn, error) {
	conn, err := l.TCPListener.Accept()
	for n := 0; l.isClosing.Load() && errors.Is(err, os.ErrDeadlineExceeded); n++ {
		if n == 2 || l.late >= lastCalls {
			return nil, errors.Join(net.ErrClosed, l.TCPListener.Close()) //nolint:staticcheck // Not our own Close, which waits.
		}
		// A deadline that passed says nothing of the queue: only the next attempt looks at it.
		_ = l.SetDeadline(time.Now().Add(lull))
		conn, err = l.TCPListener.Accept()
	}
	if err != nil {
		return nil, err
	}
	if l.isClosing.Load() {
		l.late++
	}
	if l.wrap != nil {
		conn = l.wrap(conn)
	}
	return conn, nil
}
