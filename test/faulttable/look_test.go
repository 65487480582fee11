package faulttable

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// fault has Rancher go wrong, for Drover's requests only where the fault is about requests: people see what is true.
func (w *world) fault(text string) int {
	w.t.Helper()
	f, err := ranchersim.ParseFault(text)
	if err != nil {
		w.t.Fatal(err)
	}
	n := slices.IndexFunc(ranchersim.FaultKinds(), func(k ranchersim.FaultKind) bool { return k.Name == f.Name })
	if f.Key == "" && slices.Contains(ranchersim.FaultKinds()[n].Args, "key") {
		f.Key = "DROVER"
	}
	id, err := w.rancher.SetFault(f)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// clear ends all faults.
func (w *world) clear() { w.rancher.ClearFaults() }

// struck is how often a fault happened.
func (w *world) struck(id int) int {
	for _, f := range w.rancher.Faults() {
		if f.ID == id {
			return f.Struck
		}
	}
	return 0
}

// until waits until a condition holds, at most for a time of the bubble's.
func (w *world) until(limit time.Duration, what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(250 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("after %s it is not so that %s: %s", limit, what, w.describe())
		}
	}
}

// describe is where everything stands, for failures.
func (w *world) describe() string {
	text := fmt.Sprintf("service %s, containers %s", w.state(), w.containers())
	if w.drover == nil {
		return text
	}
	h := w.history()
	if r := w.report(); r != nil {
		text += fmt.Sprintf("; Drover: %s %s: %s; error %q", r.Decision.Phase, r.Decision.Code, r.Decision.Reason, r.Err)
	}
	if h.Rollout != nil {
		text += "; rollout to " + w.version(h.Rollout.To.Image)
	}
	return text
}

// history is what Drover remembers of the target; report what its last step did.
func (w *world) history() reconcile.History { return w.drover.Control.History(key) }

func (w *world) report() *controller.Report { return w.drover.Control.Last(key) }

// decision is what Drover decided last.
func (w *world) decision() reconcile.Decision {
	if r := w.report(); r != nil {
		return r.Decision
	}
	return reconcile.Decision{}
}

// service is the service as Rancher shows it to a person.
func (w *world) service() map[string]any {
	w.t.Helper()
	_, list := w.person(http.MethodGet, "/services?name=parrot-rest", nil)
	data, _ := list["data"].([]any)
	if len(data) == 0 {
		return nil
	}
	return data[0].(map[string]any)
}

func (w *world) state() string {
	s, _ := w.service()["state"].(string)
	return s
}

// image in force is the version that the service's launch configuration names.
func (w *world) inForce() string {
	launch, _ := w.service()["launchConfig"].(map[string]any)
	image, _ := launch["imageUuid"].(string)
	return w.version(image)
}

// instances are the service's containers that are not removed, by id.
func (w *world) instances() []map[string]any {
	w.t.Helper()
	id, _ := w.service()["id"].(string)
	if id == "" {
		return nil
	}
	_, list := w.person(http.MethodGet, "/services/"+id+"/instances?limit=-1", nil)
	data, _ := list["data"].([]any)
	all := make([]map[string]any, 0, len(data))
	for _, item := range data {
		all = append(all, item.(map[string]any))
	}
	return all
}

