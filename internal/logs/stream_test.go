package logs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if runBenchServer() {
		return
	}
	goleak.VerifyTestMain(m)
}

// story is a log as a chatty container writes it: two outputs stamped apart,
// equal lines at equal times, lines that tear the agent's frames.
func story(r *rand.Rand, begin time.Time, n int) []message {
	var ms []message
	at := begin
	for i := range n {
		at = at.Add(time.Duration(r.IntN(40)) * time.Millisecond)
		m := message{at: at, output: OutputStdout, text: fmt.Sprintf("line %d", i)}
		switch r.IntN(12) {
		case 0:
			m.output, m.at = OutputStderr, at.Add(-time.Duration(r.IntN(300))*time.Millisecond)
		case 1:
			m.text = strings.Repeat("x", r.IntN(3000))
		case 2:
			m.text = strings.Repeat("y", 2*dockerPart+r.IntN(500))
		case 3:
			ms = append(ms, m)
		}
		ms = append(ms, m)
	}
	return ms
}

// collector keeps what a stream delivers; it belongs to the stream's goroutine
// until that has ended.
type collector struct{ lines []got }

func (c *collector) take(r Record) {
	c.lines = append(c.lines, got{r.Output, r.Nanos, string(r.Text)})
}

// key is a line without its output, which a torn header hides.
func key(nanos int64, text string) string { return fmt.Sprint(nanos, " ", text) }

// checkWhole compares what was delivered with what was written, as multisets.
func checkWhole(t *testing.T, log []message, lines []got) {
	t.Helper()
	want := map[string]int{}
	for _, m := range log {
		want[key(m.at.UnixNano(), m.text)]++
	}
	for _, l := range lines {
		want[key(l.nanos, l.text)]--
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if n := want[k]; n != 0 {
			t.Errorf("line %.60q: lost %d (below 0: repeated)", k, n)
		}
	}
}

// live runs one container's life under a schedule of cuts and checks that each
// line came once.
func live(t *testing.T, seed uint64, cut func(r *rand.Rand, o Options, nth int) (int, bool)) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 1))
		h, stop := newHost(t)
		cutter := rand.New(rand.NewPCG(seed, 2))
		h.cut = func(o Options, nth int) (int, bool) { return cut(cutter, o, nth) }
		if seed%3 == 1 {
			h.refuse = func(string) bool { return cutter.IntN(4) == 0 }
			h.openError = func(string) error { return maybe(cutter, "rancher is away") }
			h.stateError = func(string) error { return maybe(cutter, "rancher is away") }
		}
		log := story(r, time.Now().Add(-time.Second), 150)
		h.write("1i1", log[:20]...)
		var c collector
		s := newStream(h, h.client, "1i1", AllLines, c.take)
		done := make(chan struct{})
		go func() { defer close(done); s.run(t.Context()) }()
		for _, m := range log[20:] {
			if wait := time.Until(m.at); wait > 0 {
				time.Sleep(wait)
			}
			h.write("1i1", m)
		}
		h.setState("1i1", "stopped")
		for range 3600 {
			if s.now.Load().phase == PhaseStopped {
				break
			}
			time.Sleep(time.Second)
		}
		h.setState("1i1", "removed")
		<-done
		checkWhole(t, log, c.lines)
		stop()
	})
}

func maybe(r *rand.Rand, text string) error {
	if r.IntN(4) == 0 {
		return errors.New(text)
	}
	return nil
}

func TestStreamNeitherLosesNorRepeats(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			live(t, seed, func(r *rand.Rand, o Options, nth int) (int, bool) {
				// A connection that always ends within the overlap would never get on.
				if nth > 25 {
					return -1, false
				}
				// The end of a read without follow is all there is to know its end by: it is
				// cut without a close frame only.
				return r.IntN(120), o.Follow && r.IntN(2) == 0
			})
		})
	}
}

func TestStreamSurvivesACutAtEveryFrame(t *testing.T) {
	for frame := range 60 {
		live(t, 3, func(_ *rand.Rand, _ Options, nth int) (int, bool) {
			if nth == 0 {
				return frame, frame%2 == 0
			}
			return -1, false
		})
	}
}

