package logs

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// watching runs a watcher in a bubble.
func watching(t *testing.T, o WatchOptions, test func(t *testing.T, h *fakeHost, w *Watcher)) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		o.Client = h.client
		w := NewWatcher(h, o)
		done := make(chan error)
		go func() { done <- w.Run(t.Context()) }()
		synctest.Wait()
		test(t, h, w)
		w.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		stop()
	})
}

func containers(ids ...string) []observe.Container {
	var out []observe.Container
	for _, id := range ids {
		out = append(out, observe.Container{ID: id, State: "running"})
	}
	return out
}

func say(text string) message { return message{time.Now(), OutputStdout, text} }

func TestWatcherCountsMatches(t *testing.T) {
	watching(t, WatchOptions{}, func(t *testing.T, h *fakeHost, w *Watcher) {
		patterns := []string{"^panic: ", "Unhandled"}
		h.write("1i1", say("listening"), say("panic: nil map"), say("panic: again"))
		h.write("1i2", say("listening"), say("UnhandledPromiseRejection "+strings.Repeat("é", 400)), say("no panic: here"))
		first := w.Logs(t.Context(), "chat", observe.LogSpec{Fail: patterns}, containers("1i1", "1i2"), nil)
		if first.Problem == nil || first.Problem.Cause != observe.CausePending {
			t.Errorf("problem before the first line = %v, want pending", first.Problem)
		}
		synctest.Wait()
		got := w.Logs(t.Context(), "chat", observe.LogSpec{Fail: patterns}, containers("1i1", "1i2"), nil)
		if got.Problem != nil || got.Lines != 6 || len(got.Matches) != 2 {
			t.Fatalf("logs = %+v, want six lines and two matches", got)
		}
		if m := got.Matches[1]; m != (observe.LogMatch{Pattern: "^panic: ", Container: "1i1", Count: 2, Example: "panic: nil map"}) {
			t.Errorf("match = %+v", m)
		}
		if m := got.Matches[0]; m.Container != "1i2" || m.Count != 1 || len(m.Example) != 512 || !strings.HasSuffix(m.Example, "é") {
			t.Errorf("match = %+v, example of %d bytes", m, len(m.Example))
		}
		h.write("1i1", say("panic: late"))
		synctest.Wait()
		// A look that saw no container does not make the watch blind.
		w.Logs(t.Context(), "chat", observe.LogSpec{Fail: patterns}, nil, nil)
		h.write("1i1", say("more"))
		synctest.Wait()
		if got := w.Logs(t.Context(), "chat", observe.LogSpec{Fail: patterns}, containers("1i1", "1i2"), nil); got.Lines != 8 || got.Matches[1].Count != 3 {
			t.Errorf("logs = %+v, want eight lines and three panics", got)
		}
	})
}

func TestWatcherKeepsWhatARemovedContainerWrote(t *testing.T) {
	watching(t, WatchOptions{}, func(t *testing.T, h *fakeHost, w *Watcher) {
		h.write("1i1", say("panic: x"))
		w.Logs(t.Context(), "chat", observe.LogSpec{Fail: []string{"panic"}}, containers("1i1"), nil)
		synctest.Wait()
		h.setState("1i1", "removed")
		synctest.Wait()
		got := w.Logs(t.Context(), "chat", observe.LogSpec{Fail: []string{"panic"}}, containers("1i2"), nil)
		if len(got.Matches) != 1 || got.Matches[0].Container != "1i1" {
			t.Errorf("matches = %v, want that of 1i1", got.Matches)
		}
		w.Forget("chat")
		if got := w.Logs(t.Context(), "chat", observe.LogSpec{Fail: []string{"panic"}}, nil, nil); len(got.Matches) != 0 || got.Lines != 0 {
			t.Errorf("after it was forgotten: %+v", got)
		}
		synctest.Wait()
		if w.streams != 0 {
			t.Errorf("%d streams are left, want 0", w.streams)
		}
	})
}

