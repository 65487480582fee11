package rancher

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a value with a file.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	path := "testdata/golden/" + name + ".json"
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s is\n%s\nwant\n%s", name, b.Bytes(), want)
	}
}

// serviceView is a recorded service as Drover sees it.
func serviceView(t *testing.T, raw []byte, hidden bool) observe.Service {
	t.Helper()
	var w wireService
	if err := json.Unmarshal(raw, &w); err != nil {
		t.Fatal(err)
	}
	return w.view("stack", time.Time{}, hidden)
}

// TestViewsOfRecordedServices holds what is read of real answers.
func TestViewsOfRecordedServices(t *testing.T) {
	for name, c := range map[string]struct {
		file   string
		seq    int
		hidden bool
	}{
		"active":         {"02-upgrade-finish.jsonl", 1, false},
		"upgrade-posted": {"02-upgrade-finish.jsonl", 4, false},
		"upgraded":       {"02-upgrade-finish.jsonl", 24, false},
		"finished":       {"02-upgrade-finish.jsonl", 32, false},
		"secrets-seen":   {"16-keys-and-secrets.jsonl", 5, false},
		"secrets-hidden": {"16-keys-and-secrets.jsonl", 6, true},
		"sidekicks":      {"14-sidekicks.jsonl", 28, false},
		"real-active":    {"real-01-create.jsonl", 22, false},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, serviceView(t, exchange(t, c.file, c.seq)["responseBody"], c.hidden))
		})
	}
}

// TestViewsOfRecordedContainers holds what is read of containers, old and new.
func TestViewsOfRecordedContainers(t *testing.T) {
	var views []observe.Container
	_, err := decodePage(json.NewDecoder(bytes.NewReader(exchange(t, "02-upgrade-finish.jsonl", 25)["responseBody"])),
		func(w *wireContainer) error {
			views = append(views, w.view())
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(views, byID)
	golden(t, "containers-upgraded", views)
}

// TestRecordedStream applies the frames of a real upgrade with a Docker host: the
// picture tells old from new and which image each container really runs.
func TestRecordedStream(t *testing.T) {
	c := newCache()
	k := Key{"web", "app"}
	c.follow(setOf([]Key{k}))
	var w wireService
	if err := json.Unmarshal(exchange(t, "real-01-create.jsonl", 22)["responseBody"], &w); err != nil {
		t.Fatal(err)
	}
	c.replace(listing{
		keys: map[Key]bool{k: true}, stacks: map[string]string{w.StackID: "web"}, containers: map[string]wireContainer{},
		hosts: map[string]bool{}, services: map[string]*record{w.ID: {view: w.view("web", time.Time{}, false)}},
	}, time.Time{})
	var states []string
	for _, line := range recording(t, "real-03-subscribe-upgrade.jsonl") {
		ev, err := decodeFrame(line["message"])
		if err != nil || ev.lost {
			t.Fatalf("seq %s: %+v, %v", line["seq"], ev, err)
		}
		n := c.apply(ev, false)
		// The first change is a container that is being stopped.
		if s := c.service(k, time.Time{}, time.Hour); len(n.changed) > 0 && (len(states) == 0 || states[len(states)-1] != string(s.State)) {
			states = append(states, string(s.State))
		}
	}
	if want := []string{"active", "upgrading", "upgraded"}; !slices.Equal(states, want) {
		t.Errorf("states = %q, want %q", states, want)
	}
	golden(t, "real-stream", c.service(k, time.Time{}, time.Hour))
	images := map[string]bool{}
	for _, container := range c.service(k, time.Time{}, time.Hour).Containers {
		images[container.ImageID] = true
	}
	if len(images) != 2 || images[""] {
		t.Errorf("image ids = %v, want the old and the new one", slices.Collect(maps.Keys(images)))
	}
}

// TestRecordedCollections walks real pages.
func TestRecordedCollections(t *testing.T) {
	var names []string
	for _, line := range recording(t, "15-collections.jsonl")[:3] {
		p, err := decodePage(json.NewDecoder(bytes.NewReader(line["responseBody"])), func(s *wireService) error {
			names = append(names, s.Name)
			return nil
		})
		if err != nil || p.Type != "collection" || p.ResourceType != "service" || (p.Next == "") != (len(names) == 5) {
			t.Errorf("page = %+v, %v", p, err)
		}
	}
	if want := "svc-0 svc-1 svc-2 svc-3 svc-4"; strings.Join(names, " ") != want {
		t.Errorf("names = %q, want %q", names, want)
	}
}

// FuzzFrame reads frames of any kind into the cache.
func FuzzFrame(f *testing.F) {
	for _, name := range []string{"11-event-stream.jsonl", "real-03-subscribe-upgrade.jsonl"} {
		for _, line := range recording(f, name)[:12] {
			f.Add([]byte(line["frame"]))
			f.Add([]byte(line["message"]))
		}
	}
	f.Add([]byte(`{"name":"resource.change","resourceType":"service","resourceId":"1s1","data":{"resource":{"id":"1s1","stackId":"1st1","name":"app"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ev, err := decodeFrame(data)
		if err != nil {
			return
		}
		c := newCache()
		c.follow(setOf([]Key{{"web", "app"}}))
		c.stacks["1st1"], c.stacks["1st5"] = "web", "shop"
		c.apply(ev, false)
		if n := c.apply(ev, false); len(n.changed) > 0 && ev.image == nil {
			t.Fatalf("the same frame twice changed %v: %s", n.changed, data)
		}
	})
}

// FuzzService reads services and containers out of pages.
func FuzzService(f *testing.F) {
	for _, line := range recording(f, "15-collections.jsonl")[:2] {
		f.Add([]byte(line["responseBody"]))
	}
	f.Add([]byte(`{"type":"collection","data":[{"id":"1s1","launchConfig":{"labels":{"io.drover.to":1},"ports":"x"},"instanceIds":"1i1"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = decodePage(json.NewDecoder(bytes.NewReader(data)), func(s *rawService) error {
			v := s.view("shop", time.Time{}, false)
			if v.State != observe.ServiceState(s.State) {
				t.Fatalf("state %q became %q", s.State, v.State)
			}
			return nil
		})
		_, _ = decodePage(json.NewDecoder(bytes.NewReader(data)), func(w *wireContainer) error {
			idNumber(w.ID)
			w.view()
			return nil
		})
	})
}
