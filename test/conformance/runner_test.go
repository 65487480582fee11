package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// runner takes the embedded server through one recording, in a bubble whose clock follows the recorded times.
type runner struct {
	t       *testing.T
	server  *ranchersim.Server
	ids     map[string]string // Recorded id to ours.
	version map[string]string // Recorded launchConfig.version to ours.
	watched map[string]*history
	last    map[string]string // Last recorded state by recorded service id.
	seen    map[string]string // Version by recorded container id.
	name    string
	lines   []line
	changed map[string]bool // Recorded services that were acted upon; before that, health came unrecorded.
	failed  int
}

// patience is how long our server may take longer than the recorded one.
const patience = 40 * time.Second

// failing is a runtime whose containers do not start when a label says so, as the recorded simulator's.
type failing struct{}

func (failing) Pull(context.Context, string) (string, error) { return "sha256:0", nil }

func (failing) Start(_ context.Context, c ranchersim.ContainerSpec) (ranchersim.Process, error) {
	if c.Labels["test"] == "compute.instance.activate::fail" {
		return nil, errors.New("Failing [compute.instance.activate]")
	}
	return nil, nil
}

func newRunner(t *testing.T, runtime ranchersim.Runtime) *runner {
	s := ranchersim.New(ranchersim.Options{Project: "prod", AccessKey: "key", SecretKey: "secret", ExternalHealth: true, Runtime: runtime})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	r := &runner{
		t: t, server: s, ids: map[string]string{}, version: map[string]string{"0": "0"},
		watched: map[string]*history{}, last: map[string]string{}, changed: map[string]bool{}, seen: map[string]string{},
	}
	t.Cleanup(func() {
		for _, h := range r.watched {
			h.stop()
		}
		cancel()
		<-done
	})
	r.ids["1a8"] = s.ProjectID()
	r.ids["1h1"] = s.AddHost("host1.example", "192.0.2.1")
	return r
}

// run plays every line.
func (r *runner) run(name string, lines []line) {
	r.name = name
	r.lines = lines
	before := 0.0
	for _, l := range lines {
		// Short gaps follow our server's pace, which is not the recorded one's to the millisecond; long ones are kept.
		if gap := l.T - before; gap > 3 {
			time.Sleep(time.Duration(gap * float64(time.Second)))
		}
		before = l.T
		switch {
		case report.MatchString(l.Note):
			r.report(l)
		case !l.isExchange(), isPassing(r.name, l.Seq):
		case l.Method == http.MethodGet && l.isInstances():
			r.compareInstances(l)
		case l.Method == http.MethodGet && l.serviceOf() != "" && l.Status == http.StatusOK && isService(l.body()):
			r.compareService(l)
		case l.Method != http.MethodGet:
			r.write(l)
		}
	}
}

func isService(body map[string]any) bool {
	return body["baseType"] == "service" && body["state"] != nil
}

var anyID = regexp.MustCompile(`1[a-z]+\d+`)

// mapped replaces recorded ids by ours.
func (r *runner) mapped(text string) string {
	return anyID.ReplaceAllStringFunc(text, func(id string) string {
		if ours, ok := r.ids[id]; ok {
			return ours
		}
		return id
	})
}

// call makes a request as recorded.
func (r *runner) call(method, path, body string, headers map[string]string) (int, map[string]any) {
	req := httptest.NewRequestWithContext(r.t.Context(), method, "http://rancher.example:8080"+path, strings.NewReader(body))
	req.SetBasicAuth("key", "secret")
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	r.server.Handler().ServeHTTP(rec, req)
	var out map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		r.t.Fatalf("%s %s: %q: %v", method, path, rec.Body, err)
	}
	return rec.Code, out
}

// report passes a health report on, to the container of ours that stands where the recorded one does: which of several
// units is replaced first is arbitrary, so it is looked for by version and health.
func (r *runner) report(l line) {
	m := report.FindStringSubmatch(l.Note)
	up := m[1] == "UP"
	var ours string
	found := r.until(patience, func() bool {
		ours = r.standIn(m[2], up)
		return ours != ""
	})
	if !found || !r.server.ReportHealth(ours, up) {
		r.errorf("line %d: no running container stands for %s", l.Seq, m[2])
	}
}

