package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// TestLogRecordings plays the recorded log streams against the embedded server: its containers write what the recorded
// ones wrote, the same streams are asked for at the same points, and every frame and close code has to be the same.
func TestLogRecordings(t *testing.T) {
	for _, name := range []string{"real-logs-01-follow-upgrade", "real-logs-02-endings-and-options", "real-logs-03-tty-and-large"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newLogPlayer(t, loadLogs(t, name))
			for i := range p.entries {
				p.play(i)
			}
			for name, s := range p.streams {
				if s.frames == 0 {
					t.Errorf("stream %s has no frame", name)
				}
			}
		})
	}
}

// logPlayer takes the embedded server through one recording of log streams.
type logPlayer struct {
	t       *testing.T
	entries []logEntry
	runtime *logRuntime
	base    string
	project string
	// written are the lines of each recorded container, in order; ours is our container's id.
	written map[string][]ranchersim.LogLine
	ours    map[string]string
	// stopping are the containers that were told to end and wait to be let go.
	stopping map[string]bool
	streams  map[string]*openStream
}

// openStream is one log socket of ours.
type openStream struct {
	container string
	conn      *websocket.Conn
	times     bool
	frames    int
	// next is the line of the container that the next frame without a time is searched from.
	next int
}

func newLogPlayer(t *testing.T, entries []logEntry) *logPlayer {
	p := &logPlayer{
		t: t, entries: entries, runtime: &logRuntime{logs: map[string]*scriptedLog{}},
		written: map[string][]ranchersim.LogLine{}, ours: map[string]string{}, stopping: map[string]bool{}, streams: map[string]*openStream{},
	}
	var recorded []string
	for _, e := range entries {
		if id := e.container(); id != "" && !slices.Contains(recorded, id) {
			recorded = append(recorded, id)
		}
		if e.Opcode == 1 && p.hasTimes(e.Stream) {
			p.note(p.containerOf(e.Stream), e.line(t))
		}
	}
	p.start(recorded)
	return p
}

// note adds a line to what a recorded container wrote, unless another stream had it.
func (p *logPlayer) note(id string, l ranchersim.LogLine) {
	if l.Time.IsZero() { // An empty frame.
		return
	}
	if !slices.ContainsFunc(p.written[id], func(have ranchersim.LogLine) bool { return have.Time.Equal(l.Time) && have.Text == l.Text }) {
		p.written[id] = append(p.written[id], l)
	}
}

// opening is the exchange that opened a stream.
func (p *logPlayer) opening(stream string) *logEntry {
	i := slices.IndexFunc(p.entries, func(e logEntry) bool { return e.container() != "" && e.Note == "stream "+stream })
	if i < 0 {
		p.t.Fatalf("nothing opens stream %s", stream)
	}
	return &p.entries[i]
}

func (p *logPlayer) containerOf(stream string) string { return p.opening(stream).container() }

func (p *logPlayer) hasTimes(stream string) bool { return p.opening(stream).RequestBody.Timestamps }

// start serves a server with as many containers as were recorded.
func (p *logPlayer) start(recorded []string) {
	p.t.Helper()
	s := ranchersim.New(ranchersim.Options{Speed: 100, Project: "live", AccessKey: "key", SecretKey: "secret", ExternalHealth: true, Runtime: p.runtime})
	ctx, cancel := context.WithCancel(p.t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	srv := httptest.NewServer(s.Handler())
	p.t.Cleanup(func() { p.runtime.releaseAll(); cancel(); running.Wait(); srv.Close() })
	p.base, p.project = srv.URL, s.ProjectID()
	s.AddHost("host1.example", "192.0.2.1")
	stack, err := s.CreateStack("live")
	if err != nil {
		p.t.Fatal(err)
	}
	launch := json.RawMessage(`{"imageUuid":"docker:registry.example/app:v1"}`)
	service, err := s.CreateService(ranchersim.ServiceSpec{StackID: stack, Name: "app", Scale: len(recorded), LaunchConfig: launch, Start: true})
	if err != nil {
		p.t.Fatal(err)
	}
	p.await("the containers run", func() bool {
		n := 0
		for _, c := range s.Containers() {
			if c.State == "running" {
				p.ours[recorded[n]] = c.ID
				n++
			}
		}
		return n == len(recorded)
	})
	// Only an active service starts a container again that was stopped, as the recorded one was.
	p.await("the service is active", func() bool {
		return p.request(http.MethodGet, "/services/"+service, "")["state"] == "active"
	})
}

// await waits for a condition.
func (p *logPlayer) await(what string, is func() bool) {
	p.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); !is(); {
		select {
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("it never came that %s", what)
		}
	}
}

// play does what one line of the recording tells, and compares.
func (p *logPlayer) play(i int) {
	switch e := &p.entries[i]; {
	case e.container() != "":
		p.open(i)
	case e.Note == "container stop through the API":
		p.stop("1i11")
	case e.Note == "container removed through the API":
		p.request(http.MethodDelete, "/containers/"+p.ours["1i11"], "")
		p.stopping["1i11"] = true
	case strings.HasPrefix(e.Note, "state now running"):
		p.await("container 1i11 runs again", func() bool {
			return p.request(http.MethodGet, "/containers/"+p.ours["1i11"], "")["state"] == "running"
		})
	case e.Opcode == 1:
		p.frame(e)
	case e.Opcode == 8:
		p.close(e)
	}
}

