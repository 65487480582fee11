package controller

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// ran is a baseline with the digest of one letter.
func ran(letter string) reconcile.Baseline {
	return reconcile.Baseline{Part: reconcile.Part{Image: "r.example/a@" + letter, Digest: letter}}
}

// startedFrom is the journal's line of a rollout, with what ran before it.
func startedFrom(key, from, to string) journal.Entry {
	r := reconcile.Rollout{ID: from + to, From: ran(from), To: ran(to), Previous: json.RawMessage(`{"was":"` + from + `"}`)}
	data, err := json.Marshal(reconcile.Event{Kind: reconcile.EventStarted, Start: &r})
	if err != nil {
		panic(err) // It is made of texts.
	}
	return journal.Entry{Target: key, Type: string(reconcile.EventStarted), Data: data}
}

func TestWayBack(t *testing.T) {
	entries := []journal.Entry{
		startedFrom("chat/one", "a", "b"), startedFrom("chat/two", "x", "y"), startedFrom("chat/one", "b", "c"),
		{Target: "chat/one", Type: TypeAnswer, Data: json.RawMessage(`{}`)},
		startedFrom("chat/one", "c", "d"),
	}
	past := func(each func(journal.Entry) error) error {
		for _, e := range entries {
			if err := each(e); err != nil {
				return err
			}
		}
		return nil
	}
	now := func(letter string) *reconcile.Baseline { b := ran(letter); return &b }
	for _, tt := range []struct {
		name   string
		h      reconcile.History
		digest string
		want   string // What is gone back to; empty is refused.
	}{
		{"what ran last", reconcile.History{Baseline: now("d")}, "", "c"},
		{"one further, because the last is quarantined", reconcile.History{Baseline: now("d"), Quarantine: map[string]reconcile.Quarantined{"c": {}}}, "", "b"},
		{"not to what runs already", reconcile.History{Baseline: now("c")}, "", "b"},
		{"by name", reconcile.History{Baseline: now("d")}, "a", "a"},
		{"by name, quarantined", reconcile.History{Baseline: now("d"), Quarantine: map[string]reconcile.Quarantined{"a": {}}}, "a", ""},
		{"by name, of another target", reconcile.History{Baseline: now("d")}, "x", ""},
		{"nothing known to run", reconcile.History{}, "", ""},
	} {
		back, err := WayBack(tt.h, past, "chat/one", tt.digest)
		var refused *RefusedError
		switch {
		case tt.want == "":
			if !errors.As(err, &refused) {
				t.Errorf("%s: WayBack() = %+v, %v, want it refused", tt.name, back, err)
			}
		case err != nil || back.To.Digest != tt.want || string(back.Base) != `{"was":"`+tt.want+`"}`:
			t.Errorf("%s: WayBack() = %+v, %v, want %s", tt.name, back, err, tt.want)
		}
	}
	broken := func(each func(journal.Entry) error) error {
		return each(journal.Entry{Seq: 7, Target: "chat/one", Type: "started", Data: json.RawMessage(`[`)})
	}
	if _, err := WayBack(reconcile.History{Baseline: now("d")}, broken, "chat/one", ""); err == nil {
		t.Error("a line that cannot be read gives a way back")
	}
}

