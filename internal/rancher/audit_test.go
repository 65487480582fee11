package rancher

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestLastAct: the newest action on the service that Rancher took, whoever's; nothing else counts.
func TestLastAct(t *testing.T) {
	f := newFake(t)
	entries := []map[string]any{
		{"id": "1al9", "eventType": "api.service.rollback", "resourceId": "1s5", "responseCode": 422, "authenticatedAsAccountId": "1a9"}, // Refused.
		{"id": "1al8", "eventType": "api.service.rollback", "resourceId": "1s6", "responseCode": 202, "authenticatedAsAccountId": "1a9"}, // Another service.
		{"id": "1al7", "eventType": "api.stack.remove", "resourceId": "1s5", "responseCode": 202, "authenticatedAsAccountId": "1a9"},
		{"id": "xx", "eventType": "api.service.rollback", "resourceId": "1s5", "responseCode": 202, "authenticatedAsAccountId": "1a9"},
		{
			"id": "1al6", "eventType": "api.service.cancelupgrade", "resourceId": 5, "responseCode": 202, "authType": "TokenAuth",
			"authenticatedAsAccountId": "1a7", "clientIp": "192.0.2.7", "created": "2026-11-24T01:38:12Z",
		},
		{"id": "1al5", "eventType": "api.service.upgrade", "resourceId": "1s5", "responseCode": 202, "authenticatedAsAccountId": "1a8"},
	}
	var asked string
	status := http.StatusOK
	f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/auditLogs") {
			return false
		}
		asked = r.URL.RawQuery
		if status != http.StatusOK {
			f.fail(w, status, "Forbidden", "")
			return true
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"type": "collection", "resourceType": "auditLog", "data": entries})
		return true
	}
	c := f.client(web)
	want := observe.Act{Action: "cancelupgrade", By: "account 1a7 in the browser", From: "192.0.2.7", At: "2026-11-24T01:38:12Z"}
	if got := c.LastAct(t.Context(), "1s5"); got != want {
		t.Errorf("LastAct = %+v, want %+v", got, want)
	}
	if asked != "eventType_like=api.%25ervice.%25&limit=100&order=desc&sort=id" {
		t.Errorf("asked for %s", asked)
	}
	entries = entries[5:]
	if got := c.LastAct(t.Context(), "1s5"); got.Action != "upgrade" || got.By != "an API key of the environment" {
		t.Errorf("LastAct = %+v, want the environment's own key", got)
	}
	if got := c.LastAct(t.Context(), "1s7"); got != (observe.Act{}) {
		t.Errorf("LastAct of a service without entries = %+v", got)
	}
	if got := c.LastAct(t.Context(), "1i5"); got.Problem == nil {
		t.Errorf("LastAct of a container = %+v, want a problem", got)
	}
	entries[0]["authType"] = "AdminAuth"
	if got := c.LastAct(t.Context(), "1s5"); !strings.Contains(got.By, "access control is off") {
		t.Errorf("LastAct = %+v, want it told that anybody may", got)
	}
	status = http.StatusForbidden
	if got := c.LastAct(t.Context(), "1s5"); got.Problem == nil || got.Problem.Cause != observe.CauseAuth || got.Action != "" {
		t.Errorf("LastAct of a log that may not be read = %+v, want a problem", got)
	}
}
