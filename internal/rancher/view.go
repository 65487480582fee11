package rancher

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
	"unique"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// imagePrefix stands before every image that Docker runs.
const imagePrefix = "docker:"

// view is the service as the rest of Drover sees it, without its containers.
func (s *wireService) view(stack string, at time.Time, secretsHidden bool) observe.Service {
	v := observe.Service{
		ReadAt:               at,
		ID:                   s.ID,
		Name:                 s.Name,
		Type:                 same(s.Type),
		Stack:                stack,
		StackKnown:           true,
		State:                observe.ServiceState(same(s.State)),
		HealthState:          same(s.HealthState),
		Transitioning:        same(s.Transitioning),
		TransitioningMessage: s.TransitioningMessage,
		Actions:              s.actions(),
		Scale:                s.Scale,
		CreateIndex:          s.CreateIndex,
		System:               s.System,
		RetainIP:             s.RetainIP,
		Upgrade:              s.Upgrade.view(secretsHidden),
	}
	if s.LaunchConfig != nil {
		v.Launch = s.LaunchConfig.view(secretsHidden)
		v.HasHealthCheck = s.LaunchConfig.HealthCheck != nil
		v.Global = s.LaunchConfig.Labels.global
		v.HostPorts = s.LaunchConfig.hasHostPorts()
	}
	v.Secondary = views(s.Secondary, secretsHidden)
	for i := range s.Secondary {
		// Global is judged on the labels of all launch configurations together.
		v.Global = v.Global || s.Secondary[i].Labels.global
		v.HostPorts = v.HostPorts || s.Secondary[i].hasHostPorts()
	}
	return v
}

// actions are the names of the offered actions, sorted.
func (s *wireService) actions() []string {
	names := slices.Sorted(maps.Keys(s.Actions))
	for i := range names {
		names[i] = same(names[i])
	}
	return names
}

// view is the part of a launch configuration that Drover reads.
func (l *wireLaunch) view(secretsHidden bool) observe.Launch {
	if l == nil {
		return observe.Launch{}
	}
	v := observe.Launch{
		Name:    same(l.Name),
		Image:   strings.TrimPrefix(l.ImageUUID, imagePrefix),
		Version: l.Version,
		Labels:  l.Labels.own,
		Secrets: len(l.Secrets),

		StartsOnce: l.Labels.once,
	}
	if secretsHidden {
		v.Secrets = -1
	}
	return v
}

// hasHostPorts says that a port of the host is taken: host:container, also with
// an address before it. A bare container port gets a free one.
func (l *wireLaunch) hasHostPorts() bool {
	return slices.ContainsFunc(l.Ports, func(port string) bool { return strings.Contains(port, ":") })
}

// view is the last in-service upgrade.
func (u *wireUpgrade) view(secretsHidden bool) *observe.Upgrade {
	if u == nil || u.InService == nil {
		return nil
	}
	return &observe.Upgrade{
		BatchSize:      u.InService.BatchSize,
		IntervalMillis: u.InService.IntervalMillis,
		StartFirst:     u.InService.StartFirst,
		To:             u.InService.To.view(secretsHidden),
		From:           u.InService.From.view(secretsHidden),
		ToSecondary:    views(u.InService.ToSecondary, secretsHidden),
		FromSecondary:  views(u.InService.FromSecondary, secretsHidden),
	}
}

// views are sidekicks' launch configurations; nil when there are none.
func views(list []wireLaunch, secretsHidden bool) []observe.Launch {
	var launches []observe.Launch
	for i := range list {
		launches = append(launches, list[i].view(secretsHidden))
	}
	return launches
}

// view is the container as the rest of Drover sees it.
func (c *wireContainer) view() observe.Container {
	v := observe.Container{
		ID:            c.ID,
		Name:          c.Name,
		LaunchName:    same(c.Labels.launch),
		Version:       c.Version,
		State:         same(c.State),
		Health:        same(c.HealthState),
		Image:         strings.TrimPrefix(c.ImageUUID, imagePrefix),
		IP:            c.PrimaryIP,
		HostID:        same(c.HostID),
		Unit:          c.Unit,
		StartCount:    c.StartCount,
		CreateIndex:   c.CreateIndex,
		Transitioning: same(c.Transitioning),
		Message:       c.TransitioningMessage,
	}
	if v.LaunchName == primaryLaunchConfig {
		v.LaunchName = ""
	}
	return v
}

// usable says that a host can take a container: its agent's state goes before its
// own when it is set (rancher-api 10).
func (h *wireHost) usable() bool {
	return h.State == "active" && (h.AgentState == "" || h.AgentState == "active")
}

// share gives a container its service's copies of the texts they have in common.
func share(c *observe.Container, s *observe.Service) {
	if c.Version == s.Launch.Version {
		c.Version = s.Launch.Version
	}
	if c.Image == s.Launch.Image {
		c.Image = s.Launch.Image
	}
}

// same is one copy of a text that stands in many records: states, actions and hosts
// repeat through thousands of them.
func same(s string) string {
	if s == "" {
		return ""
	}
	return unique.Make(s).Value()
}

// pack puts texts that live and die together into one piece of memory: of thousands of
// small pieces, each takes more than it holds.
func pack(texts ...*string) {
	size := 0
	for _, text := range texts {
		size += len(*text)
	}
	var b strings.Builder
	b.Grow(size)
	for _, text := range texts {
		b.WriteString(*text)
	}
	all := b.String()
	for _, text := range texts {
		*text, all = all[:len(*text)], all[len(*text):]
	}
}

// byID orders containers by the number in their id.
func byID(a, b observe.Container) int {
	return cmp.Or(cmp.Compare(idNumber(a.ID), idNumber(b.ID)), cmp.Compare(a.ID, b.ID))
}