// TestWayBackOfASidekick: rollouts of which only a sidekick was changed are ways back
// as well, and what is left of it is what is condemned.
func TestWayBackOfASidekick(t *testing.T) {
	with := func(primary, side string) reconcile.Baseline {
		b := ran(primary)
		b.Sidekicks = map[string]reconcile.Part{"logger": {Image: "r.example/l@" + side, Digest: side}}
		return b
	}
	rollouts := []reconcile.Rollout{{From: with("a", "1"), To: with("b", "1")}, {From: with("b", "1"), To: with("b", "2")}}
	past := func(each func(journal.Entry) error) error {
		for i := range rollouts {
			rollouts[i].Previous = json.RawMessage(`{}`)
			data, err := json.Marshal(reconcile.Event{Kind: reconcile.EventStarted, Start: &rollouts[i]})
			if err = errors.Join(err, each(journal.Entry{Target: "chat/one", Type: "started", Data: data})); err != nil {
				return err
			}
		}
		return nil
	}
	now := with("b", "2")
	for _, tt := range []struct {
		name, digest string
		quarantined  []string
		want, left   []string // The digests gone back to and condemned; none is refused.
	}{
		{"the sidekick alone", "", nil, []string{"b", "1"}, []string{"2"}},
		{"by the sidekick's digest", "1", nil, []string{"b", "1"}, []string{"2"}},
		{"by the primary's", "a", nil, []string{"a", "1"}, []string{"b", "2"}},
		{"the sidekick is quarantined", "", []string{"1"}, nil, nil},
	} {
		h := reconcile.History{Baseline: &now, Quarantine: map[string]reconcile.Quarantined{}}
		for _, d := range tt.quarantined {
			h.Quarantine[d] = reconcile.Quarantined{}
		}
		back, err := WayBack(h, past, "chat/one", tt.digest)
		if tt.want == nil {
			if err == nil {
				t.Errorf("%s: goes back to %+v", tt.name, back.To)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := []string{back.To.Digest, back.To.Sidekicks["logger"].Digest}
		if left := now.Changes(back.To); !slices.Equal(got, tt.want) || !slices.Equal(left, tt.left) {
			t.Errorf("%s: goes back to %q and leaves %q, want %q and %q", tt.name, got, left, tt.want, tt.left)
		}
	}
}

// TestRestoreIsAFreshUpgrade: a finished version is taken back by a person: the
// intent is written, the digest left is quarantined, and the upgrade is made from
// the launch configuration that the journal kept.
func TestRestoreIsAFreshUpgrade(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	core.parts.Past = func(each func(journal.Entry) error) error {
		b := reconcile.Baseline{Part: reconcile.Part{Image: imageB, Digest: imageOf(imageB).Digest}}
		r := reconcile.Rollout{ID: "one-1", From: b, Previous: json.RawMessage(`{"imageUuid":"docker:` + imageB + `"}`)}
		data, err := json.Marshal(reconcile.Event{Kind: reconcile.EventStarted, Start: &r})
		return errors.Join(err, each(journal.Entry{Target: "chat/one", Type: "started", Data: data}))
	}
	w.mu.Lock()
	w.image = imageOf(imageA) // The tag names what runs.
	w.mu.Unlock()
	c := New(core, nil)
	if err := c.Tell(t.Context(), "chat/one", Command{Verb: Restore, By: "mei"}); err != nil {
		t.Fatal(err)
	}
	step(t, core, "chat/one")
	want := []string{"append restore", "append quarantined", "append started", "append status", "upgrade 1sone", "append answer"}
	if got := w.history(); !slices.Equal(got, want) {
		t.Errorf("effects = %q, want %q", got, want)
	}
	h := core.History("chat/one")
	if r := h.Rollout; r == nil || r.Kind != reconcile.Restore || r.To.Image != imageB || r.By != "mei" || h.Restoring != nil {
		t.Errorf("open rollout = %+v, restoring %v; want mei's way back to %s", r, h.Restoring, imageB)
	}
	if q, is := h.Quarantine[imageOf(imageA).Digest]; !is || q.Reason != "mei took it back after its finish" || q.Layers != imageOf(imageA).Layers {
		t.Errorf("quarantine = %v, want what was left, with its layers %s", h.Quarantine, imageOf(imageA).Layers)
	}
	if err := c.Tell(t.Context(), "chat/one", Command{Verb: Restore, By: "mei"}); err == nil {
		t.Error("a second restore beside an open rollout is not refused")
	}
}

// TestCancelIsSentForAPerson: written down first, sent once, and only while
// Rancher has something to cancel.
func TestCancelIsSentForAPerson(t *testing.T) {
	w := newWorld()
	core := adopted(t, w)
	c := New(core, nil)
	cancel := Command{Verb: Cancel, By: "mei"}
	if err := c.Tell(t.Context(), "chat/one", cancel); err == nil {
		t.Error("a cancellation of nothing is not refused")
	}
	step(t, core, "chat/one")
	w.show(core, "chat/one")
	w.edit("chat/one", func(s *observe.Service) {
		s.State, s.Actions = observe.StateUpgrading, []string{"cancelupgrade", "rollback"}
	})
	step(t, core, "chat/one")
	if err := c.Tell(t.Context(), "chat/one", cancel); err != nil {
		t.Fatal(err)
	}
	step(t, core, "chat/one")
	w.edit("chat/one", func(s *observe.Service) { s.State, s.Actions = observe.StateCanceledUpgrade, []string{"rollback"} })
	step(t, core, "chat/one")
	step(t, core, "chat/one")
	did, sent := w.history(), 0
	for _, d := range did {
		if d == "cancelupgrade 1sone" {
			sent++
		}
	}
	if at := slices.Index(did, "append cancel"); sent != 1 || at < 0 || at > slices.Index(did, "cancelupgrade 1sone") {
		t.Errorf("effects = %q, want the cancellation written, then sent once", did)
	}
	if d := core.Last("chat/one").Decision; d.Code != reconcile.CodeCanceled || !d.Alert {
		t.Errorf("decision = %s (%s), want %s with an alert", d.Code, d.Reason, reconcile.CodeCanceled)
	}
	if h := core.History("chat/one"); h.Rollout == nil || h.Rollout.CancelBy != "mei" || time.Since(h.Status.Since) > time.Minute {
		t.Errorf("rollout = %+v, want it open, cancelled by mei", h.Rollout)
	}
}
