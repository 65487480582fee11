package controller

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
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

// broken is a journal that fails until it is opened again.
type broken struct {
	*world
	isBroken, isFull bool
}

func (b *broken) AppendContext(ctx context.Context, entries ...journal.Entry) error {
	if b.isFull {
		b.isBroken = true
		return errors.New("no space left on device")
	}
	return b.world.AppendContext(ctx, entries...)
}

func (b *broken) Failed() error {
	if b.isBroken {
		return errors.New("an append failed")
	}
	return nil
}

func (b *broken) Reopen() error {
	if b.isFull {
		return errors.New("no space left on device")
	}
	b.isBroken = false
	return nil
}

// TestJournalIsOpenedAgainByItself: nothing starts meanwhile, so no start finds out that
// there is room again.
func TestJournalIsOpenedAgainByItself(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	j := &broken{world: w, isFull: true}
	core.parts.Journal = j
	_, _ = core.Step(t.Context(), "chat/one") // It fails.
	_, _ = core.Step(t.Context(), "chat/one")
	if slices.Contains(w.history(), "upgrade 1sone") {
		t.Fatal("started without a journal")
	}
	j.isFull = false
	for range 3 {
		_, _ = core.Step(t.Context(), "chat/one")
	}
	if j.isBroken || !slices.Contains(w.history(), "upgrade 1sone") {
		t.Errorf("effects = %q, broken: %t; want the start when there is room", w.history(), j.isBroken)
	}
}

// TestFinishNeedsTheJournal: what cannot be undone is not done when it cannot be
// written down.
func TestFinishNeedsTheJournal(t *testing.T) {
	for isBroken, want := range map[bool]bool{false: true, true: false} {
		w := newWorld()
		core := adopted(t, w)
		step(t, core, "chat/one")
		w.show(core, "chat/one")
		step(t, core, "chat/one")
		seen, _, err := core.Look(t.Context(), "chat/one", reconcile.Memory{})
		if err != nil {
			t.Fatal(err)
		}
		if isBroken {
			core.parts.Journal = &failing{world: w, err: errors.New("no space left on device")}
		}
		d := reconcile.Decision{Action: reconcile.FinishUpgrade, Events: []reconcile.Event{{Kind: reconcile.EventFinishing, Rollout: core.History("chat/one").Rollout.ID}}}
		err = core.commit(t.Context(), "chat/one", seen, &d)
		if got := slices.Contains(w.history(), "finishupgrade 1sone"); got != want || (err != nil) != isBroken {
			t.Errorf("journal broken %t: finished %t, %v", isBroken, got, err)
		}
	}
}

// TestWayBackThatIsRefused: an automatic one holds the target, a person's does not:
// the person is there.
func TestWayBackThatIsRefused(t *testing.T) {
	refusal := &rancher.Error{Op: "upgrading", Status: http.StatusUnprocessableEntity, Code: "InvalidOption"}
	d := reconcile.Decision{Plan: &reconcile.Plan{Rollout: "r1", Kind: reconcile.Restore}}
	for isAsked, want := range map[bool]bool{false: true, true: false} {
		core := adopted(t, newWorld())
		if isAsked {
			core.state("chat/one").apply([]reconcile.Event{{Kind: reconcile.EventRestore, Restoring: &reconcile.Restoring{By: "mei"}}})
		}
		events := core.refused("chat/one", &d, refusal)
		holds := slices.ContainsFunc(events, func(e reconcile.Event) bool { return e.Kind == reconcile.EventHeld })
		if holds != want || events[0].Kind != reconcile.EventNotApplied {
			t.Errorf("asked by a person %t: %+v", isAsked, events)
		}
	}
}

// rereading shows another service at the second reading of a look.
type rereading struct {
	*world
	fresh  int
	second func(*observe.Service)
}

func (r *rereading) Service(ctx context.Context, stack, service string, fresh bool) observe.Service {
	s := r.world.Service(ctx, stack, service, fresh)
	if fresh {
		if r.fresh++; r.fresh == 2 {
			r.second(&s)
		}
	}
	return s
}

// TestRollbackTakesTwoReadings: what cannot be undone is not decided on one picture
// (A12).
func TestRollbackTakesTwoReadings(t *testing.T) {
	for isSick, want := range map[bool]reconcile.Action{true: reconcile.Rollback, false: reconcile.NoAction} {
		w := newWorld()
		core := adopted(t, w)
		step(t, core, "chat/one")
		w.show(core, "chat/one")
		step(t, core, "chat/one")
		w.edit("chat/one", func(s *observe.Service) {
			s.Containers = slices.Clone(s.Containers)
			s.Containers[1].Health = "unhealthy"
		})
		core.parts.Observer.Services = &rereading{world: w, second: func(s *observe.Service) {
			if !isSick {
				s.Containers = slices.Clone(s.Containers)
				s.Containers[1].Health = "healthy"
			}
		}}
		_, m := core.state("chat/one").snapshot()
		_, d, err := core.Look(t.Context(), "chat/one", m)
		if err != nil || d.Action != want {
			t.Errorf("sick at the second reading %t: %q (%s), %v; want %q", isSick, d.Action, d.Reason, err, want)
		}
	}
}

