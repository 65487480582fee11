package ranchersim

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRefusals holds the answers to bad requests to those of a running server (rancher-api 14.2, recordings 06-*).
func TestRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(1, nil)
		up := path + "/?action=upgrade"
		config := func(extra map[string]any) map[string]any {
			launch := c.get(path)["launchConfig"].(map[string]any)
			maps.Copy(launch, extra)
			return map[string]any{"inServiceStrategy": map[string]any{"launchConfig": launch}}
		}
		strategy := func(extra map[string]any) map[string]any { return c.upgradeBody(path, extra) }
		const none = "(absent)"
		for _, tt := range []struct {
			name, method, path string
			body               any
			status             int
			code               string
			field, message     any
		}{
			{"finish in active", "POST", path + "/?action=finishupgrade", nil, 422, "ActionNotAvailable", "action", nil},
			{"rollback in active", "POST", path + "/?action=rollback", nil, 422, "ActionNotAvailable", "action", nil},
			{"no such action", "POST", path + "/?action=cancelrollback", nil, 422, "InvalidAction", "action", nil},
			{"no body", "POST", up, nil, 422, "MissingRequired", "Upgrade strategy needs to be set", nil},
			{"list as body", "POST", up, "[]", 422, "MissingRequired", "Upgrade strategy needs to be set", nil},
			{"both null", "POST", up, `{"inServiceStrategy":null,"toServiceStrategy":null}`, 422, "MissingRequired", "Upgrade strategy needs to be set", nil},
			{"no config", "POST", up, `{"inServiceStrategy":{"batchSize":1}}`, 422, "InvalidOption", "LaunchConfig/secondaryLaunchConfigs need to be specified for inService strategy", nil},
			{"batch 0", "POST", up, strategy(map[string]any{"batchSize": 0}), 422, "MinLimitExceeded", "batchSize", nil},
			{"batch text", "POST", up, strategy(map[string]any{"batchSize": "two"}), 422, "InvalidFormat", "batchSize", nil},
			{"interval 99", "POST", up, strategy(map[string]any{"intervalMillis": 99}), 422, "MinLimitExceeded", "intervalMillis", nil},
			{"image without prefix", "POST", up, config(map[string]any{"imageUuid": "registry.example/app:1"}), 422, "InvalidReference", "imageUuid", nil},
			{"image empty", "POST", up, config(map[string]any{"imageUuid": ""}), 422, "InvalidReference", "imageUuid", nil},
			{"port nonsense", "POST", up, config(map[string]any{"ports": []string{"nonsense"}}), 422, "PortWrongFormat", none, "the specified port spec format is wrong"},
			{"port too high", "POST", up, config(map[string]any{"ports": []string{"99999:80"}}), 422, "PortInvalidPublicPort", none, "incorrect public port, valid range is 0-65535"},
			{"host unknown", "POST", up, config(map[string]any{"requestedHostId": "1h999"}), 422, "InvalidReference", "requestedHostId", nil},
			{"environment text", "POST", up, config(map[string]any{"environment": "notamap"}), 422, "InvalidFormat", "environment", nil},
			{"to global", "POST", up, config(map[string]any{"labels": map[string]any{labelGlobal: "true"}}), 422, "InvalidOption", "Switching from global scale to fixed (and vice versa)", nil},
			{"check without port", "POST", up, config(map[string]any{"healthCheck": map[string]any{"interval": 2000}}), 422, "MissingRequired", "port", nil},
			{"sidekick without name", "POST", up, `{"inServiceStrategy":{"secondaryLaunchConfigs":[{"imageUuid":"docker:a"}]}}`, 422, "MissingRequired", "name", nil},
			{"to nowhere", "POST", up, `{"toServiceStrategy":{"toServiceId":"1s9999"}}`, 422, "InvalidReference", "toServiceId", nil},
			{"malformed", "POST", up, `{"inServiceStrategy": `, 400, "InvalidBodyContent", none, "InvalidBodyContent"},
			{"unknown id", "GET", "/services/1s999999", nil, 404, "Not Found", none, "Not Found"},
			{"unknown type", "GET", "/nosuchtype", nil, 404, "Not Found", none, "Not Found"},
			{"no id", "GET", "/services/abc", nil, 404, "Not Found", none, "Not Found"},
			{"unknown link", "GET", path + "/nosuchlink", nil, 404, "Not Found", none, "Not Found"},
			{"post on link", "POST", path + "/nosuchlink", nil, 405, "Method not allowed", none, "Method not allowed"},
			{"delete all", "DELETE", "/services", nil, 405, "Method not allowed", none, "Method not allowed"},
			{"patch", "PATCH", path, nil, 405, "Method not allowed", none, "Method not allowed"},
			{"name taken", "POST", "/services", `{"name":"WEB","stackId":"1st1","launchConfig":{"imageUuid":"docker:a"}}`, 422, "NotUnique", "name", nil},
			{"no name", "POST", "/services", `{"stackId":"1st1"}`, 422, "MissingRequired", "name", nil},
			{"no stack", "POST", "/services", `{"name":"a","launchConfig":{"imageUuid":"docker:a"}}`, 422, "InvalidState", "stackId", "stack is not in a valid state"},
			{"no image", "POST", "/services", `{"name":"a","stackId":"1st1","launchConfig":{}}`, 422, "InvalidOption", "Image is required when selectorContainer is not passed in", nil},
			{"scale -1", "PUT", path, `{"scale":-1}`, 422, "MinLimitExceeded", "scale", nil},
			{"scale text", "PUT", path, `{"scale":"x"}`, 422, "InvalidFormat", "scale", nil},
			{"bad name", "PUT", path, `{"name":"bad name!"}`, 422, "InvalidCharacters", "name", nil},
		} {
			status, body := c.call(tt.method, tt.path, tt.body)
			field, given := body["fieldName"]
			if !given {
				field = none
			}
			if status != tt.status || body["code"] != tt.code || field != tt.field || body["message"] != tt.message || body["type"] != "error" {
				t.Errorf("%s: %d %v %v %v, want %d %v %v %v", tt.name, status, body["code"], field, body["message"],
					tt.status, tt.code, tt.field, tt.message)
			}
		}
		if svc := c.get(path); svc["state"] != stateActive || svc["launchConfig"].(map[string]any)["version"] != "0" {
			t.Errorf("a refused request changed the service: %v", svc["state"])
		}
	})
}

