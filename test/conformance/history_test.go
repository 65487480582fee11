package conformance

import (
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// instant is what a service shows at one time.
type instant struct {
	state, health, transitioning, message string
	scale                                 any // currentScale
}

func (i instant) String() string {
	return fmt.Sprintf("%s/%s/%s/%q currentScale=%v", i.state, i.health, i.transitioning, i.message, i.scale)
}

// container is a container's id in a message; which of several it is, is arbitrary.
var container = regexp.MustCompile(`container:1i\d+`)

// removed is Cattle's message about a container that is not there any more, with numbers of its own.
var removed = regexp.MustCompile(`\[instance\.stop:\d+\] on resource \[\d+\]`)

// plain is a message without what is arbitrary in it.
func plain(message string) string {
	return removed.ReplaceAllString(container.ReplaceAllString(message, "container:*"), "[instance.stop] on resource [*]")
}

// moment reads a service's body.
func moment(body map[string]any) instant {
	text := func(key string) string { s, _ := body[key].(string); return s }
	return instant{
		state: text("state"), health: text("healthState"), transitioning: text("transitioning"),
		message: plain(text("transitioningMessage")), scale: body["currentScale"],
	}
}

// phase is a time in which a service showed the same.
type phase struct {
	instant
	since  time.Time
	bodies []map[string]any // The bodies it had, without repetition.
}

// scene is a time in which a service's containers made the same picture.
type scene struct {
	picture string
	since   time.Time
}

// history is everything a service of ours showed, sampled far oftener than the recordings were.
type history struct {
	mu     sync.Mutex
	phases []phase
	at     int // The phase that the recording has come to.
	scenes []scene
	seenAt int
	done   chan struct{}
	ended  chan struct{}
	look   func() // Takes a sample now.
}

// sampling is how often our server is looked at, in the bubble's time.
const sampling = 20 * time.Millisecond

// watch begins, once, to write a service's history; nil while none of ours stands for the recorded one.
func (r *runner) watch(recorded string) *history {
	if h := r.watched[recorded]; h != nil {
		return h
	}
	ours := r.ids[recorded]
	if ours == "" {
		return nil
	}
	h := &history{done: make(chan struct{}), ended: make(chan struct{})}
	r.watched[recorded] = h
	path := r.base + r.ids["1a8"] + "/services/" + ours
	var seen atomic.Uint64
	h.look = func() {
		if now := r.server.Changes(); seen.Swap(now) == now {
			return
		}
		_, svc := r.call(http.MethodGet, path, "", nil)
		_, list := r.call(http.MethodGet, path+"/instances?limit=-1", "", nil)
		data, _ := list["data"].([]any)
		h.add(svc, picture(data))
	}
	h.look()
	go func() {
		defer close(h.ended)
		for {
			select {
			case <-h.done:
				return
			case <-time.After(sampling):
				h.look()
			}
		}
	}()
	return h
}

func (h *history) stop() {
	close(h.done)
	<-h.ended
}

// add keeps a sample when it differs from the one before.
func (h *history) add(body map[string]any, picture string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.scenes); n == 0 || h.scenes[n-1].picture != picture {
		h.scenes = append(h.scenes, scene{picture, time.Now()})
	}
	i, n := moment(body), len(h.phases)
	if n == 0 || h.phases[n-1].instant != i {
		h.phases = append(h.phases, phase{instant: i, since: time.Now(), bodies: []map[string]any{body}})
		return
	}
	p := &h.phases[n-1]
	if !reflect.DeepEqual(p.bodies[len(p.bodies)-1], body) {
		p.bodies = append(p.bodies, body)
	}
}

func (h *history) current() instant {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.phases[len(h.phases)-1].instant
}

// skip has what comes next looked for in what is shown from now on.
func (h *history) skip() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = len(h.phases) - 1
}

// advance finds what was recorded at or after the last thing found, so the order is the recorded one. Of several
// phases that look alike the first counts that has a body which the condition accepts; without one the first that
// looks alike is told, and it is not found.
func (h *history) advance(want instant, accepts func(body map[string]any) bool) (found phase, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n := h.at; n < len(h.phases); n++ {
		if h.phases[n].instant != want {
			continue
		}
		if found.bodies == nil {
			found = h.phases[n]
		}
		if slices.ContainsFunc(h.phases[n].bodies, accepts) {
			h.at = n
			return h.phases[n], true
		}
	}
	return found, false
}

// advancePicture does the same for pictures of the containers. Several that change together are seen in any order, so
// a picture that lies between two of ours counts as well.
func (h *history) advancePicture(want string) (since time.Time, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n := h.seenAt; n < len(h.scenes); n++ {
		switch {
		case h.scenes[n].picture == want:
			h.seenAt = n
		case n > h.seenAt && between(h.scenes[n-1].picture, h.scenes[n].picture, want):
			h.seenAt = n - 1
		default:
			continue
		}
		return h.scenes[n].since, true
	}
	return time.Time{}, false
}

// between tells whether a picture has all that two others share and nothing that neither has.
func between(a, b, want string) bool {
	x, y, w := count(a), count(b), count(want)
	for _, part := range strings.Fields(a + " " + b + " " + want) {
		if w[part] < min(x[part], y[part]) || w[part] > max(x[part], y[part]) {
			return false
		}
	}
	return true
}

func count(picture string) map[string]int {
	n := map[string]int{}
	for _, part := range strings.Fields(picture) {
		n[part]++
	}
	return n
}

// String is the history from where the recording has come to.
func (h *history) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var parts []string
	for _, p := range h.phases[h.at:] {
		parts = append(parts, p.String())
	}
	return strings.Join(parts, "\n\t       ")
}

func (h *history) pictures() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var parts []string
	for _, s := range h.scenes[h.seenAt:] {
		parts = append(parts, s.picture)
	}
	return "[" + strings.Join(parts, "]\n\t         [") + "]"
}
