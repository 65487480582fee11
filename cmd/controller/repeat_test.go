package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// TestRepeat: in a pipe a page comes when it says something new, figures apart, and
// a failure is told without ending it.
func TestRepeat(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetContext(ctx)
	cmd.SetOut(&out)
	pages := []string{"idle for 1s", "idle for   1m5s", "idle for 2d", "upgrading", "", "upgrading", "bake"}
	n := 0
	err := repeat(cmd, time.Millisecond, func(_ context.Context, w io.Writer) error {
		if n == len(pages) {
			cancel()
			return nil
		}
		page := pages[n]
		n++
		if page == "" {
			return errors.New("no daemon is running")
		}
		_, err := fmt.Fprintln(w, page)
		return err
	})
	if want := "idle for 1s\nupgrading\ndrover: no daemon is running\nupgrading\nbake\n"; err != nil || out.String() != want {
		t.Errorf("repeat() = %v, printed %q, want %q", err, out.String(), want)
	}
}

func TestRedrawClearsWhatWasLonger(t *testing.T) {
	var out strings.Builder
	if err := redraw(&out, "a\nb\n"); err != nil || out.String() != "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J" {
		t.Errorf("redraw() = %v, %q", err, out.String())
	}
}

// TestHistoryTellsVerdicts: what the gates said when it was decided, whose verdict
// it was, and how long it took.
func TestHistoryTellsVerdicts(t *testing.T) {
	begun := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	f := folding{histories: map[string]reconcile.History{}, seen: map[string]*past{}}
	take := func(e reconcile.Event) {
		t.Helper()
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.take(journal.Entry{Target: "web/api", Type: string(e.Kind), Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	rollout := func(id string) *reconcile.Rollout {
		return &reconcile.Rollout{ID: id, Kind: reconcile.Deploy, Started: begun, To: reconcile.Baseline{Part: reconcile.Part{Digest: "sha256:b"}}}
	}
	pass := reconcile.Finding{Gate: "health", Verdict: reconcile.Pass}
	take(reconcile.Event{Kind: reconcile.EventStarted, Start: rollout("r1"), At: begun})
	take(reconcile.Event{Kind: reconcile.EventFinishing, Rollout: "r1", Findings: []reconcile.Finding{pass}})
	take(reconcile.Event{Kind: reconcile.EventFinished, Rollout: "r1", At: begun.Add(90 * time.Second)})
	take(reconcile.Event{Kind: reconcile.EventStarted, Start: rollout("r2"), At: begun})
	take(reconcile.Event{Kind: reconcile.EventRollingBack, Rollout: "r2", Findings: []reconcile.Finding{pass, {Gate: "load balancer", Verdict: reconcile.Fail}}})
	take(reconcile.Event{Kind: reconcile.EventRolledBack, Rollout: "r2", At: begun.Add(time.Minute)})
	take(reconcile.Event{Kind: reconcile.EventStarted, Start: rollout("r3"), At: begun})
	for id, want := range map[string]string{"r1": "Pass", "r2": "Fail load balancer", "r3": ""} {
		if got := f.seen[id].verdict(); got != want {
			t.Errorf("verdict of %s = %q, want %q", id, got, want)
		}
	}
	if f.seen["r1"].Outcome != reconcile.Finished || f.seen["r2"].Outcome != reconcile.RolledBack || f.seen["r3"].Outcome != "" || len(f.order) != 3 {
		t.Errorf("rollouts = %+v", f.order)
	}
	if err := f.take(journal.Entry{Target: "web/api", Type: "finishing", Data: json.RawMessage(`{`)}); err == nil {
		t.Error("a line that cannot be read is passed over")
	}
}
