package operator

import (
	"cmp"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Outcome is how a rollout ended, or why it cannot be followed any further.
type Outcome string

const (
	// Open is a rollout under way, or one that has not begun.
	Open Outcome = ""
	// Finished brought its version, proved.
	Finished Outcome = "finished"
	// RolledBack is what ran before running again, proved.
	RolledBack Outcome = "rolled-back"
	// NotApplied never reached Rancher, or was refused there.
	NotApplied Outcome = "not-applied"
	// TakenOver was changed by somebody else.
	TakenOver Outcome = "taken-over"
)

// Track is one rollout as it is followed, from sight to sight. It is a value: Take
// returns the next one. Its zero value follows whatever begins first.
type Track struct {
	// Key is stack/service.
	Key string
	// Watched says that the daemon looks after the service: its word is the outcome.
	Watched bool
	// Rollout is the daemon's id; empty before there is one, and without a daemon.
	Rollout string
	// Digest and Image, where given, are what must be brought: a rollout of
	// anything else is not this one.
	Digest, Image string
	// Not is the daemon's id of a rollout that was over before: it is not this one.
	Not string
	// Named says that the followed tag named Digest at some time.
	Named bool
	// Brings and Before are the versions of the launch configurations, Rancher's own
	// names; To and From the images. Empty before anything has begun.
	Brings, Before string
	To, From       string
	// Begun is when it was first seen under way.
	Begun time.Time
	// State is Rancher's, Upgraded that every new container is proved while the old
	// ones are kept.
	State    observe.ServiceState
	Upgraded bool
	// Text is where it stands in one sentence, BlindSince since when nothing could
	// be read.
	Text       string
	BlindSince time.Time
	// Outcome is set once, Reason says why.
	Outcome Outcome
	Reason  string
}

// wants is the track of a rollout that must bring a digest.
func (t Track) wants(digest string) Track {
	return Track{Key: t.Key, Watched: t.Watched, Digest: digest, Not: t.Not}
}

// Has says whether a goal is reached.
func (t Track) Has(g Goal) bool {
	switch g {
	case ToUpgraded:
		return t.Upgraded || t.Outcome == Finished
	case ToFinished:
		return t.Outcome == Finished
	case ToRolledBack:
		return t.Outcome == RolledBack
	case ToCanceled:
		return t.State == observe.StateCanceledUpgrade
	case NoGoal:
		return true
	}
	return false
}

// Take goes on to the next sight. A track that has its outcome stays as it is.
func (t Track) Take(s Sight) Track {
	if t.Outcome != Open {
		return t
	}
	if t.Watched && s.Daemon != nil {
		t = t.takeDaemon(&s)
	}
	if s.Service.Problem != nil {
		return t.takeBlind(&s)
	}
	t.BlindSince = time.Time{}
	t.State = s.Service.State
	t = t.takeService(&s)
	if !t.Watched || s.Daemon == nil {
		t.Text = t.words(&s)
	}
	return t
}

// takeBlind notes that Rancher could not be read: nothing is concluded from that.
func (t Track) takeBlind(s *Sight) Track {
	if t.BlindSince.IsZero() {
		t.BlindSince = s.At
	}
	if !t.Watched || s.Daemon == nil {
		t.Text = s.Language.Sprintf("Rancher cannot be read since %s: %s", Clock(s.At.Sub(t.BlindSince)), s.Service.Problem.Message)
	}
	return t
}

// takeDaemon believes the daemon about the rollout it has open or had.
func (t Track) takeDaemon(s *Sight) Track {
	d := s.Daemon
	for _, r := range []*web.Rollout{d.Rollout, d.Last} {
		if r == nil || r.ID == t.Not || t.Rollout == "" && !t.isMeant(r) || t.Rollout != "" && t.Rollout != r.ID {
			continue
		}
		t.Rollout, t.Begun = r.ID, r.Started
		t.Outcome, t.Reason = Outcome(r.Outcome), r.Reason
		break
	}
	t.Text = daemonWords(d, s.At, s.Language)
	if s.DaemonProblem != "" {
		t.Text += s.Language.Sprintf(" (the daemon does not answer now: %s)", s.DaemonProblem)
	}
	if t.Outcome == Open && t.Rollout == "" && t.Digest != "" {
		t.Outcome, t.Reason = t.already(d, s.Language)
		t.Named = t.Named || d.Wanted == t.Digest
	}
	return t
}

// isMeant says that a rollout of the daemon is the one to follow: the one that
// brings what must be brought, or else any that is open and no mere pinning.
func (t Track) isMeant(r *web.Rollout) bool {
	if t.Digest != "" {
		return r.To == t.Digest && r.Kind != reconcile.Pin
	}
	return r.Outcome == "" && r.Kind != reconcile.Pin
}

// already is the outcome of a digest that was decided about before anybody asked.
func (t Track) already(d *web.Detail, l language.Language) (Outcome, string) {
	q, isCondemned := d.Quarantine[t.Digest]
	switch {
	case d.Rollout != nil && (!t.Named || d.Wanted == t.Digest || d.Rollout.Kind == reconcile.Pin):
		return Open, "" // What runs is pinned before its first change: what is wanted comes next.
	case d.Running == t.Digest && d.Code != reconcile.CodePassedOver:
		return Finished, l.Sprintf("it runs already")
	case isCondemned:
		return RolledBack, q.Reason
	case t.Named && d.Wanted != t.Digest && d.Wanted != "":
		return TakenOver, l.Sprintf("a newer image took its place before it was rolled out: the tag names %s", web.Short(d.Wanted))
	}
	return Open, ""
}

// daemonWords is where the daemon stands, in one sentence with a countdown.
func daemonWords(d *web.Detail, now time.Time, l language.Language) string {
	text := PhaseIn(l, d.Phase) + ": " + d.Reason
	if d.Phase == reconcile.Bake && !d.BakeStart.IsZero() {
		text = l.Sprintf("baking %s of %s: %s", Clock(now.Sub(d.BakeStart)), Clock(d.BakeUntil.Sub(d.BakeStart)), d.Reason)
	}
	if d.Phase == "" {
		text = l.Sprintf("the daemon has not looked yet")
	}
	if d.PausedBy != "" {
		text += l.Sprintf(" (paused by %s)", d.PausedBy)
	}
	return text
}

// takeService follows Rancher's own state.
func (t Track) takeService(s *Sight) Track {
	svc := &s.Service
	t.Upgraded = false
	switch state := svc.State; {
	case state == observe.StateRollingBack:
		if t.Brings == "" && svc.Upgrade != nil {
			t = t.adopt(s, svc.Upgrade.To, svc.Launch)
		}
	case InUpgrade(state):
		t = t.adopt(s, svc.Launch, before(svc))
		t.Upgraded = t.follows(svc) && state == observe.StateUpgraded && s.Unproved() == ""
	case state == observe.StateActive:
		return t.takeActive(s)
	case state == observe.StateRemoved, state == observe.StateRemoving, state == observe.StatePurged, state == observe.StatePurging:
		return t.end(TakenOver, s.Language.Sprintf("the service was removed"))
	}
	return t
}

// before is what an upgrade under way replaced; Rancher fills it in a moment after
// the upgrade began (rancher-api 14.3).
func before(svc *observe.Service) observe.Launch {
	if svc.Upgrade != nil && svc.Upgrade.To.Version == svc.Launch.Version {
		return svc.Upgrade.From
	}
	return observe.Launch{}
}

// follows says that the launch configuration in force is the one followed.
func (t Track) follows(svc *observe.Service) bool {
	return t.Brings != "" && t.Brings == svc.Launch.Version
}

// adopt begins to follow an upgrade, or notes that another one took its place.
func (t Track) adopt(s *Sight, to, from observe.Launch) Track {
	switch {
	case t.Brings == to.Version:
		if t.Before == "" {
			t.Before, t.From = from.Version, from.Image
		}
		return t
	case !t.brings(to.Image):
		return t
	case t.Brings != "" && !t.Watched:
		return t.end(TakenOver, s.Language.Sprintf("another upgrade took its place, to %s", ShortImage(to.Image)))
	}
	t.Brings, t.To, t.Before, t.From = to.Version, to.Image, from.Version, from.Image
	if t.Begun.IsZero() {
		t.Begun = s.At
	}
	return t
}

// brings says that an image is what must be brought.
func (t Track) brings(image string) bool {
	switch {
	case t.Digest != "" && DigestOf(image) != "":
		return DigestOf(image) == t.Digest
	case t.Image != "":
		return image == t.Image
	case t.Digest != "":
		return false // A bare tag does not say which digest it is.
	}
	return true
}

// takeActive is where rollouts end.
func (t Track) takeActive(s *Sight) Track {
	svc := &s.Service
	problem := s.Unproved()
	switch {
	case t.Watched && s.Daemon != nil:
		return t // The daemon says how it ended.
	case t.Brings == "":
		return t.takeEnded(s, problem)
	case problem != "":
		return t
	case t.Brings == svc.Launch.Version:
		return t.end(Finished, "")
	case t.isBefore(svc):
		return t.end(RolledBack, s.Language.Sprintf("rolled back in Rancher"))
	}
	return t.end(TakenOver, s.Language.Sprintf("somebody changed the service to %s", ShortImage(svc.Launch.Image)))
}

// isBefore says that the service is back at what ran before.
func (t Track) isBefore(svc *observe.Service) bool {
	if t.Before != "" {
		return t.Before == svc.Launch.Version
	}
	return svc.Upgrade != nil && svc.Upgrade.To.Version == t.Brings
}

// takeEnded sees whether what must be brought was brought, or taken back, before
// anybody looked: Rancher keeps the record of the last upgrade.
func (t Track) takeEnded(s *Sight, problem string) Track {
	svc := &s.Service
	switch {
	case t.Digest == "" && t.Image == "" || problem != "":
		return t
	case t.brings(svc.Launch.Image):
		return t.end(Finished, s.Language.Sprintf("it runs already"))
	case svc.Upgrade != nil && t.brings(svc.Upgrade.To.Image) && svc.Upgrade.To.Version != svc.Launch.Version:
		return t.end(RolledBack, s.Language.Sprintf("rolled back in Rancher"))
	}
	return t
}

func (t Track) end(o Outcome, reason string) Track {
	t.Outcome, t.Reason = o, cmp.Or(t.Reason, reason)
	return t
}

// words are where it stands when no daemon says it.
func (t Track) words(s *Sight) string {
	if t.Outcome != Open {
		text := string(t.Outcome)
		if t.Reason != "" {
			text += ": " + t.Reason
		}
		return text
	}
	if t.Brings == "" && s.Service.State == observe.StateActive && (t.Digest != "" || t.Image != "") {
		return s.Language.Sprintf("waiting for %s; %s", cmp.Or(web.Short(t.Digest), t.Image), s.Standing())
	}
	return s.Standing()
}
