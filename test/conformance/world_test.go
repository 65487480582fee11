package conformance

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// prologue creates what a recording takes for granted: hosts, stacks, and the services that it does not create itself,
// in the order of their ids.
func (r *runner) prologue() {
	hosts := r.mentioned(`1h\d+`)
	if len(hosts) == 0 {
		hosts = []string{"1h1"}
	}
	for _, id := range hosts {
		host := r.firstBody(id)
		name, _ := host["hostname"].(string)
		address, _ := host["agentIpAddress"].(string)
		r.ids[id] = r.server.AddHost(cmp.Or(name, "host"+id[2:]+".example"), cmp.Or(address, r.addressOf(id), "192.0.2."+id[2:]))
	}
	for _, id := range r.mentioned(`1st\d+`) {
		if !r.isCreated(id) {
			r.addStack(id)
		}
	}
	time.Sleep(time.Second) // A stack becomes active.
	r.adoptServices()
	for _, id := range r.targets() {
		if r.ids[id] == "" && !r.isCreated(id) {
			r.addTarget(id)
		}
	}
	r.addContainers()
}

// adoptServices creates the services that exist already. One that refers to something which only comes into being later
// has to wait for it.
func (r *runner) adoptServices() {
	for _, id := range r.mentioned(`1s\d+`) {
		body := r.firstBody(id)
		if body == nil {
			body = r.bodyOfContainers(id)
		}
		if body != nil && r.ids[id] == "" && !r.isCreated(id) && r.hasAll(body) {
			r.adopt(id, body)
		}
	}
}

// hasAll tells whether the secrets that a service refers to exist.
func (r *runner) hasAll(body map[string]any) bool {
	return find(body, func(m map[string]any) bool {
		id, _ := m["secretId"].(string)
		return id != "" && r.ids[id] == ""
	}) == nil
}

// bodyOfContainers makes up a service of which only containers are shown.
func (r *runner) bodyOfContainers(id string) map[string]any {
	for _, l := range r.lines {
		c := find(l.Response, func(m map[string]any) bool {
			ids, _ := m["serviceIds"].([]any)
			return m["type"] == "container" && m["environment"] != nil && slices.Contains(ids, any(id))
		})
		if c == nil {
			continue
		}
		labels, _ := c["labels"].(map[string]any)
		own, stack := map[string]any{}, "1st0"
		for name, value := range labels {
			if !addedLabel.MatchString(name) {
				own[name] = value
			}
		}
		path := strings.Split(labels["io.rancher.stack_service.name"].(string), "/")
		if r.ids[stack] == "" {
			r.ids[stack] = r.must(r.server.CreateStack(path[0]))
			time.Sleep(time.Second)
		}
		environment, _ := c["environment"].(map[string]any)
		given := map[string]any{}
		for name, value := range environment {
			if !strings.HasPrefix(name, "CATTLE_") {
				given[name] = value
			}
		}
		return map[string]any{
			"type": "service", "name": path[1], "stackId": stack, "scale": 1, "startOnCreate": true, "state": "active",
			"launchConfig": map[string]any{"imageUuid": c["imageUuid"], "labels": own, "environment": given},
		}
	}
	return nil
}

// addedLabel is a label that Cattle adds to containers.
var addedLabel = regexp.MustCompile(`^io\.rancher\.(service|stack|stack_service|project|project_service|environment|container\.(uuid|name|mac_address))(\.|$)`)

// loggedContainer finds a container whose log is asked for.
var loggedContainer = regexp.MustCompile(`/containers/(1i\d+)/\?action=logs`)

// addContainers creates the containers that a recording is about without showing their service.
func (r *runner) addContainers() {
	var ids []string
	for _, l := range r.lines {
		if m := loggedContainer.FindStringSubmatch(l.Path); m != nil && !slices.Contains(ids, m[1]) {
			ids = append(ids, m[1])
		}
	}
	if len(ids) == 0 {
		return
	}
	r.addStack("1st0")
	time.Sleep(time.Second)
	r.create("1s0", map[string]any{
		"name": "talkers", "stackId": "1st0", "scale": len(ids), "startOnCreate": true,
		"launchConfig": map[string]any{"imageUuid": "docker:a"},
	}, "services")
	h := r.watch("1s0")
	r.until(patience, func() bool { return h.current().state == "active" })
	for n, c := range r.server.Containers() {
		r.ids[ids[n]] = c.ID
	}
}

// addressOf is a host's address as the ports on it show it.
func (r *runner) addressOf(host string) string {
	for _, l := range r.lines {
		endpoint := find(l.Response, func(m map[string]any) bool { return m["type"] == "publicEndpoint" && m["hostId"] == host })
		if address, ok := endpoint["ipAddress"].(string); ok {
			return address
		}
	}
	return ""
}

// mentioned lists the ids of a kind in the recording by number.
func (r *runner) mentioned(pattern string) []string {
	re := regexp.MustCompile(`"(` + pattern + `)"`)
	found := map[string]bool{}
	for _, l := range r.lines {
		l.Request = nil // It may ask for what there is not.
		text, err := json.Marshal(l)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, m := range re.FindAllSubmatch(text, -1) {
			found[string(m[1])] = true
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b string) int { return cmp.Compare(number(a), number(b)) })
}

