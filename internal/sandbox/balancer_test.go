package sandbox

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// page is a statistics table by proxy/server and column.
type page map[string]map[string]string

func (p page) number(t *testing.T, row, column string) int {
	t.Helper()
	n, err := strconv.Atoi(p[row][column])
	if err != nil {
		t.Fatalf("%s of %s is %q, want a number", column, row, p[row][column])
	}
	return n
}

// parsePage reads the table by its header, as any client does.
func parsePage(text string) (page, []string, error) {
	text, ok := strings.CutPrefix(text, "# ")
	if !ok {
		return nil, nil, fmt.Errorf("no # at the beginning of %.80q", text)
	}
	lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return nil, nil, err
	}
	header, p := lines[0], page{}
	for _, line := range lines[1:] {
		cells := map[string]string{}
		for i, cell := range line {
			cells[header[i]] = cell
		}
		p[cells["pxname"]+"/"+cells["svname"]] = cells
	}
	return p, header, nil
}

// gate is a load balancer under test.
type gate struct {
	t *testing.T
	Balancer
	client *http.Client
	// looks counts how often the statistics were asked for: each is a request on the frontend.
	looks int
}

func (g *gate) stats() page {
	g.t.Helper()
	body := g.statsBody(";csv")
	g.looks++
	p, _, err := parsePage(body)
	if err != nil {
		g.t.Fatalf("reading the statistics: %v", err)
	}
	return p
}

// settled is the statistics once no request is open but the one that asks for them: HAProxy counts an answer just after
// the client has it, and on the frontend's row after the backend's request is closed (stream.c, process_stream).
func (g *gate) settled() (p page) {
	g.t.Helper()
	front := port(g.Addr()) + "/FRONTEND"
	eventually(g.t, "no request is open", func() bool {
		p = g.stats()
		return p[g.backend()+"/BACKEND"]["scur"] == "0" && p[front]["scur"] == "1"
	})
	return p
}

func (g *gate) statsBody(suffix string) string {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, "http://"+g.Addr()+StatsURI+suffix, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.SetBasicAuth("admin", "secret")
	resp, err := g.client.Do(req)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		resp, err = g.client.Do(req) // The process that a reload replaced had taken the connection, and ended.
	}
	if err != nil {
		g.t.Fatalf("asking for the statistics: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		g.t.Fatalf("statistics: %s, %v", resp.Status, err)
	}
	return string(body)
}

// send sends requests one after the other and returns the statuses; 0 is no answer.
func (g *gate) send(n int) []int {
	var codes []int
	for range n {
		codes = append(codes, g.sendOne(g.t.Context()))
	}
	return codes
}

func (g *gate) sendOne(ctx context.Context) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.Addr()+"/v1/rooms", nil)
	if err != nil {
		return 0
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func (g *gate) set(servers ...Server) {
	g.t.Helper()
	if err := g.SetServers(g.t.Context(), servers); err != nil {
		g.t.Fatalf("SetServers: %v", err)
	}
}

// backend is the name of the backend's rows.
func (g *gate) backend() string { return port(g.Addr()) + "_" }

func (g *gate) row(s Server) string { return g.backend() + "/" + ServerName(s.IP) }

// bothBalancers runs a test with the small load balancer and with the real haproxy: what holds for one holds for both.
func bothBalancers(t *testing.T, check *Check, test func(t *testing.T, g *gate)) {
	t.Helper()
	options := BalancerOptions{Addr: "127.0.0.1:0", User: "admin", Password: "secret", Check: check}
	for _, kind := range []struct {
		name  string
		start func() (Balancer, error)
	}{
		{"small", func() (Balancer, error) { return NewBalancer(options) }},
		{"haproxy", func() (Balancer, error) { return NewHAProxy(t.Context(), options) }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			b, err := kind.start()
			if errors.Is(err, exec.ErrNotFound) {
				t.Skip("haproxy is not installed: the small load balancer is not compared with the real one")
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := b.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			transport := &http.Transport{DisableKeepAlives: true}
			test(t, &gate{t: t, Balancer: b, client: &http.Client{Transport: transport, Timeout: 20 * time.Second}})
		})
	}
}

// upstream is a server that answers 200 unless told otherwise.
type upstream struct {
	Server
	handler atomic.Pointer[http.HandlerFunc]
	server  *server
}

func (u *upstream) answer(f http.HandlerFunc) { u.handler.Store(&f) }

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	c, err := newAddresses(uint64(time.Now().UnixNano())).take("", 8080)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.release)
	l, err := c.listen([]int{8080})
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{Server: Server{IP: c.ip.String(), Port: 8080}}
	u.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	u.server = newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*u.handler.Load())(w, r) }))
	u.server.serve(l[0], nil)
	t.Cleanup(u.close)
	return u
}

