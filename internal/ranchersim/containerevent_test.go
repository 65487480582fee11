package ranchersim

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestReportsAreListedNewestFirst: what agents reported can be listed as any collection, by status, in pages, the newest
// first, and tells what each container runs although nobody listened when it started.
func TestReportsAreListedNewestFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{Runtime: newFakeRuntime()})
		path := c.web(3, nil)
		if status, _ := c.call(http.MethodDelete, "/containers/1i2", nil); status != http.StatusOK {
			t.Fatalf("DELETE of a container = %d", status)
		}
		c.awaitContainers(path, "1i1:running 1i3:running 1i4:running")
		var told []string
		next := "/containerevents?externalStatus=start&sort=id&order=desc&limit=3"
		for next != "" {
			page := c.get(next)
			if page["resourceType"] != "containerEvent" {
				t.Fatalf("resourceType = %v", page["resourceType"])
			}
			for _, item := range page["data"].([]any) {
				e := item.(map[string]any)
				if e["externalStatus"] != "start" {
					t.Errorf("%v is listed although start alone was asked for", e["externalStatus"])
				}
				inspect := e["dockerInspect"].(map[string]any)
				if inspect["Id"] != e["externalId"] || inspect["Image"] != "sha256:"+strings.Repeat("c", 64) {
					t.Errorf("%v says %v of container %v", e["id"], inspect, e["externalId"])
				}
				told = append(told, fmt.Sprint(inspect["Config"].(map[string]any)["Labels"].(map[string]any)["io.rancher.container.name"]))
			}
			_, next, _ = strings.Cut(fmt.Sprint(orNothing(page["pagination"].(map[string]any)["next"])), "/projects/1a5")
		}
		if got, want := strings.Join(told, " "), "shop-web-2 shop-web-3 shop-web-2 shop-web-1"; got != want {
			t.Errorf("started, newest first, are %s, want %s", got, want)
		}
	})
}

// orNothing is "" for null.
func orNothing(v any) any {
	if v == nil {
		return ""
	}
	return v
}

// TestReportsAreKeptForTwoWeeks: what an agent reported longer ago than events.purge.after.seconds is neither listed nor
// read; what the container runs is then told by nobody until it starts again.
func TestReportsAreKeptForTwoWeeks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{Runtime: newFakeRuntime()})
		c.web(1, nil)
		listedAfter := func(days int) int {
			c.server.mu.Lock()
			c.server.events[0].created = time.Now().AddDate(0, 0, -days)
			c.server.mu.Unlock()
			time.Sleep(cleanupInterval + time.Second)
			return len(c.get("/containerevents?externalStatus=start")["data"].([]any))
		}
		if n := listedAfter(13); n != 1 {
			t.Fatalf("%d starts are listed after 13 days, want 1", n)
		}
		if n := listedAfter(15); n != 0 {
			t.Errorf("%d starts are listed after 15 days, want 0", n)
		}
		if status, _ := c.call(http.MethodGet, "/containerevents/1ce1", nil); status != http.StatusNotFound {
			t.Errorf("a report of 15 days ago = %d, want 404", status)
		}
	})
}