func number(id string) int {
	n, _ := strconv.Atoi(strings.TrimLeft(id[1:], "abcdefghijklmnopqrstuvwxyz"))
	return n
}

// isCreated tells whether a thing begins to exist in the recording.
func (r *runner) isCreated(id string) bool {
	return slices.ContainsFunc(r.lines, func(l line) bool { return l.Status == http.StatusCreated && l.body()["id"] == id })
}

// firstBody is what the recording shows first of a thing, nil when it never does.
func (r *runner) firstBody(id string) map[string]any {
	for _, l := range r.lines {
		isIt := func(m map[string]any) bool { return m["id"] == id && m["baseType"] != nil }
		if body := find([]any{l.Response, l.frame()}, isIt); body != nil {
			return body
		}
	}
	return nil
}

// find is the first object within a value that fulfils a condition.
func find(v any, cond func(map[string]any) bool) map[string]any {
	switch v := v.(type) {
	case map[string]any:
		if cond(v) {
			return v
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if found := find(v[key], cond); found != nil {
				return found
			}
		}
	case []any:
		for _, item := range v {
			if found := find(item, cond); found != nil {
				return found
			}
		}
	}
	return nil
}

// addStack creates a stack under its recorded name, if that is known.
func (r *runner) addStack(id string) {
	body := r.firstBody(id)
	if r.isSystem(id) || body["system"] == true {
		r.ids[id] = r.must(r.server.CreateSystemStack("system-" + id))
		return
	}
	in := map[string]any{"name": "st-" + id}
	if body != nil {
		in["name"], in["description"] = body["name"], body["description"]
	} else if labels := r.labelsIn(id); labels != nil {
		in["name"] = labels["io.rancher.stack.name"]
	}
	r.create(id, in, "stacks")
}

