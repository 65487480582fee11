package ranchersim

import (
	"encoding/json"
	"slices"
	"strconv"
)

var serviceLinks = []string{
	"account", "consumedbyservices", "consumedservices", "instances", "networkDrivers", "serviceExposeMaps",
	"serviceLogs", "stack", "storageDrivers", "containerStats",
}

// service renders a service; which fields it has is in the schema of its kind.
func (v view) service(svc *service) object {
	actions := serviceActions(svc.state)
	state := svc.state
	if a := v.server.faults.shown(FaultUnknownState, svc); a != nil {
		state = a.State
	}
	if a := v.server.faults.shown(FaultHiddenAction, svc); a != nil {
		actions = slices.DeleteFunc(slices.Clone(actions), func(name string) bool { return name == a.Action })
	}
	actions = slices.DeleteFunc(slices.Clone(actions), func(name string) bool {
		_, has := actionsOf(svc.kind)[name]
		return !has
	})
	links := serviceLinks
	if schemas[svc.kind].isDriver() {
		links = links[:len(links)-1] // No containerStats.
	}
	o := v.head(formatID(prefixService, svc.id), svc.kind, "service", links, actions)
	o.set("name", svc.name)
	o.set("state", state)
	sch := schemas[svc.kind]
	if sch == nil {
		sch = schemas["service"]
	}
	for _, name := range serviceFields(sch) {
		switch name {
		case "created":
			o.setDate(name, svc.created)
		case "removed":
			o.setDate(name, svc.removed)
		case "transitioning":
			setTransition(&o, svc.state, svc.transError, svc.transMessage)
		default:
			o.set(name, v.serviceField(svc, name))
		}
	}
	if svc.kind == "loadBalancerService" && svc.secondaries != nil {
		o.set("secondaryLaunchConfigs", v.hideAll(svc.secondaries)) // No field of its schema, yet there once it is set.
	}
	if v.version == apiV1 {
		o.set("environmentId", formatID(prefixV1Stack, svc.stack.id))
	}
	return o
}

// serviceFields are the schema's fields without those that stand in the head or are written together.
func serviceFields(sch *schema) []string {
	return slices.DeleteFunc(slices.Clone(sch.fieldNames), func(name string) bool {
		switch name {
		case "id", "name", "state", "transitioningMessage", "transitioningProgress":
			return true
		}
		return false
	})
}

// serviceField is the value of one field, null when it has none.
func (v view) serviceField(svc *service, name string) any {
	switch name {
	case "accountId":
		return formatID(prefixProject, svc.project.id)
	case "createIndex":
		if !svc.keepsUnits() {
			return nil
		}
		return orNullInt(svc.createIndex, 0)
	case "currentScale":
		return orNullInt(svc.currentScale, -1)
	case "healthState":
		return svc.healthState
	case "instanceIds":
		return instanceIDs(svc.instances)
	case "kind":
		return svc.kind
	case "linkedServices":
		return svc.linkedServices()
	case "launchConfig":
		return orNullMap(v.hide(svc.launchConfig))
	case "publicEndpoints":
		return publicEndpoints(svc)
	case "scale":
		return svc.scale
	case "secondaryLaunchConfigs":
		return v.hideAll(svc.secondaries)
	case "stackId":
		return formatID(prefixStack, svc.stack.id)
	case "system":
		return svc.system
	case "upgrade":
		return v.hideUpgrade(svc.upgrade)
	case "uuid":
		return svc.uuid
	default:
		return svc.fields[name]
	}
}

func orNullInt(n, none int) any {
	if n == none {
		return nil
	}
	return n
}

func orNullMap(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

func instanceIDs(list []*instance) any {
	if len(list) == 0 {
		return nil
	}
	ids := make([]string, len(list))
	for n, i := range list {
		ids[n] = formatID(prefixInstance, i.id)
	}
	return ids
}

// publicEndpoints are the host ports in use: null until there was one, and then a list.
func publicEndpoints(svc *service) any {
	if svc.endpoints == nil {
		return svc.fields["publicEndpoints"]
	}
	return svc.endpoints
}

// openEndpoints notes the host ports of a container that is about to start. One that an old container of the service
// has already stays that one's (recorded: after an upgrade with startFirst it names the old container). The caller
// holds mu.
func (s *Server) openEndpoints(i *instance) {
	ports, _ := i.launch["ports"].([]any)
	for _, item := range ports {
		p, err := parsePort(text(item))
		if err != nil || p.public == 0 || i.host == nil || i.service.endpoint(i.host, p.public) != nil {
			continue
		}
		i.service.endpoints = append(i.service.endpoints, map[string]any{
			"type": "publicEndpoint", "hostId": formatID(prefixHost, i.host.id),
			"instanceId": formatID(prefixInstance, i.id), "ipAddress": i.host.address,
			"port": json.Number(strconv.Itoa(p.public)), "serviceId": formatID(prefixService, i.service.id),
		})
		s.touchService(i.service)
	}
}

// closeEndpoints forgets the host ports of a container that stopped, but for those that another one has as well. The
// caller holds mu.
func (s *Server) closeEndpoints(i *instance) {
	svc := i.service
	if svc.endpoints == nil {
		return
	}
	kept := []any{}
	for _, e := range svc.endpoints {
		endpoint, _ := e.(map[string]any)
		if endpoint["instanceId"] != formatID(prefixInstance, i.id) || svc.opens(i, number(endpoint["port"], 0)) {
			kept = append(kept, e)
		}
	}
	svc.endpoints = kept
	s.touchService(svc)
}

func (svc *service) endpoint(h *host, port int) map[string]any {
	for _, e := range svc.endpoints {
		endpoint, _ := e.(map[string]any)
		if endpoint["hostId"] == formatID(prefixHost, h.id) && number(endpoint["port"], 0) == port {
			return endpoint
		}
	}
	return nil
}

// opens tells whether a running container other than the given one has a host port on the same host.
func (svc *service) opens(but *instance, port int) bool {
	for _, i := range svc.instances {
		if i == but || i.state != stateRunning || i.host != but.host {
			continue
		}
		ports, _ := i.launch["ports"].([]any)
		for _, item := range ports {
			if p, err := parsePort(text(item)); err == nil && p.public == port {
				return true
			}
		}
	}
	return false
}

// linkTargets notes a balancer's targets by name, which becomes visible when the process is through. The caller holds
// mu.
func (s *Server) linkTargets(svc *service) {
	if svc.kind != "loadBalancerService" {
		return
	}
	config, _ := svc.fields["lbConfig"].(map[string]any)
	rules, _ := config["portRules"].([]any)
	links := map[string]any{}
	for _, rule := range asConfigs(rules) {
		n, _ := parseID(text(rule["serviceId"]))
		if target := s.services[n]; target != nil {
			links[target.name] = formatID(prefixService, n)
		}
	}
	svc.fields["linkedServices"] = nil
	if len(links) > 0 {
		svc.fields["linkedServices"] = links
	}
}
