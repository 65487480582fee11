package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// compareService wants our service to pass through what the recorded one shows, in the recorded order, at about the
// recorded time.
func (r *runner) compareService(l line) {
	recorded := l.serviceOf()
	want := moment(l.body())
	h := r.watch(recorded)
	if h == nil {
		r.errorf("%s: no service of ours stands for it", l.where())
		return
	}
	r.makeUnrecorded(l, recorded, want)
	r.last[recorded] = want.state
	found, problem := r.findService(l, recorded, want, l.body())
	if problem != "" {
		r.errorf("%s: %s", l.where(), problem)
		return
	}
	r.checkPace(l, recorded, want, found.since)
}

// findService waits until our service looked as recorded, and had the recorded body then; it says what is wrong
// otherwise.
func (r *runner) findService(l line, recorded string, want instant, body map[string]any) (found phase, problem string) {
	h := r.watch(recorded)
	var best []string
	tried := map[string]bool{}
	accepts := func(got map[string]any) bool {
		key := fmt.Sprintf("%p", got)
		if tried[key] {
			return false
		}
		tried[key] = true
		differences := r.differences(body, r.rebased(l, got))
		if best == nil || len(differences) < len(best) {
			best = differences
		}
		return len(differences) == 0
	}
	ok := r.until(patience, func() (ok bool) { found, ok = h.advance(want, accepts); return ok })
	switch {
	case ok:
		return found, ""
	case found.bodies == nil:
		return found, fmt.Sprintf("our service never was %v\n\tit was %s", want, h)
	}
	return found, fmt.Sprintf("in phase %v\n\t%s", want, strings.Join(best, "\n\t"))
}

// makeUnrecorded does what the one who recorded did without recording it: reports that a service's containers are
// healthy, before anything else happened, and a rollback where an upgraded service is active.
func (r *runner) makeUnrecorded(l line, recorded string, want instant) {
	switch {
	case want.state != "active":
	case r.last[recorded] == "upgraded":
		r.act(recorded, "rollback", "")
		r.watch(recorded).skip()
	case !r.changed[recorded] && want.health == "healthy":
		r.until(patience, func() bool { return r.watch(recorded).current().state == "active" })
		r.reportAll(recorded)
	}
}

// rebased is a body as it would look under the recorded address: samples are taken under /services.
func (r *runner) rebased(l line, body map[string]any) map[string]any {
	if l.Method == "" || strings.HasPrefix(l.Path, r.base) {
		return body
	}
	_, got := r.send(l)
	return got
}

// compareInstances wants our containers to pass through the recorded picture.
func (r *runner) compareInstances(l line) {
	var data []map[string]any
	for _, item := range l.body()["data"].([]any) {
		data = append(data, item.(map[string]any))
	}
	if r.watch(l.serviceOf()) == nil {
		r.errorf("%s: no service of ours stands for it", l.where())
		return
	}
	r.comparePicture(l, l.serviceOf(), data)
	if !l.Reduced {
		r.compareRead(l)
	}
}

// comparePicture does so for containers from wherever they were recorded.
func (r *runner) comparePicture(l line, service string, data []map[string]any) {
	h := r.watch(service)
	want := r.recordedPicture(data)
	if !r.until(patience, func() bool { _, ok := h.advancePicture(want); return ok }) {
		r.errorf("%s: our containers never were [%s]\n\tthey were %s", l.where(), want, h.pictures())
	}
	r.pair(service, data)
}

// recordedPicture is a picture with our versions in place of the recorded ones.
func (r *runner) recordedPicture(data []map[string]any) string {
	var list []any
	for _, i := range data {
		c := map[string]any{}
		for _, key := range []string{"state", "healthState", "startCount"} {
			c[key] = i[key]
		}
		version, _ := i["version"].(string)
		c["version"] = r.versionOf(version)
		list = append(list, c)
	}
	return picture(list)
}