func (u *upstream) close() {
	_ = u.server.Close()
	u.server.owned.Wait()
}

// slow is a check that leaves no time for a second one in a test.
func slow() *Check {
	return &Check{Port: 8080, RequestLine: `GET "/healthz" "HTTP/1.0"`, Interval: time.Minute, Timeout: time.Second, Rise: 2, Fall: 3}
}

// quick is a check that moves within a test.
func quick() *Check {
	c := slow()
	c.Interval = 30 * time.Millisecond
	return c
}

// expect compares columns of a row.
func (p page) expect(t *testing.T, row string, want map[string]string) {
	t.Helper()
	if p[row] == nil {
		t.Errorf("there is no row %s", row)
		return
	}
	for column, value := range want {
		if got := p[row][column]; got != value {
			t.Errorf("%s of %s = %q, want %q", column, row, got, value)
		}
	}
}

func TestBalancerCountsAnswers(t *testing.T) {
	bothBalancers(t, nil, func(t *testing.T, g *gate) {
		good, bad := newUpstream(t), newUpstream(t)
		bad.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
		g.set(good.Server, bad.Server)
		codes := g.send(10)
		if slices.Sort(codes); codes[4] != 200 || codes[5] != 500 {
			t.Errorf("statuses = %v, want five of each", codes)
		}
		p := g.settled()
		server := map[string]string{
			"status": "no check", "stot": "5", "lbtot": "5", "econ": "0", "eresp": "0", "wretr": "0", "wredis": "0",
			"check_status": "", "chkfail": "", "weight": "1", "act": "1", "type": "2", "mode": "http",
		}
		server["hrsp_2xx"], server["hrsp_5xx"] = "5", "0"
		p.expect(t, g.row(good.Server), server)
		server["hrsp_2xx"], server["hrsp_5xx"] = "0", "5"
		p.expect(t, g.row(bad.Server), server)
		p.expect(t, g.backend()+"/BACKEND", map[string]string{
			"stot": "10", "lbtot": "10", "hrsp_2xx": "5", "hrsp_5xx": "5", "status": "UP", "act": "2", "weight": "2", "type": "1",
		})
		front := port(g.Addr()) + "/FRONTEND"
		p.expect(t, front, map[string]string{"hrsp_5xx": "5", "status": "OPEN", "type": "0", "econ": ""})
		// The page's own requests are on the frontend too, the last one answered after it was counted.
		if got, want := p.number(t, front, "req_tot"), 10+g.looks; got != want {
			t.Errorf("req_tot of the frontend = %d, want %d", got, want)
		}
		if p.number(t, g.row(good.Server), "bin") == 0 || p.number(t, g.row(good.Server), "bout") == 0 {
			t.Error("no bytes are counted")
		}
	})
}

