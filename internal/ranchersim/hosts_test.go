package ranchersim

import (
	"net/http"
	"testing"
	"time"
)

// TestGlobalServiceWithHostsThatComeAndGo: one container per active host, whatever the scale. Containers of hosts that
// are away stay; those of removed ones go; a host that joins during an upgrade gets the new version (rancher-api 3.5).
func TestGlobalServiceWithHostsThatComeAndGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(7, map[string]any{"labels": map[string]any{labelGlobal: "true"}})
		second := c.server.AddHost("host2.example", "192.0.2.2")
		c.awaitContainers(path, "1i1:running 1i2:running")
		set := func(id, state string) {
			t.Helper()
			if err := c.server.SetHostState(id, state); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
		}
		set(second, stateInactive)
		if got := brief(c.containers(path)); got != "1i1:running 1i2:running" || c.get(path)["healthState"] != healthHealthy {
			t.Errorf("with a host inactive: %s, %v; want its container kept and the service healthy", got, c.get(path)["healthState"])
		}
		third := c.server.AddHost("host3.example", "192.0.2.3")
		c.awaitContainers(path, "1i1:running 1i2:running 1i3:running")
		if h := c.containers(path)[2]["hostId"]; h != third {
			t.Errorf("the new container is on %v, want %s", h, third)
		}
		set(second, stateActive)
		if got := brief(c.containers(path)); got != "1i1:running 1i2:running 1i3:running" {
			t.Errorf("with the host back: %s, want nothing new", got)
		}
		if err := c.server.RemoveHost(second); err != nil {
			t.Fatal(err)
		}
		c.awaitContainers(path, "1i1:running 1i3:running")
		time.Sleep(5 * time.Second) // The host goes after its containers.
		if h := c.get("/hosts/" + second); h["state"] != stateRemoved || h["removed"] == nil {
			t.Errorf("the removed host shows %v", h["state"])
		}
		if n := len(c.get("/hosts")["data"].([]any)); n != 2 {
			t.Errorf("%d hosts are listed, want 2", n)
		}

		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, map[string]any{"intervalMillis": 10000}))
		time.Sleep(5 * time.Second)
		c.server.AddHost("host4.example", "192.0.2.4")
		svc := c.await(path, stateUpgraded, time.Minute)
		version := svc["launchConfig"].(map[string]any)["version"]
		on := map[any]int{}
		for _, i := range c.containers(path) {
			if i["state"] == stateRunning {
				if on[i["hostId"]]++; i["version"] != version {
					t.Errorf("%v runs version %v, want the new one everywhere", i["id"], i["version"])
				}
			}
		}
		if len(on) != 3 {
			t.Errorf("the new version runs on %v, want one on each of three hosts", on)
		}
	})
}

// TestHostIsRemovedUnderAService: an active service gets its containers elsewhere, with other deployment units.
func TestHostIsRemovedUnderAService(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(2, nil)
		c.server.AddHost("host2.example", "192.0.2.2")
		c.do(http.StatusAccepted, "/hosts/1h1/?action=deactivate", nil)
		if status, out := c.call(http.MethodDelete, "/hosts/1h1", nil); status != http.StatusOK || out["state"] != stateRemoving {
			t.Fatalf("DELETE of the host: %d %v", status, out["state"])
		}
		c.awaitContainers(path, "1i3:running 1i4:running")
		for _, i := range c.containers(path) {
			if i["hostId"] != "1h2" {
				t.Errorf("%v is on %v, want 1h2", i["id"], i["hostId"])
			}
		}
		if got := c.get("/containers/1i1")["state"]; got != stateRemoved {
			t.Errorf("the container of the removed host is %v", got)
		}
		if actions := c.get("/hosts/1h1")["actions"].(map[string]any); len(actions) != 0 {
			t.Errorf("a removed host is offered %v", actions)
		}
	})
}

// TestRemovedIsPurgedLater: what was removed can be read by its id for a while, and then it is gone for good.
func TestRemovedIsPurgedLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(1, nil)
		if status, out := c.call(http.MethodDelete, path, nil); status != http.StatusOK || out["state"] != stateRemoving {
			t.Fatalf("DELETE = %d %v", status, out["state"])
		}
		c.await(path, stateRemoved, time.Minute)
		time.Sleep(purgeAfter / 2)
		for _, kept := range []string{path, "/containers/1i1"} {
			if got := c.get(kept); got["state"] != stateRemoved || got["removed"] == nil || got["actions"].(map[string]any)["activate"] != nil {
				t.Errorf("%s shows %v, removed %v", kept, got["state"], got["removed"])
			}
		}
		time.Sleep(purgeAfter)
		for _, gone := range []string{path, "/containers/1i1"} {
			if status, _ := c.call(http.MethodGet, gone, nil); status != http.StatusNotFound {
				t.Errorf("%s = %d, want 404", gone, status)
			}
		}
		if n := len(c.server.instances); n != 0 {
			t.Errorf("%d containers are still in memory", n)
		}
	})
}