// picture reduces containers to those in a lasting state, without identity: what was seen while one started or stopped
// depends on the moment of looking.
func picture(data []any) string {
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
		version, _ := i["version"].(string)
		parts = append(parts, fmt.Sprintf("%s/%s/%.4s/%v", state, health, version, i["startCount"]))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// compareRead compares any other read: a list with its envelope, or one thing. What is under way gets some time.
func (r *runner) compareRead(l line) {
	for _, want := range records(l.body()) {
		r.comeTo(l, want)
	}
	var problems []string
	for deadline := time.Now().Add(shortly); ; time.Sleep(shortly / 100) {
		if problems = r.readOnce(l); len(problems) == 0 || time.Now().After(deadline) {
			break
		}
	}
	for _, p := range problems {
		r.errorf("%s%s", l.where(), p)
	}
}

// shortly is how long a read may take to be as recorded.
const shortly = 20 * time.Second

// readOnce makes a recorded read and says what is wrong with the answer.
func (r *runner) readOnce(l line) []string {
	status, got := r.send(l)
	if status != l.Status {
		return []string{fmt.Sprintf(" = %d %v, want %d", status, got, l.Status)}
	}
	wants, isList := l.body()["data"].([]any)
	if !isList {
		return complaint("", r.differences(l.body(), got))
	}
	gots, _ := got["data"].([]any)
	problems := complaint("", r.differences(withoutMember(l.body(), "data"), withoutMember(got, "data")))
	if l.body()["resourceType"] == "serviceLog" {
		return append(problems, r.serviceLogProblems(l, wants, gots)...)
	}
	return append(problems, r.recordProblems(wants, gots)...)
}

// complaint is one about some differences, if there are any.
func complaint(where string, differences []string) []string {
	if len(differences) == 0 {
		return nil
	}
	return []string{where + "\n\t" + strings.Join(differences, "\n\t")}
}

// records are the things in an answer: those of a list, or the one.
func records(body map[string]any) []map[string]any {
	data, isList := body["data"].([]any)
	if !isList {
		return []map[string]any{body}
	}
	var list []map[string]any
	for _, item := range data {
		list = append(list, item.(map[string]any))
	}
	return list
}

// withoutMember is an object without a member.
func withoutMember(m map[string]any, name string) map[string]any {
	rest := map[string]any{}
	for k, v := range m {
		if k != name {
			rest[k] = v
		}
	}
	return rest
}

// comeTo waits until one of our services shows what was recorded of it.
func (r *runner) comeTo(l line, want map[string]any) {
	id, _ := want["id"].(string)
	if !isService(want) || r.watch(id) == nil {
		return
	}
	h := r.watch(id)
	r.makeUnrecorded(l, id, moment(want))
	if !r.until(patience, func() bool { return h.current() == moment(want) }) {
		r.errorf("%s: our service %s is %v, want %v", l.where(), id, h.current(), moment(want))
	}
	r.last[id], _ = want["state"].(string)
}

// recordProblems compares lists one by one. Containers and what belongs to them are in another order where units were
// taken in another.
func (r *runner) recordProblems(wants, gots []any) (problems []string) {
	if len(wants) != len(gots) {
		return []string{fmt.Sprintf(" lists %d, want %d", len(gots), len(wants))}
	}
	for n, want := range wants {
		others := gots[n : n+1]
		if isArbitrary(want) {
			others = gots
		}
		best := r.differences(want, others[0])
		for _, got := range others[1:] {
			if found := r.differences(want, got); len(found) < len(best) {
				best = found
			}
		}
		problems = append(problems, complaint(fmt.Sprintf(": data[%d]", n), best)...)
	}
	return problems
}

// isArbitrary tells whether a record's place in a list depends on the order of units.
func isArbitrary(record any) bool {
	m, _ := record.(map[string]any)
	return slices.Contains([]any{"container", "serviceExposeMap"}, m["type"])
}
