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
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// The keys of a twin.
const (
	accessKey = "KEY0123456789ABCDEF0"
	secretKey = "s3cret-0123456789abcdef"
)

// twin is one of two identical servers, which remembers what was changed in it.
type twin struct {
	t      testing.TB
	server *ranchersim.Server
	http   *httptest.Server
	// ids are those of services by name.
	ids   map[string]string
	stack string

	mu     sync.Mutex
	writes []string
	// before, when set, looks at each request before it is served; true means that
	// it was answered.
	before func(http.ResponseWriter, *http.Request) bool
}

// registryDown is a runtime whose containers do not start while their image says broken.
type registryDown struct{}

func (registryDown) Pull(_ context.Context, image string) (string, error) {
	if strings.Contains(image, "broken") {
		return "", errors.New("manifest unknown")
	}
	return "sha256:0", nil
}

func (registryDown) Start(context.Context, ranchersim.ContainerSpec) (ranchersim.Process, error) {
	return nil, nil
}

// The launch configurations of a twin's services.
const (
	plainConfig = `{"imageUuid":"docker:registry.example/team/app:1","environment":{"APP_MODE":"production","B":"1"},
		"labels":{"team":"shop","io.rancher.container.pull_image":"always"},"tty":true,"cpuShares":512%s}`
	sidekickConfig = `{"name":"%s","imageUuid":"docker:registry.example/team/%[1]s:1","labels":{"role":"sidekick"}}`
	checkedConfig  = `,"healthCheck":{"port":8080,"interval":2000,"responseTimeout":2000,"healthyThreshold":2,"unhealthyThreshold":3}`
)

// newTwin starts a server with three services: one that is fine, one with sidekicks, and one whose containers never
// become healthy.
func newTwin(t testing.TB) *twin {
	w := &twin{t: t, ids: map[string]string{}}
	w.server = ranchersim.New(ranchersim.Options{
		Seed: 7, Speed: 20, Project: "dev", AccessKey: accessKey, SecretKey: secretKey, ExternalHealth: true, Runtime: registryDown{},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.server.Run(ctx) })
	w.http = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(func() {
		w.http.Close()
		cancel()
		running.Wait()
	})
	w.server.AddHost("host1.example", "192.0.2.1")
	var err error
	if w.stack, err = w.server.CreateStack("st-parrot-rest"); err != nil {
		t.Fatal(err)
	}
	w.add("parrot-rest", 2, "")
	w.add("with-side", 1, "", "log", "cache")
	w.add("never", 1, checkedConfig)
	return w
}

// add creates a service and waits until it is active.
func (w *twin) add(name string, scale int, extra string, sidekicks ...string) {
	w.t.Helper()
	spec := ranchersim.ServiceSpec{
		StackID: w.stack, Name: name, Scale: scale, Start: true, LaunchConfig: json.RawMessage(fmt.Sprintf(plainConfig, extra)),
	}
	for _, s := range sidekicks {
		spec.Sidekicks = append(spec.Sidekicks, json.RawMessage(fmt.Sprintf(sidekickConfig, s)))
	}
	id, err := w.server.CreateService(spec)
	if err != nil {
		w.t.Fatal(err)
	}
	w.ids[name] = id
	w.awaitState(name, "active")
}

// call makes a request of the test's own, past the record.
func (w *twin) call(method, path, body string) (int, map[string]any) {
	r := httptest.NewRequest(method, "http://rancher.example"+path, strings.NewReader(body))
	r.SetBasicAuth(accessKey, secretKey)
	rec := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(rec, r)
	var out map[string]any
	_ = json.Unmarshal(rec.Body.Bytes(), &out) // What is no JSON is empty.
	return rec.Code, out
}

// path is a service's.
func (w *twin) path(name string) string {
	return "/v2-beta/projects/" + w.server.ProjectID() + "/services/" + w.ids[name]
}

// act runs an action on a service.
func (w *twin) act(name, action, body string) {
	w.t.Helper()
	if status, out := w.call(http.MethodPost, w.path(name)+"/?action="+action, body); status >= 300 {
		w.t.Fatalf("%s of %s: %d %v", action, name, status, out)
	}
}

