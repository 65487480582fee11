package rancher

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

const (
	// silence is how long nothing may come: Rancher pings every 5 s, the first time
	// 5 s after the handshake (rancher-api 6).
	silence = 20 * time.Second
	// maxFrame bounds one frame. A container event with its inspect is 6 kB.
	maxFrame = 8 << 20
)

// errNoStream says that the server, or a proxy before it, opens no websocket.
var errNoStream = errors.New("no websocket")

// errSilent says that nothing came for longer than Rancher is ever silent.
var errSilent = errors.New("nothing came for " + silence.String())

// stream is an open event stream: a goroutine that reads, and a bounded queue.
type stream struct {
	events chan event
	// err is why the stream ended; read it after events is closed.
	err    error
	conn   *websocket.Conn
	cancel context.CancelFunc
	done   chan struct{}
	// hasFrames says that a frame came, be it a ping.
	hasFrames atomic.Bool
}

// dial opens the event stream. Without a websocket Rancher answers 200 and an empty
// collection (rancher-api 6); proxies answer what they like.
func (i *Informer) dial(ctx context.Context) (*websocket.Conn, error) {
	const op = "opening the event stream"
	u, err := i.client.scope(ctx, "/subscribe", url.Values{"eventNames": {"resource.change"}})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, i.client.timeout)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{HTTPClient: i.client.http}) //nolint:bodyclose // The library owns the body.
	switch {
	case err == nil:
		conn.SetReadLimit(maxFrame)
		return conn, nil
	case resp == nil || resp.StatusCode == http.StatusSwitchingProtocols:
		return nil, networkError(op, err, false, false)
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden,
		resp.StatusCode == http.StatusTooManyRequests,
		resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented:
		return nil, &Error{Op: op, Status: resp.StatusCode, Message: http.StatusText(resp.StatusCode)}
	}
	return nil, errNoStream
}

// openStream starts to read.
func openStream(ctx context.Context, conn *websocket.Conn) *stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{events: make(chan event, eventQueue), conn: conn, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.err = s.read(ctx)
		close(s.events)
	}()
	return s
}

// close ends the stream and waits for the reader.
func (s *stream) close() {
	s.cancel()
	_ = s.conn.CloseNow()
	<-s.done
}

// read hands on frames until the stream ends. A close by the server, as after 12
// hours, is no error.
func (s *stream) read(ctx context.Context) error {
	for {
		data, err := s.frame(ctx)
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure || websocket.CloseStatus(err) == websocket.StatusGoingAway {
			return nil
		}
		if err != nil {
			return networkError("reading events", err, false, false)
		}
		ev, err := decodeFrame(data)
		switch {
		case err != nil:
			return err
		case ev.logout:
			return &Error{Op: "reading events", Status: http.StatusUnauthorized, Message: "the session was revoked"}
		}
		select {
		case s.events <- ev:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// frame reads one frame, or gives up on a silent stream.
func (s *stream) frame(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, silence, errSilent)
	defer cancel()
	_, data, err := s.conn.Read(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.hasFrames.Store(err == nil || s.hasFrames.Load())
	return data, err
}