// containers writes them as v1:running/healthy.
func (w *world) containers() string {
	var parts []string
	for _, i := range w.instances() {
		part := w.versionOf(i) + ":" + i["state"].(string)
		if health, ok := i["healthState"].(string); ok {
			part += "/" + health
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

func (w *world) versionOf(instance map[string]any) string {
	image, _ := instance["imageUuid"].(string)
	return w.version(image)
}

// running writes the versions of the running containers, sorted.
func (w *world) running() string {
	var versions []string
	for _, i := range w.instances() {
		if i["state"] == "running" {
			versions = append(versions, w.versionOf(i))
		}
	}
	slices.Sort(versions)
	return strings.Join(versions, " ")
}

// ids are the ids of the running containers of a version.
func (w *world) ids(version string) []string {
	var ids []string
	for _, i := range w.instances() {
		if i["state"] == "running" && w.versionOf(i) == version {
			ids = append(ids, i["id"].(string))
		}
	}
	return ids
}

// act is a person's action on the service.
func (w *world) act(action string, body any) {
	w.t.Helper()
	id := w.service()["id"].(string)
	if status, out := w.person(http.MethodPost, "/services/"+id+"/?action="+action, body); status >= 300 {
		w.t.Fatalf("a person's %s: %d %v", action, status, out)
	}
}

// upgradeBody is what a person or another tool posts to run a version.
func (w *world) upgradeBody(image string) map[string]any {
	launch := w.service()["launchConfig"].(map[string]any)
	launch["imageUuid"] = "docker:" + image
	return map[string]any{"inServiceStrategy": map[string]any{"batchSize": 1, "intervalMillis": 2000, "launchConfig": launch}}
}

// put is a person's change of a field of the service.
func (w *world) put(fields map[string]any) {
	w.t.Helper()
	id := w.service()["id"].(string)
	if status, out := w.person(http.MethodPut, "/services/"+id, fields); status >= 300 {
		w.t.Fatalf("a person's PUT %v: %d %v", fields, status, out)
	}
}

// tell is a person's command to Drover.
func (w *world) tell(verb controller.Verb) {
	w.t.Helper()
	if err := w.drover.Control.Tell(w.t.Context(), key, controller.Command{Verb: verb, By: "mei"}); err != nil {
		w.t.Fatal(err)
	}
}

// sent writes Drover's requests that may change something, with Rancher's answers; a cut connection is cut.
func (w *world) sent() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sentLocked()
}

// sentSoFar are those requests themselves.
func (w *world) sentSoFar() []request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.requests)
}

func (w *world) sentLocked() string {
	parts := make([]string, len(w.requests))
	for n, r := range w.requests {
		parts[n] = fmt.Sprintf("%s %d", r.action, r.status)
		if r.status == 0 {
			parts[n] = r.action + " cut"
		}
	}
	return strings.Join(parts, ", ")
}

// wantSent checks them.
func (w *world) wantSent(want string) {
	w.t.Helper()
	if got := w.sent(); got != want {
		w.t.Errorf("Drover sent %q, want %q", got, want)
	}
}

// want checks Drover's last decision: its phase, its code and whether a person is called.
func (w *world) want(phase reconcile.Phase, code reconcile.Code, alert bool) {
	w.t.Helper()
	if d := w.decision(); d.Phase != phase || d.Code != code || d.Alert != alert {
		w.t.Errorf("Drover is in %s, %s, alert %t (%s); want %s, %s, alert %t", d.Phase, d.Code, d.Alert, d.Reason, phase, code, alert)
	}
}

// wantReason checks that the last reason says something.
func (w *world) wantReason(words ...string) {
	w.t.Helper()
	for _, word := range words {
		if d := w.decision(); !strings.Contains(d.Reason, word) {
			w.t.Errorf("reason %q does not say %q", d.Reason, word)
		}
	}
}

// wantService checks Rancher's state and which versions run.
func (w *world) wantService(state, inForce, running string) {
	w.t.Helper()
	if s, i, r := w.state(), w.inForce(), w.running(); s != state || i != inForce || r != running {
		w.t.Errorf("the service is %s with %s, running %s (%s); want %s with %s, running %s", s, i, r, w.containers(), state, inForce, running)
	}
}

// wantQuarantine checks which versions are condemned.
func (w *world) wantQuarantine(versions ...string) {
	w.t.Helper()
	var got []string
	for digest := range w.history().Quarantine {
		got = append(got, w.version("@"+digest))
	}
	slices.Sort(got)
	if !slices.Equal(got, versions) {
		w.t.Errorf("quarantined are %q, want %q", got, versions)
	}
}

