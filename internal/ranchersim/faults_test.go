package ranchersim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// fault asks for a fault as a command line does.
func (c *client) fault(text string) int {
	c.t.Helper()
	f, err := ParseFault(text)
	if err != nil {
		c.t.Fatal(err)
	}
	id, err := c.server.SetFault(f)
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

func TestAnsweringFaults(t *testing.T) {
	c := start(t, Options{})
	for name, want := range map[string]int{
		Fault401: 401, Fault403: 403, Fault404: 404, Fault409: 409, Fault422: 422, Fault429: 429,
		Fault500: 500, Fault502: 502, Fault503: 503, FaultHTML: 200,
	} {
		c.fault(name + "=count=1")
		rec := c.raw(http.MethodGet, "/services", nil)
		if rec.Code != want {
			t.Errorf("%s: %d, want %d", name, rec.Code, want)
		}
		isPage := strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html")
		if isPage != (name == FaultHTML || name == Fault502) {
			t.Errorf("%s: content type %q", name, rec.Header().Get("Content-Type"))
		}
		if rec := c.raw(http.MethodGet, "/services", nil); rec.Code != 200 {
			t.Errorf("%s strikes twice, want once", name)
		}
	}
	c.fault("422=code=ActionNotAvailable,field=action,count=1")
	if _, body := c.call(http.MethodGet, "/services", nil); body["code"] != "ActionNotAvailable" || body["fieldName"] != "action" {
		t.Errorf("error body = %v, want the code and field asked for", body)
	}
	c.fault("404=page=true,count=1")
	if rec := c.raw(http.MethodGet, "/services", nil); rec.Code != 404 || !strings.Contains(rec.Body.String(), "<html>") {
		t.Errorf("a page was asked for, got %d %s", rec.Code, rec.Body)
	}
}

func TestFaultsChooseRequests(t *testing.T) {
	c := start(t, Options{})
	c.fault("500=method=post,path=/stacks")
	c.fault("503=action=upgrade")
	c.fault("401=key=other")
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/stacks", 200},
		{http.MethodPost, "/services", 422},
		{http.MethodPost, "/stacks", 500},
		{http.MethodPost, "/services/1s1/?action=upgrade", 503},
		{http.MethodPost, "/services/1s1/?action=rollback", 404},
	} {
		if rec := c.raw(tt.method, tt.path, map[string]any{}); rec.Code != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, rec.Code, tt.want)
		}
	}
}

// TestFaultsAreRepeatable: what happens depends on the seed and on the occasions of the fault, not on other requests.
func TestFaultsAreRepeatable(t *testing.T) {
	pattern := func(seed int64, others int) string {
		c := start(t, Options{Seed: seed})
		c.fault("500=chance=0.3,path=/services")
		c.fault("503=chance=0.5,path=/hosts")
		var b strings.Builder
		for range 60 {
			for range others {
				c.raw(http.MethodGet, "/hosts", nil)
			}
			fmt.Fprint(&b, c.raw(http.MethodGet, "/services", nil).Code/500)
		}
		return b.String()
	}
	first := pattern(7, 0)
	if n := strings.Count(first, "1"); n < 8 || n > 30 {
		t.Errorf("%d of 60 requests struck, want about 18", n)
	}
	if again := pattern(7, 3); again != first {
		t.Errorf("the same seed gave %s, then %s", first, again)
	}
	if other := pattern(8, 0); other == first {
		t.Errorf("another seed gave the same %s", other)
	}
}

func TestSkipCountAndFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		codes := func(n int) string {
			var b strings.Builder
			for range n {
				fmt.Fprint(&b, c.raw(http.MethodGet, "/services", nil).Code/100)
			}
			return b.String()
		}
		c.fault("500=skip=2,count=3")
		if got := codes(7); got != "2255522" {
			t.Errorf("skip=2,count=3 gave %s", got)
		}
		c.fault("500=for=5s")
		before := codes(1)
		time.Sleep(5 * time.Second)
		if got := before + codes(1); got != "52" {
			t.Errorf("for=5s gave %s", got)
		}
		list := c.server.Faults()
		if len(list) != 2 || !list[0].Spent || !list[1].Spent || list[0].Struck != 3 || list[0].Args["skip"] != "2" {
			t.Errorf("faults = %+v", list)
		}
		if err := c.server.ClearFault(list[0].ID); err != nil || len(c.server.Faults()) != 1 {
			t.Errorf("clearing one: %v, left %+v", err, c.server.Faults())
		}
		if err := c.server.ClearFault(list[0].ID); !errors.Is(err, errNoFault) {
			t.Errorf("clearing it twice: %v", err)
		}
	})
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
	c.fault("cut-before=method=POST,path=/stacks,count=1")
	if post("before") == nil {
		t.Error("the connection was not cut before")
	}
	c.fault("cut-after=method=POST,path=/stacks,count=1")
	if post("after") == nil {
		t.Error("the connection was not cut after")
	}
	list := c.get("/stacks")["data"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["name"] != "after" {
		t.Errorf("stacks = %v, want only the one that was cut after", list)
	}
}

func TestLateAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(1, nil)
		late := func(text string) (time.Duration, string) {
			c.fault(text)
			began := time.Now()
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.raw(http.MethodPost, path+"/?action=deactivate", nil)
			}()
			time.Sleep(time.Second)
			meanwhile := c.get(path)["state"].(string)
			<-done
			return time.Since(began), meanwhile
		}
		if took, state := late("late=delay=4s,action=deactivate,count=1"); took != 4*time.Second || state != stateActive {
			t.Errorf("late: after %s, meanwhile %s; want 4s and the request not done meanwhile", took, state)
		}
		c.await(path, stateInactive, time.Minute)
		c.do(http.StatusAccepted, path+"/?action=activate", nil)
		c.await(path, stateActive, time.Minute)
		if took, state := late("late=delay=4s,applied=true,action=deactivate,count=1"); took != 4*time.Second || state == stateActive {
			t.Errorf("late and applied: after %s, meanwhile %s; want 4s and the request done at once", took, state)
		}
	})
}

func TestBrokenBodies(t *testing.T) {
	c := start(t, Options{})
	c.fault("truncated=count=1")
	if rec := c.raw(http.MethodGet, "/services", nil); rec.Code != 200 || json.Valid(rec.Body.Bytes()) {
		t.Errorf("truncated: %d %s, want half of the JSON", rec.Code, rec.Body)
	}
	c.fault("endless=count=1")
	srv := httptest.NewServer(c.server.Handler())
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/v2-beta")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	read := 0
	for buf := make([]byte, 1<<16); read < 4<<20; {
		n, err := resp.Body.Read(buf)
		if read += n; err != nil {
			t.Fatalf("an endless body ended after %d bytes: %v", read, err)
		}
	}
}

func TestPagingFaults(t *testing.T) {
	c := start(t, Options{})
	for n := range 7 {
		c.do(http.StatusCreated, "/stacks", map[string]any{"name": fmt.Sprint("stack", n)})
	}
	pages := func() (sizes []int) {
		for next := "/stacks?limit=100"; next != ""; {
			list := c.get(next)
			sizes = append(sizes, len(list["data"].([]any)))
			link, _ := list["pagination"].(map[string]any)["next"].(string)
			_, next, _ = strings.Cut(link, c.prefix)
		}
		return sizes
	}
	id := c.fault("short-pages=size=3")
	if got := pages(); !slices.Equal(got, []int{3, 3, 1}) {
		t.Errorf("short pages have %v things", got)
	}
	if err := c.server.ClearFault(id); err != nil {
		t.Fatal(err)
	}
	c.fault("lost-pages")
	c.fault("short-pages=size=3")
	if got := pages(); !slices.Equal(got, []int{3}) {
		t.Errorf("lost pages have %v things, want the first page alone", got)
	}
}

func TestStaleReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(1, nil)
		c.fault("stale=method=GET")
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
		c.fault("stall=service=shop/other")
		c.fault("stall=service=shop/web")
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil))
		time.Sleep(5 * time.Minute)
		if got := c.get(path)["state"]; got != stateUpgrading {
			t.Errorf("state = %v, want it stalled", got)
		}
		c.server.ClearFaults()
		c.fault("early-upgraded")
		c.await(path, stateUpgraded, time.Minute)
		if got := brief(c.containers(path)); got != "1i1:stopped 1i2:running 1i3:running" {
			t.Errorf("containers = %s, want one left of the old ones", got)
		}
		c.server.ClearFaults()
		c.fault("stall-rollback=count=1")
		c.do(http.StatusAccepted, path+"/?action=rollback", nil)
		time.Sleep(5 * time.Minute)
		if got := c.get(path)["state"]; got != stateRollingBack {
			t.Errorf("state = %v, want the rollback stalled", got)
		}
		c.server.ClearFaults()
		c.await(path, stateActive, time.Minute)
	})
}

