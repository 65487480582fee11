package rancher

import (
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestLoadBalancerRollbackGoesThroughServices: its own address would bring the old container back and keep the new
// launch configuration (rancher-api 3.8, recording 12-load-balancer).
func TestLoadBalancerRollbackGoesThroughServices(t *testing.T) {
	inSim(t, InformerOptions{}, nil, func(w *simWorld) {
		stack := w.stack("shop")
		w.do("POST", "/loadbalancerservices", `{"name":"lb","stackId":"`+stack+`","startOnCreate":true,"scale":1,
			"launchConfig":{"imageUuid":"docker:rancher/lb-service-haproxy:v0.9.14","ports":["80:80/tcp"]},"lbConfig":{"portRules":[]}}`)
		time.Sleep(time.Minute)
		w.client.Allow(Key{"shop", "lb"})
		before := w.client.Service(w.t.Context(), "shop", "lb")
		if before.Problem != nil || before.Type != "loadBalancerService" || before.State != observe.StateActive {
			w.t.Fatalf("the load balancer is %+v", before)
		}
		spec := specFor(before.ID)
		p, err := w.client.PrepareUpgrade(w.t.Context(), spec)
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.client.Upgrade(w.t.Context(), p); err != nil {
			w.t.Fatal(err)
		}
		w.sleepHealthy()
		if _, err := w.client.Rollback(w.t.Context(), before.ID); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		after := w.client.Service(w.t.Context(), "shop", "lb")
		if after.State != observe.StateActive || after.Launch.Image != before.Launch.Image || after.Launch.Version != before.Launch.Version {
			w.t.Errorf("after the rollback the load balancer is %s with %+v, want %+v", after.State, after.Launch, before.Launch)
		}
		for _, r := range w.requests() {
			if strings.Contains(strings.ToLower(r), "loadbalancerservices") {
				w.t.Errorf("%s was sent", r)
			}
		}
	})
}

// sleepHealthy reports every container healthy until an upgrade is over.
func (w *simWorld) sleepHealthy() {
	for range 60 {
		time.Sleep(time.Second)
		for _, c := range w.server.Containers() {
			_ = w.server.ReportHealth(c.ID, true)
		}
	}
}
