package logs

import (
	"context"
	"slices"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Services shows services and says when one looks different (rancher.Informer).
type Services interface {
	// Service is a service with its containers; what is not fresh costs no request.
	Service(ctx context.Context, stack, service string, fresh bool) observe.Service
	// Watch returns a channel that holds a token once the service looks different,
	// and a function that ends it.
	Watch(stack, service string) (changed <-chan struct{}, stop func())
}

// ServiceName is a service the way people name it.
type ServiceName struct {
	// Stack and Service are names, not ids.
	Stack, Service string
}

// String is stack/service.
func (n ServiceName) String() string { return n.Stack + "/" + n.Service }

// ServiceOptions say what of services is followed.
type ServiceOptions struct {
	FollowOptions
	// Tail is how many lines of history each container gives that is there at the
	// beginning, Since from when on. A container that appears later gives all it
	// wrote.
	Tail  int
	Since time.Time
	// Wants says which containers are followed; all when nil. It is asked again
	// when a container's side of the rollout changes.
	Wants func(Container) bool
}

// recheck is how often services are looked at although nothing was told of them.
const recheck = time.Second

// FollowServices follows the logs of all containers of services, merged in the
// order of their timestamps, until ctx ends or the follower is closed. Containers
// that appear later are attached when the service is seen to have them; those of
// a rollout are told apart as old and new.
//
// With Once it reads the containers that are there now.
func FollowServices(ctx context.Context, src Source, services Services, o ServiceOptions, names ...ServiceName) *Follower {
	w := &serviceWatch{services: services, opts: o, seen: map[ServiceName][]Container{}}
	if o.Once {
		return Follow(ctx, src, o.FollowOptions, w.set(ctx, names)...)
	}
	f := Follow(ctx, src, o.FollowOptions)
	// The watchers are registered before the first look: nothing falls between.
	wake := make(chan struct{}, 1)
	for _, name := range names {
		changed, stop := services.Watch(name.Stack, name.Service)
		f.streams.Go(func() {
			defer stop()
			relay(f.ctx, changed, wake)
		})
	}
	f.streams.Go(func() { w.run(f, names, wake) })
	return f
}

// relay passes tokens on.
func relay(ctx context.Context, from <-chan struct{}, to chan<- struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-from:
		}
		select {
		case to <- struct{}{}:
		default:
		}
	}
}

// serviceWatch turns what services look like into the set of a follower. It
// belongs to one goroutine.
type serviceWatch struct {
	services Services
	opts     ServiceOptions
	// seen are the containers of a service when it was seen last; no entry means
	// that it never was.
	seen map[ServiceName][]Container
}

// run keeps the follower's set up to date.
func (w *serviceWatch) run(f *Follower, names []ServiceName, wake <-chan struct{}) {
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for {
		f.Set(w.set(f.ctx, names))
		select {
		case <-f.ctx.Done():
			return
		case <-wake:
		case <-tick.C:
		}
	}
}

// set is what is to be followed of all services.
func (w *serviceWatch) set(ctx context.Context, names []ServiceName) []Container {
	var set []Container
	for _, name := range names {
		for _, c := range w.look(ctx, name) {
			if w.opts.Wants == nil || w.opts.Wants(c) {
				set = append(set, c)
			}
		}
	}
	return set
}

// look is what a service consists of. One that cannot be read is as it was: a
// blind moment ends no stream.
func (w *serviceWatch) look(ctx context.Context, name ServiceName) []Container {
	s := w.services.Service(ctx, name.Stack, name.Service, false)
	isGone := s.Problem != nil && s.Problem.Cause == observe.CauseNotFound
	before, known := w.seen[name]
	if s.Problem != nil && !isGone || s.ContainersProblem != nil {
		return before
	}
	now := make([]Container, 0, len(s.Containers))
	for i := range s.Containers {
		c := containerOf(&s, &s.Containers[i], name)
		switch j := slices.IndexFunc(before, func(b Container) bool { return b.ID == c.ID }); {
		case j >= 0:
			c.Tail, c.Since = before[j].Tail, before[j].Since
		case known:
			c.Tail = AllLines
		default:
			c.Tail, c.Since = w.opts.Tail, w.opts.Since
		}
		now = append(now, c)
	}
	w.seen[name] = now
	return now
}

// containerOf is a container of a service as a follower takes it.
func containerOf(s *observe.Service, c *observe.Container, name ServiceName) Container {
	return Container{ID: c.ID, Name: c.Name, Service: name.String(), Version: VersionOf(s, c), State: c.State}
}

// VersionOf says on which side of a rollout a container is. Rancher puts the
// launch configuration of the new version into the service at once when an
// upgrade begins, and takes it back at once when a rollback does (rancher-api 3.3,
// 3.8), so that in rolling-back the containers in force are the old ones. A launch
// configuration that the rollout leaves alone has one version only, and no sides.
func VersionOf(s *observe.Service, c *observe.Container) Version {
	isCurrent := c.Version == launchVersion(s, c.LaunchName)
	if isCurrent && !hasOther(s, c) {
		return VersionUnknown
	}
	switch s.State { //nolint:exhaustive // The others are not part of a rollout.
	case observe.StateUpgrading, observe.StateUpgraded, observe.StateFinishingUpgrade,
		observe.StateCancelingUpgrade, observe.StateCanceledUpgrade:
		if isCurrent {
			return VersionNew
		}
		return VersionOld
	case observe.StateRollingBack:
		if isCurrent {
			return VersionOld
		}
		return VersionNew
	}
	// What a rollout left behind is being removed.
	switch {
	case isCurrent:
		return VersionUnknown
	case isLeftByRollback(s, c):
		return VersionNew
	}
	return VersionOld
}

// isLeftByRollback says that a container is of the version that was taken back.
func isLeftByRollback(s *observe.Service, c *observe.Container) bool {
	return s.Upgrade != nil && c.LaunchName == "" && c.Version == s.Upgrade.To.Version
}

// hasOther says that a container of the same launch configuration has another
// version.
func hasOther(s *observe.Service, c *observe.Container) bool {
	return slices.ContainsFunc(s.Containers, func(o observe.Container) bool {
		return o.LaunchName == c.LaunchName && o.Version != c.Version
	})
}

// launchVersion is the version of a launch configuration in force; name is empty
// for the primary.
func launchVersion(s *observe.Service, name string) string {
	if name == "" {
		return s.Launch.Version
	}
	i := slices.IndexFunc(s.Secondary, func(l observe.Launch) bool { return l.Name == name })
	if i < 0 {
		return ""
	}
	return s.Secondary[i].Version
}
