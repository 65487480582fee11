package evidence

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

const targetsText = `apiVersion: drover/v1
rancher: {url: http://rancher.example, accessKey: {env: A}, secretKey: {env: S}}
loadBalancers: [{name: front, stats: http://lb.example/stats}]
targets:
- stack: chat
  service: api
  image: r.example/team/api:latest
  rollout: {settle: 0s, bake: 20s}
  gates:
    health: {minHealthyTime: 2s}
    loadBalancer: {name: front, maxErrorRate: 5%}
    http: {port: 80, warmUp: 0s}
`

// world is a service of two containers behind a load balancer, whose new version
// fails one request in bad.
type world struct {
	t       testing.TB
	store   *Store
	target  desired.Target
	now     time.Time
	history reconcile.History
	memory  reconcile.Memory
	pending []reconcile.Event

	digest    string
	service   observe.Service
	previous  observe.Launch
	served    int64
	backIn    int
	bad       int64
	decisions []string
}

func digestOf(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

func newWorld(t testing.TB, store *Store) *world {
	t.Helper()
	config, err := desired.Parse("targets.yaml", []byte(targetsText))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, target: config.Targets[0], now: time.Date(2026, 11, 26, 1, 0, 0, 123456789, time.UTC), digest: "a", bad: 3}
	w.service = observe.Service{ID: "1s1", Name: "api", Stack: "chat", StackKnown: true, State: observe.StateActive, Scale: 2, HasHealthCheck: true, Actions: []string{"upgrade"}}
	w.service.Launch = observe.Launch{Image: "r.example/team/api@" + digestOf("a"), Version: "v1"}
	for i := range 2 {
		w.service.Containers = append(w.service.Containers, w.container(i, "v1"))
	}
	return w
}

func (w *world) container(i int, version string) observe.Container {
	return observe.Container{
		ID: fmt.Sprintf("1i%s%d", version, i), Name: fmt.Sprintf("api-%d", i), Version: version, State: "running", Health: "healthy",
		Image: w.service.Launch.Image, IP: fmt.Sprintf("10.0.0.%d", i), StartCount: 1, HostID: "1h1",
	}
}

func (w *world) snapshot() observe.Snapshot {
	d := digestOf(w.digest)
	s := observe.Snapshot{At: w.now, Hosts: observe.Hosts{Active: 2, Total: 2}, Fleet: observe.Fleet{Self: "drover-test"}}
	s.Image = observe.Image{Ref: w.target.Image, Repository: "r.example/team/api", Digest: d, Manifest: d, Config: "config-" + w.digest, SeenAt: w.now.Add(-time.Hour), CheckedAt: w.now}
	if b := w.history.Baseline; b != nil {
		s.Previous = observe.Pullable{Digest: b.Digest, OK: true}
	}
	s.Service = w.service
	s.Service.ReadAt = w.now
	s.Service.Containers = append([]observe.Container(nil), w.service.Containers...)
	for _, c := range w.service.Containers {
		if c.State != "running" {
			continue
		}
		server := observe.Server{Container: c.ID, Status: observe.ServerUp, Weight: 1, Delta: observe.Counts{Requests: 30}}
		if c.Version != "v1" && w.bad > 0 {
			for range 30 {
				if w.served++; w.served%w.bad == 0 {
					server.Delta.Failures++
				}
			}
		}
		s.LoadBalancer.Servers = append(s.LoadBalancer.Servers, server)
		s.Probes.Samples = append(s.Probes.Samples, observe.Sample{Container: c.ID, At: w.now, Status: 200, Latency: 3 * time.Millisecond})
	}
	return s
}

// step decides once, does it and records it.
func (w *world) step() reconcile.Decision {
	w.t.Helper()
	w.now = w.now.Add(2 * time.Second)
	if w.backIn--; w.backIn == 0 {
		w.back()
	}
	in := reconcile.Input{Target: reconcile.InForce(w.target, w.history), Observed: w.snapshot(), History: w.history, Memory: w.memory, Now: w.now}
	d := reconcile.Decide(in)
	for i := range d.Events {
		if e := &d.Events[i]; e.Kind == reconcile.EventStarted {
			r := *e.Start
			r.Previous = json.RawMessage(`{"environment":{"DB_PASSWORD":"hunter22"}}`)
			e.Start = &r
		}
	}
	step := Step{In: in, Decision: d, Before: w.pending, Facts: d.Events}
	w.pending = nil
	w.history, w.memory = w.history.Apply(d.Events...), d.Memory
	if d.Action != reconcile.NoAction {
		step.Sent, step.SentAt = d.Action, w.now.Add(5*time.Millisecond)
		w.memory = w.memory.Sent(step.Sent, step.SentAt)
		w.do(d)
	}
	if w.store != nil {
		if err := w.store.Record(w.target.Key(), step); err != nil {
			w.t.Fatal(err)
		}
	}
	w.decisions = append(w.decisions, decidedOf(d).summary())
	return d
}

func (w *world) do(d reconcile.Decision) {
	s := &w.service
	switch d.Action {
	case reconcile.Upgrade:
		w.previous = s.Launch
		s.Launch = observe.Launch{Image: d.Plan.Image, Version: "v2", Labels: d.Plan.Labels}
		s.Upgrade = &observe.Upgrade{To: s.Launch, From: w.previous}
		s.State, s.Actions = observe.StateUpgrading, []string{"rollback"}
		s.Containers = []observe.Container{s.Containers[0], w.container(1, "v2")}
	case reconcile.Rollback:
		w.backIn = 2 // Rancher shows it one look late.
	case reconcile.FinishUpgrade:
		s.State, s.Actions = observe.StateActive, []string{"upgrade"}
	default:
	}
}

// back lets Rancher go back.
func (w *world) back() {
	s := &w.service
	s.Launch, s.State, s.Actions = w.previous, observe.StateActive, []string{"upgrade"}
	s.Containers = []observe.Container{s.Containers[0], w.container(1, "v1")}
}

// upgraded lets Rancher end the batches.
func (w *world) upgraded() {
	w.service.State, w.service.Actions = observe.StateUpgraded, []string{"finishupgrade", "rollback"}
	w.service.Containers = []observe.Container{w.container(0, "v2"), w.container(1, "v2")}
}

// until steps until an action is decided.
func (w *world) until(a reconcile.Action) reconcile.Decision {
	w.t.Helper()
	for range 200 {
		if d := w.step(); d.Action == a {
			return d
		}
	}
	w.t.Fatalf("no %s was decided; last: %v", a, w.decisions[len(w.decisions)-1])
	return reconcile.Decision{}
}
