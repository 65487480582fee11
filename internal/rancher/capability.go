package rancher

import (
	"fmt"
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
	// services is the name behind a service id.
	services map[string]Key
	// containers is the service id behind a container id.
	containers map[string]string
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
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.services[id] == k {
		return // Every listing tells so anew.
	}
	if g.services == nil || len(g.services) >= maxGrants {
		g.services = map[string]Key{}
	}
	g.services[id] = k
}

// learnContainer remembers that a container belongs to a service.
func (g *grants) learnContainer(id, serviceID string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.containers[id] == serviceID {
		return
	}
	if g.containers == nil || len(g.containers) >= maxGrants {
		g.containers = map[string]string{}
	}
	g.containers[id] = serviceID
}

// knowsService says that the id's name was learnt.
func (g *grants) knowsService(id string) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	_, ok := g.services[id]
	return ok
}

// mayAct says whether the service behind an id may be acted on, and why not.
func (g *grants) mayAct(serviceID string) string {
	g.mu.RLock()
	defer g.mu.RUnlock()
	k, ok := g.services[serviceID]
	switch {
	case !ok:
		return "the service behind " + serviceID + " was not read"
	case !g.allowed[k]:
		return "service " + k.String() + " is not a target"
	}
	return ""
}

// mayRead says whether a container's logs may be asked for, and why not.
func (g *grants) mayRead(containerID string) string {
	g.mu.RLock()
	serviceID, ok := g.containers[containerID]
	isReadable := g.readable[g.services[serviceID]]
	g.mu.RUnlock()
	switch {
	case !ok:
		return "the container behind " + containerID + " was not read"
	case isReadable:
		return ""
	}
	return g.mayAct(serviceID)
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
