package rancher

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/go-logr/logr/funcr"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// simWorld is the embedded Rancher and a running informer, in a bubble.
type simWorld struct {
	t        *testing.T
	server   *ranchersim.Server
	client   *Client
	informer *Informer
	raw      *http.Client
	base     string

	mu   sync.Mutex
	seen []string
	told []string
	// isMute is a proxy that lets event sockets open and keeps what they tell.
	isMute bool
	// answer, when not nil, answers in place of the server and returns true.
	answer func(out http.ResponseWriter, r *http.Request) bool
}

// RoundTrip counts what the client asks.
func (w *simWorld) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.seen = append(w.seen, r.Method+" "+r.URL.RequestURI())
	w.mu.Unlock()
	return w.raw.Transport.RoundTrip(r)
}

// ServeHTTP is the embedded Rancher, or the proxy in front of it.
func (w *simWorld) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if w.answer != nil && w.answer(out, r) {
		return
	}
	if !w.isMute || !strings.HasSuffix(r.URL.Path, "/subscribe") {
		w.server.Handler().ServeHTTP(out, r)
		return
	}
	conn, err := websocket.Accept(out, r, nil)
	if err != nil {
		return
	}
	<-conn.CloseRead(context.Background()).Done()
	_ = conn.CloseNow()
}

func (w *simWorld) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// inSim runs a test against the embedded Rancher with a stack shop and an informer of some of its services.
func inSim(t *testing.T, o InformerOptions, keys []Key, test func(w *simWorld)) {
	synctest.Test(t, func(t *testing.T) {
		wire := ranchersim.NewWire()
		w := &simWorld{t: t, raw: &http.Client{Transport: wire.Transport()}}
		w.server = ranchersim.New(ranchersim.Options{Project: "prod", AccessKey: "key", SecretKey: "secret", ExternalHealth: true})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.server.Run(ctx) })
		stop := wire.Serve(w)
		w.base = "http://rancher.example:8080/v2-beta/projects/" + w.server.ProjectID()
		w.server.AddHost("host1.example", "192.0.2.1")
		client, err := New(Options{URL: "http://rancher.example:8080", AccessKey: text("key"), SecretKey: text("secret"), Transport: w})
		if err != nil {
			t.Fatal(err)
		}
		w.client = client
		o.Logger = funcr.New(func(_, args string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.told = append(w.told, args)
		}, funcr.Options{})
		w.informer = NewInformer(client, o)
		w.informer.Update(keys)
		test(w)
		cancel()
		running.Wait()
		stop()
	})
}

// run starts the informer and returns how to end it.
func (w *simWorld) run() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = w.informer.Run(ctx) })
	if err := w.informer.WaitSync(ctx); err != nil {
		w.t.Fatal(err)
	}
	return func() { cancel(); running.Wait() }
}

