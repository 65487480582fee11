package rancher

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// Key names a service the way people do.
type Key struct {
	// Stack and Service are names, not ids.
	Stack, Service string
}

// String is stack/service.
func (k Key) String() string { return k.Stack + "/" + k.Service }

// CapabilityError is a request that this client may not make. Nothing was sent.
type CapabilityError struct {
	// Method and Path are those of the request, Action its ?action=.
	Method, Path, Action string
	// Reason says which rule it broke.
	Reason string
}

// Error names the request and the rule.
func (e *CapabilityError) Error() string {
	what := e.Method + " " + e.Path
	if e.Action != "" {
		what += "?action=" + e.Action
	}
	return fmt.Sprintf("%s is not among what this client may do: %s", clip(what), e.Reason)
}

// serviceActions are the only actions that are ever sent for a service. PUT is
// absent on purpose: a PUT during a rollout can turn a half-upgraded service
// upgraded (rancher-api 12.8).
var serviceActions = map[string]bool{
	actionUpgrade: true, actionFinish: true, actionCancel: true, actionRollback: true,
}

const (
	actionUpgrade  = "upgrade"
	actionFinish   = "finishupgrade"
	actionCancel   = "cancelupgrade"
	actionRollback = "rollback"
	actionLogs     = "logs"
	// actionSetLinks is only for a client that may create.
	actionSetLinks = "setservicelinks"
)

// maxGrants bounds what is remembered of ids; when it is full everything is
// forgotten and learnt again by reading.
const maxGrants = 20000

// grants knows which ids the named services have. Ids are learnt only from
// answers of Rancher that show both the id and the names.
type grants struct {
	mu sync.RWMutex
	// allowed are the services that may be acted on, readable those of which only
	// the logs may be asked for.
	allowed, readable map[Key]bool
	// services is the name behind the number of a service's id.
	services map[uint64]Key
	// containers is the number of the service's id behind that of a container's.
	containers map[uint64]uint64
}

// allow replaces the set of services that may be acted on.
func (g *grants) allow(keys []Key) {
	allowed := setOf(keys)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.allowed = allowed
}

// allowLogs replaces the set of services of which the logs may be asked for.
func (g *grants) allowLogs(keys []Key) {
	readable := setOf(keys)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.readable = readable
}

// setOf is a set of keys: that of those that may be acted on, when they are the same.
// It is never changed.
func (g *grants) setOf(keys []Key) map[Key]bool {
	set := setOf(keys)
	g.mu.RLock()
	defer g.mu.RUnlock()
	if maps.Equal(set, g.allowed) {
		return g.allowed
	}
	return set
}

// setOf is a set of keys.
func setOf(keys []Key) map[Key]bool {
	set := make(map[Key]bool, len(keys))
	for _, k := range keys {
		set[k] = true
	}
	return set
}

