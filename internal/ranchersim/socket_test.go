package ranchersim

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// listen serves a fast server on loopback, with an active service.
func listen(t *testing.T, runtime Runtime) (*client, string, string) {
	t.Helper()
	c := start(t, Options{Runtime: runtime, Speed: 20})
	srv := httptest.NewServer(c.server.Handler())
	t.Cleanup(srv.Close)
	path := c.web(1, nil)
	return c, path, srv.URL
}

// dial opens a socket of the server with the client's key.
func dial(t *testing.T, c *client, url string) (*websocket.Conn, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(c.key.Access, c.key.Secret)
	conn, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(url, "http"), &websocket.DialOptions{HTTPHeader: r.Header})
	if err != nil {
		if resp == nil {
			t.Fatal(err)
		}
		return nil, resp.StatusCode
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	return conn, resp.StatusCode
}

func read(t *testing.T, conn *websocket.Conn) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, frame, err := conn.Read(ctx)
	return frame, err
}

func TestEvents(t *testing.T) {
	c, path, url := listen(t, nil)
	conn, _ := dial(t, c, url+c.prefix+"/subscribe?eventNames=resource.change")
	c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil))
	seen := map[string]bool{}
	for !seen["ping"] || !seen["service"] || !seen["container"] || !seen["serviceLog"] || !seen["serviceExposeMap"] || !seen[stateUpgraded] {
		frame, err := read(t, conn)
		if err != nil {
			t.Fatalf("after %v: %v", seen, err)
		}
		var event struct {
			Name, ResourceType, ResourceID string
			Data                           struct{ Resource map[string]any }
		}
		if err := json.Unmarshal(frame, &event); err != nil {
			t.Fatal(err)
		}
		if event.Name == "ping" {
			seen["ping"] = true
			continue
		}
		if strings.Contains(string(frame), `\/`) {
			t.Errorf("slashes are escaped in %s", frame)
		}
		if event.Data.Resource["id"] != event.ResourceID {
			t.Errorf("resource %v in an event about %s", event.Data.Resource["id"], event.ResourceID)
		}
		seen[event.ResourceType] = true
		if event.ResourceType == "service" {
			seen[event.Data.Resource["state"].(string)] = true
		}
	}
}

func TestSubscribeWithoutASocket(t *testing.T) {
	c, _, url := listen(t, nil)
	if body := c.get("/subscribe?eventNames=resource.change"); body["resourceType"] != "subscribe" || len(body["data"].([]any)) != 0 {
		t.Errorf("plain GET = %v", body)
	}
	if _, status := dial(t, c, url+"/v2-beta/projects/1a99999/subscribe?eventNames=resource.change"); status != http.StatusForbidden {
		t.Errorf("handshake for an unknown project = %d, want 403", status)
	}
}

func TestLogs(t *testing.T) {
	runtime := newFakeRuntime()
	c, _, url := listen(t, runtime)
	log := runtime.process("1i1").log
	at := time.Date(2026, 11, 24, 1, 38, 12, 289452221, time.UTC)
	log.addLine(LogLine{Time: at, Stream: 1, Text: "tick"})
	log.addLine(LogLine{Time: at, Stream: 2, Text: "warn"})
	log.addLine(LogLine{Time: at, Text: "tty"})
	open := func(body string) *websocket.Conn {
		access := c.do(http.StatusOK, "/containers/1i1/?action=logs", body)
		if access["type"] != "hostAccess" || access["url"] != "ws://rancher.example:8080/v1/logs/" {
			t.Errorf("hostAccess = %v", access)
		}
		conn, _ := dial(t, c, url+"/v1/logs/?token="+access["token"].(string))
		return conn
	}
	conn := open(`{"lines":3}`)
	for _, want := range []string{
		"01 2026-11-24T01:38:12.289452221Z tick\n", "02 2026-11-24T01:38:12.289452221Z warn\n",
		"00 2026-11-24T01:38:12.289452221Z tty\r\n",
	} {
		if frame, err := read(t, conn); err != nil || string(frame) != want {
			t.Fatalf("frame = %q %v, want %q", frame, err, want)
		}
	}
	log.add("later")
	if frame, err := read(t, conn); err != nil || !strings.HasSuffix(string(frame), " later\n") {
		t.Fatalf("frame = %q %v", frame, err)
	}
	c.do(http.StatusAccepted, "/containers/1i1/?action=stop", nil)
	if _, err := read(t, conn); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("end of a stopped container = %v, want close code 1000", err)
	}
	once := open(`{"lines":1,"timestamps":false,"follow":false}`)
	if frame, err := read(t, once); err != nil || string(frame) != "01 later\n" {
		t.Errorf("frame = %q %v", frame, err)
	}
	if _, err := read(t, once); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("end without follow = %v", err)
	}
	if _, status := dial(t, c, url+"/v1/logs/?token=wrong"); status != http.StatusUnauthorized {
		t.Errorf("wrong token = %d, want 401", status)
	}
}

func TestLogFrameOfAnUnluckyLength(t *testing.T) {
	frames := appendLogFrames(nil, LogLine{Stream: 1, Text: "123456789"}, false)
	if len(frames) != 2 || len(frames[0]) != 0 || string(frames[1]) != "00 123456789\n" {
		t.Errorf("frames = %q, want an empty one and a line of unknown origin", frames)
	}
}

func TestParseSince(t *testing.T) {
	want := time.Date(2026, 11, 24, 1, 38, 12, 500000000, time.UTC)
	for _, s := range []string{"1795484292.500000000", "1795484292.5", "2026-11-24T01:38:12.5Z"} {
		if got := parseSince(s); !got.Equal(want) {
			t.Errorf("parseSince(%q) = %v, want %v", s, got, want)
		}
	}
	if !parseSince("yesterday").IsZero() {
		t.Error("nonsense is not ignored")
	}
}
