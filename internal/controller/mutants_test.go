package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestEvidenceHasEachFactOnce: what a person said between two looks is before the next
// one, what a look found is its own, and neither is told again.
func TestEvidenceHasEachFactOnce(t *testing.T) {
	w := newWorld()
	core, _, file := recorded(t, w)
	c := New(core, nil)
	if err := c.Tell(t.Context(), "chat/one", Command{Verb: Pause, By: "mei"}); err != nil {
		t.Fatal(err)
	}
	w.edit("chat/one", func(s *observe.Service) { s.State, s.Containers[1].Health = observe.StateUpgraded, "healthy" })
	for range 3 {
		step(t, core, "chat/one")
		w.edit("chat/one", func(s *observe.Service) { s.CreateIndex++ }) // News, so that it is kept.
	}
	text := file()
	for want, times := range map[string]int{`"before":[{"kind":"paused"`: 1, `"kind":"paused"`: 1, `"kind":"confirmed"`: 1} {
		if got := strings.Count(text, want); got != times {
			t.Errorf("%s stands %d times in the evidence, want %d", want, got, times)
		}
	}
}

// failing is a journal of which one append fails, and which works again by itself.
type failing struct {
	*world
	err error
}

func (f *failing) AppendContext(ctx context.Context, entries ...journal.Entry) error {
	if f.err != nil {
		return f.err
	}
	return f.world.AppendContext(ctx, entries...)
}

// TestOneFailedAppendIsKnown: until the next one works nothing starts.
func TestOneFailedAppendIsKnown(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	j := &failing{world: w, err: errors.New("no space left on device")}
	core.parts.Journal = j
	if _, err := core.Step(t.Context(), "chat/one"); err == nil {
		t.Error("a start that could not be written down gave no error")
	}
	isDurable := func() bool {
		t, _ := core.Config().Target("chat/one")
		return !core.fleet("chat/one", t, observe.Wants{Fresh: true}).NotDurable
	}
	if isDurable() {
		t.Error("after an append that failed a start may follow")
	}
	j.err = nil
	step(t, core, "chat/one")
	if !isDurable() {
		t.Error("the journal works again, and nothing may start")
	}
	step(t, core, "chat/one")
	if !slices.Contains(w.history(), "upgrade 1sone") {
		t.Errorf("effects = %q, want the start", w.history())
	}
}
