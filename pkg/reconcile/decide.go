package reconcile

import (
	"cmp"
	"fmt"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Decide says what to do next. It is pure: the same input gives the same
// decision (I14).
func Decide(in Input) Decision {
	l := look{in: in, mem: in.Memory, r: in.History.Rollout}
	l.begin()
	s := l.decide()
	if s.Action != NoAction && l.mustObserve() {
		s = l.observeOnly(s)
	}
	return l.close(s)
}

const (
	// patience is how long a state of Rancher's own may last before a person is
	// told.
	patience = 10 * time.Minute
	// settleMixed is how long containers of several versions may run side by side
	// in active: Rancher reconciles within seconds.
	settleMixed = 2 * time.Minute
	// goneAfter is how long a service must be missing to be gone (A3).
	goneAfter = time.Minute
	// proofLooks is how many looks must agree that a write had no effect.
	proofLooks = 2
	// forbiddenPause is how long Drover waits before it asks again for what the key
	// may not do (A2).
	forbiddenPause = 5 * time.Minute
	// again is the pause before something that only others can change is looked at
	// again.
	again = 15 * time.Second
	// reminder is how often a held target says so.
	reminder = time.Hour
)

// decide is the one switch over Rancher's states: every transition begins here.
func (l *look) decide() step {
	if l.svc().Problem != nil {
		return l.unreadable()
	}
	if p := l.svc().ContainersProblem; p != nil && l.judged() != "" {
		// Half a picture is none: containers that were not read did not vanish.
		return l.blind(CodeBlind, "the containers cannot be read: "+p.Message)
	}
	switch {
	case l.svc().Own:
		return l.ownService()
	case l.isAnotherService():
		return l.supplanted() // Before stale: a service made anew begins with old versions.
	}
	if why := l.stale(); why != "" {
		return l.outdated(why)
	}
	l.take()
	if l.in.History.Holding != nil {
		return l.holding()
	}
	if l.r != nil && !l.r.StuckAt.IsZero() {
		return l.stuck()
	}
	switch l.svc().State {
	case observe.StateActive:
		return l.active()
	case observe.StateUpgrading, observe.StateUpgraded, observe.StateFinishingUpgrade:
		return l.inUpgrade()
	case observe.StateRollingBack:
		return l.rollingBack()
	case observe.StateCanceledUpgrade, observe.StateCancelingUpgrade:
		return l.canceled()
	case observe.StateRemoved, observe.StateRemoving, observe.StatePurging, observe.StatePurged: // isGone
		return l.gone()
	case observe.StateInactive, observe.StateUpdatingInactive, observe.StateDeactivating:
		return l.say(Waiting, CodeInactive, again, "the service is %s: an upgrade would start it, so nothing is done", l.svc().State)
	case observe.StateRegistering, observe.StateActivating, observe.StateUpdatingActive, observe.StateRestarting:
		return l.busy()
	}
	d := l.say(Held, CodeUnknownState, again, "Rancher shows the unknown state %q", l.svc().State)
	d.Alert = true
	return d
}

// mustObserve says that this Drover keeps dying: what it decides may be what kills
// it, and every start judges from zero. For a while it only observes (C9). What a
// person asked for is done all the same.
func (l *look) mustObserve() bool {
	if !l.in.Now.Before(l.in.Observed.Fleet.ObserveUntil) {
		return false
	}
	r := l.in.History.Rollout
	isAsked := l.in.History.Restoring != nil || r != nil && (r.AbortBy != "" || r.CancelBy != "" || r.EarlyFinishBy != "" || r.ApprovedBy != "" || l.in.Target.Abort == r.ID)
	return !isAsked
}

// observeOnly leaves a step undone; the next look decides it anew.
func (l *look) observeOnly(s step) step {
	l.events, l.r = nil, l.in.History.Rollout
	until := l.in.Observed.Fleet.ObserveUntil
	d := l.say(Held, CodeCrashLoop, min(l.every(), until.Sub(l.in.Now)),
		"this Drover keeps ending without being stopped, so until %s it only observes and leaves the %s undone: %s", until.UTC().Format(time.RFC3339), s.Action, s.Reason)
	d.Alert = true
	return d
}

// unreadable: a blind controller makes no change.
func (l *look) unreadable() step {
	p := l.svc().Problem
	if p.Cause == observe.CauseNotFound && l.svc().StackKnown {
		return l.gone()
	}
	reason := "Rancher cannot be read: " + p.Message
	if p.Cause == observe.CauseNotFound {
		// A wrong environment shows the same, so nothing is taken for gone (A4).
		reason = p.Message + " in this environment: look at the target's stack, at rancher.environment, and whether it was removed"
	}
	d := l.blind(CodeBlind, reason)
	d.Alert = d.Alert || p.Cause == observe.CauseAuth
	d.isPending = p.Cause == observe.CausePending && !d.Alert
	return d
}

// soon is a look away while a rollout is open, and a while otherwise.
func (l *look) soon() time.Duration {
	if l.r != nil {
		return l.every()
	}
	return again
}

// isGone says that a service is on its way out for good.
func isGone(s observe.ServiceState) bool {
	switch s {
	case observe.StateRemoved, observe.StateRemoving, observe.StatePurging, observe.StatePurged:
		return true
	default:
		return false
	}
}

func (l *look) gone() step {
	missing := since(&l.mem.goneSince, l.in.Now)
	if missing < goneAfter {
		return l.say(Waiting, CodeTargetGone, l.soon(), "the service is missing; it is gone when it is still missing in a minute")
	}
	if l.in.History.Baseline != nil || l.r != nil {
		l.record(Event{Kind: EventGone, Code: CodeTargetGone, Reason: "the service was removed"})
	}
	d := l.say(Gone, CodeTargetGone, reminder, "the service was removed")
	d.Alert = true
	return d
}

// isAnotherService says that a person put another service in the place of the
// rollout's: made anew, cloned or renamed. A rollout keeps its service (C27).
func (l *look) isAnotherService() bool {
	return l.r != nil && l.r.ServiceID != "" && l.svc().ID != l.r.ServiceID && !isGone(l.svc().State)
}

// supplanted ends the rollout of the service that was there before. What has its
// name now is looked at as if for the first time, in the next look.
func (l *look) supplanted() step {
	reason := "the rollout's service, " + l.r.ServiceID + ", is gone, and its name belongs to another one, " + l.svc().ID
	if since(&l.mem.goneSince, l.in.Now) < goneAfter {
		return l.say(Waiting, CodeTargetGone, l.every(), "%s; believed when it is still so in a minute", reason)
	}
	l.record(Event{Kind: EventGone, Code: CodeTargetGone, Reason: reason})
	l.mem = Memory{lastLook: l.in.Now}
	d := l.say(Gone, CodeTargetGone, l.every(), "%s", reason)
	d.Alert = true
	return d
}

// ownService is the one that this Drover runs in. A rollout of it would end the one
// who judges it, so it is never touched (C36).
func (l *look) ownService() step {
	d := l.say(Held, CodeOwnService, reminder, "this Drover runs in it, and a rollout would end the one who judges it: it only observes. Upgrade it in Rancher, and take it out of the targets")
	d.Alert = true
	return d
}

func (l *look) busy() step {
	d := l.say(Waiting, CodeRancherBusy, l.soon(), "Rancher is busy: %s", l.svc().State)
	d.Alert = l.in.Now.Sub(l.mem.stateSince) >= patience
	return d
}

func (l *look) holding() step {
	h := l.in.History.Holding
	d := l.say(Held, h.Code, reminder, "%s; `drover resume` gives the service back", h.Reason)
	d.Alert = true
	return d
}

// AfterPanic holds a target whose step panicked: the caller recovered, and nobody
// knows what the next step would do. A rollout stays as it is (C18).
func AfterPanic(h History, cause string, now time.Time) Decision {
	l := look{in: Input{History: h, Now: now}, r: h.Rollout}
	reason := "a step panicked: " + cause
	l.record(Event{Kind: EventHeld, Code: CodePanicked, Reason: reason})
	d := l.say(Held, CodePanicked, reminder, "%s; please report it with the stack in the log; `drover resume` gives the service back", reason)
	d.Alert = true
	return l.close(d)
}

func (l *look) stuck() step {
	d := l.say(Stuck, l.r.Code, reminder, "%s; nothing more is done until a person has put it right and said `drover resume`", l.r.Reason)
	d.Alert = true
	return d
}

// inUpgrade goes on with an upgrade that is this Drover's, known from the journal
// or, when that is lost, from the labels; anything else is somebody's.
func (l *look) inUpgrade() step {
	if l.r == nil && l.isSigned() && !l.isClosed() {
		l.recover()
	}
	if !l.isOurs() {
		return l.somebodys("upgrades")
	}
	if !l.r.Confirmed {
		l.record(Event{Kind: EventConfirmed, Version: l.svc().Launch.Version})
	}
	if l.r.CancelBy != "" && l.r.RollingBackAt.IsZero() {
		return l.cancel()
	}
	switch l.svc().State {
	case observe.StateUpgrading:
		return l.warnOfWayBack(l.upgrading())
	case observe.StateUpgraded:
		return l.warnOfWayBack(l.upgraded())
	default:
		return l.finishing()
	}
}

// warnOfWayBack calls a person when containers that ran before are gone: a rollback
// makes them anew, which takes the old image and more time (A23). The gates go on.
func (l *look) warnOfWayBack(d step) step {
	if d.Action != NoAction || len(l.r.Containers) == 0 {
		return d
	}
	if gone := l.oldGone(); gone > 0 {
		d.Reason += fmt.Sprintf("; %d of the %d containers that ran before are gone: a rollback would make them anew", gone, len(l.r.Containers))
		d.Alert = true
	}
	return d
}

// oldGone counts the containers that ran before the rollout and do not exist any
// more.
func (l *look) oldGone() int {
	gone, hint := 0, 0
	for _, id := range l.r.Containers {
		i := l.find(id, hint)
		if i < 0 || l.rows.of(i).kind.has(leaving) {
			gone++
		}
		hint = i + 1
	}
	return gone
}

// somebodys respects a change that is not this rollout's, and says whose it is
// when it is another Drover's: two controllers look after one service (A30).
func (l *look) somebodys(does string) step {
	launch := l.svc().Launch
	owner := launch.Labels[LabelOwner]
	if owner != "" && owner != l.in.Observed.Fleet.Self && launch.Labels[LabelTo] == digestOf(launch.Image) {
		return l.foreign(CodeTwoControllers, "another Drover, "+owner+", "+does+" the service to "+shortImage(launch.Image)+": two controllers look after it")
	}
	return l.foreign(CodeForeign, "somebody else "+does+" "+l.whatOf(launch)+l.who(string(Upgrade)))
}

// whatOf says what a change that is not Drover's is to.
func (l *look) whatOf(launch observe.Launch) string {
	known := l.in.History.Baseline
	if l.isNamed() {
		known = &l.r.To
	}
	if known != nil && known.Image == launch.Image {
		if others := l.otherSidekicks(known); len(others) > 0 {
			return "the service's sidekick " + others[0].Name + " to " + shortImage(others[0].Image)
		}
	}
	return "the service to " + shortImage(launch.Image)
}

// who says whose action it was that Drover did not make, as far as Rancher's audit
// log tells: that is the only way to tell one person's click from another's.
func (l *look) who(action string) string {
	act := l.in.Observed.Act
	switch {
	case act == nil || act.Problem == nil && act.Action != action:
		return "" // Not asked yet, or the log does not have it yet.
	case act.Problem != nil:
		return " (who it was is not known: " + act.Problem.Message + ")"
	}
	return fmt.Sprintf(" (%s from %s at %s)", act.By, cmp.Or(act.From, "an unknown address"), cmp.Or(act.At, "an unknown time"))
}

// isClosed says that the launch configuration names a rollout that is over: the one
// that was closed last, or the one that brought what is known to run.
func (l *look) isClosed() bool {
	id, last := l.svc().Launch.Labels[LabelRollout], l.in.History.Last
	return last != nil && last.ID == id || l.isBaselines()
}

// isBaselines says that the launch configuration names the rollout that brought the
// baseline.
func (l *look) isBaselines() bool {
	b := l.in.History.Baseline
	return b != nil && b.Rollout != "" && b.Rollout == l.svc().Launch.Labels[LabelRollout]
}

// foreign respects what Drover did not do: observe, hold, tell.
func (l *look) foreign(code Code, reason string) step {
	if l.r != nil {
		l.record(Event{Kind: EventTakenOver, Code: code, Reason: reason})
	}
	if l.in.History.Baseline != nil || l.r != nil {
		l.record(Event{Kind: EventHeld, Code: code, Reason: reason})
	}
	d := l.say(Held, code, l.soon(), "%s", reason)
	d.Alert = true
	return d
}

// active is where rollouts begin and end.
func (l *look) active() step {
	if l.r == nil {
		return l.idle()
	}
	up := l.svc().Upgrade
	switch {
	case l.isOurs() && l.wasLeft():
		return l.giveUp(CodeRollbackMismatch, "after the rollback the service still names "+shortImage(l.svc().Launch.Image)+" and old containers run")
	case l.isOurs():
		return l.finished()
	case l.isNamed():
		return l.somebodys("changed")
	case up != nil && up.To.Labels[LabelRollout] == l.r.ID && l.svc().Launch.Image == l.r.From.Image:
		return l.rolledBack()
	case up != nil && up.To.Labels[LabelRollout] == l.r.ID:
		return l.giveUp(CodeRollbackMismatch, "after the rollback the service names "+l.svc().Launch.Image+" and not "+l.r.From.Image)
	case l.svc().Launch.Image == l.r.From.Image && !l.r.Confirmed:
		return l.notApplied()
	}
	return l.somebodys("changed")
}

// wasLeft says that a rollback brought the old containers back and left the new
// launch configuration in force (rancher/rancher#10382).
func (l *look) wasLeft() bool {
	_, old := l.countVersions()
	return !l.r.RollingBackAt.IsZero() && old > 0
}

// notApplied: the intent was written, and Rancher shows nothing of it. Only looks
// that agree prove that the request never arrived (A9).
func (l *look) notApplied() step {
	l.mem.sent.action = Upgrade
	l.mem.sent.looks++
	if l.mem.sent.looks < proofLooks {
		return l.say(Starting, CodeAwaitingRancher, l.every(), "waiting for Rancher to show the upgrade")
	}
	until := l.in.Now.Add(again << min(l.in.History.Attempts, 6))
	refused := l.mem.sent.refused
	l.mem.sent = sent{}
	if refused != "" {
		l.record(Event{Kind: EventNotApplied, Code: CodeNotAllowed, Reason: refused, Until: l.in.Now.Add(forbiddenPause)})
		d := l.say(Preflight, CodeNotAllowed, forbiddenPause, "Rancher does not let this key upgrade: %s", refused)
		d.Alert = true
		return d
	}
	l.record(Event{Kind: EventNotApplied, Code: CodeNotApplied, Reason: "Rancher never showed the upgrade", Until: until})
	return l.say(Preflight, CodeNotApplied, until.Sub(l.in.Now), "the upgrade did not reach Rancher; trying again from the start")
}

// upgrading: batches go by Rancher's pacing, the gates judge all the time. Hold
// and NoData write nothing: Rancher stops at upgraded by itself (ruling 3).
func (l *look) upgrading() step {
	if d, done := l.takeBack(); done {
		return d
	}
	fresh, old := l.countVersions()
	if d, done := l.deadline(); done {
		return d
	}
	d := l.say(Upgrading, CodeBatches, l.every(), "%d of %d containers are new, %d old ones run%s", fresh, l.expected(), old, l.rancherSays())
	d.Alert = l.isBlindTooLong()
	return d
}

// upgraded is not trusted: every container is proved, then the gates have to hold
// for the whole bake.
func (l *look) upgraded() step {
	if d, done := l.takeBack(); done {
		return d
	}
	if d, done := l.awaitEffect(FinishUpgrade, Committing); done {
		return d
	}
	problem := l.prove()
	if l.r.EarlyFinishBy != "" && problem == "" && !l.isPaused() {
		return l.finish(CodePersonFinishes, l.r.EarlyFinishBy+" finishes the upgrade early", l.r.EarlyFinishBy)
	}
	if d, done := l.deadline(); done {
		return d
	}
	if problem != "" {
		return l.proving(problem)
	}
	l.mem.unprovedSince = time.Time{}
	return l.bake()
}

func (l *look) proving(problem string) step {
	l.mem.bakeStart = time.Time{}
	limit := l.in.Target.Gates.Health.Deadline.Duration
	if waited := since(&l.mem.unprovedSince, l.in.Now); waited >= limit {
		return l.rollBack(CodeProofFailed, "upgraded, but "+problem, false, "")
	}
	d := l.say(Proving, CodeProving, l.every(), "upgraded, but %s", problem)
	d.Alert = l.isBlindTooLong()
	return d
}

// bake holds when every look is covered; a hole starts it again.
func (l *look) bake() step {
	if !covered(l.findings) {
		l.voidApproval()
		l.mem.bakeStart, l.mem.passedSince = time.Time{}, time.Time{}
		d := l.say(Bake, CodeShortOfEvidence, l.every(), "the bake starts when every gate sees: %s", l.blindGates())
		d.Alert = l.isBlindTooLong()
		return d
	}
	l.startChecks()
	held, whole := since(&l.mem.bakeStart, l.in.Now), l.in.Target.Rollout.Bake.Duration
	switch {
	case held < whole:
		return l.say(Bake, CodeBaking, min(l.every(), whole-held), "every gate holds so far")
	case sum(l.findings) != Pass:
		l.voidApproval()
		l.mem.passedSince = time.Time{}
		d := l.say(Bake, CodeShortOfEvidence, l.every(), "the bake is over and not every gate has passed: %s", l.blindGates())
		d.Alert = l.isBlindTooLong()
		return d
	case l.in.Target.Rollout.Finish == desired.FinishManual && l.r.ApprovedBy == "":
		return l.awaitApproval()
	}
	return l.finish(CodeBakePassed, "every gate held for the whole bake", l.r.ApprovedBy)
}

// voidApproval forgets an approval that was given when the gates had passed: they
// have turned before it came into effect (C34).
func (l *look) voidApproval() {
	if l.r.ApprovedBy != "" && !l.mem.passedSince.IsZero() {
		l.record(Event{Kind: EventApprovalVoid, Code: CodeShortOfEvidence, By: l.r.ApprovedBy, Reason: "the gates turned: " + l.blindGates()})
	}
}

func (l *look) awaitApproval() step {
	waited, limit := since(&l.mem.passedSince, l.in.Now), l.in.Target.Rollout.ApprovalTimeout.Duration
	if waited < limit || l.in.Target.Rollout.OnApprovalTimeout == desired.TimeoutHold {
		d := l.say(AwaitApproval, CodeNeedsApproval, l.every(), "every gate passed: `drover approve` finishes it")
		d.Alert = true
		return d
	}
	return l.rollBack(CodeApprovalTimeout, "nobody approved it within "+limit.String(), false, "")
}

// finish is the point of no return, decided on the proof of this very look.
func (l *look) finish(code Code, reason, by string) step {
	switch {
	case l.isPaused():
		return l.say(Bake, CodePaused, l.every(), "the gates passed; the target is paused, so it is not finished")
	case l.in.Observed.Fleet.NotDurable:
		d := l.say(Bake, CodeNotDurable, l.every(), "the gates passed; the journal cannot be written, so it is not finished")
		d.Alert = true
		return d
	case !l.can(string(FinishUpgrade)):
		return l.say(Bake, CodeAwaitingRancher, l.every(), "Rancher does not offer finishupgrade")
	}
	l.record(Event{Kind: EventFinishing, Code: code, Reason: reason, By: by, Findings: l.findings})
	d := l.say(Committing, code, l.every(), "%s", reason)
	d.Action = FinishUpgrade
	return d
}

// finishing waits for Rancher to remove the old containers. It can hang, and then
// only a person may choose (A18).
func (l *look) finishing() step {
	l.findings = l.judge()
	if l.in.Now.Sub(l.mem.stateSince) < l.in.Target.Rollout.RollbackDeadline.Duration {
		return l.say(Committing, CodeFinishing, l.every(), "Rancher removes the old containers")
	}
	wayOut := "while old containers exist, cancelupgrade and then rollback may lead out: a person decides"
	if n := len(l.r.Containers); n > 0 && l.oldGone() == n {
		wayOut = "the old containers are gone, so nothing but a fresh upgrade to " + shortImage(l.r.From.Image) + " leads back: a person decides"
	}
	d := l.say(Committing, CodeFinishHangs, l.every(), "finishing hangs%s; %s", l.rancherSays(), wayOut)
	d.Alert = true
	return d
}

// finished: active with our launch configuration.
func (l *look) finished() step {
	if problem := l.prove(); problem != "" {
		d := l.say(Committing, CodeMixed, l.every(), "finished, but %s", problem)
		d.Alert = since(&l.mem.mixedSince, l.in.Now) >= settleMixed
		return d
	}
	l.mem.mixedSince = time.Time{}
	e := Event{Kind: EventFinished, Code: CodeFinished, By: l.r.FinishBy, Baseline: l.finishedBaseline(), Version: l.svc().Launch.Version}
	if l.r.FinishingAt.IsZero() {
		e.By = byRancher
	}
	if l.r.Kind == Deploy {
		e.Until = l.in.Now.Add(l.in.Target.Rollout.Probation.Duration)
	}
	l.record(e)
	l.mem.gatesFromZero()
	if e.Until.After(l.in.Now) {
		return l.say(Probation, CodeFinished, l.every(), "finished; the gates keep watching until %s", e.Until.UTC().Format(time.RFC3339))
	}
	return l.say(Idle, CodeFinished, l.every(), "finished")
}

// byRancher is who acted when it was neither Drover nor one of its commands.
const byRancher = "somebody in Rancher"

func (l *look) finishedBaseline() *Baseline {
	b := l.r.To
	b.Rollout, b.At = l.r.ID, l.in.Now
	return &b
}

// rollBack takes the version back, unless that would be rolling back a rollback.
func (l *look) rollBack(code Code, reason string, condemned bool, by string) step {
	if l.r.Kind == Restore {
		return l.giveUp(CodeRestoreFailed, "the way back failed too: "+reason)
	}
	l.record(Event{Kind: EventRollingBack, Code: code, Reason: reason, Condemned: condemned && l.r.Kind == Deploy, By: by, Findings: l.findings})
	d := l.say(RollingBack, code, l.every(), "%s", reason)
	d.Action = Rollback
	return d
}

// giveUp calls a person; nothing more is written.
func (l *look) giveUp(code Code, reason string) step {
	l.record(Event{Kind: EventStuck, Code: code, Reason: reason})
	d := l.say(Stuck, code, reminder, "%s", reason)
	d.Alert = true
	return d
}

// rollingBack waits; it is observed only, whoever started it.
func (l *look) rollingBack() step {
	if l.r == nil {
		return l.say(Waiting, CodeForeignRollback, l.soon(), "somebody rolls the service back")
	}
	if l.r.RollingBackAt.IsZero() {
		return l.say(RollingBack, CodeForeignRollback, l.every(), "somebody rolls the service back in Rancher")
	}
	if l.isLate() {
		return l.giveUp(CodeRollbackLate, "the rollback is not over after "+l.in.Target.Rollout.RollbackDeadline.String()+l.rancherSays())
	}
	return l.say(RollingBack, CodeRollingBack, l.every(), "Rancher goes back to %s", shortImage(l.r.From.Image))
}

func (l *look) isLate() bool {
	begun := l.r.RollingBackAt
	if begun.IsZero() {
		begun = l.mem.stateSince
	}
	return !l.isJump && l.in.Now.Sub(begun) >= l.in.Target.Rollout.RollbackDeadline.Duration
}

// rolledBack: active with the previous launch configuration. What runs is
// verified before it is believed.
func (l *look) rolledBack() step {
	// What runs another image under the same tag will not become what it was by
	// waiting: the rollback is over, and idle goes to the pinned one (ruling 4).
	if problem, _ := l.proveImages(); problem != "" && !l.hasOtherImage() {
		if l.isLate() {
			return l.giveUp(CodeRollbackLate, "rolled back, but "+problem)
		}
		return l.say(Verifying, CodeVerifying, l.every(), "rolled back, but %s", problem)
	}
	isForeign := l.r.RollingBackAt.IsZero()
	until := l.in.Now.Add(l.backoff())
	l.record(Event{Kind: EventRolledBack, Code: CodeRolledBack, By: l.r.RollbackBy, Until: until})
	digests := l.condemned()
	if len(digests) > 0 {
		l.record(Event{Kind: EventQuarantined, Code: CodeRolledBack, Digests: digests, Layers: l.layersOf(digests, &l.r.To), Reason: l.quarantineReason()})
	}
	l.mem.gatesFromZero()
	l.mem.rollout = "" // What ran before runs again, and its baseline holds.
	if isForeign {
		reason := "somebody rolled back in Rancher" + l.who(string(Rollback))
		if len(digests) > 0 {
			reason += "; " + l.r.To.news(&l.r.From) + " is quarantined"
		}
		l.record(Event{Kind: EventHeld, Code: CodeForeignRollback, Reason: reason})
		d := l.say(Held, CodeForeignRollback, reminder, "%s", reason)
		d.Alert = true
		return d
	}
	d := l.say(Idle, CodeRolledBack, l.every(), "rolled back to %s: %s", shortImage(l.r.From.Image), l.r.Reason)
	d.Alert = true
	return d
}

// hasOtherImage says that a container is known to run another image than the
// one that the bare tag named before, and that the digest of that one is known.
func (l *look) hasOtherImage() bool {
	if l.r.RollingBackAt.IsZero() {
		return false
	}
	_, isOther := l.otherImage(&l.r.From)
	return isOther
}

// cancel stops an upgrade, or a finish that hangs, where it is: a person asked for
// it. From then on only a person goes on or takes it back.
func (l *look) cancel() step {
	if by := l.aborted(); by != "" && l.can(string(Rollback)) {
		return l.rollBack(CodeAborted, by+" takes it back", true, by)
	}
	if d, done := l.awaitEffect(CancelUpgrade, Held); done {
		return d
	}
	if !l.can(string(CancelUpgrade)) {
		// It was over before it could be cancelled.
		return l.canceledBy()
	}
	d := l.say(Held, CodeCanceled, l.every(), "%s cancels the upgrade", l.r.CancelBy)
	d.Action = CancelUpgrade
	return d
}

// canceledBy waits for the person who cancelled.
func (l *look) canceledBy() step {
	if l.svc().State == observe.StateUpgraded && l.r.EarlyFinishBy != "" && !l.isPaused() && l.prove() == "" {
		return l.finish(CodePersonFinishes, l.r.EarlyFinishBy+" finishes the upgrade early", l.r.EarlyFinishBy)
	}
	what := "cancelled the upgrade; Rancher leaves old and new containers as they are: `drover rollback` takes it back"
	if l.svc().State == observe.StateUpgraded {
		what = "cancelled the upgrade when its batches were over: `drover finish` or `drover rollback`"
	}
	d := l.say(Held, CodeCanceled, l.every(), "%s %s", l.r.CancelBy, what)
	d.Alert = true
	return d
}

// canceled: Drover cancels only for a person, so somebody did.
func (l *look) canceled() step {
	if l.r != nil && !l.r.RollingBackAt.IsZero() && l.isOurs() && l.can(string(Rollback)) {
		d, _ := l.takeBack()
		return d
	}
	if l.r != nil && l.r.CancelBy != "" && l.isOurs() {
		return l.cancel()
	}
	if l.svc().State == observe.StateCancelingUpgrade {
		return l.busy()
	}
	return l.foreign(CodeForeignCancel, "somebody cancelled the upgrade"+l.who(string(CancelUpgrade))+"; Rancher leaves old and new containers as they are")
}
