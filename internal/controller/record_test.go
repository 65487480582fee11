package controller

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/internal/evidence"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// lastWords is a Tailer of which every container said the same.
type lastWords struct {
	mu    sync.Mutex
	asked map[string]int
}

func (l *lastWords) Tail(_ context.Context, id string, _ int) ([]logs.Line, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[id]++
	if id == "1igone" {
		return nil, errors.New("no such container")
	}
	return []logs.Line{{Container: id, Text: "panic of " + id + " password=hunter22"}}, nil
}

// recorded is a core in the middle of a rollout that keeps evidence.
func recorded(t *testing.T, w *world) (core *Core, tails *lastWords, file func() string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "evidence")
	store, err := evidence.Open(dir, "test", evidence.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	core = adopted(t, w)
	tails = &lastWords{asked: map[string]int{}}
	core.parts.Evidence, core.parts.Tailer = store, tails
	core.config.Targets[0].Gates.Health.MaxRestarts = new(int)
	*core.config.Targets[0].Gates.Health.MaxRestarts = 1000 // Deaths alone fail nobody here.
	step(t, core, "chat/one")
	w.show(core, "chat/one")
	w.edit("chat/one", func(s *observe.Service) {
		s.State, s.Actions, s.Containers[1].Health = observe.StateUpgrading, []string{"rollback"}, "initializing"
	})
	step(t, core, "chat/one")
	id := core.History("chat/one").Rollout.ID
	return core, tails, func() string {
		t.Helper()
		data, err := os.ReadFile(evidence.Path(dir, id))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
}

// The last lines of a container are read when it dies, because Rancher purges it
// long before anybody asks; once, and without secrets.
func TestLastLinesOfTheDeadAreKept(t *testing.T) {
	w := newWorld()
	core, tails, file := recorded(t, w)
	if len(tails.asked) != 0 {
		t.Fatalf("asked for %v while all live", tails.asked)
	}
	edit := func(change func(*observe.Container)) {
		w.edit("chat/one", func(s *observe.Service) { change(&s.Containers[1]) })
		step(t, core, "chat/one")
	}
	core.state("chat/one").alive["1igone"] = alive{observe.Container{ID: "1igone", Name: "gone", Version: "v2"}, true}
	edit(func(c *observe.Container) { c.State = "stopped" })
	edit(func(c *observe.Container) {})
	text := file()
	for want, times := range map[string]int{
		`"why":"it is stopped and was running"`: 1, "panic of 1inew password=***": 1,
		`"why":"it is gone"`: 1, "no such container": 1, "hunter22": 0,
	} {
		if got := strings.Count(text, want); got != times {
			t.Errorf("%q stands %d times in the evidence, want %d", want, got, times)
		}
	}
	edit(func(c *observe.Container) { c.State = "running" })
	edit(func(c *observe.Container) { c.StartCount++ })
	if got := strings.Count(file(), `"why":"it was started again"`); got != 1 {
		t.Errorf("%d restarts in the evidence, want 1", got)
	}
}

// A crash loop does not fill the evidence, nor hold up the looks.
func TestEvidenceOfACrashLoopIsBounded(t *testing.T) {
	w := newWorld()
	core, tails, _ := recorded(t, w)
	core.state("chat/one").dead = deadPerRollout - 1
	for range 4 {
		w.edit("chat/one", func(s *observe.Service) { s.Containers[1].StartCount++ })
		step(t, core, "chat/one")
	}
	if got := tails.asked["1inew"]; got != 1 {
		t.Errorf("read %d times, want once: then the bound is reached", got)
	}
}

// Evidence that cannot be kept changes nothing.
func TestRolloutGoesOnWithoutEvidence(t *testing.T) {
	w := newWorld()
	core, _, _ := recorded(t, w)
	if err := core.parts.Evidence.Close(); err != nil {
		t.Fatal(err)
	}
	core.parts.Evidence.Redact(evidence.NewRedactor())
	step(t, core, "chat/one")
	if core.Last("chat/one").Err != "" {
		t.Errorf("the step failed: %s", core.Last("chat/one").Err)
	}
}
