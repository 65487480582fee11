package controller

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// balancer is a load balancer of which every look tells the same.
type balancer struct{ observe.LoadBalancer }

func (b balancer) Read(context.Context, string, string, []observe.Container) observe.LoadBalancer {
	return b.LoadBalancer
}

// TestShadowedTargetsAreAtRest: a target of shadow mode that has nothing to do keeps of a look no more than what the
// load balancer counted of its own servers, for those who watch it.
func TestShadowedTargetsAreAtRest(t *testing.T) {
	w := newWorld()
	const text = `apiVersion: drover/v1
rancher: {url: http://rancher.example, accessKey: {env: A}, secretKey: {env: S}}
loadBalancers: [{name: lb, stats: "http://lb.example/admin?stats"}]
targets:
- {name: one, stack: chat, service: one, image: "docker.gf.com.cn/clickeggs/parrot-rest:latest", gates: {loadBalancer: {name: lb}}}
`
	config, err := desired.Parse("targets.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	seen := balancer{observe.LoadBalancer{
		Servers:      []observe.Server{{Container: "1ione", Instance: "lb", Proxy: "one", Name: "1", Status: observe.ServerUp, Delta: observe.Counts{Requests: 40}}},
		OtherProxies: []observe.ProxyCounts{{Proxy: "two", Counts: observe.Counts{Requests: 7}}},
		Others:       observe.Counts{Requests: 7},
	}}
	now := time.Now()
	core := NewCore(Parts{
		Observer: &observe.Observer{Images: w, Services: w, Balancers: seen}, Rancher: w, Journal: w,
		Self: "drover-test", Log: logr.Discard(), Now: func() time.Time { return now },
	}, config, nil)
	for range 3 {
		again, err := core.Step(t.Context(), "chat/one")
		if err != nil || again <= 0 || again > 30*time.Second {
			t.Fatalf("the next look is in %s (%v), want within 30 s", again, err)
		}
		now = now.Add(again)
	}
	s := core.state("chat/one")
	if s.last != nil || s.memory != nil {
		t.Errorf("a target with nothing to do keeps its report %+v and its memory %+v", s.last, s.memory)
	}
	last := core.Last("chat/one")
	if last.Decision.Code != reconcile.CodeNothingToDo || last.Observed.Service.Name != "one" {
		t.Errorf("last = %+v", last)
	}
	if got := last.Observed.LoadBalancer; !reflect.DeepEqual(got.Servers, seen.Servers) || got.Others != seen.Others || got.OtherProxies != nil {
		t.Errorf("the load balancer of the last look is %+v, want its servers without the neighbours", got)
	}
}

// TestTargetsAreFoundWhereTheyStand, also when a reload has put them elsewhere or taken them away.
func TestTargetsAreFoundWhereTheyStand(t *testing.T) {
	parse := func(services ...string) *desired.Config {
		text := "apiVersion: drover/v1\nrancher: {url: http://rancher.example, accessKey: {env: A}, secretKey: {env: S}}\ntargets:\n"
		for _, name := range services {
			text += "- {name: the-" + name + ", stack: chat, service: " + name + ", image: \"docker.gf.com.cn/clickeggs/parrot-rest:latest\"}\n"
		}
		c, err := desired.Parse("targets.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	core := NewCore(Parts{Log: logr.Discard(), Now: time.Now}, parse("one", "two", "three"), nil)
	for _, config := range []*desired.Config{core.Config(), parse("three", "four", "one"), parse("one"), parse("one", "two")} {
		core.Configure(config)
		for _, name := range []string{"one", "two", "three", "four", "five"} {
			got, ok := core.target("chat/" + name)
			want, isListed := config.Target("chat/" + name)
			if ok != isListed || !reflect.DeepEqual(got, want) {
				t.Errorf("of %d targets chat/%s is %q (%t), want %q (%t)", len(config.Targets), name, got.Name, ok, want.Name, isListed)
			}
			if s := core.states["chat/"+name]; isListed && config.Targets[s.place].Service != name {
				t.Errorf("chat/%s is said to stand at %d of %d", name, s.place, len(config.Targets))
			}
		}
	}
}
