package controller

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

const (
	imageA = "docker.gf.com.cn/clickeggs/parrot-rest@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	imageB = "docker.gf.com.cn/clickeggs/parrot-rest@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

const configText = `apiVersion: drover/v1
rancher: {url: http://rancher.example, accessKey: {env: A}, secretKey: {env: S}}
limits: {rolloutsPerEnvironment: 1}
targets:
- {name: one, stack: chat, service: one, image: "docker.gf.com.cn/clickeggs/parrot-rest:latest", rollout: {settle: 0s}}
- {name: two, stack: chat, service: two, image: "docker.gf.com.cn/clickeggs/parrot-rest:latest", rollout: {settle: 0s}}
`

// world is what the fakes show and what was done to them, in order.
type world struct {
	mu       sync.Mutex
	services map[string]observe.Service
	image    observe.Image
	// did is the order of effects: "append started", "upgrade chat/one", …
	did []string

	appendError error
	// hang makes an append wait for its context.
	hang         bool
	upgradeError error
	// panics has a reading of a target's service panic.
	panics string
}

func newWorld() *world {
	w := &world{services: map[string]observe.Service{}}
	w.image = imageOf(imageA)
	for _, name := range []string{"one", "two"} {
		w.services["chat/"+name] = observe.Service{
			ID: "1s" + name, Name: name, Stack: "chat", StackKnown: true, State: observe.StateActive, Scale: 1, HasHealthCheck: true,
			Actions: []string{"upgrade"}, Launch: observe.Launch{Image: imageA, Version: "v1"},
			Containers: []observe.Container{{ID: "1i" + name, Name: name, Version: "v1", State: "running", Health: "healthy", Image: imageA, StartCount: 1}},
		}
	}
	return w
}

func imageOf(pinned string) observe.Image {
	digest := pinned[len(pinned)-71:]
	return observe.Image{Repository: pinned[:len(pinned)-72], Digest: digest, Manifest: digest, Config: "config", Layers: observe.Layers{digest[len(digest)-1]}}
}

func (w *world) note(what string) {
	w.did = append(w.did, what)
}

func (w *world) edit(key string, change func(*observe.Service)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.services[key]
	change(&s)
	w.services[key] = s
}

func (w *world) history() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.did...)
}

// The readers.

func (w *world) Image(context.Context, string, string) observe.Image {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.image
}

func (w *world) Pullable(_ context.Context, _, digest, _ string) observe.Pullable {
	return observe.Pullable{Digest: digest, OK: true}
}

func (w *world) Service(_ context.Context, stack, service string, _ bool) observe.Service {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.panics == stack+"/"+service {
		panic("index out of range [3] with length 2")
	}
	return w.services[stack+"/"+service]
}

func (w *world) Hosts(context.Context) observe.Hosts { return observe.Hosts{Active: 1, Total: 1} }

// Rancher.

func (w *world) PrepareUpgrade(_ context.Context, spec rancher.UpgradeSpec) (*rancher.Prepared, error) {
	return &rancher.Prepared{ServiceID: spec.ServiceID, Previous: []byte(`{"imageUuid":"docker:` + imageA + `"}`)}, nil
}

func (w *world) Upgrade(_ context.Context, p *rancher.Prepared) (observe.Service, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("upgrade " + p.ServiceID)
	return observe.Service{}, w.upgradeError
}

func (w *world) CancelUpgrade(_ context.Context, id string) (observe.Service, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("cancelupgrade " + id)
	return observe.Service{}, nil
}

func (w *world) FinishUpgrade(_ context.Context, id, _ string) (observe.Service, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("finishupgrade " + id)
	return observe.Service{}, nil
}

func (w *world) Rollback(_ context.Context, id string) (observe.Service, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("rollback " + id)
	return observe.Service{}, nil
}

// The journal.

func (w *world) AppendContext(ctx context.Context, entries ...journal.Entry) error {
	w.mu.Lock()
	hang := w.hang
	w.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range entries {
		if w.appendError == nil {
			w.note("append " + e.Type)
		}
	}
	return w.appendError
}

func (w *world) Failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.appendError
}

func (w *world) Reopen() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.appendError != nil {
		return errors.New("reopening: the disk is full")
	}
	return nil
}

func newTestCore(t *testing.T, w *world) *Core {
	t.Helper()
	config, err := desired.Parse("targets.yaml", []byte(configText))
	if err != nil {
		t.Fatal(err)
	}
	observer := &observe.Observer{Images: w, Services: w}
	return NewCore(Parts{Observer: observer, Rancher: w, Journal: w, Self: "drover-test", Log: logr.Discard(), Now: time.Now}, config, nil)
}

// adopted is a core whose targets are known, with a newer digest in the registry.
func adopted(t *testing.T, w *world) *Core {
	t.Helper()
	core := newTestCore(t, w)
	for _, key := range core.Keys() {
		step(t, core, key)
		if b := core.History(key).Baseline; b == nil || b.Image != imageA {
			t.Fatalf("%s was not adopted: %+v", key, b)
		}
	}
	w.mu.Lock()
	w.image, w.did = imageOf(imageB), nil
	w.mu.Unlock()
	return core
}

func step(t *testing.T, core *Core, key string) {
	t.Helper()
	if _, err := core.Step(t.Context(), key); err != nil {
		t.Fatalf("stepping %s: %v", key, err)
	}
}

// show lets Rancher show the open rollout of a target as upgraded and well.
func (w *world) show(core *Core, key string) {
	r := core.History(key).Rollout
	w.edit(key, func(s *observe.Service) {
		labels := map[string]string{reconcile.LabelRollout: r.ID, reconcile.LabelTo: r.To.Digest, reconcile.LabelOwner: "drover-test"}
		s.State, s.Actions = observe.StateUpgraded, []string{"finishupgrade", "rollback"}
		s.Launch = observe.Launch{Image: imageB, Version: "v2", Labels: labels}
		s.Containers[0].State = "stopped"
		s.Containers = append(s.Containers[:1:1], observe.Container{
			ID: "1inew", Name: "new", Version: "v2", State: "running", Health: "healthy", Image: imageB, StartCount: 1,
		})
	})
}
