package controller

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// TestC18PanicInOneTargetHoldsIt: a bug that ends a step ends neither the daemon nor
// the other targets. The target is held, durably, and a person is called; a rollout
// under way stays as it is.
func TestC18PanicInOneTargetHoldsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		core := adopted(t, w)
		step(t, core, "chat/one") // Its rollout begins.
		open := core.History("chat/one").Rollout
		w.show(core, "chat/one")
		w.setPanics("chat/one")
		c := New(core, nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		time.Sleep(10 * time.Minute) // Time enough for a bake and more.

		wantHeldAfterPanic(t, core, open)
		held := 0
		for _, did := range w.history() {
			if did == "append held" {
				held++
			}
		}
		if held != 1 {
			t.Errorf("the hold was written %d times, want once: %q", held, w.history())
		}
		if last := core.Last("chat/two"); last == nil || core.parts.Now().Sub(last.At) > 10*time.Minute || last.Decision.Code != reconcile.CodeBudget {
			t.Errorf("the other target's last report is %+v, want that it is looked at and waits for the budget", last)
		}

		w.setPanics("") // The bug is gone, as after a new build: it stays held.
		c.Wake("chat/one")
		time.Sleep(time.Minute)
		wantHeldAfterPanic(t, core, open)
		if slices.Contains(w.history(), "rollback 1sone") || slices.Contains(w.history(), "finishupgrade 1sone") {
			t.Errorf("a held target was acted upon: %q", w.history())
		}

		if err := c.Tell(ctx, "chat/one", Command{Verb: Resume, By: "mei"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if h := core.History("chat/one"); h.Rollout != nil || h.Last == nil || h.Last.Outcome != reconcile.TakenOver {
			t.Errorf("after resume: rollout %v, last %+v; want that it was given to the person", h.Rollout, h.Last)
		}
		if !slices.Contains(w.history(), "upgrade 1stwo") {
			t.Errorf("the other target did not get its turn: %q", w.history())
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func (w *world) setPanics(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.panics = key
}

func wantHeldAfterPanic(t *testing.T, core *Core, open *reconcile.Rollout) {
	t.Helper()
	h := core.History("chat/one")
	if h.Holding == nil || h.Holding.Code != reconcile.CodePanicked || !strings.Contains(h.Holding.Reason, "index out of range") {
		t.Fatalf("holding = %+v, want it held because of the panic", h.Holding)
	}
	if h.Rollout == nil || h.Rollout.ID != open.ID {
		t.Errorf("rollout = %+v, want %s as it was", h.Rollout, open.ID)
	}
	d := core.Last("chat/one").Decision
	if d.Phase != reconcile.Held || d.Code != reconcile.CodePanicked || !d.Alert {
		t.Errorf("%s %s, alert %t (%s); want held and a person called", d.Phase, d.Code, d.Alert, d.Reason)
	}
	if st := h.Status; st.Phase != reconcile.Held || st.Code != reconcile.CodePanicked || !st.Alert {
		t.Errorf("status = %+v, want that `drover status` shows the hold", st)
	}
}

// TestPanicThatCannotBeToldEndsNothing: the journal panics as well.
func TestPanicThatCannotBeToldEndsNothing(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	core.parts.Journal = nil // Any append panics.
	c := New(core, nil)
	w.setPanics("chat/one")
	if _, err := c.safely(t.Context(), "chat/one"); err == nil || !strings.Contains(err.Error(), "panic while stepping chat/one") {
		t.Errorf("error = %v, want the panic", err)
	}
}
