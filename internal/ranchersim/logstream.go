package ranchersim

import (
	"context"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// slowReader is how long the websocket proxy waits for one client before it drops it (websocket-proxy, multiplexer.go).
// It is real time: what is slow is outside of the server's clock.
const slowReader = 10 * time.Second

// agentLink is the one connection between the websocket proxy and a host's agent, which all log streams of the host
// share.
type agentLink struct {
	// busy holds a token while a frame is on its way to a client: a slow one holds up all streams of the host.
	busy chan struct{}
	// lost ends when the agent is gone.
	lost context.Context
	drop context.CancelFunc
}

func newAgentLink() *agentLink {
	l := &agentLink{busy: make(chan struct{}, 1)}
	l.lost, l.drop = context.WithCancel(context.Background())
	return l
}

// relink follows the host's state: an agent that is lost ends its streams, one that is back takes new ones. The caller
// holds mu.
func (h *host) relink() {
	switch h.state {
	case "reconnecting", "disconnected":
		h.link.drop()
	case stateActive:
		if h.link.lost.Err() != nil {
			h.link = newAgentLink()
		}
	}
}

// logStream is one open log socket.
type logStream struct {
	grant   logGrant
	source  LogSource
	link    *agentLink
	sockets context.Context // Of the server's life: ends when it closes or restarts.
	conn    *websocket.Conn
	frames  [][]byte
	// first are the lines there were before the socket was open, up to next: whoever
	// has an open one misses none that comes.
	first   []LogLine
	next    int
	changed <-chan struct{}
	ended   bool
}

// serveLogs streams a container's log over a websocket; the token is all the caller needs. A token that is too old and a
// host that is not connected look the same.
func (s *Server) serveLogs(w http.ResponseWriter, r *http.Request) {
	stream := s.findLogs(r.URL.Query().Get("token"))
	if stream == nil {
		http.Error(w, "Failed authentication", http.StatusUnauthorized)
		return
	}
	if stream.source != nil {
		stream.first, stream.next, stream.changed, stream.ended = stream.source.Lines(0)
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return // Accept has answered.
	}
	defer func() { _ = conn.CloseNow() }()
	stream.conn = conn
	if stream.source != nil && !stream.run(conn.CloseRead(stream.sockets)) {
		return
	}
	// Code 1000 for every end: the stream's, the container's, the agent's.
	_ = conn.Close(websocket.StatusNormalClosure, "")
}

// findLogs is the stream that a token opens, or nil. A container that never ran has none to tell: it closes at once.
func (s *Server) findLogs(token string) *logStream {
	s.mu.RLock()
	defer s.mu.RUnlock()
	grant, ok := s.tokens[token]
	if !ok || time.Now().After(grant.expires) || grant.instance.host.link.lost.Err() != nil {
		return nil
	}
	return &logStream{grant: grant, source: grant.instance.logs, link: grant.instance.host.link, sockets: s.life.Load().ctx}
}

// run writes the last lines and then, if asked, those that come, until the container or the agent ends; it is false when
// the reader is gone.
func (l *logStream) run(ctx context.Context) bool {
	lines, next, changed, ended := l.first, l.next, l.changed, l.ended
	if n := len(lines) - l.grant.lines; n > 0 {
		lines = lines[n:]
	}
	for {
		if !l.send(ctx, lines) {
			return l.link.lost.Err() != nil
		}
		if !l.grant.follow || ended && len(lines) == 0 {
			return true
		}
		if !ended {
			select {
			case <-changed:
			case <-l.link.lost.Done():
				return true
			case <-ctx.Done():
				return false
			}
		}
		lines, next, changed, ended = l.source.Lines(next)
	}
}

// send writes the frames of lines.
func (l *logStream) send(ctx context.Context, lines []LogLine) bool {
	for _, line := range lines {
		if line.Time.Before(l.grant.since) {
			continue
		}
		l.frames = appendLogFrames(l.frames[:0], line, l.grant.timestamps)
		for _, frame := range l.frames {
			if l.write(ctx, frame) != nil {
				return false
			}
		}
	}
	return true
}

// write sends one frame while no other stream of the host sends one.
func (l *logStream) write(ctx context.Context, frame []byte) error {
	select {
	case l.link.busy <- struct{}{}:
	case <-l.link.lost.Done():
		return context.Cause(l.link.lost)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-l.link.busy }()
	ctx, cancel := context.WithTimeout(ctx, slowReader)
	defer cancel()
	return l.conn.Write(ctx, websocket.MessageText, frame)
}
