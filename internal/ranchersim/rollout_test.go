package ranchersim

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestUpgradeAndFinish(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(2, nil)
		if got := brief(c.containers(path)); got != "1i1:running 1i2:running" {
			t.Fatalf("containers = %s", got)
		}
		began := time.Now()
		posted := c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, map[string]any{"batchSize": 1}))
		if posted["state"] != stateUpgrading || posted["upgrade"] != nil {
			t.Errorf("answer has state %v, upgrade %v; want upgrading and null", posted["state"], posted["upgrade"])
		}
		version := posted["launchConfig"].(map[string]any)["version"]
		svc := c.await(path, stateUpgraded, time.Minute)
		if took := time.Since(began); took < 3*time.Second || took > 10*time.Second {
			t.Errorf("upgrade took %v, want the order of a real one's 5 s", took)
		}
		if got := brief(c.containers(path)); got != "1i1:stopped 1i2:stopped 1i3:running 1i4:running" {
			t.Errorf("containers = %s", got)
		}
		for _, i := range c.containers(path)[2:] {
			if i["version"] != version || !strings.HasPrefix(i["name"].(string), "shop-web-") {
				t.Errorf("container %v has version %v, name %v", i["id"], i["version"], i["name"])
			}
		}
		strategy := svc["upgrade"].(map[string]any)["inServiceStrategy"].(map[string]any)
		if strategy["previousLaunchConfig"].(map[string]any)["version"] != "0" {
			t.Errorf("previousLaunchConfig = %v", strategy["previousLaunchConfig"])
		}
		c.do(http.StatusAccepted, path+"/?action=finishupgrade", nil)
		svc = c.await(path, stateActive, time.Minute)
		if svc["upgrade"] == nil {
			t.Error("upgrade is gone after finish")
		}
		if got := brief(c.containers(path)); got != "1i3:running 1i4:running" {
			t.Errorf("containers after finish = %s", got)
		}
	})
}

func TestRollbackRestartsTheOldContainers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{ExternalHealth: true})
		path := c.web(2, map[string]any{"healthCheck": check})
		c.report(true, "1i1", "1i2")
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, map[string]any{"batchSize": 2}))
		c.awaitContainers(path, "1i1:stopped/healthy 1i2:stopped/healthy 1i3:running/initializing 1i4:running/initializing")
		c.report(true, "1i3", "1i4")
		c.await(path, stateUpgraded, time.Minute)
		back := c.do(http.StatusAccepted, path+"/?action=rollback", nil)
		if v := back["launchConfig"].(map[string]any)["version"]; v != "0" {
			t.Errorf("version after the rollback POST = %v, want 0", v)
		}
		svc := c.await(path, stateActive, time.Minute)
		if got := brief(c.containers(path)); got != "1i1:running/reinitializing 1i2:running/reinitializing" {
			t.Errorf("containers = %s", got)
		}
		if n := c.containers(path)[0]["startCount"]; n != 2.0 {
			t.Errorf("startCount = %v, want 2", n)
		}
		if svc["upgrade"] == nil {
			t.Error("upgrade is gone after rollback")
		}
	})
}

func TestStalledUpgradeSaysSoAfterTheMonitor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{ExternalHealth: true})
		path := c.web(2, map[string]any{"healthCheck": check})
		c.report(true, "1i1", "1i2")
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil))
		c.awaitContainers(path, "1i1:stopped/healthy 1i2:running/healthy 1i3:running/initializing")
		time.Sleep(44 * time.Second)
		if m := c.get(path)["transitioningMessage"]; m != "In Progress" {
			t.Errorf("message after 44 s = %v", m)
		}
		time.Sleep(2 * time.Second)
		svc := c.get(path)
		if svc["transitioningMessage"] != "Waiting: healthy [container:1i3]" || svc["transitioning"] != "yes" {
			t.Errorf("after 46 s: %v %v", svc["transitioning"], svc["transitioningMessage"])
		}
		c.report(false, "1i3") // Ignored while initializing.
		time.Sleep(150 * time.Second)
		c.awaitContainers(path, "1i1:stopped/healthy 1i2:running/healthy 1i3:running/initializing")
		c.do(http.StatusAccepted, path+"/?action=cancelupgrade", nil)
		c.await(path, stateCanceled, time.Minute)
		c.do(http.StatusAccepted, path+"/?action=rollback", nil)
		c.await(path, stateActive, time.Minute)
		c.awaitContainers(path, "1i1:running/reinitializing 1i2:running/healthy")
	})
}

