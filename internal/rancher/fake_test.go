package rancher

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// fake is a small Rancher: it speaks the protocol, pages, and pushes frames. Its
// services and containers are what the test puts there.
type fake struct {
	t      *testing.T
	server *httptest.Server

	mu         sync.Mutex
	stacks     map[string]map[string]any
	services   map[string]map[string]any
	containers map[string]map[string]any
	hosts      map[string]map[string]any
	// reports are what agents reported, by id.
	reports map[string]map[string]any
	// schemas are what the key's role knows: of a person whose role has no secrets.
	schemas map[string]map[string]any
	// kind is the account kind in every answer.
	kind string
	// pageCap makes pages smaller than asked for.
	pageCap int
	// linkBase is written into links in place of the server's address.
	linkBase string
	// intercept, when not nil, answers in place of the fake and returns true.
	intercept func(w http.ResponseWriter, r *http.Request) bool
	// noSocket answers subscribe as Rancher does without an upgrade.
	noSocket bool
	// seen are the requests, as METHOD path?query.
	seen []string
	// sockets are the open streams.
	sockets map[chan []byte]func()
}

// newFake starts a fake with stack shop (1st5) and one active host.
func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{
		t: t, kind: "project", pageCap: 3000, sockets: map[chan []byte]func(){},
		stacks:     map[string]map[string]any{"1st5": {"id": "1st5", "type": "stack", "name": "shop", "state": "active"}},
		services:   map[string]map[string]any{},
		containers: map[string]map[string]any{},
		schemas: map[string]map[string]any{
			"service":      {"id": "service", "type": "schema", "resourceActions": map[string]any{"upgrade": map[string]any{}}},
			"launchConfig": {"id": "launchConfig", "type": "schema", "resourceFields": map[string]any{"environment": map[string]any{}}},
		},
		hosts: map[string]map[string]any{"1h1": {"id": "1h1", "type": "host", "state": "active", "agentState": "active"}},
	}
	f.server = httptest.NewServer(f)
	t.Cleanup(func() {
		f.hangUp()
		f.server.Close()
	})
	return f
}

// client is a Client of the fake that may act on shop/web.
func (f *fake) client(keys ...Key) *Client {
	f.t.Helper()
	c, err := New(Options{
		URL: f.server.URL, AccessKey: text("access"), SecretKey: text("hush"),
		Timeout: 30 * time.Second, Allow: keys,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Close)
	return c
}

// text is a key source.
func text(s string) func() (string, error) { return func() (string, error) { return s, nil } }

// requests are the requests so far.
func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// ServeHTTP answers.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.seen = append(f.seen, r.Method+" "+r.URL.RequestURI())
	intercept := f.intercept
	f.mu.Unlock()
	if user, password, _ := r.BasicAuth(); user != "access" || password != "hush" {
		f.fail(w, 401, "Unauthorized", "")
		return
	}
	w.Header().Set("X-API-ACCOUNT-KIND", f.kind)
	if intercept != nil && intercept(w, r) {
		return
	}
	f.route(w, r)
}

// route finds the resource.
func (f *fake) route(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v2-beta"), "/")
	if path == "/projects" {
		f.collection(w, r, "project", []map[string]any{{"id": "1a8", "type": "project", "name": "prod", "state": "active"}})
		return
	}
	parts := strings.Split(strings.TrimPrefix(path, "/projects/1a8/"), "/")
	if parts[0] == "subscribe" {
		f.subscribe(w, r)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	kinds := map[string]map[string]map[string]any{"stacks": f.stacks, "services": f.services, "containers": f.containers, "hosts": f.hosts, "schemas": f.schemas, "containerevents": f.reports}
	all, ok := kinds[parts[0]]
	switch {
	case !ok || len(parts) > 1 && all[parts[1]] == nil:
		f.fail(w, 404, "Not Found", "")
	case len(parts) == 1:
		resource := strings.Replace(strings.TrimSuffix(parts[0], "s"), "containerevent", "containerEvent", 1)
		f.collection(w, r, resource, slices.Collect(maps.Values(all)))
	case len(parts) == 3 && parts[2] == "instances":
		f.collection(w, r, "instance", f.instances(parts[1]))
	default:
		_ = json.NewEncoder(w).Encode(all[parts[1]])
	}
}

// instances are the containers of a service.
func (f *fake) instances(serviceID string) []map[string]any {
	var found []map[string]any
	for _, c := range f.containers {
		if ids, _ := c["serviceIds"].([]string); slices.Contains(ids, serviceID) {
			found = append(found, c)
		}
	}
	return found
}

// collection answers a page, with the filters name, stackId and externalStatus.
func (f *fake) collection(w http.ResponseWriter, r *http.Request, resource string, all []map[string]any) {
	q := r.URL.Query()
	all = slices.DeleteFunc(append([]map[string]any{}, all...), func(item map[string]any) bool {
		return q.Has("name") && item["name"] != q.Get("name") ||
			q.Has("stackId") && item["stackId"] != q.Get("stackId") ||
			q.Has("externalStatus") && item["externalStatus"] != q.Get("externalStatus")
	})
	slices.SortFunc(all, func(a, b map[string]any) int {
		order := int(idNumber(a["id"].(string))) - int(idNumber(b["id"].(string)))
		if q.Get("sort") == "id" && q.Get("order") == "desc" {
			return -order
		}
		return order
	})
	limit, _ := strconv.Atoi(q.Get("limit"))
	limit = min(max(limit, 1), f.pageCap)
	from, _ := strconv.Atoi(strings.TrimPrefix(q.Get("marker"), "m"))
	from = min(from, len(all))
	to := min(from+limit, len(all))
	var next any
	if to < len(all) {
		q.Set("marker", "m"+strconv.Itoa(to))
		base := f.linkBase
		if base == "" {
			base = f.server.URL
		}
		next = base + strings.ToLower(r.URL.Path) + "?" + q.Encode()
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "collection", "resourceType": resource, "data": all[from:to],
		"pagination": map[string]any{"next": next, "limit": limit},
	})
}

