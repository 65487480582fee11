package ranchersim

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestPutWhileBusy: in states that service.update cannot join a change that needs it is 409, and one that does not is
// taken; in upgraded it is only stored (rancher-api 12.8).
func TestPutWhileBusy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(2, nil)
		put := func(when string, body string, status int, code any) {
			t.Helper()
			if got, out := c.call(http.MethodPut, path, body); got != status || out["code"] != code {
				t.Errorf("PUT %s in %s: %d %v, want %d %v", body, when, got, out["code"], status, code)
			}
		}
		c.do(http.StatusAccepted, path+"/?action=restart", `{"rollingRestartStrategy":{}}`)
		put(stateRestarting, `{"scale":3}`, 409, "Conflict")
		put(stateRestarting, `{"description":"x"}`, 200, nil)
		c.await(path, stateActive, time.Minute)
		c.do(http.StatusAccepted, path+"/?action=deactivate", nil)
		put(stateDeactivating, `{"metadata":{"a":1}}`, 409, "Conflict")
		c.await(path, stateInactive, time.Minute)
		put(stateInactive, `{"scale":1}`, 200, nil)
		if got := c.get(path)["state"]; got != stateUpdatingInactive {
			t.Errorf("after a PUT of an inactive service it is %v", got)
		}
		c.await(path, stateInactive, time.Minute)
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil)) // Starts it.
		c.await(path, stateUpgraded, time.Minute)
		put(stateUpgraded, `{"scale":2}`, 200, nil)
		time.Sleep(time.Minute)
		if svc := c.get(path); svc["state"] != stateUpgraded || svc["scale"] != 2.0 || strings.Count(brief(c.containers(path)), stateRunning) != 1 {
			t.Errorf("in upgraded the scale did %v, %v, %s; want it stored and nothing done", svc["state"], svc["scale"], brief(c.containers(path)))
		}
		c.do(http.StatusAccepted, path+"/?action=finishupgrade", nil)
		c.await(path, stateActive, time.Minute)
		if n := strings.Count(brief(c.containers(path)), stateRunning); n != 2 {
			t.Errorf("%d containers run after the finish, want the missing one made", n)
		}
	})
}

// TestRestartTakesItsTime: batches with pauses, the health of all before each, the same containers (rancher-api 3.10).
func TestRestartTakesItsTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		runtime := newFakeRuntime()
		c := start(t, Options{Runtime: runtime})
		path := c.web(3, map[string]any{"healthCheck": check})
		c.awaitContainers(path, "1i1:running/healthy 1i2:running/healthy 1i3:running/healthy")
		began := time.Now()
		c.do(http.StatusAccepted, path+"/?action=restart", `{"rollingRestartStrategy":{"batchSize":2,"intervalMillis":20000}}`)
		time.Sleep(10 * time.Second)
		counts := func() (twice int) {
			for _, i := range c.containers(path) {
				if i["startCount"] == 2.0 {
					twice++
				}
			}
			return twice
		}
		if n := counts(); n != 2 || c.get(path)["state"] != stateRestarting {
			t.Errorf("after ten seconds %d were started again, want the batch of two", n)
		}
		c.await(path, stateActive, time.Minute)
		if took := time.Since(began); counts() != 3 || took < 20*time.Second || took > 40*time.Second {
			t.Errorf("%d were started again within %s, want all three with one pause of 20 s", counts(), took)
		}
	})
}