func TestBalancerRedispatchesRefusedConnections(t *testing.T) {
	bothBalancers(t, slow(), func(t *testing.T, g *gate) {
		good, dead := newUpstream(t), newUpstream(t)
		g.set(good.Server, dead.Server)
		awaitChecked(t, g, good.Server)
		dead.close()
		for i, code := range g.send(6) {
			if code != 200 {
				t.Errorf("request %d = %d, want 200 from the other server", i, code)
			}
		}
		// Only wredis tells of it: clients got 200, and econ counts final failures (sample 08a).
		p := g.settled()
		again := p[g.row(dead.Server)]["wredis"]
		p.expect(t, g.row(dead.Server), map[string]string{
			"stot": again, "lbtot": again, "econ": "0", "eresp": "0", "wretr": "0", "hrsp_2xx": "0", "hrsp_5xx": "0",
		})
		if n := p.number(t, g.row(dead.Server), "wredis"); n < 3 {
			t.Errorf("wredis of the dead server = %d, want at least 3", n)
		}
		p.expect(t, g.row(good.Server), map[string]string{"hrsp_2xx": "6", "wredis": "0", "stot": "6"})
		p.expect(t, g.backend()+"/BACKEND", map[string]string{"stot": "6", "wredis": again, "econ": "0", "hrsp_2xx": "6"})
	})
}

// awaitChecked waits for the first check's result on a server's row.
func awaitChecked(t *testing.T, g *gate, s Server) {
	t.Helper()
	eventually(t, "the server is checked", func() bool { return g.stats()[g.row(s)]["check_status"] == "L7OK" })
}

func TestBalancerCountsFinalConnectFailures(t *testing.T) {
	bothBalancers(t, nil, func(t *testing.T, g *gate) {
		a, b, c := newUpstream(t), newUpstream(t), newUpstream(t)
		for _, u := range []*upstream{a, b, c} {
			u.close()
		}
		g.set(a.Server, b.Server, c.Server)
		for i, code := range g.send(4) {
			if code != 503 {
				t.Errorf("request %d = %d, want 503", i, code)
			}
		}
		// Each request: one attempt, three redispatches, one final failure.
		p := g.settled()
		p.expect(t, g.backend()+"/BACKEND", map[string]string{
			"stot": "4", "lbtot": "16", "econ": "4", "wredis": "12", "wretr": "0", "hrsp_5xx": "4", "eresp": "0",
		})
		p.expect(t, port(g.Addr())+"/FRONTEND", map[string]string{"hrsp_5xx": "4"})
		sum := map[string]int{}
		for _, u := range []*upstream{a, b, c} {
			for _, column := range []string{"stot", "econ", "wredis", "hrsp_5xx"} {
				sum[column] += p.number(t, g.row(u.Server), column)
			}
		}
		if got := fmt.Sprint(sum); got != "map[econ:4 hrsp_5xx:0 stot:16 wredis:12]" {
			t.Errorf("sums over the servers = %s", got)
		}
	})
}

func TestBalancerRetriesTheOnlyServer(t *testing.T) {
	if testing.Short() {
		t.Skip("HAProxy pauses a second before each of three retries")
	}
	bothBalancers(t, nil, func(t *testing.T, g *gate) {
		if b, ok := g.Balancer.(*smallBalancer); ok {
			b.retryWait = time.Millisecond
		}
		only := newUpstream(t)
		only.close()
		g.set(only.Server)
		if code := g.send(1)[0]; code != 503 {
			t.Errorf("status = %d, want 503", code)
		}
		p := g.settled()
		p.expect(t, g.row(only.Server), map[string]string{"stot": "4", "econ": "1", "wretr": "3", "wredis": "0"})
		p.expect(t, g.backend()+"/BACKEND", map[string]string{"stot": "1", "econ": "1", "wretr": "3", "hrsp_5xx": "1"})
	})
}