// standIn finds the running container of ours that a report about a recorded one is for.
func (r *runner) standIn(recorded string, up bool) string {
	version := r.version[r.seen[recorded]]
	best := ""
	for _, c := range r.server.Containers() {
		if c.State != "running" || c.Version != version || up == (c.Health == "healthy") && up {
			continue
		}
		if best == "" || c.ID == r.ids[recorded] {
			best = c.ID
		}
	}
	return best
}

// errorf counts complaints and gives up when there are too many to read.
func (r *runner) errorf(format string, args ...any) {
	r.t.Helper()
	r.t.Errorf(format, args...)
	if r.failed++; r.failed >= 20 {
		r.t.FailNow()
	}
}

// until waits for a condition at most d of the bubble's time.
func (r *runner) until(d time.Duration, cond func() bool) bool {
	for deadline := time.Now().Add(d); ; time.Sleep(10 * time.Millisecond) {
		if cond() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// write makes a recorded change, when our service has come as far as the recorded one had.
func (r *runner) write(l line) {
	if recorded := l.serviceOf(); recorded != "" && r.prepare(l, recorded) {
		r.changed[recorded] = true
	}
	if strings.HasSuffix(l.Path, "ervices") && l.Status == http.StatusCreated {
		r.ensureStack(l)
		r.ensureTargets(l)
	}
	status, body := r.call(l.Method, r.mapped(l.Path), r.mapped(l.requestText()), l.Headers)
	if status != l.Status {
		r.errorf("%s = %d %v, want %d", l.where(), status, body, l.Status)
		return
	}
	if l.Status >= http.StatusBadRequest {
		r.compareError(l, body)
		return
	}
	r.learn(l, body)
	r.compareBody(l, body)
}

// prepare brings our service to where the recorded one was when the change was made; it is false without a service.
func (r *runner) prepare(l line, recorded string) bool {
	if r.ids[recorded] == "" && !r.adoptAhead(recorded) {
		return false
	}
	r.catchUp(l, recorded)
	// Between accepted upgrades the one who recorded took each back, unrecorded.
	refused := strings.HasSuffix(l.Path, "=upgrade") && l.body()["code"] != "ActionNotAvailable"
	if r.last[recorded] == "upgraded" && (refused || l.body()["state"] == "active" || l.Method == http.MethodPatch) {
		r.call(http.MethodPost, r.mapped("/v2-beta/projects/1a8/services/"+recorded+"/?action=rollback"), "", nil)
		r.last[recorded] = "active"
		r.catchUp(l, recorded)
	}
	return true
}

// adoptAhead creates a service from the first full body that the recording has of it.
func (r *runner) adoptAhead(recorded string) bool {
	for _, l := range r.lines {
		if isService(l.body()) && l.body()["id"] == recorded {
			r.adopt(l, recorded)
			return true
		}
	}
	return false
}

// catchUp waits until our service is in the state the recorded one was last seen in.
func (r *runner) catchUp(l line, recorded string) {
	want := r.last[recorded]
	h := r.watch(recorded)
	if want == "" || h == nil {
		return
	}
	if !r.until(patience, func() bool { return h.current().state == want }) {
		r.errorf("%s: our service is %s, want %s first", l.where(), h.current().state, want)
	}
}

// ensureStack creates the stack that a recorded service belongs to.
func (r *runner) ensureStack(l line) {
	var body struct{ StackID string }
	if json.Unmarshal([]byte(l.requestText()), &body) != nil || body.StackID == "" || r.ids[body.StackID] != "" {
		return
	}
	id, err := r.server.CreateStack(fmt.Sprintf("st-%d", len(r.ids)))
	if err != nil {
		r.t.Fatal(err)
	}
	r.ids[body.StackID] = id
}

// target is a service that a balancer's rule names.
var target = regexp.MustCompile(`"serviceId":\s*"(1s\d+)"`)

// ensureTargets creates the services that a recorded balancer sends to.
func (r *runner) ensureTargets(l line) {
	for _, m := range target.FindAllStringSubmatch(l.requestText(), -1) {
		if r.ids[m[1]] != "" {
			continue
		}
		var body struct{ StackID string }
		if err := json.Unmarshal([]byte(l.requestText()), &body); err != nil {
			r.t.Fatal(err)
		}
		id, err := r.server.CreateService(ranchersim.ServiceSpec{
			StackID: r.ids[body.StackID], Name: "target", LaunchConfig: json.RawMessage(`{"imageUuid":"docker:a"}`),
		})
		if err != nil {
			r.t.Fatal(err)
		}
		r.ids[m[1]] = id
	}
}

// learn notes which of our ids and versions stand for the recorded ones.
func (r *runner) learn(l line, body map[string]any) {
	want := l.body()
	if id, ok := want["id"].(string); ok {
		if ours, _ := body["id"].(string); ours != "" {
			r.ids[id] = ours
		}
	}
	if state, ok := want["state"].(string); ok && isService(want) {
		r.last[want["id"].(string)] = state
		r.watch(want["id"].(string))
	}
	r.learnVersion(l, want, body)
}

// learnVersion checks that versions change where the recorded ones do, and nowhere else.
func (r *runner) learnVersion(l line, want, got map[string]any) {
	w, _ := want["launchConfig"].(map[string]any)
	g, _ := got["launchConfig"].(map[string]any)
	if w == nil || g == nil {
		return
	}
	theirs, _ := w["version"].(string)
	ours, _ := g["version"].(string)
	if known, ok := r.version[theirs]; ok && known != ours {
		r.errorf("%s: launchConfig.version = %s, want the one that stands for %s", l.where(), ours, theirs)
	}
	r.version[theirs] = ours
}

func (r *runner) compareError(l line, got map[string]any) {
	for _, key := range []string{"type", "code", "fieldName", "message", "detail", "status", "baseType"} {
		want, wok := l.body()[key]
		have, gok := got[key]
		if wok != gok || want != have {
			r.errorf("%s: %s = %v (%t), want %v (%t)", l.where(), key, have, gok, want, wok)
		}
	}
}

// compareBody compares a service or a stack in full.
func (r *runner) compareBody(l line, got map[string]any) {
	want := l.body()
	if want["type"] == "container" {
		want = map[string]any{"actions": want["actions"], "links": want["links"], "state": want["state"], "type": want["type"]}
		got = map[string]any{"actions": got["actions"], "links": got["links"], "state": got["state"], "type": got["type"]}
	}
	for _, key := range []string{"actions", "links"} {
		w, g := names(want[key]), names(got[key])
		if key == "links" && w == "self" {
			continue // Long recordings keep no more.
		}
		if w != g {
			r.errorf("%s: %s = %s\n\twant %s", l.where(), key, g, w)
		}
	}
	for _, d := range differ("", want, got) {
		r.errorf("%s: %s", l.where(), d)
	}
	wu, _ := want["upgrade"].(map[string]any)
	gu, _ := got["upgrade"].(map[string]any)
	if wu != nil && gu != nil && want["state"] != "upgrading" {
		for _, d := range differ("upgrade.", wu, gu) {
			r.errorf("%s: %s", l.where(), d)
		}
	}
}

// compareService wants our service to pass through what the recorded one shows, in the recorded order.
func (r *runner) compareService(l line) {
	recorded := l.serviceOf()
	want := moment(l.body())
	if l.body()["state"] == nil {
		return
	}
	if r.ids[recorded] == "" {
		r.adopt(l, recorded)
	}
	h := r.watch(recorded)
	r.last[recorded] = want.state
	if !r.changed[recorded] && want.health == "healthy" && want.state == "active" {
		r.reportAll(recorded)
	}
	if !r.until(patience, func() bool { return h.advance(want) }) {
		r.errorf("%s: our service never was %v\n\tit was %s", l.where(), want, h)
		return
	}
	_, got := r.call(http.MethodGet, r.mapped(l.Path), "", nil)
	if got["state"] == want.state {
		r.learnVersion(l, l.body(), got)
		r.compareBody(l, got)
	}
}

// compareInstances wants our containers to pass through the recorded picture.
func (r *runner) compareInstances(l line) {
	h := r.watch(l.serviceOf())
	if h == nil {
		return
	}
	data, _ := l.body()["data"].([]any)
	want := r.picture(data, func(v string) string { return v })
	if !r.until(patience, func() bool { return h.advancePicture(want) }) {
		r.errorf("%s: our containers never were [%s]\n\tthey were %s", l.where(), want, h.pictures())
	}
	r.pair(l, data)
}

// pair finds which of our containers stand for the recorded ones: same version, same order.
func (r *runner) pair(l line, data []any) {
	_, got := r.call(http.MethodGet, r.mapped("/v2-beta/projects/1a8/services/"+l.serviceOf()+"/instances?limit=-1"), "", nil)
	ours, _ := got["data"].([]any)
	taken := map[string]bool{}
	for _, id := range r.ids {
		taken[id] = true
	}
	for _, item := range data {
		i := item.(map[string]any)
		id, _ := i["id"].(string)
		r.seen[id], _ = i["version"].(string)
		if r.ids[id] != "" {
			continue
		}
		for _, other := range ours {
			o := other.(map[string]any)
			theirs, _ := i["version"].(string)
			if known, ok := r.version[theirs]; ok && o["version"] == known && !taken[o["id"].(string)] && r.samePlace(i, o) {
				r.ids[id] = o["id"].(string)
				taken[r.ids[id]] = true
				break
			}
		}
	}
}

// samePlace compares the settled part of two containers.
func (r *runner) samePlace(a, b map[string]any) bool {
	return a["state"] == b["state"] || !settled(fmt.Sprint(a["state"])) || !settled(fmt.Sprint(b["state"]))
}

// adopt creates an active service that a recording begins with, as it was recorded.
func (r *runner) adopt(l line, recorded string) {
	body := l.body()
	in := map[string]any{}
	for _, key := range []string{"name", "scale", "launchConfig", "secondaryLaunchConfigs", "metadata", "stackId", "startOnCreate"} {
		in[key] = body[key]
	}
	text, err := json.Marshal(in)
	if err != nil {
		r.t.Fatal(err)
	}
	r.ensureStack(line{Request: text})
	status, got := r.call(http.MethodPost, r.mapped("/v2-beta/projects/1a8/services"), r.mapped(string(text)), nil)
	if status != http.StatusCreated {
		r.t.Fatalf("%s: creating the service: %d %v", l.where(), status, got)
	}
	r.ids[recorded] = got["id"].(string)
	h := r.watch(recorded)
	if body["startOnCreate"] != true {
		r.until(patience, func() bool { return h.current().state == "inactive" })
		r.call(http.MethodPost, r.mapped("/v2-beta/projects/1a8/services/"+recorded+"/?action=activate"), "", nil)
	}
	r.until(patience, func() bool { return h.current().state == "active" })
	r.reportAll(recorded)
	r.until(patience, func() bool { return h.current().health == "healthy" })
	r.last[recorded] = "active"
}

// reportAll reports a service's containers healthy.
func (r *runner) reportAll(recorded string) {
	r.until(patience, func() bool { return r.watch(recorded).current().state == "active" })
	for _, c := range r.server.Containers() {
		if c.ServiceID == r.ids[recorded] {
			r.server.ReportHealth(c.ID, true)
		}
	}
}

// settled tells whether a container's state lasts.
func settled(state string) bool {
	return slices.Contains([]string{"running", "stopped", "error"}, state)
}

// picture reduces containers to those in a lasting state, without identity: what was seen while one started or
// stopped depends on the moment of looking.
func (r *runner) picture(data []any, version func(string) string) string {
	var parts []string
	for _, item := range data {
		i := item.(map[string]any)
		state, _ := i["state"].(string)
		if !settled(state) {
			continue
		}
		health, _ := i["healthState"].(string)
		if strings.HasPrefix(health, "updating-") {
			health = strings.TrimPrefix(health, "updating-")
			if health == "healthy" || health == "unhealthy" {
				continue // A moment between two states.
			}
		}
		v, _ := i["version"].(string)
		age := "new"
		if version(v) == "0" {
			age = "first"
		}
		parts = append(parts, fmt.Sprintf("%s/%s/%s/%v", state, health, age, i["startCount"]))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}