// upgradeTo begins an upgrade of a service to an image.
func (w *twin) upgradeTo(name, image string) {
	w.t.Helper()
	_, svc := w.call(http.MethodGet, w.path(name), "")
	config, _ := svc["launchConfig"].(map[string]any)
	config["imageUuid"] = "docker:" + image
	body, err := json.Marshal(map[string]any{"inServiceStrategy": map[string]any{
		"batchSize": 1, "intervalMillis": 2000, "startFirst": false, "launchConfig": config, "secondaryLaunchConfigs": []any{},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.act(name, "upgrade", string(body))
}

// awaitState waits for a service.
func (w *twin) awaitState(name, state string) {
	w.t.Helper()
	w.await(fmt.Sprintf("%s is %s", name, state), func() bool {
		_, svc := w.call(http.MethodGet, w.path(name), "")
		return svc["state"] == state
	})
}

// awaitRunning waits for a container of a service that runs an image.
func (w *twin) awaitRunning(name, image string) {
	w.t.Helper()
	w.await(fmt.Sprintf("a container of %s runs %s", name, image), func() bool {
		_, containers := w.call(http.MethodGet, w.path(name)+"/instances", "")
		return slices.ContainsFunc(records(containers), func(c map[string]any) bool {
			return c["state"] == "running" && c["imageUuid"] == "docker:"+image
		})
	})
}

func (w *twin) await(what string, is func() bool) {
	w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !is(); <-tick.C {
		if time.Now().After(deadline) {
			w.t.Fatalf("it never came that %s", what)
		}
	}
}

// serve passes a request on and remembers it when it changed something.
func (w *twin) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	before := w.before
	w.mu.Unlock()
	if before != nil && before(rw, r) {
		return
	}
	if r.Method == http.MethodGet {
		w.server.Handler().ServeHTTP(rw, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	rec := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(rec, r)
	for key, values := range rec.Header() {
		rw.Header()[key] = values
	}
	rw.WriteHeader(rec.Code)
	_, _ = rw.Write(rec.Body.Bytes()) // The tool may be gone.
	if rec.Code < 300 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.writes = append(w.writes, normalWrite(r, body))
	}
}

// The old dialect's names for what both dialects have.
var (
	apiVersion  = regexp.MustCompile(`^/+(v1|v2-beta)/`)
	oldStackID  = regexp.MustCompile(`"1e(\d+)"`)
	randomWords = []string{"version", "created", "uuid"}
)

// normalWrite is a change in words that do not depend on the dialect.
func normalWrite(r *http.Request, body []byte) string {
	path := apiVersion.ReplaceAllString(r.URL.RequestURI(), "/")
	path = strings.Replace(path, "/environments", "/stacks", 1)
	if len(bytes.TrimSpace(body)) == 0 {
		return r.Method + " " + path
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return r.Method + " " + path + " " + string(body)
	}
	text, _ := json.Marshal(without(v, randomWords)) // It was decoded from JSON.
	return r.Method + " " + path + " " + oldStackID.ReplaceAllString(string(text), `"1st$1"`)
}

// without leaves members out, at any depth.
func without(v any, keys []string) any {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			if slices.Contains(keys, key) {
				delete(v, key)
				continue
			}
			v[key] = without(item, keys)
		}
	case []any:
		for n := range v {
			v[n] = without(v[n], keys)
		}
	}
	return v
}

// state is all that matters of the server, as text.
func (w *twin) state() string {
	var lines []string
	base := "/v2-beta/projects/" + w.server.ProjectID()
	_, stacks := w.call(http.MethodGet, base+"/stacks", "")
	for _, item := range records(stacks) {
		lines = append(lines, fmt.Sprintf("stack %v", item["name"]))
	}
	_, services := w.call(http.MethodGet, base+"/services", "")
	for _, svc := range records(services) {
		config, _ := svc["launchConfig"].(map[string]any)
		version := config["version"]
		launch, _ := json.Marshal(without(config, randomWords)) // It was decoded from JSON.
		side, _ := json.Marshal(without(svc["secondaryLaunchConfigs"], randomWords))
		lines = append(lines, fmt.Sprintf("service %v %v scale %v upgraded=%t %s %s", svc["name"], svc["state"], svc["scale"], svc["upgrade"] != nil, launch, side))
		_, containers := w.call(http.MethodGet, base+"/services/"+svc["id"].(string)+"/instances", "")
		for _, c := range records(containers) {
			lines = append(lines, fmt.Sprintf("container %v %v %v new=%t", c["name"], c["state"], c["imageUuid"], c["version"] == version))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func records(collection map[string]any) []map[string]any {
	data, _ := collection["data"].([]any)
	var list []map[string]any
	for _, item := range data {
		if m, ok := item.(map[string]any); ok {
			list = append(list, m)
		}
	}
	return list
}

// intercept sets what looks at each request first.
func (w *twin) intercept(before func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = before
}

// changes are what was changed through the network so far.
func (w *twin) changes() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.writes)
}