// A recorded stream, cut at every frame.
func TestStreamResumesRecordedTimes(t *testing.T) {
	var log []message
	for _, g := range decodeAll(recorded(t, "real-logs-01-follow-upgrade.jsonl", "1i3")) {
		log = append(log, message{time.Unix(0, g.nanos), g.output, g.text})
	}
	for frame := range len(log) + 1 {
		synctest.Test(t, func(t *testing.T) {
			h, stop := newHost(t)
			h.cut = func(_ Options, nth int) (int, bool) {
				if nth == 0 {
					return frame, true
				}
				return -1, false
			}
			h.write("1i3", log...)
			var c collector
			s := newStream(h, h.client, "1i3", 100, c.take)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); s.run(ctx) }()
			time.Sleep(time.Minute)
			cancel()
			<-done
			checkWhole(t, log, c.lines)
			stop()
		})
	}
}

func TestStreamToleratesAServerThatIgnoresSince(t *testing.T) {
	b := newBoundary()
	for i := range 200 {
		b.fresh(int64(time.Hour)+int64(i)*int64(50*time.Millisecond), []byte("a"))
	}
	if got, want := b.resume(), "3608.950000000"; got != want {
		t.Errorf("since = %s, want %s", got, want)
	}
	for i := 100; i < 200; i++ {
		if b.fresh(int64(time.Hour)+int64(i)*int64(50*time.Millisecond), []byte("a")) {
			t.Fatalf("line %d came twice", i)
		}
	}
	if !b.fresh(int64(time.Hour)+int64(199)*int64(50*time.Millisecond), []byte("a")) {
		t.Error("a second line equal to the last one was taken for the first")
	}
}

func TestBoundaryWithMoreLinesThanItRemembers(t *testing.T) {
	b := newBoundary()
	line := func(i int) (int64, []byte) { return int64(time.Hour) + int64(i), fmt.Append(nil, i) }
	n := maxMarks + 1000
	for i := range n {
		b.fresh(line(i))
	}
	b.resume()
	if b.marks.len() != maxMarks {
		t.Errorf("%d lines are remembered, want %d", b.marks.len(), maxMarks)
	}
	if want := int64(time.Hour) + 1000; b.since != want {
		t.Errorf("resumed at %d, want %d", b.since, want)
	}
	for i := 900; i < n; i++ {
		if b.fresh(line(i)) {
			t.Fatalf("line %d came twice", i)
		}
	}
	if !b.fresh(line(n)) || !b.complete() {
		t.Error("the first line after the cut was taken for one before it")
	}
}

func TestBoundaryAfterAClockWasSetBack(t *testing.T) {
	b := newBoundary()
	b.fresh(int64(2*time.Hour), []byte("before"))
	b.fresh(int64(time.Hour), []byte("after"))
	if got, want := b.resume(), "3599.000000000"; got != want {
		t.Errorf("since = %s, want %s", got, want)
	}
	if b.fresh(int64(2*time.Hour), []byte("before")) || b.fresh(int64(time.Hour), []byte("after")) {
		t.Error("a line around the step came twice")
	}
}

func TestStreamAsksForAFreshTokenWhenRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		h.refuse = func(token string) bool { return token == "secret-1" }
		h.write("1i1", message{time.Now(), OutputStdout, "a"})
		var c collector
		s := newStream(h, h.client, "1i1", 10, c.take)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.run(ctx) }()
		synctest.Wait()
		if p := s.now.Load().phase; p != PhaseAttached {
			t.Errorf("phase = %s, want attached without a wait", p)
		}
		cancel()
		<-done
		if len(c.lines) != 1 {
			t.Errorf("lines = %v, want one", c.lines)
		}
		stop()
	})
}

func TestStreamBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		begin := time.Now()
		var calls []time.Duration
		h.openError = func(string) error {
			calls = append(calls, time.Since(begin))
			return errors.New("rancher is away")
		}
		s := newStream(h, h.client, "1i1", 10, func(Record) {})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		s.run(ctx)
		stop()
		if n := len(calls); n < 12 || n > 18 {
			t.Errorf("%d attempts in five minutes, want 12 to 18", n)
		}
		if calls[1] > time.Second {
			t.Errorf("second attempt after %v, want at most 1 s", calls[1])
		}
		last := calls[len(calls)-1] - calls[len(calls)-2]
		if last < 20*time.Second || last > 30*time.Second {
			t.Errorf("last wait is %v, want 20 to 30 s", last)
		}
	})
}

func TestStreamFollowsARestartedContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		log := story(rand.New(rand.NewPCG(7, 7)), time.Now(), 30)
		h.write("1i1", log[:10]...)
		var c collector
		s := newStream(h, h.client, "1i1", AllLines, c.take)
		done := make(chan struct{})
		go func() { defer close(done); s.run(t.Context()) }()
		synctest.Wait()
		h.setState("1i1", "stopped")
		synctest.Wait()
		if p := s.now.Load().phase; p != PhaseStopped {
			t.Errorf("phase = %s, want stopped", p)
		}
		h.setState("1i1", "running")
		h.write("1i1", log[10:]...)
		s.wake()
		synctest.Wait()
		if p := s.now.Load().phase; p != PhaseAttached {
			t.Errorf("phase = %s, want attached at once", p)
		}
		h.setState("1i1", "removed")
		<-done
		checkWhole(t, log, c.lines)
		stop()
	})
}

func TestStreamReadsInvalidFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		// One text frame with bytes that are no UTF-8: a library that looks would
		// close with 1007, and the line after it would need a second connection.
		h.write("1i1", message{time.Now(), OutputStdout, "a\xff\x00b"}, message{time.Now(), OutputStdout, strings.Repeat("z", 2*maxFrame)}, message{time.Now(), OutputStdout, "c"})
		var c collector
		s := newStream(h, h.client, "1i1", 10, c.take)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.run(ctx) }()
		synctest.Wait()
		cancel()
		<-done
		if h.connects["1i1"] != 1 {
			t.Errorf("%d connections, want 1", h.connects["1i1"])
		}
		if len(c.lines) != 3 || c.lines[0].text != "a\ufffd\x00b" || len(c.lines[1].text) != MaxText || c.lines[2].text != "c" {
			t.Errorf("%d lines came", len(c.lines))
		}
		stop()
	})
}

func TestErrorsHoldNoToken(t *testing.T) {
	for _, url := range []string{"ws://127.0.0.1:1/v1/logs/?token=secret", "gopher://rancher.example/?token=secret", "ws://[::1/?token=secret", "%zz?token=secret"} {
		_, err := dial(t.Context(), nil, url)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("dialing %q: %v, want an error without the token", url, err)
		}
	}
}

func TestTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		log := story(rand.New(rand.NewPCG(5, 5)), time.Now(), 300)
		h.write("1i1", log...)
		h.setState("1i1", "stopped")
		lines, err := Tail(t.Context(), h, h.client, "1i1", 200)
		if err != nil || len(lines) != 200 {
			t.Fatalf("tail: %d lines, %v; want 200", len(lines), err)
		}
		if last := log[len(log)-1]; lines[199].Text != last.text || !lines[199].Time.Equal(last.at) {
			t.Errorf("last line is %v, want %v", lines[199], last)
		}
		if o := h.options[0]; o.Follow || o.Lines != 200 || !o.Timestamps {
			t.Errorf("options are %+v", o)
		}
		stop()
	})
}

func TestTailIsBoundedInTimeAndSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		for range 20 {
			h.write("1i1", message{time.Now(), OutputStdout, strings.Repeat("x", MaxText)})
		}
		lines, err := Tail(t.Context(), h, h.client, "1i1", 200)
		if err != nil || len(lines) != 4 {
			t.Errorf("tail: %d lines of 256 KiB, %v; want the last 4", len(lines), err)
		}
		hang := &hanging{Source: h}
		begin := time.Now()
		if _, err := Tail(t.Context(), hang, h.client, "1i1", 200); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("tail of a host that hangs: %v, want a deadline", err)
		}
		if d := time.Since(begin); d != tailTimeout {
			t.Errorf("it took %v, want %v", d, tailTimeout)
		}
		stop()
	})
}

// hanging never answers the logs action.
type hanging struct{ Source }

func (h *hanging) OpenLogs(ctx context.Context, _ string, _ Options) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}