// TestFinishHangsOnHealth: it runs the whole loop once more with its waits; cancelupgrade is the way out, and rollback
// from there (rancher-api 3.7, 14.3).
func TestFinishHangsOnHealth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{ExternalHealth: true})
		path := c.web(1, map[string]any{"healthCheck": check})
		up := func() {
			t.Helper()
			for _, i := range c.containers(path) {
				c.server.ReportHealth(i["id"].(string), true)
			}
			time.Sleep(2 * time.Second)
		}
		up()
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil))
		time.Sleep(5 * time.Second)
		c.server.ReportHealth("1i2", false) // Ignored: it is initializing.
		time.Sleep(2 * time.Second)
		if got := brief(c.containers(path)); got != "1i1:stopped/healthy 1i2:running/initializing" {
			t.Errorf("an unhealthy report while initializing made %s", got)
		}
		up()
		c.await(path, stateUpgraded, time.Minute)
		c.server.ReportHealth("1i2", false)
		time.Sleep(5 * time.Second)
		c.do(http.StatusAccepted, path+"/?action=finishupgrade", nil)
		time.Sleep(2 * time.Minute)
		svc := c.get(path)
		if got := brief(c.containers(path)); svc["state"] != stateFinishing || got != "1i1:stopped/healthy 1i3:running/initializing" {
			t.Fatalf("after two minutes the finish is in %v with %s, want it waiting for a replacement", svc["state"], got)
		}
		if m := svc["transitioningMessage"]; m != "Waiting: healthy [container:1i3]" || svc["transitioning"] != "yes" {
			t.Errorf("transitioning %v, message %v", svc["transitioning"], m)
		}
		c.do(http.StatusAccepted, path+"/?action=cancelupgrade", nil)
		c.await(path, stateCanceled, time.Minute)
		for _, action := range []string{"upgrade", "finishupgrade"} {
			if status, out := c.call(http.MethodPost, path+"/?action="+action, nil); status != 422 || out["code"] != "ActionNotAvailable" {
				t.Errorf("%s in canceled-upgrade: %d %v", action, status, out["code"])
			}
		}
		c.do(http.StatusAccepted, path+"/?action=continueupgrade", nil)
		time.Sleep(5 * time.Second)
		if got := c.get(path)["state"]; got != stateUpgrading {
			t.Errorf("continued it is %v, want upgrading", got)
		}
		up()
		c.await(path, stateUpgraded, time.Minute)
		c.do(http.StatusAccepted, path+"/?action=rollback", nil)
		svc = c.await(path, stateActive, time.Minute)
		if svc["launchConfig"].(map[string]any)["version"] != "0" || svc["upgrade"] == nil {
			t.Errorf("after the rollback version %v, upgrade %v; want the old one and the record kept", svc["launchConfig"].(map[string]any)["version"], svc["upgrade"])
		}
	})
}

// TestHealthStrategies: none never replaces, recreateOnQuorum only while enough others are healthy (rancher-api 5).
func TestHealthStrategies(t *testing.T) {
	for _, tt := range []struct {
		name     string
		strategy map[string]any
		sick     int
		replaced bool
	}{
		{"none", map[string]any{"strategy": "none"}, 1, false},
		{"recreate", map[string]any{"strategy": "recreate"}, 3, true},
		{"quorum held", map[string]any{"strategy": "recreateOnQuorum", "recreateOnQuorumStrategyConfig": map[string]any{"quorum": 2}}, 1, true},
		{"quorum lost", map[string]any{"strategy": "recreateOnQuorum", "recreateOnQuorumStrategyConfig": map[string]any{"quorum": 2}}, 2, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := start(t, Options{ExternalHealth: true})
				hc := map[string]any{"port": 8080}
				for k, v := range tt.strategy {
					hc[k] = v
				}
				path := c.web(3, map[string]any{"healthCheck": hc})
				ids := []string{"1i1", "1i2", "1i3"}
				for _, id := range ids {
					c.server.ReportHealth(id, true)
				}
				time.Sleep(5 * time.Second)
				for _, id := range ids[:tt.sick] {
					c.server.ReportHealth(id, false)
				}
				time.Sleep(time.Minute)
				kept := 0
				for _, i := range c.containers(path) {
					for _, id := range ids {
						if i["id"] == id {
							kept++
						}
					}
				}
				if replaced := kept < 3; replaced != tt.replaced {
					t.Errorf("with %d of 3 unhealthy the containers are %s; replaced %t, want %t", tt.sick, brief(c.containers(path)), replaced, tt.replaced)
				}
			})
		})
	}
}

