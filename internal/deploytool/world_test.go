package deploytool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// world is a server in a bubble, so that five minutes of waiting take none.
type world struct {
	t      *testing.T
	server *ranchersim.Server
	stack  string
	ids    map[string]string
	// writes are the changes that were accepted, as METHOD path?query.
	writes []string
	// before, when set, looks at each request first; true means it was answered.
	before func(w http.ResponseWriter, r *http.Request) bool
}

// moody is a runtime whose containers do as their image says.
type moody struct{}

func (moody) Pull(_ context.Context, image string) (string, error) {
	if strings.Contains(image, "broken") {
		return "", errors.New("manifest unknown")
	}
	return "sha256:0", nil
}

func (moody) Start(_ context.Context, c ranchersim.ContainerSpec) (ranchersim.Process, error) {
	p := &process{healthy: !strings.Contains(c.Image, "sick"), exited: make(chan struct{})}
	if strings.Contains(c.Image, "crash") {
		time.AfterFunc(500*time.Millisecond, p.end)
	}
	return p, nil
}

// process is a container that is healthy or not.
type process struct {
	healthy bool
	exited  chan struct{}
	once    sync.Once
}

func (p *process) end()                                               { p.once.Do(func() { close(p.exited) }) }
func (p *process) IP() string                                         { return "192.0.2.9" }
func (p *process) Check(context.Context, ranchersim.HealthCheck) bool { return p.healthy }
func (p *process) Exited() <-chan struct{}                            { return p.exited }
func (p *process) Logs() ranchersim.LogSource                         { return silent{} }
func (p *process) Stop(context.Context) error                         { p.end(); return nil }

// silent is a container without output.
type silent struct{}

func (silent) Lines(from int) ([]ranchersim.LogLine, int, <-chan struct{}, bool) {
	return nil, from, nil, true
}

// newWorld starts a server with a service of two containers, gf-chat/parrot-rest. It is called in a bubble.
func newWorld(t *testing.T) *world {
	w := &world{t: t, ids: map[string]string{}, server: ranchersim.New(ranchersim.Options{
		Seed: 1, Project: "dev", AccessKey: "key", SecretKey: "secret", Runtime: moody{},
	})}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.server.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	w.server.AddHost("host1.example", "192.0.2.1")
	var err error
	if w.stack, err = w.server.CreateStack("gf-chat"); err != nil {
		t.Fatal(err)
	}
	w.add("parrot-rest", 2, "")
	return w
}

const check = `,"healthCheck":{"port":8080,"interval":2000,"responseTimeout":2000,"healthyThreshold":2,"unhealthyThreshold":3}`

// add creates a service of image team/app:1 with a health check and waits until it is well.
func (w *world) add(name string, scale int, extra string, sidekicks ...json.RawMessage) {
	w.t.Helper()
	id, err := w.server.CreateService(ranchersim.ServiceSpec{
		StackID: w.stack, Name: name, Scale: scale, Start: true, Sidekicks: sidekicks,
		LaunchConfig: json.RawMessage(`{"imageUuid":"docker:team/app:1","environment":{"MODE":"a"},"labels":{"team":"shop","io.rancher.x":"y"}` + check + extra + `}`),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.ids[name] = id
	time.Sleep(30 * time.Second)
	if s := w.service(name); s["state"] != "active" || s["healthState"] != "healthy" {
		w.t.Fatalf("%s is %v and %v", name, s["state"], s["healthState"])
	}
}

// request asks the server, past the record.
func (w *world) request(method, path, body string) (int, map[string]any) {
	r := httptest.NewRequest(method, "http://rancher.example"+path, strings.NewReader(body))
	r.SetBasicAuth("key", "secret")
	rec := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(rec, r)
	var out map[string]any
	_ = json.Unmarshal(rec.Body.Bytes(), &out) // What is no JSON is empty.
	return rec.Code, out
}

func (w *world) path(name string) string { return "/v2-beta/projects/1a5/services/" + w.ids[name] }

// service is a service as Rancher shows it.
func (w *world) service(name string) map[string]any {
	_, s := w.request(http.MethodGet, w.path(name), "")
	return s
}

// launch is a member of a service's launch configuration.
func (w *world) launch(name, member string) any {
	config, _ := w.service(name)["launchConfig"].(map[string]any)
	return config[member]
}

// act runs an action as somebody else would, and waits.
func (w *world) act(name, action string, wait time.Duration) {
	w.t.Helper()
	body := ""
	if action == "upgrade" {
		config, _ := json.Marshal(w.service(name)["launchConfig"]) // It was decoded from JSON.
		body = fmt.Sprintf(`{"inServiceStrategy":{"batchSize":1,"intervalMillis":1000,"launchConfig":%s}}`, config)
	}
	if status, out := w.request(http.MethodPost, w.path(name)+"/?action="+action, body); status >= 300 {
		w.t.Fatalf("%s: %d %v", action, status, out)
	}
	time.Sleep(wait)
}

// RoundTrip is the network between a call and the server.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	rec := httptest.NewRecorder()
	served := r.Clone(r.Context())
	if served.Body == nil {
		served.Body = http.NoBody
	}
	served.RequestURI = r.URL.RequestURI()
	if w.before == nil || !w.before(rec, served) {
		w.server.Handler().ServeHTTP(rec, served)
	}
	if r.Method != http.MethodGet && rec.Code < 300 {
		w.writes = append(w.writes, r.Method+" "+r.URL.RequestURI())
	}
	if rec.Code == cut {
		return nil, io.ErrUnexpectedEOF
	}
	return rec.Result(), nil
}

// cut is a status that stands for a connection without an answer.
const cut = 999

// called is what a call printed and how it ended.
type called struct {
	code     int
	out, err string
	took     time.Duration
}

// call runs the tool as a pipeline does.
func (w *world) call(ctx context.Context, change func(*Options)) called {
	o := Default()
	o.URL, o.Key, o.Secret, o.Stack, o.Service, o.Transport = "http://rancher.example", "key", "secret", "gf-chat", "parrot-rest", w
	o.UpgradeTimeout = 60 // Long enough for all that succeeds.
	if change != nil {
		change(&o)
	}
	if err := o.Check(); err != nil {
		w.t.Fatalf("Check: %v", err)
	}
	var out, errOut bytes.Buffer
	begun := time.Now()
	r := Run(ctx, o, Streams{Out: &out, Err: &errOut})
	return called{r.ExitCode, out.String(), errOut.String(), time.Since(begun)}
}

// actions are the actions that were sent, in order.
func (w *world) actions() []string {
	var all []string
	for _, write := range w.writes {
		if _, action, ok := strings.Cut(write, "?action="); ok {
			all = append(all, action)
		}
	}
	return all
}

// wantActions compares them.
func (w *world) wantActions(want ...string) {
	w.t.Helper()
	if got := w.actions(); !slices.Equal(got, want) {
		w.t.Errorf("actions %q, want %q", got, want)
	}
}