// TestAcceptedThoughWrong lists bodies that a running server takes: a client has to look for itself.
func TestAcceptedThoughWrong(t *testing.T) {
	for _, body := range []string{
		`{"inServiceStrategy":{"launchConfig":null,"secondaryLaunchConfigs":[]}}`,
		`{"inServiceStrategy":{"batchSize":"2","intervalMillis":"150","launchConfig":{"imageUuid":"docker:a"}}}`,
		`{"inServiceStrategy":{"batchSize":1.5,"launchConfig":{"imageUuid":"docker:a"}}}`,
		`{"inServiceStrategy":{"startFirst":null,"launchConfig":{"imageUuid":null}}}`,
		`{"inServiceStrategy":{"launchConfig":{"imageUuid":"docker:a@sha256:nothex","nosuch":1}}}`,
		`{"inServiceStrategy":{"launchConfig":"text"}}`,
		`{"inServiceStrategy":{"batchSize":1000000000000,"launchConfig":{"imageUuid":"docker:"}}}`,
	} {
		bubble(t, func(t *testing.T) {
			c := start(t, Options{})
			path := c.web(1, nil)
			c.do(http.StatusAccepted, path+"/?action=upgrade", body)
			c.await(path, stateUpgraded, time.Minute)
		})
	}
}

func TestNullBatchSizeSticks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(1, nil)
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, map[string]any{"batchSize": nil}))
		time.Sleep(3 * time.Minute)
		if svc := c.get(path); svc["state"] != stateUpgrading || svc["transitioning"] != "error" {
			t.Errorf("state %v, transitioning %v; want upgrading, error", svc["state"], svc["transitioning"])
		}
		c.do(http.StatusAccepted, path+"/?action=rollback", nil)
		time.Sleep(time.Minute)
		if svc := c.get(path); svc["state"] != stateRollingBack {
			t.Errorf("state %v after rollback, want rolling-back", svc["state"])
		}
	})
}