// TestEarlyEndLeavesRollbacksWhole: the fault is about upgrades.
func TestEarlyEndLeavesRollbacksWhole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(2, nil)
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil))
		c.await(path, stateUpgraded, time.Minute)
		c.fault("early-upgraded")
		c.do(http.StatusAccepted, path+"/?action=rollback", nil)
		c.await(path, stateActive, time.Minute)
		if got := brief(c.containers(path)); got != "1i1:running 1i2:running" {
			t.Errorf("containers = %s, want those of before", got)
		}
	})
}

func TestStalledFinish(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(1, nil)
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil))
		c.await(path, stateUpgraded, time.Minute)
		c.fault("stall-finish=for=3m")
		c.do(http.StatusAccepted, path+"/?action=finishupgrade", nil)
		time.Sleep(2 * time.Minute)
		if got := c.get(path)["state"]; got != stateFinishing {
			t.Errorf("state = %v, want the finish stalled", got)
		}
		if got := brief(c.containers(path)); got != "1i1:stopped 1i2:running" {
			t.Errorf("containers = %s, want the old one kept", got)
		}
		c.await(path, stateActive, 2*time.Minute)
	})
}

func TestWrongRollback(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(1, nil)
		c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, nil))
		c.await(path, stateUpgraded, time.Minute)
		c.fault("wrong-rollback")
		c.do(http.StatusAccepted, path+"/?action=rollback", nil)
		svc := c.await(path, stateActive, time.Minute)
		if got := svc["launchConfig"].(map[string]any)["imageUuid"]; got != newImage {
			t.Errorf("image = %v, want the one that was rolled back", got)
		}
	})
}

func TestWrongPictures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		runtime := newFakeRuntime()
		c := start(t, Options{Runtime: runtime})
		path := c.web(1, map[string]any{"healthCheck": check})
		time.Sleep(time.Minute)
		c.fault("unknown-state=state=dreaming")
		c.fault("hidden-action=action=upgrade")
		c.fault("no-health")
		svc := c.get(path)
		actions := svc["actions"].(map[string]any)
		if svc["state"] != "dreaming" || actions["upgrade"] != nil || actions["remove"] == nil {
			t.Errorf("state %v, actions %v", svc["state"], actions)
		}
		if got := brief(c.containers(path)); got != "1i1:running" {
			t.Errorf("containers = %s, want no health shown", got)
		}
		c.server.ClearFaults()
		if got := brief(c.containers(path)); got != "1i1:running/healthy" {
			t.Errorf("containers = %s after the faults", got)
		}
	})
}

func TestLostHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{Runtime: newFakeRuntime()})
		c.server.AddHost("host2.example", "192.0.2.2")
		path := c.web(2, map[string]any{"healthCheck": check})
		time.Sleep(time.Minute)
		c.fault("host-lost=host=1h2,for=1m")
		if got := c.get("/hosts/1h2")["state"]; got != "reconnecting" {
			t.Errorf("host is %v", got)
		}
		time.Sleep(8 * time.Second)
		if got := brief(c.containers(path)); !strings.Contains(got, "unhealthy") && !strings.Contains(got, "1i3") {
			t.Errorf("containers = %s, want the one on the lost host unhealthy or replaced", got)
		}
		time.Sleep(time.Minute)
		if got := c.get("/hosts/1h2")["state"]; got != stateActive {
			t.Errorf("host is %v after the fault", got)
		}
		f, err := ParseFault("host-lost=host=1h9")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.server.SetFault(f); err == nil {
			t.Error("a host that does not exist was lost")
		}
	})
}

func TestInactiveEnvironment(t *testing.T) {
	c := start(t, Options{})
	c.server.AddKey(Key{Access: "mei", Secret: "secret", Kind: AccountKey})
	id := c.fault("inactive-environment")
	if rec := c.raw(http.MethodGet, "/services", nil); rec.Code != http.StatusUnauthorized {
		t.Errorf("the environment's own key gets %d, want 401", rec.Code)
	}
	c.key.Access = "mei"
	if got := c.get(c.prefix)["state"]; got != stateInactive {
		t.Errorf("the environment shows %v", got)
	}
	if err := c.server.ClearFault(id); err != nil {
		t.Fatal(err)
	}
	c.key.Access = "key"
	c.get("/services")
}

