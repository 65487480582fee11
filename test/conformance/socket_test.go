package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// socket is a subscription of ours beside a recorded one.
type socket struct {
	path   string
	opened time.Time
	at     float64 // When the recorded one was opened.
	wants  []line
	cancel context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	frames []frame
}

// frame is what our server sent.
type frame struct {
	at   time.Time
	body map[string]any
}

// silent are the types of records that the recorded servers tell of and ours does not have: nothing of Drover's depends
// on them.
var silent = []string{"volume", "storagePool", "ipAddress"}

// subscribe opens a socket of ours, and closes it when the recording is over.
func (r *runner) subscribe(l line) {
	if r.wire == nil {
		r.wire = ranchersim.NewWire()
		r.onEnd(r.wire.Serve(r.server.Handler()))
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	header := http.Header{}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://rancher.example:8080"+r.mapped(l.Path), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.SetBasicAuth(environmentKey, "secret")
	header.Set("Authorization", request.Header.Get("Authorization"))
	conn, response, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(request.URL.String(), "http"),
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: r.wire.Transport()}, HTTPHeader: header})
	if response == nil || response.StatusCode != l.Status {
		cancel()
		r.errorf("%s: handshake = %v (%v), want %d", l.where(), response, err, l.Status)
		return
	}
	if err != nil {
		cancel()
		return // Refused as it was recorded to be.
	}
	conn.SetReadLimit(4 << 20)
	s := &socket{path: l.Path, opened: time.Now(), at: l.T, cancel: cancel, ended: make(chan struct{})}
	r.sockets = append(r.sockets, s)
	go s.read(ctx, conn)
}

func (s *socket) read(ctx context.Context, conn *websocket.Conn) {
	defer close(s.ended)
	defer func() { _ = conn.CloseNow() }()
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		var body map[string]any
		if json.Unmarshal(data, &body) != nil {
			body = map[string]any{"name": "no JSON: " + string(data)}
		}
		s.mu.Lock()
		s.frames = append(s.frames, frame{time.Now(), body})
		s.mu.Unlock()
	}
}

func (s *socket) close() {
	s.cancel()
	<-s.ended
}

// expect takes a recorded frame; it belongs to the socket that was opened last. It learns the versions of containers, for
// reports about them.
func (r *runner) expect(l line) {
	if len(r.sockets) == 0 {
		r.errorf("%s: a frame without a socket", l.where())
		return
	}
	s := r.sockets[len(r.sockets)-1]
	s.wants = append(s.wants, l)
	resource := resourceOf(l.frame())
	if id, _ := resource["id"].(string); resource["type"] == "container" {
		r.seen[id], _ = resource["version"].(string)
	}
}

func resourceOf(frame map[string]any) map[string]any {
	data, _ := frame["data"].(map[string]any)
	resource, _ := data["resource"].(map[string]any)
	return resource
}

// compareSockets compares what came through the sockets.
func (r *runner) compareSockets() {
	for _, s := range r.sockets {
		s.close()
		if !strings.Contains(s.path, "eventNames") {
			if len(s.frames) > 0 {
				r.errorf("%s sends %d frames, want none", s.path, len(s.frames))
			}
			continue
		}
		r.compareEnvelopes(s)
		r.comparePings(s)
		r.compareTypes(s)
		r.compareTold(s)
		r.compareDocker(s)
		r.checkCoalescing(s)
	}
}

// compareEnvelopes wants frames to have the recorded members and no others.
func (r *runner) compareEnvelopes(s *socket) {
	shapes := map[string]string{}
	for _, l := range s.wants {
		if resourceOf(l.frame()) != nil || l.frame()["name"] == "ping" && l.frame()["data"] != nil {
			shapes[fmt.Sprint(l.frame()["name"])] = names(l.frame())
		}
	}
	for _, f := range s.frames {
		name := fmt.Sprint(f.body["name"])
		if got := names(f.body); shapes[name] != "" && got != shapes[name] {
			r.errorf("a frame %s has the members %s, want %s", name, got, shapes[name])
			return
		}
	}
}

// comparePings wants the first ping five seconds after the handshake and then one every five seconds.
func (r *runner) comparePings(s *socket) {
	last := s.opened
	for _, f := range s.frames {
		if f.body["name"] != "ping" {
			continue
		}
		if gap := f.at.Sub(last).Round(time.Second); gap != 5*time.Second {
			r.errorf("a ping came %v after the one before (or the handshake), want 5s", gap)
		}
		last = f.at
	}
	if last.Equal(s.opened) {
		r.errorf("no ping came")
	}
}

// compareTypes wants our server to tell of all types of records that the recorded one told of.
func (r *runner) compareTypes(s *socket) {
	ours := map[any]bool{}
	for _, f := range s.frames {
		ours[f.body["resourceType"]] = true
	}
	for _, l := range s.wants {
		kind := l.frame()["resourceType"]
		if !ours[kind] && !slices.Contains(silent, fmt.Sprint(kind)) {
			r.errorf("%s: our server tells nothing of a %v", l.where(), kind)
			ours[kind] = true
		}
	}
}

// compareTold wants each recorded picture of a service or container to have been told of, in full, and the pictures of a
// service in the recorded order.
func (r *runner) compareTold(s *socket) {
	at := map[string]int{}
	for _, l := range s.wants {
		want := resourceOf(l.frame())
		if kind := want["type"]; kind != "service" && kind != "container" && kind != "serviceExposeMap" || l.Reduced {
			continue
		}
		id := want["id"].(string)
		from := 0
		if want["type"] == "service" {
			from = at[id]
		}
		var best []string
		found := slices.IndexFunc(s.frames[from:], func(f frame) bool {
			got := resourceOf(f.body)
			if got["type"] != want["type"] || got["state"] != want["state"] {
				return false
			}
			differences := r.differences(want, got)
			if best == nil || len(differences) < len(best) {
				best = differences
			}
			return len(differences) == 0
		})
		if found < 0 {
			r.errorf("line %d: never told of a %v as recorded (%v/%v)\n\t%s", l.Seq, want["type"], want["state"], want["healthState"], strings.Join(best, "\n\t"))
			continue
		}
		at[id] = from + found
	}
}

// compareDocker wants the agent to have reported the recorded events of containers as often, each with the id of the
// image that runs.
func (r *runner) compareDocker(s *socket) {
	count := func(frames []map[string]any) map[string]int {
		n := map[string]int{}
		for _, f := range frames {
			if resource := resourceOf(f); resource["type"] == "containerEvent" {
				inspect, _ := resource["dockerInspect"].(map[string]any)
				image, _ := inspect["Image"].(string)
				n[fmt.Sprintf("%v, image told: %t", resource["externalStatus"], imageID.MatchString(image))]++
			}
		}
		return n
	}
	var recorded, ours []map[string]any
	for _, l := range s.wants {
		recorded = append(recorded, l.frame())
	}
	for _, f := range s.frames {
		ours = append(ours, f.body)
	}
	got := count(ours)
	for what, n := range count(recorded) {
		if got[what] < n {
			r.errorf("%d container events %s, want %d", got[what], what, n)
		}
	}
}

// checkCoalescing wants one frame a second of a record at most.
func (r *runner) checkCoalescing(s *socket) {
	last := map[any]time.Time{}
	for _, f := range s.frames {
		id := f.body["resourceId"]
		if id == nil {
			continue
		}
		if gap := f.at.Sub(last[id]); gap < 900*time.Millisecond {
			r.errorf("%v was told of twice within %v", id, gap)
		}
		last[id] = f.at
	}
}
