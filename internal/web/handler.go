package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

const (
	// maxCommand and maxNotification bound request bodies in bytes.
	maxCommand      = 16 << 10
	maxNotification = 1 << 20
	// overdueAfter is how late a look may be before the loop counts as stuck: a
	// step has at most lookTimeout and writeTimeout of the controller, and failing
	// ones are repeated after a minute at most.
	overdueAfter = 2 * time.Minute
	// healthTimeout bounds the answer about health where a disk hangs: who asks
	// waits five seconds at most, the image's health check among them.
	healthTimeout = 3 * time.Second
	// commandTimeout bounds the writing down of a command.
	commandTimeout = 12 * time.Second
)

// Daemon is what the API shows and commands. *controller.Controller satisfies it.
type Daemon interface {
	Keys() []string
	Config() *desired.Config
	History(key string) reconcile.History
	Last(key string) *controller.Report
	Listen(ctx context.Context) <-chan controller.Report
	Tell(ctx context.Context, key string, cmd controller.Command) error
	WayBack(key, digest string) (*reconcile.Restoring, error)
}

var _ Daemon = (*controller.Controller)(nil)

// Options are the handler's other ends.
type Options struct {
	// JournalFailed is why the journal cannot be written, nil when it can. It may
	// try, and has healthTimeout for it.
	JournalFailed func(ctx context.Context) error
	// Warnings are what a person should know of the daemon although it is well; nil
	// has none.
	Warnings func() []string
	// Notify takes a registry's notification and says how many references are
	// looked at because of it; nil answers 404.
	Notify func(body io.Reader) (woken int, err error)
	// Metrics answers GET /metrics; nil answers 404.
	Metrics http.Handler
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Heartbeat is the pause after which a silent event stream shows that it
	// lives; default 15 s.
	Heartbeat time.Duration
}

// Health is the answer of /healthz; the status is 503 when OK is false.
type Health struct {
	OK bool `json:"ok"`
	// Problems say what is wrong.
	Problems []string `json:"problems,omitempty"`
	// Warnings say what a person should see to; a restart would not mend it.
	Warnings []string `json:"warnings,omitempty"`
	// Targets is how many are looked after.
	Targets int `json:"targets"`
}

type handler struct {
	daemon  Daemon
	o       Options
	begun   time.Time
	streams chan struct{}
}

// Handler serves the API.
func Handler(d Daemon, o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = 15 * time.Second
	}
	h := &handler{daemon: d, o: o, begun: o.Now(), streams: make(chan struct{}, maxStreams)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", h.health)
	mux.HandleFunc("GET /v1/targets", h.targets)
	mux.HandleFunc("GET /v1/targets/{stack}/{service}", h.target)
	mux.HandleFunc("GET /v1/targets/{stack}/{service}/look", h.look)
	mux.HandleFunc("GET /v1/targets/{stack}/{service}/way-back", h.wayBack)
	mux.HandleFunc("POST /v1/targets/{stack}/{service}/commands", h.command)
	mux.HandleFunc("GET /v1/events", h.events)
	mux.HandleFunc("POST /v1/notifications/registry", h.notify)
	if o.Metrics != nil {
		mux.Handle("GET /metrics", o.Metrics)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fail(w, http.StatusNotFound, "no such page") })
	return mux
}

// health says whether the loop still looks and the journal can be written.
// Rancher and the registry are not asked: they are not this process.
func (h *handler) health(w http.ResponseWriter, r *http.Request) {
	keys := h.daemon.Keys()
	health := Health{Targets: len(keys)}
	if err := h.journalFailed(r.Context()); err != nil {
		health.Problems = append(health.Problems, "the journal cannot be written: "+err.Error())
	}
	for _, key := range keys {
		if h.isOverdue(key) {
			health.Problems = append(health.Problems, key+" is not looked at any more")
			break
		}
	}
	if h.o.Warnings != nil {
		health.Warnings = h.o.Warnings()
	}
	health.OK = len(health.Problems) == 0
	status := http.StatusOK
	if !health.OK {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, health)
}

func (h *handler) journalFailed(ctx context.Context) error {
	if h.o.JournalFailed == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	return h.o.JournalFailed(ctx)
}