// wantOutcome checks how the last rollout ended.
func (w *world) wantOutcome(version string, outcome reconcile.Outcome) {
	w.t.Helper()
	h := w.history()
	switch {
	case h.Rollout != nil:
		w.t.Errorf("the rollout to %s is still open: %s", w.version(h.Rollout.To.Image), w.describe())
	case h.Last == nil:
		w.t.Errorf("there was no rollout")
	case w.version(h.Last.To.Image) != version || h.Last.Outcome != outcome:
		w.t.Errorf("the rollout to %s ended %s, want one to %s that ended %s", w.version(h.Last.To.Image), h.Last.Outcome, version, outcome)
	}
}

// wantAnswers checks what the journal says of each action that was sent: taken, refused,
// or not known.
func (w *world) wantAnswers(want string) {
	w.t.Helper()
	var said []string
	for _, e := range w.journal() {
		if e.Type != controller.TypeAnswer {
			continue
		}
		var a controller.Answer
		if err := json.Unmarshal(e.Data, &a); err != nil {
			w.t.Fatal(err)
		}
		word := "taken"
		switch {
		case a.Unknown:
			word = "unknown"
		case a.Error != "":
			word = "refused"
		}
		said = append(said, string(a.Action)+" "+word)
	}
	if got := strings.Join(said, ", "); got != want {
		w.t.Errorf("the journal says %q, want %q", got, want)
	}
}

// wantEvents checks that the journal has these kinds of entries in this order, status lines left out.
func (w *world) wantEvents(kinds ...string) {
	w.t.Helper()
	if got := w.events(); !slices.Equal(got, kinds) {
		w.t.Errorf("the journal tells %q, want %q", got, kinds)
	}
}

// events are the types of the journal's entries since the adoption, status lines left out.
func (w *world) events() []string {
	var got []string
	for _, e := range w.journal() {
		switch e.Type {
		case string(reconcile.EventStatus), string(reconcile.EventAdopted):
		default:
			got = append(got, e.Type)
		}
	}
	return got
}

// statuses are the journal's status lines.
func (w *world) statuses() []reconcile.Status {
	var all []reconcile.Status
	for _, e := range w.journal() {
		var event reconcile.Event
		if e.Type == string(reconcile.EventStatus) && json.Unmarshal(e.Data, &event) == nil {
			all = append(all, *event.Status)
		}
	}
	return all
}

// untilPhase waits until Drover is in a phase, untilState until the service is in a state, untilClosed until no rollout
// is open, untilFinished until the service runs nothing but a version.
func (w *world) untilPhase(limit time.Duration, phase reconcile.Phase) {
	w.t.Helper()
	w.until(limit, "Drover is in "+string(phase), func() bool { return w.decision().Phase == phase })
}

func (w *world) untilCode(limit time.Duration, code reconcile.Code) {
	w.t.Helper()
	w.until(limit, "Drover says "+string(code), func() bool { return w.decision().Code == code })
}

func (w *world) untilState(limit time.Duration, state string) {
	w.t.Helper()
	w.until(limit, "the service is "+state, func() bool { return w.state() == state })
}

func (w *world) untilClosed(limit time.Duration) {
	w.t.Helper()
	w.until(limit, "a rollout was closed", func() bool { h := w.history(); return h.Rollout == nil && h.Last != nil })
}

// all is a version as many times as the service has containers.
func (w *world) all(version string) string {
	return strings.TrimSpace(strings.Repeat(version+" ", w.scale()))
}

// wantFinished checks the good end: the version runs everywhere, nothing is condemned, each action was sent once.
func (w *world) wantFinished(version string) {
	w.t.Helper()
	w.wantOutcome(version, reconcile.Finished)
	w.wantService("active", version, w.all(version))
	w.wantQuarantine()
}

// wantRolledBack checks the other end: what ran before runs everywhere.
func (w *world) wantRolledBack(version string, condemned bool) {
	w.t.Helper()
	w.wantOutcome(version, reconcile.RolledBack)
	w.wantService("active", "v1", w.all("v1"))
	if condemned {
		w.wantQuarantine(version)
	} else {
		w.wantQuarantine()
	}
}