func TestBalancerCountsEmptyReplies(t *testing.T) {
	bothBalancers(t, nil, func(t *testing.T, g *gate) {
		u := newUpstream(t)
		u.answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		g.set(u.Server)
		if codes := g.send(3); !slices.Equal(codes, []int{502, 502, 502}) {
			t.Errorf("statuses = %v, want 502", codes)
		}
		// HAProxy's own 502 is on no server's row (sample 08b).
		p := g.settled()
		p.expect(t, g.row(u.Server), map[string]string{"eresp": "3", "hrsp_5xx": "0", "econ": "0", "wretr": "0", "cli_abrt": "0"})
		p.expect(t, g.backend()+"/BACKEND", map[string]string{"eresp": "3", "hrsp_5xx": "3", "econ": "0"})
		p.expect(t, port(g.Addr())+"/FRONTEND", map[string]string{"hrsp_5xx": "3"})
	})
}

func TestBalancerDoesNotBlameServersForClients(t *testing.T) {
	bothBalancers(t, nil, func(t *testing.T, g *gate) {
		u := newUpstream(t)
		arrived := make(chan struct{})
		u.answer(func(_ http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-r.Context().Done()
		})
		g.set(u.Server)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan int)
		go func() { done <- g.sendOne(ctx) }()
		await(t, "the request arrives", arrived)
		cancel()
		<-done
		// Rancher's configuration has no abortonclose: the real one notices only when the server is done.
		if _, ok := g.Balancer.(*smallBalancer); !ok {
			u.close()
			return
		}
		eventually(t, "the client's leaving is counted", func() bool { return g.stats()[g.row(u.Server)]["cli_abrt"] == "1" })
		g.settled().expect(t, g.row(u.Server), map[string]string{"eresp": "0", "hrsp_5xx": "0", "scur": "0"})
	})
}

func TestReloadZeroesEverything(t *testing.T) {
	bothBalancers(t, slow(), func(t *testing.T, g *gate) {
		a, b := newUpstream(t), newUpstream(t)
		g.set(a.Server)
		awaitChecked(t, g, a.Server)
		g.send(5)
		g.settled().expect(t, g.row(a.Server), map[string]string{"hrsp_2xx": "5"})
		g.set(a.Server) // Nothing changed: no reload.
		g.stats().expect(t, g.row(a.Server), map[string]string{"hrsp_2xx": "5"})
		before := g.stats().number(t, "default/BACKEND", "lastchg")

		// The second is checked half an interval later.
		g.set(a.Server, b.Server)
		p := g.settled()
		zero := map[string]string{"hrsp_2xx": "0", "stot": "0", "lbtot": "0", "bin": "0", "chkfail": "0"}
		p.expect(t, g.row(a.Server), zero)
		p.expect(t, g.row(b.Server), zero)
		p.expect(t, g.row(b.Server), map[string]string{
			"status": "UP 1/3", "check_status": "INI", "check_health": "2", "check_desc": "Initializing", "check_code": "", "check_duration": "",
		})
		p.expect(t, g.backend()+"/BACKEND", map[string]string{"stot": "0", "hrsp_2xx": "0", "act": "2"})
		if after := p.number(t, "default/BACKEND", "lastchg"); after > before+1 || after > 2 {
			t.Errorf("lastchg of default/BACKEND = %d after a reload, want the new process's age", after)
		}
	})
}

func TestOpenRequestsOutliveAReload(t *testing.T) {
	bothBalancers(t, nil, func(t *testing.T, g *gate) {
		a, b := newUpstream(t), newUpstream(t)
		arrived, release := make(chan struct{}), make(chan struct{})
		a.answer(func(w http.ResponseWriter, _ *http.Request) {
			close(arrived)
			<-release
		})
		g.set(a.Server)
		done := make(chan int, 1)
		go func() { done <- g.sendOne(t.Context()) }()
		await(t, "the request arrives", arrived)
		g.set(b.Server)
		close(release)
		if code := <-done; code != 200 {
			t.Errorf("the open request got %d, want 200", code)
		}
		p := g.settled()
		p.expect(t, g.backend()+"/BACKEND", map[string]string{"stot": "0", "hrsp_2xx": "0", "scur": "0"})
	})
}

