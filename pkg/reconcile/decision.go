package reconcile

import (
	"encoding/json"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Input is everything a decision is made from.
type Input struct {
	// Target is the policy in force; see InForce.
	Target   desired.Target
	Observed observe.Snapshot
	History  History
	Memory   Memory
	Now      time.Time
}

// Decision is what to do next, and why.
type Decision struct {
	// Phase is where the target stands.
	Phase Phase `json:"phase"`
	// Code is the reason in one constant word, Reason the same for people.
	Code   Code   `json:"code"`
	Reason string `json:"reason"`
	// Action is the one write to make now.
	Action Action `json:"action"`
	// Plan goes with Upgrade.
	Plan *Plan `json:"plan,omitempty"`
	// Gates are the verdicts of this look, when gates were judged.
	Gates []Finding `json:"gates,omitempty"`
	// Alert says that a person has to look.
	Alert bool `json:"alert,omitempty"`
	// Events are the durable facts of this decision, in order. They are on disk
	// before Action leaves.
	Events []Event `json:"events,omitempty"`
	// BakeStart is since when the bake holds; zero when it does not.
	BakeStart time.Time `json:"bakeStart,omitzero"`
	// Memory goes into the next Input.
	Memory Memory `json:"-"`
	// RequeueAfter is when something is supposed to happen by itself; zero means
	// only a wake changes anything.
	RequeueAfter time.Duration `json:"requeueAfter,omitempty"`
}

// NamesSomebody says that the decision writes down what somebody else did, so that
// it is worth asking who it was.
func (d *Decision) NamesSomebody() bool {
	for i := range d.Events {
		switch e := &d.Events[i]; e.Kind {
		case EventTakenOver, EventHeld:
			return e.Code == CodeForeign || e.Code == CodeForeignCancel || e.Code == CodeForeignRollback
		default:
		}
	}
	return false
}

// Action is a write to Rancher.
type Action string

const (
	// NoAction writes nothing.
	NoAction Action = ""
	// Upgrade posts ?action=upgrade with Plan.
	Upgrade Action = "upgrade"
	// FinishUpgrade posts ?action=finishupgrade: the point of no return.
	FinishUpgrade Action = "finishupgrade"
	// CancelUpgrade posts ?action=cancelupgrade, for a person only.
	CancelUpgrade Action = "cancelupgrade"
	// Rollback posts ?action=rollback.
	Rollback Action = "rollback"
)

// Phase is where a target stands, in the words of the field.
type Phase string

const (
	// Idle has nothing to do.
	Idle Phase = "idle"
	// Settle waits for a new digest to stay the same.
	Settle Phase = "settle"
	// Preflight has a reason not to start yet.
	Preflight Phase = "preflight"
	// Starting has decided to upgrade, and Rancher has not shown it yet.
	Starting Phase = "starting"
	// Upgrading replaces containers batch by batch.
	Upgrading Phase = "upgrading"
	// Proving is upgraded, and not every container is proved yet.
	Proving Phase = "proving"
	// Bake is upgraded, and every gate has to hold.
	Bake Phase = "bake"
	// AwaitApproval is a passed bake that waits for a person.
	AwaitApproval Phase = "await-approval"
	// Committing is finishing the upgrade.
	Committing Phase = "committing"
	// Probation is finished, and the gates keep watching.
	Probation Phase = "probation"
	// RollingBack takes the version back.
	RollingBack Phase = "rolling-back"
	// Verifying is active again after a rollback that is not yet verified.
	Verifying Phase = "verifying"
	// Stuck cannot go on by itself; a person is called.
	Stuck Phase = "stuck"
	// Held observes only.
	Held Phase = "held"
	// Waiting is a passing state of Rancher's own.
	Waiting Phase = "waiting"
	// Blind cannot see the service.
	Blind Phase = "blind"
	// Gone has no service any more.
	Gone Phase = "gone"
)

// Verdict is what a gate says.
type Verdict string

const (
	// Pass is enough good evidence.
	Pass Verdict = "Pass"
	// Fail is evidence that the new version is bad.
	Fail Verdict = "Fail"
	// Hold is evidence that does not tell whose fault it is, or not yet enough.
	Hold Verdict = "Hold"
	// NoData is the absence of evidence.
	NoData Verdict = "NoData"
)

// Plan is an upgrade to make.
type Plan struct {
	Rollout string `json:"rollout"`
	Kind    Kind   `json:"kind"`
	// ExpectVersion is the launch configuration's version the decision was made
	// on; the upgrade is refused when it has changed since.
	ExpectVersion string `json:"expectVersion"`
	// Image is repository@digest for the primary, Sidekicks for the others.
	Image     string            `json:"image"`
	Sidekicks map[string]string `json:"sidekicks,omitempty"`
	// Labels are all io.drover.* labels of the new launch configuration.
	Labels     map[string]string `json:"labels"`
	BatchSize  int               `json:"batchSize"`
	Interval   time.Duration     `json:"interval"`
	StartFirst bool              `json:"startFirst"`
	// Base, when not empty, is the launch configuration to restore instead of the
	// one that runs.
	Base          json.RawMessage `json:"-"`
	BaseSecondary json.RawMessage `json:"-"`
}

// Kind says what a rollout is for.
type Kind string

const (
	// Deploy brings a new digest.
	Deploy Kind = "deploy"
	// Pin replaces a bare tag by the same image's digest.
	Pin Kind = "pin"
	// Restore goes back to a known-good launch configuration after a finish, or to
	// the pinned image when a rollback brought another. It is never rolled back.
	Restore Kind = "restore"
)

// Labels of a launch configuration that Drover wrote.
const (
	LabelRollout  = "io.drover.rollout"
	LabelImage    = "io.drover.image"
	LabelFrom     = "io.drover.from"
	LabelTo       = "io.drover.to"
	LabelStarted  = "io.drover.started"
	LabelDeadline = "io.drover.deadline"
	LabelOwner    = "io.drover.owner"
	LabelPolicy   = "io.drover.policy"
	LabelRevision = "io.drover.revision"
	LabelKind     = "io.drover.kind"
)

// InForce is the policy to decide with: the one the open rollout started with,
// and of the current file only hold, pause, abort and retry (I16).
func InForce(current desired.Target, h History) desired.Target {
	if h.Rollout == nil || h.Rollout.Policy.Service == "" {
		return current
	}
	t := h.Rollout.Policy
	t.Hold, t.Pause, t.Abort, t.Retry = current.Hold, current.Pause, current.Abort, current.Retry
	return t
}
