package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// eventFrame is a frame of the event stream, recorded or ours.
type eventFrame struct {
	// at is when it came, in seconds.
	at   float64
	raw  map[string]any
	keys []string // Of the frame, in order.
}

func (f eventFrame) name() string { return str(f.raw["name"]) }
func (f eventFrame) kind() string { return str(f.raw["resourceType"]) }
func (f eventFrame) id() string   { return str(f.raw["resourceId"]) }

// resource is what the frame is about.
func (f eventFrame) resource() map[string]any {
	data, _ := f.raw["data"].(map[string]any)
	r, _ := data["resource"].(map[string]any)
	return r
}

func str(v any) string { s, _ := v.(string); return s }

func newFrame(t *testing.T, at float64, text []byte) eventFrame {
	f := eventFrame{at: at}
	if err := json.Unmarshal(text, &f.raw); err != nil {
		t.Fatalf("frame %s: %v", text, err)
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return f
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		default:
			// Values of the frame's own members that are no objects are skipped with their keys.
			if key, ok := token.(string); ok && depth == 1 {
				f.keys = append(f.keys, key)
				if d.More() && key != "data" {
					_, _ = d.Token()
				}
			}
		}
	}
}

// recordedFrames are the whole frames of a recording; reduced ones are left out.
func recordedFrames(t *testing.T, name string) []eventFrame {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", "rancher-recordings", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var frames []eventFrame
	in := bufio.NewScanner(f)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var l struct {
			T              float64
			Frame, Message json.RawMessage
			Reduced        bool
		}
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		if text := slices.Concat(l.Frame, l.Message); len(text) > 0 && !l.Reduced {
			frames = append(frames, newFrame(t, l.T, text))
		}
	}
	if len(frames) == 0 {
		t.Fatalf("%s has no frames", name)
	}
	return frames
}

// listener reads our event socket.
type listener struct {
	mu     sync.Mutex
	frames []eventFrame
}

func (l *listener) all() []eventFrame {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.frames)
}

// subscribe opens our event socket and reads it until the server ends; times count from begin.
func subscribe(t *testing.T, client *http.Client, path string, begin time.Time) (*listener, int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://rancher.example:8080"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("key", "secret")
	conn, resp, err := websocket.Dial(t.Context(), r.URL.String(), &websocket.DialOptions{HTTPClient: client, HTTPHeader: r.Header})
	if err != nil {
		return nil, resp.StatusCode
	}
	conn.SetReadLimit(-1)
	l := &listener{}
	go func() {
		for {
			_, text, err := conn.Read(context.Background())
			if err != nil {
				return
			}
			f := newFrame(t, time.Since(begin).Seconds(), text)
			if strings.Contains(string(text), `\/`) {
				t.Errorf("slashes are escaped in %.200s", text)
			}
			l.mu.Lock()
			l.frames = append(l.frames, f)
			l.mu.Unlock()
		}
	}()
	return l, resp.StatusCode
}

// unsent are kinds of resources that the embedded server has no records of.
var unsent = map[string]string{
	"ipAddress":   "part of the network, which nobody here looks at",
	"volume":      "part of the storage, which nobody here looks at",
	"storagePool": "part of the storage, which nobody here looks at",
}

// passing are states that last less than a second, so that coalescing shows them sometimes.
var passingStates = map[string]bool{
	"creating": true, "requested": true, "starting": true, "stopping": true, "removing": true, "finishing-upgrade": true,
}

// TestEventRecording plays 11-event-stream: an upgrade and a finish under an open event socket.
func TestEventRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const name = "11-event-stream"
		p := newEventPlayer(t, nil)
		defer p.stop()
		for _, l := range load(t, name) {
			p.until(l.T)
			switch {
			case report.MatchString(l.Note):
				p.reportAll()
			case l.Path == "", strings.Contains(l.Path, "subscribe") && l.Status == http.StatusOK:
			case l.Method == http.MethodGet && p.ours == nil:
				p.reportAll() // The containers were healthy by then.
				time.Sleep(5 * time.Second)
				p.align(820 * time.Millisecond)
				p.until(l.T)
				p.ours = p.subscribe(l)
			case l.Method == http.MethodGet:
				if quiet := p.subscribe(l); quiet != nil {
					time.Sleep(30 * time.Second)
					if n := len(quiet.all()); n > 0 {
						t.Errorf("%s: %d frames, want silence", l.where(), n)
					}
				}
			default:
				p.write(l)
			}
		}
		p.compare(recordedFrames(t, name))
	})
}

