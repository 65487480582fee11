package rancher

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// The types here are what is read of Rancher's JSON. They are never written back:
// what goes out is edited raw (edit.go).

// ownLabels is the beginning of the labels that are Drover's.
const ownLabels = "io.drover."

const (
	labelGlobal = "io.rancher.scheduler.global"
	// labelStartOnce is for containers that do their work and end.
	labelStartOnce = "io.rancher.container.start_once"
	// labelLaunchConfig names the launch configuration a container was made from.
	labelLaunchConfig = "io.rancher.service.launch.config"
	// primaryLaunchConfig is that label's value for the primary.
	primaryLaunchConfig = "io.rancher.service.primary.launch.config"
	// labelStackService is stack/service or stack/service/sidekick.
	labelStackService = "io.rancher.stack_service.name"
)

// wireProject is an environment.
type wireProject struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
}

// wireStack is a stack.
type wireStack struct {
	ID    string `json:"id"`
	Type  string `json:"type"`
	Name  string `json:"name"`
	State string `json:"state"`
}

// wireSecret is a stored secret; its value is never shown.
type wireSecret struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
}

// wireHost is a host.
type wireHost struct {
	ID         string `json:"id"`
	Type       string `json:"type"`
	State      string `json:"state"`
	AgentState string `json:"agentState"`
}

// wireService is a service of any type.
type wireService struct {
	ID                   string                     `json:"id"`
	Type                 string                     `json:"type"`
	BaseType             string                     `json:"baseType"`
	Name                 string                     `json:"name"`
	State                string                     `json:"state"`
	StackID              string                     `json:"stackId"`
	HealthState          string                     `json:"healthState"`
	Transitioning        string                     `json:"transitioning"`
	TransitioningMessage string                     `json:"transitioningMessage"`
	Actions              map[string]json.RawMessage `json:"actions"`
	Scale                int                        `json:"scale"`
	CreateIndex          int                        `json:"createIndex"`
	System               bool                       `json:"system"`
	RetainIP             bool                       `json:"retainIp"`
	LaunchConfig         *wireLaunch                `json:"launchConfig"`
	Secondary            []wireLaunch               `json:"secondaryLaunchConfigs"`
	Upgrade              *wireUpgrade               `json:"upgrade"`
	// InstanceIDs are all containers that are not removed; they may lag.
	InstanceIDs wireIDs `json:"instanceIds"`
}

// wireIDs is a list of ids, null when empty, and absent when not told.
type wireIDs struct {
	told bool
	ids  []string
}

// UnmarshalJSON reads the list; anything else counts as not told.
func (l *wireIDs) UnmarshalJSON(b []byte) error {
	var ids []string
	l.told = json.Unmarshal(b, &ids) == nil
	l.ids = ids
	return nil
}

// rawService is a service whose launch configurations are kept as bytes.
type rawService struct {
	wireService
	RawLaunch    json.RawMessage   `json:"-"`
	RawSecondary []json.RawMessage `json:"-"`
}