// TestFleetCountsTheLastHour: the rollbacks of all targets, a target's own among them.
func TestFleetCountsTheLastHour(t *testing.T) {
	core := adopted(t, newWorld())
	now := time.Now()
	core.parts.Now = func() time.Time { return now }
	rolledBack := func(key string, ago time.Duration) {
		core.state(key).apply([]reconcile.Event{
			{Kind: reconcile.EventStarted, Start: &reconcile.Rollout{ID: "r"}},
			{Kind: reconcile.EventRolledBack, Rollout: "r", At: now.Add(-ago)},
		})
	}
	target, _ := core.Config().Target("chat/one")
	count := func() int { return core.fleet("chat/one", target, observe.Wants{Fresh: true}).RollbacksLastHour }
	rolledBack("chat/one", 90*time.Minute)
	rolledBack("chat/two", 61*time.Minute)
	if got := count(); got != 0 {
		t.Errorf("%d rollbacks in the last hour, want none", got)
	}
	rolledBack("chat/one", 59*time.Minute)
	if got := count(); got != 1 {
		t.Errorf("%d rollbacks in the last hour, want its own", got)
	}
	rolledBack("chat/two", time.Minute)
	if got := count(); got != 2 {
		t.Errorf("%d rollbacks in the last hour, want both", got)
	}
}

// TestEvidenceOfARollbackIsKeptOnce, however often the rollback is sent.
func TestEvidenceOfARollbackIsKeptOnce(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	step(t, core, "chat/one")
	w.show(core, "chat/one")
	step(t, core, "chat/one")
	w.edit("chat/one", func(s *observe.Service) { s.Containers[1].Health = "unhealthy" })
	for range 8 {
		step(t, core, "chat/one") // Rancher never shows it.
	}
	sent, kept := 0, 0
	for _, did := range w.history() {
		switch did {
		case "rollback 1sone":
			sent++
		case "append evidence":
			kept++
		}
	}
	if sent < 2 || kept != 1 {
		t.Errorf("the rollback was sent %d times and its evidence kept %d times: %q", sent, kept, w.history())
	}
}

// TestTargetThatLeftTheFileIsFollowed while its rollout is open, and not after.
func TestTargetThatLeftTheFileIsFollowed(t *testing.T) {
	core := adopted(t, newWorld())
	step(t, core, "chat/one")
	smaller := *core.Config()
	smaller.Targets = slices.Clone(smaller.Targets[1:])
	keys := func() (all []string) {
		for _, target := range core.followed(&smaller).Targets {
			all = append(all, target.Key())
		}
		return all
	}
	core.Configure(&smaller)
	if got := keys(); !slices.Equal(got, []string{"chat/two", "chat/one"}) {
		t.Errorf("followed are %q, want the open one too", got)
	}
	core.state("chat/one").apply([]reconcile.Event{{Kind: reconcile.EventFinished, Rollout: core.History("chat/one").Rollout.ID}})
	if got := keys(); !slices.Equal(got, []string{"chat/two"}) {
		t.Errorf("followed are %q, want the file's", got)
	}
}

// sidekicked prepares upgrades of a service with a sidekick.
type sidekicked struct{ *world }

func (s *sidekicked) PrepareUpgrade(ctx context.Context, spec rancher.UpgradeSpec) (*rancher.Prepared, error) {
	p, err := s.world.PrepareUpgrade(ctx, spec)
	p.PreviousSecondary = []byte(`[{"name":"log"}]`)
	return p, err
}

// TestWayBackHasTheSidekicks: a rollout keeps their launch configurations as well.
func TestWayBackHasTheSidekicks(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	core.parts.Rancher = &sidekicked{w}
	step(t, core, "chat/one")
	if r := core.History("chat/one").Rollout; r == nil || string(r.PreviousSecondary) != `[{"name":"log"}]` || !json.Valid(r.Previous) {
		t.Errorf("the rollout keeps %+v", r)
	}
}

// TestPanicForgetsWhatTheGatesRemember: perhaps that is what no step survives.
func TestPanicForgetsWhatTheGatesRemember(t *testing.T) {
	core := adopted(t, newWorld())
	step(t, core, "chat/one")
	zero, err := json.Marshal(&reconcile.Memory{})
	if err != nil {
		t.Fatal(err)
	}
	remembered := func() string {
		_, m := core.state("chat/one").snapshot()
		text, err := json.Marshal(&m)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if remembered() == string(zero) {
		t.Fatal("nothing is remembered: the test proves nothing")
	}
	if err := core.holdAfterPanic(t.Context(), "chat/one", "index out of range"); err != nil {
		t.Fatal(err)
	}
	if got := remembered(); got != string(zero) || core.History("chat/one").Holding == nil {
		t.Errorf("remembered is %s, held %+v", got, core.History("chat/one").Holding)
	}
}

// TestFailedStepsBackOff, but for a rollout under way, which is looked at in its own
// rhythm.
func TestFailedStepsBackOff(t *testing.T) {
	for isOpen, want := range map[bool]int{false: 1, true: 0} {
		w := newWorld()
		core := adopted(t, w)
		if isOpen {
			step(t, core, "chat/one")
			w.show(core, "chat/one")
			step(t, core, "chat/one")
			w.edit("chat/one", func(s *observe.Service) { s.Containers[1].Health = "initializing" })
		}
		core.parts.Journal = &failing{world: w, err: errors.New("no space left on device")}
		c := New(core, nil)
		c.step(t.Context(), "chat/one")
		if got := c.queue.NumRequeues("chat/one"); got != want || core.Last("chat/one").Err == "" {
			t.Errorf("open %t: %d failures are counted, want %d; it said %q", isOpen, got, want, core.Last("chat/one").Err)
		}
	}
}
