package probe

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

func TestOthersAreSummed(t *testing.T) {
	elsewhere := serving("10.0.1.1", 50, 0)
	elsewhere.proxy = "81_"
	mixed := serving("10.0.2.1", 70, 0)
	f := newFakeHAProxy(t, serving("10.0.0.1", 1, 0), elsewhere, mixed)
	r := newTestReader(t, f)
	mine, theirs := running("1i1", "10.0.0.1"), running("1i9", "10.0.2.1")
	look(t, r, "mine", mine)
	look(t, r, "theirs", theirs)
	f.set(func(f *fakeHAProxy) { f.rows[0].ok, f.rows[1].failed, f.rows[2].ok = 3, 5, 77 })
	lb := look(t, r, "mine", mine)
	wantDelta(t, lb, "1i1", 2, 0)
	if want := (observe.Counts{Requests: 12, Failures: 5}); lb.Others != want || len(lb.Servers) != 1 {
		t.Errorf("others = %+v, servers = %+v, want %+v and one", lb.Others, lb.Servers, want)
	}
}

func TestConfiguredBackendsRestrict(t *testing.T) {
	second := serving("10.0.0.1", 0, 0)
	second.proxy = "81_"
	f := newFakeHAProxy(t, serving("10.0.0.1", 0, 0), second)
	r := newReaderOf(t, LoadBalancerSpec{
		Name: "lb", Stats: []string{f.server.URL + "/admin?stats"}, Username: "admin", Password: secret, Backends: []string{"81_"},
	})
	lb := look(t, r, "k", running("1i1", "10.0.0.1"))
	if len(lb.Servers) != 1 || lb.Servers[0].Proxy != "81_" {
		t.Errorf("servers = %+v, want that of 81_", lb.Servers)
	}
}

func TestAddrTellsTheContainer(t *testing.T) {
	for addr, ip := range map[string]string{"10.0.0.1:80": "10.0.0.1", "[fd00::1]:80": "fd00:0::1", "[::ffff:10.0.0.1]:80": "10.0.0.1"} {
		row := serving("x", 1, 0)
		row.name, row.addr = "named-by-hand", addr
		lb := look(t, newTestReader(t, newFakeHAProxy(t, row)), "k", running("1i1", ip))
		if len(lb.Servers) != 1 || lb.Servers[0].Container != "1i1" {
			t.Errorf("addr %s: servers = %+v, want 1i1", addr, lb.Servers)
		}
	}
}

func TestWhoHoldsAnIP(t *testing.T) {
	const ip = "10.0.0.1"
	at := func(id, state, launch string) observe.Container {
		return observe.Container{ID: id, IP: ip, State: state, LaunchName: launch}
	}
	for name, c := range map[string]struct {
		containers []observe.Container
		want       string
	}{
		"running over stopped":       {[]observe.Container{at("a", "stopped", ""), at("b", "running", "")}, "b"},
		"running over two stopped":   {[]observe.Container{at("a", "stopped", ""), at("b", "stopped", ""), at("c", "running", "")}, "c"},
		"primary over sidekick":      {[]observe.Container{at("a", "running", "side"), at("b", "running", "")}, "b"},
		"two with one host's IP":     {[]observe.Container{at("a", "running", ""), at("b", "running", "")}, ""},
		"starting over stopping":     {[]observe.Container{at("a", "starting", ""), at("b", "stopping", "")}, "a"},
		"none with another's IP":     {nil, ""},
		"a container without its IP": {[]observe.Container{{ID: "a", State: "running"}}, ""},
	} {
		ids := identify(c.containers)
		if got := ids.container(&row{name: rancherName(ip)}); got != c.want {
			t.Errorf("%s: container = %q, want %q", name, got, c.want)
		}
	}
}

// TestTCPModeCountsNothing: a tcp proxy counts failures and no responses; a share
// of the two would be 100 %.
func TestTCPModeCountsNothing(t *testing.T) {
	row := serving("10.0.0.1", 0, 0)
	row.mode = "tcp"
	f := newFakeHAProxy(t, row)
	r := newTestReader(t, f)
	c := running("1i1", "10.0.0.1")
	look(t, r, "k", c)
	f.set(func(f *fakeHAProxy) { f.rows[0].eresp, f.rows[0].wredis = 5, 2 })
	lb := look(t, r, "k", c)
	s := serverOf(t, lb, "1i1")
	if want := (observe.Counts{Retries: 2}); !s.Uncounted || s.Delta != want {
		t.Errorf("server = %+v, want uncounted and %+v", s, want)
	}
}

