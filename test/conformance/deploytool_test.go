package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// TestDeployTool plays what rancher-gitlab-deploy 1.7 asked of a running server, in the old dialect (/v1). The
// recordings are played one after the other in one world: each begins with what the one before left.
func TestDeployTool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &deployTool{runner: newRunner(t, nil)}
		d.base = "/v1/projects/"
		d.seed()
		for _, step := range []struct {
			name   string
			before func() // What happened on the server since the recording before, unrecorded.
		}{
			{name: "rgd-01-plain"},
			{name: "rgd-02-new-image"},
			{name: "rgd-03-digest-start-first"},
			{name: "rgd-04-no-finish"},
			{name: "rgd-06-sidekicks", before: d.finishAndUpgradeAgain},
			{name: "rgd-07-rollback-on-error"},
			{name: "rgd-08-timeout-no-rollback"},
			{name: "rgd-09-unknown-service"},
			{name: "rgd-10-unknown-stack"},
			{name: "rgd-11-create"},
			{name: "rgd-13-busy-upgrading", before: func() { d.startUpgrade("1s2", nil) }},
		} {
			if step.before != nil {
				step.before()
			}
			if d.play(step.name); t.Failed() {
				t.Fatalf("that was in %s", step.name)
			}
		}
	})
}

// deployTool is a runner for the recordings of the tool.
type deployTool struct{ *runner }

// The launch configurations that the recorded services began with.
const (
	toolConfig = `{"imageUuid":"docker:registry.example/team/app@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"environment":{"APP_MODE":"production"},"labels":{"team":"shop"}%s}`
	toolSidekick = `{"name":"log","imageUuid":"docker:registry.example/team/log@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"labels":{"role":"sidekick"}}`
	toolCheck = `,"healthCheck":{"port":8080,"requestLine":"GET \"/healthz\" \"HTTP/1.0\"","interval":2000,
		"responseTimeout":2000,"healthyThreshold":2,"unhealthyThreshold":3,"strategy":"recreate"}`
)

// seed creates the stacks and services that the recordings begin with.
func (d *deployTool) seed() {
	d.ids["1h1"] = d.server.AddHost("host1.example", "192.0.2.1")
	network, err := d.server.CreateSystemStack("network")
	d.check(err)
	stack, err := d.server.CreateStack("st-parrot-rest")
	d.check(err)
	d.knowStack("1", network)
	d.knowStack("2", stack)
	for _, s := range []struct {
		id, name, extra string
		scale           int
		sidekicks       []json.RawMessage
	}{
		{id: "1s2", name: "parrot-rest", scale: 2},
		{id: "1s3", name: "with-side", scale: 1, sidekicks: []json.RawMessage{json.RawMessage(toolSidekick)}},
		{id: "1s4", name: "never", scale: 1, extra: toolCheck},
	} {
		d.ids[s.id], err = d.server.CreateService(ranchersim.ServiceSpec{
			StackID: stack, Name: s.name, Scale: s.scale, Start: true, Sidekicks: s.sidekicks,
			LaunchConfig: json.RawMessage(fmt.Sprintf(toolConfig, s.extra)),
		})
		d.check(err)
		d.changed[s.id] = true // Nobody ever reported its health.
		d.watch(s.id)
	}
	d.settle("active")
}

