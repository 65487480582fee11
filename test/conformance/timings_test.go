package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// figures are what was measured of one upgrade and its rollback, or of one list.
type figures struct {
	Instances, BatchSize                   int
	FirstNewRunningS, UpgradedS, RollbackS float64
	GetServiceBytes, GetInstancesBytes     int
	Services                               int
	Query                                  string
	Rows, Bytes                            int
}

// TestTimings wants our server to take about as long as the recorded one for rollouts of 2, 10 and 50 containers, and
// to answer as much.
func TestTimings(t *testing.T) {
	t.Parallel()
	for _, l := range load(t, "17-timings") {
		text, err := json.Marshal(l.Measured)
		if err != nil {
			t.Fatal(err)
		}
		var want figures
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%d containers by %d", want.Instances, want.BatchSize)
		run := measureRollout
		if want.Services > 0 {
			name, run = fmt.Sprintf("%d services %s", want.Services, want.Query), measureList
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { run(t, newRunner(t, nil), want) })
		})
	}
}

// recordedImage is what the recorded services run.
const recordedImage = "docker:registry.example/team/app@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// measureRollout upgrades a service and takes it back.
func measureRollout(t *testing.T, r *runner, want figures) {
	r.settleStack()
	r.create("1s1", map[string]any{
		"name": "timed", "stackId": "1st1", "scale": want.Instances, "startOnCreate": true, "launchConfig": map[string]any{
			"imageUuid": recordedImage, "environment": map[string]any{"APP_MODE": "production"}, "labels": map[string]any{"team": "shop"},
		},
	}, "services")
	path := r.mapped("/v2-beta/projects/1a8/services/1s1")
	in := func(state string) func() bool {
		return func() bool {
			_, svc := r.call(http.MethodGet, path, "", nil)
			return svc["state"] == state
		}
	}
	r.until(time.Minute, in("active"))
	_, svc := r.call(http.MethodGet, path, "", nil)
	config, _ := svc["launchConfig"].(map[string]any)
	began := time.Now()
	r.act("1s1", "upgrade", r.text(map[string]any{"inServiceStrategy": map[string]any{
		"launchConfig": config, "batchSize": want.BatchSize, "intervalMillis": 1000,
	}}))
	since := func(cond func() bool) float64 {
		if !r.until(5*time.Minute, cond) {
			t.Fatal("that did not come")
		}
		return time.Since(began).Seconds()
	}
	about(t, "first new container running", since(r.runsNew), want.FirstNewRunningS)
	about(t, "upgraded", since(in("upgraded")), want.UpgradedS)
	began = time.Now()
	r.act("1s1", "rollback", "")
	about(t, "rollback", since(in("active")), want.RollbackS)
	size(t, "service", r.bytes(path), want.GetServiceBytes)
	size(t, "instances", r.bytes(path+"/instances?limit=-1"), want.GetInstancesBytes)
}

// runsNew tells whether a container of a later version runs.
func (r *runner) runsNew() bool {
	for _, c := range r.server.Containers() {
		if c.Version != "0" && c.State == "running" {
			return true
		}
	}
	return false
}

// about wants a time to be the recorded one but for its order of magnitude.
func about(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got > want*2+1 || got < want/2-1 {
		t.Errorf("%s after %.2f s, want about %.2f s", what, got, want)
	}
}

// size wants an answer to be about as large as the recorded one.
func size(t *testing.T, what string, got, want int) {
	t.Helper()
	if got > want*5/4 || got < want*3/4 {
		t.Errorf("%s: %d bytes, want about %d", what, got, want)
	}
}

// bytes is the size of an answer.
func (r *runner) bytes(path string) int {
	req := httptest.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://rancher.example:8080"+path, nil)
	req.SetBasicAuth(environmentKey, "secret")
	rec := httptest.NewRecorder()
	r.server.Handler().ServeHTTP(rec, req)
	return rec.Body.Len()
}

// settleStack adds a host and a stack.
func (r *runner) settleStack() {
	r.ids["1h1"] = r.server.AddHost("host1.example", "192.0.2.1")
	r.create("1st1", map[string]any{"name": "st-timed"}, "stacks")
	time.Sleep(time.Second)
}

// measureList lists many services that nobody started.
func measureList(t *testing.T, r *runner, want figures) {
	r.settleStack()
	for n := range want.Services {
		r.create(fmt.Sprintf("1s%d", n+1), map[string]any{
			"name": fmt.Sprintf("svc-%d", n), "stackId": "1st1", "scale": 1, "launchConfig": map[string]any{
				"imageUuid":   "docker:registry.example/team/app@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
				"environment": map[string]any{"APP_MODE": "production"}, "labels": map[string]any{"team": "shop"},
			},
		}, "services")
	}
	time.Sleep(time.Second)
	query := r.mapped(strings.ReplaceAll(want.Query, "1stN", "1st1"))
	_, list := r.call(http.MethodGet, "/v2-beta/projects/"+r.ids["1a8"]+query, "", nil)
	if data, _ := list["data"].([]any); len(data) != want.Rows {
		t.Errorf("%s lists %d, want %d", query, len(data), want.Rows)
	}
	size(t, query, r.bytes("/v2-beta/projects/"+r.ids["1a8"]+query), want.Bytes)
}
