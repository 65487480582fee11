package faulttable

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	goruntime "runtime"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// TestC19WorkLeavesNothingBehind: a daemon that has been at work for long, with everything going wrong now and then,
// holds no more goroutines, files and memory than one that has just begun. And when the kernel kills it all the same,
// in the middle of a batch, the next one takes the rollout up.
func TestC19WorkLeavesNothingBehind(t *testing.T) {
	const rounds = 3
	play(t, options{isAlone: true}, func(w *world) {
		for n := range rounds {
			w.soak(n)
		}
		worked := held()
		if err := w.drover.end(); err != nil {
			t.Fatal(err)
		}
		nobody := held()
		w.start(w.dir)
		w.untilPhase(time.Minute, reconcile.Idle)
		time.Sleep(2 * time.Minute)
		begun := held()
		t.Logf("after %d rounds %s, without a daemon %s, a new one %s", rounds, worked, nobody, begun)
		if worked.goroutines > begun.goroutines {
			t.Errorf("%d goroutines after %d rounds, a new daemon has %d", worked.goroutines, rounds, begun.goroutines)
		}
		if worked.files > begun.files {
			t.Errorf("%d open files after %d rounds, a new daemon has %d", worked.files, rounds, begun.files)
		}
		const spare = 256 << 10 // The collector and pools are never quite the same.
		if extra := worked.heap - begun.heap; extra > spare {
			t.Errorf("after %d rounds it holds %d KiB more than a new daemon, at most %d may be", rounds, extra>>10, spare>>10)
		}

		digest := w.pushAnew("v2", "last", behaviour{})
		w.release(digest)
		w.until(time.Minute, "a batch is through", func() bool {
			return w.decision().Phase == reconcile.Upgrading && len(w.history().Rollout.Containers) > 0
		})
		w.kill()
		w.start(w.dir)
		w.until(10*time.Minute, "the new daemon has finished it", func() bool { h := w.history(); return h.Rollout == nil && h.Last.To.Digest == digest })
		if last := w.history().Last; last.Outcome != reconcile.Finished {
			t.Errorf("the rollout under way ended %s: %s", last.Outcome, last.Reason)
		}
	})
}

// soak is a good rollout, a bad one, and a while in which everything fails in turn.
func (w *world) soak(n int) {
	w.t.Helper()
	ended := func(digest string) func() bool {
		return func() bool { h := w.history(); return h.Rollout == nil && h.Last != nil && h.Last.To.Digest == digest }
	}
	good := w.pushAnew("v2", fmt.Sprint("good ", n), behaviour{})
	w.release(good) // The rollbacks of the rounds before are not in the way.
	w.until(10*time.Minute, "a good version is finished", ended(good))
	if o := w.history().Last.Outcome; o != reconcile.Finished {
		w.t.Fatalf("a good version ended %s: %s", o, w.history().Last.Reason)
	}
	bad := w.pushAnew("v3", fmt.Sprint("bad ", n), behaviour{neverHealthy: true})
	w.release(bad)
	w.until(10*time.Minute, "a bad version is taken back", ended(bad))
	if o := w.history().Last.Outcome; o != reconcile.RolledBack {
		w.t.Fatalf("a bad version ended %s", o)
	}
	for _, fault := range []string{"503", "html", "late=delay=20s", "restart=for=20s", "lost-pages=path=/instances", "stale=chance=0.3", "401"} {
		w.fault(fault)
		time.Sleep(time.Minute)
		w.clear()
		time.Sleep(30 * time.Second)
	}
	time.Sleep(20 * time.Minute) // The breaker lets three rollbacks an hour pass.
}

// pushAnew has CI push a rebuilt version: another manifest of the same configuration. It returns the digest.
func (w *world) pushAnew(version, note string, b behaviour) string {
	w.t.Helper()
	w.push(version, b)
	var manifest map[string]any
	path := "/v2/" + repository + "/manifests/"
	if err := json.NewDecoder(w.askRegistry(http.MethodGet, path+version, "", nil).Body).Decode(&manifest); err != nil {
		w.t.Fatal(err)
	}
	manifest["annotations"] = map[string]string{"build": note}
	text, err := json.Marshal(manifest)
	if err != nil {
		w.t.Fatal(err)
	}
	rec := w.askRegistry(http.MethodPut, path+"latest", manifestType, bytes.TrimSpace(text))
	if rec.Code != http.StatusCreated {
		w.t.Fatalf("pushing %s: %d %s", note, rec.Code, rec.Body)
	}
	return rec.Header().Get("Docker-Content-Digest")
}

// release is a person's retry of a digest: the daily budget is not in the way.
func (w *world) release(digest string) {
	w.t.Helper()
	if err := w.drover.Control.Tell(w.t.Context(), key, controller.Command{Verb: controller.Retry, By: "mei", Digest: digest}); err != nil {
		w.t.Fatal(err)
	}
}

// holdings are what a process holds.
type holdings struct {
	goroutines, files int
	heap              int64
}

// String is for failures.
func (h holdings) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %d KiB", h.goroutines, h.files, h.heap>>10)
}

func held() holdings {
	var m goruntime.MemStats
	for range 3 { // Finalizers and pools take turns.
		goruntime.GC()
	}
	goruntime.ReadMemStats(&m)
	files, _ := os.ReadDir("/proc/self/fd")
	return holdings{goroutines: goruntime.NumGoroutine(), files: len(files), heap: int64(m.HeapAlloc)}
}
