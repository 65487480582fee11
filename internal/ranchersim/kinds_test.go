package ranchersim

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// make creates a service of a kind in stack shop and returns its path below /services.
func (c *client) make(plural string, body map[string]any) string {
	c.t.Helper()
	svc := c.do(http.StatusCreated, "/"+plural, body)
	return "/services/" + svc["id"].(string)
}

// TestExternalAndDNSServices run nothing: they are always healthy, and an upgrade changes their configuration alone
// (rancher-api 2.6, 3.5).
func TestExternalAndDNSServices(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		web := c.web(1, nil)
		for plural, extra := range map[string]map[string]any{
			"externalservices": {"hostname": "db.example"},
			"dnsservices":      {},
		} {
			body := map[string]any{"name": plural, "stackId": "1st1", "startOnCreate": true, "launchConfig": map[string]any{"imageUuid": oldImage}}
			for k, v := range extra {
				body[k] = v
			}
			path := c.make(plural, body)
			svc := c.await(path, stateActive, time.Minute)
			if svc["healthState"] != healthHealthy || len(c.containers(path)) != 0 {
				t.Errorf("%s: healthState %v, %d containers; want healthy and none", plural, svc["healthState"], len(c.containers(path)))
			}
			c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil))
			svc = c.await(path, stateUpgraded, time.Minute)
			if svc["launchConfig"].(map[string]any)["imageUuid"] != newImage || len(c.containers(path)) != 0 {
				t.Errorf("%s: after the upgrade %v with %d containers", plural, svc["launchConfig"], len(c.containers(path)))
			}
			c.do(http.StatusAccepted, path+"/?action=rollback", nil)
			if svc = c.await(path, stateActive, time.Minute); svc["launchConfig"].(map[string]any)["imageUuid"] != oldImage {
				t.Errorf("%s: the rollback left %v", plural, svc["launchConfig"])
			}
			c.do(http.StatusAccepted, path+"/?action=deactivate", nil)
			if svc = c.await(path, stateInactive, time.Minute); svc["healthState"] != healthHealthy {
				t.Errorf("%s: inactive and %v, want healthy all the same", plural, svc["healthState"])
			}
		}
		if got := c.get("/externalservices")["data"].([]any); len(got) != 1 || got[0].(map[string]any)["hostname"] != "db.example" {
			t.Errorf("external services: %v", got)
		}
		if n := len(c.get("/services")["data"].([]any)); n != 3 {
			t.Errorf("/services lists %d, want all three kinds", n)
		}
		_ = web
	})
}

// TestServiceLinks are names by which a service knows others, also of other stacks (external_links in compose files).
func TestServiceLinks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		web := c.web(1, nil)
		other := c.do(http.StatusCreated, "/stacks", map[string]any{"name": "data"})
		db := c.make("services", map[string]any{"name": "db", "stackId": other["id"], "launchConfig": map[string]any{"imageUuid": oldImage}})
		mail := c.make("externalservices", map[string]any{"name": "mail", "stackId": "1st1", "hostname": "mail.example"})
		id := func(path string) string { return strings.TrimPrefix(path, "/services/") }
		linked := func(want map[string]any) {
			t.Helper()
			got, _ := c.get(web)["linkedServices"].(map[string]any)
			if len(got) != len(want) {
				t.Errorf("linkedServices = %v, want %v", got, want)
			}
			for name, service := range want {
				if got[name] != service {
					t.Errorf("link %s leads to %v, want %v", name, got[name], service)
				}
			}
		}
		linked(nil)
		c.do(http.StatusOK, web+"/?action=addservicelink", map[string]any{"serviceLink": map[string]any{"serviceId": id(db), "name": "postgres"}})
		c.do(http.StatusOK, web+"/?action=addservicelink", map[string]any{"serviceLink": map[string]any{"serviceId": id(mail)}})
		linked(map[string]any{"postgres": id(db), "mail": id(mail)})
		if got := c.get(web + "/consumedservices")["data"].([]any); len(got) != 2 {
			t.Errorf("%d consumed services, want 2", len(got))
		}
		if got := c.get(db + "/consumedbyservices")["data"].([]any); len(got) != 1 || got[0].(map[string]any)["id"] != id(web) {
			t.Errorf("db is consumed by %v, want web", got)
		}
		c.do(http.StatusOK, web+"/?action=removeservicelink", map[string]any{"serviceLink": map[string]any{"serviceId": id(mail)}})
		linked(map[string]any{"postgres": id(db)})
		c.do(http.StatusOK, web+"/?action=setservicelinks", map[string]any{"serviceLinks": []any{map[string]any{"serviceId": id(db), "name": "db"}}})
		linked(map[string]any{"db": id(db)})

		for _, tt := range []struct {
			path, action, body string
			code, field        string
		}{
			{web, "addservicelink", `{}`, "MissingRequired", "serviceLink"},
			{web, "addservicelink", `{"serviceLink":{"serviceId":"1s999"}}`, "InvalidReference", "serviceId"},
			{"/externalservices/" + id(mail), "addservicelink", `{}`, "InvalidAction", "action"},
		} {
			if status, body := c.call(http.MethodPost, tt.path+"/?action="+tt.action, tt.body); status != 422 || body["code"] != tt.code || body["fieldName"] != tt.field {
				t.Errorf("%s with %s: %d %v %v, want 422 %s %s", tt.action, tt.body, status, body["code"], body["fieldName"], tt.code, tt.field)
			}
		}
		if actions := c.await(mail, stateInactive, time.Minute)["actions"].(map[string]any); actions["addservicelink"] != nil || actions["upgrade"] == nil {
			t.Errorf("an external service is offered %v, want no links", actions)
		}
		c.call(http.MethodDelete, db, nil)
		c.await(db, stateRemoved, time.Minute)
		linked(nil)
		c.do(http.StatusAccepted, web+"/?action=upgrade", c.upgradeBody(web, nil))
		c.await(web, stateUpgraded, time.Minute)
	})
}

