package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/sandbox"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestActingOnRancherAlone goes through every verb without a daemon: what a person
// can still do when Drover is down, on a service that nobody targets.
func TestActingOnRancherAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("plays rollouts")
	}
	t.Parallel()
	b := newBenchOf(t, sandbox.Options{CheckInterval: 100 * time.Millisecond, Scale: 1, Speed: 4})
	i := b.world.Info()
	// Nobody targets the service that is acted on.
	b.write(strings.Replace(fmt.Sprintf(demoConfig, i.Rancher, filepath.ToSlash(b.dir), i.Registry, i.Stats, i.StatsUser, i.Image),
		"service: parrot-rest", "service: another", 1))
	const key = "gf-chat/parrot-rest"
	b.drover(exitRefused, "finish", key)
	b.drover(exitRefused, "cancel", key)
	if out := b.drover(exitRefused, "rollback", key); !strings.Contains(out, "no journal") {
		t.Errorf("a rollback of nothing says %q", out)
	}

	good := b.push("serve")
	fast := []string{"--interval", "100ms"}
	out := b.drover(exitOK, append([]string{"upgrade", key, "--json"}, fast...)...)
	if got := b.result(out); got.Outcome != "upgraded" || got.Through != "rancher" || !strings.Contains(strings.Join(got.Says, " "), "no daemon is running") {
		t.Errorf("upgrade says %s", out)
	}
	b.shows(good, observe.StateUpgraded)
	b.drover(exitRefused, "upgrade", key)
	b.drover(exitOK, "finish", key)
	b.shows(good, observe.StateActive)
	if out := b.drover(exitOK, "upgrade", key); !strings.Contains(out, "nothing to do") {
		t.Errorf("an upgrade to what runs says %q", out)
	}

	never := b.push("never-healthy")
	if out := b.drover(exitTimeout, append([]string{"upgrade", key, "--timeout", "2s"}, fast...)...); !strings.Contains(out, "not upgraded in time") {
		t.Errorf("an upgrade that hangs says %q", out)
	}
	b.shows(never, observe.StateUpgrading)
	b.drover(exitRefused, "finish", key)
	b.drover(exitOK, "cancel", key)
	b.shows(never, observe.StateCanceledUpgrade)
	b.drover(exitOK, "rollback", key)
	b.shows(good, observe.StateActive)

	b.keepsSecrets()
}

// result reads what --json printed, behind what was said on standard error.
func (b *bench) result(out string) acted {
	b.t.Helper()
	var got acted
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &got); err != nil {
		b.t.Fatalf("%v in %s", err, out)
	}
	return got
}

// shows expects what Rancher shows of the service.
func (b *bench) shows(digest string, state observe.ServiceState) {
	b.t.Helper()
	s := b.client().Service(b.t.Context(), sandbox.Stack, sandbox.Service)
	if s.State != state || digestIn(s.Launch.Image) != digest {
		b.t.Fatalf("the service is %s on %s, want %s on %s\n%s", s.State, s.Launch.Image, state, digest, &b.said)
	}
}
