package registry

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/distribution/reference"
	"github.com/docker/distribution/notifications"
)

const (
	// maxNotification bounds a notification's body, maxEvents what is in it. A
	// registry that sends more at once is caught up with by the poll.
	maxNotification = 1 << 20
	maxEvents       = 1000
)

// Notification says that something happened to a tag or a repository.
type Notification struct {
	// Host is the registry as whoever pushed called it; image names may call it
	// otherwise.
	Host string
	// Repository is the path below it.
	Repository string
	// Tag is empty when a manifest was deleted by digest.
	Tag string
	// Digest is what was pushed or deleted. It is only a hint: what the tag stands
	// for is asked of the registry itself.
	Digest string
}

// ParseNotification reads docker/distribution's event envelope
// (application/vnd.docker.distribution.events.v1+json) and keeps what may have
// changed a tag: pushes of tagged manifests, and deletions. Pulls, pushes of
// layers and names that are not valid are left out.
func ParseNotification(r io.Reader) ([]Notification, error) {
	body, err := readAll(r, maxNotification)
	if err != nil {
		return nil, fmt.Errorf("reading a registry notification: %w", err)
	}
	var envelope notifications.Envelope
	if err := json.Unmarshal(body, &envelope); err != nil {
		return nil, fmt.Errorf("reading a registry notification: not a valid envelope")
	}
	if len(envelope.Events) > maxEvents {
		return nil, fmt.Errorf("reading a registry notification: more than %d events", maxEvents)
	}
	var found []Notification
	for i := range envelope.Events {
		if n, ok := parseEvent(&envelope.Events[i]); ok {
			found = append(found, n)
		}
	}
	return found, nil
}

// parseEvent says what an event means for tags, if anything.
func parseEvent(event *notifications.Event) (Notification, bool) {
	n := Notification{
		Host: clean(event.Request.Host), Repository: event.Target.Repository,
		Tag: event.Target.Tag, Digest: clean(event.Target.Digest.String()),
	}
	named, err := reference.WithName(n.Repository)
	if err != nil {
		return n, false
	}
	if n.Tag != "" {
		if _, err := reference.WithTag(named, n.Tag); err != nil {
			return n, false
		}
	}
	switch event.Action {
	case notifications.EventActionPush:
		return n, n.Tag != ""
	case notifications.EventActionDelete:
		return n, true
	}
	return n, false
}

// Notify wakes every reference that notifications may be about and returns how
// many. The host is not compared: behind a proxy the registry knows itself by
// another name than its users do, and a look too many costs one request.
func (w *Watcher) Notify(notifications []Notification) (woken int) {
	w.mu.Lock()
	hosts := make([]*host, 0, len(w.hosts))
	for _, h := range w.hosts {
		hosts = append(hosts, h)
	}
	w.mu.Unlock()
	for _, h := range hosts {
		woken += h.notify(notifications)
	}
	return woken
}

func (h *host) notify(notifications []Notification) (woken int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range notifications {
		if n.Tag != "" {
			if e := h.entries[name{h.client.config.Host, n.Repository, n.Tag}]; e != nil {
				h.hurry(e)
				woken++
			}
			continue
		}
		for at, e := range h.entries {
			if at.repo == n.Repository {
				h.hurry(e)
				woken++
			}
		}
	}
	return woken
}