func (d *deployTool) check(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// knowStack notes which of our stacks stands for a recorded one; both dialects number them alike.
func (d *deployTool) knowStack(number, ours string) {
	d.ids["1st"+number] = ours
	d.ids["1e"+number] = "1e" + strings.TrimPrefix(ours, "1st")
}

// settle waits until every service without a rollout is in the given state.
func (d *deployTool) settle(state string) {
	for id, h := range d.watched {
		if !d.until(patience, func() bool { return h.current().state == state }) {
			d.t.Fatalf("service %s is %v, want it %s", id, h.current(), state)
		}
	}
}

// servicePath1 is the address of a recorded service in our server.
func (d *deployTool) servicePath1(id string) string {
	return d.mapped("/v1/projects/1a8/services/" + id)
}

// startUpgrade launches the same configuration again but for the given members.
func (d *deployTool) startUpgrade(id string, changes map[string]any) {
	_, svc := d.call(http.MethodGet, d.servicePath1(id), "", nil)
	config, _ := svc["launchConfig"].(map[string]any)
	maps.Copy(config, changes)
	body, err := json.Marshal(map[string]any{"inServiceStrategy": map[string]any{
		"batchSize": 1, "intervalMillis": 2000, "startFirst": false, "launchConfig": config, "secondaryLaunchConfigs": []any{},
	}})
	d.check(err)
	if status, got := d.call(http.MethodPost, d.servicePath1(id)+"/?action=upgrade", string(body), nil); status != http.StatusAccepted {
		d.t.Fatalf("upgrade of %s = %d %v", id, status, got)
	}
	d.last[id] = ""
}

// finishAndUpgradeAgain is a run of the tool, with --variables and --labels, against a service that was left upgraded.
func (d *deployTool) finishAndUpgradeAgain() {
	finish := func() {
		d.call(http.MethodPost, d.servicePath1("1s2")+"/?action=finishupgrade", "", nil)
		d.settle("active")
	}
	finish()
	d.startUpgrade("1s2", map[string]any{
		"environment": map[string]any{"A": "1", "B": "2"}, "labels": map[string]any{"team": "chat", "tier": "web"},
	})
	d.until(patience, func() bool { return d.watch("1s2").current().state == "upgraded" })
	finish()
}

// play takes our server through one recording, at the recorded pace.
func (d *deployTool) play(name string) {
	d.name, d.lines = name, load(d.t, name)
	began := time.Now()
	for _, l := range d.lines {
		time.Sleep(time.Until(began.Add(time.Duration(l.T * float64(time.Second)))))
		switch {
		case !l.isExchange():
		case l.Method != http.MethodGet:
			d.post(l)
		case l.serviceOf() != "":
			d.compareService(l)
		default:
			d.compareList(l)
		}
	}
}

// post makes a recorded change and compares the answer, its identity included.
func (d *deployTool) post(l line) {
	if id := l.serviceOf(); id != "" {
		d.catchUp(l, id)
	}
	status, got := d.call(l.Method, d.mapped(l.Path), d.mapped(l.requestText()), l.Headers)
	if status != l.Status {
		d.errorf("%s = %d %v, want %d", l.where(), status, got, l.Status)
		return
	}
	if number, ok := strings.CutPrefix(l.body()["id"].(string), "1e"); ok {
		d.knowStack(number, "1st"+strings.TrimPrefix(got["id"].(string), "1e"))
	}
	d.learn(l, got)
	d.compareIdentity(l, l.body(), got)
	d.compareBody(l, got)
}

// compareList compares a list record by record, and its envelope.
func (d *deployTool) compareList(l line) {
	wants, _ := l.body()["data"].([]any)
	for _, item := range wants {
		if want := item.(map[string]any); isService(want) {
			d.comeTo(l, want)
		}
	}
	_, got := d.call(l.Method, d.mapped(l.Path), "", l.Headers)
	for _, key := range leftOut {
		delete(got, key)
	}
	envelope := l
	envelope.Response = withoutMember(l.body(), "data")
	d.compareBody(envelope, withoutMember(got, "data"))
	gots, _ := got["data"].([]any)
	if len(gots) != len(wants) {
		d.errorf("%s lists %d, want %d", l.where(), len(gots), len(wants))
		return
	}
	for n := range wants {
		want, have := wants[n].(map[string]any), gots[n].(map[string]any)
		d.compareIdentity(l, want, have)
		d.learnVersion(l, want, have)
		record := l
		record.Response = want
		d.compareBody(record, have)
	}
}

// leftOut are members of a list's envelope that these recordings do not keep.
var leftOut = []string{"createTypes", "sortLinks", "createDefaults"}

// comeTo waits until a listed service shows what was recorded of it.
func (d *deployTool) comeTo(l line, want map[string]any) {
	id, _ := want["id"].(string)
	h := d.watch(id)
	if h == nil {
		d.t.Fatalf("%s: no service stands for %s", l.where(), id)
	}
	if !d.until(patience, func() bool { return h.current() == moment(want) }) {
		d.errorf("%s: our service %s is %v, want %v", l.where(), id, h.current(), moment(want))
	}
	d.last[id], _ = want["state"].(string)
}

// compareIdentity compares what a record says of itself and of its parents: v1 has an id for stacks that its own
// addresses do not use.
func (d *deployTool) compareIdentity(l line, want, got map[string]any) {
	for _, key := range []string{"id", "accountId", "stackId", "environmentId"} {
		if id, ok := want[key].(string); ok && d.mapped(id) != got[key] {
			d.errorf("%s: %s = %v, want %s", l.where(), key, got[key], d.mapped(id))
		}
	}
	if w, g := d.mapped(selfLink(want)), selfLink(got); w != g {
		d.errorf("%s: links.self = %s, want %s", l.where(), g, w)
	}
	w, _ := want["actions"].(map[string]any)
	g, _ := got["actions"].(map[string]any)
	for name, address := range w {
		if d.mapped(address.(string)) != g[name] {
			d.errorf("%s: actions.%s = %v, want %s", l.where(), name, g[name], d.mapped(address.(string)))
		}
	}
}

func selfLink(record map[string]any) string {
	links, _ := record["links"].(map[string]any)
	self, _ := links["self"].(string)
	return self
}