// TestOneFetchForAllCallers: callers that come together share a page.
func TestOneFetchForAllCallers(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 1, 0))
	f.entered, f.release = make(chan struct{}, 100), make(chan struct{})
	r := NewReader(ReaderOptions{Fresh: time.Minute})
	if err := r.Update([]LoadBalancerSpec{{Name: "lb", Stats: []string{f.server.URL + "/admin?stats"}, Username: "admin", Password: secret}}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	problems := make(chan *observe.Problem, 20)
	for i := range 20 {
		all.Go(func() { problems <- r.Read(t.Context(), fmt.Sprint(i), "lb", nil).Problem })
	}
	<-f.entered
	close(f.release)
	all.Wait()
	close(problems)
	for p := range problems {
		if p != nil {
			t.Error(p)
		}
	}
	if got := f.polls.Load(); got != 1 {
		t.Errorf("polls = %d, want 1", got)
	}
}

func TestKeysAreBounded(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 1, 0))
	r := NewReader(ReaderOptions{Fresh: time.Minute, MaxKeys: 3})
	if err := r.Update([]LoadBalancerSpec{{Name: "lb", Stats: []string{f.server.URL + "/admin?stats"}, Username: "admin", Password: secret}}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		look(t, r, fmt.Sprint(i))
	}
	accounts := r.loadBalancers["lb"].accounts
	if len(accounts) != 3 || accounts["9"] == nil {
		t.Errorf("accounts = %d, want the last 3", len(accounts))
	}
}

func TestUpdate(t *testing.T) {
	f := newFakeHAProxy(t, serving("10.0.0.1", 1, 0))
	r := newTestReader(t, f)
	c := running("1i1", "10.0.0.1")
	look(t, r, "k", c)
	spec := LoadBalancerSpec{Name: "lb", Stats: []string{f.server.URL + "/admin?stats"}, Username: "admin", Password: secret}
	for stats, text := range map[string]string{
		"http://admin:secret@lb.example/": "must not hold a user name",
		"ftp://lb.example/":               "must be http",
		"":                                "must be http",
	} {
		err := r.Update([]LoadBalancerSpec{{Name: "bad", Stats: []string{stats}}})
		if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Update(%q) = %v, want %q", stats, err, text)
		}
	}
	if err := r.Update([]LoadBalancerSpec{spec}); err != nil {
		t.Fatal(err)
	}
	if look(t, r, "k", c).First {
		t.Error("an unchanged load balancer lost its sums")
	}
	if err := r.Update(nil); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, r.Read(t.Context(), "k", "lb", nil), observe.CauseUnusable, "not configured")
}

// TestLiveUpgradeSamples follows the captured pages of a real upgrade by Rancher's
// lb-controller: two old containers, a new one joins (reload), serves 500s.
func TestLiveUpgradeSamples(t *testing.T) {
	in := &instance{name: "lb"}
	a := new(account)
	a.ids = identify([]observe.Container{running("old", "127.0.0.12"), running("old2", "127.0.0.11"), running("new", "127.0.0.21")})
	at := time.Now()
	enter := func(name string, reloaded bool) (out observe.LoadBalancer) {
		t.Helper()
		p := mustParse(t, sample(t, name))
		age := int64(unset)
		for i := range p.rows {
			if p.rows[i].proxy == "default" && p.rows[i].kind == typeBackend {
				age = p.rows[i].lastchg
			}
		}
		passed := time.Duration(age+1) * time.Second
		if last := in.ledger.last.age; !reloaded && in.ledger.pages > 0 {
			passed = time.Duration(age-last) * time.Second
		}
		at = at.Add(passed)
		if problem := in.enter(sample(t, name), at, at); problem != nil {
			t.Fatal(name, problem)
		}
		a.tie(&in.ledger)
		a.read(in, a.proxies, func(*server) bool { return false }, &out)
		return out
	}
	enter("30-live-lb-a-two-old-containers", true)
	if lb := enter("30-live-lb-b-new-starting-container-joined", true); !lb.Reloaded {
		t.Error("b: not Reloaded")
	}
	if lb := enter("30-live-lb-c-new-container-after-checks", false); lb.Reloaded {
		t.Error("c: Reloaded")
	}
	lb := enter("30-live-lb-d-new-version-serves-500", false)
	if d := serverOf(t, lb, "new").Delta; d.Failures == 0 || d.Failures != d.Requests {
		t.Errorf("d: new = %+v, want only failures", d)
	}
	enter("30-live-lb-e-old-container-stopping", false)
	lb = enter("30-live-lb-f-old-container-stopped", true)
	if !lb.Reloaded {
		t.Error("f: not Reloaded")
	}
	for _, s := range lb.Servers {
		if s.Delta.Requests < 0 || s.Delta.Failures < 0 {
			t.Errorf("f: delta = %+v", s.Delta)
		}
	}
}

