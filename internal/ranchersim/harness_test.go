package ranchersim

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// client calls a server's handler without a network, so that it can be used inside a synctest bubble.
type client struct {
	t      *testing.T
	server *Server
	key    Key
	prefix string // Put before every path.
}

const (
	oldImage = "docker:registry.example/team/app@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	newImage = "docker:registry.example/team/app@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// start runs a server with one host until the test ends.
func start(t *testing.T, opts Options) *client {
	t.Helper()
	opts.AccessKey, opts.SecretKey = "key", "secret"
	s := New(opts)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	s.AddHost("host1.example", "192.0.2.1")
	return &client{t: t, server: s, key: Key{Access: "key", Secret: "secret"}, prefix: "/v2-beta/projects/" + s.ProjectID()}
}

// call makes a request; path is below the project unless it begins with a version.
func (c *client) call(method, path string, body any) (int, map[string]any) {
	c.t.Helper()
	rec := c.raw(method, path, body)
	var out map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		c.t.Fatalf("%s %s: %d %q: %v", method, path, rec.Code, rec.Body, err)
	}
	return rec.Code, out
}

func (c *client) raw(method, path string, body any) *httptest.ResponseRecorder {
	c.t.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		text = string(b)
	}
	if !strings.HasPrefix(path, "/v") {
		path = c.prefix + path
	}
	r := httptest.NewRequestWithContext(c.t.Context(), method, "http://rancher.example:8080"+path, strings.NewReader(text))
	r.SetBasicAuth(c.key.Access, c.key.Secret)
	rec := httptest.NewRecorder()
	c.server.Handler().ServeHTTP(rec, r)
	return rec
}

func (c *client) get(path string) map[string]any {
	c.t.Helper()
	status, body := c.call(http.MethodGet, path, nil)
	if status != http.StatusOK {
		c.t.Fatalf("GET %s = %d %v, want 200", path, status, body)
	}
	return body
}

// do posts an action or a creation and wants the status.
func (c *client) do(want int, path string, body any) map[string]any {
	c.t.Helper()
	status, out := c.call(http.MethodPost, path, body)
	if status != want {
		c.t.Fatalf("POST %s = %d %v, want %d", path, status, out, want)
	}
	return out
}

// await waits until a service is in a state, at most d of the bubble's time.
func (c *client) await(path, state string, d time.Duration) map[string]any {
	c.t.Helper()
	deadline := time.Now().Add(d)
	for {
		body := c.get(path)
		if body["state"] == state {
			return body
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s is %v (%v %v) after %v, want %s", path, body["state"], body["transitioning"], body["transitioningMessage"], d, state)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// web creates stack shop and an active service web with the given extra fields in its launch configuration.
func (c *client) web(scale int, config map[string]any) string {
	c.t.Helper()
	st := c.do(http.StatusCreated, "/stacks", map[string]any{"name": "shop"})
	launch := map[string]any{"imageUuid": oldImage, "labels": map[string]any{"team": "shop"}}
	for k, v := range config {
		launch[k] = v
	}
	svc := c.do(http.StatusCreated, "/services", map[string]any{
		"name": "web", "stackId": st["id"], "scale": scale, "startOnCreate": true, "launchConfig": launch,
	})
	path := "/services/" + svc["id"].(string)
	c.await(path, stateActive, time.Minute)
	return path
}

// upgradeBody is the service's launch configuration with another image.
func (c *client) upgradeBody(path string, strategy map[string]any) map[string]any {
	c.t.Helper()
	config := c.get(path)["launchConfig"].(map[string]any)
	config["imageUuid"] = newImage
	in := map[string]any{"launchConfig": config}
	for k, v := range strategy {
		in[k] = v
	}
	return map[string]any{"inServiceStrategy": in}
}

// containers lists a service's containers, by id.
func (c *client) containers(path string) []map[string]any {
	c.t.Helper()
	var list []map[string]any
	for _, item := range c.get(path + "/instances?limit=-1")["data"].([]any) {
		list = append(list, item.(map[string]any))
	}
	return list
}

// brief writes containers as id:state, for comparisons.
func brief(list []map[string]any) string {
	var parts []string
	for _, i := range list {
		part := i["id"].(string) + ":" + i["state"].(string)
		if h := i["healthState"]; h != nil {
			part += "/" + h.(string)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

var check = map[string]any{"port": 8080, "requestLine": `GET "/healthz" "HTTP/1.0"`, "interval": 2000}

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