func TestChecksTakeServersOutAndBack(t *testing.T) {
	bothBalancers(t, quick(), func(t *testing.T, g *gate) {
		good, ill := newUpstream(t), newUpstream(t)
		g.set(good.Server, ill.Server)
		status := func(want string) func() bool {
			return func() bool { return g.stats()[g.row(ill.Server)]["status"] == want }
		}
		eventually(t, "the server is UP", status("UP"))
		ill.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
		eventually(t, "the server is DOWN", status("DOWN"))
		g.stats().expect(t, g.row(ill.Server), map[string]string{
			"chkfail": "3", "chkdown": "1", "check_code": "503", "last_chk": "Service Unavailable", "check_health": "0", "act": "1",
		})
		g.stats().expect(t, g.backend()+"/BACKEND", map[string]string{"act": "1", "status": "UP"})
		for i, code := range g.send(6) {
			if code != 200 {
				t.Errorf("request %d = %d, want 200 from the server that is up", i, code)
			}
		}
		ill.answer(func(w http.ResponseWriter, _ *http.Request) {})
		eventually(t, "the server is UP again", status("UP"))
	})
}

// TestFreshServerGoesDownAtOnce: a server that has never passed goes DOWN on its first failed check, whatever fall says
// (sample 01b).
func TestFreshServerGoesDownAtOnce(t *testing.T) {
	bothBalancers(t, slow(), func(t *testing.T, g *gate) {
		dead := newUpstream(t)
		dead.close()
		g.set(dead.Server)
		eventually(t, "the server is DOWN", func() bool { return g.stats()[g.row(dead.Server)]["status"] == "DOWN" })
		p := g.settled()
		p.expect(t, g.row(dead.Server), map[string]string{
			"check_status": "L4CON", "chkfail": "1", "chkdown": "1", "check_desc": "Layer4 connection problem", "check_code": "",
		})
		p.expect(t, g.backend()+"/BACKEND", map[string]string{"status": "DOWN", "act": "0", "chkdown": "1"})
		if code := g.send(1)[0]; code != 503 {
			t.Errorf("status = %d, want 503", code)
		}
		// All servers down: the 503 is on FRONTEND and BACKEND only (sample 07).
		p = g.settled()
		p.expect(t, g.backend()+"/BACKEND", map[string]string{"econ": "1", "hrsp_5xx": "1", "lbtot": "0"})
		p.expect(t, g.row(dead.Server), map[string]string{"econ": "0", "hrsp_5xx": "0", "stot": "0"})
	})
}

func TestStatsPageWantsAPassword(t *testing.T) {
	bothBalancers(t, nil, func(t *testing.T, g *gate) {
		resp, err := g.client.Get("http://" + g.Addr() + StatsURI + ";csv")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), `Basic realm="HAProxy Statistics"`) {
			t.Errorf("without a password: %s, %v, want 401 and a challenge", resp.Status, resp.Header)
		}
		if page := g.statsBody(""); !strings.Contains(page, "Statistics Report for HAProxy") {
			t.Errorf("the page for people is %.200q", page)
		}
	})
}

// TestColumnsAreThoseOfHAProxy holds the table to a recorded answer of HAProxy 2.1.0: the same header, and the same
// cells empty in each kind of row.
func TestColumnsAreThoseOfHAProxy(t *testing.T) {
	recorded, header, err := parsePage(readTestdata(t, "haproxy-2.1.0.csv"))
	if err != nil {
		t.Fatal(err)
	}
	o := BalancerOptions{Addr: "127.0.0.1:0", User: "admin", Password: "secret", Check: slow()}
	u := newUpstream(t)
	checked := tableOf(t, o, u.Server)
	o.Check = nil
	plain := tableOf(t, o, u.Server)
	for _, tt := range []struct {
		row  string
		got  map[string]string
		like string
	}{
		{"FRONTEND", checked[1], "18080/FRONTEND"},
		{"checked server", checked[2], "18080_/hc503"},
		{"unchecked server", plain[2], "18080_/unchecked_refused"},
		{"BACKEND", checked[3], "18080_/BACKEND"},
	} {
		for _, column := range header {
			if strings.HasPrefix(column, "check_") {
				continue // Empty before the first check.
			}
			if want := recorded[tt.like][column] == ""; (tt.got[column] == "") != want && column != "last_chk" {
				t.Errorf("%s: %s = %q, HAProxy has %q", tt.row, column, tt.got[column], recorded[tt.like][column])
			}
		}
	}
	var text strings.Builder
	writeCSV(&text, nil)
	if _, got, _ := parsePage(text.String()); !slices.Equal(got, header) {
		t.Errorf("header = %v\nwant %v", got, header)
	}
}