// TestStartOnce: a container that starts once and ended counts as healthy, is left stopped, and holds up no rollout
// (rancher-api 2.5, 2.6).
func TestStartOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		runtime := newFakeRuntime()
		c := start(t, Options{Runtime: runtime})
		path := c.web(1, map[string]any{"labels": map[string]any{labelStartOnce: "true"}})
		if got := c.get(path)["healthState"]; got != healthHealthy {
			t.Errorf("while it runs the service is %v, want healthy", got)
		}
		runtime.process("1i1").crash()
		time.Sleep(time.Minute)
		if got := brief(c.containers(path)); got != "1i1:stopped" {
			t.Errorf("containers = %s, want it left stopped", got)
		}
		if svc := c.get(path); svc["healthState"] != "started-once" || svc["state"] != stateActive {
			t.Errorf("the service is %v and %v, want active and started-once", svc["state"], svc["healthState"])
		}
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil))
		c.awaitContainers(path, "1i1:stopped 1i2:running")
		runtime.process("1i2").crash()
		c.await(path, stateUpgraded, time.Minute)
		c.do(http.StatusAccepted, path+"/?action=finishupgrade", nil)
		c.await(path, stateActive, time.Minute)
		time.Sleep(30 * time.Second)
		if got := brief(c.containers(path)); got != "1i2:stopped" {
			t.Errorf("containers = %s, want the new one, ended", got)
		}
	})
}

// TestBalancerConfiguration: rules are checked on creation and on PUT, the custom haproxy.cfg is kept as it is, a PUT
// replaces no container, and an upgrade leaves lbConfig alone (rancher-api 8).
func TestBalancerConfiguration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		web := strings.TrimPrefix(c.web(1, nil), "/services/")
		rules := func(rule map[string]any) map[string]any {
			return map[string]any{"portRules": []any{rule}, "config": "global\n  maxconn 42\nbackend web\n  server $IP maxconn 5\n"}
		}
		body := func(rule map[string]any) map[string]any {
			return map[string]any{
				"name": "lb", "stackId": "1st1", "startOnCreate": true, "lbConfig": rules(rule),
				"launchConfig": map[string]any{"imageUuid": oldImage, "ports": []any{"80:80/tcp"}},
			}
		}
		sound := map[string]any{"sourcePort": 80, "targetPort": 8080, "serviceId": web}
		bad := []struct {
			rule        map[string]any
			code, field string
		}{
			{map[string]any{"sourcePort": 80, "targetPort": 8080}, "MissingRequired", "serviceId"},
			{map[string]any{"sourcePort": 80, "serviceId": web}, "MissingRequired", "targetPort"},
			{map[string]any{"sourcePort": 80, "targetPort": 8080, "serviceId": web, "selector": "a=b"}, "InvalidOption", "Can not specify both selector and serviceId"},
			{map[string]any{"sourcePort": 80, "selector": "a=b", "region": "eu"}, "MissingRequired", "environment"},
			{map[string]any{"targetPort": 8080, "serviceId": web}, "MissingRequired", "sourcePort"},
			{map[string]any{"sourcePort": 42, "targetPort": 8080, "serviceId": web}, "InvalidOption", "sourcePort"},
			{map[string]any{"sourcePort": 80, "targetPort": 8080, "serviceId": "1s999"}, "InvalidReference", "serviceId"},
		}
		for _, tt := range bad {
			if status, out := c.call(http.MethodPost, "/loadbalancerservices", body(tt.rule)); status != 422 || out["code"] != tt.code || out["fieldName"] != tt.field {
				t.Errorf("rule %v: %d %v %v, want 422 %s %s", tt.rule, status, out["code"], out["fieldName"], tt.code, tt.field)
			}
		}
		path := c.make("loadbalancerservices", body(sound))
		svc := c.await(path, stateActive, time.Minute)
		if got := svc["lbConfig"].(map[string]any)["config"]; got != rules(nil)["config"] {
			t.Errorf("the custom configuration came back as %q", got)
		}
		before := brief(c.containers(path))
		for _, tt := range bad {
			if status, out := c.call(http.MethodPut, path, map[string]any{"lbConfig": rules(tt.rule)}); status != 422 || out["code"] != tt.code {
				t.Errorf("PUT of rule %v: %d %v, want 422 %s", tt.rule, status, out["code"], tt.code)
			}
		}
		sound["hostname"] = "shop.example"
		changed := rules(sound)
		changed["config"] = "frontend 80\n  timeout client 9s\n"
		if status, out := c.call(http.MethodPut, path, map[string]any{"lbConfig": changed}); status != http.StatusOK {
			t.Fatalf("PUT of lbConfig: %d %v", status, out)
		}
		svc = c.await(path, stateActive, time.Minute)
		if got := svc["lbConfig"].(map[string]any)["config"]; got != changed["config"] || brief(c.containers(path)) != before {
			t.Errorf("after the PUT the configuration is %q with containers %s, want it replaced and them kept", got, brief(c.containers(path)))
		}
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil))
		for range 30 {
			time.Sleep(time.Second)
			for _, i := range c.containers(path) {
				c.server.ReportHealth(i["id"].(string), true)
			}
		}
		svc = c.await(path, stateUpgraded, time.Minute)
		if got := svc["lbConfig"].(map[string]any)["config"]; got != changed["config"] {
			t.Errorf("the upgrade left the configuration %q", got)
		}
	})
}
