package rancher

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"go.uber.org/goleak"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// world is a Rancher without a network: what it holds, and the frames it owes.
type world struct {
	r        *rand.Rand
	services map[string]map[string]any
	// containers that exist, and stacks by id.
	containers map[string]map[string]any
	stacks     map[string]map[string]any
	// dirty are resources whose change was not published yet: Rancher coalesces.
	dirty map[string]bool
	// gone are removed resources whose last frame was not published yet.
	gone map[string]map[string]any
	next int
}

func newWorld(seed uint64) *world {
	w := &world{
		r: rand.New(rand.NewPCG(seed, 0)), services: map[string]map[string]any{}, containers: map[string]map[string]any{},
		stacks: map[string]map[string]any{}, dirty: map[string]bool{}, gone: map[string]map[string]any{},
	}
	for range 3 {
		w.mutate()
	}
	return w
}

// id makes a new id.
func (w *world) id(prefix string) string {
	w.next++
	return fmt.Sprintf("%s%d", prefix, w.next)
}

// pick is some key of a map, or "".
func (w *world) pick(m map[string]map[string]any) string {
	if len(m) == 0 {
		return ""
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	// Map order is random and not seeded.
	for i := range keys {
		for j := i; j > 0 && keys[j] < keys[j-1]; j-- {
			keys[j], keys[j-1] = keys[j-1], keys[j]
		}
	}
	return keys[w.r.IntN(len(keys))]
}

// mutate changes one thing.
func (w *world) mutate() {
	switch w.r.IntN(10) {
	case 0:
		for _, name := range []string{"shop", "blog"} {
			if !w.has(w.stacks, "name", name) {
				id := w.id("1st")
				w.stacks[id] = map[string]any{"id": id, "type": "stack", "name": name, "state": "active"}
				w.dirty[id] = true
				return
			}
		}
	case 1:
		w.addService()
	case 2:
		if id := w.pick(w.services); id != "" && w.r.IntN(4) == 0 {
			w.remove(w.services, id)
			for cid, c := range w.containers {
				if c["serviceIds"].([]string)[0] == id {
					w.remove(w.containers, cid)
				}
			}
		}
	case 3:
		if id := w.pick(w.services); id != "" {
			w.services[id]["state"] = []string{"active", "upgrading", "upgraded"}[w.r.IntN(3)]
			w.dirty[id] = true
		}
	case 4, 5, 6:
		if id := w.pick(w.services); id != "" {
			cid := w.id("1i")
			w.containers[cid] = containerJSON(cid, id)
			w.dirty[cid], w.dirty[id] = true, true
		}
	case 7:
		if id := w.pick(w.containers); id != "" {
			w.dirty[w.containers[id]["serviceIds"].([]string)[0]] = true
			w.remove(w.containers, id)
		}
	default:
		if id := w.pick(w.containers); id != "" {
			w.containers[id]["state"] = []string{"running", "stopped", "starting"}[w.r.IntN(3)]
			w.containers[id]["startCount"] = w.r.IntN(5)
			w.dirty[id] = true
		}
	}
}

// addService adds a service that is not there, in a stack that is.
func (w *world) addService() {
	stack := w.pick(w.stacks)
	for _, name := range []string{"web", "api", "unfollowed"} {
		if stack == "" || w.r.IntN(2) == 0 {
			continue
		}
		taken := false
		for _, s := range w.services {
			taken = taken || s["name"] == name && s["stackId"] == stack
		}
		if !taken {
			id := w.id("1s")
			w.services[id] = serviceJSON(id, stack, name)
			w.dirty[id] = true
			return
		}
	}
}

// has says that some resource has a value.
func (w *world) has(m map[string]map[string]any, key, value string) bool {
	for _, item := range m {
		if item[key] == value {
			return true
		}
	}
	return false
}

// remove removes a resource; its last frame says removed, without services.
func (w *world) remove(m map[string]map[string]any, id string) {
	last := map[string]any{}
	for k, v := range m[id] {
		last[k] = v
	}
	last["state"], last["serviceIds"] = "removed", nil
	delete(m, id)
	w.gone[id] = last
	w.dirty[id] = true
}

// publish takes one pending change and makes its frame, with the data of now.
// Sometimes the frame of a removed container is suppressed, as for purged ones.
func (w *world) publish() []byte {
	pending := map[string]map[string]any{}
	for id := range w.dirty {
		pending[id] = nil
	}
	id := w.pick(pending)
	if id == "" {
		return nil
	}
	delete(w.dirty, id)
	kind, resource := "container", w.containers[id]
	switch {
	case strings.HasPrefix(id, "1st"):
		kind, resource = "stack", w.stacks[id]
	case strings.HasPrefix(id, "1s"):
		kind, resource = "service", w.services[id]
		if resource != nil {
			resource = w.counted(resource)
		}
	}
	if resource == nil {
		resource = w.gone[id]
		if kind == "container" && w.r.IntN(3) == 0 {
			return nil
		}
	}
	return change(kind, resource)
}

// counted is a service with its instanceIds.
func (w *world) counted(s map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range s {
		out[k] = v
	}
	var ids []string
	for id, c := range w.containers {
		if c["serviceIds"].([]string)[0] == s["id"] {
			ids = append(ids, id)
		}
	}
	out["instanceIds"] = ids
	return out
}

// reread turns JSON-like values into a wire type.
func reread[T any](v any) T {
	var out T
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		panic(err)
	}
	return out
}

