package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	// maxFrame bounds what is kept of one frame; the rest is read and thrown away.
	maxFrame = MaxText + 64<<10
	// callTimeout bounds the logs action, the handshake and a question for a state.
	callTimeout = 10 * time.Second
	// maxIdle is how long a stream may say nothing before it is opened anew. The
	// proxy sends no pings, and an agent that hangs looks like a silent container.
	maxIdle = 10 * time.Minute
)

// errRefused is HTTP 401 before the upgrade: the token is too old or the host is
// not connected, which look the same (websocket-proxy, frontend_handler.go).
var errRefused = errors.New("websocket refused: token expired or host not connected")

// conn is one websocket.
type conn struct {
	ws   *websocket.Conn
	idle *time.Timer
	stop func() bool
	buf  []byte
}

// defaultClient dials streams. Keep-alive notices within about half a minute
// that a peer has gone; redirects would carry the token elsewhere.
var defaultClient = &http.Client{
	Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSHandshakeTimeout: callTimeout,
		DialContext: (&net.Dialer{
			Timeout:         callTimeout,
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		}).DialContext,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// dial opens the websocket behind a stream's URL. It ends with ctx.
func dial(ctx context.Context, client *http.Client, rawURL string) (*conn, error) {
	hctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ws, resp, err := websocket.Dial(hctx, rawURL, &websocket.DialOptions{HTTPClient: client}) //nolint:bodyclose // The library owns the body.
	if err != nil {
		return nil, dialError(resp, err, rawURL)
	}
	// next bounds frames itself: the library would close the connection at its
	// limit, and the same line would come again after each reconnect.
	ws.SetReadLimit(-1)
	c := &conn{ws: ws}
	c.idle = time.AfterFunc(maxIdle, func() { _ = ws.CloseNow() })
	c.stop = context.AfterFunc(ctx, func() { _ = ws.CloseNow() })
	return c, nil
}

// dialError says why the websocket did not open, without its URL.
func dialError(resp *http.Response, err error, rawURL string) error {
	if resp != nil && resp.StatusCode == http.StatusUnauthorized {
		return errRefused
	}
	if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("opening websocket: http status %d", resp.StatusCode)
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	if strings.Contains(err.Error(), "token") || strings.Contains(err.Error(), rawURL) {
		return errors.New("opening websocket: failed")
	}
	return fmt.Errorf("opening websocket: %w", err)
}

// next reads one frame. It is valid until the next call.
//
// Text frames may hold NUL and invalid UTF-8. coder/websocket v1.8.15 does not
// look at the bytes of a text message (read.go has no such check; the test of
// invalid frames would notice one), so that it does not close with 1007.
func (c *conn) next() ([]byte, error) {
	// A context that cannot be done spares a timer for each frame; stop and idle
	// close the connection instead.
	_, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	c.idle.Reset(maxIdle)
	return c.fill(r)
}

// fill reads one message into the buffer, and what does not fit nowhere.
func (c *conn) fill(r io.Reader) ([]byte, error) {
	n := 0
	for {
		if n == len(c.buf) && !c.grow() {
			_, err := io.Copy(io.Discard, r)
			return c.buf[:n], err
		}
		m, err := r.Read(c.buf[n:])
		n += m
		if err == io.EOF {
			return c.buf[:n], nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// grow makes the buffer larger, within maxFrame.
func (c *conn) grow() bool {
	if len(c.buf) >= maxFrame {
		return false
	}
	buf := make([]byte, min(maxFrame, max(1024, 4*len(c.buf))))
	copy(buf, c.buf)
	c.buf = buf
	return true
}

func (c *conn) close() {
	c.stop()
	c.idle.Stop()
	_ = c.ws.CloseNow()
}

// isNormalClose says that the peer closed with 1000: the stream came to an end
// that was meant.
func isNormalClose(err error) bool {
	return websocket.CloseStatus(err) == websocket.StatusNormalClosure
}