// must takes what the server created.
func (r *runner) must(id string, err error) string {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// isSystem tells whether a stack is one of Rancher's own.
func (r *runner) isSystem(stackID string) bool {
	for _, l := range r.lines {
		if find(l.Response, func(m map[string]any) bool { return m["stackId"] == stackID && m["system"] == true }) != nil {
			return true
		}
	}
	return false
}

// labelsIn are the labels of some container of a stack: they name it.
func (r *runner) labelsIn(stackID string) map[string]any {
	services := map[any]bool{}
	for _, l := range r.lines {
		find([]any{l.Response, l.frame()}, func(m map[string]any) bool {
			if m["baseType"] == "service" && m["stackId"] == stackID {
				services[m["id"]] = true
			}
			return false
		})
	}
	for _, l := range r.lines {
		c := find([]any{l.Response, l.frame()}, func(m map[string]any) bool {
			ids, _ := m["serviceIds"].([]any)
			return len(ids) > 0 && services[ids[0]]
		})
		if labels, ok := c["labels"].(map[string]any); ok {
			return labels
		}
	}
	return nil
}

// target is a service that a balancer's rule names.
var target = regexp.MustCompile(`"serviceId":\s*"(1s\d+)"`)

// targets are the services that load balancers are told to send to, and that were accepted.
func (r *runner) targets() []string {
	var ids []string
	for _, l := range r.lines {
		for _, m := range target.FindAllSubmatch(l.Request, -1) {
			if l.Status < http.StatusBadRequest {
				ids = append(ids, string(m[1]))
			}
		}
	}
	return ids
}

// addTarget creates a service that the recording only names.
func (r *runner) addTarget(id string) {
	stack := ""
	for _, l := range r.lines {
		var body struct{ StackID string }
		if json.Unmarshal([]byte(l.requestText()), &body) == nil && strings.Contains(string(l.Request), id) && body.StackID != "" {
			stack = body.StackID
		}
	}
	r.addNamed(id, stack)
}

// addNamed creates a service of which nothing is known.
func (r *runner) addNamed(id, stack string) {
	r.create(id, map[string]any{"name": "target-" + id, "stackId": stack, "launchConfig": map[string]any{"imageUuid": "docker:a"}}, "services")
}

// text is a value as JSON.
func (r *runner) text(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// adopt creates a service that a recording begins with, in the state it begins with.
func (r *runner) adopt(id string, body map[string]any) {
	past := r.past(id, body)
	in := map[string]any{}
	for _, key := range []string{"name", "scale", "metadata", "stackId", "startOnCreate", "lbConfig", "selectorContainer", "retainIp"} {
		in[key] = body[key]
	}
	in["launchConfig"], in["secondaryLaunchConfigs"] = past.config, past.secondaries
	if body["system"] == true {
		// An environment's key may not create Rancher's own services.
		r.addOwn(id, body, in)
		return
	}
	for _, m := range target.FindAllStringSubmatch(r.text(body), -1) {
		if r.ids[m[1]] == "" {
			stack, _ := body["stackId"].(string)
			r.addNamed(m[1], stack)
		}
	}
	r.create(id, in, strings.ToLower(body["type"].(string))+"s")
	h := r.watch(id)
	if body["startOnCreate"] != true && body["state"] != "inactive" {
		r.until(patience, func() bool { return h.current().state == "inactive" })
		r.act(id, "activate", "")
	}
	if body["state"] == "inactive" {
		r.until(patience, func() bool { return h.current().state == "inactive" })
		r.last[id] = "inactive"
		return
	}
	r.until(patience, func() bool { return h.current().state == "active" })
	if !r.staysUnhealthy(id) {
		r.reportAll(id)
		r.until(patience, func() bool { return h.current().health == "healthy" })
	}
	if past.strategy != "" {
		r.act(id, "upgrade", past.strategy)
		r.until(patience, func() bool { r.reportAll(id); return h.current().state == "upgraded" })
		r.act(id, "finishupgrade", "")
		r.until(patience, func() bool { return h.current().state == "active" })
	}
	r.last[id] = "active"
	_, ours := r.call(http.MethodGet, r.mapped("/v2-beta/projects/1a8/services/"+id), "", nil)
	if body["state"] == "active" {
		r.learnVersion(line{}, body, ours)
	}
}

// before is what a service was when a recording began.
type before struct {
	config, secondaries any
	strategy            string // The last upgrade before that, to be made and finished; "" is none.
}

// past finds out what a service was before the first body that is recorded of it.
func (r *runner) past(id string, body map[string]any) before {
	config, _ := body["launchConfig"].(map[string]any)
	now := before{config: body["launchConfig"], secondaries: body["secondaryLaunchConfigs"]}
	strategy := strategyOf(body)
	if body["state"] == "active" {
		if strategy != nil {
			return before{strategy["previousLaunchConfig"], strategy["previousSecondaryLaunchConfigs"], r.strategyText(strategy)}
		}
		return now
	}
	// The first body is the answer to an upgrade: it shows what it was upgraded to.
	for _, l := range r.lines {
		later := strategyOf(l.body())
		if to, _ := later["launchConfig"].(map[string]any); l.body()["id"] == id && to != nil && to["version"] == config["version"] {
			return before{config: later["previousLaunchConfig"], secondaries: later["previousSecondaryLaunchConfigs"]}
		}
	}
	return now
}

func strategyOf(body map[string]any) map[string]any {
	upgrade, _ := body["upgrade"].(map[string]any)
	strategy, _ := upgrade["inServiceStrategy"].(map[string]any)
	return strategy
}

// strategyText is the request that made an upgrade.
func (r *runner) strategyText(strategy map[string]any) string {
	return r.text(map[string]any{"inServiceStrategy": strategy})
}

// staysUnhealthy tells whether the recording begins before the service's containers were reported healthy.
func (r *runner) staysUnhealthy(id string) bool {
	for _, l := range r.lines {
		if l.Service != nil {
			return l.Service["healthState"] == "initializing"
		}
		if l.body()["id"] == id && isService(l.body()) {
			return l.body()["healthState"] == "initializing"
		}
	}
	return false
}

// create makes a service or stack of ours that stands for a recorded one.
func (r *runner) create(id string, in map[string]any, collection string) {
	status, got := r.call(http.MethodPost, r.mapped("/v2-beta/projects/1a8/"+collection), r.mapped(r.text(in)), nil)
	if status != http.StatusCreated {
		r.t.Fatalf("creating %s: %d %v", id, status, got)
	}
	r.ids[id] = got["id"].(string)
}

// act makes a change that is not recorded.
func (r *runner) act(id, action, body string) {
	path := r.mapped("/v2-beta/projects/1a8/services/" + id + "/?action=" + action)
	if status, got := r.call(http.MethodPost, path, r.mapped(body), nil); status != http.StatusAccepted {
		r.t.Fatalf("%s of %s = %d %v", action, id, status, got)
	}
}

// reportAll reports a service's containers healthy.
func (r *runner) reportAll(recorded string) {
	for _, c := range r.server.Containers() {
		if c.ServiceID == r.ids[recorded] {
			r.server.ReportHealth(c.ID, true)
		}
	}
}

// addOwn creates one of Rancher's own services.
func (r *runner) addOwn(id string, body, in map[string]any) {
	config, err := json.Marshal(in["launchConfig"])
	if err != nil {
		r.t.Fatal(err)
	}
	fields, err := json.Marshal(map[string]any{
		"networkDriver": body["networkDriver"], "storageDriver": body["storageDriver"], "selectorContainer": body["selectorContainer"],
	})
	if err != nil {
		r.t.Fatal(err)
	}
	stack, _ := in["stackId"].(string)
	name, _ := in["name"].(string)
	kind, _ := body["type"].(string)
	r.ids[id], err = r.server.CreateService(ranchersim.ServiceSpec{
		StackID: r.ids[stack], Name: name, Kind: kind, Scale: 1, LaunchConfig: config, Start: true,
		Fields: fields,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.watch(id)
}
