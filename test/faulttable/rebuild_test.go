package faulttable

import (
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// TestR16RebuildOfWhatWasTakenBack: CI builds a bad commit again. The digest is new, the
// layers are those that were taken back.
func TestR16RebuildOfWhatWasTakenBack(t *testing.T) {
	takeBack := func(w *world) (said string) {
		w.push("v2", behaviour{crashAfter: time.Second})
		w.untilClosed(5 * time.Minute)
		w.wantRolledBack("v2", true)
		return "same layers as quarantined " + w.digests["v2"][:19]
	}
	t.Run("allowed, and shown", func(t *testing.T) {
		play(t, options{rebuilds: map[string]string{"v3": "v2"}}, func(w *world) {
			said := takeBack(w)
			w.push("v3", behaviour{})
			w.untilCode(time.Minute, reconcile.CodeBackoff)
			w.until(time.Minute, "it is said while it waits", func() bool { return strings.Contains(w.decision().Reason, said) })
			w.until(5*time.Minute, "it bakes", func() bool { return w.decision().Phase == reconcile.Bake })
			if r := web.RolloutOf(w.history().Rollout); len(r.SameLayers) != 1 || r.SameLayers[0] != w.digests["v2"] {
				t.Errorf("the open rollout names %q, want v2", r.SameLayers)
			}
			w.untilClosed(5 * time.Minute)
			w.wantOutcome("v3", reconcile.Finished)
			w.wantService("active", "v3", w.all("v3"))
			w.wantTold("started", said)
		})
	})
	t.Run("held until a retry", func(t *testing.T) {
		play(t, options{rebuilds: map[string]string{"v3": "v2"}, rollout: "onSameLayers: hold"}, func(w *world) {
			takeBack(w)
			w.push("v3", behaviour{})
			w.untilCode(time.Minute, reconcile.CodeSameLayers)
			w.want(reconcile.Held, reconcile.CodeSameLayers, true)
			w.wantReason("the same layers as quarantined "+w.digests["v2"][:19], "drover retry --digest "+w.digests["v3"])
			w.kill() // What is known of the layers is in the journal.
			w.start(w.dir)
			time.Sleep(10 * time.Minute)
			w.want(reconcile.Held, reconcile.CodeSameLayers, true)
			w.wantSent("upgrade 202, rollback 202")
			w.tell(controller.Retry)
			w.until(5*time.Minute, "it runs", func() bool { return w.history().Baseline.Digest == w.digests["v3"] })
			w.wantOutcome("v3", reconcile.Finished)
			w.wantService("active", "v3", w.all("v3"))
		})
	})
	t.Run("held until another push", func(t *testing.T) {
		play(t, options{versions: 4, rebuilds: map[string]string{"v3": "v2"}, rollout: "onSameLayers: hold"}, func(w *world) {
			takeBack(w)
			w.push("v3", behaviour{})
			w.untilCode(time.Minute, reconcile.CodeSameLayers)
			w.push("v4", behaviour{})
			w.until(10*time.Minute, "it runs", func() bool { return w.history().Baseline.Digest == w.digests["v4"] })
			w.wantOutcome("v4", reconcile.Finished)
			w.wantQuarantine("v2")
		})
	})
	t.Run("the old one asked for", func(t *testing.T) {
		play(t, options{rebuilds: map[string]string{"v3": "v2"}, rollout: "onSameLayers: hold"}, func(w *world) {
			takeBack(w)
			w.push("v3", behaviour{})
			w.untilCode(time.Minute, reconcile.CodeSameLayers)
			if err := w.drover.Control.Tell(w.t.Context(), key, controller.Command{Verb: controller.Retry, By: "mei", Digest: w.digests["v2"]}); err != nil {
				t.Fatal(err)
			}
			w.until(10*time.Minute, "the rebuild runs", func() bool { return w.history().Baseline.Digest == w.digests["v3"] })
			w.wantQuarantine()
		})
	})
}

// wantTold checks that an entry of the journal says something.
func (w *world) wantTold(kind, words string) {
	w.t.Helper()
	for _, e := range w.journal() {
		if e.Type == kind && strings.Contains(string(e.Data), words) {
			return
		}
	}
	w.t.Errorf("no %s of the journal says %q", kind, words)
}
