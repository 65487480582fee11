package ranchersim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// many creates five services svc-0 … svc-4, as recording 15 has them.
func (c *client) many() {
	c.t.Helper()
	c.do(http.StatusCreated, "/stacks", `{"name":"lists"}`)
	for n := range 5 {
		c.do(http.StatusCreated, "/services", map[string]any{
			"name": fmt.Sprintf("svc-%d", n), "stackId": "1st1", "launchConfig": map[string]any{"imageUuid": oldImage},
		})
	}
	time.Sleep(time.Second)
}

func serviceNames(body map[string]any) string {
	var names []string
	for _, item := range body["data"].([]any) {
		names = append(names, strings.TrimPrefix(item.(map[string]any)["name"].(string), "svc-"))
	}
	return strings.Join(names, "")
}

// TestCollections is recording 15: pages, filters and sorting.
func TestCollections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		c.many()
		for _, tt := range []struct {
			query, want string
			limit       float64
		}{
			{"", "01234", 100},
			{"limit=2", "01", 2},
			{"limit=2&marker=m2", "23", 2},
			{"limit=2&marker=m4", "4", 2},
			{"limit=0", "01234", 3000},
			{"limit=-1", "01234", 3000},
			{"limit=5000", "01234", 3000},
			{"limit=abc", "01234", 100},
			{"name=svc-1", "1", 100},
			{"name_prefix=svc-&sort=name&order=desc", "43210", 100},
			{"name_like=%25vc-3", "3", 100},
			{"name_notlike=%25-3", "0124", 100},
			{"state_ne=inactive", "", 100},
			{"kind=loadBalancerService", "", 100},
			{"kind=service", "01234", 100},
			{"system=false", "01234", 100},
			{"nosuch=1", "01234", 100},
			{"externalId_null=1", "01234", 100},
			{"externalId_notnull=1", "", 100},
			{"removed_null=1", "01234", 100},
			{"name=svc-1&name=svc-2", "", 100},
			{"state_ne=active&state_ne=removed", "01234", 100},
			{"stackId=1st1", "01234", 100},
			{"stackId=1st9", "", 100},
			{"id_gt=3", "34", 100},
			{"sort=scale&order=desc", "01234", 100},
		} {
			body := c.get("/services?" + tt.query)
			page := body["pagination"].(map[string]any)
			if got := serviceNames(body); got != tt.want || page["limit"] != tt.limit {
				t.Errorf("%s = %q with limit %v, want %q with %v", tt.query, got, page["limit"], tt.want, tt.limit)
			}
		}
	})
}

func TestCollectionEnvelope(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		c.many()
		base := "http://rancher.example:8080" + c.prefix
		body := c.get("/services?stackId=1st1&limit=2")
		page := body["pagination"].(map[string]any)
		if page["next"] != base+"/services?stackId=1st1&limit=2&marker=m2" || page["partial"] != true {
			t.Errorf("pagination = %v", page)
		}
		if got := body["links"].(map[string]any)["self"]; got != base+"/services" {
			t.Errorf("links.self = %v", got)
		}
		filter := body["filters"].(map[string]any)["stackId"].([]any)[0].(map[string]any)
		if filter["value"] != "1" || filter["modifier"] != "eq" {
			t.Errorf("filters.stackId = %v", filter)
		}
		if n := len(body["sortLinks"].(map[string]any)); n != 19 {
			t.Errorf("%d sortLinks, want 19", n)
		}
		if got := serviceNames(c.get("/stacks/1st1/services?name=svc-1")); got != "01234" {
			t.Errorf("a link obeyed a filter: %q", got)
		}
		raw := c.raw(http.MethodGet, "/services/1s1", nil)
		if !strings.Contains(raw.Body.String(), `http:\/\/rancher.example`) {
			t.Error("slashes are not escaped")
		}
		if got := c.get("/services/1i1")["id"]; got != "1s1" {
			t.Errorf("/services/1i1 is %v, want 1s1: letters do not count", got)
		}
		if got := c.get("/services?include=stack&limit=1")["data"].([]any)[0].(map[string]any)["stack"].(map[string]any)["id"]; got != "1st1" {
			t.Errorf("included stack = %v", got)
		}
	})
}

func TestRemovedIsHiddenButKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		c.many()
		if status, body := c.call(http.MethodDelete, "/services/1s1", nil); status != 200 || body["state"] != stateRemoving {
			t.Errorf("DELETE = %d %v", status, body["state"])
		}
		c.await("/services/1s1", stateRemoved, 10*time.Second)
		if got := serviceNames(c.get("/services")); got != "1234" {
			t.Errorf("list = %q", got)
		}
		if c.get("/services/1s1")["removedTS"] == nil {
			t.Error("removedTS is missing")
		}
	})
}

// TestOldDialect is what rancher-gitlab-deploy asks first (recordings rgd-*).
func TestOldDialect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{Project: "prod"})
		c.many()
		v1 := strings.Replace(c.prefix, "v2-beta", "v1", 1)
		if got := c.get("/v1/projects?limit=1000")["data"].([]any)[0].(map[string]any)["name"]; got != "prod" {
			t.Errorf("project = %v", got)
		}
		env := c.get(v1 + "/environments?limit=1000")["data"].([]any)[0].(map[string]any)
		if env["id"] != "1e1" || env["type"] != "environment" || env["kind"] != "environment" {
			t.Errorf("environment = %v %v %v", env["id"], env["type"], env["kind"])
		}
		if self := env["links"].(map[string]any)["self"].(string); !strings.HasSuffix(self, "/environments/1st1") {
			t.Errorf("self = %s", self)
		}
		body := c.get(v1 + "/environments/1e1/services?limit=1000")
		if got := serviceNames(body); got != "01234" || body["resourceType"] != "environment" {
			t.Errorf("services = %q of %v", got, body["resourceType"])
		}
		svc := body["data"].([]any)[0].(map[string]any)
		if svc["environmentId"] != "1e1" || svc["stackId"] != "1st1" {
			t.Errorf("environmentId %v, stackId %v", svc["environmentId"], svc["stackId"])
		}
		made := c.do(http.StatusCreated, v1+"/environments", `{"name":"newstack"}`)
		c.do(http.StatusCreated, "/services", map[string]any{
			"name": "newsvc", "stackId": made["id"], "startOnCreate": true,
			"launchConfig": map[string]any{"imageUuid": "docker:docker.example.com/a/b:1", "labels": map[string]any{}, "secrets": []any{}},
		})
	})
}

func TestThousandServicesListQuickly(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	s.AddHost("host1.example", "192.0.2.1")
	stackID, err := s.CreateStack("big")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 1000 {
		if _, err := s.CreateService(ServiceSpec{StackID: stackID, Name: fmt.Sprintf("s%d", n), LaunchConfig: []byte(`{"imageUuid":"docker:a"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	c := &client{t: t, server: s, prefix: "/v2-beta/projects/" + s.ProjectID()}
	began := time.Now()
	n := 0
	for marker := 0; marker < 1000; marker += 100 {
		n += len(c.get(fmt.Sprintf("/services?marker=m%d", marker))["data"].([]any))
	}
	if n != 1000 {
		t.Errorf("%d services in pages, want 1000", n)
	}
	t.Logf("1000 services in pages of 100, decoded: %v", time.Since(began))
}

// TestLinksAreThoseOfTheRequest: behind a proxy they have what it forwards, and everything is lower-cased
// (rancher-api 1.4).
func TestLinksAreThoseOfTheRequest(t *testing.T) {
	c := start(t, Options{})
	for _, tt := range []struct {
		headers map[string]string
		want    string
	}{
		{nil, "http://rancher.example:8080/v2-beta/projects/1a5/stacks"},
		{map[string]string{"X-Forwarded-Proto": "https"}, "https://rancher.example:8080/v2-beta/projects/1a5/stacks"},
		{map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "Rancher.Outside.Example"}, "https://rancher.outside.example/v2-beta/projects/1a5/stacks"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://rancher.example:8080"+c.prefix+"/stacks", http.NoBody)
		r.SetBasicAuth("key", "secret")
		for name, value := range tt.headers {
			r.Header.Set(name, value)
		}
		rec := httptest.NewRecorder()
		c.server.Handler().ServeHTTP(rec, r)
		var body struct{ Links struct{ Self string } }
		if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || body.Links.Self != tt.want {
			t.Errorf("with %v the link is %q (%v), want %q", tt.headers, body.Links.Self, err, tt.want)
		}
	}
}
