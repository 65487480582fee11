package observe

import (
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

func TestQueriesNameTheContainersOfEachVersion(t *testing.T) {
	containers := []Container{
		{ID: "1i1", Name: "chat-1", Version: "v1", State: "running", IP: "10.42.0.1"},
		{ID: "1i2", Name: "chat.2", Version: "v2", State: "running", IP: "10.42.0.2"},
		{ID: "1i3", Name: "chat-3", Version: "v2", State: "running", IP: "10.42.0.3"},
		{ID: "1i4", Name: "side", Version: "v2", LaunchName: "side", State: "running", IP: "10.42.0.4"},
		{ID: "1i5", Name: "chat-4", Version: "v2", State: "stopped", IP: "10.42.0.5"},
	}
	ratio := 2.0
	for name, c := range map[string]struct {
		gate      desired.PrometheusGate
		version   string
		want, old string
	}{
		"addresses": {
			desired.PrometheusGate{Query: `rate(e{instance=~"($ips):8080"}[1m])`, MaxRatio: &ratio},
			"v2",
			`rate(e{instance=~"(10[.]42[.]0[.]2|10[.]42[.]0[.]3):8080"}[1m])`, `rate(e{instance=~"(10[.]42[.]0[.]1):8080"}[1m])`,
		},
		"no ratio, so no old": {desired.PrometheusGate{Query: `e{id=~"$ids"}`}, "v2", `e{id=~"1i2|1i3"}`, ""},
		"own query of the old": {
			desired.PrometheusGate{Query: `e{name=~"$names"}`, OldQuery: `e{name=~"$names"} offset 1h`},
			"v2",
			`e{name=~"chat[.]2|chat-3"}`, `e{name=~"chat-1"} offset 1h`,
		},
		"old query of no containers": {
			desired.PrometheusGate{Query: `e{name=~"$names"}`, OldQuery: `e{service="$stack/$service"} offset 1d`, MaxRatio: &ratio},
			"v1",
			`e{name=~"chat-1"}`, `e{service="gf-chat/parrot-rest"} offset 1d`,
		},
		// A pattern of nothing would match every series.
		"no new container":                   {desired.PrometheusGate{Query: `e{ip=~"$ips"}`, MaxRatio: &ratio}, "v3", "", `e{ip=~"10[.]42[.]0[.]1|10[.]42[.]0[.]2|10[.]42[.]0[.]3"}`},
		"a query that tells versions itself": {desired.PrometheusGate{Query: `e{version="2"}`, MaxRatio: &ratio}, "v2", `e{version="2"}`, ""},
		"no placeholder":                     {desired.PrometheusGate{Query: `e{x=~"$ipsum"}`}, "v3", `e{x=~"$ipsum"}`, ""},
	} {
		target := desired.Target{Stack: "gf-chat", Service: "parrot-rest"}
		target.Gates.Prometheus = []desired.PrometheusGate{c.gate}
		got := metricQueries(target, containers, c.version)[0]
		if got.New != c.want {
			t.Errorf("%s: new = %s, want %s", name, got.New, c.want)
		}
		if got.Old != c.old {
			t.Errorf("%s: old = %s, want %s", name, got.Old, c.old)
		}
	}
}
