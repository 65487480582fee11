package controller

import (
	"encoding/json"
	"fmt"
	"slices"

	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// WayBack finds in a journal what a target ran before, with its whole launch
// configuration: what ran last of all that is neither running now nor
// quarantined, or the digest asked for. Rancher forgets its own way back when an
// upgrade is finished.
func WayBack(h reconcile.History, past func(each func(journal.Entry) error) error, key, digest string) (*reconcile.Restoring, error) {
	if h.Baseline == nil || h.Baseline.Digest == "" {
		return nil, refuse("it is not known what runs, so neither is what ran before")
	}
	var back *reconcile.Restoring
	err := past(func(e journal.Entry) error {
		if e.Target != key || e.Type != string(reconcile.EventStarted) {
			return nil
		}
		var event reconcile.Event
		if err := json.Unmarshal(e.Data, &event); err != nil {
			return fmt.Errorf("reading journal line %d: %w", e.Seq, err)
		}
		if r := event.Start; r != nil && isWayBack(r, h, digest) {
			back = &reconcile.Restoring{At: r.Started, To: r.From, Base: r.Previous, BaseSecondary: r.PreviousSecondary}
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case back == nil && digest != "":
		return nil, refuse("the journal keeps no launch configuration of %s that may be gone back to", digest)
	case back == nil:
		return nil, refuse("the journal keeps no launch configuration from before what runs now")
	}
	return back, nil
}

// isWayBack says that what ran before a rollout may be gone back to: of what differs
// from what runs now, in the primary or in a sidekick, nothing is condemned.
func isWayBack(r *reconcile.Rollout, h reconcile.History, digest string) bool {
	changes := r.From.Changes(*h.Baseline)
	isCondemned := func(d string) bool { _, is := h.Quarantine[d]; return is }
	switch {
	case r.From.Digest == "" || len(r.Previous) == 0 || len(changes) == 0 || slices.ContainsFunc(changes, isCondemned):
		return false
	case digest != "":
		return r.From.Digest == digest || slices.Contains(changes, digest)
	}
	return true
}

// WayBack is what a restore command would go back to now, with the time it ran
// last; an empty digest is what ran last of all.
func (c *Core) WayBack(key, digest string) (*reconcile.Restoring, error) {
	h := c.History(key)
	switch {
	case h.Rollout != nil:
		return nil, refuse("rollout %s is open: take that one back", h.Rollout.ID)
	case h.Holding != nil:
		return nil, refuse("the target is held (%s): resume it first", h.Holding.Reason)
	case c.parts.Past == nil:
		return nil, refuse("there is no journal to read the way back from")
	}
	return WayBack(h, c.parts.Past, key, digest)
}

// restoreOf is the way back, and the quarantine of what is left.
func (c *Controller) restoreOf(cmd Command, key string, h reconcile.History) ([]reconcile.Event, error) {
	back, err := c.WayBack(key, cmd.Digest)
	if err != nil {
		return nil, err
	}
	back.By, back.At = cmd.By, c.parts.Now()
	events := []reconcile.Event{{Kind: reconcile.EventRestore, Restoring: back}}
	if left := h.Baseline.Changes(back.To); len(left) > 0 {
		events = append(events, reconcile.Event{
			Kind: reconcile.EventQuarantined, Code: reconcile.CodeAborted, Rollout: h.Baseline.Rollout, Digests: left, Layers: h.Baseline.LayersOf(left),
			Reason: cmd.By + " took it back after its finish",
		})
	}
	return events, nil
}
