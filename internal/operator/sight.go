package operator

import (
	"slices"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Sight is one look at a service: all that a plan is made from.
type Sight struct {
	At      time.Time
	Subject Subject
	// Language is that of the person who looks: sentences made from a sight are in it.
	Language language.Language
	// Service is Rancher's view; its Problem says why there is none.
	Service observe.Service
	// ActiveHosts counts for global services.
	ActiveHosts int
	// Daemon is the daemon's view; nil when none looks after the service, and then
	// Alone says why.
	Daemon *web.Detail
	Alone  string
	// DaemonProblem says that a daemon should be there and does not answer; Daemon
	// is then what it said last, or nil.
	DaemonProblem string
	// Image is what the followed tag names; read when a plan needs it.
	Image observe.Image
	// Back is what a finished rollout can be taken back to; read when a plan needs
	// it, and BackProblem says why there is none.
	Back        *Back
	BackProblem string
}

// Back is a way back from a finished rollout.
type Back struct {
	Digest string
	Image  string
	// Ran is when it ran last.
	Ran time.Time
	// Source is where it comes from: the journal, or Rancher's record.
	Source string
	// Restoring is it in full, for one who acts without the daemon.
	Restoring *reconcile.Restoring
}

// open is the daemon's open rollout, or nil.
func (s *Sight) open() *web.Rollout {
	if s.Daemon == nil {
		return nil
	}
	return s.Daemon.Rollout
}

// isDaemons says that the daemon has this rollout open and acts on it.
func (s *Sight) isDaemons() bool {
	return s.open() != nil && s.Daemon.Phase != reconcile.Stuck
}

// offers says whether Rancher offers an action now.
func (s *Sight) offers(action reconcile.Action) bool {
	return slices.Contains(s.Service.Actions, string(action))
}

// Unproved says what is missing until the service runs one version, healthy, on
// every container; empty when nothing is.
func (s *Sight) Unproved() string {
	if s.Service.Problem != nil {
		return s.Service.Problem.Message
	}
	return reconcile.Prove(s.Service, s.ActiveHosts)
}

// InUpgrade says that Rancher has an upgrade under way that can still be taken
// back or finished.
func InUpgrade(state observe.ServiceState) bool {
	switch state {
	case observe.StateUpgrading, observe.StateUpgraded, observe.StateFinishingUpgrade,
		observe.StateCancelingUpgrade, observe.StateCanceledUpgrade, observe.StateRollingBack:
		return true
	default:
		return false
	}
}

// SideOf says on which side of the upgrade under way a container is; of a service
// that runs one version it is on none.
func SideOf(s *observe.Service, c *observe.Container) logs.Version {
	v := logs.VersionOf(s, c)
	if v == logs.VersionUnknown && InUpgrade(s.State) && c.Version == s.Launch.Version && s.State != observe.StateRollingBack {
		return logs.VersionNew // Its old ones are gone already.
	}
	return v
}

// count counts the primary containers on a side that run, and those of them that
// are well.
func (s *Sight) count(side logs.Version) (running, well int) {
	for i := range s.Service.Containers {
		c := &s.Service.Containers[i]
		if c.LaunchName != "" || SideOf(&s.Service, c) != side || !isRunning(c) {
			continue
		}
		running++
		if c.Health == "" || c.Health == "healthy" || c.Health == "updating-healthy" {
			well++
		}
	}
	return running, well
}

func isRunning(c *observe.Container) bool {
	return c.State == "running" || c.State == "updating-running"
}

// names are the containers of a side that are not removed, as people read them.
func (s *Sight) names(side logs.Version) []string {
	var names []string
	for i := range s.Service.Containers {
		if c := &s.Service.Containers[i]; SideOf(&s.Service, c) == side {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return names
}

// expected is how many containers of the primary there must be.
func (s *Sight) expected() int {
	if s.Service.Global {
		return s.ActiveHosts
	}
	return s.Service.Scale
}

// Standing is the service in one sentence, as Rancher alone shows it.
func (s *Sight) Standing() string {
	svc := &s.Service
	if svc.Problem != nil {
		return s.Language.Sprintf("Rancher cannot be read: %s", svc.Problem.Message)
	}
	fresh, well := s.count(logs.VersionNew)
	old, _ := s.count(logs.VersionOld)
	switch svc.State {
	case observe.StateUpgrading:
		return s.Language.Sprintf("%d of %d containers are new, %d of them healthy; %d old ones run", fresh, s.expected(), well, old)
	case observe.StateUpgraded:
		if problem := s.Unproved(); problem != "" {
			return s.Language.Sprintf("upgraded, but %s", problem)
		}
		return s.Language.Sprintf("upgraded: %d new containers are healthy, %d old ones are kept for the way back", fresh, len(s.names(logs.VersionOld)))
	case observe.StateFinishingUpgrade:
		return s.Language.Sprintf("Rancher removes the old containers")
	case observe.StateRollingBack:
		return s.Language.Sprintf("Rancher goes back to %s", ShortImage(svc.Launch.Image))
	case observe.StateCancelingUpgrade:
		return s.Language.Sprintf("Rancher stops the upgrade")
	case observe.StateCanceledUpgrade:
		return s.Language.Sprintf("cancelled: %d new and %d old containers run side by side", fresh, old)
	case observe.StateActive:
		if problem := s.Unproved(); problem != "" {
			return s.Language.Sprintf("active, but %s", problem)
		}
		running, _ := s.count(logs.VersionUnknown)
		return s.Language.Sprintf("runs %s on %d containers", ShortImage(svc.Launch.Image), running)
	default:
		return s.Language.Sprintf("Rancher says %s", svc.State)
	}
}