func TestSkewedClock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		c.fault("skew=by=-3h")
		st := c.do(http.StatusCreated, "/stacks", map[string]any{"name": "shop"})
		created := time.UnixMilli(int64(st["createdTS"].(float64)))
		if off := time.Since(created).Round(time.Second); off != 3*time.Hour {
			t.Errorf("the stack was created %s ago, want 3h", off)
		}
		c.server.ClearFaults()
		st = c.do(http.StatusCreated, "/stacks", map[string]any{"name": "other"})
		if off := time.Since(time.UnixMilli(int64(st["createdTS"].(float64)))); off > time.Second {
			t.Errorf("after the fault the clock is off by %s", off)
		}
	})
}

// TestRestartInTheMiddleOfABatch: sockets break, requests get 503, the upgrade stands still meanwhile and then goes on
// to its end, with every container replaced once.
func TestRestartInTheMiddleOfABatch(t *testing.T) {
	for _, startFirst := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			c := start(t, Options{})
			path := c.web(3, nil)
			socket := newSubscriber(t.Context(), caller{}, "")
			c.server.bus.join(socket)
			c.fault("restart=skip=1,for=20s")
			c.do(http.StatusAccepted, path+"/?action=upgrade", c.upgradeBody(path, map[string]any{"batchSize": 1, "startFirst": startFirst}))
			<-socket.ctx.Done()
			if rec := c.raw(http.MethodGet, path, nil); rec.Code != http.StatusServiceUnavailable {
				t.Errorf("answer while it is down: %d", rec.Code)
			}
			if _, _, err := websocket.Dial(t.Context(), "ws://rancher.example/v2-beta/subscribe", &websocket.DialOptions{HTTPClient: &http.Client{Transport: direct{c}}}); err == nil {
				t.Error("a socket opened while it is down")
			}
			time.Sleep(20 * time.Second)
			if got := c.get(path)["state"]; got != stateUpgrading {
				t.Errorf("state = %v when it is up again", got)
			}
			want := map[bool]string{false: "1i1:stopped 1i2:stopped 1i3:running 1i4:running", true: "1i1:stopped 1i2:running 1i3:running 1i4:running 1i5:running"}
			if got := brief(c.containers(path)); got != want[startFirst] {
				t.Errorf("containers = %s, want the middle of the second batch", got)
			}
			c.await(path, stateUpgraded, time.Minute)
			if got := brief(c.containers(path)); got != "1i1:stopped 1i2:stopped 1i3:stopped 1i4:running 1i5:running 1i6:running" {
				t.Errorf("containers = %s, want each replaced once", got)
			}
		})
	}
}

// direct is a transport straight into the handler.
type direct struct{ c *client }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	d.c.server.Handler().ServeHTTP(rec, r)
	return rec.Result(), nil
}

func TestRestartNow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		c.fault("restart=now=true,for=5s")
		if rec := c.raw(http.MethodGet, "/services", nil); rec.Code != http.StatusServiceUnavailable {
			t.Errorf("status = %d, want 503", rec.Code)
		}
		time.Sleep(5 * time.Second)
		c.get("/services")
		c.fault("restart=now=true,for=1h")
		c.server.ClearFaults()
		c.get("/services")
	})
}

