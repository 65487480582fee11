package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// drainAll closes the follower and returns what is left in it.
func drainAll(t *testing.T, f *Follower) []Line {
	t.Helper()
	f.Close()
	var out []Line
	for {
		lines, err := f.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, lines...)
	}
}

// One container is replaced by another, as in an upgrade.
func TestFollowerMergesAnUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		var want []message
		for _, s := range []string{"1i1", "1i2", "1i3"} {
			for _, g := range decodeAll(recorded(t, "real-logs-01-follow-upgrade.jsonl", s)) {
				m := message{time.Unix(0, g.nanos), g.output, g.text}
				h.write(s, m)
				want = append(want, m)
			}
		}
		old := []Container{{ID: "1i1", Name: "web-1", Version: VersionOld, Tail: AllLines}, {ID: "1i2", Name: "web-2", Version: VersionOld, Tail: AllLines}}
		f := Follow(t.Context(), h, FollowOptions{Client: h.client}, append(old, Container{ID: "1i3", Name: "web-1", Version: VersionNew, Tail: AllLines})...)
		time.Sleep(time.Second)
		lines := drainAll(t, f)
		if len(lines) != len(want) {
			t.Fatalf("%d lines came, want %d", len(lines), len(want))
		}
		if !slices.IsSortedFunc(lines, func(a, b Line) int { return a.Time.Compare(b.Time) }) {
			t.Error("lines are out of order")
		}
		for _, l := range lines {
			if (l.Container == "1i3") != (l.Version == VersionNew) || l.Name == "" {
				t.Fatalf("line %+v has the wrong version or no name", l)
			}
		}
	})
}

func TestFollowerAttachesWithinASecondAndDrainsWhatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		young := time.Now().Add(300 * time.Millisecond)
		h.openError = func(id string) error {
			if id == "1i2" && time.Now().Before(young) {
				return errors.New("the container has no host yet")
			}
			return nil
		}
		h.write("1i1", message{time.Now(), OutputStdout, "old"})
		h.write("1i2", message{time.Now(), OutputStdout, "new"})
		f := Follow(t.Context(), h, FollowOptions{Client: h.client}, Container{ID: "1i1", Tail: 10})
		next := func() []Line {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			lines, err := f.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return slices.Clone(lines)
		}
		if l := next(); l[0].Text != "old" {
			t.Errorf("first line is %+v", l)
		}
		f.Set([]Container{{ID: "1i2", Tail: AllLines}})
		h.write("1i1", message{time.Now(), OutputStdout, "goodbye"})
		var texts []string
		for len(texts) < 2 {
			for _, l := range next() {
				texts = append(texts, l.Text)
			}
		}
		slices.Sort(texts)
		if !slices.Equal(texts, []string{"goodbye", "new"}) {
			t.Errorf("lines are %v", texts)
		}
		time.Sleep(2 * drainTime)
		h.write("1i1", message{time.Now(), OutputStdout, "nobody listens"})
		time.Sleep(time.Second)
		if left := drainAll(t, f); len(left) != 0 {
			t.Errorf("a container that left still gives %v", left)
		}
	})
}

func TestFollowerKeepsAContainerThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		c := Container{ID: "1i1", Tail: AllLines}
		h.write("1i1", message{time.Now(), OutputStdout, "a"})
		f := Follow(t.Context(), h, FollowOptions{Client: h.client}, c)
		time.Sleep(time.Second)
		f.Set(nil)
		time.Sleep(drainTime / 2)
		f.Set([]Container{c})
		time.Sleep(2 * drainTime)
		h.write("1i1", message{time.Now(), OutputStdout, "b"})
		time.Sleep(time.Second)
		if n := h.connects["1i1"]; n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
		if lines := drainAll(t, f); len(lines) != 2 {
			t.Errorf("lines are %v, want two", lines)
		}
	})
}