// TestActionsPerState is the table of rancher-api 2.7, taken from spring-process-context.xml.
func TestActionsPerState(t *testing.T) {
	for state, want := range map[string]string{
		stateRequested:        "create remove",
		stateRegistering:      "remove",
		stateInactive:         "activate remove update upgrade",
		stateActivating:       "deactivate remove update upgrade",
		stateActive:           "deactivate remove restart update upgrade",
		stateUpdatingActive:   "deactivate remove update upgrade",
		stateUpdatingInactive: "deactivate remove",
		stateDeactivating:     "remove",
		stateUpgrading:        "cancelupgrade remove rollback update",
		stateUpgraded:         "finishupgrade remove rollback",
		stateFinishing:        "cancelupgrade remove update",
		stateCanceling:        "remove update",
		stateCanceled:         "continueupgrade remove rollback",
		stateRollingBack:      "remove update",
		stateRestarting:       "activate deactivate remove",
		stateRemoving:         "",
		stateRemoved:          "",
	} {
		got := slices.DeleteFunc(serviceActions(state), func(a string) bool {
			return strings.HasSuffix(a, "servicelink") || strings.HasSuffix(a, "servicelinks")
		})
		if strings.Join(got, " ") != want {
			t.Errorf("serviceActions(%s) = %v, want %s", state, got, want)
		}
		if n := len(serviceActions(state)) - len(got); n != 3 {
			t.Errorf("serviceActions(%s) has %d link actions, want 3", state, n)
		}
	}
}

func TestAccess(t *testing.T) {
	c := start(t, Options{})
	other := c.server.AddProject("other")
	c.server.AddKey(Key{Access: "agent", Secret: "s", Kind: AgentKey, Project: c.server.ProjectID()})
	c.server.AddKey(Key{Access: "account", Secret: "s", Kind: AccountKey})
	c.server.AddKey(Key{Access: "reader", Secret: "s", Kind: ReadOnlyKey})
	own := "/v2-beta/projects/" + c.server.ProjectID() + "/services"
	for _, tt := range []struct {
		name, access, secret, method, path string
		status                             int
	}{
		{"own", "key", "secret", "GET", own, 200},
		{"without project", "key", "secret", "GET", "/v2-beta/services", 200},
		{"wrong secret", "key", "x", "GET", own, 401},
		{"wrong key", "nokey", "secret", "GET", own, 401},
		{"other project", "key", "secret", "GET", "/v2-beta/projects/" + other + "/services", 403},
		{"unknown project", "key", "secret", "GET", "/v2-beta/projects/1a99999/services", 403},
		{"account, no project", "account", "s", "GET", "/v2-beta/services", 403},
		{"account", "account", "s", "GET", own, 200},
		{"account, projects", "account", "s", "GET", "/v2-beta/projects", 200},
		{"reader reads", "reader", "s", "GET", own, 200},
		{"reader writes", "reader", "s", "POST", own, 405},
		{"agent sees no secrets", "agent", "s", "GET", "/v2-beta/secrets", 404},
	} {
		c.key = Key{Access: tt.access, Secret: tt.secret}
		if rec := c.raw(tt.method, tt.path, nil); rec.Code != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, rec.Code, tt.status)
		}
	}
}

func TestAgentKeyLosesSecrets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		c.server.AddKey(Key{Access: "agent", Secret: "s", Kind: AgentKey, Project: c.server.ProjectID()})
		sec := c.do(http.StatusCreated, "/secrets", map[string]any{"name": "dbpass", "value": "eA=="})
		if sec["value"] != "eA==" || c.get("/secrets/1se1")["value"] != nil {
			t.Error("a secret's value is shown other than on creation")
		}
		path := c.web(1, map[string]any{"secrets": []any{map[string]any{"secretId": sec["id"], "name": "dbpass"}}})
		if c.get(path)["launchConfig"].(map[string]any)["secrets"] == nil {
			t.Fatal("the environment key sees no secrets")
		}
		body := c.upgradeBody(path, nil)
		c.key = Key{Access: "agent", Secret: "s"}
		if _, ok := c.get(path)["launchConfig"].(map[string]any)["secrets"]; ok {
			t.Error("the agent key sees secrets")
		}
		c.do(http.StatusAccepted, path+"/?action=upgrade", body)
		c.key = Key{Access: "key", Secret: "secret"}
		if _, ok := c.get(path)["launchConfig"].(map[string]any)["secrets"]; ok {
			t.Error("an upgrade by the agent key kept the secrets")
		}
		c.await(path, stateUpgraded, time.Minute)
		c.do(http.StatusAccepted, path+"/?action=rollback", nil)
		if _, ok := c.get(path)["launchConfig"].(map[string]any)["secrets"]; !ok {
			t.Error("rollback did not bring the secrets back")
		}
	})
}
