package ranchersim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

var containerLinks = []string{
	"account", "credentials", "healthcheckInstanceHostMaps", "hosts", "instanceLabels", "instanceLinks", "instances",
	"mounts", "ports", "serviceEvents", "serviceExposeMaps", "serviceLogs", "services", "targetInstanceLinks",
	"volumes", "stats", "containerStats",
}

// containerFieldNames are those of the schema, which names some that are never shown and lacks two that always are.
func containerFieldNames() []string {
	names := slices.DeleteFunc(slices.Clone(schemas["container"].fieldNames), func(name string) bool {
		switch name {
		case "id", "name", "state", "transitioningMessage", "transitioningProgress", "count", "instanceLinks", "networkIds":
			return true
		}
		return false
	})
	names = append(names, "internalVolumes")
	slices.Sort(names)
	return names
}

// container renders a container.
func (v view) container(i *instance) object {
	o := v.head(formatID(prefixInstance, i.id), "container", "instance", containerLinks, containerActions(i.state))
	o.set("name", i.name)
	o.set("state", i.state)
	for _, name := range containerFields {
		if v.caller.hidesField(name) {
			continue
		}
		switch name {
		case "created":
			o.setDate(name, i.created)
		case "firstRunning":
			o.setDate(name, i.firstRunning)
		case "removed":
			o.setDate(name, i.removed)
		case "transitioning":
			setTransition(&o, i.state, i.transError, i.transMessage)
		default:
			o.set(name, v.containerField(i, name))
		}
	}
	// Two fields that no schema has: the agent's report of the bound ports, and what each health checker says.
	if v.server.runtime != nil && i.startCount > 0 && i.state != stateError {
		o.set("dockerPorts", orDefault(i.launch["ports"], []any{}))
	}
	if i.healthState != "" && i.host != nil && i.removed.IsZero() {
		o.set("healthcheckStates", []any{map[string]any{"hostId": formatID(prefixHost, i.host.id), "healthState": i.healthState}})
	}
	return o
}

// containerField is the value of one field: what the server knows, else what the launch configuration said.
func (v view) containerField(i *instance, name string) any {
	switch name {
	case "accountId":
		return formatID(prefixProject, i.service.project.id)
	case "createIndex":
		return i.createIndex
	case "deploymentUnitUuid":
		return i.unit.uuid
	case "dns":
		return managedOnly(i, []string{"169.254.169.250"}, i.launch[name])
	case "dnsSearch":
		return i.dnsSearch()
	case "dataVolumeMounts":
		return orDefault(i.launch[name], map[string]any{})
	case "internalVolumes":
		return orDefault(i.launch[name], []any{})
	case "dataVolumes":
		return i.dataVolumes()
	case "ports", "userPorts":
		// An agent reports the ports back, none of them as an empty list; without one they stay as they were given.
		if v.server.runtime != nil && i.startCount > 0 {
			return orDefault(i.launch["ports"], []any{})
		}
		return i.launch[name]
	case "externalId":
		return orNull(i.externalID)
	case "healthState":
		if v.server.faults.shown(FaultNoHealth, i.service) != nil {
			return nil
		}
		return orNull(i.healthState)
	case "hostId":
		if i.host == nil {
			return nil
		}
		return formatID(prefixHost, i.host.id)
	case "labels":
		return v.server.labels(i)
	case "primaryIpAddress":
		return orNull(i.ip)
	case "primaryNetworkId":
		return "1n9"
	case "nativeContainer":
		return false
	case "serviceIds":
		if !i.removed.IsZero() {
			return nil
		}
		return []string{formatID(prefixService, i.service.id)}
	case "stackId", "serviceId":
		return nil // Unset for containers of a service, as recorded.
	case "startCount":
		return i.startCount
	case "system":
		return i.service.system
	case "uuid":
		return i.uuid
	case "version":
		return i.version
	default:
		return i.launch[name]
	}
}

// dataVolumes are those asked for, and where a container finds the key of its own.
func (i *instance) dataVolumes() any {
	volumes, _ := i.launch["dataVolumes"].([]any)
	if isTrue(label(i.launch, labelCreateAgent)) && text(label(i.launch, "io.rancher.container.agent.volumes_strategy")) != "skip" {
		volumes = append(slices.Clone(volumes), "/var/lib/rancher/etc:/var/lib/rancher/etc:ro")
	}
	if volumes == nil {
		return []any{}
	}
	return volumes
}

func orDefault(v, missing any) any {
	if v == nil {
		return missing
	}
	return v
}

// managedOnly is a value that Rancher adds in its own network only.
func managedOnly(i *instance, managed, other any) any {
	if text(i.launch["networkMode"]) == "managed" {
		return managed
	}
	return other
}

func (i *instance) dnsSearch() any {
	st, svc := i.service.stack.name, i.service.name
	names := []string{st + ".rancher.internal", svc + "." + st + ".rancher.internal"}
	if text(i.launch["networkMode"]) == "managed" {
		names = append(names, "rancher.internal")
	}
	return names
}

// labels are the launch configuration's and those Cattle adds (DeploymentUnit#getLabels).
func (s *Server) labels(i *instance) map[string]any {
	given, _ := i.launch["labels"].(map[string]any)
	labels := make(map[string]any, len(given)+8)
	for k, v := range given {
		labels[k] = v
	}
	svc := i.service
	full := svc.stack.name + "/" + svc.name
	if i.config != primaryConfig {
		full += "/" + i.config
	}
	labels[labelUnit], labels[labelConfig] = i.unit.uuid, i.config
	labels["io.rancher.stack.name"], labels["io.rancher.stack_service.name"] = svc.stack.name, full
	labels["io.rancher.project.name"], labels["io.rancher.project_service.name"] = svc.stack.name, full
	labels["io.rancher.environment.uuid"] = svc.project.uuid
	if svc.isGlobal() && i.unit.host != nil {
		labels["io.rancher.service.requested.host.id"] = text(formatID("", i.unit.host.id))
	}
	if s.runtime != nil && i.externalID != "" {
		labels["io.rancher.container.uuid"], labels["io.rancher.container.name"] = i.uuid, i.name
		labels["io.rancher.container.mac_address"] = macAddress(i.id)
	}
	return labels
}

