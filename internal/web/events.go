package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	// maxStreams is how many event streams are served at once.
	maxStreams = 32
	// streamWrite bounds the writing of one event: a reader that stopped reading
	// is dropped.
	streamWrite = 10 * time.Second
)

// events streams reports as server-sent events until the client goes. A client
// that is slower than the reports misses some (controller.Listen).
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	select {
	case h.streams <- struct{}{}:
		defer func() { <-h.streams }()
	default:
		fail(w, http.StatusServiceUnavailable, "too many event streams")
		return
	}
	reports := h.daemon.Listen(r.Context())
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	beat := time.NewTicker(h.o.Heartbeat)
	defer beat.Stop()
	text, ok := ": drover\n\n", true
	for ok && send(w, text) == nil {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			text = ": alive\n\n"
		case report, open := <-reports:
			if !open {
				return
			}
			data, err := json.Marshal(EventOf(report))
			text, ok = fmt.Sprintf("event: report\ndata: %s\n\n", data), err == nil
		}
	}
}

// send writes and flushes, within its time.
func send(w http.ResponseWriter, text string) error {
	c := http.NewResponseController(w)
	if err := c.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return err
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	return c.Flush()
}