func TestWatcherSaysWhenItIsBlind(t *testing.T) {
	watching(t, WatchOptions{Streams: 1}, func(t *testing.T, h *fakeHost, w *Watcher) {
		read := func(ids ...string) *observe.Problem {
			w.Logs(t.Context(), "chat", observe.LogSpec{Fail: []string{"x"}}, containers(ids...), nil)
			synctest.Wait()
			return w.Logs(t.Context(), "chat", observe.LogSpec{Fail: []string{"x"}}, containers(ids...), nil).Problem
		}
		if p := w.Logs(t.Context(), "bad", observe.LogSpec{Fail: []string{"("}}, nil, nil).Problem; p == nil || p.Cause != observe.CauseUnusable {
			t.Errorf("problem of a pattern that is none = %v", p)
		}
		if p := read("1i1"); p != nil {
			t.Errorf("problem = %v, want none", p)
		}
		if p := read("1i1", "1i2"); p == nil || p.Cause != observe.CauseUnreachable {
			t.Errorf("problem of one stream too many = %v", p)
		}
		h.mu.Lock()
		h.openError = func(string) error { return &observe.Problem{Cause: observe.CauseAuth, Message: "no"} }
		h.mu.Unlock()
		h.setState("1i1", "starting")
		synctest.Wait()
		if p := read("1i1"); p != nil {
			t.Errorf("problem of a short cut = %v, want none: nothing is lost by it", p)
		}
		time.Sleep(time.Minute)
		if p := read("1i1"); p == nil || p.Cause != observe.CauseAuth {
			t.Errorf("problem = %v, want auth", p)
		}
		h.mu.Lock()
		h.openError = func(string) error { return errors.New("away") }
		h.mu.Unlock()
		time.Sleep(time.Minute)
		if p := read("1i1"); p == nil || p.Cause != observe.CauseUnreachable {
			t.Errorf("problem = %v, want unreachable", p)
		}
	})
}

func TestWatcherDoesNotRunTwice(t *testing.T) {
	watching(t, WatchOptions{}, func(t *testing.T, _ *fakeHost, w *Watcher) {
		if err := w.Run(t.Context()); err == nil {
			t.Error("a second run succeeded")
		}
		w.Close()
		if p := w.Logs(t.Context(), "chat", observe.LogSpec{Fail: nil}, containers("1i1"), nil).Problem; p == nil {
			t.Error("a closed watcher has no problem")
		}
	})
}

// A container that was purged has no log any more; what was followed of it is
// still there.
func TestTailOfAPurgedContainer(t *testing.T) {
	watching(t, WatchOptions{}, func(t *testing.T, h *fakeHost, w *Watcher) {
		for i := range 250 {
			h.write("1i1", say(fmt.Sprintf("line %d %s", i, strings.Repeat("x", 2*maxLastText*(i/249)))))
		}
		w.Logs(t.Context(), "chat", observe.LogSpec{}, containers("1i1"), nil)
		synctest.Wait()
		h.openError = func(string) error {
			return &observe.Problem{Cause: observe.CauseNotFound, Message: "no such container"}
		}
		lines, err := w.Tail(t.Context(), "1i1", 200)
		if err == nil || len(lines) != 200 || lines[0].Text != "line 50 " || lines[0].Time.IsZero() || lines[0].Container != "1i1" {
			t.Fatalf("Tail = %d lines, first %+v, %v", len(lines), lines[0], err)
		}
		if last := lines[199]; !strings.HasPrefix(last.Text, "line 249 xxx") || len(last.Text) != maxLastText || !last.Truncated {
			t.Errorf("the last line has %d bytes", len(last.Text))
		}
		if lines, _ := w.Tail(t.Context(), "1i1", 3); len(lines) != 3 || !strings.HasPrefix(lines[0].Text, "line 247") {
			t.Errorf("the last three = %+v", lines)
		}
		if lines, err := w.Tail(t.Context(), "1i9", 3); err == nil || len(lines) != 0 {
			t.Errorf("Tail of what was never followed = %v, %v", lines, err)
		}
	})
}