func TestLatency(t *testing.T) {
	for _, c := range []struct {
		rtime, answered, failed int64
		rule                    rtimeRule
		want                    int64
	}{
		{5, 6, 0, rtimeTrue, 5},
		{0, 0, 0, rtimeTrue, -1},
		{unset, 6, 0, rtimeTrue, -1},
		{5, 600, 0, rtimeUnknown, -1},
		{5, 49, 0, rtimeFromZero, -1},
		{9, 50, 0, rtimeFromZero, 97},
		{178, 100, 0, rtimeFromZero, 1002},
		{100, 100_000, 0, rtimeFromZero, 100},
		{5, 0, 6, rtimeTrue, -1},
	} {
		r := row{rtime: c.rtime, filled: responseCells}
		r.counters[hrsp2xx], r.counters[eresp] = c.answered, c.failed
		if got := r.latency(c.rule); got != c.want {
			t.Errorf("latency(%d ms after %d answers, rule %d) = %d, want %d", c.rtime, c.answered, c.rule, got, c.want)
		}
	}
}

// TestOtherProxiesAreCountedApart: what one of many neighbours goes through would
// drown in their sum.
func TestOtherProxiesAreCountedApart(t *testing.T) {
	at := func(ip, proxy string) fakeRow {
		row := serving(ip, 10, 0)
		row.proxy = proxy
		return row
	}
	f := newFakeHAProxy(t, serving("10.0.0.1", 1, 0), at("10.0.1.1", "81_"), at("10.0.1.2", "81_"), at("10.0.2.1", "82_"))
	r := newTestReader(t, f)
	mine := running("1i1", "10.0.0.1")
	if lb := look(t, r, "mine", mine); len(lb.OtherProxies) != 0 {
		t.Errorf("at the first look: %+v, want none: nobody knows since when it counts", lb.OtherProxies)
	}
	f.set(func(f *fakeHAProxy) { f.rows[1].ok, f.rows[2].failed, f.rows[3].ok = 15, 2, 11 })
	wantOthers(t, look(t, r, "mine", mine), observe.ProxyCounts{Proxy: "81_", Counts: observe.Counts{Requests: 7, Failures: 2}},
		observe.ProxyCounts{Proxy: "82_", Counts: observe.Counts{Requests: 1}})

	// One proxy goes, another comes, and those that stay count on.
	f.set(func(f *fakeHAProxy) {
		f.rows = append(f.rows[:1:1], at("10.0.3.1", "83_"), f.rows[3])
		f.rows[2].ok = 13
	})
	wantOthers(t, look(t, r, "mine", mine), observe.ProxyCounts{Proxy: "82_", Counts: observe.Counts{Requests: 2}},
		observe.ProxyCounts{Proxy: "83_", Counts: observe.Counts{Requests: 10}})
	wantOthers(t, look(t, r, "mine", mine))
}

func wantOthers(t *testing.T, lb observe.LoadBalancer, want ...observe.ProxyCounts) {
	t.Helper()
	if !slices.Equal(lb.OtherProxies, want) {
		t.Errorf("other proxies = %+v, want %+v", lb.OtherProxies, want)
	}
}

func TestOtherProxiesAreBounded(t *testing.T) {
	rows := []fakeRow{serving("10.0.0.1", 1, 0)}
	for i := range 2 * observe.MaxOtherProxies {
		row := serving(fmt.Sprintf("10.0.1.%d", i), 0, 0)
		row.proxy = fmt.Sprintf("%d_", 1000+i)
		rows = append(rows, row)
	}
	f := newFakeHAProxy(t, rows...)
	r := newTestReader(t, f)
	look(t, r, "k", running("1i1", "10.0.0.1"))
	f.set(func(f *fakeHAProxy) {
		for i := range f.rows {
			f.rows[i].ok += 5
		}
	})
	lb := look(t, r, "k", running("1i1", "10.0.0.1"))
	if len(lb.OtherProxies) != observe.MaxOtherProxies || lb.Others.Requests != 10*observe.MaxOtherProxies {
		t.Errorf("%d proxies and %d requests, want %d and all %d", len(lb.OtherProxies), lb.Others.Requests, observe.MaxOtherProxies, 10*observe.MaxOtherProxies)
	}
	// One goes, and one that was too many before takes its place: its past is not
	// news.
	f.set(func(f *fakeHAProxy) { f.rows = slices.Delete(f.rows, 1, 2) })
	wantOthers(t, look(t, r, "k", running("1i1", "10.0.0.1")))
}
