package ranchersim

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// socketServer serves the client's server over a wire.
type socketServer struct {
	*client
	http *http.Client
}

// serveWire serves c until the test ends. In a bubble its stop must be called before the bubble ends.
func serveWire(c *client) (s *socketServer, stop func()) {
	w := NewWire()
	return &socketServer{c, &http.Client{Transport: w.Transport()}}, w.Serve(c.server.Handler())
}

// open opens a socket; nil when the server refuses, with the status.
func (s *socketServer) open(path string) (*websocket.Conn, int) {
	s.t.Helper()
	h := http.Header{}
	r := http.Request{Header: h}
	r.SetBasicAuth(s.key.Access, s.key.Secret)
	conn, resp, err := websocket.Dial(s.t.Context(), "ws://rancher.example:8080"+path, &websocket.DialOptions{HTTPClient: s.http, HTTPHeader: h})
	if err != nil {
		if resp == nil {
			s.t.Fatal(err)
		}
		return nil, resp.StatusCode
	}
	conn.SetReadLimit(-1)
	return conn, resp.StatusCode
}

// events opens an event socket.
func (s *socketServer) events() *websocket.Conn {
	s.t.Helper()
	conn, status := s.open(s.prefix + "/subscribe?eventNames=resource.change")
	if conn == nil {
		s.t.Fatalf("subscribe = %d", status)
	}
	return conn
}

// logs opens a log socket of a container.
func (s *socketServer) logs(id, body string) (*websocket.Conn, int) {
	s.t.Helper()
	access := s.do(http.StatusOK, "/containers/"+id+"/?action=logs", body)
	return s.open("/v1/logs/?token=" + url.QueryEscape(access["token"].(string)))
}

// frame is one frame of the event stream and when it came.
type frame struct {
	at                             time.Time
	Name, ResourceType, ResourceID string
	Time                           int64
	Data                           struct{ Resource map[string]any }
}

// gather reads frames until the socket ends; the returned function waits for that and says how it ended.
func gather(t *testing.T, conn *websocket.Conn) (frames func() []frame, end func() error) {
	var mu sync.Mutex
	var all []frame
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			var text []byte
			if _, text, err = conn.Read(context.Background()); err != nil {
				return
			}
			f := frame{at: time.Now()}
			if bad := json.Unmarshal(text, &f); bad != nil {
				t.Errorf("frame %s: %v", text, bad)
			}
			mu.Lock()
			all = append(all, f)
			mu.Unlock()
		}
	}()
	frames = func() []frame {
		mu.Lock()
		defer mu.Unlock()
		return append([]frame(nil), all...)
	}
	return frames, func() error { <-done; return err }
}
