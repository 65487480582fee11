package ranchersim

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestMissingImageIsTriedForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{Runtime: newFakeRuntime()})
		path := c.web(2, nil)
		body := c.upgradeBody(path, nil)
		body["inServiceStrategy"].(map[string]any)["launchConfig"].(map[string]any)["imageUuid"] = "docker:registry.example/missing@sha256:ab"
		c.do(http.StatusAccepted, path+"/?action=upgrade", body)
		time.Sleep(5 * time.Second)
		svc := c.get(path)
		want := "Failed to allocate instance [container:1i3]: Bad instance [container:1i3] in state [error]: Error response from daemon: manifest for registry.example/missing@sha256:ab not found: manifest unknown: manifest unknown"
		if svc["transitioning"] != "error" || svc["transitioningMessage"] != want {
			t.Errorf("transitioning %v, message %v", svc["transitioning"], svc["transitioningMessage"])
		}
		time.Sleep(60 * time.Second)
		list := c.containers(path)
		last := list[len(list)-1]["id"].(string)
		if len(list) > 3 || last < "1i6" || c.get(path)["state"] != stateUpgrading {
			t.Errorf("after a minute: %s, want a new container about every 15 s in place of the last", brief(list))
		}
		// The unit was recreated, so its old container cannot be taken back: rollback makes another.
		c.do(http.StatusAccepted, path+"/?action=rollback", nil)
		c.await(path, stateActive, time.Minute)
		list = c.containers(path)
		if len(list) != 2 || list[0]["version"] != "0" || list[1]["version"] != "0" {
			t.Errorf("after rollback: %s", brief(list))
		}
		if list[1]["startCount"] != 1.0 || list[1]["id"].(string) <= last {
			t.Errorf("%v was re-adopted, want a fresh container", list[1]["id"])
		}
	})
}

func TestCrashedContainerIsStartedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		runtime := newFakeRuntime()
		c := start(t, Options{Runtime: runtime})
		path := c.web(1, nil)
		runtime.process("1i1").crash()
		time.Sleep(200 * time.Millisecond)
		if got := brief(c.containers(path)); got != "1i1:stopped" {
			t.Errorf("containers = %s, want it stopped at first", got)
		}
		time.Sleep(10 * time.Second)
		i := c.containers(path)[0]
		if i["id"] != "1i1" || i["state"] != stateRunning || i["startCount"] != 2.0 {
			t.Errorf("container %v %v, startCount %v", i["id"], i["state"], i["startCount"])
		}
		if spec := runtime.process("1i1").spec; !spec.Restart || spec.IP != "192.0.2.1" {
			t.Errorf("restart = %t, ip = %q; want the same container", spec.Restart, spec.IP)
		}
	})
}

func TestHealthIsCheckedWithThresholds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		runtime := newFakeRuntime()
		c := start(t, Options{Runtime: runtime})
		path := c.web(2, map[string]any{"healthCheck": check})
		if got := c.get(path)["healthState"]; got != healthInitializing {
			t.Errorf("healthState when active = %v, want initializing: activate does not wait for health", got)
		}
		time.Sleep(3 * time.Second)
		c.awaitContainers(path, "1i1:running/healthy 1i2:running/healthy")
		runtime.process("1i1").healthy.Store(false)
		time.Sleep(3500 * time.Millisecond)
		if got := brief(c.containers(path)); got != "1i1:running/healthy 1i2:running/healthy" {
			t.Errorf("containers = %s, want no verdict before three failures", got)
		}
		c.awaitContainers(path, "1i2:running/healthy 1i3:running/healthy")
	})
}

func TestInitializingTimeoutReplaces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{ExternalHealth: true})
		hc := map[string]any{"port": 8080, "initializingTimeout": 60000}
		path := c.web(1, map[string]any{"healthCheck": hc})
		time.Sleep(50 * time.Second)
		if got := brief(c.containers(path)); got != "1i1:running/initializing" {
			t.Errorf("containers = %s", got)
		}
		time.Sleep(80 * time.Second) // The task that looks runs once a minute.
		if got := brief(c.containers(path)); got != "1i2:running/initializing" {
			t.Errorf("containers = %s, want a replacement", got)
		}
	})
}

func TestGlobalServiceFollowsHosts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(5, map[string]any{"labels": map[string]any{labelGlobal: "true"}})
		c.awaitContainers(path, "1i1:running")
		c.server.AddHost("host2.example", "192.0.2.2")
		c.awaitContainers(path, "1i1:running 1i2:running")
		if h := c.containers(path)[1]["hostId"]; h != "1h2" {
			t.Errorf("second container on %v, want 1h2", h)
		}
	})
}

func TestRestartKeepsContainers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(2, nil)
		if status, body := c.call("POST", path+"/?action=restart", "{}"); status != 422 || body["code"] != "MissingRequired" {
			t.Errorf("restart without strategy: %d %v", status, body["code"])
		}
		c.do(http.StatusAccepted, path+"/?action=restart", `{"rollingRestartStrategy":{}}`)
		c.await(path, stateActive, time.Minute)
		for _, i := range c.containers(path) {
			if i["startCount"] != 2.0 {
				t.Errorf("%v has startCount %v, want 2", i["id"], i["startCount"])
			}
		}
	})
}

func TestContainersForABalancer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		runtime := newFakeRuntime()
		c := start(t, Options{Runtime: runtime})
		woken := make(chan struct{}, 1)
		c.server.OnContainersChanged(func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
		c.web(1, map[string]any{"ports": []string{"18080:8080/tcp"}})
		<-woken
		list := c.server.Containers()
		if len(list) != 1 || list[0].IP != "192.0.2.1" || list[0].Service != "web" || list[0].Stack != "shop" ||
			len(list[0].Ports) != 1 || list[0].Ports[0] != 8080 || list[0].State != stateRunning || !list[0].Managed {
			t.Errorf("Containers() = %+v", list)
		}
	})
}

func TestImageIdentityIsInContainerEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{Runtime: newFakeRuntime()})
		c.web(1, nil)
		events := c.get("/containerevents")["data"].([]any)
		e := events[len(events)-1].(map[string]any)
		inspect := e["dockerInspect"].(map[string]any)
		if e["externalStatus"] != "start" || inspect["Image"] != "sha256:"+strings.Repeat("c", 64) {
			t.Errorf("event %v with image %v", e["externalStatus"], inspect["Image"])
		}
		if got := inspect["Config"].(map[string]any)["Image"]; got != strings.TrimPrefix(oldImage, "docker:") {
			t.Errorf("Config.Image = %v", got)
		}
		if got := c.get("/containers/1i1")["externalId"]; got != inspect["Id"] {
			t.Errorf("externalId = %v, want %v", got, inspect["Id"])
		}
	})
}
