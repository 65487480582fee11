package conformance

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// instant is what a service shows at one time.
type instant struct {
	state, health, transitioning, message string
	scale                                 any // currentScale
	upgrade                               bool
}

func (i instant) String() string {
	return fmt.Sprintf("%s/%s/%s/%q scale=%v upgrade=%t", i.state, i.health, i.transitioning, i.message, i.scale, i.upgrade)
}

// container is a container's id in a message; ids differ.
var container = regexp.MustCompile(`container:1i\d+`)

// moment reads a service's body.
func moment(body map[string]any) instant {
	text := func(key string) string { s, _ := body[key].(string); return s }
	return instant{
		state: text("state"), health: text("healthState"), transitioning: text("transitioning"),
		message: container.ReplaceAllString(text("transitioningMessage"), "container:*"),
		scale:   body["currentScale"], upgrade: body["upgrade"] != nil,
	}
}

// history is everything a service of ours showed, sampled far oftener than the recordings were.
type history struct {
	mu       sync.Mutex
	instants []instant
	at       int // The instant that the recording has come to.
	seen     []string
	seenAt   int
	done     chan struct{}
	ended    chan struct{}
}

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
	path := "/v2-beta/projects/" + r.ids["1a8"] + "/services/" + ours
	sample := func() {
		_, svc := r.call(http.MethodGet, path, "", nil)
		_, list := r.call(http.MethodGet, path+"/instances?limit=-1", "", nil)
		data, _ := list["data"].([]any)
		h.add(moment(svc), r.picture(data, func(v string) string { return v }))
	}
	sample()
	go func() {
		defer close(h.ended)
		for {
			select {
			case <-h.done:
				return
			case <-time.After(40 * time.Millisecond):
				sample()
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
func (h *history) add(i instant, picture string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.instants) == 0 || h.instants[len(h.instants)-1] != i {
		h.instants = append(h.instants, i)
	}
	if len(h.seen) == 0 || h.seen[len(h.seen)-1] != picture {
		h.seen = append(h.seen, picture)
	}
}

func (h *history) current() instant {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.instants[len(h.instants)-1]
}

// advance finds what was recorded at or after the last thing found, so the order is the recorded one.
func (h *history) advance(want instant) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n := h.at; n < len(h.instants); n++ {
		if h.instants[n] == want {
			h.at = n
			return true
		}
	}
	return false
}

// advancePicture does the same for pictures of the containers. Several that change together are seen in any order, so
// a picture that lies between two of ours counts as well.
func (h *history) advancePicture(want string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n := h.seenAt; n < len(h.seen); n++ {
		if h.seen[n] == want || n > h.seenAt && between(h.seen[n-1], h.seen[n], want) {
			h.seenAt = n
			if h.seen[n] != want {
				h.seenAt = n - 1
			}
			return true
		}
	}
	return false
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
	for _, i := range h.instants[h.at:] {
		parts = append(parts, i.String())
	}
	return strings.Join(parts, "\n\t       ")
}

func (h *history) pictures() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return "[" + strings.Join(h.seen[h.seenAt:], "]\n\t         [") + "]"
}
