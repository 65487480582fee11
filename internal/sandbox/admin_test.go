package sandbox

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// admin asks the admin endpoint of a Rancher of its own.
type admin struct {
	t       *testing.T
	handler http.Handler
	rancher *ranchersim.Server
}

func newAdmin(t *testing.T) *admin {
	rancher := ranchersim.New(ranchersim.Options{})
	t.Cleanup(rancher.Close)
	return &admin{t, adminHandler(rancher), rancher}
}

func (a *admin) ask(method, path, body string, header ...string) (int, map[string]any) {
	a.t.Helper()
	r := httptest.NewRequestWithContext(a.t.Context(), method, "http://127.0.0.1:1234"+path, strings.NewReader(body))
	for n := 0; n+1 < len(header); n += 2 {
		r.Header.Set(header[n], header[n+1])
		if header[n] == "Host" {
			r.Host = header[n+1]
		}
	}
	rec := httptest.NewRecorder()
	a.handler.ServeHTTP(rec, r)
	var out map[string]any
	if rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
			a.t.Fatalf("%s %s: %s: %v", method, path, rec.Body, err)
		}
	}
	return rec.Code, out
}

func TestAdminBeginsListsAndEndsFaults(t *testing.T) {
	a := newAdmin(t)
	for n, text := range []string{"503=count=1", "late=delay=2s"} {
		if code, body := a.ask(http.MethodPost, "/faults", `{"fault":"`+text+`"}`); code != http.StatusCreated || body["id"] != float64(n+1) {
			t.Errorf("POST %s: %d %v", text, code, body)
		}
	}
	rec := httptest.NewRecorder()
	a.rancher.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2-beta", nil))
	if rec.Code != http.StatusServiceUnavailable {
		t.Errorf("Rancher answers %d, want the fault's 503", rec.Code)
	}
	code, body := a.ask(http.MethodGet, "/faults", "")
	list, _ := body["faults"].([]any)
	if code != http.StatusOK || len(list) != 2 {
		t.Fatalf("GET /faults: %d %v", code, body)
	}
	if first := list[0].(map[string]any); first["name"] != "503" || first["struck"] != float64(1) || first["spent"] != true {
		t.Errorf("first fault = %v", first)
	}
	if code, _ := a.ask(http.MethodDelete, "/faults/1", ""); code != http.StatusNoContent || len(a.rancher.Faults()) != 1 {
		t.Errorf("DELETE /faults/1: %d, left %v", code, a.rancher.Faults())
	}
	for _, path := range []string{"/faults/1", "/faults/x"} {
		if code, body := a.ask(http.MethodDelete, path, ""); code != http.StatusNotFound || body["error"] == nil {
			t.Errorf("DELETE %s: %d %v", path, code, body)
		}
	}
	if code, _ := a.ask(http.MethodDelete, "/faults", ""); code != http.StatusNoContent || len(a.rancher.Faults()) != 0 {
		t.Errorf("DELETE /faults: %d, left %v", code, a.rancher.Faults())
	}
	if _, body := a.ask(http.MethodGet, "/faults/kinds", ""); len(body["kinds"].([]any)) != len(ranchersim.FaultNames()) || body["args"] == nil {
		t.Errorf("kinds = %v", body)
	}
}

func TestAdminRefuses(t *testing.T) {
	a := newAdmin(t)
	for _, tt := range []struct {
		name, body string
		want       int
		header     []string
	}{
		{"no JSON", "503", http.StatusBadRequest, nil},
		{"unknown fault", `{"fault":"nosuch"}`, http.StatusBadRequest, nil},
		{"unknown member", `{"fault":"503","id":7}`, http.StatusBadRequest, nil},
		{"no such host", `{"fault":"host-lost=host=1h7"}`, http.StatusBadRequest, nil},
		{"too long", `{"fault":"` + strings.Repeat("x", maxAdminBody) + `"}`, http.StatusBadRequest, nil},
		{"a web page", `{"fault":"503"}`, http.StatusForbidden, []string{"Origin", "http://evil.example"}},
		{"another name for this machine", `{"fault":"503"}`, http.StatusForbidden, []string{"Host", "evil.example:1234"}},
	} {
		if code, body := a.ask(http.MethodPost, "/faults", tt.body, tt.header...); code != tt.want || body["error"] == nil {
			t.Errorf("%s: %d %v, want %d and the reason", tt.name, code, body, tt.want)
		}
	}
	if len(a.rancher.Faults()) != 0 {
		t.Errorf("faults = %v, want none", a.rancher.Faults())
	}
}