// isOverdue says that a target has not been looked at when it should have been.
func (h *handler) isOverdue(key string) bool {
	last := h.daemon.Last(key)
	if last == nil {
		return h.o.Now().Sub(h.begun) > overdueAfter && h.isListedSince(key)
	}
	after := last.Decision.RequeueAfter
	return after > 0 && h.o.Now().After(last.At.Add(after+overdueAfter))
}

// isListedSince leaves out targets of which nothing has been heard because they
// are new in the file: only one that was remembered must have been looked at.
func (h *handler) isListedSince(key string) bool {
	hist := h.daemon.History(key)
	return hist.Baseline != nil || hist.Rollout != nil
}

func (h *handler) targets(w http.ResponseWriter, _ *http.Request) {
	views := []View{}
	for _, key := range h.daemon.Keys() {
		views = append(views, h.view(key))
	}
	answer(w, http.StatusOK, views)
}

func (h *handler) target(w http.ResponseWriter, r *http.Request) {
	key, ok := h.key(r)
	if !ok {
		fail(w, http.StatusNotFound, "no target "+key)
		return
	}
	answer(w, http.StatusOK, h.view(key))
}

// look is a target with what the last look saw.
func (h *handler) look(w http.ResponseWriter, r *http.Request) {
	key, ok := h.key(r)
	if !ok {
		fail(w, http.StatusNotFound, "no target "+key)
		return
	}
	d := Detail{View: h.view(key)}
	if last := h.daemon.Last(key); last != nil {
		d.Observed = &last.Observed
	}
	answer(w, http.StatusOK, d)
}

// wayBack says what a restore command would go back to; ?digest= asks about one.
func (h *handler) wayBack(w http.ResponseWriter, r *http.Request) {
	key, ok := h.key(r)
	if !ok {
		fail(w, http.StatusNotFound, "no target "+key)
		return
	}
	back, err := h.daemon.WayBack(key, r.URL.Query().Get("digest"))
	var refused *controller.RefusedError
	switch {
	case errors.As(err, &refused):
		fail(w, http.StatusConflict, refused.Reason)
	case err != nil:
		fail(w, http.StatusServiceUnavailable, err.Error())
	default:
		answer(w, http.StatusOK, WayBack{Digest: back.To.Digest, Image: back.To.Image, Until: back.At})
	}
}

func (h *handler) view(key string) View {
	t, ok := h.daemon.Config().Target(key)
	history := h.daemon.History(key)
	if !ok && history.Rollout != nil {
		t = history.Rollout.Policy
	}
	return ViewOf(key, t, history, h.daemon.Last(key))
}

// key is the target a path names, and whether it is looked after.
func (h *handler) key(r *http.Request) (string, bool) {
	key := r.PathValue("stack") + "/" + r.PathValue("service")
	for _, known := range h.daemon.Keys() {
		if known == key {
			return key, true
		}
	}
	return key, false
}

func (h *handler) command(w http.ResponseWriter, r *http.Request) {
	key, ok := h.key(r)
	if !ok {
		fail(w, http.StatusNotFound, "no target "+key)
		return
	}
	var cmd controller.Command
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommand))
	body.DisallowUnknownFields()
	if err := body.Decode(&cmd); err != nil {
		fail(w, http.StatusBadRequest, "reading the command: "+err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), commandTimeout)
	defer cancel()
	var refused *controller.RefusedError
	switch err := h.daemon.Tell(ctx, key, cmd); {
	case errors.As(err, &refused):
		fail(w, http.StatusConflict, refused.Reason)
	case err != nil:
		fail(w, http.StatusServiceUnavailable, err.Error())
	default:
		answer(w, http.StatusOK, h.view(key))
	}
}

// notify wakes what a registry's notification is about. Nothing in it is
// believed: the registry itself is asked.
func (h *handler) notify(w http.ResponseWriter, r *http.Request) {
	if h.o.Notify == nil {
		fail(w, http.StatusNotFound, "no registry is watched")
		return
	}
	woken, err := h.o.Notify(http.MaxBytesReader(w, r.Body, maxNotification))
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	answer(w, http.StatusOK, map[string]int{"woken": woken})
}

// problem is every answer that is no success.
type problem struct {
	Error string `json:"error"`
}

func fail(w http.ResponseWriter, status int, reason string) {
	answer(w, status, problem{Error: reason})
}

// answer writes JSON; a peer that went away cannot be told.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
