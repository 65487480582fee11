package ranchersim

import "time"

// secret is a stored secret; its value is shown only in the answer that created it.
type secret struct {
	id                int
	project           *project
	name, uuid, value string
	description       any
	created, removed  time.Time
	state             string
}

var stackLinks = []string{
	"account", "hosts", "instances", "scheduledUpgrades", "secrets", "services", "volumeTemplates", "volumes",
	"composeConfig",
}

// stack renders a stack; in v1 it is called environment, yet its links keep the new id (recorded).
func (v view) stack(st *stack) object {
	id := formatID(prefixStack, st.id)
	links := stackLinks
	if v.caller.kind == AgentKey {
		links = []string{"account", "hosts", "instances", "scheduledUpgrades", "services", "volumeTemplates", "volumes", "composeConfig"}
	}
	o := v.head(id, "stack", "stack", links, stackActions(st.state))
	kind := "stack"
	if v.version == apiV1 {
		o = v.v1Stack(st)
		kind = "environment"
	}
	o.set("name", st.name)
	o.set("state", st.state)
	for _, name := range serviceFields(schemas["stack"]) {
		switch name {
		case "created":
			o.setDate(name, st.created)
		case "removed":
			o.setDate(name, st.removed)
		case "transitioning":
			setTransition(&o, st.state, false, "")
		case "accountId":
			o.set(name, formatID(prefixProject, st.project.id))
		case "healthState":
			o.set(name, st.healthState)
		case "kind":
			o.set(name, kind)
		case "serviceIds":
			o.set(name, v.serviceIDs(st))
		case "system":
			o.set(name, st.system)
		case "uuid":
			o.set(name, st.uuid)
		default:
			o.set(name, st.fields[name])
		}
	}
	return o
}

// serviceIDs lists a stack's services; the old dialect never does (recorded).
func (v view) serviceIDs(st *stack) any {
	if v.version == apiV1 {
		return nil
	}
	var ids []string
	for _, id := range sortedIDs(v.server.services) {
		if svc := v.server.services[id]; svc.stack == st && svc.removed.IsZero() {
			ids = append(ids, formatID(prefixService, id))
		}
	}
	if ids == nil {
		return nil
	}
	return ids
}

var hostLinks = []string{
	"account", "clusters", "containerEvents", "healthcheckInstanceHostMaps", "hostLabels", "hosts", "instances",
	"ipAddresses", "physicalHost", "serviceEvents", "storagePools", "volumes", "stats", "hostStats", "containerStats",
}

// host renders a host.
func (v view) host(h *host) object {
	o := v.head(formatID(prefixHost, h.id), "host", "host", hostLinks, hostActions(h.state))
	o.set("name", nil)
	o.set("state", h.state)
	o.set("accountId", formatID(prefixProject, h.project.id))
	o.set("agentIpAddress", h.address)
	o.set("agentState", h.agentState())
	o.set("computeTotal", 1000000)
	o.setDate("created", h.created)
	o.set("description", nil)
	o.set("hostTemplateId", nil)
	o.set("hostname", h.hostname)
	o.set("info", hostInfo())
	o.set("instanceIds", v.hostInstances(h))
	o.set("kind", "docker")
	o.set("labels", h.labels)
	o.set("localStorageMb", 100000)
	o.set("memory", int64(8)<<30)
	o.set("milliCpu", 2000)
	o.set("physicalHostId", formatID("1ph", h.id))
	o.set("publicEndpoints", nil)
	o.setDate("removed", h.removed)
	o.set("stackId", nil)
	setTransition(&o, h.state, false, "")
	o.set("uuid", h.uuid)
	return o
}

// agentState follows the host's state while the agent is away.
func (h *host) agentState() string {
	switch h.state {
	case "reconnecting", "disconnected":
		return h.state
	}
	return stateActive
}

func hostInfo() object {
	return object{
		{"cpuInfo", object{{"count", 2}}},
		{"memoryInfo", object{{"memTotal", 8192}}},
		{"osInfo", object{{"dockerVersion", "Docker version 20.10.24"}, {"operatingSystem", "Linux"}}},
	}
}

func (v view) hostInstances(h *host) any {
	var ids []string
	for _, id := range sortedIDs(v.server.instances) {
		if i := v.server.instances[id]; i.host == h && i.removed.IsZero() {
			ids = append(ids, formatID(prefixInstance, id))
		}
	}
	if ids == nil {
		return nil
	}
	return ids
}

// serviceLog renders a line of the service log.
func (v view) serviceLog(e *logEntry) object {
	links := []string{"account", "service"}
	if e.instance > 0 {
		links = []string{"account", "instance", "service"}
	}
	o := v.head(formatID(prefixLog, e.id), "serviceLog", "serviceLog", links, nil)
	o.set("accountId", formatID(prefixProject, e.service.project.id))
	o.setDate("created", e.created)
	o.set("description", e.description)
	o.setDate("endTime", e.ended)
	o.set("eventType", e.eventType)
	o.set("instanceId", nil)
	if e.instance > 0 {
		o[len(o)-1].value = formatID(prefixInstance, e.instance)
	}
	o.set("kind", "serviceLog")
	o.set("level", e.level)
	o.set("serviceId", formatID(prefixService, e.service.id))
	o.set("subLog", e.subLog)
	o.set("transactionId", e.transaction)
	return o
}

// secret renders a secret, with its value only right after its creation.
func (v view) secret(sec *secret, withValue bool) object {
	o := v.head(formatID(prefixSecret, sec.id), "secret", "secret", []string{"account"}, []string{"remove"})
	o.set("name", sec.name)
	o.set("state", sec.state)
	o.set("accountId", formatID(prefixProject, sec.project.id))
	o.setDate("created", sec.created)
	o.set("description", sec.description)
	o.set("kind", "secret")
	o.setDate("removed", sec.removed)
	setTransition(&o, sec.state, false, "")
	o.set("uuid", sec.uuid)
	o.set("value", nil)
	if withValue {
		o[len(o)-1].value = sec.value
	}
	return o
}

// project renders a project; its links are the collections in it.
func (v view) project(p *project) object {
	if v.version == apiV1 {
		return v.v1Project(p)
	}
	id := formatID(prefixProject, p.id)
	o := v.head(id, "project", "account", nil, []string{"defaultNetworkId"})
	o.set("name", p.name)
	o.set("state", p.state)
	o.setDate("created", p.created)
	o.set("defaultNetworkId", "1n9")
	o.set("description", nil)
	o.set("healthState", healthHealthy)
	o.set("hostRemoveDelaySeconds", nil)
	o.set("kind", "project")
	o.set("members", projectMembers())
	o.set("orchestration", "cattle")
	o.set("projectTemplateId", nil)
	o.set("removed", nil)
	o.set("servicesPortRange", servicesPortRange())
	setTransition(&o, p.state, false, "")
	o.set("uuid", p.uuid)
	o.set("version", "2")
	o.set("virtualMachine", false)
	o[2].value = v.projectLinks(id)
	return o
}

// projectLinks are the collections of a project. They stand below the project as it was asked for, twice if need be, and
// one more than that (recorded).
func (v view) projectLinks(id string) object {
	self := v.url("projects", id)
	links := object{{"self", self}}
	for _, s := range sortedSchemas {
		if s.allowsCollection("GET") && !v.caller.hidden()[s.ID] {
			links.set(s.PluralName, self+"/"+lower(s.PluralName))
		}
	}
	links.set("hostStats", self+"/projects/"+id+"/hoststats")
	return links
}
