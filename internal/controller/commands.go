package controller

import (
	"context"
	"fmt"
	"slices"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Verb is what a person may ask for.
type Verb string

const (
	// Approve finishes a rollout with finish: manual once its gates pass.
	Approve Verb = "approve"
	// Finish finishes early, without bake and gates; each container is still
	// proved.
	Finish Verb = "finish"
	// Abort takes the open rollout back.
	Abort Verb = "rollback"
	// Cancel stops an upgrade, or a finish that hangs, where it is.
	Cancel Verb = "cancel"
	// Restore goes back to what ran before the last finish, by a fresh upgrade to
	// the launch configuration that the journal kept.
	Restore Verb = "restore"
	// Pause stops every write but a rollback.
	Pause Verb = "pause"
	// Resume ends a pause, a hold or a stuck rollout.
	Resume Verb = "resume"
	// Retry lets a digest be tried again.
	Retry Verb = "retry"
)

// Command is a person's decision on one target.
type Command struct {
	Verb Verb `json:"verb"`
	// By is who says so.
	By string `json:"by"`
	// Rollout binds approve, finish and rollback to what the person saw; empty
	// means the open one.
	Rollout string `json:"rollout,omitempty"`
	// Digest is what retry is about; empty means what the tag names and the service
	// does not run, or else the one rolled back last. For approve, finish and rollback
	// it binds to what the rollout brings. For restore it is the digest to go back to;
	// empty means the one that ran last.
	Digest string `json:"digest,omitempty"`
	// DespiteBaseline lets retry start although what runs now fails more than is
	// allowed. It is bound to Digest, which must be given.
	DespiteBaseline bool `json:"despiteBaseline,omitempty"`
}

// RefusedError is a command that does not fit what is going on.
type RefusedError struct{ Reason string }

// Error is the reason.
func (e *RefusedError) Error() string { return e.Reason }

func refuse(format string, args ...any) error {
	return &RefusedError{Reason: fmt.Sprintf(format, args...)}
}

// Tell writes a person's decision down and wakes the target. An approval of
// another rollout than the open one is refused (C33).
func (c *Controller) Tell(ctx context.Context, key string, cmd Command) error {
	if t, ok := c.Config().Target(key); ok {
		key = t.Key()
	} else if !slices.Contains(c.Keys(), key) {
		return refuse("no target %q", key)
	}
	if cmd.By == "" {
		return refuse("a command needs the name of who gives it")
	}
	events, err := c.eventsOf(cmd, key)
	if err != nil {
		return err
	}
	for i := range events {
		events[i].At, events[i].By = c.parts.Now(), cmd.By
	}
	if err := c.write(ctx, key, events); err != nil {
		return err
	}
	c.Wake(key)
	return nil
}

// eventsOf are the facts that a command makes.
func (c *Controller) eventsOf(cmd Command, key string) ([]reconcile.Event, error) {
	h := c.History(key)
	if cmd.Verb == Restore {
		return c.restoreOf(cmd, key, h)
	}
	if last := c.Last(key); cmd.Verb == Cancel && last != nil {
		switch s := last.Observed.Service.State; s {
		case observe.StateUpgrading, observe.StateFinishingUpgrade:
		default:
			return nil, refuse("the service is %s: only an upgrade or a finish under way can be cancelled", s)
		}
	}
	if cmd.Verb == Retry && cmd.Digest == "" && !cmd.DespiteBaseline {
		cmd.Digest = heldBack(h, c.Last(key))
	}
	e, err := eventOf(cmd, h)
	if err == nil && cmd.Verb == Approve {
		err = checkApproval(h.Rollout, c.Last(key), c.parts.Now())
	}
	return []reconcile.Event{e}, err
}

func eventOf(cmd Command, h reconcile.History) (reconcile.Event, error) {
	kinds := map[Verb]reconcile.EventKind{
		Approve: reconcile.EventApproved, Finish: reconcile.EventEarlyFinish, Abort: reconcile.EventAbort, Cancel: reconcile.EventCancel,
		Pause: reconcile.EventPaused, Resume: reconcile.EventResumed, Retry: reconcile.EventReleased,
	}
	e := reconcile.Event{Kind: kinds[cmd.Verb]}
	switch cmd.Verb {
	case Approve, Finish, Abort, Cancel:
		if h.Rollout == nil {
			return e, refuse("no rollout is open")
		}
		if cmd.Rollout != "" && cmd.Rollout != h.Rollout.ID {
			return e, refuse("rollout %s is not the open one, %s is", cmd.Rollout, h.Rollout.ID)
		}
		e.Rollout = h.Rollout.ID
		return e, checkDecision(cmd, h.Rollout)
	case Retry:
		return retryOf(e, cmd, h)
	case Pause, Resume:
	default:
		return e, refuse("unknown command %q", cmd.Verb)
	}
	return e, nil
}

// heldBack is what the tag names and the service does not run, as last seen.
func heldBack(h reconcile.History, last *Report) string {
	if h.Rollout != nil || last == nil || h.Baseline != nil && h.Baseline.Digest == last.Observed.Image.Digest {
		return ""
	}
	return last.Observed.Image.Digest
}

// retryOf releases a digest, with the manifest that was condemned beside it.
func retryOf(e reconcile.Event, cmd Command, h reconcile.History) (reconcile.Event, error) {
	digest := cmd.Digest
	if digest == "" {
		if cmd.DespiteBaseline {
			return e, refuse("name the digest that may start although what runs fails")
		}
		if h.Last == nil || h.Last.Outcome == reconcile.Finished {
			return e, refuse("name the digest to try again")
		}
		digest = h.Last.To.Digest
	}
	if r := h.Rollout; r != nil && r.To.Digest == digest {
		return e, refuse("%s is being rolled out; retry is for when that is over", digest)
	}
	e.Digests, e.DespiteBaseline = []string{digest}, cmd.DespiteBaseline
	rollout := h.Quarantine[digest].Rollout
	for d, q := range h.Quarantine {
		if d != digest && rollout != "" && q.Rollout == rollout {
			e.Digests = append(e.Digests, d)
		}
	}
	return e, nil
}
