package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// logTick is the shortest time between two bursts of log-rate.
const logTick = 10 * time.Millisecond

// discard swallows net/http's own complaints: cut connections are what a sandbox is for.
var discard = log.New(io.Discard, "", 0)

// app is what answers HTTP in a container.
type app struct {
	image   *image
	name    string
	logs    *logBuffer
	started time.Time
	// failures answer with 500, missing with 404, empty and resets not at all.
	failures, missing, empty, resets *cadence
	// requests counts all but health checks; it paces the answers.
	requests atomic.Uint64
	// alive ends when open requests are to be cut.
	alive context.Context
	kill  context.CancelFunc
	// seed varies the answering times from container to container.
	seed uint64
}

func newApp(img *image, name string, logs *logBuffer, seed uint64) *app {
	a := &app{image: img, name: name, logs: logs, started: time.Now(), seed: seed}
	b := img.behaviour
	a.failures, a.missing = newCadence(b.Errors, seed), newCadence(b.NotFound, seed)
	a.empty, a.resets = newCadence(b.Empty, seed), newCadence(b.Resets, seed)
	a.alive, a.kill = context.WithCancel(context.Background())
	return a
}

// ServeHTTP answers health checks plainly and everything else as the image's behaviour says.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" || r.URL.Path == "/health" {
		a.health(w)
		return
	}
	began := time.Now()
	if !a.work(r.Context()) {
		panic(http.ErrAbortHandler) // The process died: the connection is cut without an answer.
	}
	if a.resets.next() {
		reset(w)
	}
	if a.empty.next() {
		panic(http.ErrAbortHandler) // Closes the connection without an answer.
	}
	status := http.StatusOK
	switch {
	case a.failures.next():
		status = http.StatusInternalServerError
	case a.missing.next():
		status = http.StatusNotFound
	}
	a.answer(w, r, status)
	a.access(r, status, time.Since(began))
}

// reset has the connection reset instead of closed, and ends the handler.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if tcp, ok := conn.(*net.TCPConn); err == nil && ok {
		_ = tcp.SetLinger(0) // Then Close sends RST.
	}
	if err == nil {
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}

func (a *app) health(w http.ResponseWriter) {
	if !a.image.behaviour.isHealthy(time.Since(a.started)) {
		http.Error(w, "unhealthy", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n") // The client may be gone.
}

// work takes the time an answer takes: the image's latency and one to eight milliseconds. It says whether the answer
// may be given.
func (a *app) work(ctx context.Context) bool {
	n := a.requests.Add(1)
	busy := time.Millisecond + time.Duration(mix(a.seed+n)%7000)*time.Microsecond
	t := time.NewTimer(a.image.behaviour.Latency + busy)
	defer t.Stop()
	select {
	case <-t.C:
		return a.alive.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func (a *app) answer(w http.ResponseWriter, r *http.Request, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // The client may be gone.
		Container string `json:"container"`
		Version   string `json:"version,omitempty"`
		Path      string `json:"path"`
		Error     string `json:"error,omitempty"`
	}{a.name, a.image.version, cut(r.URL.Path, 256), showIf(status >= 500, "internal server error")})
}

// access writes the line of a request: GET /v1/rooms 200 9ms.
func (a *app) access(r *http.Request, status int, took time.Duration) {
	stream := 1
	if status >= 500 {
		stream = 2
	}
	a.logs.add(stream, fmt.Sprintf("%s %s %d %dms", r.Method, cut(r.URL.EscapedPath(), 256), status, took.Milliseconds()))
}

// chatter writes the lines that log-rate owes since the start, numbered from n on, and returns the next number.
func (a *app) chatter(n int) int {
	b := a.image.behaviour
	text := b.Log
	if text == "" {
		text = "working"
	}
	owed := int(time.Since(a.started).Seconds() * float64(b.LogRate))
	for burst := 0; n <= owed && burst < b.LogRate; burst++ {
		a.logs.add(logStream(text), fmt.Sprintf("%s %d", text, n))
		n++
	}
	return n
}