// TestEventRecordingOfARealHost plays what real-03-subscribe-upgrade tells: an upgrade in two batches and a rollback from
// upgraded, of containers that nobody checks.
func TestEventRecordingOfARealHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newEventPlayer(t, &logRuntime{logs: map[string]*scriptedLog{}, letsGo: true})
		defer p.stop()
		p.write(line{Method: http.MethodPost, Path: "/v2-beta/projects/1a8/services", Status: http.StatusCreated, Request: json.RawMessage(
			`{"name":"app","stackId":"1st19","scale":2,"startOnCreate":true,"launchConfig":{"imageUuid":"docker:registry.example/app:v1","networkMode":"bridge"}}`,
		), Response: map[string]any{"id": "1s1"}})
		p.align(430 * time.Millisecond)
		p.until(0)
		p.ours = p.subscribe(line{Path: "/v2-beta/projects/1a8/subscribe?eventNames=resource.change", Status: http.StatusSwitchingProtocols})
		p.until(1.4)
		p.write(line{Method: http.MethodPost, Path: "/v2-beta/projects/1a8/services/1s1/?action=upgrade", Status: http.StatusAccepted, Request: json.RawMessage(
			`{"inServiceStrategy":{"batchSize":1,"intervalMillis":1000,"startFirst":false,"launchConfig":{"imageUuid":"docker:registry.example/app:v2","networkMode":"bridge"}}}`,
		)})
		p.until(9.786)
		p.write(line{Method: http.MethodPost, Path: "/v2-beta/projects/1a8/services/1s1/?action=rollback", Status: http.StatusAccepted})
		p.until(20)
		p.compare(recordedFrames(t, "real-03-subscribe-upgrade"))
	})
}

// eventPlayer has our server do what was recorded, with an event socket open.
type eventPlayer struct {
	*runner
	client *http.Client
	stop   func()
	begin  time.Time
	ours   *listener
}

func newEventPlayer(t *testing.T, runtime ranchersim.Runtime) *eventPlayer {
	wire := ranchersim.NewWire()
	p := &eventPlayer{runner: newRunner(t, runtime), client: &http.Client{Transport: wire.Transport()}, begin: time.Now()}
	p.stop = wire.Serve(p.server.Handler())
	stack, err := p.server.CreateStack("events")
	if err != nil {
		t.Fatal(err)
	}
	p.ids["1st19"] = stack
	p.ids["1h1"] = p.server.AddHost("host1.example", "192.0.2.1")
	return p
}

// align puts the recorded times ten seconds off, and so that our server, which publishes at whole seconds, does it at the
// same fraction of a second as the recorded one: what coalescing shows depends on it.
func (p *eventPlayer) align(fraction time.Duration) {
	p.begin = time.Now().Truncate(time.Second).Add(10*time.Second + fraction)
}

// until waits for a recorded time.
func (p *eventPlayer) until(at float64) {
	time.Sleep(time.Until(p.begin.Add(time.Duration(at * float64(time.Second)))))
}

// reportAll reports every container healthy that waits for it.
func (p *eventPlayer) reportAll() {
	for _, c := range p.server.Containers() {
		if c.State == "running" && c.Health == "initializing" {
			p.server.ReportHealth(c.ID, true)
		}
	}
}

// subscribe opens a socket as recorded; nil when it was refused as recorded.
func (p *eventPlayer) subscribe(l line) *listener {
	got, status := subscribe(p.t, p.client, p.mapped(l.Path), p.begin)
	if status != l.Status {
		p.t.Errorf("%s = %d, want %d", l.where(), status, l.Status)
	}
	return got
}

// write makes a recorded change.
func (p *eventPlayer) write(l line) {
	status, body := p.call(l.Method, p.mapped(l.Path), p.mapped(l.requestText()), l.Headers)
	if status != l.Status {
		p.t.Fatalf("%s = %d %v, want %d", l.where(), status, body, l.Status)
	}
	if id := str(l.body()["id"]); id != "" {
		p.ids[id] = str(body["id"])
	}
}

// compare holds our frames against the recorded ones.
func (p *eventPlayer) compare(recorded []eventFrame) {
	ours := p.ours.all()
	compareShapes(p.t, recorded, ours)
	comparePace(p.t, ours)
	for _, kind := range []string{"service", "container"} {
		want, got := sequences(recorded, kind), sequences(ours, kind)
		if len(want) != len(got) {
			p.t.Errorf("%d resources of kind %s have frames, want %d", len(got), kind, len(want))
			continue
		}
		for i := range want {
			if !isSequence(want[i], got[i]) {
				p.t.Errorf("%s %d of %d goes through\n%q, want\n%q", kind, i+1, len(want), got[i], want[i])
			}
		}
	}
}

