package compose

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Stack is what the files, or a running Rancher, say about one stack.
type Stack struct {
	// Name is the stack's.
	Name string
	// Services are sorted by name, sidekicks included.
	Services []Service
}

// Service is one service or sidekick. A zero field means that the files do not
// say it.
type Service struct {
	Name  string
	Image string
	// Build says that the file builds the image itself.
	Build bool
	// SidekickOf is the primary of a sidekick.
	SidekickOf string
	Labels     map[string]string
	// Environment holds values as they are written; nil values are left out.
	Environment map[string]string
	// HostPorts are published on the hosts.
	HostPorts []uint32
	// Scale is 0 when it is not said.
	Scale    int
	RetainIP bool
	Health   *HealthCheck
	Upgrade  *UpgradeStrategy
	Balancer *Balancer
	// Place is where it stands.
	Place Place
	// places are where its parts stand.
	places places
}

// HealthCheck is Rancher's health_check.
type HealthCheck struct {
	Port int
	// RequestLine is empty for a check of the connection alone.
	RequestLine string
	// Initializing is how long a container may take to its first good answer.
	Initializing time.Duration
	// Strategy is what Rancher does with an unhealthy container: recreate when
	// empty, none, recreateOnQuorum.
	Strategy string
}

// Path is what an HTTP check asks for with GET; empty when it does not.
func (h *HealthCheck) Path() string {
	fields := strings.Fields(strings.ReplaceAll(h.RequestLine, `"`, " "))
	if len(fields) < 2 || fields[0] != "GET" || !strings.HasPrefix(fields[1], "/") {
		return ""
	}
	return fields[1]
}

// UpgradeStrategy is rancher-compose's upgrade_strategy.
type UpgradeStrategy struct {
	BatchSize  int
	Interval   time.Duration
	StartFirst bool
}

// Balancer is the lb_config of a load balancer service.
type Balancer struct {
	Rules []PortRule
	// Config is the custom haproxy.cfg.
	Config string
}

// PortRule leads requests of a port to a service.
type PortRule struct {
	SourcePort int
	Hostname   string
	// Service is a name within the stack, or stack/service.
	Service string
	// Selector chooses services by label instead.
	Selector string
}

// Place is where something stands in a file.
type Place struct {
	File string
	Line int
}

// places are by the path within the service: "image", "environment.KEY".
type places map[string]Place

// At is where a part of the service stands, or the nearest part around it.
func (s *Service) At(path string) Place {
	for path != "" {
		if p, ok := s.places[path]; ok {
			return p
		}
		path = path[:max(strings.LastIndexByte(path, '.'), 0)]
	}
	return s.Place
}

// IsBalancer says that it is Rancher's load balancer.
func (s *Service) IsBalancer() bool {
	return s.Balancer != nil && (len(s.Balancer.Rules) > 0 || s.Balancer.Config != "")
}

// isOnce says that its containers end by themselves: there is nothing to judge.
func (s *Service) isOnce() bool { return s.Labels["io.rancher.container.start_once"] == "true" }

// Sidekicks are those of a primary.
func (s *Stack) Sidekicks(primary string) []*Service {
	var found []*Service
	for i := range s.Services {
		if s.Services[i].SidekickOf == primary {
			found = append(found, &s.Services[i])
		}
	}
	return found
}

// find is a service by name.
func (s *Stack) find(name string) *Service {
	for i := range s.Services {
		if s.Services[i].Name == name {
			return &s.Services[i]
		}
	}
	return nil
}

// tie finds out who is whose sidekick, from the primaries' labels, and sorts.
func (s *Stack) tie() {
	slices.SortFunc(s.Services, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	for i := range s.Services {
		primary := s.Services[i].Name
		for name := range strings.SplitSeq(s.Services[i].Labels[sidekicksLabel], ",") {
			if side := s.find(strings.TrimSpace(name)); side != nil && side.Name != primary {
				side.SidekickOf = primary
			}
		}
	}
}

// sidekicksLabel names a primary's sidekicks (rancher-compose).
const sidekicksLabel = "io.rancher.sidekicks"
