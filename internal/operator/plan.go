package operator

import (
	"cmp"
	"errors"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Verb is what a person may do to a service.
type Verb string

const (
	// Upgrade brings what the followed tag names, or the image asked for.
	Upgrade Verb = "upgrade"
	// Finish ends the upgrade under way for good.
	Finish Verb = "finish"
	// Rollback takes back the upgrade under way, or the last finished one.
	Rollback Verb = "rollback"
	// Cancel stops the upgrade under way, or a finish that hangs, where it is.
	Cancel Verb = "cancel"

	// The rest are decisions that only the daemon can remember.

	// Pause stops every write but a rollback.
	Pause Verb = "pause"
	// Resume ends a pause, a hold or a stuck rollout.
	Resume Verb = "resume"
	// Retry lets a digest that was taken back be tried again.
	Retry Verb = "retry"
	// Approve lets the open rollout be finished when every gate has passed.
	Approve Verb = "approve"
)

// Request is what a person asks for.
type Request struct {
	Verb Verb
	// By is who asks.
	By string
	// Rollout, when not empty, is the one that was meant; another is refused.
	Rollout string
	// Digest is what upgrade, retry and a rollback after the finish are about;
	// empty means the obvious one.
	Digest string
	// DespiteBaseline starts it although what runs now fails more than is allowed.
	DespiteBaseline bool
	// Image is a tag to bring instead of the followed one.
	Image string
	// BatchSize, Interval and StartFirst are of an upgrade without the daemon.
	BatchSize  int
	Interval   time.Duration
	StartFirst bool
}

// Goal is what a plan is to lead to.
type Goal string

const (
	// NoGoal is reached when the daemon has been told.
	NoGoal Goal = ""
	// ToUpgraded is every new container proved, and the old ones still kept.
	ToUpgraded Goal = "upgraded"
	// ToFinished is the new version running alone, proved.
	ToFinished Goal = "finished"
	// ToRolledBack is what ran before running again, proved.
	ToRolledBack Goal = "rolled-back"
	// ToCanceled is an upgrade that stands still.
	ToCanceled Goal = "canceled"
)

// Plan is what will be done, before it is.
type Plan struct {
	Verb Verb
	// Says is what will happen, a sentence each.
	Says []string
	// Nothing says why there is nothing to do; the rest is then empty.
	Nothing string
	// Goal is what it leads to, Track where following it begins.
	Goal  Goal
	Track Track
	// Command is what the daemon is told; nil acts on Rancher itself.
	Command *controller.Command

	// serviceID and version are what was seen: Rancher is acted on only while it is
	// still so.
	serviceID, version string
	// upgrade is of an upgrade without the daemon.
	upgrade *rancher.UpgradeSpec
}

// RefusedError is a request that does not fit what goes on. Nothing was done.
type RefusedError struct{ Reason string }

// Error is the reason.
func (e *RefusedError) Error() string { return e.Reason }

func (s *Sight) refuse(format string, args ...any) error {
	return &RefusedError{Reason: s.Language.Sprintf(format, args...)}
}

// NeedsDaemonError is a request that only a daemon can answer. Nothing was done.
type NeedsDaemonError struct {
	Verb Verb
	// Why says why there is none, in Language.
	Why      string
	Language language.Language
}

// Error says why there is no daemon, and that nothing was done.
func (e *NeedsDaemonError) Error() string {
	return e.Language.Sprintf("%s: nothing was done, because %s is a decision that only the daemon can remember", e.Why, e.Verb)
}

// MakePlan says what a request will do to the service seen. It is pure.
func MakePlan(s Sight, r Request) (Plan, error) {
	isMemory := r.Verb == Pause || r.Verb == Resume || r.Verb == Retry || r.Verb == Approve
	if p := s.Service.Problem; p != nil && s.Daemon == nil && !isMemory {
		return Plan{}, s.blind(p)
	}
	var p Plan
	var err error
	switch r.Verb {
	case Upgrade:
		p, err = planUpgrade(&s, r)
	case Finish:
		p, err = planFinish(&s, r)
	case Rollback:
		p, err = planRollback(&s, r)
	case Cancel:
		p, err = planCancel(&s, r)
	case Pause, Resume, Retry, Approve:
		p, err = planMemory(&s, r)
	default:
		err = s.refuse("unknown verb %q", r.Verb)
	}
	p.Verb = r.Verb
	return p, err
}

// told is a plan that the daemon carries out.
func told(s *Sight, c controller.Command, r Request, goal Goal, says ...string) Plan {
	c.By = r.By
	p := Plan{Command: &c, Says: says, Goal: goal, Track: Track{Key: s.Subject.Key(), Watched: true}}
	if last := s.Daemon.Last; last != nil {
		p.Track.Not = last.ID
	}
	if open := s.open(); open != nil {
		p.Track.Rollout = open.ID
		if c.Verb != controller.Pause && c.Verb != controller.Resume && c.Verb != controller.Retry {
			c.Rollout = cmp.Or(r.Rollout, open.ID)
			p.Command = &c
		}
	}
	return p
}

// byHand is a plan that is carried out in Rancher itself.
func byHand(s *Sight, goal Goal, says ...string) Plan {
	p := Plan{
		Says: append([]string{s.handNote()}, says...), Goal: goal,
		serviceID: s.Service.ID, version: s.Service.Launch.Version,
	}
	p.Track = Track{Key: s.Subject.Key()}.Take(*s)
	return p
}

// handNote says why Rancher itself is acted on.
func (s *Sight) handNote() string {
	switch {
	case s.Daemon == nil:
		return s.Language.Sprintf("%s: this acts on Rancher alone", s.Alone)
	case s.Daemon.Phase == reconcile.Stuck:
		return s.Language.Sprintf("the rollout is stuck, and the daemon writes nothing more: this acts on Rancher itself; `drover resume` gives the service back")
	case s.Daemon.Holding != "":
		return s.Language.Sprintf("the daemon only observes (%s): this acts on Rancher itself; `drover resume` gives the service back", s.Daemon.Holding)
	}
	return s.Language.Sprintf("the daemon has no rollout of it open: this acts on Rancher itself")
}

// checkRollout refuses when another rollout than the one meant is open.
func (s *Sight) checkRollout(r Request) error {
	open := s.open()
	switch {
	case r.Rollout == "" || open != nil && open.ID == r.Rollout:
		return nil
	case open == nil:
		return s.refuse("rollout %s is not open any more", r.Rollout)
	}
	return s.refuse("rollout %s is not the open one, %s is", r.Rollout, open.ID)
}

// BlindError says that Rancher cannot be read, and so nothing is done.
type BlindError struct {
	Problem  error
	Language language.Language
}

// Error says why.
func (e *BlindError) Error() string {
	return e.Language.Sprintf("Rancher cannot be read: %s", e.Problem)
}

// Unwrap is the cause.
func (e *BlindError) Unwrap() error { return e.Problem }

// blind tells a service that is not there, or that nobody said how to reach, from
// one that cannot be read now.
func (s *Sight) blind(p *observe.Problem) error {
	if p.Cause == observe.CauseNotFound || p.Cause == observe.CauseUnusable {
		return errors.New(p.Message)
	}
	return &BlindError{Problem: p, Language: s.Language}
}
