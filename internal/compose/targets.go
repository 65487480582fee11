package compose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// TargetOptions are what compose files do not say.
type TargetOptions struct {
	// RancherURL and Environment are of the Rancher that runs the stack.
	RancherURL, Environment string
	// BalancerHost is how the load balancers are reached; empty is their name in
	// Rancher's DNS, service.stack, which containers can resolve.
	BalancerHost string
}

// Note is something that could not be said in targets.yaml, or was guessed.
type Note struct {
	Place
	// Service is empty when it is about the stack.
	Service string
	Text    string
}

// String has the form file:line: service: text.
func (n Note) String() string {
	s := n.Text
	if n.Service != "" {
		s = n.Service + ": " + s
	}
	if n.File == "" {
		return s
	}
	if n.Line == 0 {
		return n.File + ": " + s
	}
	return fmt.Sprintf("%s:%d: %s", n.File, n.Line, s)
}

// Targets makes a configuration with a target for every service that follows a
// tag, and says what did not fit.
func Targets(stacks []*Stack, o TargetOptions) (*desired.Config, []Note) {
	m := mapper{o: o, config: &desired.Config{
		APIVersion: desired.APIVersion,
		Rancher: desired.Rancher{
			URL: o.RancherURL, Environment: o.Environment,
			AccessKey: desired.Secret{Env: "RANCHER_ACCESS_KEY"}, SecretKey: desired.Secret{Env: "RANCHER_SECRET_KEY"},
		},
	}}
	if o.RancherURL == "" {
		m.config.Rancher.URL = "http://rancher.example:8080"
		m.notes = append(m.notes, Note{Text: "rancher.url is not in compose files: put the real one in"})
	}
	for _, s := range stacks {
		m.balancers(s)
	}
	for _, s := range stacks {
		for i := range s.Services {
			m.service(s, &s.Services[i])
		}
	}
	return m.config, m.notes
}

// mapper collects the configuration and the notes.
type mapper struct {
	o      TargetOptions
	config *desired.Config
	notes  []Note
	// names are targets' by stack and service, routes the load balancers by
	// stack/service.
	names  map[string]string
	routes map[string]string
}

func (m *mapper) note(s *Service, path, format string, args ...any) {
	m.notes = append(m.notes, Note{Place: s.At(path), Service: s.Name, Text: fmt.Sprintf(format, args...)})
}

// balancers takes the load balancers with a statistics page, and who is behind
// them.
func (m *mapper) balancers(stack *Stack) {
	for i := range stack.Services {
		s := &stack.Services[i]
		if !s.IsBalancer() {
			continue
		}
		pages := statsPages(s.Balancer.Config)
		if len(pages) == 0 {
			m.note(s, "lb_config", "has no statistics page in lb_config.config: no loadBalancer gate for what is behind it")
			continue
		}
		m.balancer(stack, s, pages[0])
	}
}

func (m *mapper) balancer(stack *Stack, s *Service, page statsPage) {
	port, host := page.port, m.o.BalancerHost
	if port == 0 && len(s.Balancer.Rules) > 0 {
		port = s.Balancer.Rules[0].SourcePort
	}
	if host == "" {
		host = s.Name + "." + stack.Name
	}
	if s.Scale > 1 {
		m.note(s, "scale", "has %d instances: name the statistics page of each in loadBalancers[].stats", s.Scale)
	}
	lb := desired.LoadBalancer{Name: m.unique(s.Name, stack.Name), Stats: desired.URLs{fmt.Sprintf("http://%s:%d%s", host, cmp.Or(port, 80), page.uri)}}
	if page.hasAuth {
		lb.Auth = &desired.BasicAuth{Username: page.username, Password: desired.Secret{Env: variable(lb.Name) + "_STATS_PASSWORD"}}
		m.note(s, "lb_config", "the password of its statistics page is expected in %s", lb.Auth.Password)
	}
	m.config.LoadBalancers = append(m.config.LoadBalancers, lb)
	for _, rule := range s.Balancer.Rules {
		if rule.Selector != "" {
			m.note(s, "lb_config", "port %d selects services by label (%s): give them a loadBalancer gate by hand", rule.SourcePort, rule.Selector)
			continue
		}
		key := rule.Service
		if !strings.Contains(key, "/") {
			key = stack.Name + "/" + key
		}
		if m.routes == nil {
			m.routes = map[string]string{}
		}
		m.routes[key] = lb.Name
	}
}

// unique is a name, with the stack in front when another stack has it.
func (m *mapper) unique(name, stack string) string {
	if m.names == nil {
		m.names = map[string]string{}
	}
	if owner, taken := m.names[name]; taken && owner != stack {
		name = stack + "-" + name
	}
	m.names[name] = stack
	return name
}