// fail answers an error in Rancher's words.
func (f *fake) fail(w http.ResponseWriter, status int, code, field string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "error", "status": status, "code": code, "fieldName": field, "message": nil})
}

// subscribe opens an event stream.
func (f *fake) subscribe(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	refused := f.noSocket
	f.mu.Unlock()
	if refused {
		_ = json.NewEncoder(w).Encode(map[string]any{"type": "collection", "resourceType": "subscribe", "data": []any{}})
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	frames := make(chan []byte, 1000)
	gone := make(chan struct{})
	f.mu.Lock()
	f.sockets[frames] = sync.OnceFunc(func() { close(gone) })
	f.mu.Unlock()
	ctx := conn.CloseRead(r.Context())
	for {
		select {
		case frame := <-frames:
			if conn.Write(ctx, websocket.MessageText, frame) != nil {
				return
			}
		case <-gone:
			_ = conn.Close(websocket.StatusNormalClosure, "")
			return
		case <-ctx.Done():
			return
		}
	}
}

// hangUp closes all streams.
func (f *fake) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, end := range f.sockets {
		end()
	}
	clear(f.sockets)
}

// push sends a frame to all streams. The caller holds no lock.
func (f *fake) push(frame []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for frames := range f.sockets {
		frames <- frame
	}
}

// listening says how many streams are open.
func (f *fake) listening() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sockets)
}

// change is a resource.change frame.
func change(kind string, resource map[string]any) []byte {
	frame, err := json.Marshal(map[string]any{
		"name": "resource.change", "resourceType": kind, "resourceId": resource["id"],
		"data": map[string]any{"resource": resource},
	})
	if err != nil {
		panic(err)
	}
	return frame
}

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// addService puts an active service into the fake.
func (f *fake) addService(id, name string) map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := serviceJSON(id, "1st5", name)
	f.services[id] = s
	return s
}

// serviceJSON is an active service.
func serviceJSON(id, stackID, name string) map[string]any {
	return map[string]any{
		"id": id, "type": "service", "baseType": "service", "name": name, "stackId": stackID, "state": "active",
		"healthState": "healthy", "transitioning": "no", "scale": 2, "system": false, "retainIp": nil,
		"actions":                map[string]any{"upgrade": "x", "restart": "x"},
		"launchConfig":           map[string]any{"imageUuid": "docker:registry.example/app@" + digestA, "version": "0", "labels": map[string]any{"team": "shop"}},
		"secondaryLaunchConfigs": []any{}, "upgrade": nil,
	}
}

// containerJSON is a running container of a service.
func containerJSON(id, serviceID string) map[string]any {
	return map[string]any{
		"id": id, "type": "container", "baseType": "instance", "name": "shop-web-" + id, "state": "running", "version": "0",
		"healthState": "healthy", "imageUuid": "docker:registry.example/app@" + digestA, "serviceIds": []string{serviceID},
		"externalId": strings.Repeat("0", 12) + id, "startCount": 1, "createIndex": 1,
	}
}

// recording reads the lines of a file in testdata.
func recording(t testing.TB, name string) []map[string]json.RawMessage {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var lines []map[string]json.RawMessage
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		var m map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m)
	}
	return lines
}

// exchange is the line with a sequence number.
func exchange(t testing.TB, name string, seq int) map[string]json.RawMessage {
	t.Helper()
	for _, line := range recording(t, name) {
		if string(line["seq"]) == fmt.Sprint(seq) {
			return line
		}
	}
	t.Fatalf("%s has no line with seq %d", name, seq)
	return nil
}

// parsed reads a URL.
func parsed(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// number reads a number.
func number(t testing.TB, raw []byte) int {
	t.Helper()
	n, err := strconv.Atoi(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