// TestReconcileMakesTheNewVersion: the launch configuration is replaced before any container is, so whatever is made
// meanwhile is new, outside the batches: in place of an old one that turned unhealthy, and an added sidekick in every unit
// (rancher-api 3.4).
func TestReconcileMakesTheNewVersion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{ExternalHealth: true})
		path := c.web(3, map[string]any{"healthCheck": check})
		healthy := func() {
			t.Helper()
			for range 10 {
				for _, i := range c.containers(path) {
					c.server.ReportHealth(i["id"].(string), true)
				}
				time.Sleep(time.Second)
			}
		}
		healthy()
		body := c.upgradeBody(path, map[string]any{
			"batchSize": 1, "intervalMillis": 60000, "secondaryLaunchConfigs": []any{map[string]any{"name": "side", "imageUuid": oldImage}},
		})
		c.do(http.StatusAccepted, path+"/?action=upgrade", body)
		healthy()
		count := func() (fresh, old, sides int) {
			version := c.get(path)["launchConfig"].(map[string]any)["version"]
			for _, i := range c.containers(path) {
				switch {
				case i["state"] != stateRunning:
				case strings.Contains(i["name"].(string), "-side-"):
					sides++
				case i["version"] == version:
					fresh++
				default:
					old++
				}
			}
			return fresh, old, sides
		}
		if fresh, old, sides := count(); fresh != 1 || old != 2 || sides != 3 {
			t.Fatalf("after the first batch %d new, %d old, %d sidekicks run; want 1, 2 and one in each unit", fresh, old, sides)
		}
		for _, i := range c.containers(path) {
			if i["version"] == "0" && i["state"] == stateRunning {
				c.server.ReportHealth(i["id"].(string), false)
			}
		}
		time.Sleep(60 * time.Second) // The next pass begins with a look at everything.
		if fresh, old, _ := count(); fresh != 3 || old != 0 {
			t.Errorf("after the old ones turned unhealthy %d new and %d old run, want three new ones", fresh, old)
		}
		healthy()
		c.await(path, stateUpgraded, 5*time.Minute)
	})
}

// TestScalePolicy: with one the service begins with its least, whatever the scale says.
func TestScalePolicy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		st := c.do(http.StatusCreated, "/stacks", map[string]any{"name": "shop"})
		path := c.make("services", map[string]any{
			"name": "web", "stackId": st["id"], "scale": 5, "scalePolicy": map[string]any{"min": 2, "max": 4, "increment": 1},
			"startOnCreate": true, "launchConfig": map[string]any{"imageUuid": oldImage},
		})
		c.await(path, stateActive, time.Minute)
		if got := brief(c.containers(path)); got != "1i1:running 1i2:running" || c.get(path)["healthState"] != healthHealthy {
			t.Errorf("containers = %s, %v; want the least of the policy, healthy", got, c.get(path)["healthState"])
		}
	})
}

// TestUpgradeToAnotherService is accepted, and replaces nothing in the service itself; a rollback does nothing to scales
// (rancher-api 3.8).
func TestUpgradeToAnotherService(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(2, nil)
		other := c.make("services", map[string]any{"name": "next", "stackId": "1st1", "launchConfig": map[string]any{"imageUuid": newImage}})
		before := brief(c.containers(path))
		c.do(http.StatusAccepted, path+"/?action=upgrade", map[string]any{"toServiceStrategy": map[string]any{"toServiceId": strings.TrimPrefix(other, "/services/")}})
		svc := c.await(path, stateUpgraded, time.Minute)
		if up := svc["upgrade"].(map[string]any); up["toServiceStrategy"] == nil || up["inServiceStrategy"] != nil || brief(c.containers(path)) != before {
			t.Errorf("upgrade %v with containers %s, want %s", up, brief(c.containers(path)), before)
		}
		c.do(http.StatusAccepted, path+"/?action=rollback", nil)
		if svc = c.await(path, stateActive, time.Minute); svc["launchConfig"].(map[string]any)["imageUuid"] != oldImage || brief(c.containers(path)) != before {
			t.Errorf("after the rollback %v with %s", svc["launchConfig"], brief(c.containers(path)))
		}
	})
}
