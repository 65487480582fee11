package logs

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

var novel = observe.LogSpec{Rollout: "r1", Novelty: true}

func TestErrorsThatOnlyTheNewVersionWrites(t *testing.T) {
	watching(t, WatchOptions{}, func(t *testing.T, h *fakeHost, w *Watcher) {
		h.write("1i1", say("listening"), say("ERROR room 17 is full"), say("ERROR login of 'bob' failed"))
		h.write("1i2", say("listening"), say("ERROR room 4711 is full"), say("ERROR cannot reach 10.42.0.7:5432"))
		h.write("1i3", say("ERROR cannot reach 10.42.0.9:5432"), say("ERROR db column 'nick' missing"))
		w.Logs(t.Context(), "chat", novel, containers("1i2", "1i3"), containers("1i1"))
		synctest.Wait()
		got := w.Logs(t.Context(), "chat", novel, containers("1i2", "1i3"), containers("1i1"))
		if got.Problem != nil || got.OldProblem != nil || got.Lines != 5 || got.OldLines != 3 {
			t.Fatalf("logs = %+v, want five new lines and three old ones", got)
		}
		if got.NovelKinds != 2 || got.NovelLines != 3 || len(got.Novel) != 2 {
			t.Fatalf("novel = %+v, want two kinds in three lines", got.Novel)
		}
		first := got.Novel[0]
		if first.Template != "ERROR cannot reach #" || first.Count != 2 || !strings.HasPrefix(first.Example, "ERROR cannot reach 10.42.0.") {
			t.Errorf("the most frequent = %+v", first)
		}
		if second := got.Novel[1]; second != (observe.LogTemplate{Template: "ERROR db column '#' missing", Container: "1i3", Count: 1, Example: "ERROR db column 'nick' missing"}) {
			t.Errorf("the other = %+v", second)
		}
		// The old version writes it too, as it turns out.
		h.write("1i1", say("ERROR cannot reach 10.42.0.8:5432"))
		synctest.Wait()
		if got := w.Logs(t.Context(), "chat", novel, containers("1i2", "1i3"), nil); got.NovelKinds != 1 || got.Lines != 5 {
			t.Errorf("novel = %+v in %d lines, want one kind left", got.Novel, got.Lines)
		}
		tails := map[int]int{}
		for _, o := range h.options {
			tails[o.Lines]++
		}
		if tails[learnLines] != 1 || tails[AllLines] != 2 {
			t.Errorf("streams by tail: %v, want the old container's last lines and all of the new ones'", tails)
		}
	})
}

// As long as the old version's log cannot be read nothing is called novel.
func TestNothingIsNovelWithoutTheOldVersion(t *testing.T) {
	watching(t, WatchOptions{}, func(t *testing.T, h *fakeHost, w *Watcher) {
		h.openError = func(id string) error {
			if id == "1i1" {
				return &observe.Problem{Cause: observe.CauseAuth, Message: "denied"}
			}
			return nil
		}
		h.write("1i2", say("ERROR something new"))
		w.Logs(t.Context(), "chat", novel, containers("1i2"), containers("1i1"))
		synctest.Wait()
		got := w.Logs(t.Context(), "chat", novel, containers("1i2"), containers("1i1"))
		if got.Problem != nil || got.OldProblem == nil || got.OldProblem.Cause != observe.CauseAuth || got.NovelKinds != 0 || got.Novel != nil {
			t.Errorf("logs = %+v, want the old version's problem and nothing novel", got)
		}
	})
}

// After a restart of Drover in the probation the old containers have gone.
func TestNothingIsNovelWhenNothingCouldBeLearned(t *testing.T) {
	watching(t, WatchOptions{}, func(t *testing.T, h *fakeHost, w *Watcher) {
		h.write("1i2", say("ERROR as ever"))
		w.Logs(t.Context(), "chat", novel, containers("1i2"), nil)
		synctest.Wait()
		if got := w.Logs(t.Context(), "chat", novel, containers("1i2"), nil); got.NovelKinds != 0 || got.OldProblem == nil || got.Problem != nil {
			t.Errorf("logs = %+v, want nothing novel and the reason", got)
		}
	})
}

// Without novelty the old version is not followed.
func TestOldVersionIsNotFollowedWithoutNovelty(t *testing.T) {
	watching(t, WatchOptions{}, func(t *testing.T, h *fakeHost, w *Watcher) {
		w.Logs(t.Context(), "chat", observe.LogSpec{Rollout: "r1"}, containers("1i2"), containers("1i1"))
		synctest.Wait()
		if h.opened != 1 || w.streams != 1 {
			t.Errorf("%d streams were opened, want that of the new container", h.opened)
		}
	})
}

