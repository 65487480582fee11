package rancher

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// recordings is where the recordings of a running Rancher are, whole.
const recordings = "../../test/testdata/rancher-recordings"

// TestViewOfEveryRecording reads every answer and every frame of every recording as the client does, with no sandbox in
// between, and holds what it makes of them: each thing when it is first seen, and from then on what changed. -update
// writes the golden files anew.
func TestViewOfEveryRecording(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings, "*.jsonl"))
	if err != nil || len(files) < 39 {
		t.Fatalf("%d recordings (%v), want the 39 there are", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		t.Run(name, func(t *testing.T) {
			r := &reader{t: t, seen: map[string]map[string]string{}, skipped: map[string]int{}}
			r.readFile(file)
			goldenText(t, filepath.Join("testdata", "golden", "recordings", name+".txt"), r.out.Bytes())
		})
	}
}

// goldenText compares text with a file.
func goldenText(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	have, wanted := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(have), len(wanted)) {
		if i >= len(have) || i >= len(wanted) || have[i] != wanted[i] {
			t.Fatalf("%s differs from line %d on; -update writes it anew. It is\n%s\nwant\n%s", path, i+1,
				strings.Join(have[min(i, len(have)):min(i+5, len(have))], "\n"), strings.Join(wanted[min(i, len(wanted)):min(i+5, len(wanted))], "\n"))
		}
	}
}

// reader reads a recording and writes down what the client sees in it.
type reader struct {
	t   *testing.T
	out bytes.Buffer
	// seen is the last view of each thing, as values by JSON pointer.
	seen map[string]map[string]string
	// skipped counts what the client does not look into.
	skipped map[string]int
	// hidden says that the caller of this exchange sees no secrets.
	hidden bool
}

// recordedLine is a line of a recording.
type recordedLine struct {
	Seq      int
	Method   string
	Path     string
	Status   int
	Headers  map[string]string `json:"responseHeaders"`
	Body     json.RawMessage   `json:"responseBody"`
	Frame    json.RawMessage
	Message  json.RawMessage
	Stream   json.RawMessage // Frames of logs, which internal/logs reads.
	Sample   json.RawMessage // Polled pictures that the recorder put together.
	Measured json.RawMessage
}

func (r *reader) readFile(path string) {
	f, err := os.Open(path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var l recordedLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			r.t.Fatal(err)
		}
		r.readLine(&l)
	}
	if err := lines.Err(); err != nil {
		r.t.Fatal(err)
	}
	for _, what := range slices.Sorted(maps.Keys(r.skipped)) {
		fmt.Fprintf(&r.out, "not looked into: %d %s\n", r.skipped[what], what)
	}
}

func (r *reader) readLine(l *recordedLine) {
	frame := l.Frame
	if frame == nil {
		frame = l.Message
	}
	switch {
	case frame != nil:
		r.readFrame(l.Seq, frame)
	case l.Method != "" && l.Status >= 300:
		r.readError(l)
	case l.Method != "" && len(l.Body) > 0:
		r.hidden = strings.EqualFold(l.Headers["x-api-account-kind"], "environment")
		r.readAnswer(l)
	case l.Stream != nil:
		r.skipped["log frames"]++
	case l.Sample != nil:
		r.skipped["samples"]++
	case l.Measured != nil:
		r.skipped["figures"]++
	}
}

// readError makes an error of an answer, with all that callers ask of it.
func (r *reader) readError(l *recordedLine) {
	resp := &http.Response{StatusCode: l.Status, Body: io.NopCloser(bytes.NewReader(l.Body))}
	var err *Error
	if !errors.As(answeredError(l.where(), resp, l.Method != http.MethodGet), &err) {
		r.t.Fatalf("%s: an error answer makes no Error", l.where())
	}
	var is []string
	for _, q := range []struct {
		word  string
		holds bool
	}{
		{"conflict", err.Conflict()},
		{"not allowed", err.NotAllowed()},
		{"invalid", err.Invalid()},
		{"not found", err.NotFound()},
		{"temporary", err.Temporary()},
		{"unknown", err.Unknown()},
	} {
		if q.holds {
			is = append(is, q.word)
		}
	}
	fmt.Fprintf(&r.out, "%d %s\n  [%s]\n", l.Seq, err, strings.Join(is, ", "))
}

// where names an exchange.
func (l *recordedLine) where() string {
	path := l.Path
	if _, rest, ok := strings.Cut(path, "/projects/"); ok && strings.Contains(rest, "/") {
		_, path, _ = strings.Cut(rest, "/")
	}
	return l.Method + " " + path
}

