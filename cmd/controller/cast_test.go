package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/vt"

	"gitlab.gf.com.cn/clickeggs/drover/internal/sandbox"
)

// The recorded demo, docs/demo.cast, is a real run in asciinema's format
// (https://docs.asciinema.org/manual/asciicast/v2/): a shell in a pseudo-terminal,
// the daemon, and the sandbox. `make cast` records it anew.

var recordTo = flag.String("cast", "", "record the demo anew into this file")

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

func newTape(h castHeader) *tape {
	tp := &tape{begun: time.Now()}
	_ = json.NewEncoder(&tp.lines).Encode(h) // A buffer takes everything.
	return tp
}

// output records what was written to the terminal.
func (tp *tape) output(b []byte) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	b = append(tp.left, b...)
	end := len(b)
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if utf8.RuneStart(b[len(b)-i]) {
			if !utf8.FullRune(b[len(b)-i:]) {
				end = len(b) - i
			}
			break
		}
	}
	tp.left = slices.Clone(b[end:])
	tp.event("o", string(b[:end]))
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

// TestRecordCast plays the story for a recording.
func TestRecordCast(t *testing.T) {
	if *recordTo == "" {
		t.Skip("records only where -cast names a file: make cast")
	}
	target, err := filepath.Abs(*recordTo)
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "drover"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b := newStory(t, 15)
	stop := b.daemon()
	b.awaitStatus(`"nothing-to-do"`)
	d := newDesk(t, castWidth, castHeight)
	d.tape = newTape(castHeader{2, castWidth, castHeight, "drover: push, watch, decide", 2})
	d.Tape(d.tape.output)
	shell := shellAt(t, d, b.dir, bin)
	playCast(d, b)
	if err := shell.Wait(); err != nil {
		t.Errorf("the shell ends with %v", err)
	}
	if code := stop(); code != exitOK {
		t.Errorf("drover run ends with %d", code)
	}
	if err := os.WriteFile(target, d.tape.lines.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
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

// shellAt is a shell whose terminal is the desk's.
func shellAt(t *testing.T, d *desk, dir, bin string) *exec.Cmd {
	t.Helper()
	c := exec.Command("bash", "--norc", "--noprofile", "-i")
	c.Dir = dir
	c.Stdin, c.Stdout, c.Stderr = d.TTY, d.TTY, d.TTY
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	c.Env = []string{
		"PATH=" + bin + ":/usr/bin:/bin", "HOME=" + dir, "USER=jo", "TERM=xterm-256color", "LC_ALL=C.UTF-8", "PS1=$ ",
		"DROVER_CONFIG=targets.yaml", "HISTFILE=", "BASH_SILENCE_DEPRECATION_WARNING=1",
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	return c
}

// playCast is the story: a push that is finished by a key, one that is rolled back
// by a key, and one that Drover takes back by itself.
func playCast(d *desk, b *bench) {
	d.sees(&b.said, "$")
	d.types("drover watch parrot-rest --by jo\n")
	d.sees(&b.said, "waiting for a push of parrot-rest:latest")
	d.pause(2)
	d.milestone("waiting")
	d.tape.mark("CI pushes a new image")
	b.push("log=listening on 8080 with release 2")
	d.sees(&b.said, "release 2")
	d.sees(&b.said, "baking")
	d.pause(4)
	d.decide(&b.said, "f", "finish gf-chat/parrot-rest?", "FINISHED after")
	d.pause(3)
	d.tape.mark("CI pushes an image that a person does not like")
	b.push("log=ERROR no translations found in release 3")
	d.sees(&b.said, "release 3")
	d.pause(1)
	d.Press("e")
	d.pause(2)
	d.Press("e")
	d.sees(&b.said, "baking")
	d.decide(&b.said, "r", "rollback gf-chat/parrot-rest?", "ROLLED BACK after")
	d.pause(3)
	d.tape.mark("CI pushes an image that fails one request in five")
	b.push("errors=20%")
	d.sees(&b.said, ": load balancer: ") // Why, behind the outcome.
	d.pause(4)
	d.Press("q")
	d.sees(&b.said, "gf-chat/parrot-rest: rolled-back")
	d.types("drover history parrot-rest | cut -c 1-100\n")
	d.pause(2)
	d.types("drover why parrot-rest | tail -n 22 | cut -c 1-100\n")
	d.pause(4)
	d.types("exit\n")
}

// types writes as a person does.
func (d *desk) types(text string) {
	for _, r := range text {
		d.Press(string(r))
		time.Sleep(40 * time.Millisecond)
	}
}

// pause lets who watches the recording read.
func (d *desk) pause(seconds int) { time.Sleep(time.Duration(seconds) * time.Second) }

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
	if host, err := os.Hostname(); err == nil && strings.Contains(shown, host) || strings.Contains(shown, "/tmp/") {
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
