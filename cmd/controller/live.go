package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// liveTimeout bounds the checks of one target.
const liveTimeout = 30 * time.Second

// checkLive asks the running systems about every target. It only reads.
func checkLive(ctx context.Context, config *desired.Config, log logr.Logger) ([]check, error) {
	clients, err := controller.Connect(config, log)
	if err != nil {
		return nil, err
	}
	defer clients.Rancher.Close()
	clients.Images.Sweep(ctx)
	checks := checkKey(ctx, clients, config)
	for i := range config.Targets {
		bounded, cancel := context.WithTimeout(ctx, liveTimeout)
		checks = append(checks, checkTarget(bounded, clients, &config.Targets[i])...)
		cancel()
	}
	return checks, nil
}

func checkTarget(ctx context.Context, clients *controller.Clients, t *desired.Target) []check {
	s := clients.Rancher.Service(ctx, t.Stack, t.Service)
	checks := append(checkImages(ctx, clients, t), checkService(t, &s)...)
	if g := t.Gates.LoadBalancer; g != nil && s.Problem == nil {
		reading := clients.Balancers.Read(ctx, "validate "+t.Key(), g.Name, primaries(&s))
		checks = append(checks, checkBalancer(t, g.Name, &s, &reading)...)
	}
	if s.Problem == nil {
		checks = append(checks, checkSight(ctx, clients, t, &s)...)
	}
	return checks
}

// checkKey says whose API key it is, and whether upgrades may be made with it.
func checkKey(ctx context.Context, clients *controller.Clients, config *desired.Config) []check {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	subject := config.Rancher.URL
	a, err := clients.Rancher.Access(ctx)
	switch {
	case err != nil:
		return []check{{levelFail, subject, err.Error()}}
	case a.Refusal() != "":
		return []check{{levelFail, subject, a.Refusal()}}
	case a.Kind == "project":
		return []check{{levelOK, subject, "the key is an environment API key"}}
	case a.Kind == "admin":
		// With access control off, wrong keys and none act as admin (rancher-api 1.2).
		return []check{{levelWarn, subject, "the key acts as an administrator, or Rancher's access control is off and any key does: an environment API key can do less"}}
	}
	return []check{{levelWarn, subject, "the key belongs to a person (" + a.Kind + ") and ends with that membership: use an environment API key"}}
}

// checkImages says whether the tags can be read, for the hosts' platform.
func checkImages(ctx context.Context, clients *controller.Clients, t *desired.Target) []check {
	images := []string{t.Image}
	for _, image := range t.Containers {
		images = append(images, image)
	}
	slices.Sort(images[1:])
	var checks []check
	for _, ref := range images {
		img := clients.Images.Image(ctx, ref, t.Platform)
		switch {
		case img.Problem != nil:
			checks = append(checks, check{levelFail, ref, img.Problem.Message})
		case img.PlatformMissing:
			checks = append(checks, check{levelFail, ref, "has nothing for " + t.Platform})
		default:
			checks = append(checks, check{levelOK, ref, "is " + img.Digest})
		}
	}
	return checks
}

// checkService says whether Rancher would let the service be upgraded, and
// whether anything would tell a bad version.
func checkService(t *desired.Target, s *observe.Service) []check {
	subject := t.Key()
	if s.Problem != nil {
		return []check{{levelFail, subject, "Rancher: " + s.Problem.Message}}
	}
	checks := []check{{levelOK, subject, fmt.Sprintf("service %s is %s, %d containers", s.ID, s.State, len(s.Containers))}}
	add := func(level, message string) { checks = append(checks, check{level, subject, message}) }
	if s.System {
		add(levelFail, "is a system service, which Drover leaves alone")
	}
	if s.State == observe.StateActive && !slices.Contains(s.Actions, "upgrade") {
		add(levelFail, "Rancher does not offer the upgrade action to this key")
	}
	if !s.HasHealthCheck {
		add(levelWarn, "has no health check in Rancher: the health gate would be blind")
	}
	if s.Launch.Secrets < 0 || slices.ContainsFunc(s.Secondary, func(l observe.Launch) bool { return l.Secrets < 0 }) {
		add(levelFail, "its Rancher secrets are hidden from this key: an upgrade would lose them")
	}
	if s.ContainersProblem != nil {
		add(levelFail, "containers: "+s.ContainersProblem.Message)
	}
	for name := range t.Containers {
		if !slices.ContainsFunc(s.Secondary, func(l observe.Launch) bool { return l.Name == name }) {
			add(levelFail, "has no sidekick "+name)
		}
	}
	return checks
}

// checkBalancer says whether the statistics can be read and know the containers.
func checkBalancer(t *desired.Target, name string, s *observe.Service, r *observe.LoadBalancer) []check {
	subject := t.Key() + " at load balancer " + name
	if r.Problem != nil {
		return []check{{levelFail, subject, r.Problem.Message}}
	}
	var checks []check
	for _, missing := range r.Missing {
		checks = append(checks, check{levelWarn, subject, "an instance does not answer: " + missing.Message})
	}
	found := map[string]bool{}
	for i := range r.Servers {
		found[r.Servers[i].Container] = true
	}
	absent := 0
	for _, c := range primaries(s) {
		if !found[c.ID] {
			absent++
			checks = append(checks, check{levelFail, subject, "no server row for container " + c.ID + " (" + c.IP + "): the gate would be blind"})
		}
	}
	if absent == 0 {
		checks = append(checks, check{levelOK, subject, fmt.Sprintf("%d containers found in its statistics", len(primaries(s)))})
	}
	return checks
}

// primaries are the running containers that a load balancer can know.
func primaries(s *observe.Service) []observe.Container {
	return slices.DeleteFunc(slices.Clone(s.Containers), func(c observe.Container) bool {
		return c.LaunchName != "" || c.State != "running"
	})
}
