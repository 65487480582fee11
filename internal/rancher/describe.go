package rancher

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Description is what a service is configured to be, as far as a target needs it.
type Description struct {
	Stack, Name string
	// Image is without the docker: prefix.
	Image  string
	Labels map[string]string
	Ports  []string
	Scale  int
	// RetainIP keeps a container's address with its successor.
	RetainIP bool
	// Health is nil without a health check.
	Health *HealthCheck
	// Balancer is nil for what is no load balancer.
	Balancer *Balancer
	// Sidekicks are the secondary launch configurations.
	Sidekicks []Sidekick
}

// Sidekick is a secondary launch configuration.
type Sidekick struct {
	Name, Image string
	Labels      map[string]string
}

// HealthCheck is a service's health check.
type HealthCheck struct {
	Port int
	// RequestLine is empty for a check of the connection alone.
	RequestLine string
	// Initializing is how long a container may take to its first good answer.
	Initializing time.Duration
	// Strategy is what happens to an unhealthy container: recreate, none,
	// recreateOnQuorum.
	Strategy string
}

// Balancer is a load balancer's configuration.
type Balancer struct {
	Rules []PortRule
	// Config is the custom haproxy.cfg.
	Config string
}

// PortRule leads requests of a port to a service or to a label selector.
type PortRule struct {
	SourcePort int
	Hostname   string
	// Service is stack/service.
	Service  string
	Selector string
}

// describedService is a service with what only Describe reads.
type describedService struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	State    string            `json:"state"`
	StackID  string            `json:"stackId"`
	System   bool              `json:"system"`
	Scale    int               `json:"scale"`
	RetainIP bool              `json:"retainIp"`
	Launch   describedLaunch   `json:"launchConfig"`
	Others   []describedLaunch `json:"secondaryLaunchConfigs"`
	Balancer struct {
		Config string `json:"config"`
		Rules  []struct {
			SourcePort int    `json:"sourcePort"`
			Hostname   string `json:"hostname"`
			ServiceID  string `json:"serviceId"`
			Selector   string `json:"selector"`
		} `json:"portRules"`
	} `json:"lbConfig"`
}

// describedLaunch is a launch configuration with what only Describe reads.
type describedLaunch struct {
	Name        string         `json:"name"`
	ImageUUID   string         `json:"imageUuid"`
	Labels      map[string]any `json:"labels"`
	Ports       wirePorts      `json:"ports"`
	HealthCheck *struct {
		Port                int    `json:"port"`
		RequestLine         string `json:"requestLine"`
		InitializingTimeout int64  `json:"initializingTimeout"`
		Strategy            string `json:"strategy"`
	} `json:"healthCheck"`
}

// Describe reads the services of the named stacks, of all stacks without names,
// but for Rancher's own.
func (c *Client) Describe(ctx context.Context, stacks ...string) ([]Description, error) {
	names := map[string]string{}
	err := listAll(ctx, c, "/stacks", "stack", func(s *wireStack) error {
		if !isGone(s.State) {
			names[s.ID] = s.Name
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	known := slices.Collect(maps.Values(names))
	for _, want := range stacks {
		if !slices.Contains(known, want) {
			return nil, &Error{Op: "reading the stacks", Status: http.StatusNotFound, Message: "there is no stack " + clip(want)}
		}
	}
	raw := map[string]describedService{}
	err = listAll(ctx, c, "/services", "service", func(s *describedService) error {
		if !isGone(s.State) && !s.System {
			raw[s.ID] = *s
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var all []Description
	for _, s := range raw {
		if stack := names[s.StackID]; stack != "" && (len(stacks) == 0 || slices.Contains(stacks, stack)) {
			all = append(all, s.describe(stack, names, raw))
		}
	}
	slices.SortFunc(all, func(a, b Description) int {
		return cmp.Or(cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

func (s *describedService) describe(stack string, stacks map[string]string, all map[string]describedService) Description {
	d := Description{
		Stack: stack, Name: s.Name, Image: strings.TrimPrefix(s.Launch.ImageUUID, imagePrefix), Labels: texts(s.Launch.Labels),
		Ports: s.Launch.Ports, Scale: s.Scale, RetainIP: s.RetainIP,
	}
	if h := s.Launch.HealthCheck; h != nil {
		d.Health = &HealthCheck{
			Port: h.Port, RequestLine: h.RequestLine, Strategy: h.Strategy,
			Initializing: time.Duration(h.InitializingTimeout) * time.Millisecond,
		}
	}
	for _, o := range s.Others {
		d.Sidekicks = append(d.Sidekicks, Sidekick{Name: o.Name, Image: strings.TrimPrefix(o.ImageUUID, imagePrefix), Labels: texts(o.Labels)})
	}
	if s.Balancer.Config == "" && len(s.Balancer.Rules) == 0 {
		return d
	}
	d.Balancer = &Balancer{Config: s.Balancer.Config}
	for _, r := range s.Balancer.Rules {
		rule := PortRule{SourcePort: r.SourcePort, Hostname: r.Hostname, Selector: r.Selector}
		if to, ok := all[r.ServiceID]; ok {
			rule.Service = stacks[to.StackID] + "/" + to.Name
		}
		d.Balancer.Rules = append(d.Balancer.Rules, rule)
	}
	return d
}

// texts leaves out values that are no text: the server stores any.
func texts(labels map[string]any) map[string]string {
	kept := map[string]string{}
	for key, value := range labels {
		if text, ok := value.(string); ok {
			kept[key] = text
		}
	}
	return kept
}
