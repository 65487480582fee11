package conformance

import (
	"context"
	"encoding/json"
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
	ids     pairs // Recorded identities to ours.
	watched map[string]*history
	last    map[string]string // Last recorded state by recorded service id.
	seen    map[string]string // Version by recorded container id.
	paces   map[string]*pace  // By recorded service id.
	base    string            // What stands before the project's id in addresses.
	name    string
	lines   []line
	changed map[string]bool // Recorded services that were acted upon; before that, health came unrecorded.
	began   time.Time       // When the server started.
	failed  int
	silent  bool // The line is one of those not compared.
	sockets []*socket

	wire *ranchersim.Wire // Carries the sockets.
	ends []func()
}

// onEnd has something done when the recording is over.
func (r *runner) onEnd(f func()) { r.ends = append(r.ends, f) }

// patience is how long our server may take longer than the recorded one.
const patience = 40 * time.Second

// The keys of the two kinds that were recorded; the recordings keep no keys.
const (
	environmentKey = "key"
	containerKey   = "container"
)

func newRunner(t *testing.T, runtime ranchersim.Runtime) *runner {
	s := ranchersim.New(ranchersim.Options{Project: "prod", AccessKey: environmentKey, SecretKey: "secret", ExternalHealth: true, Runtime: runtime})
	s.AddKey(ranchersim.Key{Access: containerKey, Secret: "secret", Kind: ranchersim.AgentKey, Project: s.ProjectID()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	r := &runner{
		t: t, server: s, base: "/v2-beta/projects/", ids: pairs{}, watched: map[string]*history{}, last: map[string]string{},
		began: time.Now(), changed: map[string]bool{}, seen: map[string]string{}, paces: map[string]*pace{},
	}
	t.Cleanup(func() {
		for _, h := range r.watched {
			h.stop()
		}
		for _, s := range r.sockets {
			s.close()
		}
		for _, f := range r.ends {
			f()
		}
		cancel()
		<-done
	})
	r.ids["1a8"] = s.ProjectID()
	return r
}

// run plays every line.
func (r *runner) run(name string, lines []line) {
	r.name, r.lines = name, lines
	r.prologue()
	if b, ok := begins[name]; ok {
		minute := time.Since(r.began) % time.Minute
		time.Sleep((b.second - minute + time.Minute) % time.Minute)
	}
	began := time.Now()
	for _, l := range lines {
		time.Sleep(time.Until(began.Add(scale(l.T))))
		r.silent = isPassing(r.name, l.Seq)
		r.play(l)
	}
	r.silent = false
	r.compareSockets()
}

// play does what one line says.
func (r *runner) play(l line) {
	switch {
	case report.MatchString(l.Note):
		r.report(l)
	case strings.Contains(l.Note, "the agent is stopped"):
		r.loseHost()
	case l.opensSocket():
		r.subscribe(l)
	case l.frame() != nil:
		r.expect(l)
	case l.Sample > 0:
		r.compareSample(l)
	case !l.isExchange():
	case l.Method != http.MethodGet:
		r.write(l)
	case l.isInstances():
		r.compareInstances(l)
	case l.isServiceRead():
		r.compareService(l)
	default:
		r.compareRead(l)
	}
}

// loseHost has the first host's agent go away.
func (r *runner) loseHost() {
	if err := r.server.SetHostState(r.ids["1h1"], "reconnecting"); err != nil {
		r.t.Fatal(err)
	}
}

var anyID = regexp.MustCompile(`\b1[a-z]{1,4}(\d+)\b`)

// chosenIn is a host port that Rancher chose, in a request.
var chosenIn = regexp.MustCompile(`"\d{5}:`)

// mapped replaces recorded ids by ours. One that stands for nothing becomes one that nothing has.
func (r *runner) mapped(text string) string {
	text = chosenIn.ReplaceAllStringFunc(text, func(m string) string {
		if ours, ok := r.ids[m[1:len(m)-1]]; ok {
			return `"` + ours + `:`
		}
		return m
	})
	return anyID.ReplaceAllStringFunc(text, func(id string) string {
		if ours, ok := r.ids[id]; ok {
			return ours
		}
		return id + "00000"
	})
}

// mappedPath is an address of ours. A service may be asked for by its number under another type's letters.
func (r *runner) mappedPath(path string) string {
	return r.mapped(strings.NewReplacer("/services/1i", "/services/1s").Replace(path))
}

// call makes a request as recorded.
func (r *runner) call(method, path, body string, headers map[string]string) (int, map[string]any) {
	return r.callAs(environmentKey, method, path, body, headers)
}

// callAs makes a request with a key; "" is none.
func (r *runner) callAs(key, method, path, body string, headers map[string]string) (int, map[string]any) {
	req := httptest.NewRequestWithContext(r.t.Context(), method, "http://rancher.example:8080"+path, strings.NewReader(body))
	if key != "" {
		req.SetBasicAuth(key, "secret")
	}
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

// send makes a recorded request with the kind of key that was used.
func (r *runner) send(l line) (int, map[string]any) {
	key := environmentKey
	switch {
	case l.Status == http.StatusUnauthorized:
		key = "" // Wrong ones are looked at in the access control's own test.
	case l.Headers["X-ENFORCE-AUTHENTICATION"] != "":
		key = containerKey
	}
	return r.callAs(key, l.Method, r.mappedPath(l.Path), r.mapped(l.requestText()), l.Headers)
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
	r.mark(l, "")
}

// standIn finds the running container of ours that a report about a recorded one is for.
func (r *runner) standIn(recorded string, up bool) string {
	version := r.versionOf(r.seen[recorded])
	best := ""
	for _, c := range r.server.Containers() {
		if c.State != "running" || c.Version != version || up && c.Health == "healthy" {
			continue
		}
		if best == "" || c.ID == r.ids[recorded] {
			best = c.ID
		}
	}
	return best
}

// versionOf is our version that stands for a recorded one.
func (r *runner) versionOf(recorded string) string {
	if ours, ok := r.ids[recorded]; ok {
		return ours
	}
	return recorded
}

// errorf counts complaints and gives up when there are too many to read.
func (r *runner) errorf(format string, args ...any) {
	r.t.Helper()
	if r.silent {
		return
	}
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
	if recorded := l.serviceOf(); recorded != "" && r.ids[recorded] != "" {
		r.prepare(l, recorded)
		r.changed[recorded] = true
	}
	status, body := r.send(l)
	r.mark(l, l.serviceOf())
	if status != l.Status {
		r.errorf("%s = %d %v, want %d", l.where(), status, body, l.Status)
		return
	}
	if h := r.watched[l.serviceOf()]; h != nil {
		h.look()
		h.skip()
	}
	r.compareBody(l, body)
	r.learn(l, body)
	if l.Status == http.StatusCreated {
		r.adoptServices() // One may have waited for it.
	}
}

// prepare brings our service to where the recorded one was when the change was made.
func (r *runner) prepare(l line, recorded string) {
	r.catchUp(l, recorded)
	// Between accepted upgrades the one who recorded took each back, unrecorded.
	refused := strings.HasSuffix(l.Path, "=upgrade") && l.body()["code"] != "ActionNotAvailable"
	if r.last[recorded] == "upgraded" && (refused || l.body()["state"] == "active" || l.Method == http.MethodPatch) {
		r.act(recorded, "rollback", "")
		r.last[recorded] = "active"
		r.catchUp(l, recorded)
	}
}

// catchUp waits until our service is in the state the recorded one was last seen in.
func (r *runner) catchUp(l line, recorded string) {
	want := r.last[recorded]
	h := r.watch(recorded)
	if want == "" || h == nil {
		return
	}
	if action := actionOf(l); (isTransitional(want) || want == "upgrading" && action == "finishupgrade") && action != "" && l.Status == http.StatusAccepted {
		r.awaitAction(l, recorded, action)
		return
	}
	if !r.until(patience, func() bool { return h.current().state == want }) {
		r.errorf("%s: our service is %s, want %s first", l.where(), h.current().state, want)
	}
}

// isTransitional tells whether a state passes by itself.
func isTransitional(state string) bool {
	return slices.Contains([]string{"registering", "activating", "finishing-upgrade", "rolling-back", "restarting", "deactivating"}, state)
}

var action = regexp.MustCompile(`action=(\w+)`)

func actionOf(l line) string {
	if m := action.FindStringSubmatch(l.Path); m != nil {
		return m[1]
	}
	return ""
}

// awaitAction waits until our service offers an action and is as healthy as the recorded one was by then: nobody looked
// meanwhile.
func (r *runner) awaitAction(l line, recorded, action string) {
	path := r.mapped("/v2-beta/projects/1a8/services/" + recorded)
	ok := r.until(patience, func() bool {
		if !r.changed[recorded] {
			r.reportAll(recorded)
		}
		_, svc := r.call(http.MethodGet, path, "", nil)
		actions, _ := svc["actions"].(map[string]any)
		return actions[action] != nil && svc["healthState"] == l.body()["healthState"]
	})
	if !ok {
		r.errorf("%s: our service does not come to offer it: %v", l.where(), r.watch(recorded).current())
	}
}

// learn notes what of ours came of a recorded change.
func (r *runner) learn(l line, body map[string]any) {
	want := l.body()
	id, _ := want["id"].(string)
	if id == "" || l.Status >= http.StatusBadRequest {
		return
	}
	if ours, _ := body["id"].(string); ours != "" {
		r.ids[id] = ours
	}
	if state, ok := want["state"].(string); ok && isService(want) {
		r.last[id] = state
		r.watch(id)
	}
	r.learnVersion(l, want, body)
}

// learnVersion checks that versions change where the recorded ones do, and nowhere else.
func (r *runner) learnVersion(l line, want, got map[string]any) {
	w, _ := want["launchConfig"].(map[string]any)
	g, _ := got["launchConfig"].(map[string]any)
	theirs, _ := w["version"].(string)
	ours, _ := g["version"].(string)
	if w == nil || g == nil || theirs == ours && len(theirs) < 36 {
		return
	}
	if !r.ids.bind(theirs, ours) {
		r.errorf("%s: launchConfig.version = %s, want the one that stands for %s", l.where(), ours, theirs)
	}
}

// compareBody compares two answers in full.
func (r *runner) compareBody(l line, got map[string]any) {
	if found := r.differences(l.body(), got); len(found) > 0 {
		r.errorf("%s:\n\t%s", l.where(), strings.Join(found, "\n\t"))
	}
}

// pair finds which of our containers stand for the recorded ones: same version, same order.
func (r *runner) pair(service string, data []map[string]any) {
	_, got := r.call(http.MethodGet, r.mapped("/v2-beta/projects/1a8/services/"+service+"/instances?limit=-1"), "", nil)
	ours, _ := got["data"].([]any)
	taken := map[string]bool{}
	for _, id := range r.ids {
		taken[id] = true
	}
	for _, i := range data {
		id, _ := i["id"].(string)
		r.seen[id], _ = i["version"].(string)
		if r.ids[id] != "" {
			continue
		}
		best := ""
		for _, other := range ours {
			o := other.(map[string]any)
			candidate := o["id"].(string)
			isOne := o["version"] == r.versionOf(r.seen[id]) && !taken[candidate] && samePlace(i, o)
			if isOne && (best == "" || i["name"] != nil && o["name"] == i["name"]) {
				best = candidate
			}
		}
		if best != "" {
			r.ids[id], taken[best] = best, true
		}
	}
}

// samePlace compares the settled part of two containers.
func samePlace(a, b map[string]any) bool {
	return a["state"] == b["state"] || !settled(fmt.Sprint(a["state"])) || !settled(fmt.Sprint(b["state"]))
}

// settled tells whether a container's state lasts.
func settled(state string) bool {
	return slices.Contains([]string{"running", "stopped", "error"}, state)
}
