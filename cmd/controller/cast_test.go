package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/vt"

	"gitlab.gf.com.cn/clickeggs/drover/internal/sandbox"
)

// The recorded demo, docs/demo.cast, is a real run in asciinema's format
// (https://docs.asciinema.org/manual/asciicast/v2/): a shell in a pseudo-terminal,
// the daemon, and the sandbox. `make cast` records it anew.

const (
	castWidth, castHeight = 100, 30
	// castBound is what the recording may take in the repository.
	castBound = 1 << 20
)

// castHeader is the first line of a recording.
type castHeader struct {
	Version   int     `json:"version"`
	Width     int     `json:"width"`
	Height    int     `json:"height"`
	Title     string  `json:"title"`
	IdleLimit float64 `json:"idle_time_limit"`
}

// tape writes what a terminal shows as a recording.
type tape struct {
	mu    sync.Mutex
	begun time.Time
	lines bytes.Buffer
	// left is the beginning of a character whose rest has not come yet.
	left []byte
}

// mark records what a person should know.
func (tp *tape) mark(text string) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.event("m", text)
}

func (tp *tape) event(code, data string) {
	at := json.Number(fmt.Sprintf("%.3f", time.Since(tp.begun).Seconds()))
	e := json.NewEncoder(&tp.lines)
	e.SetEscapeHTML(false)
	_ = e.Encode([]any{at, code, data})
}

// newStory is a world with a service that runs a pinned image, as after any rollout,
// under traffic; its bake is long, so that a person decides.
func newStory(t *testing.T, traffic float64) *bench {
	t.Helper()
	b := newBenchOf(t, sandbox.Options{CheckInterval: 100 * time.Millisecond, Scale: 2})
	i := b.world.Info()
	b.write(strings.Replace(fmt.Sprintf(demoConfig, i.Rancher, filepath.ToSlash(b.dir), i.Registry, i.Stats, i.StatsUser, i.Image), "bake: 5s", "bake: 10m", 1))
	b.push("serve")
	b.drover(exitOK, "upgrade", "parrot-rest", "--interval", "100ms")
	b.drover(exitOK, "finish", "parrot-rest")
	if traffic > 0 {
		if _, err := b.world.Traffic(t.Context(), traffic); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// recording is docs/demo.cast, read.
type recording struct {
	header castHeader
	events []castEvent
}

type castEvent struct {
	at         float64
	code, data string
}

func readCast(t *testing.T) recording {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "demo.cast"))
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > castBound {
		t.Errorf("docs/demo.cast has %d bytes, want at most %d", len(data), castBound)
	}
	var r recording
	for i, line := range strings.Split(strings.TrimRight(string(data), "\n"), "\n") {
		if i == 0 {
			if err := json.Unmarshal([]byte(line), &r.header); err != nil {
				t.Fatalf("docs/demo.cast: header: %v", err)
			}
			continue
		}
		var e castEvent
		if err := json.Unmarshal([]byte(line), &[]any{&e.at, &e.code, &e.data}); err != nil {
			t.Fatalf("docs/demo.cast:%d: %v", i+1, err)
		}
		r.events = append(r.events, e)
	}
	return r
}

// TestCastIsWellFormed: asciinema can play it: header, kinds of events, times that
// do not go back; and it tells nothing of the machine it was made on.
func TestCastIsWellFormed(t *testing.T) {
	r := readCast(t)
	if h := r.header; h.Version != 2 || h.Width != castWidth || h.Height != castHeight || h.Title == "" {
		t.Errorf("header = %+v", h)
	}
	if len(r.events) < 100 {
		t.Fatalf("there are %d events", len(r.events))
	}
	last, marks, shown := 0.0, 0, ""
	for i, e := range r.events {
		if e.at < last || e.code != "o" && e.code != "m" || !utf8.ValidString(e.data) {
			t.Errorf("event %d is %v after %.3f", i, e, last)
		}
		last = e.at
		if e.code == "m" {
			marks++
		} else {
			shown += e.data
		}
	}
	if last < 20 || last > 180 || marks < 4 {
		t.Errorf("it takes %.0f s and has %d marks", last, marks)
	}
	if strings.Contains(shown, "/tmp/") || strings.Contains(shown, "/home/") {
		t.Errorf("it tells where it was recorded")
	}
}