// list is what a listing sees; skip drops a row now and then, as paging by offset
// does.
func (w *world) list(known *cache, skip bool) listing {
	keys := known.keys()
	l := listing{keys: keys, stacks: map[string]string{}, services: map[string]*record{}, containers: map[string]wireContainer{}, hosts: map[string]bool{}}
	skipped := func() bool { return skip && w.r.IntN(6) == 0 }
	for id, s := range w.stacks {
		l.stacks[id] = s["name"].(string)
	}
	for id, s := range w.services {
		wire := reread[wireService](w.counted(s))
		if k := (Key{l.stacks[wire.StackID], wire.Name}); keys[k] && !skipped() {
			l.services[id] = known.known(&record{view: wire.view(k.Stack, time.Time{}, false), told: wire.InstanceIDs})
		}
	}
	for id, c := range w.containers {
		if _, ok := l.services[c["serviceIds"].([]string)[0]]; ok && !skipped() {
			if w := reread[wireContainer](c); known.isStill(&w, l.services) {
				l.still = append(l.still, id)
			} else {
				l.containers[id] = w
			}
		}
	}
	return l
}

// read is a fresh read of one service.
func (w *world) read(k Key) (observe.Service, []wireContainer) {
	for id, s := range w.services {
		wire := reread[wireService](s)
		if wire.Name != k.Service || w.stacks[wire.StackID] == nil || w.stacks[wire.StackID]["name"] != k.Stack {
			continue
		}
		var containers []wireContainer
		for _, c := range w.containers {
			if c["serviceIds"].([]string)[0] == id {
				containers = append(containers, reread[wireContainer](c))
			}
		}
		return wire.view(k.Stack, time.Time{}, false), containers
	}
	return observe.Service{Problem: notFound("none")}, nil
}

// TestCacheEqualsAFreshList: whatever the order of changes, frames, losses and
// listings, once things are quiet the picture is the world. The failure names the
// seed.
func TestCacheEqualsAFreshList(t *testing.T) {
	seeds := 10000
	if testing.Short() || raceEnabled {
		// The race detector makes a seed ten times as slow, and there is one
		// goroutine here to watch.
		seeds = 500
	}
	for seed := range uint64(seeds) {
		if !settle(t, seed) {
			return
		}
	}
}

