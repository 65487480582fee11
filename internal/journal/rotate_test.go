package journal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRotationKeepsStateAndHistory(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{})
	mustAppend(t, j, 1, 4)
	if err := j.Rotate(story(4, 4)); err != nil { // The state needs the last only.
		t.Fatal(err)
	}
	mustAppend(t, j, 5, 5)
	if got := numbers(t, j.Replay); !slices.Equal(got, []int{4, 5}) {
		t.Errorf("state = %v, want the snapshot 4 and what followed", got)
	}
	r, err := OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := numbers(t, r.History); !slices.Equal(got, upTo(5)) {
		t.Errorf("history = %v, want 1..5, each once", got)
	}
	if got := numbers(t, r.Replay); !slices.Equal(got, []int{4, 5}) {
		t.Errorf("a reader's state = %v, want 4, 5", got)
	}
	if _, err := VerifyDir(dir); err != nil {
		t.Errorf("VerifyDir = %v", err)
	}
}

func TestTheOldestRotatedFilesAreRemoved(t *testing.T) {
	for _, c := range []struct{ keep, want int }{{2, 2}, {-1, 5}, {0, 5}} {
		dir := t.TempDir()
		j := mustOpen(t, dir, Options{Keep: c.keep})
		for i := 1; i <= 5; i++ {
			mustAppend(t, j, i, i)
			if err := j.Rotate(nil); err != nil {
				t.Fatal(err)
			}
		}
		files, err := rotatedFiles(osFilesystem{}, dir)
		if err != nil || len(files) != c.want {
			t.Errorf("Keep %d: %d rotated files (%v), want %d", c.keep, len(files), err, c.want)
		}
		r, err := OpenReadOnly(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := numbers(t, r.History); !slices.Equal(got, upTo(5)[5-c.want:]) {
			t.Errorf("Keep %d: history = %v, want the newest %d", c.keep, got, c.want)
		}
	}
}

func TestShouldRotateWeighsTheSnapshot(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{RotateSize: 4 << 10})
	if j.ShouldRotate() {
		t.Error("ShouldRotate = true for a new journal")
	}
	mustAppend(t, j, 1, 40)
	if !j.ShouldRotate() {
		t.Errorf("ShouldRotate = false at %d bytes, want true", j.Size())
	}
	if err := j.Rotate(story(1, 40)); err != nil { // All of it is still needed.
		t.Fatal(err)
	}
	if j.ShouldRotate() {
		t.Errorf("ShouldRotate = true at %d bytes right after a rotation", j.Size())
	}
	if err := j.Reopen(); err != nil {
		t.Fatal(err)
	}
	if j.ShouldRotate() {
		t.Error("ShouldRotate = true after reopening: the snapshot's size was forgotten")
	}
	mustAppend(t, j, 41, 90)
	if !j.ShouldRotate() {
		t.Errorf("ShouldRotate = false at %d bytes, twice the snapshot", j.Size())
	}
}

func TestARotationThatCannotBeMadeChangesNothing(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	mustAppend(t, j, 1, 3)
	sorry := errors.New("sorry")
	err := j.Compact(func(Replayer) ([]Entry, error) { return nil, sorry })
	if !errors.Is(err, sorry) {
		t.Errorf("Compact = %v, want the summary's error", err)
	}
	if err := j.Rotate([]Entry{{Data: []byte("1")}}); !errors.Is(err, errNoType) {
		t.Errorf("Rotate = %v, want %v", err, errNoType)
	}
	mustAppend(t, j, 4, 4)
	if got := numbers(t, j.Replay); !slices.Equal(got, upTo(4)) {
		t.Errorf("replayed %v, want 1..4", got)
	}
}

func TestARestoredOlderJournalDisplacesNoHistory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, activeName)
	j := mustOpen(t, dir, Options{})
	mustAppend(t, j, 1, 1)
	backup, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, j, 2, 3)
	if err := errors.Join(j.Rotate(nil), j.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	j = mustOpen(t, dir, Options{})
	if err := j.Rotate(nil); err != nil {
		t.Fatal(err)
	}
	replaced, err := filepath.Glob(filepath.Join(dir, "journal-*.jsonl.replaced-*"))
	if err != nil || len(replaced) != 1 {
		t.Fatalf("replaced files = %v, %v; want the longer file kept aside", replaced, err)
	}
	b, err := os.ReadFile(replaced[0])
	if err != nil || !strings.Contains(string(b), `"n":3`) {
		t.Errorf("%s lost entry 3 (%v)", replaced[0], err)
	}
}
