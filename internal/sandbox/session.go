package sandbox

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"
)

// session is one request through the small load balancer.
type session struct {
	process   *process
	retryWait time.Duration
	began     time.Time
	// server is where it went last; nil before the first attempt and when there was none.
	server *member
	// connectTime and responseTime are how long the accepted connection and the answer's header took.
	connectTime, responseTime time.Duration
	// in and out are bytes to and from the server.
	in, out atomic.Int64
}

// serve forwards a request and counts what came of it.
func (p *process) serve(w http.ResponseWriter, r *http.Request, retryWait time.Duration) {
	s := &session{process: p, retryWait: retryWait, began: time.Now()}
	p.mu.Lock()
	p.back.begin(s.began)
	p.back.requests++
	p.mu.Unlock()
	defer s.end()
	proxy := httputil.ReverseProxy{Rewrite: rewrite, Transport: s, ErrorHandler: s.fail, ErrorLog: discard}
	proxy.ServeHTTP(w, r)
}

// rewrite hands a request on as it came, with the headers that Rancher's configuration adds.
func rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme, r.Out.URL.Host = "http", "server"
	r.Out.Host = r.In.Host
	r.SetXForwarded()
}

// RoundTrip implements http.RoundTripper over a connection of its own (option http-server-close).
func (s *session) RoundTrip(r *http.Request) (*http.Response, error) {
	conn, err := s.connect(r.Context())
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return &countedConn{conn, s}, nil },
		DisableKeepAlives:      true,
		DisableCompression:     true,
		ResponseHeaderTimeout:  serverTimeout,
		MaxResponseHeaderBytes: maxHeader,
	}
	began := time.Now()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		_ = conn.Close() // Not taken over when the request was over before.
		s.unanswered(r.Context())
		return nil, err
	}
	s.responseTime = time.Since(began)
	s.answered(resp.StatusCode)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body = &answerBody{resp.Body, s, r.Context()}
	}
	return resp, nil
}

// dial connects to the session's server.
func (s *session) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: connectTimeout, Control: onlyLoopback}
	return d.DialContext(ctx, "tcp", s.server.address())
}

// failed counts a request that could not be connected in the end.
func (s *session) failed() {
	s.process.mu.Lock()
	defer s.process.mu.Unlock()
	s.server.connectErrors++
	s.process.back.connectErrors++
}

// answered counts the status on every row the answer passes.
func (s *session) answered(code int) {
	p := s.process
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range []*counters{&s.server.counters, &p.back, &p.front} {
		c.status(code)
	}
}

// unanswered counts a connection that ended without an answer: the server's fault unless the client left.
func (s *session) unanswered(ctx context.Context) {
	p := s.process
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		s.server.clientAborts++
		p.back.clientAborts++
		return
	}
	s.server.responseErrors++
	p.back.responseErrors++
}

// fail answers in the load balancer's own name, which counts on no server's row (samples 07 and 08b).
func (s *session) fail(w http.ResponseWriter, r *http.Request, err error) {
	code, text := http.StatusBadGateway, "The server returned an invalid or incomplete response."
	var opErr *net.OpError
	var netErr net.Error
	switch {
	case r.Context().Err() != nil:
		return // The client is gone; HAProxy answers nobody.
	case errors.Is(err, errNoServer) || errors.As(err, &opErr) && opErr.Op == "dial":
		code, text = http.StatusServiceUnavailable, "No server is available to handle this request."
	case errors.As(err, &netErr) && netErr.Timeout():
		code, text = http.StatusGatewayTimeout, "The server didn't respond in time."
	}
	s.process.mu.Lock()
	s.process.back.status(code)
	s.process.front.status(code)
	s.process.mu.Unlock()
	writePage(w, code, text)
}

// end closes the session's part of the counts.
func (s *session) end() {
	p, took := s.process, time.Since(s.began)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.back.open--
	if s.server != nil {
		s.server.open--
		s.server.finish(s, took)
	}
	p.back.finish(s, took)
}

// finish adds the bytes and times of a session.
func (c *counters) finish(s *session, took time.Duration) {
	c.in += s.in.Load()
	c.out += s.out.Load()
	c.connectTime.add(s.connectTime)
	c.responseTime.add(s.responseTime)
	c.totalTime.add(took)
}

// countedConn counts the bytes of a connection to a server.
type countedConn struct {
	net.Conn
	session *session
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.session.out.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.session.in.Add(int64(n))
	return n, err
}

// answerBody notices an answer that breaks off.
type answerBody struct {
	io.ReadCloser
	session *session
	ctx     context.Context
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.session.brokeOff(b.ctx)
	}
	return n, err
}

// brokeOff counts an answer that ended too early, by server or client.
func (s *session) brokeOff(ctx context.Context) {
	p := s.process
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range []*counters{&s.server.counters, &p.back} {
		if ctx.Err() != nil {
			c.clientAborts++
		} else {
			c.serverAborts++
		}
	}
}
