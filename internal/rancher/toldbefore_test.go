package rancher

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
)

// TestToldBefore: bytes are not read again only while they, what else a record is made
// from, and what is held are the same.
func TestToldBefore(t *testing.T) {
	c, key := newCache(), Key{"shop", "web"}
	stacks := map[string]string{"1st5": "shop"}
	service, err := json.Marshal(serviceJSON("1s1", "1st5", "web"))
	if err != nil {
		t.Fatal(err)
	}
	container, err := json.Marshal(containerJSON("1i1", "1s1"))
	if err != nil {
		t.Fatal(err)
	}
	// The maps above are written in the order of their keys, and Rancher begins with the id.
	service, container = append([]byte(`{"id":"1s1",`), service[1:]...), append([]byte(`{"id":"1i1",`), container[1:]...)
	s, w := reread[wireService](json.RawMessage(service)), reread[wireContainer](json.RawMessage(container))
	list := func() {
		l := listing{keys: c.keys(), stacks: stacks, services: map[string]*record{}, containers: map[string]wireContainer{}, hosts: map[string]bool{}}
		_, sum := c.serviceToldBefore(service, stacks, false)
		l.services["1s1"] = c.known(&record{view: s.view("shop", time.Time{}, false), sum: sum, stack: "1st5"})
		_, sum = c.toldBefore(container)
		if c.isStill(&w, l.services) {
			c.mark(&w, sum)
			l.still = append(l.still, "1i1")
		} else {
			l.containers["1i1"] = w
		}
		c.replace(l, time.Time{})
	}
	expect := func(when string, wantService, wantContainer bool) {
		t.Helper()
		r, _ := c.serviceToldBefore(service, stacks, false)
		held, _ := c.toldBefore(container)
		if (r != nil) != wantService || (held != nil) != wantContainer {
			t.Errorf("%s: the service is known: %v, the container: %v; want %v, %v", when, r != nil, held != nil, wantService, wantContainer)
		}
	}
	c.follow(setOf([]Key{key}))
	expect("nothing was listed", false, false)
	list()
	list()
	expect("listed twice", true, true)
	if r, _ := c.serviceToldBefore(service, stacks, true); r != nil {
		t.Error("secrets are hidden now, and the service is taken for known")
	}
	if r, _ := c.serviceToldBefore(service, map[string]string{"1st5": "store"}, false); r != nil {
		t.Error("the stack has another name, and the service is taken for known")
	}
	if r, _ := c.serviceToldBefore(append(service, ' '), stacks, false); r != nil {
		t.Error("other bytes are taken for a known service")
	}
	if held, _ := c.toldBefore(append(container, ' ')); held != nil {
		t.Error("other bytes are taken for a known container")
	}
	c.apply(event{service: &s}, false)
	c.apply(event{container: &w}, false)
	expect("events came since", false, false)
	list()
	list()
	expect("listed again", true, true)
	c.follow(setOf([]Key{key, {"shop", "api"}}))
	expect("another service is followed", false, false)
}

// TestListingWithoutNews makes nothing anew, however much is held; and what a listing
// lacks is still missed.
func TestListingWithoutNews(t *testing.T) {
	const services = 200
	c := newCache()
	again := held(c, listingOf(services, 1))
	if len(c.services) != services || len(c.containers) != services {
		t.Fatalf("%d services with %d containers are held, want %d with one each", len(c.services), len(c.containers), services)
	}
	if n := c.replace(again, time.Time{}); len(n.changed) != 0 {
		t.Errorf("a listing without news changed %v", n.changed)
	}
	if made := testing.AllocsPerRun(10, func() { c.replace(again, time.Time{}) }); made > 1 {
		t.Errorf("a listing without news makes %v things anew", made)
	}

	short := again
	short.still = slices.DeleteFunc(slices.Clone(again.still), func(id string) bool { return id == "1i7" })
	if n := c.replace(short, time.Time{}); !slices.Equal(n.changed, []Key{{"shop", "svc-7"}}) {
		t.Errorf("without the container of svc-7 a listing changed %v", n.changed)
	}
}