// stack makes a stack and says its id.
func (w *simWorld) stack(name string) string {
	id, err := w.server.CreateStack(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// service makes an active service.
func (w *simWorld) service(stackID, name string, scale int) string {
	id, err := w.server.CreateService(ranchersim.ServiceSpec{
		StackID: stackID, Name: name, Scale: scale, LaunchConfig: []byte(`{"imageUuid":"docker:registry.example/app:v1"}`), Start: true,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// post makes a change past the client; whatever Rancher says to it will do.
func (w *simWorld) do(method, path, body string) {
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.SetBasicAuth("key", "secret")
	if resp, err := w.raw.Do(r); err == nil {
		_ = resp.Body.Close()
	}
}

// TestSteadyStateListsNothing: while the event stream is up the safety net is all that is ever listed, however long and
// whatever happens.
func TestSteadyStateListsNothing(t *testing.T) {
	var keys []Key
	for i := range 20 {
		keys = append(keys, Key{"shop", fmt.Sprintf("svc-%d", i)})
	}
	inSim(t, InformerOptions{Relist: 5 * time.Minute}, keys, func(w *simWorld) {
		stack := w.stack("shop")
		var ids []string
		for _, k := range keys {
			ids = append(ids, w.service(stack, k.Service, 2))
		}
		time.Sleep(time.Minute)
		stop := w.run()
		first := len(w.requests())
		time.Sleep(time.Hour)
		// Hosts, stack, services and containers are a page each.
		relists := len(w.requests()) - first
		if relists < 10*4 || relists > 13*4 {
			t.Errorf("%d requests within an hour of nothing, want twelve relists of four: %q", relists, w.requests()[first:])
		}
		before := len(w.requests())
		for _, id := range ids[:5] {
			w.do(http.MethodPost, "/services/"+id+"/?action=upgrade",
				`{"inServiceStrategy":{"batchSize":1,"intervalMillis":1000,"launchConfig":{"imageUuid":"docker:registry.example/app:v2"}}}`)
		}
		time.Sleep(2 * time.Minute)
		s := w.informer.Service(w.t.Context(), "shop", "svc-0", false)
		if s.State != observe.StateUpgraded || len(s.Containers) != 4 {
			t.Errorf("svc-0 is %s with %d containers, want upgraded with 4", s.State, len(s.Containers))
		}
		for _, r := range w.requests()[before:] {
			if !strings.Contains(r, "/stacks?") && !strings.Contains(r, "/hosts?") && !strings.Contains(r, "stackId=") &&
				!strings.Contains(r, "name_prefix=") && !strings.Contains(r, "/instances") {
				t.Errorf("%s was asked for while the stream was up", r)
			}
		}
		if n := len(w.requests()) - before; n > 4+5*10 {
			t.Errorf("five rollouts cost %d requests: %q", n, w.requests()[before:])
		}
		stop()
	})
}

// TestMuteSocketsArePolled: a socket that opens and does not even ping is no socket; said once, and polled.
func TestMuteSocketsArePolled(t *testing.T) {
	inSim(t, InformerOptions{}, []Key{{"shop", "web"}}, func(w *simWorld) {
		w.isMute = true
		id := w.service(w.stack("shop"), "web", 1)
		time.Sleep(time.Minute)
		stop := w.run()
		defer stop()
		time.Sleep(2 * time.Minute)
		for scale := 2; scale < 6; scale++ {
			w.do(http.MethodPut, "/services/"+id, fmt.Sprintf(`{"scale":%d}`, scale))
			time.Sleep(time.Minute)
			if s := w.informer.Service(w.t.Context(), "shop", "web", false); s.Problem != nil || len(s.Containers) != scale {
				t.Errorf("%d containers are seen by polling (%v), want %d", len(s.Containers), s.Problem, scale)
			}
		}
		time.Sleep(time.Hour)
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := len(w.told); n != 2 || !strings.Contains(w.told[0], "stream lost") || !strings.Contains(w.told[1], "polling instead") {
			t.Errorf("log = %q, want that the stream was lost and that it is polled instead, once each", w.told)
		}
	})
}

// TestMissedEventsAreFoundByTheNextListing: an event that is lost stays lost, and the safety net finds out.
func TestMissedEventsAreFoundByTheNextListing(t *testing.T) {
	keys := []Key{{"shop", "web"}}
	inSim(t, InformerOptions{Relist: time.Minute}, keys, func(w *simWorld) {
		id := w.service(w.stack("shop"), "web", 1)
		time.Sleep(time.Minute)
		stop := w.run()
		defer stop()
		if _, err := w.server.SetFault(ranchersim.Fault{Name: ranchersim.FaultLostEvent}); err != nil {
			t.Fatal(err)
		}
		w.do(http.MethodPut, "/services/"+id, `{"scale":3}`)
		time.Sleep(20 * time.Second)
		if s := w.informer.Service(w.t.Context(), "shop", "web", false); len(s.Containers) != 1 {
			t.Fatalf("%d containers are seen without events, want 1: the fault does nothing", len(s.Containers))
		}
		time.Sleep(time.Minute)
		if s := w.informer.Service(w.t.Context(), "shop", "web", false); len(s.Containers) != 3 {
			t.Errorf("%d containers are seen after a listing, want 3", len(s.Containers))
		}
	})
}

// TestInformerEqualsAFreshRead runs the informer itself, not only its cache, against the embedded Rancher under seeded
// schedules of changes, lost events, broken sockets and restarts; when things are quiet its picture is what a fresh read
// says. DROVER_INFORMER_SEEDS makes it more than a handful of seeds (make informer).
func TestInformerEqualsAFreshRead(t *testing.T) {
	seeds := 12
	if n, err := strconv.Atoi(os.Getenv("DROVER_INFORMER_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range uint64(seeds) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { schedule(t, seed) }) {
			return
		}
	}
}

// schedule runs one seed.
func schedule(t *testing.T, seed uint64) {
	keys := []Key{{"shop", "web"}, {"shop", "api"}, {"blog", "web"}}
	inSim(t, InformerOptions{Relist: time.Minute}, keys, func(w *simWorld) {
		r := rand.New(rand.NewPCG(seed, 77))
		ids := []string{w.service(w.stack("shop"), "web", 2)}
		stop := w.run()
		defer stop()
		for range 25 {
			w.step(r, &ids)
			time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
		}
		w.server.ClearFaults()
		time.Sleep(5 * time.Minute)
		for _, k := range keys {
			got := w.informer.Service(w.t.Context(), k.Stack, k.Service, false)
			want := w.client.Service(w.t.Context(), k.Stack, k.Service)
			got.ReadAt, want.ReadAt = time.Time{}, time.Time{}
			for i := range got.Containers {
				got.Containers[i].ImageID = "" // Only events tell.
			}
			if (got.Problem == nil) != (want.Problem == nil) || got.Problem == nil && !reflect.DeepEqual(got, want) {
				w.t.Errorf("%s in the informer is\n%+v %v\nfresh\n%+v %v", k, got, got.Problem, want, want.Problem)
			}
		}
	})
}

// step does one thing to the world.
func (w *simWorld) step(r *rand.Rand, ids *[]string) {
	id := (*ids)[r.IntN(len(*ids))]
	fault := func(f ranchersim.Fault) { _, _ = w.server.SetFault(f) }
	switch r.IntN(14) {
	case 0:
		*ids = append(*ids, w.make(r)...)
	case 1:
		w.do(http.MethodPut, "/services/"+id, fmt.Sprintf(`{"scale":%d}`, 1+r.IntN(4)))
	case 2, 3:
		w.do(http.MethodPost, "/services/"+id+"/?action=upgrade", fmt.Sprintf(
			`{"inServiceStrategy":{"batchSize":1,"intervalMillis":500,"startFirst":%t,"launchConfig":{"imageUuid":"docker:registry.example/app:v%d"}}}`, r.IntN(2) == 0, r.IntN(9)))
	case 4:
		w.do(http.MethodPost, "/services/"+id+"/?action=finishupgrade", "")
	case 5:
		w.do(http.MethodPost, "/services/"+id+"/?action=rollback", "")
	case 6:
		w.do(http.MethodPost, "/services/"+id+"/?action=cancelupgrade", "")
	case 7:
		for _, c := range w.server.Containers() {
			if r.IntN(3) == 0 {
				w.do(http.MethodDelete, "/containers/"+c.ID, "")
			}
		}
	case 8:
		if len(*ids) > 1 {
			w.do(http.MethodDelete, "/services/"+id, "")
		}
	case 9:
		fault(ranchersim.Fault{Name: ranchersim.FaultLostEvent, Chance: 0.5, For: 3 * time.Second})
	case 10:
		fault(ranchersim.Fault{Name: ranchersim.FaultRestart, Now: true, For: time.Duration(r.IntN(5)+1) * time.Second})
	case 11:
		fault(ranchersim.Fault{Name: ranchersim.FaultCutBefore, Chance: 0.5, For: 5 * time.Second})
	case 12:
		fault(ranchersim.Fault{Name: ranchersim.Fault502, Path: "subscribe", For: 10 * time.Second})
	default:
		fault(ranchersim.Fault{Name: ranchersim.FaultLate, Delay: time.Second, Chance: 0.3, For: 5 * time.Second})
	}
}

// make makes a service that may be there already.
func (w *simWorld) make(r *rand.Rand) []string {
	stackName, name := []string{"shop", "blog"}[r.IntN(2)], []string{"web", "api", "unfollowed"}[r.IntN(3)]
	stack, err := w.server.CreateStack(stackName)
	if err != nil {
		if stack, err = w.client.findStack(w.t.Context(), stackName); err != nil {
			return nil
		}
	}
	id, err := w.server.CreateService(ranchersim.ServiceSpec{
		StackID: stack, Name: name, Scale: 1, LaunchConfig: []byte(`{"imageUuid":"docker:registry.example/app:v1"}`), Start: true,
	})
	if err != nil {
		return nil
	}
	return []string{id}
}
