package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// logEntry is one line of a recording of log streams.
type logEntry struct {
	Seq         int
	T           float64
	Note        string
	Path        string
	RequestBody struct {
		Follow, Timestamps bool
		Lines              int
	}
	ResponseBody map[string]any
	rawBody      json.RawMessage

	Stream    string
	Opcode    int
	Len       int
	CloseCode int
	Payload   *string `json:"payloadBase64"`
	Head      string  `json:"payloadBase64Head"`
	Tail      string  `json:"payloadBase64Tail"`
	Headers   []int   `json:"headerBytesInsideAt"`
}

// loadLogs reads a recording of log streams.
func loadLogs(t *testing.T, name string) []logEntry {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", "rancher-recordings", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var entries []logEntry
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var e logEntry
		var raw struct{ RequestBody json.RawMessage }
		for _, into := range []any{&e, &raw} {
			if err := json.Unmarshal(in.Bytes(), into); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		e.rawBody = raw.RequestBody
		entries = append(entries, e)
	}
	if err := in.Err(); err != nil || len(entries) == 0 {
		t.Fatalf("%s: %d lines, %v", name, len(entries), err)
	}
	return entries
}

var logsAction = regexp.MustCompile(`/containers/(1i\d+)/\?action=logs$`)

// container is whose logs an exchange asks for, "" when it is none of those.
func (e *logEntry) container() string {
	if m := logsAction.FindStringSubmatch(e.Path); m != nil {
		return m[1]
	}
	return ""
}

// payload is a frame's text, or what was kept of a long one.
func (e *logEntry) payload(t *testing.T) []byte {
	if e.Payload != nil {
		return unbase(t, *e.Payload)
	}
	return unbase(t, e.Head)
}

func unbase(t *testing.T, text string) []byte {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// isLike says that a frame is the recorded one. Of a long one beginning, end and the headers inside were kept; the times
// behind the headers are Docker's, one per part, where our containers have one per line.
func (e *logEntry) isLike(t *testing.T, got []byte) bool {
	if e.Payload != nil {
		return bytes.Equal(got, e.payload(t))
	}
	head, tail := unbase(t, e.Head), unbase(t, e.Tail)
	want := bytes.Clone(got)
	copy(want, head)
	copy(want[len(want)-len(tail):], tail)
	for i, at := range e.Headers {
		end := len(got)
		if i+1 < len(e.Headers) {
			end = e.Headers[i+1]
		}
		n := end - at - 8
		copy(want[at:], []byte{1, 0, 0, 0, 0, 0, byte(n >> 8), byte(n)})
		copy(want[at+8:], got[at+8:at+8+len(stampText)])
	}
	return bytes.Equal(got, want)
}

const stampText = "2026-11-24T01:45:56.986602739Z "

// frameText is prefix, perhaps a byte of a torn header, time if there is one, text.
var frameText = regexp.MustCompile(`(?s)^0([012]) (?:.?(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) )?(.*?)(\r?)\n?$`)

// line is the line behind a frame; zero for an empty frame.
func (e *logEntry) line(t *testing.T) ranchersim.LogLine {
	m := frameText.FindStringSubmatch(string(e.payload(t)))
	if m == nil {
		return ranchersim.LogLine{}
	}
	l := ranchersim.LogLine{Stream: int(m[1][0] - '0'), Text: m[3]}
	if m[2] != "" {
		at, err := time.Parse(time.RFC3339Nano, m[2])
		if err != nil {
			t.Fatal(err)
		}
		l.Time = at
	}
	if l.Stream == 0 && m[4] == "" {
		l.Stream = 1 // No terminal: the header that said so was torn.
	}
	if e.Payload == nil {
		// The recorded program wrote the letter x and an E at the end.
		n := e.Len - len("01 ") - len(stampText) - len("\n") - len(e.Headers)*(8+len(stampText))
		l.Text = strings.Repeat("x", n-1) + "E"
	}
	return l
}

// logRuntime runs containers that write what the test gives them and stop when it lets them.
type logRuntime struct {
	mu   sync.Mutex
	logs map[string]*scriptedLog
	// letsGo lets containers end when they are told to.
	letsGo bool
}

// log is the log of a container, over its restarts.
func (r *logRuntime) log(id string) *scriptedLog {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.logs[id] == nil {
		r.logs[id] = &scriptedLog{changed: make(chan struct{}), released: make(chan struct{})}
	}
	return r.logs[id]
}

func (r *logRuntime) Pull(context.Context, string) (string, error) {
	return "sha256:" + strings.Repeat("c", 64), nil
}

func (r *logRuntime) Start(_ context.Context, c ranchersim.ContainerSpec) (ranchersim.Process, error) {
	l := r.log(c.ID)
	l.change(func() { l.ended = false })
	return &logProcess{log: l, letsGo: r.letsGo, ip: "192.0.2." + strings.TrimPrefix(c.ID, "1i")}, nil
}

// release lets a container's process end.
func (r *logRuntime) release(id string) {
	l := r.log(id)
	l.change(func() {
		select {
		case <-l.released:
		default:
			close(l.released)
		}
	})
}

func (r *logRuntime) releaseAll() {
	r.mu.Lock()
	var ids []string
	for id := range r.logs {
		ids = append(ids, id)
	}
	r.mu.Unlock()
	for _, id := range ids {
		r.release(id)
	}
}

// logProcess is a process that ends when it was released.
type logProcess struct {
	log    *scriptedLog
	ip     string
	letsGo bool
}

func (p *logProcess) IP() string                                         { return p.ip }
func (p *logProcess) Check(context.Context, ranchersim.HealthCheck) bool { return true }
func (p *logProcess) Exited() <-chan struct{}                            { return nil }
func (p *logProcess) Logs() ranchersim.LogSource                         { return p.log }

func (p *logProcess) Stop(ctx context.Context) error {
	if p.letsGo {
		time.Sleep(400 * time.Millisecond) // As long as the recorded ones took.
	} else {
		select {
		case <-p.log.released:
		case <-ctx.Done():
		}
	}
	p.log.change(func() { p.log.ended, p.log.released = true, make(chan struct{}) })
	return nil
}

// scriptedLog is a log that the test writes.
type scriptedLog struct {
	mu       sync.Mutex
	lines    []ranchersim.LogLine
	changed  chan struct{}
	released chan struct{}
	ended    bool
}

// change makes a change known to whoever waits.
func (l *scriptedLog) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}

// add writes a line that was not written yet.
func (l *scriptedLog) add(line ranchersim.LogLine) {
	l.change(func() {
		for _, have := range l.lines {
			if have.Time.Equal(line.Time) && have.Text == line.Text {
				return
			}
		}
		l.lines = append(l.lines, line)
	})
}

// prepend puts lines before those there are.
func (l *scriptedLog) prepend() {
	l.change(func() {
		older := make([]ranchersim.LogLine, 3)
		for i := range older {
			older[i] = ranchersim.LogLine{Time: l.lines[0].Time.Add(-time.Duration(i+1) * time.Hour), Stream: 1, Text: "older"}
		}
		l.lines = append(older, l.lines...)
	})
}

func (l *scriptedLog) Lines(from int) (lines []ranchersim.LogLine, next int, changed <-chan struct{}, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]ranchersim.LogLine(nil), l.lines[from:]...), len(l.lines), l.changed, l.ended
}
