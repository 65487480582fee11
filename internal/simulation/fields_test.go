package simulation

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// keysOf are the paths of all keys of a struct type.
func keysOf(path string, t reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[desired.Duration]() {
		return []string{path}
	}
	var keys []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		keys = append(keys, keysOf(path+"."+name, t.Field(i).Type)...)
	}
	return keys
}

// A key that the table does not know would be taken for one that was not read.
func TestEveryKeyHasItsKind(t *testing.T) {
	keys := append(keysOf("rollout", reflect.TypeFor[desired.Rollout]()), keysOf("gates", reflect.TypeFor[desired.Gates]())...)
	slices.Sort(keys)
	known := slices.Sorted(maps.Keys(kinds))
	if !slices.Equal(keys, known) {
		t.Errorf("keys of the types:\n%s\nkeys of the table:\n%s", strings.Join(keys, "\n"), strings.Join(known, "\n"))
	}
}

const withAllGates = `apiVersion: drover/v1
rancher: {url: http://rancher.example, accessKey: {env: A}, secretKey: {env: S}}
loadBalancers: [{name: front, stats: http://lb.example/stats}, {name: back, stats: http://lb.example/stats}]
prometheus: [{name: prom, url: http://prom.example}]
checks: [{name: smoke, webhook: {url: http://smoke.example}}, {name: load, webhook: {url: http://load.example}}]
targets:
- stack: chat
  service: api
  image: r.example/team/api:latest
  rollout: {bake: 90s}
  gates:
    loadBalancer: {name: front, maxErrorRate: 5%}
    http: {port: 80, path: /a, headers: {X-Probe.a: drover}}
    tcp: {port: 81}
    logs: {fail: [panic], novelty: "off"}
    prometheus: [{name: lag, server: prom, query: lag, max: 3}]
    checks: [smoke]
`

// TestAdapt edits one thing at a time: what the change is called, and which gate
// takes no part for it.
func TestAdapt(t *testing.T) {
	tests := []struct {
		replace, with string
		changed       string
		blind         string
	}{
		{"bake: 90s", "bake: 5m", "rollout.bake 1m30s → 5m", ""},
		{"bake: 90s", "bake: 90s, look: 9s", "rollout.look 2s → 9s", ""},
		{"maxErrorRate: 5%", "maxErrorRate: 1%", "gates.loadBalancer.maxErrorRate 5% → 1%", ""},
		{"name: front, max", "name: back, max", "gates.loadBalancer.name front → back", "loadBalancer"},
		{"path: /a", "path: /b", "gates.http.path /a → /b", "http"},
		{"path: /a", "path: /a, statuses: [204]", "gates.http.statuses[0] none → 204", ""},
		{"path: /a", "path: /a, every: 9s", "gates.http.every 2s → 9s", ""},
		{"X-Probe.a: drover", "X-Probe.a: me", "gates.http.headers[X-Probe.a] drover → me", "http"},
		{"    tcp: {port: 81}\n", "", "gates.tcp on → none", ""},
		{"port: 81}", "port: 81, failureThreshold: 9}", "gates.tcp.failureThreshold 3 → 9", ""},
		{"tcp: {port: 81}", "tcp: {port: 82}", "gates.tcp.port 81 → 82", "tcp"},
		{"fail: [panic]", "fail: [panic, fatal]", "gates.logs.fail[1] none → fatal", "logs"},
		{`novelty: "off"`, "novelty: hold", "gates.logs.novelty off → hold", "logs"},
		{"max: 3", "max: 4", "gates.prometheus[0].max 3 → 4", ""},
		{"max: 3", "max: 3, maxRatio: 2", "gates.prometheus[0].maxRatio none → 2", "prometheus"},
		{"query: lag", "query: lag2", "gates.prometheus[0].query lag → lag2", "prometheus"},
		{"checks: [smoke]", "checks: [load, smoke]", "gates.checks[load] none → called", "checks"},
		{"    checks: [smoke]\n", "", "gates.checks[smoke] called → none", ""},
	}
	was := target(t, withAllGates)
	without := target(t, strings.Replace(withAllGates, "    tcp: {port: 81}\n", "", 1))
	if all := changes(&without, &was); len(all) != 1 || all[0].String() != "gates.tcp none → on" || all[0].kind != read {
		t.Errorf("a gate that came: changes = %v, want one that was not read", all)
	}
	for _, tt := range tests {
		text := strings.Replace(withAllGates, tt.replace, tt.with, 1)
		if text == withAllGates {
			t.Fatalf("%q is not in the text", tt.replace)
		}
		is := target(t, text)
		all := changes(&was, &is)
		var said []string
		for _, c := range all {
			said = append(said, c.String())
		}
		if !slices.Contains(said, tt.changed) {
			t.Errorf("%s: changes = %q, want %q", tt.with, said, tt.changed)
		}
		got, unread := adapt(&was, &is, all)
		blind := map[string]bool{}
		for _, c := range unread {
			blind[gateOf(c.Path)] = true
		}
		if names := strings.Join(slices.Sorted(maps.Keys(blind)), ","); names != tt.blind {
			t.Errorf("%s: gates that were not read = %q, want %q", tt.with, names, tt.blind)
		}
		if is.Gates.HTTP != nil && (got.Gates.HTTP == nil) != blind["http"] || got.Rollout.Look != was.Rollout.Look ||
			got.Gates.HTTP != nil && got.Gates.HTTP.Every != was.Gates.HTTP.Every || len(got.Gates.Checks) > 1 {
			t.Errorf("%s: the policy to decide with is %+v", tt.with, got.Gates)
		}
	}
}

// TestPolicyOfBeforeLayers: what a Drover recorded that did not compare layers is not
// edited by the default, and is by another value.
func TestPolicyOfBeforeLayers(t *testing.T) {
	was, is := target(t, withAllGates), target(t, withAllGates)
	was.Rollout.OnSameLayers = ""
	if all := changes(&was, &is); len(all) != 0 {
		t.Errorf("changes = %v, want none", all)
	}
	is.Rollout.OnSameLayers = desired.SameLayersHold
	if all := changes(&was, &is); len(all) != 1 || all[0].String() != "rollout.onSameLayers allow → hold" || all[0].kind != outside {
		t.Errorf("changes = %v, want one that matters between rollouts", all)
	}
	if was.Rollout.OnSameLayers != "" {
		t.Error("the recorded policy was changed")
	}
}

func target(t *testing.T, text string) desired.Target {
	t.Helper()
	config, err := desired.Parse("targets.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return config.Targets[0]
}
