package reconcile

import (
	"maps"
	"slices"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

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
	if !l.isSigned() && l.in.Target.FirstSight != desired.Deploy {
		b.Part = b.passing(l.in.Observed.Image)
		for name, side := range b.Sidekicks {
			b.Sidekicks[name] = side.passing(l.in.Observed.Sidekicks[name])
		}
	}
	l.record(Event{Kind: EventAdopted, Code: CodeFirstSight, Reason: reason, Baseline: &b})
	if digests := l.undone(); len(digests) > 0 {
		l.record(Event{Kind: EventQuarantined, Code: CodeRolledBack, Digests: digests, Layers: l.layersOf(digests, nil), Reason: "rolled back, cause unknown"})
	}
	return l.say(Idle, CodeFirstSight, time.Millisecond, "%s", reason)
}

// undone are the digests that Rancher's record of the last upgrade names and the
// service does not run.
func (l *look) undone() []string {
	up := l.svc().Upgrade
	if up == nil {
		return nil
	}
	var digests []string
	add := func(to, runs string) {
		if d := digestOf(to); d != "" && to != runs {
			digests = append(digests, d)
		}
	}
	add(up.To.Image, l.svc().Launch.Image)
	for i := range up.ToSecondary {
		if to := &up.ToSecondary[i]; l.in.Target.Containers[to.Name] != "" {
			if launch := l.secondary(to.Name); launch != nil {
				add(to.Image, launch.Image)
			}
		}
	}
	return digests
}

// passing is a part that was adopted while its tag names something else.
func (p Part) passing(tag observe.Image) Part {
	if tag.Problem == nil && tag.Digest != p.Digest {
		p.Over = tag.Digest
	}
	return p
}

// follow keeps the baseline's sidekicks those that the target follows: one that is
// new to the file is adopted as it runs, as at first sight, and one that left it is
// forgotten.
func (l *look) follow() (step, bool) {
	if l.isFollowing() {
		return step{}, false
	}
	b := *l.in.History.Baseline
	var news []string
	sidekicks := map[string]Part{}
	for _, name := range slices.Sorted(maps.Keys(l.in.Target.Containers)) {
		launch, tag := l.secondary(name), l.in.Observed.Sidekicks[name]
		side, isKnown := b.Sidekicks[name]
		switch {
		case launch == nil:
			continue
		case isKnown:
		case tag.Problem != nil:
			continue // Nothing is known of it yet; the next look tries again.
		case l.in.Target.FirstSight == desired.Deploy && digestOf(launch.Image) == "":
			side, news = Part{Image: launch.Image}, append(news, name)
		default:
			side, news = l.part(launch.Image, tag), append(news, name)
			if l.in.Target.FirstSight != desired.Deploy {
				side = side.passing(tag)
			}
		}
		sidekicks[name] = side
	}
	reason := "no longer followed: " + strings.Join(without(b.Sidekicks, sidekicks), ", ")
	if len(news) > 0 {
		reason = "first sight of what the target follows now: " + strings.Join(news, ", ")
	}
	b.Sidekicks = sidekicks
	l.record(Event{Kind: EventAdopted, Code: CodeFirstSight, Reason: reason, Baseline: &b})
	return l.say(Idle, CodeFirstSight, time.Millisecond, "%s", reason), true
}

// isFollowing says that the baseline has the sidekicks of the target, as far as they
// exist and can be read.
func (l *look) isFollowing() bool {
	b, n := l.in.History.Baseline, 0
	for name := range l.in.Target.Containers {
		_, isKnown := b.Sidekicks[name]
		switch {
		case l.secondary(name) == nil:
		case isKnown:
			n++
		case l.in.Observed.Sidekicks[name].Problem == nil:
			return false
		}
	}
	return n == len(b.Sidekicks)
}

// without are the names that only the first list has, in order.
func without(all, kept map[string]Part) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(name string) bool { _, is := kept[name]; return is })
}

// adoptUnknown takes a bare tag as a baseline of unknown digest, so that whatever
// the tag resolves to is deployed.
func (l *look) adoptUnknown() step {
	b := l.running()
	b.Part = Part{Image: b.Image}
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
	if image == tag.Ref {
		p.Image = tag.Ref // The file has this text anyway; the other one ends with the look.
	}
	if p.Digest == "" && tag.Problem == nil {
		p.Digest = tag.Digest
	}
	if p.Digest == tag.Digest {
		p.Manifest, p.Config, p.Layers = tag.Manifest, tag.Config, tag.Layers
	}
	return p
}
