package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestLiveValidationSaysWhichGateWouldBeBlind: one gate of each kind that sees,
// and one of each that does not, with the reason.
func TestLiveValidationSaysWhichGateWouldBeBlind(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a sandbox")
	}
	b := newBench(t)
	i := b.world.Info()
	write := func(gates, more string) {
		text := fmt.Sprintf(demoConfig, i.Rancher, filepath.ToSlash(b.dir), i.Registry, i.Stats, i.StatsUser, i.Image)
		head, _, ok := strings.Cut(text, "    http: {port")
		if !ok {
			t.Fatal("the demo's configuration has no http gate")
		}
		b.write(strings.Replace(head, "targets:\n", more+"targets:\n", 1) + gates)
	}
	write(`    http: {port: 8080, path: /healthz, every: 500ms}
    tcp: {port: 8080, every: 500ms}
    logs: {fail: ['^panic: ']}
    checks: [smoke]
`, "checks:\n- name: smoke\n  command: {run: [sh]}\n")
	out := b.drover(exitOK, "validate", "--live")
	for _, want := range []string{
		"ok    gf-chat/parrot-rest gate http: sees what runs now",
		"ok    gf-chat/parrot-rest gate tcp: sees what runs now",
		"ok    gf-chat/parrot-rest gate logs: reads the log of gf-chat-parrot-rest-",
		"ok    gf-chat/parrot-rest check smoke: can be called",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("validate --live does not say %q:\n%s", want, out)
		}
	}
	write(`    http: {port: 8080, path: /healthz, every: 500ms, expectBody: '^never this$'}
    tcp: {port: 9, every: 500ms}
    prometheus:
    - {name: errors, server: main, query: up, max: 1, every: 1s, failureThreshold: 1}
    checks: [smoke, hook]
`, `checks:
- name: smoke
  command: {run: [/no/such/program]}
- name: hook
  webhook: {url: 'http://127.0.0.1:1/hook'}
prometheus:
- name: main
  url: http://127.0.0.1:1
`)
	out = b.drover(exitFailed, "validate", "--live")
	for _, want := range []string{
		"gate http: would be blind: no container that runs now has given a good answer to a probe: status 200",
		"its body does not match ^never this$",
		"gate tcp: would be blind: no container that runs now has given a good answer to a TCP probe: ",
		"gate prometheus errors: would be blind: prometheus errors: asking Prometheus main:",
		"check smoke: would be blind: the command cannot be run:",
		"check hook: would be blind: the webhook's host is not reached:",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("validate --live does not say %q:\n%s", want, out)
		}
	}
}