// Nobody reads: the websockets go on being read, memory stays bounded, and the
// lines lost are told.
func TestFollowerDropsForASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		const limit = 100 * (lineCost + 10)
		f := Follow(t.Context(), h, FollowOptions{Client: h.client, Buffer: limit}, Container{ID: "1i1", Tail: AllLines})
		const n = 5000
		for i := range n {
			h.write("1i1", message{time.Now(), OutputStdout, fmt.Sprintf("line %5d", i)})
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		if used := f.used.Load(); used > limit {
			t.Errorf("%d bytes are held, want at most %d", used, limit)
		}
		var lines, dropped, notices int64
		count := func(ls []Line) {
			for _, l := range ls {
				if l.Dropped == 0 {
					lines++
					continue
				}
				dropped += l.Dropped
				notices++
			}
		}
		ls, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		count(ls)
		// The notice comes while the follower runs, not only at its end.
		time.Sleep(time.Second)
		ls, err = f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		count(ls)
		if notices != 1 || ls[0].Container != "1i1" {
			t.Errorf("%d notices came, want one of container 1i1", notices)
		}
		count(drainAll(t, f))
		if lines+dropped != n || dropped == 0 || lines == 0 {
			t.Errorf("%d lines came and %d were dropped, want %d together", lines, dropped, n)
		}
		if c := h.connects["1i1"]; c != 1 {
			t.Errorf("%d connections, want 1: the reader must not be held up", c)
		}
	})
}

// More lines within the window than the buffer holds, as from a long history:
// somebody reads, so the window gives way and nothing is dropped.
func TestFollowerShortensTheWindowBeforeItDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		f := Follow(t.Context(), h, FollowOptions{Client: h.client, Buffer: 1000 * (lineCost + 10)}, Container{ID: "1i1", Tail: AllLines})
		read := make(chan []Line)
		go func() { read <- slices.Collect(f.Lines(context.Background())) }()
		const n = 10_000
		for i := range n {
			h.write("1i1", message{time.Now(), OutputStdout, fmt.Sprintf("line %5d", i)})
			if i%300 == 0 {
				time.Sleep(DefaultWindow / 4)
			}
		}
		time.Sleep(time.Second)
		f.Close()
		lines := <-read
		if len(lines) != n || slices.ContainsFunc(lines, func(l Line) bool { return l.Dropped > 0 }) {
			t.Errorf("%d lines came, want %d and none dropped", len(lines), n)
		}
	})
}

// Containers come, are cut, stop and go, while somebody reads: nothing is lost.
func TestFollowerProperty(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			h, stop := newHost(t)
			defer stop()
			r := rand.New(rand.NewPCG(seed, 4))
			cutter := rand.New(rand.NewPCG(seed, 5))
			h.cut = func(o Options, nth int) (int, bool) {
				if nth > 10 {
					return -1, false
				}
				return cutter.IntN(100), o.Follow && cutter.IntN(2) == 0
			}
			f := Follow(t.Context(), h, FollowOptions{Client: h.client})
			read := make(chan []Line)
			go func() { read <- slices.Collect(f.Lines(context.Background())) }()
			var set []Container
			logs := map[string][]message{}
			for i := range 5 {
				id := fmt.Sprintf("1i%d", i)
				set = append(set, Container{ID: id, Tail: AllLines})
				logs[id] = story(r, time.Now(), 80)
				h.write(id, logs[id]...)
				f.Set(set)
				time.Sleep(time.Duration(r.IntN(5000)) * time.Millisecond)
				if r.IntN(2) == 0 {
					h.setState(id, "stopped")
				}
			}
			time.Sleep(10 * time.Minute)
			f.Close()
			got1 := map[string][]got{}
			for _, l := range <-read {
				got1[l.Container] = append(got1[l.Container], got{l.Output, l.Time.UnixNano(), l.Text})
			}
			for id, log := range logs {
				checkWhole(t, log, got1[id])
			}
		})
	}
}

func TestFollowerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := newHost(t)
		defer stop()
		ctx, cancel := context.WithCancel(t.Context())
		f := Follow(ctx, h, FollowOptions{Client: h.client}, Container{ID: "1i1"})
		synctest.Wait()
		cancel()
		for range 2 {
			if _, err := f.Next(context.Background()); !errors.Is(err, io.EOF) {
				t.Errorf("next after the end: %v, want EOF", err)
			}
		}
		f.Set([]Container{{ID: "1i2"}})
		f.Close()
		if h.connects["1i2"] != 0 {
			t.Error("a container was attached after the end")
		}
	})
}
