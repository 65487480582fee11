package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// TestMain finds goroutines that nobody waited for. The registry's library cannot be told to stop its broadcaster.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/docker/distribution/notifications.(*Broadcaster).run"))
}

// story is a world with what a test asks of it.
type story struct {
	t *testing.T
	*World
}

func startWorld(t *testing.T, o Options) *story {
	t.Helper()
	w, err := Start(t.Context(), o)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return &story{t, w}
}

// ask speaks to Rancher as any client does.
func (s *story) ask(method, path string, body any) map[string]any {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	url := s.Info().Rancher + "/v2-beta/projects/" + s.Info().Environment + path
	req, err := http.NewRequestWithContext(s.t.Context(), method, url, bytes.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	req.SetBasicAuth(s.Info().AccessKey, s.Info().SecretKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode > 299 {
		s.t.Fatalf("%s %s: %s, %v, %v", method, path, resp.Status, answer, err)
	}
	return answer
}

// service is the service as Rancher shows it.
func (s *story) service() map[string]any {
	s.t.Helper()
	return s.ask(http.MethodGet, "/services?name="+Service, nil)["data"].([]any)[0].(map[string]any)
}

// upgrade replaces the image, new containers first, and returns at once.
func (s *story) upgrade(image string) {
	s.t.Helper()
	svc := s.service()
	launch := svc["launchConfig"].(map[string]any)
	launch["imageUuid"] = "docker:" + image
	s.act("upgrade", map[string]any{"inServiceStrategy": map[string]any{
		"batchSize": 1, "intervalMillis": 100, "startFirst": true, "launchConfig": launch,
	}})
}

func (s *story) act(action string, body any) {
	s.t.Helper()
	s.ask(http.MethodPost, "/services/"+s.service()["id"].(string)+"?action="+action, body)
}

func (s *story) awaitState(state string) {
	s.t.Helper()
	s.await("the service is "+state, func() bool { return s.service()["state"] == state })
}

// await is for what takes longer than eventually allows.
func (s *story) await(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// gate is the world's load balancer as a test reads it.
func (s *story) gate() *gate { return &gate{t: s.t, Balancer: s.balancer, client: client} }

// stats is the load balancer's page, whose password is the world's.
func (s *story) stats() page {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.Info().Stats+";csv", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.SetBasicAuth(s.Info().StatsUser, s.Info().StatsPassword)
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	p, _, err := parsePage(string(body))
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// containers are the service's containers in a state, old ones (unmanaged) or new ones.
func (s *story) containers(state string, managed bool) []ranchersim.Container {
	return slices.DeleteFunc(s.rancher.Containers(), func(c ranchersim.Container) bool {
		return c.State != state || c.Managed != managed
	})
}

// listed says that the page's servers are exactly those.
func (s *story) listed(list ...ranchersim.Container) bool {
	page, n := s.stats(), 0
	for row := range page {
		if strings.HasPrefix(row, s.gate().backend()+"/") && !strings.HasSuffix(row, "/BACKEND") {
			n++
		}
	}
	for _, c := range list {
		if page[s.gate().row(Server{IP: c.IP})] == nil {
			return false
		}
	}
	return n == len(list)
}

// bothWorlds runs a test with the small load balancer and with the real one.
func bothWorlds(t *testing.T, test func(t *testing.T, o Options)) {
	t.Helper()
	t.Run("small", func(t *testing.T) { test(t, Options{Seed: 7, Speed: 4}) })
	t.Run("haproxy", func(t *testing.T) {
		if _, err := findHAProxy(); err != nil {
			t.Skip("haproxy is not installed: the world is tested with the small load balancer only")
		}
		test(t, Options{Seed: 7, Speed: 4, HAProxy: true})
	})
}

func TestWorldTellsWhereEverythingIs(t *testing.T) {
	s := startWorld(t, Options{Seed: 1, Faults: []ranchersim.Fault{{Name: ranchersim.Fault404, Path: "/nothing"}}})
	text, err := json.Marshal(s.Info())
	if err != nil {
		t.Fatal(err)
	}
	var info map[string]string
	if err := json.Unmarshal(text, &info); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"registry", "rancher", "loadBalancer", "stats", "statsUser", "statsPassword", "environment", "accessKey",
		"secretKey", "stack", "service", "image", "admin",
	} {
		if info[key] == "" {
			t.Errorf("%s is empty in %s", key, text)
		}
	}
	if len(info) != 13 {
		t.Errorf("%s has %d keys, want 13", text, len(info))
	}
	resp, err := http.Get(info["admin"] + "/faults")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var asked struct{ Faults []ranchersim.FaultStatus }
	if err := json.NewDecoder(resp.Body).Decode(&asked); err != nil || len(asked.Faults) != 1 || asked.Faults[0].Name != ranchersim.Fault404 {
		t.Errorf("faults at the admin endpoint = %+v (%v), want the one of the start", asked.Faults, err)
	}
	if want := info["registry"] + "/clickeggs/parrot-rest:latest"; info["image"] != want {
		t.Errorf("image = %q, want %q", info["image"], want)
	}
	launch := s.service()["launchConfig"].(map[string]any)
	if want := "docker:" + info["image"]; launch["imageUuid"] != want {
		t.Errorf("imageUuid = %v, want the bare tag %q", launch["imageUuid"], want)
	}
	running := s.containers("running", true)
	if len(running) != 3 || !s.listed(running...) {
		t.Errorf("containers = %+v, want three, all behind the load balancer", running)
	}
}

// TestWorldRepeats: a seed makes ids and secrets the same again.
func TestWorldRepeats(t *testing.T) {
	var infos []Info
	for range 2 {
		w, err := Start(t.Context(), Options{Seed: 5, Scale: 1, Speed: 10, CheckInterval: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		d, err := w.Push(t.Context(), "errors=20%", nil)
		if err != nil {
			t.Error(err)
		}
		info := w.Info()
		info.Image = d
		info.Registry, info.Rancher, info.LoadBalancer, info.Stats, info.Admin = "", "", "", "", ""
		infos = append(infos, info)
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if infos[0] != infos[1] {
		t.Errorf("two worlds of one seed differ:\n%+v\n%+v", infos[0], infos[1])
	}
}

// TestBadImageShowsInTheStatistics is the whole point: what was pushed is what users get, and the load balancer's page
// tells who gave it to them.
func TestBadImageShowsInTheStatistics(t *testing.T) {
	bothWorlds(t, func(t *testing.T, o Options) {
		s := startWorld(t, o)
		digest, err := s.Push(t.Context(), "errors=20%", nil)
		if err != nil {
			t.Fatal(err)
		}
		traffic, err := s.Traffic(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		old := s.containers("running", true)
		s.upgrade(s.Info().Registry + "/" + Repository + "@" + digest)
		s.await("a new container and an old one are behind the load balancer", func() bool {
			fresh := s.containers("running", true)
			return len(fresh) > 0 && len(s.containers("running", false)) > 0
		})
		s.awaitState("upgraded")
		fresh := s.containers("running", true)
		s.await("only the new containers are behind the load balancer", func() bool { return s.listed(fresh...) })
		s.await("enough requests are counted", func() bool {
			page := s.stats()
			return page.number(t, s.gate().backend()+"/BACKEND", "stot") > 150
		})
		page := s.stats()
		for _, c := range fresh {
			row := s.gate().row(Server{IP: c.IP})
			good, bad := page.number(t, row, "hrsp_2xx"), page.number(t, row, "hrsp_5xx")
			if bad*4 < good-24 || bad*4 > good+24 { // Some answers fell into the time of a reload.
				t.Errorf("%s answered %d and failed %d, want one failure in five", c.Name, good, bad)
			}
			if c.Health != "healthy" || page[row]["status"] != "UP" {
				t.Errorf("%s is %s and %s, want healthy and UP", c.Name, c.Health, page[row]["status"])
			}
		}

		s.act("rollback", nil)
		s.awaitState("active")
		s.await("the old containers are back behind the load balancer", func() bool {
			return len(s.containers("running", true)) == 3 && s.listed(old...)
		})
		counts := traffic.Stop()
		if counts.Sent != counts.Answered+counts.Failed+counts.Lost || counts.Failed == 0 || counts.Answered == 0 {
			t.Errorf("counts = %+v, want answers, failures and a sum that fits", counts)
		}
	})
}

// TestGoodImageCostsNoRequest: containers that stop keep serving until they are gone, and what is refused then goes to
// another server.
func TestGoodImageCostsNoRequest(t *testing.T) {
	bothWorlds(t, func(t *testing.T, o Options) {
		s := startWorld(t, o)
		digest, err := s.Push(t.Context(), "serve", nil)
		if err != nil {
			t.Fatal(err)
		}
		traffic, err := s.Traffic(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		s.upgrade(s.Info().Registry + "/" + Repository + "@" + digest)
		s.awaitState("upgraded")
		s.act("finishupgrade", nil)
		s.awaitState("active")
		s.await("only the new containers are behind the load balancer", func() bool {
			return s.listed(s.containers("running", true)...)
		})
		// HAProxy resets who waits in the old process's queue when that closes it; nothing else may be lost.
		counts := traffic.Stop()
		if bad := counts.Failed + counts.Lost; bad > counts.Sent/100 || counts.Answered < 50 {
			t.Errorf("counts = %+v, want answers only", counts)
		}
	})
}

func TestMissingDigestIsToldInDockersWords(t *testing.T) {
	s := startWorld(t, Options{Scale: 1, Speed: 4})
	image := s.Info().Registry + "/" + Repository + "@sha256:" + strings.Repeat("ab", 32)
	s.upgrade(image)
	want := "Error response from daemon: manifest for " + image + " not found: manifest unknown: manifest unknown"
	s.await("Rancher tells of it", func() bool {
		message, _ := s.service()["transitioningMessage"].(string)
		return strings.Contains(message, want)
	})
}

// TestLogsThroughRancher reads a container's output the way every client of Rancher does.
func TestLogsThroughRancher(t *testing.T) {
	s := startWorld(t, Options{Scale: 1, Behaviour: "log=hello from the image"})
	id := s.containers("running", true)[0].ID
	access := s.ask(http.MethodPost, "/containers/"+id+"?action=logs", map[string]any{"follow": true, "lines": 100, "timestamps": true})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, access["url"].(string)+"?token="+access["token"].(string), &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatalf("following the log: %v", err)
	}
	defer conn.CloseNow()
	want := []string{"starting gf-chat-parrot-rest-1 version 1.1.0", "listening on 8080", "hello from the image"}
	for len(want) > 0 {
		_, frame, err := conn.Read(ctx)
		if err != nil {
			t.Fatalf("the log ended before %q: %v", want[0], err)
		}
		if strings.HasPrefix(string(frame), "01 ") && strings.Contains(string(frame), want[0]) {
			want = want[1:]
		}
	}
}

// TestCrashIsRestarted: Rancher starts a crashed container again, and the load balancer follows.
func TestCrashIsRestarted(t *testing.T) {
	s := startWorld(t, Options{Scale: 1, Speed: 10, Behaviour: "crash-after=3s", CheckInterval: 50 * time.Millisecond})
	first := s.containers("running", true)[0]
	starts := func() int { return strings.Count(s.logOf(first.ID), "listening on 8080") }
	s.await("the container is started again", func() bool { return starts() >= 2 })
	if log := s.logOf(first.ID); !strings.Contains(log, "panic: gf-chat-parrot-rest-1 crashed") {
		t.Errorf("the log is\n%s\nwant the crash in it", log)
	}
}

// logOf is everything a container wrote.
func (s *story) logOf(id string) string {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	var b strings.Builder
	if slot := s.engine.slots[id]; slot != nil {
		lines, _, _, _ := slot.logs.Lines(0)
		for _, l := range lines {
			b.WriteString(l.Text + "\n")
		}
	}
	return b.String()
}

func TestStartRefusesOtherMachines(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "192.0.2.1:80", "example.com:80", "nonsense"} {
		for _, o := range []Options{{RegistryAddr: addr}, {RancherAddr: addr}, {BalancerAddr: addr}, {AdminAddr: addr}} {
			if w, err := Start(t.Context(), o); err == nil {
				t.Errorf("Start(%+v) = nil error", o)
				_ = w.Close()
			}
		}
	}
}

func TestStartOfATakenPortLeavesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, o := range []Options{
		{RegistryAddr: l.Addr().String()},
		{RancherAddr: l.Addr().String()},
		{BalancerAddr: l.Addr().String()},
		{Behaviour: "explode"},
		{Scale: -1},
	} {
		if _, err := Start(t.Context(), o); err == nil {
			t.Errorf("Start(%+v) = nil error", o)
		}
	}
}

func TestTrafficWantsARate(t *testing.T) {
	s := startWorld(t, Options{Scale: 1, Speed: 10, CheckInterval: 50 * time.Millisecond})
	for _, rate := range []float64{0, -1, 1e9} {
		if _, err := s.Traffic(t.Context(), rate); err == nil {
			t.Errorf("Traffic(%g) = nil error", rate)
		}
	}
}

// needs skips a test, aloud, on a machine without a program.
func needs(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s IS NOT INSTALLED: pushes by foreign tools are not tested here", strings.ToUpper(program))
	}
	return path
}