// UnmarshalJSON reads the service twice: once for its meaning, once for the bytes.
func (s *rawService) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, &s.wireService); err != nil {
		return err
	}
	var raw struct {
		LaunchConfig json.RawMessage   `json:"launchConfig"`
		Secondary    []json.RawMessage `json:"secondaryLaunchConfigs"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	s.RawLaunch, s.RawSecondary = raw.LaunchConfig, raw.Secondary
	return nil
}

// wireUpgrade is the record of the last upgrade.
type wireUpgrade struct {
	InService *struct {
		BatchSize      int          `json:"batchSize"`
		IntervalMillis int64        `json:"intervalMillis"`
		StartFirst     bool         `json:"startFirst"`
		To             *wireLaunch  `json:"launchConfig"`
		From           *wireLaunch  `json:"previousLaunchConfig"`
		ToSecondary    []wireLaunch `json:"secondaryLaunchConfigs"`
		FromSecondary  []wireLaunch `json:"previousSecondaryLaunchConfigs"`
	} `json:"inServiceStrategy"`
}

// wireLaunch is what Drover reads of a launch configuration.
type wireLaunch struct {
	Name        string            `json:"name"`
	ImageUUID   string            `json:"imageUuid"`
	Version     string            `json:"version"`
	Labels      wireLabels        `json:"labels"`
	Ports       wirePorts         `json:"ports"`
	HealthCheck *struct{}         `json:"healthCheck"`
	Secrets     []json.RawMessage `json:"secrets"`
}

// wirePorts is a list of port specifications.
type wirePorts []string

// UnmarshalJSON reads a list and takes anything else for none: the server accepts
// ports of any kind (rancher-api 14.2), and the service must stay readable.
func (p *wirePorts) UnmarshalJSON(b []byte) error {
	var list []string
	if json.Unmarshal(b, &list) == nil {
		*p = list
	}
	return nil
}

// wireContainer is one container.
type wireContainer struct {
	ID                   string     `json:"id"`
	Type                 string     `json:"type"`
	Name                 string     `json:"name"`
	State                string     `json:"state"`
	Version              string     `json:"version"`
	HealthState          string     `json:"healthState"`
	ImageUUID            string     `json:"imageUuid"`
	PrimaryIP            string     `json:"primaryIpAddress"`
	HostID               string     `json:"hostId"`
	Unit                 string     `json:"deploymentUnitUuid"`
	StartCount           int        `json:"startCount"`
	CreateIndex          int        `json:"createIndex"`
	Transitioning        string     `json:"transitioning"`
	TransitioningMessage string     `json:"transitioningMessage"`
	ExternalID           string     `json:"externalId"`
	ServiceIDs           []string   `json:"serviceIds"`
	Labels               wireLabels `json:"labels"`
}

// wireLabels are the labels that mean something here. The others, and values that
// are no text, are not kept.
type wireLabels struct {
	own    map[string]string
	launch string
	stack  string
	global bool
	once   bool
}

// UnmarshalJSON picks the labels.
func (l *wireLabels) UnmarshalJSON(b []byte) error {
	*l = wireLabels{}
	if len(b) == 0 || b[0] != '{' {
		return nil
	}
	all, err := members(b)
	if err != nil {
		return err
	}
	for _, m := range all {
		var value string
		if json.Unmarshal(m.value, &value) == nil {
			l.take(m.key, value)
		}
	}
	return nil
}

// take keeps a label that means something.
func (l *wireLabels) take(key, value string) {
	switch {
	case strings.HasPrefix(key, ownLabels):
		if l.own == nil {
			l.own = map[string]string{}
		}
		l.own[key] = value
	case key == labelLaunchConfig:
		l.launch = value
	case key == labelStackService:
		l.stack = value
	case key == labelGlobal:
		l.global = strings.EqualFold(value, "true")
	case key == labelStartOnce:
		l.once = strings.EqualFold(value, "true")
	}
}

// wireContainerEvent is Docker's view of a container as the agent reports it: the
// only place that shows which image really runs (rancher-api 15.3).
type wireContainerEvent struct {
	ID            string `json:"id"`
	ExternalID    string `json:"externalId"`
	DockerInspect struct {
		ID     string `json:"Id"`
		Image  string `json:"Image"`
		Config struct {
			Labels wireLabels `json:"Labels"`
		} `json:"Config"`
	} `json:"dockerInspect"`
}

// imageID is what Docker calls the id of an image.
var imageID = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// isID says that an id is a prefix and a number. Rancher's own parser ignores the
// letters: /services/1i7 answers service 7 (rancher-api 1.3).
func isID(id, prefix string) bool {
	digits, ok := strings.CutPrefix(id, prefix)
	if !ok || len(digits) == 0 || len(digits) > 18 {
		return false
	}
	_, err := strconv.ParseUint(digits, 10, 64)
	return err == nil
}

// numberOf is the number in an id as Rancher writes it, from 1 and without leading
// zeros, so that one number is one id.
func numberOf(id, prefix string) (n uint64, ok bool) {
	if !isID(id, prefix) || id[len(prefix)] == '0' {
		return 0, false
	}
	return idNumber(id), true
}

// idNumber is the number in an id, for order.
func idNumber(id string) uint64 {
	n, _ := strconv.ParseUint(strings.TrimLeft(id[min(1, len(id)):], "abcdefghijklmnopqrstuvwxyz"), 10, 64)
	return n
}

// isGone says that a resource in this state is only kept for the record.
func isGone(state string) bool {
	switch state {
	case "removed", "purging", "purged":
		return true
	}
	return false
}
