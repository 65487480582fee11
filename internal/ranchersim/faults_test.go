package ranchersim

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func (c *client) fault(f Fault) {
	c.t.Helper()
	if err := c.server.SetFault(f); err != nil {
		c.t.Fatal(err)
	}
}

func TestAnsweringFaults(t *testing.T) {
	c := start(t, Options{})
	for name, want := range map[string]int{Fault500: 500, Fault502: 502, Fault503: 503, Fault429: 429, FaultHTML: 200, FaultRestart: 503} {
		c.fault(Fault{Name: name, Count: 1})
		rec := c.raw(http.MethodGet, "/services", nil)
		if rec.Code != want {
			t.Errorf("%s: %d, want %d", name, rec.Code, want)
		}
		if isHTML := strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html"); isHTML != (name == FaultHTML) {
			t.Errorf("%s: content type %q", name, rec.Header().Get("Content-Type"))
		}
		if rec := c.raw(http.MethodGet, "/services", nil); rec.Code != 200 {
			t.Errorf("%s strikes twice, want once", name)
		}
	}
	if err := c.server.SetFault(Fault{Name: "nosuch"}); err == nil {
		t.Error("an unknown fault was accepted")
	}
}

func TestCutConnections(t *testing.T) {
	c := start(t, Options{})
	srv := httptest.NewServer(c.server.Handler())
	defer srv.Close()
	post := func(name string) error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+c.prefix+"/stacks", strings.NewReader(`{"name":"`+name+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("key", "secret")
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	c.fault(Fault{Name: FaultCutBefore, Method: http.MethodPost, Path: "/stacks", Count: 1})
	if post("before") == nil {
		t.Error("the connection was not cut before")
	}
	c.fault(Fault{Name: FaultCutAfter, Method: http.MethodPost, Path: "/stacks", Count: 1})
	if post("after") == nil {
		t.Error("the connection was not cut after")
	}
	list := c.get("/stacks")["data"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["name"] != "after" {
		t.Errorf("stacks = %v, want only the one that was cut after", list)
	}
}

func TestStaleReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(1, nil)
		c.fault(Fault{Name: FaultStale, Method: http.MethodGet})
		c.get(path)
		c.do(http.StatusAccepted, path+"/?action=deactivate", nil)
		time.Sleep(5 * time.Second)
		if got := c.get(path)["state"]; got != stateActive {
			t.Errorf("state = %v, want the old one", got)
		}
		c.server.ClearFaults()
		if got := c.get(path)["state"]; got != stateInactive {
			t.Errorf("state = %v after the fault", got)
		}
	})
}

func TestStallAndEarlyEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(2, nil)
		c.fault(Fault{Name: FaultStall})
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil))
		time.Sleep(5 * time.Minute)
		if got := c.get(path)["state"]; got != stateUpgrading {
			t.Errorf("state = %v, want it stalled", got)
		}
		c.server.ClearFaults()
		c.fault(Fault{Name: FaultEarlyUpgraded})
		c.await(path, stateUpgraded, time.Minute)
		if got := brief(c.containers(path)); got != "1i1:stopped 1i2:running 1i3:running" {
			t.Errorf("containers = %s, want one left of the old ones", got)
		}
	})
}
