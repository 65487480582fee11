package operator

import (
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

const repository = "registry.example/shop/api"

// digest is one of as many equal letters as a digest has.
func digest(letter byte) string {
	b := make([]byte, 64)
	for i := range b {
		b[i] = letter
	}
	return "sha256:" + string(b)
}

func pinned(letter byte) string { return repository + "@" + digest(letter) }

// noon is when every sight is taken.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// offered are the actions of Rancher 1.6 by state (rancher-api 2.7).
var offered = map[observe.ServiceState][]string{
	observe.StateActive:           {"upgrade", "restart"},
	observe.StateUpgrading:        {"cancelupgrade", "rollback"},
	observe.StateUpgraded:         {"finishupgrade", "rollback"},
	observe.StateFinishingUpgrade: {"cancelupgrade"},
	observe.StateCanceledUpgrade:  {"rollback", "continueupgrade"},
}

// service is shop/api of two containers in a state: a ran before, b is what an
// upgrade brings. In active it runs a unless told otherwise.
func service(state observe.ServiceState) observe.Service {
	s := observe.Service{
		ID: "1s5", Name: "api", Stack: "shop", StackKnown: true, State: state, Scale: 2, HasHealthCheck: true,
		Launch: observe.Launch{Image: pinned('a'), Version: "va"}, Actions: offered[state],
	}
	old := func(running string) {
		s.Containers = append(s.Containers, container("1i1", 'a', running), container("1i2", 'a', running))
	}
	fresh := func() {
		s.Containers = append(s.Containers, container("1i3", 'b', "running"), container("1i4", 'b', "running"))
	}
	switch state {
	case observe.StateActive:
		old("running")
		return s
	case observe.StateUpgrading:
		s.Containers = []observe.Container{container("1i1", 'a', "running"), container("1i2", 'a', "stopped"), container("1i3", 'b', "running")}
	case observe.StateRollingBack:
		s.Upgrade = &observe.Upgrade{To: observe.Launch{Image: pinned('b'), Version: "vb"}, From: s.Launch}
		s.Containers = []observe.Container{container("1i1", 'a', "starting"), container("1i3", 'b', "stopping")}
		return s
	default:
		old("stopped")
		fresh()
	}
	s.Upgrade = &observe.Upgrade{To: observe.Launch{Image: pinned('b'), Version: "vb"}, From: s.Launch}
	s.Launch = s.Upgrade.To
	return s
}

// finished is the service after the upgrade to b.
func finished() observe.Service {
	s := service(observe.StateUpgraded)
	s.State, s.Actions, s.Containers = observe.StateActive, offered[observe.StateActive], s.Containers[2:]
	return s
}

// rolledBack is the service after the upgrade to b was taken back.
func rolledBack() observe.Service {
	s := service(observe.StateActive)
	s.Upgrade = service(observe.StateUpgraded).Upgrade
	return s
}

func container(id string, letter byte, state string) observe.Container {
	c := observe.Container{ID: id, Name: "shop-api-" + id[2:], Version: "v" + string(letter), Image: pinned(letter), State: state}
	if state == "running" {
		c.Health = "healthy"
	}
	return c
}

// alone is a sight without a daemon.
func alone(s observe.Service) Sight {
	return Sight{At: noon, Subject: Subject{Stack: "shop", Service: "api"}, Service: s, Alone: "no daemon is running on state directory state"}
}

// watched is a sight with a daemon that sees it so.
func watched(s observe.Service, d web.View) Sight {
	d.Target, d.Name, d.Image = "shop/api", "api", repository+":latest"
	target := desired.Target{Name: "api", Stack: "shop", Service: "api", Image: d.Image}
	return Sight{
		At: noon, Service: s, Daemon: &web.Detail{View: d},
		Subject: Subject{Stack: "shop", Service: "api", Name: "api", Image: d.Image, Target: &target},
	}
}

// baking is the daemon's view of the upgrade to b, three minutes into ten.
func baking() web.View {
	return web.View{
		Phase: reconcile.Bake, Code: reconcile.CodeBaking, Reason: "every gate holds so far", Running: digest('a'), Wanted: digest('b'),
		BakeStart: noon.Add(-3 * time.Minute), BakeUntil: noon.Add(7 * time.Minute),
		Rollout: &web.Rollout{ID: "api-1", Kind: reconcile.Deploy, From: digest('a'), To: digest('b'), Started: noon.Add(-5 * time.Minute)},
	}
}

// idle is the daemon's view when a runs and the tag names a letter.
func idle(letter byte) web.View {
	return web.View{Phase: reconcile.Idle, Code: reconcile.CodeNothingToDo, Reason: "runs what the tag names", Running: digest('a'), Wanted: digest(letter)}
}

func view(v web.View, change func(*web.View)) web.View {
	change(&v)
	return v
}
