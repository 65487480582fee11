package ranchersim

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

// The names and labels that Cattle gives to launch configurations and containers.
const (
	primaryConfig    = "io.rancher.service.primary.launch.config"
	labelUnit        = "io.rancher.service.deployment.unit"
	labelConfig      = "io.rancher.service.launch.config"
	labelGlobal      = "io.rancher.scheduler.global"
	labelStartOnce   = "io.rancher.container.start_once"
	labelPullImage   = "io.rancher.container.pull_image"
	labelCreateAgent = "io.rancher.container.create_agent"
	imageNone        = "rancher/none" // "No container": a sidekick to be removed, or a service that only selects.
)

// The health states of a container.
const (
	healthHealthy        = "healthy"
	healthUnhealthy      = "unhealthy"
	healthInitializing   = "initializing"
	healthReinitializing = "reinitializing"
	healthUpdating       = "updating-" // Prefix of the moment between a report and its effect.
)

// project is what the UI calls an environment.
type project struct {
	id      int
	state   string
	name    string
	uuid    string
	created time.Time
}

// stack groups services.
type stack struct {
	id          int
	project     *project
	name, state string
	uuid        string
	created     time.Time
	removed     time.Time
	healthState string
	system      bool
	fields      map[string]any // What was given at creation, validated.
}

// service is one service of any kind.
type service struct {
	id      int
	kind    string // service, loadBalancerService …
	project *project
	stack   *stack
	name    string
	uuid    string
	created time.Time
	removed time.Time
	system  bool
	fields  map[string]any // The plain fields: metadata, scalePolicy, lbConfig, retainIp …

	state        string
	transError   bool   // transitioning shows "error" whatever the state; not an end: the process goes on.
	transMessage string // "" shows In Progress while the state is transitioning.
	healthState  string

	scale        int
	currentScale int // -1 before the first activation. Recomputed only by activate and update.
	createIndex  int

	launchConfig map[string]any   // Never changed in place: an upgrade puts another map here.
	secondaries  []map[string]any // nil until the create process is through.
	upgrade      map[string]any   // The last upgrade as shown; survives finish and rollback.
	pending      map[string]any   // An upgrade as posted, shown only when its process starts.

	links     []serviceLink // To other services; of a balancer the rules count instead.
	endpoints []any         // Host ports in use; nil until there was one.
	units     []*unit       // The current deployment units.
	instances []*instance   // Not removed ones, old and new, by id.

	process *process      // The process that owns the transitioning state, nil when none.
	lock    chan struct{} // Cattle's service lock; one process works at a time.
	changed chan struct{} // Closed and replaced when an instance or the state changes.

	healthNext string // What healthState is about to be.
	triggered  bool   // A look whether something must be repaired is under way.
}

// unit is a deployment unit: one container of every launch configuration.
type unit struct {
	uuid  string
	index int
	host  *host // Set for global services.
	last  int   // Id of its newest container.
}

// instance is a container.
type instance struct {
	id       int
	uuid     string
	service  *service
	unit     *unit
	config   string         // primaryConfig or the sidekick's name.
	launch   map[string]any // The launch configuration it was made from.
	name     string
	version  string
	mapID    int    // Of its serviceExposeMap.
	mapUUID  string // Of its serviceExposeMap.
	managed  bool   // False once it is marked for upgrade.
	upgraded bool   // Marked for upgrade: serviceExposeMap.upgrade, which no ordinary role sees.

	state        string
	transError   bool
	transMessage string
	healthState  string

	createIndex  int
	startCount   int
	host         *host
	externalID   string
	imageID      string
	ip           string
	created      time.Time
	firstRunning time.Time
	removed      time.Time

	process    Process
	logs       LogSource          // Of the last start; stays readable after the end.
	generation int                // Counts starts and stops; older goroutines see that they are late.
	cancel     context.CancelFunc // Ends what belongs to the current start.
	initSince  time.Time          // Since when it is (re)initializing.
}

// host is a machine with an agent.
type host struct {
	id       int
	project  *project
	hostname string
	address  string
	state    string // active, inactive, reconnecting, disconnected
	uuid     string
	created  time.Time
	removed  time.Time
	labels   map[string]any
	link     *agentLink // Replaced when the agent comes back.
}

func (h *host) active() bool { return h.state == stateActive }

// config returns the launch configuration of a name, or nil.
func (svc *service) config(name string) map[string]any {
	if name == primaryConfig {
		return svc.launchConfig
	}
	for _, c := range svc.secondaries {
		if c["name"] == name {
			return c
		}
	}
	return nil
}

// configNames are the launch configurations that have containers, primary first.
func (svc *service) configNames() []string {
	var names []string
	if svc.launchConfig != nil && svc.launchConfig["imageUuid"] != imageNone {
		names = append(names, primaryConfig)
	}
	for _, c := range svc.secondaries {
		if c["imageUuid"] != imageNone {
			names = append(names, text(c["name"]))
		}
	}
	return names
}

// isGlobal judges by the labels of all launch configurations.
func (svc *service) isGlobal() bool {
	if isTrue(label(svc.launchConfig, labelGlobal)) {
		return true
	}
	for _, c := range svc.secondaries {
		if isTrue(label(c, labelGlobal)) {
			return true
		}
	}
	return false
}

// hasContainers tells whether the kind of service runs containers at all.
func (svc *service) hasContainers() bool {
	return (svc.kind == "service" || svc.kind == "loadBalancerService") && len(svc.configNames()) > 0
}

// keepsUnits tells whether an upgraded unit keeps its uuid and index (serviceIndexStrategy deploymentUnitBased, which
// every service created through the API has; load balancers and other kinds do not).
func (svc *service) keepsUnits() bool { return svc.kind == "service" }

// signal wakes everyone who waits for a change of the service or its instances.
func (svc *service) signal() {
	close(svc.changed)
	svc.changed = make(chan struct{})
}

// hasHealthCheck tells whether the container is checked at all.
func (i *instance) hasHealthCheck() bool { return i.healthCheck() != nil }

func (i *instance) healthCheck() map[string]any {
	hc, _ := i.launch["healthCheck"].(map[string]any)
	return hc
}

// isHealthy is the test the upgrade waits for: no health check counts as healthy.
func (i *instance) isHealthy() bool {
	return i.healthState == "" || i.healthState == healthHealthy || i.healthState == healthUpdating+healthHealthy
}

func (i *instance) isInitializing() bool {
	return strings.TrimPrefix(i.healthState, healthUpdating) == healthInitializing ||
		strings.TrimPrefix(i.healthState, healthUpdating) == healthReinitializing
}

// startsOnce tells whether the container may stop after its start.
func (i *instance) startsOnce() bool { return isTrue(label(i.launch, labelStartOnce)) }

// label reads a label of a launch configuration.
func label(config map[string]any, name string) any {
	labels, _ := config["labels"].(map[string]any)
	return labels[name]
}

func isTrue(v any) bool { return strings.EqualFold(text(v), "true") }

// text reads a decoded JSON value as a string, "" when it is none.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return ""
}

// number reads a decoded JSON number.
func number(v any, missing int) int {
	n, ok := v.(json.Number)
	if !ok {
		return missing
	}
	i, err := n.Int64()
	if err != nil || i > 1<<40 || i < -(1<<40) {
		return missing
	}
	return int(i)
}