// variable is a name as environment variables are written.
func variable(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
}

func (m *mapper) service(stack *Stack, s *Service) {
	if s.SidekickOf != "" || s.IsBalancer() {
		return
	}
	image, why := followed(s)
	switch {
	case s.isOnce():
		m.note(s, "labels", "its containers end by themselves (start_once): not a target")
		return
	case why != "":
		m.note(s, "image", "%s: not a target", why)
		return
	}
	t := desired.Target{Name: m.unique(s.Name, stack.Name), Stack: stack.Name, Service: s.Name, Image: image}
	for _, side := range stack.Sidekicks(s.Name) {
		m.sidekick(&t, side)
	}
	m.rollout(&t, s)
	m.gates(&t, stack, s)
	m.config.Targets = append(m.config.Targets, t)
}

// followed is the tag that a service follows, or why it follows none.
func followed(s *Service) (image, why string) {
	switch {
	case s.Image == "" && s.Build:
		return "", "is built by the compose file, so there is no tag to follow"
	case s.Image == "" || s.Image == "rancher/none":
		return "", "has no image"
	case isVariable(s.Image):
		return "", "its image holds a variable: write the image and tag that should be followed"
	}
	named, err := reference.ParseNormalizedNamed(s.Image)
	if err != nil {
		return "", "its image cannot be read: " + err.Error()
	}
	if _, is := named.(reference.Digested); is {
		return "", "its image is a digest, which never changes"
	}
	if strings.HasPrefix(s.Image, "rancher/") {
		return "", "is an image of Rancher's own"
	}
	if reference.IsNameOnly(named) {
		return s.Image + ":latest", ""
	}
	return s.Image, ""
}

func (m *mapper) sidekick(t *desired.Target, side *Service) {
	image, why := followed(side)
	switch {
	case side.isOnce():
		m.note(side, "labels", "its containers end by themselves (start_once): not followed")
	case why != "":
		m.note(side, "image", "%s: not followed", why)
	default:
		if t.Containers == nil {
			t.Containers = map[string]string{}
		}
		t.Containers[side.Name] = image
	}
}

// longestInterval is the most that targets.yaml takes: a rollback uses it too.
const longestInterval = 30 * time.Second

// rollout takes the upgrade strategy, as far as it is safe.
func (m *mapper) rollout(t *desired.Target, s *Service) {
	u := s.Upgrade
	if u == nil {
		return
	}
	t.Rollout.BatchSize = u.BatchSize
	if u.Interval > 0 {
		t.Rollout.Interval = desired.Duration{Duration: min(u.Interval, longestInterval)}
	}
	if u.Interval > longestInterval {
		m.note(s, "upgrade_strategy", "interval_millis is cut to 30 s, because a rollback uses it too: the bake is what waits")
	}
	if !u.StartFirst {
		return
	}
	if why := s.forbidsStartFirst(); why != "" {
		m.note(s, "upgrade_strategy", "start_first is left out: %s", why)
		return
	}
	t.Rollout.StartFirst = &u.StartFirst
}

// forbidsStartFirst says why a new container could not run beside the old one.
func (s *Service) forbidsStartFirst() string {
	switch {
	case s.RetainIP:
		return "retain_ip keeps the address with the old container"
	case len(s.HostPorts) > 0:
		return fmt.Sprintf("port %d of the host is taken by the old container, so it needs a host to spare", s.HostPorts[0])
	}
	return ""
}

// gates follow from the health check and from the load balancer in front.
func (m *mapper) gates(t *desired.Target, stack *Stack, s *Service) {
	if h := s.Health; h == nil {
		m.note(s, "", "has no health_check: add one, or an http or tcp gate; without any it is not deployed")
	} else {
		m.healthGates(t, h)
	}
	if lb := m.routes[stack.Name+"/"+s.Name]; lb != "" {
		t.Gates.LoadBalancer = &desired.LoadBalancerGate{Name: lb}
	}
}

func (m *mapper) healthGates(t *desired.Target, h *HealthCheck) {
	// Rancher replaces what is not healthy in time; twice that lets it try again.
	if own := 5 * time.Minute; 2*h.Initializing > own {
		t.Gates.Health = &desired.HealthGate{Deadline: desired.Duration{Duration: 2 * h.Initializing}}
	}
	switch path := h.Path(); {
	case h.Port == 0:
	case path != "":
		t.Gates.HTTP = &desired.HTTPGate{Port: h.Port, Path: path}
	case h.RequestLine == "":
		t.Gates.TCP = &desired.TCPGate{Port: h.Port}
	}
}

// Sorted is the notes in the order of the files.
func Sorted(notes []Note) []Note {
	slices.SortStableFunc(notes, byPlace)
	return notes
}

func byPlace(a, b Note) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
}
