package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/sandbox"
)

// TestWaitIsTheBridgeForPipelines: quiet on success, evidence on failure, one exit
// code per outcome; with the daemon and on Rancher alone.
func TestWaitIsTheBridgeForPipelines(t *testing.T) {
	if testing.Short() {
		t.Skip("plays rollouts")
	}
	t.Parallel()
	b := newBenchOf(t, sandbox.Options{CheckInterval: 100 * time.Millisecond, Scale: 1, Speed: 4})
	i := b.world.Info()
	text := strings.Replace(fmt.Sprintf(demoConfig, i.Rancher, filepath.ToSlash(b.dir), i.Registry, i.Stats, i.StatsUser, i.Image), "bake: 5s", "bake: 3s", 1)
	b.write(strings.Replace(text, "    loadBalancer: {name: chat, maxErrorRate: 5%}\n", "", 1))
	stop := b.daemon()
	b.awaitStatus(`"nothing-to-do"`)

	good := b.push("serve")
	if out := b.drover(exitOK, "wait", "--image", i.Image, "--digest", good); out != "" {
		t.Errorf("a wait that came to its end says %q, want nothing", out)
	}
	if out := b.drover(exitOK, "wait", "parrot-rest", "--digest", good, "--json"); !strings.Contains(out, `"outcome": "finished"`) {
		t.Errorf("a wait for what is over says %s", out)
	}

	bad := b.push("unhealthy-after=1s,log=the database is gone,log-rate=20")
	out := b.drover(exitOtherwise, "wait", "--image", i.Image) // The registry says which digest.
	for _, want := range []string{
		"drover: gf-chat/parrot-rest ended otherwise: rolled-back: ", "what the gates of gf-chat/parrot-rest said last:",
		"| the database is gone",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("a wait for what is taken back says %q, want %q in it", out, want)
		}
	}
	b.drover(exitOK, "wait", "parrot-rest", "--digest", bad, "--for", "rolled-back")
	b.drover(exitTimeout, "wait", "parrot-rest", "--digest", "sha256:"+strings.Repeat("0", 64), "--timeout", "1s")
	if code := stop(); code != exitOK {
		t.Errorf("drover run ends with %d", code)
	}

	// Without the daemon Rancher's own record tells the same.
	b.drover(exitOK, "wait", "gf-chat/parrot-rest", "--digest", good)
	b.drover(exitOK, "wait", "--image", i.Image, "--digest", bad, "--for", "rolled-back")
	var results []waited
	out = b.drover(exitOtherwise, "wait", "--image", i.Image, "--digest", bad, "--json")
	if err := json.Unmarshal([]byte(out[:strings.LastIndex(out, "]")+1]), &results); err != nil || len(results) != 1 || results[0].Outcome != "rolled-back" {
		t.Errorf("a wait on Rancher alone says %s (%v)", out, err)
	}
	b.drover(exitTimeout, "wait", "gf-chat/parrot-rest", "--timeout", "1s")
	b.leaves("wait", "gf-chat/parrot-rest")
	b.keepsSecrets()
}

// leaves runs a command for a person who has pressed Ctrl-C already.
func (b *bench) leaves(args ...string) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	cancel()
	var out bytes.Buffer
	if code := b.run(ctx, &out, args...); code != exitInterrupted || !strings.Contains(out.String(), "stopped waiting; the rollout of gf-chat/parrot-rest goes on") {
		b.t.Errorf("drover %s, left, ends with %d, want %d:\n%s", strings.Join(args, " "), code, exitInterrupted, &out)
	}
}
