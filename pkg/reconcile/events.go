package reconcile

import (
	"maps"
	"slices"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// EventKind names a durable fact.
type EventKind string

const (
	// EventAdopted takes what runs as the baseline, without touching it.
	EventAdopted EventKind = "adopted"
	// EventStarted is the intent to upgrade, written before the request.
	EventStarted EventKind = "started"
	// EventRecovered is a rollout of ours that Rancher shows and the journal lost.
	EventRecovered EventKind = "recovered"
	// EventConfirmed says that Rancher shows the upgrade.
	EventConfirmed EventKind = "confirmed"
	// EventNotApplied closes a rollout that never reached Rancher.
	EventNotApplied EventKind = "not-applied"
	// EventFinishing is the intent to finish.
	EventFinishing EventKind = "finishing"
	// EventFinished closes a rollout that brought its digest.
	EventFinished EventKind = "finished"
	// EventRollingBack is the intent to roll back.
	EventRollingBack EventKind = "rolling-back"
	// EventRolledBack closes a rollout whose rollback was verified.
	EventRolledBack EventKind = "rolled-back"
	// EventQuarantined condemns digests.
	EventQuarantined EventKind = "quarantined"
	// EventTakenOver closes a rollout that somebody else changed.
	EventTakenOver EventKind = "taken-over"
	// EventStuck gives a rollout to a person.
	EventStuck EventKind = "stuck"
	// EventHeld holds the target until resume.
	EventHeld EventKind = "held"
	// EventProbationOver ends a quiet probation.
	EventProbationOver EventKind = "probation-over"
	// EventCheck is what became of a check: called, running somewhere, over.
	EventCheck EventKind = "check"
	// EventGone says that the service is removed.
	EventGone EventKind = "gone"
	// EventStatus is a change of phase, reason or verdict.
	EventStatus EventKind = "status"

	// EventResumed ends a hold, a pause or a stuck rollout; by a person.
	EventResumed EventKind = "resumed"
	// EventPaused stops writes; by a person.
	EventPaused EventKind = "paused"
	// EventApproved approves a rollout; by a person.
	EventApproved EventKind = "approved"
	// EventApprovalVoid says that the gates turned before an approval came into
	// effect: it was given on what was seen, and that is not so any more.
	EventApprovalVoid EventKind = "approval-void"
	// EventEarlyFinish asks to finish without bake and gates; by a person.
	EventEarlyFinish EventKind = "early-finish"
	// EventAbort asks to take a rollout back; by a person.
	EventAbort EventKind = "abort"
	// EventCancel asks to stop an upgrade, or a finish that hangs, where it is; by
	// a person.
	EventCancel EventKind = "cancel"
	// EventRestore asks to go back to a launch configuration from before the
	// finish; by a person.
	EventRestore EventKind = "restore"
	// EventReleased lets a digest be tried again; by a person.
	EventReleased EventKind = "released"
)

// Event is one durable fact: what History is folded from.
type Event struct {
	Kind EventKind `json:"kind"`
	At   time.Time `json:"at"`
	// Rollout is the id it is about.
	Rollout string `json:"rollout,omitempty"`
	// Start is the whole rollout, of started and recovered.
	Start *Rollout `json:"start,omitempty"`
	// Restoring is of restore.
	Restoring *Restoring `json:"restoring,omitempty"`
	// Baseline is of adopted and finished.
	Baseline *Baseline `json:"baseline,omitempty"`
	// Version is the launch configuration's that Rancher shows, of confirmed and
	// finished.
	Version string `json:"version,omitempty"`
	// Digests are those quarantined or released.
	Digests []string `json:"digests,omitempty"`
	// Layers are of quarantined: those of the digests, where they are known.
	Layers map[string]observe.Layers `json:"layers,omitempty"`
	// DespiteBaseline goes with released: they may start although what runs fails
	// more than is allowed.
	DespiteBaseline bool `json:"despiteBaseline,omitempty"`
	// By is the person or tool that acted; empty means Drover.
	By       string    `json:"by,omitempty"`
	Code     Code      `json:"code,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Findings []Finding `json:"findings,omitempty"`
	// Condemned goes with rolling-back.
	Condemned bool `json:"condemned,omitempty"`
	// Check is of check.
	Check *Check `json:"check,omitempty"`
	// Until is the end of a probation or a back-off.
	Until time.Time `json:"until,omitzero"`
	// Status is of status.
	Status *Status `json:"status,omitempty"`
}

// Apply folds events into the history.
func (h History) Apply(events ...Event) History {
	for _, e := range events {
		h = h.apply(e)
	}
	return h
}

func (h History) apply(e Event) History {
	switch e.Kind {
	case EventAdopted:
		h.Baseline = e.Baseline
	case EventStarted, EventRecovered:
		return h.started(e)
	case EventNotApplied:
		return h.notApplied(e)
	case EventFinished:
		return h.finished(e)
	case EventRolledBack:
		return h.rolledBack(e)
	case EventTakenOver:
		h = h.closed(e, TakenOver)
	case EventQuarantined:
		return h.quarantined(e)
	case EventHeld:
		h.Holding = &Holding{At: e.At, Code: e.Code, Reason: e.Reason}
		h.Restoring = nil
	case EventRestore:
		h.Restoring = e.Restoring
	case EventProbationOver:
		h.Probation = nil
	case EventStatus:
		h.Status = *e.Status
	case EventResumed:
		return h.resumed(e)
	case EventPaused:
		h.PausedBy = e.By
	case EventReleased:
		return h.released(e)
	case EventGone:
		h = h.closed(e, TakenOver)
		h.Baseline, h.Probation, h.Restoring = nil, nil, nil
	case EventConfirmed, EventFinishing, EventRollingBack, EventStuck, EventCheck,
		EventApproved, EventApprovalVoid, EventEarlyFinish, EventAbort, EventCancel:
		return h.progressed(e)
	}
	return h
}

// progressed changes the open rollout; an event about another one is late and
// changes nothing (C33).
func (h History) progressed(e Event) History {
	if h.Rollout == nil || h.Rollout.ID != e.Rollout {
		return h
	}
	r := *h.Rollout
	switch e.Kind {
	case EventConfirmed:
		r.Confirmed, r.Version = true, e.Version
		h.Attempts = 0
	case EventFinishing:
		// A finish that is decided after a cancellation is not cancelled by it.
		r.FinishingAt, r.FinishBy, r.CancelBy = e.At, e.By, ""
	case EventRollingBack:
		r.RollingBackAt, r.RollbackBy = e.At, e.By
		r.Code, r.Reason, r.Findings, r.Condemned = e.Code, e.Reason, e.Findings, e.Condemned
	case EventCheck:
		if e.Check != nil {
			r = r.checked(*e.Check)
		}
	case EventStuck:
		r.StuckAt, r.Code, r.Reason = e.At, e.Code, e.Reason
	case EventApproved:
		r.ApprovedBy = e.By
	case EventApprovalVoid:
		r.ApprovedBy = ""
	case EventEarlyFinish:
		r.EarlyFinishBy = e.By
	case EventAbort:
		r.AbortBy = e.By
	case EventCancel:
		r.CancelBy = e.By
	default:
	}
	h.Rollout = &r
	return h
}

func (h History) started(e Event) History {
	h.Rollout = e.Start
	h.Probation, h.Restoring = nil, nil
	// What a rollback left undone is part of it: it counts once, and its back-off stays.
	isRest := e.Code == CodeRollbackMismatch
	if !isRest {
		h.NotBefore = time.Time{}
	}
	if e.Start == nil {
		return h
	}
	if e.Start.Kind == Restore && !isRest {
		// A way back counts as a rollback: automatic ones are bounded (I7).
		h.Rollbacks = append(recent(h.Rollbacks, e.At), e.At)
	}
	h.Released = slices.DeleteFunc(slices.Clone(h.Released), e.Start.To.names)
	if e.Start.Kind == Deploy { // The image is pinned first, where it is not yet.
		h.DespiteBaseline = slices.DeleteFunc(slices.Clone(h.DespiteBaseline), e.Start.To.names)
	}
	if h.Baseline == nil {
		from := e.Start.From
		h.Baseline = &from
	}
	return h
}

// rolledBack closes a rollout that was taken back. What was asked to be tried once was
// tried, also when no more than the pin before it was: from here on it waits for the
// back-off and counts like any other, or it would go on for ever.
func (h History) rolledBack(e Event) History {
	if r := h.Rollout; r != nil && (e.Rollout == "" || r.ID == e.Rollout) {
		if r.Kind == Pin {
			h.Released = nil
		}
		if retry := r.Policy.Retry; retry != "" && (r.Kind == Pin || r.To.names(retry)) {
			h.Retried = retry
		}
	}
	h = h.closed(e, RolledBack)
	h.Rollbacks = append(recent(h.Rollbacks, e.At), e.At)
	h.NotBefore = e.Until
	return h
}

// closed moves the open rollout to Last.
func (h History) closed(e Event, outcome Outcome) History {
	if h.Rollout == nil || (e.Rollout != "" && h.Rollout.ID != e.Rollout) {
		return h
	}
	r := *h.Rollout
	r.Outcome, r.Ended = outcome, e.At
	// The way back is only needed while the version is on probation.
	r.Previous, r.PreviousSecondary = nil, nil
	h.Rollout, h.Last = nil, &r
	return h
}

// notApplied counts attempts of the same digest; one that Rancher refused for good
// is not tried again by itself.
func (h History) notApplied(e Event) History {
	if h.Last != nil && h.Rollout != nil && len(h.Rollout.To.Changes(h.Last.To)) > 0 {
		h.Attempts = 0
	}
	if h.Rollout != nil {
		r := *h.Rollout
		r.Code, r.Reason = e.Code, e.Reason
		h.Rollout = &r
	}
	h = h.closed(e, NotApplied)
	if e.Code != CodeNotAllowed {
		h.Attempts++ // A key that may not today may tomorrow, with the same digest.
	}
	if e.Code == CodeGaveUp {
		h.Attempts = max(h.Attempts, attemptLimit)
	}
	h.NotBefore = e.Until
	return h
}

func (h History) finished(e Event) History {
	if h.Rollout == nil {
		return h
	}
	watched := *h.Rollout
	watched.FinishBy = e.By
	if e.Version != "" {
		watched.Version = e.Version
	}
	h = h.passed(h.Rollout)
	h = h.closed(e, Finished)
	h.Last.FinishBy, h.Last.Version = e.By, watched.Version
	h.Baseline = e.Baseline
	h.Probation = nil
	if e.Until.After(e.At) {
		watched.Outcome, watched.Ended = Finished, e.At
		h.Probation = &Watch{Rollout: watched, Until: e.Until}
	}
	return h
}

// passed remembers what a rollout replaced.
func (h History) passed(r *Rollout) History {
	h.Past = past(h.Past, r.From.Part, r.To.Part)
	for name, to := range r.To.Sidekicks {
		before := h.PastSidekicks[name]
		if after := past(before, r.From.Sidekicks[name], to); len(after) > 0 {
			h.PastSidekicks = maps.Clone(h.PastSidekicks)
			if h.PastSidekicks == nil {
				h.PastSidekicks = map[string][]string{}
			}
			h.PastSidekicks[name] = after
		}
	}
	return h
}

func past(list []string, from, to Part) []string {
	if from.Digest == "" || from.Digest == to.Digest {
		return list
	}
	return append(tail(list, pastLimit-1), from.Digest)
}

func (h History) quarantined(e Event) History {
	q := make(map[string]Quarantined, len(h.Quarantine)+len(e.Digests))
	for d, v := range h.Quarantine {
		q[d] = v
	}
	for _, d := range e.Digests {
		q[d] = Quarantined{At: e.At, Rollout: e.Rollout, Reason: e.Reason, Layers: e.Layers[d]}
	}
	for len(q) > quarantineLimit {
		delete(q, oldest(q))
	}
	h.Quarantine = q
	for _, r := range []*Rollout{h.Rollout, h.Last} { // Of probation it is the last one.
		if r != nil && slices.Contains(e.Digests, r.Policy.Retry) {
			h.Retried = r.Policy.Retry
		}
	}
	// Whoever asked for the digest did not know of this yet.
	h.Released = slices.DeleteFunc(slices.Clone(h.Released), func(d string) bool { return slices.Contains(e.Digests, d) })
	return h
}

func oldest(q map[string]Quarantined) string {
	found := ""
	for d, v := range q {
		if found == "" || v.At.Before(q[found].At) || (v.At.Equal(q[found].At) && d < found) {
			found = d
		}
	}
	return found
}

// resumed gives the target back to Drover: what runs now is looked at as if for
// the first time.
func (h History) resumed(e Event) History {
	h.PausedBy = ""
	if h.Holding == nil && (h.Rollout == nil || h.Rollout.StuckAt.IsZero()) {
		return h
	}
	h.Holding = nil
	h.Attempts = 0
	h = h.closed(e, TakenOver)
	h.Baseline, h.Probation = nil, nil
	return h
}

func (h History) released(e Event) History {
	q := make(map[string]Quarantined, len(h.Quarantine))
	for d, v := range h.Quarantine {
		if !slices.Contains(e.Digests, d) {
			q[d] = v
		}
	}
	h.Quarantine = q
	h.Released = append(tail(h.Released, releasedLimit-len(e.Digests)), e.Digests...)
	if e.DespiteBaseline {
		h.DespiteBaseline = append(tail(h.DespiteBaseline, releasedLimit-len(e.Digests)), e.Digests...)
	}
	h.NotBefore = time.Time{}
	h.Attempts = 0
	return h
}

// Parts are the primary and the sidekicks by their names' order; none when nothing is
// known.
func (b *Baseline) Parts() []Part {
	if b == nil {
		return nil
	}
	parts := []Part{b.Part}
	for _, name := range slices.Sorted(maps.Keys(b.Sidekicks)) {
		parts = append(parts, b.Sidekicks[name])
	}
	return parts
}

// Changes are the digests, of tags and of platform manifests, by which a baseline
// differs from another: of the primary, and of the sidekicks that it has.
func (b Baseline) Changes(from Baseline) []string {
	digests := b.changes(from.Part)
	for _, name := range slices.Sorted(maps.Keys(b.Sidekicks)) {
		digests = append(digests, b.Sidekicks[name].changes(from.Sidekicks[name])...)
	}
	return digests
}

func (p Part) changes(from Part) []string {
	if p.Digest == from.Digest || p.Digest == "" {
		return nil
	}
	if p.Manifest == "" || p.Manifest == p.Digest || p.Manifest == from.Manifest {
		return []string{p.Digest}
	}
	return []string{p.Digest, p.Manifest}
}

// names says whether digest is one of the baseline's.
func (b Baseline) names(digest string) bool {
	if digest == "" {
		return false
	}
	if b.Part.names(digest) {
		return true
	}
	for _, s := range b.Sidekicks {
		if s.names(digest) {
			return true
		}
	}
	return false
}

func (p Part) names(digest string) bool {
	return digest != "" && (p.Digest == digest || p.Manifest == digest)
}

func tail[T any](s []T, n int) []T {
	n = max(n, 0)
	return slices.Clone(s[max(0, len(s)-n):])
}

func recent(times []time.Time, now time.Time) []time.Time {
	var kept []time.Time
	for _, t := range times {
		if now.Sub(t) < rollbackWindow {
			kept = append(kept, t)
		}
	}
	return kept
}
