package reconcile

import (
	"maps"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// idle is active without an open rollout: know what runs, watch it while on
// probation, and look for something newer.
func (l *look) idle() step {
	if l.in.History.Baseline == nil {
		return l.firstSight()
	}
	if !l.isBaseline() {
		if !l.isSigned() {
			return l.somebodys("changed")
		}
		return l.adopt("the service runs a version this Drover signed; the journal did not know it")
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

// firstSight takes what runs as the baseline and leaves it alone.
func (l *look) firstSight() step {
	if l.isSigned() {
		return l.adopt("first sight: the service runs a version this Drover signed")
	}
	if l.in.Target.FirstSight == desired.Deploy && digestOf(l.svc().Launch.Image) == "" {
		return l.adoptUnknown()
	}
	if p := l.problemOfImages(); p != nil {
		d := l.say(Preflight, CodeRegistryProblem, again, "first sight: the registry does not say what the tag is: %s", p.Message)
		d.Alert, d.isPending = p.Cause == observe.CauseAuth, p.Cause == observe.CausePending
		return d
	}
	if digestOf(l.svc().Launch.Image) != "" {
		return l.adopt("first sight: the service runs a pinned image")
	}
	return l.adopt("first sight: the tag's digest is remembered; the next one is deployed")
}

// adopt writes down what runs. After a rollback whose memory was lost Rancher
// still names the digest that was taken back: it stays condemned (4.6).
func (l *look) adopt(reason string) step {
	b := l.running()
	if img := l.in.Observed.Image; img.Problem == nil && img.Digest != b.Digest && !l.isSigned() && l.in.Target.FirstSight != desired.Deploy {
		b.Over = img.Digest
	}
	l.record(Event{Kind: EventAdopted, Code: CodeFirstSight, Reason: reason, Baseline: &b})
	if up := l.svc().Upgrade; up != nil {
		if d := digestOf(up.To.Image); d != "" && up.To.Image != l.svc().Launch.Image {
			l.record(Event{Kind: EventQuarantined, Code: CodeRolledBack, Digests: []string{d}, Reason: "rolled back, cause unknown"})
		}
	}
	return l.say(Idle, CodeFirstSight, time.Millisecond, "%s", reason)
}

// adoptUnknown takes a bare tag as a baseline of unknown digest, so that whatever
// the tag resolves to is deployed.
func (l *look) adoptUnknown() step {
	b := l.running()
	b.Digest, b.Manifest, b.Config = "", "", ""
	for name := range b.Sidekicks {
		b.Sidekicks[name] = Part{Image: b.Sidekicks[name].Image}
	}
	reason := "first sight: the tag is deployed, pinned"
	l.record(Event{Kind: EventAdopted, Code: CodeFirstSight, Reason: reason, Baseline: &b})
	return l.say(Idle, CodeFirstSight, time.Millisecond, "%s", reason)
}

// running is what the launch configuration names, with what the registry knows
// of it.
func (l *look) running() Baseline {
	b := Baseline{Part: l.part(l.svc().Launch.Image, l.in.Observed.Image), At: l.in.Now}
	b.Rollout = l.svc().Launch.Labels[LabelRollout]
	for name := range l.in.Target.Containers {
		if launch := l.secondary(name); launch != nil {
			if b.Sidekicks == nil {
				b.Sidekicks = map[string]Part{}
			}
			b.Sidekicks[name] = l.part(launch.Image, l.in.Observed.Sidekicks[name])
		}
	}
	return b
}

// part joins a launch configuration's image with what its tag resolves to. A
// pinned image knows its digest; a bare tag is what the tag is now.
func (l *look) part(image string, tag observe.Image) Part {
	p := Part{Image: image, Digest: digestOf(image)}
	if p.Digest == "" && tag.Problem == nil {
		p.Digest = tag.Digest
	}
	if p.Digest == tag.Digest {
		p.Manifest, p.Config = tag.Manifest, tag.Config
	}
	return p
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
	for name, p := range b.Sidekicks {
		if launch := l.secondary(name); launch != nil && launch.Image != p.Image {
			return false
		}
	}
	return true
}

// repair goes to the pinned image when a rollback of a bare tag brought another
// image than the one that was there before (ruling 4); once.
func (l *look) repair() (step, bool) {
	b, last := l.in.History.Baseline, l.in.History.Last
	if last == nil || last.Outcome != RolledBack || b.Digest == "" || digestOf(b.Image) != "" {
		return step{}, false
	}
	if _, mismatch := l.isRunningImage("", b.Config); !mismatch {
		return step{}, false
	}
	const reason = "the rollback brought another image under the same tag"
	switch {
	case l.in.Observed.Fleet.NotDurable:
		d := l.say(Idle, CodeNotDurable, l.every(), "%s, and the journal cannot be written", reason)
		d.Alert = true
		return d, true
	case l.isPaused():
		d := l.say(Idle, CodePaused, l.every(), "%s, and the target is paused", reason)
		d.Alert = true
		return d, true
	}
	to := *b
	to.Image = l.in.Observed.Image.Repository + "@" + b.Digest
	return l.start(Restore, to, CodeRollbackMismatch, reason+"; going to the pinned one"), true
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
	l.record(Event{Kind: EventQuarantined, Code: CodeProbationFailed, Rollout: w.Rollout.ID, Digests: w.Rollout.brought(), Reason: reason})
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

// pinnedAll is a baseline by the digests of all its images, where they are known:
// what a way back names must not be what the tags name by now.
func (l *look) pinnedAll(b Baseline) Baseline {
	b.Image = l.pinned(b.Part)
	b.Sidekicks = maps.Clone(b.Sidekicks)
	for name, side := range b.Sidekicks {
		if repository := l.in.Observed.Sidekicks[name].Repository; digestOf(side.Image) == "" && side.Digest != "" && repository != "" {
			side.Image = repository + "@" + side.Digest
			b.Sidekicks[name] = side
		}
	}
	return b
}

// isPinned says that every image is named by its digest.
func (b Baseline) isPinned() bool {
	for _, side := range b.Sidekicks {
		if digestOf(side.Image) == "" {
			return false
		}
	}
	return digestOf(b.Image) != ""
}

// pinned is an image by its digest, where that is known.
func (l *look) pinned(p Part) string {
	if digestOf(p.Image) != "" || p.Digest == "" {
		return p.Image
	}
	return l.in.Observed.Image.Repository + "@" + p.Digest
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
		return l.calm(CodeNothingToDo, 0, "runs what the tag names")
	}
	if to.Digest == l.in.History.Baseline.Over && !l.isReleased(to) {
		return l.calm(CodePassedOver, 0, short(to.Digest)+" was there when the service was adopted as it was: the next digest is deployed, or this one by `drover retry`")
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

// wanted is the baseline the tags ask for. An index that brings the same manifest
// for the platform is nothing new (ruling 14).
func (l *look) wanted() (Baseline, bool) {
	img := l.in.Observed.Image
	b := l.in.History.Baseline
	to := Baseline{Part: b.Part}
	isNewer := differs(b.Part, img)
	if isNewer {
		to.Part = partOf(img)
	}
	for name, from := range b.Sidekicks {
		img, followed := l.in.Observed.Sidekicks[name]
		if !followed {
			continue
		}
		side := from
		if differs(from, img) {
			side, isNewer = partOf(img), true
		}
		if to.Sidekicks == nil {
			to.Sidekicks = make(map[string]Part, len(b.Sidekicks))
		}
		to.Sidekicks[name] = side
	}
	if isNewer {
		// With a sidekick's new digest the primary comes by its own, also where it ran
		// under the bare tag.
		to.Image = l.pinned(to.Part)
	}
	return to, isNewer
}

// partOf is an image pinned to what its tag names.
func partOf(img observe.Image) Part {
	return Part{Image: img.Repository + "@" + img.Digest, Digest: img.Digest, Manifest: img.Manifest, Config: img.Config}
}

func differs(from Part, to observe.Image) bool {
	if to.Digest == from.Digest {
		return false
	}
	return to.Manifest == "" || to.Manifest != from.Manifest
}
