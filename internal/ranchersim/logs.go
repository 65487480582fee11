package ranchersim

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// logGrant is what a token of the logs action allows.
type logGrant struct {
	instance   *instance
	follow     bool
	timestamps bool
	lines      int
	since      time.Time
	expires    time.Time
}

// tokenLife is how long a token of the logs action is good for.
const tokenLife = 5 * time.Minute

// postLogs answers the logs action: where to read and a token. 404 without a host. The caller holds mu.
func (s *Server) postLogs(q *request, i *instance) (int, object, *apiError) {
	in, err := s.validator(q.view).object(schemas["containerLogs"], q.body, forCreate)
	if err != nil {
		return 0, nil, err
	}
	if i.host == nil {
		return 0, nil, notFound()
	}
	for token, grant := range s.tokens {
		if time.Now().After(grant.expires) {
			delete(s.tokens, token)
		}
	}
	token := hex.EncodeToString(s.bytes(24))
	s.tokens[token] = logGrant{
		instance: i, follow: toBool(in["follow"]), timestamps: toBool(in["timestamps"]), lines: number(in["lines"], 100),
		since: parseSince(text(in["since"])), expires: time.Now().Add(tokenLife),
	}
	root := q.view.rootBase()
	root = "ws" + strings.TrimPrefix(root[:strings.LastIndex(root, "/")], "http")
	return http.StatusOK, object{
		{"id", nil},
		{"type", "hostAccess"},
		{"links", object{}},
		{"actions", object{}},
		{"baseType", "hostAccess"},
		{"token", token},
		{"url", root + "/v1/logs/"},
	}, nil
}

// parseSince reads Docker's notations: unix seconds, with a fraction or without, and RFC 3339.
func parseSince(since string) time.Time {
	if since == "" {
		return time.Time{}
	}
	if t, err := time.Parse(time.RFC3339Nano, since); err == nil {
		return t
	}
	whole, fraction, _ := strings.Cut(since, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}
	}
	nano, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if err != nil {
		nano = 0
	}
	return time.Unix(sec, nano)
}

// serveLogs streams a container's log over a websocket; the token is all the caller needs.
func (s *Server) serveLogs(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("token")
	s.mu.RLock()
	grant, ok := s.tokens[token]
	var source LogSource
	if ok && grant.instance.logs != nil {
		source = grant.instance.logs
	}
	s.mu.RUnlock()
	if !ok || time.Now().After(grant.expires) {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered.
	}
	defer func() { _ = conn.CloseNow() }()
	if source != nil && !streamLog(conn.CloseRead(s.ctx), conn, source, grant) {
		return
	}
	_ = conn.Close(websocket.StatusNormalClosure, "")
}

// streamLog writes the last lines and then, if asked, those that come, until the container ends; it is false when the
// reader is gone.
func streamLog(ctx context.Context, conn *websocket.Conn, source LogSource, grant logGrant) bool {
	lines, next, changed, ended := source.Lines(0)
	if n := len(lines) - grant.lines; n > 0 {
		lines = lines[n:]
	}
	for {
		for _, line := range lines {
			if line.Time.Before(grant.since) {
				continue
			}
			for _, frame := range logFrames(line, grant) {
				if conn.Write(ctx, websocket.MessageText, frame) != nil {
					return false
				}
			}
		}
		if !grant.follow || ended && len(lines) == 0 {
			return true
		}
		if !ended {
			select {
			case <-changed:
			case <-ctx.Done():
				return false
			}
		}
		lines, next, changed, ended = source.Lines(next)
	}
}

// logFrames renders one line as the agent does. It splits Docker's stream at line feeds before it looks at the
// eight-byte headers, so a payload whose length ends in the byte 0x0a comes as an empty frame and a line of unknown
// origin (rancher/agent service/hostapi/logs/logs.go).
func logFrames(line LogLine, grant logGrant) [][]byte {
	end := "\n"
	if line.Stream == 0 {
		end = "\r\n"
	}
	payload := line.Text + end
	if grant.timestamps {
		payload = line.Time.UTC().Format("2006-01-02T15:04:05.000000000Z") + " " + payload
	}
	if line.Stream != 0 && len(payload)&0xff == 0x0a {
		return [][]byte{{}, []byte("00 " + payload)}
	}
	return [][]byte{append([]byte{'0', byte('0' + line.Stream&3), ' '}, payload...)}
}
