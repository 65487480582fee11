package reconcile

import (
	"fmt"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// expected is how many containers of the primary there must be.
// In upgraded Rancher makes no container: one that was asked for since the start
// comes with the finish (A28).
func (l *look) expected() int {
	n := l.svc().Scale
	if l.svc().Global {
		n = l.in.Observed.Hosts.Active
	}
	if l.r != nil && l.r.Scale > 0 && l.svc().State == observe.StateUpgraded {
		return min(n, l.r.Scale)
	}
	return n
}

// countVersions counts running primary containers, new and old.
func (l *look) countVersions() (fresh, old int) {
	for i := range l.svc().Containers {
		c := &l.svc().Containers[i]
		if c.LaunchName != "" || !isRunning(c) {
			continue
		}
		if l.isNew(c) {
			fresh++
		} else {
			old++
		}
	}
	return fresh, old
}

// Prove says what is missing until a service runs its launch configuration on all
// containers, healthy, and nothing else; empty when nothing is. activeHosts is how
// many containers a global service has. It is the proof that Drover's own finish
// needs, for a person who acts without the daemon.
func Prove(s observe.Service, activeHosts int) string {
	in := Input{Observed: observe.Snapshot{Service: s, Hosts: observe.Hosts{Active: activeHosts}}}
	l := look{in: in}
	return l.prove()
}

// prove says what is missing until every container is of the launch
// configuration in force, runs its image and is healthy; nothing else runs. The
// service's state, healthState and currentScale are not asked: they lie at times
// (rancher-api 14.3, 15.1).
func (l *look) prove() string {
	if problem := l.proveImages(); problem != "" {
		return problem
	}
	checked := l.svc().HasHealthCheck
	for i := range l.svc().Containers {
		c := &l.svc().Containers[i]
		if isRunning(c) && !isHealthy(c, checked) && l.isNew(c) {
			return fmt.Sprintf("%s is %s", c.Name, orUnknown(c.Health))
		}
	}
	return ""
}

// proveImages is prove for counts, versions and images, and for the health of
// what carries a check.
func (l *look) proveImages() string {
	if p := l.svc().ContainersProblem; p != nil {
		return "its containers cannot be read: " + p.Message
	}
	good := 0
	for i := range l.svc().Containers {
		c := &l.svc().Containers[i]
		if isLeaving(c) {
			continue
		}
		if problem := l.proveContainer(c); problem != "" {
			return problem
		}
		if c.LaunchName == "" && isRunning(c) {
			good++ // Proved, and so of the wanted version.
		}
	}
	if want := l.expected(); good < want {
		return fmt.Sprintf("%d of %d containers of the wanted version run", good, want)
	}
	return ""
}

func (l *look) proveContainer(c *observe.Container) string {
	launch := l.launchOf(c)
	if launch == nil {
		return c.Name + " belongs to no launch configuration"
	}
	isNew := c.Version == launch.Version
	switch {
	case !isNew && isRunning(c):
		return c.Name + " of another version still runs"
	case !isNew:
		return "" // Stopped: Rancher keeps it for the way back.
	case c.Image != launch.Image:
		return fmt.Sprintf("%s runs %s", c.Name, c.Image)
	case !isRunning(c):
		return fmt.Sprintf("%s is %s", c.Name, orUnknown(c.State))
	case c.Health != "" && !isHealthy(c, l.svc().HasHealthCheck):
		return fmt.Sprintf("%s is %s", c.Name, c.Health)
	}
	return ""
}

func orUnknown(s string) string {
	if s == "" {
		return "in an unknown state"
	}
	return s
}

// isRunningImage says whether every running primary container is known to run the
// image configuration (ruling 4), and whether any is known to run another one.
func (l *look) isRunningImage(config string) (verified, mismatch bool) {
	known, total := 0, 0
	for i := range l.svc().Containers {
		c := &l.svc().Containers[i]
		if c.LaunchName != "" || !isRunning(c) {
			continue
		}
		total++
		if c.ImageID == "" {
			continue
		}
		known++
		if c.ImageID != config {
			mismatch = true
		}
	}
	return config != "" && total > 0 && known == total && !mismatch, config != "" && mismatch
}
