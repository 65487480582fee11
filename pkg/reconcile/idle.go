package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// idle is active without an open rollout: know what runs, watch it while on
// probation, and look for something newer.
func (l *look) idle() step {
	if l.in.History.Baseline == nil {
		return l.firstSight()
	}
	if !l.isBaseline() {
		if !l.isSigned() || l.isBaselines() {
			return l.somebodys("changed")
		}
		return l.adopt("the service runs a version this Drover signed; the journal did not know it")
	}
	if d, done := l.follow(); done {
		return d
	}
	if d, done := l.repair(); done {
		return d
	}
	if d, done := l.restore(); done {
		return d
	}
	if d, done := l.probation(); done {
		return d
	}
	return l.next()
}

func (l *look) secondary(name string) *observe.Launch {
	for i := range l.svc().Secondary {
		if l.svc().Secondary[i].Name == name {
			return &l.svc().Secondary[i]
		}
	}
	return nil
}

// isBaseline says that the service runs what was last known to run (ruling 6).
func (l *look) isBaseline() bool {
	b := l.in.History.Baseline
	if b.Image != l.svc().Launch.Image {
		return false
	}
	return len(l.otherSidekicks(b)) == 0
}

// otherSidekicks are the followed ones that name another image than a baseline.
func (l *look) otherSidekicks(b *Baseline) []*observe.Launch {
	var others []*observe.Launch
	for i := range l.svc().Secondary {
		launch := &l.svc().Secondary[i]
		side, isKnown := b.Sidekicks[launch.Name]
		if isKnown && l.in.Target.Containers[launch.Name] != "" && launch.Image != side.Image {
			others = append(others, launch)
		}
	}
	return others
}

// repair goes to the pinned images when a rollback of a bare tag brought another
// image than the one that was there before (ruling 4), of the primary or of a
// sidekick; once.
func (l *look) repair() (step, bool) {
	b, last := l.in.History.Baseline, l.in.History.Last
	if last == nil || last.Outcome != RolledBack {
		return step{}, false
	}
	name, isOther := l.otherImage(b)
	if !isOther {
		return step{}, false
	}
	reason := "the rollback brought another image" + ofSidekick(name) + " under the same tag"
	to := l.pinnedAll(*b)
	switch {
	case !to.isPinned():
		d := l.say(Idle, CodeRollbackMismatch, l.every(), "%s, and what ran before is not known by its digests: a person decides", reason)
		d.Alert = true
		return d, true
	case l.in.Observed.Fleet.NotDurable:
		d := l.say(Idle, CodeNotDurable, l.every(), "%s, and the journal cannot be written", reason)
		d.Alert = true
		return d, true
	case l.isPaused():
		d := l.say(Idle, CodePaused, l.every(), "%s, and the target is paused", reason)
		d.Alert = true
		return d, true
	}
	return l.start(Restore, to, CodeRollbackMismatch, reason+"; going to the pinned one"), true
}

// otherImage is the part of a baseline, by its name, whose bare tag is known to run
// something else in a container.
func (l *look) otherImage(b *Baseline) (name string, isOther bool) {
	isOf := func(launch string, p Part) bool {
		if p.Digest == "" || digestOf(p.Image) != "" {
			return false
		}
		_, mismatch := l.isRunningImage(launch, p.Config)
		return mismatch
	}
	if isOf("", b.Part) {
		return "", true
	}
	for _, name := range slices.Sorted(maps.Keys(b.Sidekicks)) {
		if isOf(name, b.Sidekicks[name]) {
			return name, true
		}
	}
	return "", false
}

// ofSidekick names the sidekick that is meant; empty for the primary.
func ofSidekick(name string) string {
	if name == "" {
		return ""
	}
	return " of sidekick " + name
}

// restore goes back to a launch configuration from before the finish, for a
// person: by a fresh upgrade, because Rancher has forgotten its own way back.
func (l *look) restore() (step, bool) {
	back := l.in.History.Restoring
	if back == nil {
		return step{}, false
	}
	reason := back.By + " goes back to " + short(back.To.Digest)
	if l.isPaused() {
		return l.say(Preflight, CodePaused, l.every(), "%s once the target is not paused any more", reason), true
	}
	if l.in.Observed.Fleet.NotDurable {
		return l.say(Preflight, CodeNotDurable, l.every(), "%s once the journal can be written", reason), true
	}
	if !l.can(string(Upgrade)) {
		return l.say(Preflight, CodeNotUpgradable, l.every(), "%s once Rancher offers the upgrade action", reason), true
	}
	to := l.pinnedAll(back.To)
	d := l.start(Restore, to, CodeAborted, reason)
	l.r.By = back.By
	d.Plan.Base, d.Plan.BaseSecondary = back.Base, back.BaseSecondary
	return d, true
}