// macAddress is an address of the locally administered kind, as Rancher gives containers.
func macAddress(n int) string {
	return fmt.Sprintf("02:52:bd:%02x:%02x:%02x", n>>16&255, n>>8&255, n&255)
}

// exposeMap renders what ties a container to its service. managed is false once the container is marked for upgrade.
func (v view) exposeMap(i *instance) object {
	state, actions := stateActive, []string{"remove"}
	if i.state == stateRemoved {
		state, actions = stateRemoved, nil
	}
	o := v.head(formatID(prefixExposeMap, i.mapID), "serviceExposeMap", "serviceExposeMap",
		[]string{"account", "instance", "service"}, actions)
	o.set("name", nil)
	o.set("state", state)
	o.set("accountId", formatID(prefixProject, i.service.project.id))
	o.setDate("created", i.created)
	o.set("description", nil)
	o.set("instanceId", formatID(prefixInstance, i.id))
	o.set("ipAddress", nil)
	o.set("kind", "serviceExposeMap")
	o.set("managed", i.managed)
	o.setDate("removed", i.removed)
	o.set("serviceId", formatID(prefixService, i.service.id))
	setTransition(&o, state, false, "")
	o.set("uuid", i.mapUUID)
	return o
}

// containerEvent is what an agent reported about a container, with Docker's own view of it: the only place where the
// id of the image that really runs is seen without touching the host. Docker's view is rendered when it is asked for,
// from what it was then.
type containerEvent struct {
	id         int
	instance   *instance
	status     string // start, stop, die, destroy …
	state      string // The container's.
	externalID string
	imageID    string
	created    time.Time
}

// maxEvents bounds the container events kept: a real server keeps those of two weeks (purge), however many.
const maxEvents = 20000

// dockerEvent records an event of the container's life. The caller holds mu.
func (s *Server) dockerEvent(i *instance, status string) {
	if i.externalID == "" || i.host == nil {
		return
	}
	s.events = append(s.events, &containerEvent{
		id: s.next(prefixEvent), instance: i, status: status, state: i.state, externalID: i.externalID, imageID: i.imageID, created: s.now(),
	})
	if len(s.events) > maxEvents {
		s.events = append([]*containerEvent(nil), s.events[maxEvents/10:]...)
	}
	s.bus.touch(kindContainerEvent, s.events[len(s.events)-1].id)
	s.bus.touch(kindHost, i.host.id) // Its list of containers changes.
}

func (s *Server) findEvent(id int) *containerEvent {
	if len(s.events) == 0 {
		return nil
	}
	if n := id - s.events[0].id; n >= 0 && n < len(s.events) {
		return s.events[n]
	}
	return nil
}

// image is what the launch configuration asked for, as Docker is told it.
func (e *containerEvent) image() string {
	return strings.TrimPrefix(text(e.instance.launch["imageUuid"]), "docker:")
}

// inspect is the part of docker inspect that matters: identity, state and the image's id.
func (s *Server) inspect(e *containerEvent) object {
	i, runs := e.instance, e.state == stateRunning
	status := "exited"
	if runs {
		status = "running"
	}
	return object{
		{"Id", e.externalID},
		{"Created", i.created.UTC().Format(time.RFC3339Nano)},
		{"State", object{
			{"Status", status},
			{"Running", runs},
			{"Paused", false},
			{"Restarting", false},
			{"OOMKilled", false},
			{"Dead", false},
			{"ExitCode", 0},
			{"Error", ""},
			{"StartedAt", i.firstRunning.UTC().Format(time.RFC3339Nano)},
		}},
		{"Image", e.imageID},
		{"Name", "/r-" + i.name + "-" + i.uuid[:8]},
		{"RestartCount", 0},
		{"Config", object{{"Hostname", e.externalID[:12]}, {"Image", e.image()}, {"Labels", s.labels(i)}}},
	}
}

// containerEvent renders an agent's report.
func (v view) containerEvent(e *containerEvent) object {
	o := v.head(formatID(prefixEvent, e.id), "containerEvent", "containerEvent", []string{"account", "host"}, []string{"remove"})
	o.set("state", "created")
	o.set("accountId", formatID(prefixProject, e.instance.service.project.id))
	o.setDate("created", e.created)
	o.set("dockerInspect", v.server.inspect(e))
	o.set("externalFrom", e.image())
	o.set("externalId", e.externalID)
	o.set("externalStatus", e.status)
	o.set("externalTimestamp", e.created.Unix())
	o.set("hostId", formatID(prefixHost, e.instance.host.id))
	o.set("kind", "containerEvent")
	o.set("reportedHostUuid", e.instance.host.uuid)
	setTransition(&o, "created", false, "")
	return o
}

// containerEventColumn is a column of the table of reports, without rendering all of a report: thousands are looked
// through for a page.
func (v view) containerEventColumn(e *containerEvent, name string) any {
	switch name {
	case "id":
		return e.id
	case "externalId":
		return e.externalID
	case "externalStatus":
		return e.status
	}
	return v.containerEvent(e).get(name)
}