// settle runs one schedule and compares.
func settle(t *testing.T, seed uint64) bool {
	w, c := newWorld(seed), newCache()
	keys := []Key{{"shop", "web"}, {"shop", "api"}, {"blog", "web"}}
	c.follow(setOf(keys))
	doubts, relist := map[Key]bool{}, true
	var buffered [][]byte
	connected := false
	take := func(n news) {
		for _, k := range n.uneven {
			if _, isDoubted := doubts[k]; !isDoubted {
				doubts[k] = false
			}
		}
		for _, k := range n.doubtful {
			doubts[k] = true
		}
		relist = relist || n.relist
	}
	apply := func() {
		for _, frame := range buffered {
			ev, err := decodeFrame(frame)
			if err != nil {
				t.Fatal(err)
			}
			take(c.apply(ev, false))
		}
		buffered = nil
	}
	look := func(skip bool) {
		// Frames come while the listing is read: before, between and after it.
		connected, relist = true, false
		l := w.list(c, skip)
		for range w.r.IntN(4) {
			w.mutate()
			if frame := w.publish(); frame != nil {
				buffered = append(buffered, frame)
			}
		}
		take(c.replace(l, time.Now()))
	}
	resolve := func() {
		for k, mustRead := range doubts {
			delete(doubts, k)
			if !mustRead && c.isSettled(k) {
				continue
			}
			s, containers := w.read(k)
			take(c.put(k, s, containers))
		}
	}
	step := func() {
		switch w.r.IntN(12) {
		case 0:
			// A disconnect loses what was under way.
			connected, buffered = false, nil
		case 1:
			look(true)
		case 2:
			if connected {
				resolve()
			}
		case 3, 4, 5, 6:
			w.mutate()
		default:
			if frame := w.publish(); frame != nil && connected {
				buffered = append(buffered, frame)
			}
			if w.r.IntN(2) == 0 {
				apply()
			}
		}
	}
	look(true)
	for range 60 {
		step()
	}
	// Quiet: what is owed is delivered, what is doubtful is read.
	if !connected {
		look(true)
	}
	for len(w.dirty) > 0 || len(buffered) > 0 || relist || len(doubts) > 0 {
		for len(w.dirty) > 0 {
			if frame := w.publish(); frame != nil {
				buffered = append(buffered, frame)
			}
		}
		apply()
		if relist {
			look(true)
		}
		resolve()
	}
	return compare(t, seed, w, c, keys)
}

// compare holds the picture against the world.
func compare(t *testing.T, seed uint64, w *world, c *cache, keys []Key) bool {
	fresh := newCache()
	fresh.follow(setOf(keys))
	fresh.replace(w.list(fresh, false), time.Time{})
	for _, k := range keys {
		got, _ := c.shown(k)
		want, _ := fresh.shown(k)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d: %s in the cache is\n%+v\nin a fresh list\n%+v", seed, k, got, want)
			return false
		}
	}
	if len(c.containers) != len(fresh.containers) || len(c.services) != len(fresh.services) {
		t.Errorf("seed %d: %d containers held, %d exist", seed, len(c.containers), len(fresh.containers))
		return false
	}
	return true
}

// follower is a running Informer with what it said.
type follower struct {
	*Informer
	mu      sync.Mutex
	changed map[Key]int
	lines   []string
}

// follow starts an Informer of shop/web and waits for it at the end.
func (f *fake) follow(o InformerOptions, keys ...Key) *follower {
	fw := &follower{changed: map[Key]int{}}
	o.OnChange = func(stack, service string) {
		fw.mu.Lock()
		defer fw.mu.Unlock()
		fw.changed[Key{stack, service}]++
	}
	o.Logger = funcr.New(func(_, args string) {
		fw.mu.Lock()
		defer fw.mu.Unlock()
		fw.lines = append(fw.lines, args)
	}, funcr.Options{})
	fw.Informer = NewInformer(f.client(keys...), o)
	fw.Update(keys)
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	go func() { done <- fw.Run(ctx) }()
	f.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Errorf("Run = %v", err)
		}
	})
	return fw
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it never came that %s", what)
		}
	}
}

func TestInformerFollows(t *testing.T) {
	running := goleak.IgnoreCurrent()
	// Registered first, so that it comes last.
	t.Cleanup(func() { goleak.VerifyNone(t, running) })
	f := newFake(t)
	f.addService("1s5", "web")
	f.containers["1i1"] = containerJSON("1i1", "1s5")
	fw := f.follow(InformerOptions{}, web)
	if err := fw.WaitSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server has taken the stream in", func() bool { return f.listening() == 1 })
	if s := fw.Service(t.Context(), "shop", "web", false); s.Problem != nil || len(s.Containers) != 1 || s.ReadAt.IsZero() {
		t.Fatalf("Service = %+v", s)
	}
	eventually(t, "what docker reported is asked for", func() bool {
		return strings.Contains(f.requests()[len(f.requests())-1], "/containerevents?")
	})
	before := len(f.requests())

	f.mu.Lock()
	f.containers["1i2"] = containerJSON("1i2", "1s5")
	second := f.containers["1i2"]
	f.mu.Unlock()
	f.push(change("container", second))
	eventually(t, "the second container is seen", func() bool {
		return len(fw.Service(t.Context(), "shop", "web", false).Containers) == 2
	})
	f.push(change("host", map[string]any{"id": "1h2", "type": "host", "state": "active", "agentState": "reconnecting"}))
	f.push([]byte(`{"name":"ping","data":{}}`))
	eventually(t, "the second host is seen", func() bool { return fw.Hosts(t.Context()).Total == 2 })
	if h := fw.Hosts(t.Context()); h.Active != 1 {
		t.Errorf("Hosts = %+v, want one active", h)
	}
	if n := len(f.requests()); n != before {
		t.Errorf("%d requests while the stream was up, want none: %q", n-before, f.requests()[before:])
	}
	// The stream breaks and a container goes meanwhile: a listing finds out.
	f.mu.Lock()
	delete(f.containers, "1i1")
	f.mu.Unlock()
	f.hangUp()
	eventually(t, "the loss is seen", func() bool {
		s := fw.Service(t.Context(), "shop", "web", false)
		return f.listening() == 1 && len(s.Containers) == 1 && s.Containers[0].ID == "1i2"
	})
	if s := fw.Service(t.Context(), "shop", "nothing", false); s.Problem == nil || s.Problem.Cause != observe.CausePending {
		t.Errorf("a service nobody follows: %+v", s.Problem)
	}
	fw.mu.Lock()
	defer fw.mu.Unlock()
	if fw.changed[web] < 3 {
		t.Errorf("OnChange was called %d times, want at least 3", fw.changed[web])
	}
}