// TestPictureIsOfTheCast: docs/demo.svg shows the recording's question, and nothing
// that is loaded from elsewhere.
func TestPictureIsOfTheCast(t *testing.T) {
	picture, err := os.ReadFile(filepath.Join("..", "..", "docs", "demo.svg"))
	if err != nil {
		t.Fatal(err)
	}
	rollout := regexp.MustCompile(`parrot-rest-[0-9a-f]{12}`)
	asked := ""
	for name, screen := range readCast(t).milestones(t) {
		if strings.HasPrefix(name, "finish ") {
			asked = rollout.FindString(screen)
		}
	}
	if asked == "" || !bytes.Contains(picture, []byte(asked)) {
		t.Errorf("docs/demo.svg does not ask about rollout %q, which the recording does: make cast", asked)
	}
	if bytes.Contains(picture, []byte("<script")) || bytes.Contains(picture, []byte("href=\"http")) {
		t.Error("docs/demo.svg loads something from elsewhere")
	}
}

// milestones are the recording's screens where the story marks them.
func (r recording) milestones(t *testing.T) map[string]string {
	t.Helper()
	screen := vt.NewEmulator(r.header.Width, r.header.Height)
	var answered sync.WaitGroup
	answered.Go(func() { // What the program asks its terminal was answered when it ran.
		_, _ = io.Copy(io.Discard, screen)
	})
	t.Cleanup(func() {
		_ = screen.InputPipe().(io.Closer).Close() // Its Close is not for use beside Read.
		answered.Wait()
	})
	found := map[string]string{}
	for _, e := range r.events {
		if name, ok := strings.CutPrefix(e.data, milestone); ok && e.code == "m" {
			found[name] = screen.String()
		} else if e.code == "o" {
			_, _ = screen.WriteString(e.data)
		}
	}
	return found
}

// milestone begins the marks that a test compares.
const milestone = "screen: "

// milestone notes what is on the screen now.
func (d *desk) milestone(name string) {
	if d.tape != nil {
		d.tape.mark(milestone + name)
	}
	d.seen[name] = d.Text()
}

// figure is what differs from run to run, and beam how much room that takes.
var (
	figure = regexp.MustCompile(`[0-9a-f]{8,}|[0-9]+`)
	room   = regexp.MustCompile(`\s+`)
)

// wordsOf is a screen without its log and without figures: the headings, the
// question with what will happen, and the keys.
func wordsOf(screen string) []string {
	var words []string
	for line := range strings.SplitSeq(screen, "\n") {
		line = strings.TrimSpace(room.ReplaceAllString(figure.ReplaceAllString(line, "0"), " "))
		for _, begins := range []string{"container ", "gate ", "finish gf-chat", "rollback gf-chat", "· ", "[y]", "f finish", "r roll back", "FINISHED after", "ROLLED BACK after"} {
			if strings.HasPrefix(line, begins) {
				words = append(words, line)
			}
		}
	}
	return words
}

// compareCast holds the recording to a run of today's program.
func compareCast(t *testing.T, seen map[string]string) {
	t.Helper()
	recorded := readCast(t).milestones(t)
	if len(recorded) < 5 {
		t.Fatalf("docs/demo.cast has %d milestones", len(recorded))
	}
	for name, screen := range recorded {
		today, ok := seen[name]
		if want, got := wordsOf(today), wordsOf(screen); !ok || len(got) == 0 || !slices.Equal(want, got) {
			t.Errorf("docs/demo.cast is old (make cast): at %q it shows\n%s\ntoday it is\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
