package ranchersim

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// inBubble runs a test against a server at its own pace, with sockets.
func inBubble(t *testing.T, opts Options, test func(t *testing.T, s *socketServer)) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := serveWire(start(t, opts))
		defer stop()
		test(t, s)
	})
}

// put changes a record.
func (s *socketServer) put(path, body string) {
	s.t.Helper()
	if status, answer := s.call("PUT", path, body); status != 200 {
		s.t.Fatalf("PUT %s = %d %v", path, status, answer)
	}
}

// A subscription begins with silence, is pinged every five seconds, and ends after 8640 pings: twelve hours.
func TestPingsAndTheEndAfterTwelveHours(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, s *socketServer) {
		begin := time.Now()
		frames, end := gather(t, s.events())
		err := end()
		if d := time.Since(begin); d != 12*time.Hour || websocket.CloseStatus(err) != websocket.StatusNormalClosure {
			t.Errorf("the socket ended after %v with %v, want a normal close after 12h", d, err)
		}
		pings := 0
		for _, f := range frames() {
			if f.Name != "ping" {
				continue
			}
			pings++
			if want := time.Duration(pings) * 5 * time.Second; f.at.Sub(begin) != want {
				t.Fatalf("ping %d came after %v, want %v", pings, f.at.Sub(begin), want)
			}
		}
		if pings != 8640 {
			t.Errorf("%d pings, want 8640", pings)
		}
	})
}

// However often a resource changes within a second, there is one frame of it, with the data of the end.
func TestEventsCoalesce(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, s *socketServer) {
		path := s.web(2, nil)
		frames, _ := gather(t, s.events())
		time.Sleep(1500 * time.Millisecond)
		from := len(frames())
		for i := range 20 {
			s.put(path, fmt.Sprintf(`{"description":"d%d"}`, i))
		}
		time.Sleep(3 * time.Second)
		var seen []string
		for _, f := range frames()[from:] {
			if f.ResourceType == "service" {
				seen = append(seen, fmt.Sprint(f.Data.Resource["description"]))
			}
		}
		if len(seen) != 1 || seen[0] != "d19" {
			t.Errorf("frames of the service show %q, want the last description once", seen)
		}
	})
}

// Frames of one resource are at least a second apart and in order, while between resources there is no order.
func TestEventOrder(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, s *socketServer) {
		path := s.web(2, nil)
		frames, _ := gather(t, s.events())
		s.do(202, path+"/?action=upgrade", s.upgradeBody(path, nil))
		time.Sleep(30 * time.Second)
		last := map[string]time.Time{}
		first := map[string]int{}
		batch := time.Time{}
		for _, f := range frames() {
			if f.Name == "ping" {
				continue
			}
			if d := f.at.Sub(last[f.ResourceID]); d < time.Second {
				t.Errorf("%s %s comes %v after its last frame, want at least 1s", f.ResourceType, f.ResourceID, d)
			}
			last[f.ResourceID] = f.at
			if !f.at.Equal(batch) {
				batch = f.at
				first[f.ResourceType]++
			}
		}
		if len(first) < 2 {
			t.Errorf("every batch begins with %v, want it to vary", first)
		}
		if _, seen := last["1i3"]; !seen {
			t.Error("the new container has no frame")
		}
	})
}

// A reader that does not read is cut off when more than a hundred frames wait, although the server is just writing to it;
// nobody else notices.
func TestSlowSubscriberIsCutOff(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, s *socketServer) {
		path := s.web(1, nil)
		time.Sleep(5 * time.Second) // What creating it changed is published.
		slow := s.events()
		frames, _ := gather(t, s.events())
		subscribers := func() int { synctest.Wait(); return len(s.server.bus.subscribers()) }
		for i := range maxQueued + 2 {
			if n := subscribers(); n != 2 && i <= maxQueued {
				t.Fatalf("%d subscribers after %d frames, want 2", n, i)
			}
			s.put(path, fmt.Sprintf(`{"description":"d%d"}`, i))
			time.Sleep(time.Second)
		}
		if n := subscribers(); n != 1 {
			t.Errorf("%d subscribers, want the slow one to be gone", n)
		}
		if _, _, err := slow.Read(context.Background()); websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			t.Errorf("the slow reader's socket ended with %v, want a cut", err)
		}
		n := 0
		for _, f := range frames() {
			if f.ResourceType == "service" {
				n++
			}
		}
		if n < maxQueued {
			t.Errorf("the other subscriber got %d frames of the service, want all", n)
		}
	})
}