func TestInformerLearnsNewKeys(t *testing.T) {
	f := newFake(t)
	f.addService("1s5", "web")
	f.addService("1s6", "api")
	fw := f.follow(InformerOptions{}, web)
	if err := fw.WaitSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	fw.Update([]Key{web, {"shop", "api"}, {"shop", "gone"}})
	eventually(t, "the new key is covered", func() bool {
		s := fw.Service(t.Context(), "shop", "gone", false)
		return fw.Service(t.Context(), "shop", "api", false).Problem == nil &&
			s.Problem != nil && s.Problem.Cause == observe.CauseNotFound && s.StackKnown
	})
}

func TestInformerWithoutSockets(t *testing.T) {
	f := newFake(t)
	f.noSocket = true
	f.addService("1s5", "web")
	fw := f.follow(InformerOptions{Poll: 10 * time.Millisecond}, web)
	if err := fw.WaitSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantSeenWithoutSocket(fw, "polling instead")
}

// wantSeenWithoutSocket changes a service and waits until that is seen, although no
// event tells of it; the log says why, once.
func (f *fake) wantSeenWithoutSocket(fw *follower, line string) {
	f.t.Helper()
	f.mu.Lock()
	f.services["1s5"] = serviceJSON("1s5", "1st5", "web")
	f.services["1s5"]["state"] = "upgrading"
	f.mu.Unlock()
	eventually(f.t, "the state is seen although no socket opens", func() bool {
		return fw.Service(f.t.Context(), "shop", "web", false).State == observe.StateUpgrading
	})
	fw.mu.Lock()
	defer fw.mu.Unlock()
	if len(fw.lines) != 1 || !strings.Contains(fw.lines[0], line) {
		f.t.Errorf("log = %q, want one line with %q", fw.lines, line)
	}
}

func TestInformerSaysWhyItIsBlind(t *testing.T) {
	f := newFake(t)
	f.intercept = func(w http.ResponseWriter, _ *http.Request) bool {
		f.fail(w, 403, "Forbidden", "")
		return true
	}
	fw := f.follow(InformerOptions{}, web)
	eventually(t, "the cause is told", func() bool {
		s := fw.Service(t.Context(), "shop", "web", false)
		return s.Problem != nil && s.Problem.Cause == observe.CauseAuth
	})
}

// TestInformerWithDeafProxies: sockets that open and tell nothing, or do not open at
// all, keep nothing from being seen, and are told of once.
func TestInformerWithDeafProxies(t *testing.T) {
	f := newFake(t)
	f.addService("1s5", "web")
	f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/subscribe") {
			f.fail(w, 502, "BadGateway", "")
			return true
		}
		return false
	}
	fw := f.follow(InformerOptions{}, web)
	if err := fw.WaitSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantSeenWithoutSocket(fw, "event stream lost")
}