// learnService remembers that a service id has this name.
func (g *grants) learnService(id string, k Key) {
	service, ok := numberOf(id, "1s")
	if !ok {
		return // No request is made with such an id.
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.services[service] == k {
		return // Every listing tells so anew.
	}
	if g.services == nil || len(g.services) >= maxGrants {
		g.services = map[uint64]Key{}
	}
	g.services[service] = k
}

// learnContainer remembers that a container belongs to a service.
func (g *grants) learnContainer(id, serviceID string) {
	container, isContainer := numberOf(id, "1i")
	service, isService := numberOf(serviceID, "1s")
	if !isContainer || !isService {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.containers[container] == service {
		return
	}
	if g.containers == nil || len(g.containers) >= maxGrants {
		g.containers = map[uint64]uint64{}
	}
	g.containers[container] = service
}

// knowsService says that the id's name was learnt.
func (g *grants) knowsService(id string) bool {
	_, ok := g.nameOf(id)
	return ok
}

// nameOf is the name that was learnt of a service's id.
func (g *grants) nameOf(serviceID string) (Key, bool) {
	service, ok := numberOf(serviceID, "1s")
	if !ok {
		return Key{}, false
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	k, ok := g.services[service]
	return k, ok
}

// mayAct says whether the service behind an id may be acted on, and why not.
func (g *grants) mayAct(serviceID string) string {
	k, ok := g.nameOf(serviceID)
	if !ok {
		return "the service behind " + serviceID + " was not read"
	}
	return g.mayActOn(k)
}

// mayActOn says whether a service may be acted on, and why not.
func (g *grants) mayActOn(k Key) string {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if !g.allowed[k] {
		return "service " + k.String() + " is not a target"
	}
	return ""
}

// mayRead says whether a container's logs may be asked for, and why not.
func (g *grants) mayRead(containerID string) string {
	container, _ := numberOf(containerID, "1i") // None has the number 0.
	g.mu.RLock()
	service, isKnown := g.containers[container]
	k, isNamed := g.services[service]
	isReadable := g.readable[k]
	g.mu.RUnlock()
	switch {
	case !isKnown:
		return "the container behind " + containerID + " was not read"
	case !isNamed:
		return "the service behind " + containerID + " was not read"
	case isReadable:
		return ""
	}
	return g.mayActOn(k)
}

// guard is the one place every request passes before the network.
type guard struct {
	// base is the API's root; nothing outside is asked.
	base *url.URL
	// grants knows the ids that may be acted on.
	grants *grants
	// mayCreate allows creating stacks and services, and setting links.
	mayCreate bool
	// sign adds the credentials.
	sign func(*http.Request) error
	// next is the network.
	next http.RoundTripper
}

// actionPath is the path of an action below the API's root. Actions of load
// balancers go through /services as well (rancher-api 3.8).
var actionPath = regexp.MustCompile(`^/projects/1a[0-9]{1,18}/(services|containers)/(1[si][0-9]{1,18})/$`)

// RoundTrip refuses what is not allowed and signs the rest.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	action, reason := g.check(r)
	if reason != "" {
		closeBody(r)
		return nil, &CapabilityError{Method: r.Method, Path: r.URL.Path, Action: action, Reason: reason}
	}
	signed := r.Clone(r.Context())
	if err := g.sign(signed); err != nil {
		closeBody(r)
		return nil, err
	}
	return g.next.RoundTrip(signed)
}

// CloseIdleConnections lets http.Client reach the network's idle connections.
func (g *guard) CloseIdleConnections() {
	if next, ok := g.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

// check is the rule: reads below the root, the listed actions on learnt ids of
// allowed services, creation for a client made for it, and nothing else. It returns the reason for a refusal.
func (g *guard) check(r *http.Request) (action, reason string) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", "its query is malformed"
	}
	action = query.Get("action")
	path, below := strings.CutPrefix(r.URL.EscapedPath(), g.base.EscapedPath())
	if r.URL.Scheme != g.base.Scheme || r.URL.Host != g.base.Host || !below || !isPlainPath(path) {
		return action, "it is outside " + g.base.Redacted()
	}
	for key := range query {
		// Rancher's framework reads its own parameters from keys like these.
		if strings.HasPrefix(key, "_") {
			return action, "its query overrides the request"
		}
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if query.Has("action") {
			return action, "an action is not a read"
		}
		return action, ""
	case http.MethodPost:
		return action, g.checkAction(path, action, query)
	}
	return action, "only reads and listed actions are sent"
}

// createPath is where something is created.
var createPath = regexp.MustCompile(`^/projects/1a[0-9]{1,18}/(stacks|services)$`)

// checkAction judges a POST.
func (g *guard) checkAction(path, action string, query url.Values) string {
	m := actionPath.FindStringSubmatch(path)
	switch {
	case g.mayCreate && len(query) == 0 && createPath.MatchString(path):
		return ""
	case m == nil, len(query) != 1, len(query["action"]) != 1:
		return "it is not an action on a service or container"
	case m[1] == "services" && serviceActions[action] && strings.HasPrefix(m[2], "1s"):
		return g.grants.mayAct(m[2])
	case m[1] == "services" && g.mayCreate && action == actionSetLinks && strings.HasPrefix(m[2], "1s"):
		return g.grants.mayAct(m[2])
	case m[1] == "containers" && action == actionLogs && strings.HasPrefix(m[2], "1i"):
		return g.grants.mayRead(m[2])
	}
	return "the action is not listed"
}

// isPlainPath says that a path below the root has no tricks in it.
func isPlainPath(path string) bool {
	if path != "" && path[0] != '/' {
		return false
	}
	return !strings.Contains(path, "..") && !strings.Contains(path, "%") && !strings.Contains(path, "//")
}

// closeBody closes a body that will not be sent, as a RoundTripper must.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
