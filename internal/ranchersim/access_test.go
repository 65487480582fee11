package ranchersim

import (
	"net/http"
	"testing"
	"time"
)

// TestReadOnlyMember is what a read-only member may do and see: everything but variables, and no change
// (test_readonly_types in Cattle's test_authorization.py, rancher/rancher#9632).
func TestReadOnlyMember(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(1, map[string]any{"environment": map[string]any{"PASSWORD": "x"}})
		upgrade := c.upgradeBody(path, nil)
		c.server.AddKey(Key{Access: "reader", Secret: "s", Kind: ReadOnlyKey, Project: c.server.ProjectID()})
		c.key = Key{Access: "reader", Secret: "s"}

		svc := c.get(path)
		if actions := svc["actions"].(map[string]any); len(actions) != 0 {
			t.Errorf("a reader is offered %v of a service, want nothing", actions)
		}
		if launch := svc["launchConfig"].(map[string]any); launch["environment"] != nil || launch["imageUuid"] != oldImage {
			t.Errorf("a reader sees the launch configuration %v, want all but its environment", launch)
		}
		container := c.containers(path)[0]
		if actions := container["actions"].(map[string]any); len(actions) != 1 || actions["logs"] == nil {
			t.Errorf("a reader is offered %v of a container, want logs", actions)
		}
		if _, shown := container["environment"]; shown {
			t.Error("a reader sees a container's environment")
		}
		for _, tt := range []struct {
			method, path string
			body         any
			status       int
			code         string
		}{
			{"POST", path + "/?action=upgrade", upgrade, 422, "InvalidAction"},
			{"POST", path + "/?action=rollback", nil, 422, "InvalidAction"},
			{"POST", "/services", upgrade, 405, "Method not allowed"},
			{"POST", "/stacks", map[string]any{"name": "mine"}, 405, "Method not allowed"},
			{"PUT", path, map[string]any{"scale": 2}, 405, "Method not allowed"},
			{"DELETE", path, nil, 405, "Method not allowed"},
			{"POST", "/containers/" + container["id"].(string) + "/?action=stop", nil, 422, "InvalidAction"},
		} {
			if status, body := c.call(tt.method, tt.path, tt.body); status != tt.status || body["code"] != tt.code {
				t.Errorf("%s %s = %d %v, want %d %s", tt.method, tt.path, status, body["code"], tt.status, tt.code)
			}
		}
		c.do(http.StatusOK, "/containers/"+container["id"].(string)+"/?action=logs", map[string]any{"follow": false})

		schema := c.get("/schemas/service")
		if n := len(schema["resourceActions"].(map[string]any)); n != 0 {
			t.Errorf("a reader's schema of services has %d actions, want none", n)
		}
		for name, f := range schema["resourceFields"].(map[string]any) {
			if f := f.(map[string]any); f["create"] != false || f["update"] != false {
				t.Errorf("a reader's schema lets field %s be changed", name)
			}
		}
		if c.get("/schemas/launchConfig")["resourceFields"].(map[string]any)["environment"] != nil {
			t.Error("a reader's schema of launch configurations has environment")
		}
	})
}

// TestAgentKeysSchemaLacksSecrets: what is pruned from the schema is what the answers lack.
func TestAgentKeysSchemaLacksSecrets(t *testing.T) {
	c := start(t, Options{})
	c.server.AddKey(Key{Access: "agent", Secret: "s", Kind: AgentKey, Project: c.server.ProjectID()})
	for _, tt := range []struct {
		key  Key
		sees bool
	}{{Key{Access: "key", Secret: "secret"}, true}, {Key{Access: "agent", Secret: "s"}, false}} {
		c.key = tt.key
		for _, name := range []string{"launchConfig", "secondaryLaunchConfig", "container"} {
			if _, shown := c.get("/schemas/" + name)["resourceFields"].(map[string]any)["secrets"]; shown != tt.sees {
				t.Errorf("with key %s the schema of %s has secrets: %t, want %t", tt.key.Access, name, shown, tt.sees)
			}
		}
	}
	if status, _ := c.call(http.MethodGet, "/schemas/secretReference", nil); status != http.StatusNotFound {
		t.Errorf("the schema of secretReference answers %d to an agent's key, want 404", status)
	}
}

// TestMembersOfOneEnvironment: a person's key reaches the environments that the person is a member of.
func TestMembersOfOneEnvironment(t *testing.T) {
	c := start(t, Options{})
	other := c.server.AddProject("other")
	c.server.AddKey(Key{Access: "everywhere", Secret: "s", Kind: AccountKey})
	c.server.AddKey(Key{Access: "member", Secret: "s", Kind: AccountKey, Project: other})
	for _, tt := range []struct {
		access    string
		projects  int
		here, out int
	}{{"everywhere", 2, 200, 200}, {"member", 1, 403, 200}, {"key", 1, 200, 403}} {
		c.key = Key{Access: tt.access, Secret: map[bool]string{true: "secret", false: "s"}[tt.access == "key"]}
		if n := len(c.get("/v2-beta/projects")["data"].([]any)); n != tt.projects {
			t.Errorf("key %s sees %d environments, want %d", tt.access, n, tt.projects)
		}
		if rec := c.raw(http.MethodGet, "/services", nil); rec.Code != tt.here {
			t.Errorf("key %s: %d here, want %d", tt.access, rec.Code, tt.here)
		}
		if rec := c.raw(http.MethodGet, "/v2-beta/projects/"+other+"/services", nil); rec.Code != tt.out {
			t.Errorf("key %s: %d in the other environment, want %d", tt.access, rec.Code, tt.out)
		}
	}
}

// TestAgentKeySeesNoSecretsOfSidekicks: neither in the configurations nor in the record of the upgrade.
func TestAgentKeySeesNoSecretsOfSidekicks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		sec := c.do(http.StatusCreated, "/secrets", map[string]any{"name": "dbpass", "value": "eA=="})
		secrets := []any{map[string]any{"secretId": sec["id"], "name": "dbpass"}}
		st := c.do(http.StatusCreated, "/stacks", map[string]any{"name": "shop"})
		side := map[string]any{"name": "side", "imageUuid": oldImage, "secrets": secrets}
		svc := c.do(http.StatusCreated, "/services", map[string]any{
			"name": "web", "stackId": st["id"], "startOnCreate": true,
			"launchConfig": map[string]any{"imageUuid": oldImage}, "secondaryLaunchConfigs": []any{side},
		})
		path := "/services/" + svc["id"].(string)
		c.await(path, stateActive, time.Minute)
		c.do(http.StatusAccepted, path+"/?action=upgrade", map[string]any{"inServiceStrategy": map[string]any{"secondaryLaunchConfigs": []any{side}}})
		c.await(path, stateUpgraded, time.Minute)
		if n := countKey(c.get(path), "secrets"); n != 3 {
			t.Fatalf("the environment key sees secrets in %d places, want 3: now, new and old", n)
		}
		c.server.AddKey(Key{Access: "agent", Secret: "s", Kind: AgentKey, Project: c.server.ProjectID()})
		c.key = Key{Access: "agent", Secret: "s"}
		if n := countKey(c.get(path), "secrets"); n != 0 {
			t.Errorf("an agent's key sees secrets in %d places, want none", n)
		}
	})
}

// countKey counts how often a key with a value stands anywhere in a document.
func countKey(v any, key string) int {
	n := 0
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			if k == key && item != nil {
				n++
				continue
			}
			n += countKey(item, key)
		}
	case []any:
		for _, item := range v {
			n += countKey(item, key)
		}
	}
	return n
}