// A client that does not read holds up every log stream of its host, and no other host's, for ten seconds; then it is
// dropped (websocket-proxy, multiplexer.go).
func TestSlowLogReaderHoldsUpItsHost(t *testing.T) {
	runtime := newFakeRuntime()
	inBubble(t, Options{Runtime: runtime}, func(t *testing.T, s *socketServer) {
		s.server.AddHost("host2.example", "192.0.2.2")
		s.web(4, nil)
		on := map[string][]string{}
		for _, id := range []string{"1i1", "1i2", "1i3", "1i4"} {
			host := s.get("/containers/" + id)["hostId"].(string)
			on[host] = append(on[host], id)
		}
		slow, neighbour, other := on["1h1"][0], on["1h1"][1], on["1h2"][0]
		lines := map[string]func() int{}
		for _, id := range []string{neighbour, other} {
			conn, _ := s.logs(id, `{"lines":0}`)
			lines[id] = countFrames(conn)
		}
		conn, _ := s.logs(slow, `{"lines":0}`)
		synctest.Wait()
		runtime.process(slow).log.add("nobody reads this")
		synctest.Wait()
		for _, id := range []string{neighbour, other} {
			runtime.process(id).log.add("news")
		}
		if lines[other]() != 1 || lines[neighbour]() != 0 {
			t.Errorf("%d frames of the other host and %d of the slow one's, want 1 and 0", lines[other](), lines[neighbour]())
		}
		time.Sleep(slowReader - time.Second)
		if lines[neighbour]() != 0 {
			t.Error("the host goes on before the slow reader was dropped")
		}
		time.Sleep(2 * time.Second)
		if lines[neighbour]() != 1 {
			t.Error("the host does not go on after the slow reader was dropped")
		}
		if _, _, err := conn.Read(context.Background()); err == nil || websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			t.Errorf("the slow reader's socket ended with %v, want a cut", err)
		}
	})
}

// countFrames reads a socket to its end and says how many frames came.
func countFrames(conn *websocket.Conn) func() int {
	count := make(chan int, 1)
	count <- 0
	go func() {
		for {
			if _, _, err := conn.Read(context.Background()); err != nil {
				return
			}
			count <- 1 + <-count
		}
	}()
	return func() int { synctest.Wait(); n := <-count; count <- n; return n }
}

// A host whose agent is gone ends its streams with code 1000, and looks like an expired token to new ones.
func TestLogsOfALostHost(t *testing.T) {
	runtime := newFakeRuntime()
	inBubble(t, Options{Runtime: runtime}, func(t *testing.T, s *socketServer) {
		s.web(1, nil)
		conn, _ := s.logs("1i1", `{"lines":0}`)
		if err := s.server.SetHostState("1h1", "reconnecting"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
			t.Errorf("the stream of a lost host ends with %v, want code 1000", err)
		}
		if _, status := s.logs("1i1", `{}`); status != 401 {
			t.Errorf("a stream of a lost host = %d, want 401", status)
		}
		if err := s.server.SetHostState("1h1", "active"); err != nil {
			t.Fatal(err)
		}
		if conn, status := s.logs("1i1", `{}`); conn == nil {
			t.Errorf("a stream of a host that is back = %d", status)
		}
	})
}

func TestLogTokenExpires(t *testing.T) {
	runtime := newFakeRuntime()
	inBubble(t, Options{Runtime: runtime}, func(t *testing.T, s *socketServer) {
		s.web(1, nil)
		access := s.do(200, "/containers/1i1/?action=logs", `{}`)
		time.Sleep(tokenLife + time.Second)
		if _, status := s.open("/v1/logs/?token=" + access["token"].(string)); status != 401 {
			t.Errorf("a token of five minutes ago = %d, want 401", status)
		}
	})
}

// A restart breaks log sockets without a close frame.
func TestRestartCutsLogs(t *testing.T) {
	runtime := newFakeRuntime()
	inBubble(t, Options{Runtime: runtime}, func(t *testing.T, s *socketServer) {
		s.web(1, nil)
		conn, _ := s.logs("1i1", `{"lines":0}`)
		if _, err := s.server.SetFault(Fault{Name: FaultRestart, Now: true, For: time.Second}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.Read(context.Background()); err == nil || websocket.CloseStatus(err) != -1 {
			t.Errorf("a log socket ends with %v at a restart, want no close frame", err)
		}
	})
}