// readAnswer reads a success: a list, or one thing.
func (r *reader) readAnswer(l *recordedLine) {
	fmt.Fprintf(&r.out, "%d %s %d\n", l.Seq, l.where(), l.Status)
	var head struct{ Type, ResourceType string }
	if json.Unmarshal(l.Body, &head) != nil {
		r.skipped["answers without a type"]++
		return
	}
	if head.Type != "collection" {
		r.readThing(head.Type, l.Body)
		return
	}
	p, err := decodePage(json.NewDecoder(bytes.NewReader(l.Body)), func(raw *json.RawMessage) error {
		var item struct{ Type string }
		if err := json.Unmarshal(*raw, &item); err != nil {
			return err
		}
		kind := item.Type
		if kind == "" {
			kind = head.ResourceType // Reduced answers leave it out.
		}
		r.readThing(kind, *raw)
		return nil
	})
	if err != nil {
		r.t.Errorf("seq %d: %v", l.Seq, err)
	}
	next := ""
	if p.Next != "" {
		u, err := (&Client{base: parsed(r.t, "http://rancher.example:8080/v2-beta")}).rebase(p.Next)
		if next = ", next " + fmt.Sprint(u); err != nil {
			next = ", next " + err.Error()
		}
	}
	fmt.Fprintf(&r.out, "  %d %s%s\n", p.Items, p.ResourceType, next)
}

// readThing reads one resource by its type, through the same decoder as events.
func (r *reader) readThing(kind string, raw []byte) {
	switch kind {
	case "instance":
		kind = "container"
	case "environment": // As v1 calls a stack.
		kind = "stack"
	case "project":
		var p wireProject
		r.decode(raw, &p)
		r.tell("project "+p.ID, p)
		return
	}
	ev, err := decodeResource(kind, raw)
	if err != nil {
		r.t.Errorf("a %s cannot be read: %v", kind, err)
		return
	}
	if !r.tellEvent(ev) {
		r.skipped["things of type "+kind]++
	}
}

func (r *reader) decode(raw []byte, v any) {
	if err := json.Unmarshal(raw, v); err != nil {
		r.t.Errorf("%T cannot be read: %v", v, err)
	}
}

// readFrame reads a frame of the event stream.
func (r *reader) readFrame(seq int, raw []byte) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = []byte(text) // Recorded as the text that it was.
	}
	ev, err := decodeFrame(raw)
	if err != nil {
		r.t.Errorf("seq %d: %v", seq, err)
		return
	}
	fmt.Fprintf(&r.out, "%d frame\n", seq)
	switch {
	case ev.lost:
		fmt.Fprintln(&r.out, "  lost: it cannot be understood, so that a listing follows")
	case ev.logout:
		fmt.Fprintln(&r.out, "  logout")
	case !r.tellEvent(ev):
		r.out.Truncate(r.out.Len() - len(fmt.Sprintf("%d frame\n", seq)))
		r.skipped["frames of other things"]++
	}
}

// tellEvent tells of the thing that an event carries; false when it carries none.
func (r *reader) tellEvent(ev event) bool {
	switch {
	case ev.stack != nil:
		r.tell("stack "+ev.stack.ID, ev.stack)
	case ev.host != nil:
		r.tell("host "+ev.host.ID, map[string]any{"state": ev.host.State, "agentState": ev.host.AgentState, "usable": ev.host.usable()})
	case ev.service != nil:
		r.tell("service "+ev.service.ID, map[string]any{
			"view": ev.service.view("stack", time.Time{}, r.hidden), "stackId": ev.service.StackID, "containers": ev.service.InstanceIDs.ids,
		})
	case ev.container != nil:
		r.tell("container "+ev.container.ID, map[string]any{
			"view": ev.container.view(), "external": ev.container.ExternalID, "services": ev.container.ServiceIDs, "stack": ev.container.Labels.stack,
		})
	case ev.image != nil:
		r.tell("image in "+ev.image.external[:12], map[string]any{"image": ev.image.image, "of": ev.image.label})
	default:
		return false
	}
	return true
}

// tell writes down what is new of a thing.
func (r *reader) tell(what string, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	now := map[string]string{}
	flatten("", raw, now)
	before, isKnown := r.seen[what]
	r.seen[what] = now
	if isKnown && maps.Equal(before, now) {
		return
	}
	fmt.Fprintf(&r.out, "  %s\n", what)
	for _, at := range slices.Sorted(maps.Keys(now)) {
		if now[at] != before[at] {
			fmt.Fprintf(&r.out, "    %s %s\n", at, now[at])
		}
	}
	for _, at := range slices.Sorted(maps.Keys(before)) {
		if _, is := now[at]; !is {
			fmt.Fprintf(&r.out, "    %s gone\n", at)
		}
	}
}

// flatten is a document as its values by JSON pointer.
func flatten(at string, raw json.RawMessage, into map[string]string) {
	var all map[string]json.RawMessage
	if raw[0] == '{' && json.Unmarshal(raw, &all) == nil {
		for k, v := range all {
			flatten(at+"/"+pointer(k), v, into)
		}
		return
	}
	if at == "/view/readAt" {
		return
	}
	into[at] = string(raw)
}