// TestRelistCostsPages: 500 services with three containers each are a handful of
// requests.
func TestRelistCostsPages(t *testing.T) {
	f := newFake(t)
	var keys []Key
	for i := range 500 {
		id, name := fmt.Sprintf("1s%d", i+1), fmt.Sprintf("svc-%d", i+1)
		f.services[id] = serviceJSON(id, "1st5", name)
		keys = append(keys, Key{"shop", name})
		for j := range 3 {
			cid := fmt.Sprintf("1i%d", 3*i+j+1)
			f.containers[cid] = containerJSON(cid, id)
		}
	}
	fw := f.follow(InformerOptions{}, keys...)
	if err := fw.WaitSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(f.requests()); n > 8 {
		t.Errorf("the first listing took %d requests, want at most 8: %q", n, f.requests())
	}
	for _, r := range f.requests() {
		isList := strings.Contains(r, "/stacks") || strings.Contains(r, "/services") || strings.Contains(r, "/containers")
		if isList && !strings.Contains(r, "name=shop") && !strings.Contains(r, "stackId=1st5") && !strings.Contains(r, "name_prefix=shop-") {
			t.Errorf("%s asks for more than the stack", r)
		}
	}
	s := fw.Service(t.Context(), "shop", "svc-500", false)
	if s.Problem != nil || len(s.Containers) != 3 {
		t.Errorf("svc-500 = %+v", s)
	}
}

// BenchmarkCache is what 5,000 services of three containers take, and a listing of them
// without news.
func BenchmarkCache(b *testing.B) {
	before, c := heap(), newCache()
	again := held(c, listingOf(5000, 3))
	taken := float64(heap()-before) / (1 << 20)
	for b.Loop() {
		c.replace(again, time.Now())
	}
	b.ReportMetric(taken, "MB-held")
	runtime.KeepAlive(c)
}

// listingOf is a first listing of services with containers.
func listingOf(services, containers int) listing {
	l := listing{keys: map[Key]bool{}, services: map[string]*record{}, containers: map[string]wireContainer{}}
	for i := range services {
		id, k := fmt.Sprintf("1s%d", i+1), Key{"shop", fmt.Sprintf("svc-%d", i+1)}
		w := reread[wireService](serviceJSON(id, "1st5", k.Service))
		l.keys[k], l.services[id] = true, (&record{view: w.view("shop", time.Time{}, false)}).packed()
		for j := range containers {
			container := fmt.Sprintf("1i%d", containers*i+j+1)
			l.containers[container] = reread[wireContainer](containerJSON(container, id))
		}
	}
	return l
}

// held has a cache take a first listing, and returns the next one: without news.
func held(c *cache, first listing) listing {
	c.follow(first.keys)
	c.replace(first, time.Now())
	return listing{keys: first.keys, services: maps.Clone(c.services), still: slices.Collect(maps.Keys(c.containers))}
}

// heap is the live heap.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestContainerOfTwoServices stays one in each, whatever a listing misses, and leaves
// the one it does not belong to any more.
func TestContainerOfTwoServices(t *testing.T) {
	c := newCache()
	web, api := Key{"shop", "web"}, Key{"shop", "api"}
	c.follow(setOf([]Key{web, api}))
	list := func(services map[string]string, of ...string) {
		l := listing{keys: c.keys(), stacks: map[string]string{"1st5": "shop"}, services: map[string]*record{}, containers: map[string]wireContainer{}, hosts: map[string]bool{}}
		for id, name := range services {
			w := reread[wireService](serviceJSON(id, "1st5", name))
			l.services[id] = c.known(&record{view: w.view("shop", time.Time{}, false)})
		}
		w := reread[wireContainer](containerJSON("1i1", of[0]))
		if w.ServiceIDs = of; c.isStill(&w, l.services) {
			l.still = append(l.still, w.ID)
		} else {
			l.containers[w.ID] = w
		}
		c.replace(l, time.Time{})
	}
	expect := func(when string, inWeb, inAPI int) {
		t.Helper()
		of, _ := c.shown(web)
		and, _ := c.shown(api)
		if len(of.Containers) != inWeb || len(and.Containers) != inAPI {
			t.Errorf("%s: %d containers in web and %d in api, want %d and %d", when, len(of.Containers), len(and.Containers), inWeb, inAPI)
		}
	}
	both := map[string]string{"1s1": "web", "1s2": "api"}
	list(both, "1s1", "1s2")
	expect("listed", 1, 1)
	list(map[string]string{"1s1": "web"}, "1s1", "1s2")
	expect("one service fell between two pages", 1, 1)
	list(both, "1s1")
	expect("it left one", 1, 0)
}