func TestRollbackWhileUpgrading(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{ExternalHealth: true})
		path := c.web(2, map[string]any{"healthCheck": check})
		c.report(true, "1i1", "1i2")
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil))
		c.awaitContainers(path, "1i1:stopped/healthy 1i2:running/healthy 1i3:running/initializing")
		time.Sleep(time.Second)
		c.do(http.StatusAccepted, path+"/?action=rollback", nil)
		time.Sleep(5 * time.Second)
		if m := c.get(path)["transitioningMessage"]; m != "STATE_CHANGED" {
			t.Errorf("message = %v, want STATE_CHANGED", m)
		}
		c.await(path, stateActive, time.Minute)
	})
}

func TestNoActiveHostEndsUpgradedWithoutContainers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(2, nil)
		if err := c.server.SetHostState("1h1", "reconnecting"); err != nil {
			t.Fatal(err)
		}
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil))
		c.await(path, stateUpgraded, 10*time.Second)
		if got := brief(c.containers(path)); got != "1i1:stopped 1i2:stopped" {
			t.Errorf("containers = %s", got)
		}
		time.Sleep(time.Second)
		if svc := c.get(path); svc["healthState"] != "unhealthy" || svc["transitioning"] != "no" {
			t.Errorf("health %v, transitioning %v", svc["healthState"], svc["transitioning"])
		}
	})
}

func TestUpgradedDoesNotHealItselfButActiveDoes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{ExternalHealth: true})
		path := c.web(2, map[string]any{"healthCheck": check})
		c.report(true, "1i1", "1i2")
		c.report(false, "1i1")
		c.awaitContainers(path, "1i2:running/healthy 1i3:running/initializing")
		c.report(true, "1i3")
		c.await(path, stateActive, time.Minute)
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, map[string]any{"batchSize": 2}))
		c.awaitContainers(path, "1i2:stopped/healthy 1i3:stopped/healthy 1i4:running/initializing 1i5:running/initializing")
		c.report(true, "1i4", "1i5")
		c.await(path, stateUpgraded, time.Minute)
		c.report(false, "1i4")
		time.Sleep(40 * time.Second)
		svc := c.get(path)
		if svc["state"] != stateUpgraded || svc["healthState"] != "degraded" {
			t.Errorf("after 40 s: %v %v", svc["state"], svc["healthState"])
		}
		// Finishing replaces it and waits for the replacement.
		c.do(http.StatusAccepted, path+"/?action=finishupgrade", nil)
		time.Sleep(30 * time.Second)
		if svc = c.get(path); svc["state"] != stateFinishing {
			t.Errorf("state = %v, want %s", svc["state"], stateFinishing)
		}
		c.report(true, "1i6")
		c.await(path, stateActive, time.Minute)
		c.awaitContainers(path, "1i5:running/healthy 1i6:running/healthy")
	})
}

func TestScalePutEndsAnUpgradeEarly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{ExternalHealth: true})
		path := c.web(2, map[string]any{"healthCheck": check})
		c.report(true, "1i1", "1i2")
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil))
		c.awaitContainers(path, "1i1:stopped/healthy 1i2:running/healthy 1i3:running/initializing")
		if status, _ := c.call(http.MethodPut, path, map[string]any{"metadata": map[string]any{"a": "b"}}); status != 200 {
			t.Errorf("PUT metadata = %d", status)
		}
		time.Sleep(70 * time.Second)
		if svc := c.get(path); svc["state"] != stateUpgrading {
			t.Fatalf("state = %v after a metadata PUT", svc["state"])
		}
		if status, _ := c.call(http.MethodPut, path, map[string]any{"scale": 3}); status != 200 {
			t.Errorf("PUT scale = %d", status)
		}
		svc := c.await(path, stateUpgraded, 40*time.Second)
		if svc["currentScale"] != 3.0 {
			t.Errorf("currentScale = %v, want 3", svc["currentScale"])
		}
		c.awaitContainers(path, "1i1:stopped/healthy 1i2:running/healthy 1i3:running/initializing 1i4:running/initializing")
	})
}

// report posts health reports and lets them take effect.
func (c *client) report(up bool, ids ...string) {
	c.t.Helper()
	for _, id := range ids {
		if !c.server.ReportHealth(id, up) {
			c.t.Fatalf("no running checked container %s", id)
		}
	}
	time.Sleep(300 * time.Millisecond)
}

// awaitContainers waits for exactly these containers, at most a minute.
func (c *client) awaitContainers(path, want string) {
	c.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		got := brief(c.containers(path))
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("containers = %s\n     want = %s", got, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
