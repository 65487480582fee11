package logs

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAwake(t *testing.T) {
	begin := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	var a Awake
	for i, step := range []struct{ wall, running, slept time.Duration }{
		{0, 0, 0},                     // The first question.
		{time.Second, time.Second, 0}, // Both go on.
		{9 * time.Hour, 2 * time.Second, 9*time.Hour - 2*time.Second}, // A night.
		{9*time.Hour + time.Second, 3 * time.Second, 0},
		{9*time.Hour + 5*time.Second, 4 * time.Second, 0},                 // The clock was set a little.
		{8 * time.Hour, 5 * time.Second, 0},                               // And back.
		{8*time.Hour + 10*time.Minute, 10*time.Minute + 5*time.Second, 0}, // A process that was stopped.
	} {
		if got := a.Slept(begin.Add(step.wall), step.running); got.Round(time.Second) != step.slept.Round(time.Second) {
			t.Errorf("step %d: Slept() = %s, want %s", i, got, step.slept)
		}
	}
	wall, running := Clocks()()
	if time.Since(wall) > time.Minute || running > time.Minute {
		t.Errorf("Clocks() = %s, %s", wall, running)
	}
}

// A laptop sleeps for a night: its connections are dead, and nobody says so. Every
// line comes once all the same, soon after it is opened again.
func TestFollowerTakesUpAfterASleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		// The first connection falls silent after three lines, and stays open.
		h.hang = func(nth int) int {
			if nth == 0 {
				return 3
			}
			return -1
		}
		line := func(n int) message {
			return message{at: time.Now(), output: OutputStdout, text: fmt.Sprintf("line %d", n)}
		}
		var slept atomic.Int64
		f := newFollower(t.Context(), h, FollowOptions{Client: h.client})
		f.clocks = func() (time.Time, time.Duration) {
			return time.Now().Add(time.Duration(slept.Load())), time.Since(time.Unix(0, 0))
		}
		f.begin(Container{ID: "1i1", Name: "web-1", Tail: AllLines})
		for n := range 8 {
			h.write("1i1", line(n))
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		if n := h.connected("1i1"); n != 1 {
			t.Fatalf("%d connections before the sleep, want the one that is silent", n)
		}
		slept.Store(int64(9 * time.Hour))
		time.Sleep(3 * time.Second)
		h.write("1i1", line(8))
		time.Sleep(time.Second)
		if n := h.connected("1i1"); n != 2 {
			t.Errorf("%d connections, want one more after the sleep", n)
		}
		lines := drainAll(t, f)
		for n := range 9 {
			if n >= len(lines) || lines[n].Text != fmt.Sprintf("line %d", n) {
				t.Fatalf("lines = %v, want 0 to 8 once", lines)
			}
		}
		if len(lines) != 9 {
			t.Errorf("%d lines, want 9", len(lines))
		}
	})
}
