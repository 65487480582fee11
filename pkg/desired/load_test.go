package desired

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// valid is a small file with most kinds of value in it.
const valid = `apiVersion: drover/v1
rancher:
  url: http://rancher.example:8080
  accessKey: {env: KEY}
  secretKey: {file: /run/secrets/key}
loadBalancers:
- name: front
  stats: http://lb.example/admin?stats
defaults:
  rollout: {bake: 10m, finish: auto, startFirst: true}
targets:
- stack: web
  service: api
  image: registry.example/team/api:latest
  gates:
    loadBalancer: {name: front, maxErrorRate: 1%}
    http: {port: 8080, path: /healthz}
`

func mustParse(t testing.TB, text string) *Config {
	t.Helper()
	c, err := Parse("targets.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestShippedFile(t *testing.T) {
	c, err := Load(root + "config/targets.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings()) != 0 {
		t.Errorf("warnings about the shipped file: %v", c.Warnings())
	}
	got, ok := c.Target("gf-chat/parrot-rest")
	if !ok {
		t.Fatal("the shipped file has no gf-chat/parrot-rest")
	}
	want := Target{
		Name: "parrot-rest", Stack: "gf-chat", Service: "parrot-rest",
		Image:    "docker.gf.com.cn/clickeggs/parrot-rest:latest",
		Platform: "linux/amd64", FirstSight: Adopt,
		Rollout: Rollout{
			BatchSize: 1, Interval: Seconds(5), StartFirst: pointer(true), Settle: pointer(Seconds(5)),
			Look: Seconds(2), Bake: minutes(10), Probation: pointer(minutes(60)),
			ProgressDeadline: minutes(30), NoDataLimit: minutes(5), RollbackDeadline: minutes(5),
			Backoff: pointer(minutes(15)), RollbacksPerDay: 2, Finish: FinishAuto,
			ApprovalTimeout: minutes(60), OnApprovalTimeout: TimeoutRollback, OnDeadline: TimeoutRollback, OnSameLayers: SameLayersAllow,
		},
		Gates: Gates{
			Health:       &HealthGate{MinHealthyTime: Seconds(30), Deadline: minutes(5), MaxRestarts: pointer(0)},
			LoadBalancer: &LoadBalancerGate{Name: "chat", MaxErrorRate: pointer(Percent(0.01)), MinRequests: 299, ProbesCount: pointer(true), Shadow: pointer(Seconds(30))},
			HTTP:         &HTTPGate{Port: 8080, Path: "/healthz", Every: Seconds(2), Timeout: Seconds(1), FailureThreshold: 3, WarmUp: pointer(Seconds(30)), MaxSlowdown: pointer(1.3)},
			Logs:         &LogsGate{Fail: []string{"UnhandledPromiseRejection", "^panic: "}, Novelty: NoveltyReport},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Target = %s\nwant %s", asJSON(t, got), asJSON(t, want))
	}
	if want := (Limits{RolloutsPerEnvironment: 3, RolloutsPerLoadBalancer: 1, RollbacksPerHour: 3}); c.Limits != want {
		t.Errorf("Limits = %+v, want %+v", c.Limits, want)
	}
	if c.Rancher.Timeout != Seconds(10) || c.Rancher.Relist != minutes(5) {
		t.Errorf("Rancher timeout %s, relist %s, want 10s and 5m", c.Rancher.Timeout, c.Rancher.Relist)
	}
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDefaultsAreMergedKeyByKey(t *testing.T) {
	c := mustParse(t, `apiVersion: drover/v1
rancher: {url: http://rancher.example, accessKey: {env: A}, secretKey: {env: B}}
loadBalancers: [{name: front, stats: [http://lb1.example/s, http://lb2.example/s]}]
defaults:
  firstSight: deploy
  platform: linux/arm64
  rollout: {bake: 5m, settle: 0s, startFirst: true}
  gates:
    health: {deadline: 2m}
    loadBalancer: {name: front, probesCount: false}
    http: {port: 80, every: 500ms, headers: {Accept: text/plain, X-Probe: "1"}}
    logs: {fail: [panic]}
targets:
- {stack: a, service: one, image: 'r.example/one:v1'}
- stack: a
  service: two
  image: r.example/two:v1
  platform: linux/amd64
  rollout: {bake: 20m, startFirst: false}
  gates:
    health: {maxRestarts: 2}
    http: {port: 8080, headers: {X-Probe: "2"}}
    logs: {fail: [fatal]}
- stack: b
  service: slow
  image: r.example/slow:v1
  rollout: {bake: 30m}
`)
	one, two, slow := c.Targets[0], c.Targets[1], c.Targets[2]
	for _, check := range []struct {
		what      string
		got, want any
	}{
		{"inherited first sight", one.FirstSight, Deploy},
		{"inherited platform", one.Platform, "linux/arm64"},
		{"own platform", two.Platform, "linux/amd64"},
		{"inherited bake", one.Rollout.Bake, minutes(5)},
		{"own bake", two.Rollout.Bake, minutes(20)},
		{"inherited zero", *two.Rollout.Settle, Duration{}},
		{"own false over inherited true", *two.Rollout.StartFirst, false},
		{"deadline that its bake needs", slow.Rollout.ProgressDeadline, minutes(64)},
		{"deadline not needed longer", one.Rollout.ProgressDeadline, minutes(30)},
		{"inherited key in an own gate", two.Gates.Health.Deadline, minutes(2)},
		{"own key beside it", *two.Gates.Health.MaxRestarts, 2},
		{"gate from defaults", one.Gates.HTTP.Port, 80},
		{"probe ends before the next", one.Gates.HTTP.Timeout, Duration{500 * time.Millisecond}},
		{"mapping merged", two.Gates.HTTP.Headers, map[string]string{"Accept": "text/plain", "X-Probe": "2"}},
		{"defaults' mapping untouched", one.Gates.HTTP.Headers["X-Probe"], "1"},
		{"list replaced", two.Gates.Logs.Fail, []string{"fatal"}},
		{"inherited false", *one.Gates.LoadBalancer.ProbesCount, false},
		{"evidence for 5%", one.Gates.LoadBalancer.MinRequests, 59},
		{"name from the service", one.Name, "one"},
		{"two pages", len(c.LoadBalancers[0].Stats), 2},
	} {
		if !reflect.DeepEqual(check.got, check.want) {
			t.Errorf("%s = %v, want %v", check.what, check.got, check.want)
		}
	}
	if one.Gates.Health != slow.Gates.Health || one.Rollout.Settle != slow.Rollout.Settle {
		t.Error("two targets keep a copy each of what they say alike")
	}
	if one.Gates.Health == two.Gates.Health || one.Rollout.StartFirst == two.Rollout.StartFirst {
		t.Error("two targets share what they do not say alike")
	}
}

func TestRegistry(t *testing.T) {
	c := mustParse(t, valid+"registries: [{host: 'Registry.example:5000', plainHTTP: true, poll: 1m}]\n")
	if r := c.Registry("registry.example:5000"); !r.PlainHTTP || r.Poll != minutes(1) || r.Concurrency == 0 {
		t.Errorf("Registry of a listed host = %+v", r)
	}
	if r := c.Registry("other.example"); r.PlainHTTP || r.Host != "other.example" || r.Poll != Seconds(30) {
		t.Errorf("Registry of an unlisted host = %+v, want HTTPS every 30s", r)
	}
}

func TestTargetLookup(t *testing.T) {
	c := mustParse(t, strings.Replace(valid, "- stack: web", "- name: front-api\n  stack: web", 1))
	for name, want := range map[string]bool{"front-api": true, "web/api": true, "WEB/API": true, "api": false, "web/": false, "": false} {
		if _, got := c.Target(name); got != want {
			t.Errorf("Target(%q) found = %v, want %v", name, got, want)
		}
	}
	if _, ok := c.LoadBalancer("front"); !ok {
		t.Error("LoadBalancer(front) not found")
	}
	if _, ok := c.LoadBalancer("back"); ok {
		t.Error("LoadBalancer(back) found, but there is none")
	}
}

// TestTargetRoundTrip: the journal holds a rollout's policy as JSON, and what is
// read back must judge as what was written.
func TestTargetRoundTrip(t *testing.T) {
	for _, want := range mustParse(t, valid).Targets {
		var got Target
		if err := json.Unmarshal([]byte(asJSON(t, want)), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("read back %s\nwant %s", asJSON(t, got), asJSON(t, want))
		}
		if got.PolicyHash() != want.PolicyHash() {
			t.Errorf("PolicyHash = %s, want %s", got.PolicyHash(), want.PolicyHash())
		}
	}
}

func TestPolicyHash(t *testing.T) {
	before := mustParse(t, valid).Targets[0]
	if got, want := before.PolicyHash(), "bed52bd8d1c7"; got != want {
		t.Errorf("PolicyHash = %s, want %s: running rollouts would be taken for ones under another policy", got, want)
	}
	for change, to := range map[string]string{"bake: 10m": "bake: 11m", "maxErrorRate: 1%": "maxErrorRate: 2%", "port: 8080": "port: 8081"} {
		if after := mustParse(t, strings.Replace(valid, change, to, 1)).Targets[0]; after.PolicyHash() == before.PolicyHash() {
			t.Errorf("%s has the hash of %s", to, change)
		}
	}
	for change, to := range map[string]string{"api:latest": "api:stable", "bake: 10m": "bake: 600s", "maxErrorRate: 1%": "maxErrorRate: 1%, shadow: 0s", "finish: auto": "finish: auto, onSameLayers: hold", "- stack: web": "- hold: holidays\n  stack: web"} {
		if after := mustParse(t, strings.Replace(valid, change, to, 1)).Targets[0]; after.PolicyHash() != before.PolicyHash() {
			t.Errorf("%s has another hash than %s, but the policy is the same", to, change)
		}
	}
}

func TestPercentAndDurationText(t *testing.T) {
	for text, want := range map[string]string{"7%": "7%", "0.07": "7%", "0.015": "1.5%", "33.3333333%": "33.3333333%"} {
		p, err := parsePercent(text)
		if err != nil || p.String() != want {
			t.Errorf("parsePercent(%q) = %s, %v, want %s", text, p, err, want)
		}
		var back Percent
		if err := json.Unmarshal([]byte(asJSON(t, p)), &back); err != nil || asJSON(t, back) != asJSON(t, p) {
			t.Errorf("%s read back = %s, %v", p, back, err)
		}
	}
	for want, d := range map[string]time.Duration{
		"10m": 10 * time.Minute, "1h": time.Hour, "1h30m": 90 * time.Minute, "1h0m5s": time.Hour + 5*time.Second,
		"0s": 0, "1m30s": 90 * time.Second, "20s": 20 * time.Second, "100ms": 100 * time.Millisecond, "10h": 10 * time.Hour,
	} {
		if got := (Duration{d}).String(); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	for name, test := range map[string]struct{ from, to, want string }{
		"little evidence from probes": {"port: 8080", "port: 8080, every: 5s", "targets.yaml:17: targets[0].gates.http.every: needs 299 requests, and a container is probed only 120 times in a bake (10m, every 5s): the rest must come from users or further containers"},
		"no probes":                   {"    http: {port: 8080, path: /healthz}\n", "", "targets.yaml:16: targets[0].gates.loadBalancer.maxErrorRate: needs 299 requests from users in every bake: without that traffic no rollout finishes; add gates.http to fill up with probes"},
		"long bake in defaults":       {"bake: 10m", "bake: 2h", "targets.yaml:10: defaults.rollout.bake: bake (2h) is long: Rancher does not replace failed containers of a service in upgraded"},
		"few looks":                   {"bake: 10m", "look: 30s, bake: 4m", "targets.yaml:10: defaults.rollout.bake: bake (4m) holds fewer than ten looks (one every 30s): little to judge by"},
		"Docker Hub":                  {"registry.example/team/api:latest", "api:latest", "targets.yaml:14: targets[0].image: names no registry, so Docker Hub's docker.io/library/api:latest is followed"},
		"blind until the deadline":    {"bake: 10m", "bake: 10m, noDataLimit: 45m", "targets.yaml:10: defaults.rollout.noDataLimit: noDataLimit (45m) is never reached before progressDeadline (30m)"},
	} {
		text := strings.Replace(valid, test.from, test.to, 1)
		if got := mustParse(t, text).Warnings().Error(); !strings.Contains("\n"+got+"\n", "\n"+test.want+"\n") {
			t.Errorf("%s: Warnings =\n%s\nwant\n%s", name, got, test.want)
		}
	}
	if w := mustParse(t, valid).Warnings(); len(w) != 0 {
		t.Errorf("warnings about the valid file: %v", w)
	}
}

func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	folder := t.TempDir()
	large := filepath.Join(folder, "large.yaml")
	if err := os.WriteFile(large, []byte(strings.Repeat("#", maxFileSize+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(folder, "absent.yaml"): "cannot be read: no such file or directory",
		large:                                "cannot be read: larger than 1048576 bytes",
		folder:                               "cannot be read: not a regular file",
	} {
		// Where it was looked for in full: it is not where somebody thinks it is.
		if _, err := Load(path); err == nil || err.Error() != path+": "+want {
			t.Errorf("Load = %v, want %s: %s", err, path, want)
		}
	}
}

// TestDecoderAgrees: the tree decides what is right, sigs.k8s.io/yaml reads the
// values, and the two parsers behind them know different versions of YAML.
func TestDecoderAgrees(t *testing.T) {
	for _, text := range []string{"'yes'", `"on"`, "'1_000'", "'0x10'", "'null'", "'2001-01-01'", "2001-01-01", "1:30", "0o7x", ">-\n    folded\n    text", "|-\n    literal"} {
		c, err := Parse("targets.yaml", []byte(strings.Replace(valid, "- stack: web", "- stack: web\n  hold: "+text, 1)))
		if err != nil {
			t.Errorf("hold: %s: %v", text, err)
			continue
		}
		var want string
		if err := yaml.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if got := c.Targets[0].Hold; got != want {
			t.Errorf("hold: %s = %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"yes", "on", "N", "1_000", "0x10", "010", "~", "1e3", ".inf", "!!str 5", "0b1", "+1"} {
		if c, err := Parse("targets.yaml", []byte(strings.Replace(valid, "- stack: web", "- stack: web\n  hold: "+text, 1))); err == nil {
			t.Errorf("hold: %s is read as %q, want an error", text, c.Targets[0].Hold)
		}
	}
}

func large(n int) []byte {
	var b strings.Builder
	b.WriteString(strings.SplitAfter(valid, "targets:\n")[0])
	for i := range n {
		fmt.Fprintf(&b, "- stack: stack-%03d\n  service: service-%04d\n  image: registry.example/team-%02d/service-%04d:latest\n  gates: {http: {port: %d, path: /healthz}}\n", i%100, i, i%50, i, 1024+i)
	}
	return []byte(b.String())
}

func TestFiveThousandTargetsLoadSoon(t *testing.T) {
	text := large(5000)
	start := time.Now()
	c, err := Parse("targets.yaml", text)
	took := time.Since(start)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Targets) != 5000 {
		t.Fatalf("%d targets, want 5000", len(c.Targets))
	}
	t.Logf("%d bytes in %v", len(text), took)
	// A bound for a loaded machine and the race detector; BenchmarkParse measures.
	if took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func BenchmarkParse5000(b *testing.B) {
	text := large(5000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("targets.yaml", text); err != nil {
			b.Fatal(err)
		}
	}
}
