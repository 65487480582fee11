package conformance

import (
	"maps"
	"slices"
	"strings"
)

// compareSample compares a picture of a service and its containers that was taken on a server with a real host.
func (r *runner) compareSample(l line) {
	service := r.sampled(l)
	h := r.watch(service)
	if h == nil {
		r.errorf("%s: no service of ours stands for %q", l.where(), service)
		return
	}
	want := moment(l.Service)
	r.last[service] = want.state
	var found phase
	if !r.until(patience, func() (ok bool) { found, ok = h.advance(want, r.reducedTo(l)); return ok }) {
		r.errorf("%s: our service never was %v with actions and launchConfig as recorded\n\tit was %s", l.where(), want, h)
		return
	}
	r.checkPace(l, service, want, found.since)
	r.comparePicture(l, service, l.Instances)
}

// sampled is the recorded id of the service that samples are about: the last one that was written to.
func (r *runner) sampled(l line) string {
	id := ""
	for _, other := range r.lines {
		if other.Seq > l.Seq && id != "" {
			break
		}
		if other.serviceOf() != "" {
			id = other.serviceOf()
		} else if other.isExchange() && isService(other.body()) {
			id, _ = other.body()["id"].(string)
		}
	}
	return id
}

// reducedTo tells whether a body is what a sample keeps of a service.
func (r *runner) reducedTo(l line) func(got map[string]any) bool {
	return func(got map[string]any) bool {
		return len(r.differences(reduceSample(l.Service), reduceBody(got))) == 0
	}
}

func reduceBody(got map[string]any) map[string]any {
	config, _ := got["launchConfig"].(map[string]any)
	actions, _ := got["actions"].(map[string]any)
	return map[string]any{
		"image": config["imageUuid"], "version": config["version"],
		"actions": strings.Join(slices.Sorted(maps.Keys(actions)), " "),
	}
}

func reduceSample(service map[string]any) map[string]any {
	var names []string
	for _, name := range service["actions"].([]any) {
		names = append(names, name.(string))
	}
	slices.Sort(names)
	return map[string]any{
		"image": service["image"], "version": service["launchConfigVersion"], "actions": strings.Join(names, " "),
	}
}
