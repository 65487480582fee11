package metrics

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

type fake map[string]reconcile.Shadow

func (f fake) Keys() []string { return []string{"chat/one", "chat/two", "chat/new"} }

func (f fake) History(key string) reconcile.History {
	switch key {
	case "chat/one":
		return reconcile.History{Status: reconcile.Status{Phase: reconcile.Idle}}
	case "chat/two":
		return reconcile.History{Status: reconcile.Status{Phase: reconcile.Stuck, Alert: true}}
	}
	return reconcile.History{}
}

func (f fake) Shadow(key string) reconcile.Shadow { return f[key] }

func scrape(t *testing.T, s Source) string {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(s, "v1.2").ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestScrape(t *testing.T) {
	got := scrape(t, fake{"chat/one": {Trials: 1200, FalseTriggers: 3, Holds: 7}})
	for _, want := range []string{
		`drover_build_info{version="v1.2"} 1`,
		`drover_gate_shadow_trials_total{target="chat/one"} 1200`,
		`drover_gate_shadow_false_triggers_total{target="chat/one"} 3`,
		`drover_gate_shadow_holds_total{target="chat/one"} 7`,
		`drover_target_phase{phase="idle",target="chat/one"} 1`,
		`drover_target_phase{phase="stuck",target="chat/two"} 1`,
		`drover_target_alert{target="chat/one"} 0`,
		`drover_target_alert{target="chat/two"} 1`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no line %s in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "chat/new") {
		t.Errorf("a target nobody has looked at has figures:\n%s", got)
	}
	if strings.Contains(got, `shadow_trials_total{target="chat/two"}`) {
		t.Errorf("a service without a trial has a rate:\n%s", got)
	}
}

// TestNamesAreAsPrometheusWantsThem: units, suffixes, help.
func TestNamesAreAsPrometheusWantsThem(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(scrape(t, fake{"chat/one": {Trials: 1}}))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint says %v, %v", problems, err)
	}
}