// compareShapes compares which members frames and their resources have, by kind of resource.
func compareShapes(t *testing.T, recorded, ours []eventFrame) {
	want, got := shapes(recorded), shapes(ours)
	for _, kind := range slices.Sorted(maps.Keys(want)) {
		if got[kind] == nil {
			if unsent[kind] == "" {
				t.Errorf("there is no frame of kind %q", kind)
			}
			continue
		}
		for _, part := range slices.Sorted(maps.Keys(want[kind])) {
			if w, g := want[kind][part], got[kind][part]; g != nil && !slices.Equal(w, g) {
				t.Errorf("%s of frames of kind %q: missing %q, beyond them %q", part, kind, without(w, g), without(g, w))
			}
		}
	}
}

// without are the names in a that are not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// shapes are the names of members by kind of resource and part of the frame.
func shapes(frames []eventFrame) map[string]map[string][]string {
	all := map[string]map[string][]string{}
	for _, f := range frames {
		s := all[f.kind()]
		if s == nil {
			s = map[string][]string{"frame": f.keys}
			all[f.kind()] = s
		}
		if r := f.resource(); r != nil {
			// A date has its companion in milliseconds only when it is set.
			s["resource"] = slices.DeleteFunc(slices.Sorted(maps.Keys(r)), func(key string) bool { return strings.HasSuffix(key, "TS") })
			links, _ := r["links"].(map[string]any)
			s["links"] = slices.Sorted(maps.Keys(links))
			actions, _ := r["actions"].(map[string]any)
			s["actions in "+str(r["state"])] = slices.Sorted(maps.Keys(actions))
		}
	}
	return all
}

// comparePace checks that pings come every five seconds and a resource at most once a second.
func comparePace(t *testing.T, frames []eventFrame) {
	last, ping := map[string]float64{}, 0.0
	for _, f := range frames {
		if f.name() == "ping" {
			if d := f.at - ping; ping > 0 && (d < 4.9 || d > 5.1) {
				t.Errorf("a ping comes after %.2f s, want 5", d)
			}
			ping = f.at
			continue
		}
		if d := f.at - last[f.id()]; last[f.id()] > 0 && d < 0.9 {
			t.Errorf("%s comes again after %.2f s, want at least 1", f.id(), d)
		}
		last[f.id()] = f.at
	}
}

// sequences are the states that the resources of a kind go through, by resource in the order of their numbers.
func sequences(frames []eventFrame, kind string) [][]string {
	by := map[string][]string{}
	for _, f := range frames {
		if f.kind() != kind {
			continue
		}
		r := f.resource()
		state := str(r["state"])
		if health := str(r["healthState"]); health != "" {
			state += " " + health
		}
		if n := len(by[f.id()]); n == 0 || by[f.id()][n-1] != state {
			by[f.id()] = append(by[f.id()], state)
		}
	}
	var all [][]string
	for _, id := range slices.SortedFunc(maps.Keys(by), func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	}) {
		all = append(all, by[id])
	}
	return all
}

// withoutLastHealth leaves out the health that a rollout has just before it ends.
func withoutLastHealth(states []string) []string {
	var kept []string
	for i, state := range states {
		isLast := i+1 == len(states) || states[i+1] == "upgraded healthy" || states[i+1] == "active healthy"
		if !isLast || state != "upgrading healthy" && state != "rolling-back healthy" {
			kept = append(kept, state)
		}
	}
	return kept
}

// withoutMark leaves out that an old container still runs when it is marked for the upgrade, just before it is stopped.
func withoutMark(states []string) []string {
	if slices.Equal(states, []string{"running", "stopped", "running"}) {
		return states[1:]
	}
	return states
}

// isSequence says that got is want but for states that pass too fast to be seen each time; the health of the last batch is
// seen only if it comes more than a second before the end. Whole frames were recorded up to a point; what comes after it
// is not compared.
func isSequence(want, got []string) bool {
	want, got = withoutMark(withoutLastHealth(want)), withoutMark(withoutLastHealth(got))
	for _, state := range got {
		if len(want) == 0 {
			return true
		}
		if state == want[0] {
			want = want[1:]
			continue
		}
		if name, _, _ := strings.Cut(state, " "); !passingStates[name] {
			return false
		}
	}
	return len(want) == 0
}
