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
	l.classify()
	return l.prove()
}

// prove says what is missing until every container is of the launch
// configuration in force, runs its image and is healthy; nothing else runs. The
// service's state, healthState and currentScale are not asked: they lie at times
// (rancher-api 14.3, 15.1).
func (l *look) prove() string {
	problem, unwell := l.proveImages()
	if problem == "" && unwell != nil {
		return fmt.Sprintf("%s is %s", unwell.Name, orUnknown(unwell.Health))
	}
	return problem
}

// proveImages is prove for counts, versions and images, and for the health of
// what carries a check. The container that runs the right image and is not healthy
// for want of a check's result is unwell.
func (l *look) proveImages() (problem string, unwell *observe.Container) {
	if p := l.svc().ContainersProblem; p != nil {
		return "its containers cannot be read: " + p.Message, nil
	}
	good := 0
	for i := range l.svc().Containers {
		c, k := &l.svc().Containers[i], l.rows.of(i).kind
		if k.has(leaving) {
			continue
		}
		if problem := l.proveContainer(c, k); problem != "" {
			return problem, nil
		}
		if !k.has(running) {
			continue
		}
		if c.LaunchName == "" {
			good++ // Proved, and so of the wanted version.
		}
		if unwell == nil && !k.has(healthy) {
			unwell = c
		}
	}
	if want := l.expected(); good < want {
		return fmt.Sprintf("%d of %d containers of the wanted version run", good, want), nil
	}
	return "", unwell
}

func (l *look) proveContainer(c *observe.Container, k kind) string {
	launch := l.launchOf(c)
	if launch == nil {
		return c.Name + " belongs to no launch configuration"
	}
	isNew := k.has(fresh)
	switch {
	case !isNew && k.has(running):
		return c.Name + " of another version still runs"
	case !isNew:
		return "" // Stopped: Rancher keeps it for the way back.
	case c.Image != launch.Image:
		return fmt.Sprintf("%s runs %s", c.Name, c.Image)
	case !k.has(running):
		return fmt.Sprintf("%s is %s", c.Name, orUnknown(c.State))
	case c.Health != "" && !k.has(healthy):
		return fmt.Sprintf("%s is %s", c.Name, c.Health)
	}
	return ""
}

// isDone says that a container did what it was there for: one that starts once and
// stopped after a start counts as healthy for Rancher, and is left stopped
// (rancher-api 2.5, 2.6). How it ended Rancher does not tell.
func (l *look) isDone(c *observe.Container) bool {
	if c.State != "stopped" || c.StartCount == 0 {
		return false
	}
	launch := l.launchOf(c)
	return launch != nil && launch.StartsOnce
}

func orUnknown(s string) string {
	if s == "" {
		return "in an unknown state"
	}
	return s
}

// isRunningImage says whether every running container of the primary, or of a
// sidekick by its name, is known to run the image configuration (ruling 4), and
// whether any is known to run another one.
func (l *look) isRunningImage(launch, config string) (verified, mismatch bool) {
	known, total := 0, 0
	for i := range l.svc().Containers {
		c := &l.svc().Containers[i]
		if c.LaunchName != launch || !isRunning(c) {
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