// tableOf is the statistics of a fresh process, row by row.
func tableOf(t *testing.T, o BalancerOptions, servers ...Server) []map[string]string {
	t.Helper()
	p := newProcess(o, servers)
	defer p.close()
	var list []map[string]string
	for _, r := range p.rows("8088", time.Now())[1:] {
		cells := map[string]string{}
		for i, c := range columns {
			cells[c.name] = r[i]
		}
		list = append(list, cells)
	}
	return list
}

func TestCellsAreQuotedWhenNeeded(t *testing.T) {
	var b strings.Builder
	r := newRow(checkedServer, "80_", "a").text("last_chk", `no, "really"`)
	writeCSV(&b, []row{r})
	p, _, err := parsePage(b.String())
	if err != nil || p["80_/a"]["last_chk"] != `no, "really"` {
		t.Errorf("last_chk = %q, %v", p["80_/a"]["last_chk"], err)
	}
}

func TestBalancerRefusesOtherMachines(t *testing.T) {
	for _, o := range []BalancerOptions{
		{Addr: "0.0.0.0:0", User: "admin", Password: "secret"},
		{Addr: ":0", User: "admin", Password: "secret"},
		{Addr: "192.0.2.1:80", User: "admin", Password: "secret"},
		{Addr: "127.0.0.1:0", User: "admin", Password: "a\nstats admin if TRUE"},
		{Addr: "127.0.0.1:0", User: "admin"},
		{Addr: "127.0.0.1:0", User: "admin", Password: "secret", Check: &Check{Port: 1}},
	} {
		if b, err := NewBalancer(o); err == nil {
			t.Errorf("NewBalancer(%+v) = nil error", o)
			_ = b.Close()
		}
		if _, err := NewHAProxy(t.Context(), o); err == nil {
			t.Errorf("NewHAProxy(%+v) = nil error", o)
		}
	}
}

func TestServerName(t *testing.T) {
	// Measured: sample 02-mixed.
	if got, want := ServerName("127.0.0.11"), "01740bc4f65c833b874db5d6a2d02ffebcf30e07"; got != want {
		t.Errorf("ServerName = %s, want %s", got, want)
	}
}

func TestRate(t *testing.T) {
	start := time.Unix(1000, 0)
	var r rate
	for range 10 {
		r.add(start)
	}
	for _, tt := range []struct {
		at   time.Duration
		want int64
	}{{0, 10}, {999 * time.Millisecond, 10}, {1500 * time.Millisecond, 5}, {3 * time.Second, 0}} {
		if got := r.value(start.Add(tt.at)); got != tt.want {
			t.Errorf("rate after %v = %d, want %d", tt.at, got, tt.want)
		}
	}
	if r.most != 10 {
		t.Errorf("most = %d, want 10", r.most)
	}
}

func TestTakenPortIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := BalancerOptions{Addr: l.Addr().String(), User: "admin", Password: "secret"}
	if _, err := NewBalancer(o); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("NewBalancer = %v", err)
	}
	if _, err := NewHAProxy(t.Context(), o); err == nil {
		t.Error("NewHAProxy of a taken port = nil error")
	}
}