// probation watches a finished version. A late failure is answered by a fresh
// upgrade back to the launch configuration that was good before.
func (l *look) probation() (step, bool) {
	w := l.in.History.Probation
	if w == nil {
		return step{}, false
	}
	if !l.in.Now.Before(w.Until) {
		l.record(Event{Kind: EventProbationOver, Code: CodeProbation, Rollout: w.Rollout.ID})
		return step{}, false
	}
	l.findings = l.judge()
	if sum(l.findings) != Fail {
		return step{}, false
	}
	reason := "failed on probation: " + failed(l.findings)
	if why := l.whyNotRestored(w); why != "" {
		d := l.say(Probation, CodeProbationFailed, l.every(), "%s; it is not taken back by itself: %s", reason, why)
		d.Alert = true
		return d, true
	}
	if d, blocked := l.blockedStart(); blocked {
		return d, true
	}
	digests := w.Rollout.brought()
	l.record(Event{Kind: EventQuarantined, Code: CodeProbationFailed, Rollout: w.Rollout.ID, Digests: digests, Layers: l.layersOf(digests, &w.Rollout.To), Reason: reason})
	d := l.start(Restore, l.pinnedAll(w.Rollout.From), CodeProbationFailed, reason)
	d.Plan.Base, d.Plan.BaseSecondary = w.Rollout.Previous, w.Rollout.PreviousSecondary
	d.Alert = true
	return d, true
}

// whyNotRestored says why a finished version that fails is left to a person; empty
// when it is not.
func (l *look) whyNotRestored(w *Watch) string {
	r := &w.Rollout
	switch {
	case r.FinishBy != "":
		return r.FinishBy + " finished it"
	case len(r.Previous) == 0 || !l.pinnedAll(r.From).isPinned():
		return "the launch configuration before it is not known with its digest"
	case r.Version != "" && l.svc().Launch.Version != r.Version:
		// The image is the same, so somebody changed something else (A34).
		return "somebody upgraded the service since, and going back would undo that"
	}
	return ""
}

// blockedStart holds back even a way home while nothing durable can be written or
// a person paused the target.
func (l *look) blockedStart() (step, bool) {
	switch {
	case l.in.Observed.Fleet.NotDurable:
		d := l.say(Probation, CodeNotDurable, l.every(), "failed on probation, and the journal cannot be written")
		d.Alert = true
		return d, true
	case l.isPaused():
		d := l.say(Probation, CodePaused, l.every(), "failed on probation, and the target is paused")
		d.Alert = true
		return d, true
	}
	return step{}, false
}

// problemOfImages is the first followed image that cannot be read.
func (l *look) problemOfImages() *observe.Problem {
	if p := l.in.Observed.Image.Problem; p != nil {
		return p
	}
	for name := range l.in.Target.Containers {
		if p := l.in.Observed.Sidekicks[name].Problem; p != nil {
			return p
		}
	}
	return nil
}

// next compares what the tags say with what runs.
func (l *look) next() step {
	if p := l.problemOfImages(); p != nil {
		d := l.calm(CodeRegistryProblem, again, "the registry cannot be asked: "+p.Message)
		d.Alert = p.Cause == observe.CauseAuth || p.Cause == observe.CauseInvalid
		d.isPending = p.Cause == observe.CausePending
		return d
	}
	to, isNewer := l.wanted()
	if !isNewer {
		if d := l.mixedImages(); d != nil {
			return *d
		}
		if over, sidekick := l.passedOver(); over != "" {
			return l.calm(CodePassedOver, 0, fmt.Sprintf("%s%s was there when the service was adopted as it was: the next digest is deployed, or this one by `drover retry --digest %s`", short(over), ofSidekick(sidekick), over))
		}
		return l.calm(CodeNothingToDo, 0, "runs what the tag names")
	}
	return l.prepare(to)
}

// calm is Idle, or Probation while that lasts.
func (l *look) calm(code Code, after time.Duration, reason string) step {
	if w := l.in.History.Probation; w != nil && l.in.Now.Before(w.Until) {
		return l.say(Probation, CodeProbation, l.every(), "on probation until %s", w.Until.UTC().Format(time.RFC3339))
	}
	return step{Phase: Idle, Code: code, Reason: reason, RequeueAfter: after}
}
