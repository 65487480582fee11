package desired

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// bake is the valid file with another bake.
func bake(span string) string { return strings.Replace(valid, "bake: 10m", "bake: "+span, 1) }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// watched runs a Source over a file on virtual time and keeps what it tells.
type watched struct {
	*Source
	t *testing.T
	// mu guards told: time that passes in a bubble orders nothing between goroutines.
	mu   sync.Mutex
	told []string
}

func watch(t *testing.T, path string, story func(w *watched)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		source, err := NewSource(path)
		if err != nil {
			t.Fatal(err)
		}
		w := &watched{Source: source, t: t}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			source.Run(ctx, time.Second, w.changed, w.restored, w.failed)
		}()
		story(w)
		stop()
		<-done
	})
}

func (w *watched) changed(c *Config) { w.tell("bake " + c.Targets[0].Rollout.Bake.String()) }

func (w *watched) restored() { w.tell("restored") }

func (w *watched) failed(err error) { w.tell(err.Error()) }

func (w *watched) tell(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, text)
}

// expect lets some polls pass on the virtual clock and compares what was told.
func (w *watched) expect(polls int, want ...string) {
	w.t.Helper()
	time.Sleep(time.Duration(polls)*time.Second + time.Millisecond)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if fmt.Sprint(w.told) != fmt.Sprint(want) {
		w.t.Errorf("told %q, want %q", w.told, want)
	}
	w.told = nil
}

func TestSourceTellsOfEveryWayToChangeAFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "targets.yaml")
	write(t, path, valid)
	watch(t, path, func(w *watched) {
		w.expect(5)

		write(t, path, bake("11m"))
		w.expect(5, "bake 11m")

		write(t, path+".new", bake("12m"))
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		w.expect(5, "bake 12m")

		write(t, path, bake("12m")+"# a comment changes nothing\n")
		w.expect(5, "restored")
	})
}

// TestSourceFollowsMountedVolumes swaps the link ..data as the kubelet and
// Docker's secret mounts do: the file's own link never changes.
func TestSourceFollowsMountedVolumes(t *testing.T) {
	folder := t.TempDir()
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	for version, span := range map[string]string{"v1": "10m", "v2": "13m"} {
		if err := os.Mkdir(filepath.Join(folder, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, version, "targets.yaml"), bake(span))
	}
	link("v1", "..data")
	link("..data/targets.yaml", "targets.yaml")
	watch(t, filepath.Join(folder, "targets.yaml"), func(w *watched) {
		w.expect(3)
		link("v2", "..data_tmp")
		if err := os.Rename(filepath.Join(folder, "..data_tmp"), filepath.Join(folder, "..data")); err != nil {
			t.Fatal(err)
		}
		w.expect(3, "bake 13m")
	})
}

func TestSourceKeepsTheLastValidFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "targets.yaml")
	write(t, path, valid)
	watch(t, path, func(w *watched) {
		for _, wrong := range []struct {
			how  func()
			says string
		}{
			{func() { write(t, path, bake("soon")) }, "targets.yaml:10: defaults.rollout.bake: is not a duration: write it as in 30s, 5m or 1h30m"},
			{func() { write(t, path, "") }, `targets.yaml: is empty: an empty file is taken for a mistake, not for "no targets"`},
			{func() { _ = os.Remove(path) }, path + ": cannot be read: no such file or directory"},
			{func() { _ = os.Mkdir(path, 0o700) }, path + ": cannot be read: not a regular file"},
		} {
			wrong.how()
			w.expect(10, wrong.says) // Once, however often it is polled.
			if got := w.Current().Targets[0].Rollout.Bake; got != minutes(10) {
				t.Errorf("Current has bake %s, want that of the last valid file", got)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		write(t, path, valid)
		w.expect(5, "restored") // As before the mistakes: nothing has changed.
		write(t, path, bake("14m"))
		w.expect(5, "bake 14m")
	})
}

// TestSourceWaitsForTheWriter: the first half of a file can be a valid file with
// fewer targets.
func TestSourceWaitsForTheWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "targets.yaml")
	write(t, path, valid)
	second := "- {stack: web, service: two, image: 'registry.example/two:v1'}\n"
	watch(t, path, func(w *watched) {
		write(t, path, bake("15m"))
		w.expect(1)
		write(t, path, bake("15m")+second)
		w.expect(1)
		if n := len(w.Current().Targets); n != 1 {
			t.Errorf("%d targets, want the one from before", n)
		}
		w.expect(1, "bake 15m")
		if n := len(w.Current().Targets); n != 2 {
			t.Errorf("%d targets, want 2", n)
		}
	})
}

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "targets.yaml")
	write(t, path, valid)
	watch(t, path, func(w *watched) {
		if changed, err := w.Reload(); changed || err != nil {
			t.Errorf("Reload of the same file = %v, %v, want false", changed, err)
		}
		write(t, path, bake("16m"))
		if changed, err := w.Reload(); !changed || err != nil {
			t.Errorf("Reload of a new file = %v, %v, want true", changed, err)
		}
		if got := w.Current().Targets[0].Rollout.Bake; got != minutes(16) {
			t.Errorf("Current has bake %s, want 16m at once", got)
		}
		w.expect(5) // Who asked has the answer.
		write(t, path, "")
		for range 2 {
			if changed, err := w.Reload(); changed || err == nil {
				t.Errorf("Reload of an emptied file = %v, %v, want an error each time", changed, err)
			}
		}
		if w.Current() == nil || len(w.Current().Targets) != 1 {
			t.Error("Reload of an emptied file lost the last valid one")
		}
	})
}

func TestNewSourceNeedsAValidFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "targets.yaml")
	write(t, path, bake("soon"))
	if s, err := NewSource(path); err == nil {
		t.Errorf("NewSource = %v, want an error", s)
	}
}