func TestAnotherRolloutBeginsAnew(t *testing.T) {
	watching(t, WatchOptions{}, func(t *testing.T, h *fakeHost, w *Watcher) {
		h.write("1i1", say("ERROR of the old"))
		h.write("1i2", say("ERROR of the new"))
		w.Logs(t.Context(), "chat", novel, containers("1i2"), containers("1i1"))
		synctest.Wait()
		if got := w.Logs(t.Context(), "chat", novel, containers("1i2"), containers("1i1")); got.NovelKinds != 1 {
			t.Fatalf("novel = %+v", got.Novel)
		}
		// What was new is old now, and its errors are known.
		next := observe.LogSpec{Rollout: "r2", Novelty: true}
		h.write("1i3", say("ERROR of the new"))
		w.Logs(t.Context(), "chat", next, containers("1i3"), containers("1i2"))
		synctest.Wait()
		got := w.Logs(t.Context(), "chat", next, containers("1i3"), containers("1i2"))
		if got.NovelKinds != 0 || got.Lines != 1 || got.OldLines != 1 || w.streams != 2 {
			t.Errorf("logs = %+v with %d streams, want nothing novel", got, w.streams)
		}
	})
}

// What is over must not hold the streams that another rollout needs.
func TestStreamsEndWhenNobodyAsks(t *testing.T) {
	watching(t, WatchOptions{Streams: 2}, func(t *testing.T, h *fakeHost, w *Watcher) {
		w.Logs(t.Context(), "over", novel, containers("1i2"), containers("1i1"))
		synctest.Wait()
		if got := w.Logs(t.Context(), "next", novel, containers("2i2"), nil); got.Problem == nil || got.Problem.Cause != observe.CauseUnreachable {
			t.Fatalf("logs = %+v, want no stream left", got)
		}
		time.Sleep(idleAfter + time.Second)
		w.Logs(t.Context(), "next", novel, containers("2i2"), nil)
		synctest.Wait()
		w.Logs(t.Context(), "next", novel, containers("2i2"), nil)
		synctest.Wait()
		if w.streams != 1 || len(w.watches) != 1 {
			t.Errorf("%d streams of %d keys, want one", w.streams, len(w.watches))
		}
	})
}

func TestNoveltyIsBounded(t *testing.T) {
	n, s := newNovelty(), scanner{}
	distinct := func(kind string, i int) []byte {
		name := strings.NewReplacer("0", "q", "1", "r", "2", "s", "3", "t", "4", "u", "5", "v", "6", "w", "7", "x", "8", "y", "9", "z").Replace(fmt.Sprint(i))
		return []byte("ERROR " + kind + " " + name + " failed")
	}
	for i := range maxNovel + 50 {
		line := distinct("new", i)
		n.see(s.template(line), line, "1i1")
	}
	var out observe.Logs
	n.tell(&out)
	if len(n.fresh) != maxNovel || !out.NovelCut || out.NovelKinds != maxNovel || len(out.Novel) != toldNovel {
		t.Errorf("%d kinds kept, cut %t, %d told", len(n.fresh), out.NovelCut, len(out.Novel))
	}
	for i := range maxLearned + 50 {
		n.learn(s.template(distinct("old", i)))
	}
	out = observe.Logs{}
	n.tell(&out)
	if len(n.learned) != maxLearned || out.OldProblem == nil || out.NovelKinds != 0 {
		t.Errorf("%d learned, %+v: want it to say that not everything could be learned", len(n.learned), out)
	}
}

// benchLines are what a service in trouble writes: one line in four is an error.
func benchLines() []Record {
	var records []Record
	for i := range 64 {
		text := fmt.Sprintf("2026-11-26T01:05:%02d.123Z INFO  GET /v1/rooms/%d/messages?limit=50 200 9ms 1832 bytes id=5f2c9a%d", i%60, 4711+i, i)
		if i%4 == 0 {
			text = fmt.Sprintf(`2026-11-26T01:05:%02d.123Z ERROR room %d: upstream 10.42.0.%d:8080 timed out after %dms, user "u%d"`, i%60, 4711+i, i, 3000+i, i)
		}
		records = append(records, Record{Text: []byte(text)})
	}
	return records
}

// BenchmarkNovelty is a line of a container through patterns and novelty.
func BenchmarkNovelty(b *testing.B) {
	lines := benchLines()
	bytes := 0
	for _, l := range lines {
		bytes += len(l.Text)
	}
	for name, c := range map[string]*counter{
		"new": {id: "1i1", novelty: newNovelty()},
		"old": {id: "1i2", novelty: newNovelty(), isOld: true},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(bytes / len(lines)))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.take(lines[i%len(lines)])
				i++
			}
		})
	}
}

// TestNoveltyTakesNoMemoryPerLine: a container that writes the same errors for
// hours takes no more than one that does for a second.
func TestNoveltyTakesNoMemoryPerLine(t *testing.T) {
	lines := benchLines()
	c := &counter{id: "1i1", novelty: newNovelty()}
	for _, l := range lines {
		c.take(l)
	}
	i := 0
	if allocs := testing.AllocsPerRun(10_000, func() { c.take(lines[i%len(lines)]); i++ }); allocs != 0 {
		t.Errorf("%v allocations for a line", allocs)
	}
}
