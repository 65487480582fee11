package reconcile

import (
	"encoding/json"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// History is what is remembered of one target, durably. It is a value: Apply
// returns a new one, and maps and slices in it are never changed in place.
type History struct {
	// Baseline is what runs as far as Drover knows: adopted, or finished. Nil
	// before first sight.
	Baseline *Baseline `json:"baseline,omitempty"`
	// Rollout is the open one; nil when none is.
	Rollout *Rollout `json:"rollout,omitempty"`
	// Last is the one that was closed last.
	Last *Rollout `json:"last,omitempty"`
	// Probation watches the version finished last.
	Probation *Watch `json:"probation,omitempty"`
	// Quarantine holds digests (of tags and of platform manifests) that are not
	// tried again.
	Quarantine map[string]Quarantined `json:"quarantine,omitempty"`
	// Past are digests of the primary that ran before, newest last, at most pastLimit
	// of them: a tag that moves back to one of them is asked about. PastSidekicks are
	// those of the sidekicks, by name: what is old for one part may be new for another
	// that is made from the same repository.
	Past          []string            `json:"past,omitempty"`
	PastSidekicks map[string][]string `json:"pastSidekicks,omitempty"`
	// Released are digests a person asked for by name; they pass quarantine, the
	// regression guard and the back-off once. A later condemnation ends it, and so does
	// the rollback of the pin before it.
	Released []string `json:"released,omitempty"`
	// Retried is the digest that targets.yaml asked to retry when what it began was taken
	// back: it was tried once more.
	Retried string `json:"retried,omitempty"`
	// DespiteBaseline are those of them that may start although what runs now fails
	// more than is allowed: fixes.
	DespiteBaseline []string `json:"despiteBaseline,omitempty"`
	// Rollbacks are the times of this target's rollbacks, newest last.
	Rollbacks []time.Time `json:"rollbacks,omitempty"`
	// Attempts counts upgrades in a row that Rancher refused or never applied.
	Attempts int `json:"attempts,omitempty"`
	// NotBefore is the earliest time of the next start.
	NotBefore time.Time `json:"notBefore,omitzero"`
	// Holding is a durable hold; only resume ends it.
	Holding *Holding `json:"holding,omitempty"`
	// Restoring is the way back that a person asked for after a finish; nil when
	// none was.
	Restoring *Restoring `json:"restoring,omitempty"`
	// PausedBy is who paused the target by command.
	PausedBy string `json:"pausedBy,omitempty"`
	// Status is the last journaled decision: a new line is written when it
	// changes.
	Status Status `json:"status,omitzero"`
}

// Status is where a target stood, in the words of the journal.
type Status struct {
	Phase    Phase  `json:"phase,omitempty"`
	Code     Code   `json:"code,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Verdicts string `json:"verdicts,omitempty"`
	Alert    bool   `json:"alert,omitempty"`
	// Since is when it began.
	Since time.Time `json:"since,omitzero"`
}

// Part is one image of a service: as the launch configuration names it, and what
// it resolves to.
type Part struct {
	// Image is as in the launch configuration, a bare tag or repository@digest.
	Image string `json:"image,omitempty"`
	// Digest, Manifest and Config are as in observe.Image; empty when not known.
	Digest   string `json:"digest,omitempty"`
	Manifest string `json:"manifest,omitempty"`
	Config   string `json:"config,omitempty"`
	// Layers are as in observe.Image; not known in journals of before they were kept.
	Layers observe.Layers `json:"layers,omitzero"`
	// Over is the digest the tag named when something else was adopted: it is not
	// deployed by itself, the next one is.
	Over string `json:"over,omitempty"`
}

// Baseline is what a service runs, primary and sidekicks.
type Baseline struct {
	Part
	Sidekicks map[string]Part `json:"sidekicks,omitempty"`
	// Rollout is the one that brought it; empty when it was adopted.
	Rollout string    `json:"rollout,omitempty"`
	At      time.Time `json:"at,omitzero"`
}

// Rollout is one change of a service, from its start to its end.
type Rollout struct {
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// ServiceID is Rancher's id of the service; empty in journals of before it was
	// kept.
	ServiceID string `json:"serviceId,omitempty"`
	// Tag is the reference people know it by.
	Tag  string   `json:"tag,omitempty"`
	To   Baseline `json:"to"`
	From Baseline `json:"from"`
	// Revision is the source commit of To.
	Revision string `json:"revision,omitempty"`
	// SameLayers are the quarantined digests that have the layers of what it brings.
	SameLayers []string `json:"sameLayers,omitempty"`
	// By is who asked for it when it was a person.
	By string `json:"by,omitempty"`
	// Started and Deadline are absolute and durable (I11).
	Started  time.Time `json:"started"`
	Deadline time.Time `json:"deadline"`
	// Policy is the target as it was at the start (I16).
	Policy desired.Target `json:"policy"`
	// Containers are the ids that ran before.
	Containers []string `json:"containers,omitempty"`
	// Previous and PreviousSecondary are the launch configurations that ran
	// before, in full: the way back after the finish.
	Previous          json.RawMessage `json:"previous,omitempty"`
	PreviousSecondary json.RawMessage `json:"previousSecondary,omitempty"`
	// Confirmed says that Rancher has shown the upgrade.
	Confirmed bool `json:"confirmed,omitempty"`
	// FromVersion and Version are the launch configuration's versions before and,
	// once Rancher has shown it, of the rollout: Rancher makes each once.
	FromVersion string `json:"fromVersion,omitempty"`
	Version     string `json:"version,omitempty"`
	// Scale is how many containers of the primary there were to be at the start.
	Scale int `json:"scale,omitempty"`

	// FinishingAt is when the finish was decided, FinishBy by whom.
	FinishingAt time.Time `json:"finishingAt,omitzero"`
	FinishBy    string    `json:"finishBy,omitempty"`
	// RollingBackAt is when the rollback was decided; Code, Reason and Findings
	// say why, Condemned that the digest is to be quarantined.
	RollingBackAt time.Time `json:"rollingBackAt,omitzero"`
	Code          Code      `json:"code,omitempty"`
	Reason        string    `json:"reason,omitempty"`
	Findings      []Finding `json:"findings,omitempty"`
	Condemned     bool      `json:"condemned,omitempty"`
	// RollbackBy is who asked for it when it was a person.
	RollbackBy string `json:"rollbackBy,omitempty"`
	// StuckAt is when it was given to a person.
	StuckAt time.Time `json:"stuckAt,omitzero"`

	// ApprovedBy, EarlyFinishBy, AbortBy and CancelBy are a person's decisions on
	// this rollout.
	ApprovedBy    string `json:"approvedBy,omitempty"`
	EarlyFinishBy string `json:"earlyFinishBy,omitempty"`
	AbortBy       string `json:"abortBy,omitempty"`
	CancelBy      string `json:"cancelBy,omitempty"`

	// Checks are the checks that were called, in the order of the policy.
	Checks []Check `json:"checks,omitempty"`

	// Outcome and Ended are set when it is closed.
	Outcome Outcome   `json:"outcome,omitempty"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Outcome is how a rollout ended.
type Outcome string

const (
	// Finished brought its digest.
	Finished Outcome = "finished"
	// RolledBack took it back, verified.
	RolledBack Outcome = "rolled-back"
	// NotApplied never reached Rancher.
	NotApplied Outcome = "not-applied"
	// TakenOver was changed by a person or another tool.
	TakenOver Outcome = "taken-over"
)

// Check is one check of a rollout: it is called once, also across restarts.
type Check struct {
	Name string `json:"name"`
	// Started is when it was decided to call it.
	Started time.Time `json:"started"`
	// Ref and URL are where it runs.
	Ref string `json:"ref,omitempty"`
	URL string `json:"url,omitempty"`
	// State is its verdict; running until it has one. Detail is what it said.
	State  observe.CheckState `json:"state"`
	Detail string             `json:"detail,omitempty"`
	// Ended is when the verdict was seen.
	Ended time.Time `json:"ended,omitzero"`
}

// Watch is a probation.
type Watch struct {
	Rollout Rollout   `json:"rollout"`
	Until   time.Time `json:"until"`
}

// Restoring is a launch configuration that was good, and who wants it back.
type Restoring struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
	// To is what ran with it.
	To Baseline `json:"to"`
	// Base and BaseSecondary are the launch configurations in full, as the journal
	// kept them.
	Base          json.RawMessage `json:"base"`
	BaseSecondary json.RawMessage `json:"baseSecondary,omitempty"`
}

// Quarantined says why a digest is not tried again.
type Quarantined struct {
	At      time.Time `json:"at"`
	Rollout string    `json:"rollout,omitempty"`
	Reason  string    `json:"reason"`
	// Layers are those of a tag's digest, to know them again under another one; not
	// known for a platform's manifest, and in journals of before they were kept.
	Layers observe.Layers `json:"layers,omitzero"`
}

// Holding is why a target only observes.
type Holding struct {
	At     time.Time `json:"at"`
	Code   Code      `json:"code"`
	Reason string    `json:"reason"`
}

const (
	pastLimit       = 50
	releasedLimit   = 20
	quarantineLimit = 500
	rollbackWindow  = 24 * time.Hour
)

// RollbacksSince counts this target's rollbacks after t.
func (h *History) RollbacksSince(t time.Time) int {
	n := 0
	for _, at := range h.Rollbacks {
		if at.After(t) {
			n++
		}
	}
	return n
}