// open asks for a stream. What it told at once was history, which therefore is written before.
func (p *logPlayer) open(i int) {
	e := &p.entries[i]
	name, id := strings.TrimPrefix(e.Note, "stream "), e.container()
	history := 0
	for _, f := range p.entries[i:] {
		isHistory := f.T < e.T+0.1 && history < e.RequestBody.Lines
		if isHistory && f.Stream == name && f.Opcode == 1 && len(f.payload(p.t)) > 0 {
			history++
			if p.hasTimes(name) {
				p.write(id, f.line(p.t))
			}
		}
	}
	isFirst := true
	for _, s := range p.streams {
		isFirst = isFirst && s.container != id
	}
	if isFirst && history == e.RequestBody.Lines && history > 0 {
		p.runtime.log(p.ours[id]).prepend() // There was more, which the request left out.
	}
	answer := p.request(http.MethodPost, "/containers/"+p.ours[id]+"/?action=logs", string(e.rawBody))
	address := p.compareAnswer(e, answer)
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, address, nil) //nolint:bodyclose // The library owns the body.
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(-1)
	p.streams[name] = &openStream{container: id, conn: conn, times: e.RequestBody.Timestamps}
}

// compareAnswer holds the answer of the logs action against the recorded one and returns the socket's address.
func (p *logPlayer) compareAnswer(e *logEntry, answer map[string]any) string {
	want := map[string]any{}
	for k, v := range e.ResponseBody {
		want[k] = v
	}
	token, _ := answer["token"].(string)
	if strings.Count(token, ".") != 2 {
		p.t.Errorf("line %d: token %q is no JWT", e.Seq, token)
	}
	want["token"], want["url"] = token, "ws"+strings.TrimPrefix(p.base, "http")+"/v1/logs/"
	if got, want := fmt.Sprint(answer), fmt.Sprint(want); got != want {
		p.t.Errorf("line %d: the answer is %s, want %s", e.Seq, got, want)
	}
	return fmt.Sprint(want["url"], "?token=", url.QueryEscape(token))
}

// frame has the container write the line that a recorded frame holds, and compares the frame that comes.
func (p *logPlayer) frame(e *logEntry) {
	s := p.streams[e.Stream]
	want := e.payload(p.t)
	if len(want) > 0 {
		p.write(s.container, p.lineOf(e, s))
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	kind, got, err := s.conn.Read(ctx)
	if err != nil {
		p.t.Fatalf("line %d: stream %s: %v", e.Seq, e.Stream, err)
	}
	s.frames++
	if kind != websocket.MessageText || len(got) != e.Len || !e.isLike(p.t, got) {
		p.t.Errorf("line %d: frame is\n%.120q, %d bytes, want\n%.120q, %d bytes", e.Seq, got, len(got), want, e.Len)
	}
}

// lineOf is the line behind a frame. One without a time is the next of its container with the text.
func (p *logPlayer) lineOf(e *logEntry, s *openStream) ranchersim.LogLine {
	l := e.line(p.t)
	if s.times {
		return l
	}
	for i, have := range p.written[s.container] {
		if i >= s.next && have.Text == l.Text && have.Stream == l.Stream {
			s.next = i + 1
			return have
		}
	}
	p.t.Fatalf("line %d: %q was never written", e.Seq, l.Text)
	return l
}

// write makes the container's log reach to a line.
func (p *logPlayer) write(id string, last ranchersim.LogLine) {
	log := p.runtime.log(p.ours[id])
	for _, l := range p.written[id] {
		log.add(l)
		if l.Time.Equal(last.Time) && l.Text == last.Text {
			return
		}
	}
}

// close ends the container where that is why the recorded stream ended, and compares the code.
func (p *logPlayer) close(e *logEntry) {
	s := p.streams[e.Stream]
	if p.opening(e.Stream).RequestBody.Follow {
		if strings.HasPrefix(p.entries[0].Note, "stream") { // An upgrade stopped it.
			p.stop(s.container)
		}
		if p.stopping[s.container] {
			p.stopping[s.container] = false
			p.runtime.release(p.ours[s.container])
		}
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	_, got, err := s.conn.Read(ctx)
	if code := websocket.CloseStatus(err); int(code) != e.CloseCode {
		p.t.Errorf("line %d: stream %s ends with code %d (%q, %v), want %d", e.Seq, e.Stream, code, got, err, e.CloseCode)
	}
}

// stop tells a container to end, which it does when it is let go.
func (p *logPlayer) stop(id string) {
	p.request(http.MethodPost, "/containers/"+p.ours[id]+"/?action=stop", "{}")
	p.stopping[id] = true
}

// request asks our server.
func (p *logPlayer) request(method, path, body string) map[string]any {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.base+"/v2-beta/projects/"+p.project+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.SetBasicAuth("key", "secret")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		p.t.Fatalf("%s %s = %d %s %v", method, path, resp.StatusCode, answer, err)
	}
	var m map[string]any
	if err := json.Unmarshal(bytes.TrimSpace(answer), &m); err != nil {
		p.t.Fatal(err)
	}
	return m
}