func TestParseFault(t *testing.T) {
	for text, want := range map[string]Fault{
		"stall":                              {Name: FaultStall},
		"late":                               {Name: FaultLate, Delay: 10 * time.Second},
		"late=delay=2s,chance=20%":           {Name: FaultLate, Delay: 2 * time.Second, Chance: 0.2},
		"503=method=get,path=/hosts,count=3": {Name: Fault503, Method: "GET", Path: "/hosts", Count: 3},
		"500=path=?a=b":                      {Name: Fault500, Path: "?a=b"},
		"restart":                            {Name: FaultRestart, Count: 1, For: 10 * time.Second},
		"skew=by=-3h":                        {Name: FaultSkew, By: -3 * time.Hour},
	} {
		if got, err := ParseFault(text); err != nil || got != want {
			t.Errorf("ParseFault(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "nosuch", "late=", "late=delay", "late=delay=", "late=delay=-1s", "late=delay=9999h", "late=delay=1s,delay=2s",
		"stall=delay=1s", "500=count=-1", "500=count=x", "500=chance=2", "500=chance=NaN", "500=chance=0", "500=applied=perhaps",
		"500=path=" + strings.Repeat("x", 201), "skew=by=never",
	} {
		if f, err := ParseFault(text); err == nil {
			t.Errorf("ParseFault(%q) = %+v, want an error", text, f)
		}
	}
}

// TestArgumentsAreWrittenAsRead: what Faults shows can be asked for again.
func TestArgumentsAreWrittenAsRead(t *testing.T) {
	samples := map[string]string{
		"method": "GET", "path": "/x", "action": "upgrade", "key": "K", "service": "1s7", "skip": "2", "count": "3", "chance": "0.25", "for": "1m0s",
		"delay": "2s", "applied": "true", "code": "C", "field": "F", "page": "true", "size": "5", "state": "s", "host": "1h1", "by": "-3h0m0s", "now": "true",
	}
	for _, k := range FaultKinds() {
		args := map[string]string{}
		for _, name := range k.Args {
			args[name] = samples[name]
		}
		f, err := NewFault(k.Name, args)
		if err != nil {
			t.Errorf("%s: %v", k.Name, err)
			continue
		}
		for name, value := range f.args() {
			if args[name] != value && samples[name] == value {
				t.Errorf("%s: %s was not asked for", k.Name, name)
			}
			delete(args, name)
		}
		if len(args) > 0 {
			t.Errorf("%s: %v is not shown", k.Name, args)
		}
	}
}

func TestFaultsAreBounded(t *testing.T) {
	c := start(t, Options{})
	for range maxFaults {
		c.fault("500=path=/never")
	}
	if _, err := c.server.SetFault(Fault{Name: Fault500}); err == nil {
		t.Error("there is no bound")
	}
	if _, err := c.server.SetFault(Fault{Name: "nosuch"}); err == nil {
		t.Error("an unknown fault was accepted")
	}
}

func FuzzParseFault(f *testing.F) {
	for _, k := range FaultKinds() {
		f.Add(k.Name)
	}
	f.Add("late=delay=2s,chance=20%")
	f.Fuzz(func(t *testing.T, text string) {
		fault, err := ParseFault(text)
		if err != nil {
			return
		}
		again, err := NewFault(fault.Name, fault.args())
		if err != nil || again != fault {
			t.Errorf("ParseFault(%q) = %+v, written and read again %+v, %v", text, fault, again, err)
		}
	})
}

// TestTwoUpgradesLaterWins: two upgrades at the same moment are both accepted; the later one wins entirely, and its way
// back is the true original (rancher-api 3.2, seen on a running server).
func TestTwoUpgradesLaterWins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := start(t, Options{})
		path := c.web(2, nil)
		first, second := c.upgradeBody(path, nil), c.upgradeBody(path, nil)
		const winner = "docker:registry.example/team/app:winner"
		second["inServiceStrategy"].(map[string]any)["launchConfig"].(map[string]any)["imageUuid"] = winner
		c.do(http.StatusAccepted, path+"/?action=upgrade", first)
		if status, body := c.call(http.MethodPost, path+"/?action=upgrade", second); status != 422 || body["code"] != "ActionNotAvailable" {
			t.Fatalf("a second upgrade without the fault: %d %v, want 422", status, body["code"])
		}
		if _, err := c.server.SetFault(Fault{Name: FaultTwoUpgrades, Count: 1}); err != nil {
			t.Fatal(err)
		}
		c.do(http.StatusAccepted, path+"/?action=upgrade", second)
		svc := c.await(path, stateUpgraded, time.Minute)
		strategy := svc["upgrade"].(map[string]any)["inServiceStrategy"].(map[string]any)
		if got := svc["launchConfig"].(map[string]any)["imageUuid"]; got != winner {
			t.Errorf("in force is %v, want the later one's", got)
		}
		if got := strategy["previousLaunchConfig"].(map[string]any); got["imageUuid"] != oldImage || got["version"] != "0" {
			t.Errorf("the way back is %v of version %v, want the original", got["imageUuid"], got["version"])
		}
		for _, i := range c.containers(path) {
			if running := i["state"] == stateRunning; running != (i["imageUuid"] == winner) {
				t.Errorf("%v with %v is %v", i["id"], i["imageUuid"], i["state"])
			}
		}
		c.do(http.StatusAccepted, path+"/?action=rollback", nil)
		if svc := c.await(path, stateActive, time.Minute); svc["launchConfig"].(map[string]any)["imageUuid"] != oldImage {
			t.Error("the rollback did not bring the original back")
		}
	})
}
