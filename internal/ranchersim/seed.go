package ranchersim

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
)

// AddProject adds a project (environment) and returns its id.
func (s *Server) AddProject(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &project{id: s.next(prefixProject), state: stateActive, name: name, uuid: s.uuid(), created: s.now()}
	s.projects = append(s.projects, p)
	return formatID(prefixProject, p.id)
}

// ProjectID is the id of the first project.
func (s *Server) ProjectID() string { return formatID(prefixProject, s.projects[0].id) }

// AddHost adds an active host to the first project and returns its id.
func (s *Server) AddHost(hostname, address string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &host{
		id: s.next(prefixHost), project: s.projects[0], hostname: hostname, address: address, state: stateActive,
		uuid: s.uuid(), created: s.now(), link: newAgentLink(),
		labels: map[string]any{"io.rancher.host.docker_version": "20.10", "io.rancher.host.os": "linux"},
	}
	s.hosts[h.id] = h
	s.bus.touch(kindHost, h.id)
	s.triggerGlobals(h.project)
	return formatID(prefixHost, h.id)
}

// SetHostState moves a host to active, inactive, reconnecting or disconnected.
func (s *Server) SetHostState(hostID, state string) error {
	n, ok := parseID(hostID)
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[n]
	if !ok || h == nil {
		return fmt.Errorf("no host %s", hostID)
	}
	s.setHostState(h, state)
	return nil
}

// setHostState records a host's state. The caller holds mu.
func (s *Server) setHostState(h *host, state string) {
	h.state = state
	h.relink()
	s.bus.touch(kindHost, h.id)
	s.triggerGlobals(h.project)
}

// triggerGlobals has the global services looked at again. The caller holds mu.
func (s *Server) triggerGlobals(p *project) {
	for _, svc := range s.services {
		if svc.project == p && svc.removed.IsZero() && svc.isGlobal() {
			s.trigger(svc)
		}
	}
}

// CreateStack adds a stack to the first project and returns its id.
func (s *Server) CreateStack(name string) (string, error) { return s.createStack(name, false) }

// CreateSystemStack adds a stack of Rancher's own infrastructure, which clients are to leave alone.
func (s *Server) CreateSystemStack(name string) (string, error) { return s.createStack(name, true) }

func (s *Server) createStack(name string, system bool) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, apiErr := (&validator{}).object(schemas["stack"], map[string]any{"name": name}, forCreate)
	if apiErr != nil {
		return "", apiErr
	}
	st, apiErr := s.newStack(s.projects[0], in)
	if apiErr != nil {
		return "", apiErr
	}
	st.system = system
	return formatID(prefixStack, st.id), nil
}

// ServiceSpec describes a service to be created.
type ServiceSpec struct {
	StackID, Name string
	Kind          string // "" is service.
	Scale         int
	LaunchConfig  json.RawMessage   // As in a POST.
	Sidekicks     []json.RawMessage // secondaryLaunchConfigs, each with a name.
	LBConfig      json.RawMessage   // For a loadBalancerService.
	Fields        json.RawMessage   // Further members of the POST, as an object.
	Start         bool              // Activate it at once.
}

// CreateService adds a service as a POST would and returns its id. It is not active yet when this returns.
func (s *Server) CreateService(spec ServiceSpec) (string, error) {
	sch := schemas["service"]
	if spec.Kind != "" {
		sch = schemas[spec.Kind]
	}
	if sch == nil || !sch.isService() {
		return "", fmt.Errorf("unknown kind of service %q", spec.Kind)
	}
	body, err := spec.body()
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := view{server: s, caller: caller{project: s.projects[0]}, version: apiV2}
	in, apiErr := s.validator(v).object(sch, body, forCreate)
	if apiErr != nil {
		return "", apiErr
	}
	if sch.isDriver() {
		in["launchConfig"] = body["launchConfig"] // Rancher's own bring theirs along; no defaults are filled in.
	}
	svc, apiErr := s.newService(s.projects[0], sch, in)
	if apiErr != nil {
		return "", apiErr
	}
	return formatID(prefixService, svc.id), nil
}

// body builds the request that creates the service.
func (spec ServiceSpec) body() (map[string]any, error) {
	body := map[string]any{
		"name": spec.Name, "stackId": spec.StackID, "scale": json.Number(strconv.Itoa(spec.Scale)), "startOnCreate": spec.Start,
	}
	if spec.Fields != nil {
		v, err := decodeJSON(spec.Fields)
		further, ok := v.(map[string]any)
		if err != nil || !ok {
			return nil, fmt.Errorf("reading the further fields: no object (%w)", err)
		}
		maps.Copy(body, further)
	}
	for name, raw := range map[string]json.RawMessage{"launchConfig": spec.LaunchConfig, "lbConfig": spec.LBConfig} {
		if raw == nil {
			continue
		}
		v, err := decodeJSON(raw)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		body[name] = v
	}
	var sidekicks []any
	for n, raw := range spec.Sidekicks {
		v, err := decodeJSON(raw)
		if err != nil {
			return nil, fmt.Errorf("reading sidekick %d: %w", n, err)
		}
		sidekicks = append(sidekicks, v)
	}
	if sidekicks != nil {
		body["secondaryLaunchConfigs"] = sidekicks
	}
	return body, nil
}

// Container is what a load balancer has to know about a container.
type Container struct {
	ID, Name       string
	Stack, Service string
	Config         string // The sidekick's name; "" is the primary.
	ServiceID      string
	State, Health  string
	IP             string
	Version        string // launchConfig.version it was made from.
	Ports          []int  // Private ports.
	Managed        bool   // False for the old containers of an upgrade.
	Labels         map[string]string
}

// Containers lists the containers that are not removed, by id.
func (s *Server) Containers() []Container {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []Container
	for _, id := range sortedIDs(s.instances) {
		i := s.instances[id]
		if !i.removed.IsZero() {
			continue
		}
		c := Container{
			ID: formatID(prefixInstance, id), Name: i.name, Stack: i.service.stack.name, Service: i.service.name,
			ServiceID: formatID(prefixService, i.service.id), State: i.state, Health: i.healthState, IP: i.ip,
			Version: i.version, Ports: privatePorts(i.launch), Managed: i.managed, Labels: textMap(s.labels(i)),
		}
		if i.config != primaryConfig {
			c.Config = i.config
		}
		list = append(list, c)
	}
	return list
}

// OnContainersChanged has f called whenever the list of containers, their state or health changes. It is called with
// the server's lock held: it must only wake somebody, never call the server.
func (s *Server) OnContainersChanged(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onChange = append(s.onChange, f)
}
