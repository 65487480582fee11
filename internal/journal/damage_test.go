package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestATornLastLineIsCutAndTold(t *testing.T) {
	dir, path := written(t, 3)
	appendBytes(t, path, []byte(`{"v":1,"seq":5,"time":"2026-`))
	j := mustOpen(t, dir, Options{})
	if r := j.Recovery(); r.Torn != 28 || r.Corrupt != "" {
		t.Errorf("Recovery = %+v, want 28 torn bytes", r)
	}
	mustAppend(t, j, 4, 4)
	if got := numbers(t, j.Replay); !slices.Equal(got, upTo(4)) {
		t.Errorf("replayed %v, want 1..4", got)
	}
}

func TestDamageInTheMiddleIsKeptAside(t *testing.T) {
	// What is whole in front of the damage: entry 1, or also 2 when it comes twice.
	intact := map[string]int{
		"changed byte": 1, "no JSON": 1, "line removed": 1, "line twice": 2,
		"empty line": 1, "zeros": 1, "huge line": 1,
	}
	for name, damage := range map[string]func([]byte) []byte{
		"changed byte": func(l []byte) []byte { return bytes.Replace(l, []byte(`"n":2`), []byte(`"n":7`), 1) },
		"no JSON":      func([]byte) []byte { return []byte("hello\n") },
		"line removed": func([]byte) []byte { return nil },
		"line twice":   func(l []byte) []byte { return slices.Concat(l, l) },
		"empty line":   func([]byte) []byte { return []byte("\n") },
		"zeros":        func([]byte) []byte { return append(make([]byte, 300), '\n') },
		"huge line":    func([]byte) []byte { return append(bytes.Repeat([]byte("x"), maxLine+1), '\n') },
	} {
		t.Run(name, func(t *testing.T) {
			dir, path := written(t, 4)
			before := editLine(t, path, 3, damage) // Line 1 is the journal's own.
			now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
			j := mustOpen(t, dir, Options{Now: func() time.Time { return now }})
			r := j.Recovery()
			wantPath := path + ".corrupt-20260504T030201.000000000Z"
			if r.Corrupt != wantPath || r.Cause == nil || !r.IncompleteSince.Equal(now) {
				t.Errorf("Recovery = %+v, want %s, a cause and %v", r, wantPath, now)
			}
			if got := numbers(t, j.Replay); !slices.Equal(got, upTo(intact[name])) {
				t.Errorf("replayed %v, want the intact prefix 1..%d", got, intact[name])
			}
			if kept, err := os.ReadFile(wantPath); err != nil || !bytes.Equal(kept, before) {
				t.Errorf("the damaged file was not kept as it was (%v)", err)
			}
			mustAppend(t, j, 2, 2)
			checkStillIncomplete(t, j, now)
		})
	}
}

// checkStillIncomplete checks that a restart and a rotation do not forget when
// the journal lost its past.
func checkStillIncomplete(t *testing.T, j *Journal, since time.Time) {
	t.Helper()
	if err := j.Reopen(); err != nil {
		t.Fatal(err)
	}
	if r := j.Recovery(); r.Corrupt != "" || !r.IncompleteSince.Equal(since) {
		t.Errorf("Recovery after a restart = %+v, want no news, incomplete since %v", r, since)
	}
	if err := errors.Join(j.Rotate(nil), j.Reopen()); err != nil {
		t.Fatal(err)
	}
	if r := j.Recovery(); !r.IncompleteSince.Equal(since) {
		t.Errorf("Recovery after a rotation = %+v, want incomplete since %v", r, since)
	}
}

// editLine changes line n (from 1) of a file and returns what the file is then.
func editLine(t *testing.T, path string, n int, edit func([]byte) []byte) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(b, []byte("\n"))
	lines[n-1] = edit(slices.Clone(lines[n-1]))
	b = slices.Concat(lines...)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAFileWithoutAnyLineIsKeptAside(t *testing.T) {
	for _, content := range []string{"", "garbage", "garbage\n"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, activeName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		j := mustOpen(t, dir, Options{})
		r := j.Recovery()
		if kept, err := os.ReadFile(r.Corrupt); err != nil || string(kept) != content {
			t.Errorf("%q: Recovery = %+v, kept %q (%v)", content, r, kept, err)
		}
		mustAppend(t, j, 1, 1)
	}
}

// TestAFirstJournalHasLostNothing: neither when it begins nor when it is opened
// again; but rotated files tell that it is not the first.
func TestAFirstJournalHasLostNothing(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{First: true})
	if r := j.Recovery(); !r.Created || !r.IncompleteSince.IsZero() {
		t.Errorf("Recovery = %+v, want Created and nothing incomplete", r)
	}
	mustAppend(t, j, 1, 2)
	if err := errors.Join(j.Rotate(story(1, 2)), j.Close()); err != nil {
		t.Fatal(err)
	}
	j = mustOpen(t, dir, Options{})
	if r := j.Recovery(); r.Created || !r.IncompleteSince.IsZero() {
		t.Errorf("opened again: Recovery = %+v, want nothing", r)
	}
	if err := errors.Join(j.Close(), os.Remove(filepath.Join(dir, activeName))); err != nil {
		t.Fatal(err)
	}
	j = mustOpen(t, dir, Options{First: true})
	if r := j.Recovery(); !r.Created || r.IncompleteSince.IsZero() {
		t.Errorf("lost: Recovery = %+v, want it incomplete: there are rotated files", r)
	}
}

func TestALostJournalContinuesAfterItsRotatedFiles(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{})
	mustAppend(t, j, 1, 2)
	if err := j.Rotate(story(1, 2)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Close(), os.Remove(filepath.Join(dir, activeName))); err != nil {
		t.Fatal(err)
	}
	j = mustOpen(t, dir, Options{})
	if r := j.Recovery(); !r.Created || r.IncompleteSince.IsZero() {
		t.Errorf("Recovery = %+v, want Created", r)
	}
	mustAppend(t, j, 3, 3)
	checkHistory(t, dir, 3)
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	_, path := written(t, 3)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		for bit := range 8 {
			b := slices.Clone(whole)
			b[i] ^= 1 << bit
			x, err := scan(bytes.NewReader(b), nil)
			if err == nil && x.torn == 0 {
				t.Errorf("byte %d bit %d: the change from %q to %q went unnoticed", i, bit, whole[i], b[i])
			}
		}
	}
}

func TestANewerVersionIsRefused(t *testing.T) {
	dir, path := written(t, 2)
	before := editLine(t, path, 3, func(l []byte) []byte {
		return bytes.Replace(l, []byte(`{"v":1,`), []byte(`{"v":2,`), 1)
	})
	_, err := Open(dir, Options{})
	if v, ok := errors.AsType[*VersionError](err); !ok || v.Version != 2 || !strings.Contains(err.Error(), "run a newer drover") {
		t.Fatalf("Open = %v, want a VersionError that says what to do", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the newer journal was touched (%v)", err)
	}
	if _, err := Open(dir, Options{}); errors.As(err, new(*LockedError)) {
		t.Errorf("the lock was kept after a failed opening: %v", err)
	}
}

func TestVerifyNamesTheDamagedLine(t *testing.T) {
	dir, path := written(t, 5)
	editLine(t, path, 4, func(l []byte) []byte { return bytes.ToUpper(l) })
	rep, err := Verify(path)
	damage, ok := errors.AsType[*CorruptError](err)
	if !ok || damage.Line != 4 || rep.Lines != 3 || rep.Last != 3 {
		t.Errorf("Verify = %+v, %v; want damage in line 4 after 3 intact ones", rep, err)
	}
	if _, err := VerifyDir(dir); !errors.As(err, &damage) || damage.Line != 4 {
		t.Errorf("VerifyDir = %v, want damage in line 4", err)
	}
	if _, err := Verify(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Verify of nothing = %v, want not-exist", err)
	}
}

func TestVerifyDirMissesAFileInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{})
	for i := 1; i <= 3; i++ {
		mustAppend(t, j, i, i)
		if err := j.Rotate(story(1, i)); err != nil {
			t.Fatal(err)
		}
	}
	reports, err := VerifyDir(dir)
	if err != nil || len(reports) != 4 {
		t.Fatalf("VerifyDir = %+v, %v; want four files in one chain", reports, err)
	}
	if err := os.Remove(reports[1].Path); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyDir(dir); err == nil || !strings.Contains(err.Error(), "does not continue") {
		t.Errorf("VerifyDir = %v, want the gap", err)
	}
}

func FuzzParseLine(f *testing.F) {
	var buf bytes.Buffer
	at := head{}
	for _, e := range story(1, 3) {
		at, _ = encodeLine(&buf, e, at)
	}
	for _, l := range bytes.Split(buf.Bytes(), []byte("\n")) {
		f.Add(l)
	}
	f.Add([]byte(`{"v":2,"x":1}`))
	f.Add([]byte(`{"v":1,"hash":"` + strings.Repeat("0", 64) + `"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseLine(b)
		if err != nil {
			return
		}
		// What parses is a line of ours: written again it says the same.
		var again bytes.Buffer
		if _, err := encodeLine(&again, l.Entry, head{seq: l.Seq - 1, hash: l.prev}); err != nil {
			t.Fatalf("parsed and not encodable: %v", err)
		}
		m, err := parseLine(bytes.TrimSuffix(again.Bytes(), []byte("\n")))
		if err != nil || m.Seq != l.Seq || m.Target != l.Target || m.Type != l.Type || m.prev != l.prev {
			t.Errorf("line %q came back as %+v, %v", b, m, err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	var buf bytes.Buffer
	own, _ := marker{Event: "created"}.entry()
	at, _ := encodeLine(&buf, own, head{})
	for _, e := range story(1, 3) {
		at, _ = encodeLine(&buf, e, at)
	}
	f.Add(buf.Bytes())
	f.Add(buf.Bytes()[:buf.Len()-5])
	f.Add(append([]byte("x"), buf.Bytes()...))
	f.Add([]byte{})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		disk := newMemDisk()
		path := filepath.Join(dir, fmt.Sprint(os.Getpid()), activeName)
		disk.names[path] = &inode{data: slices.Clone(content)}
		j, err := Open(filepath.Dir(path), Options{fs: disk})
		if err != nil {
			if !errors.As(err, new(*VersionError)) {
				t.Fatalf("Open = %v", err)
			}
			return
		}
		defer j.Close()
		mustAppend(t, j, 1, 1)
		if err := j.Reopen(); err != nil || j.Recovery().Torn != 0 || j.Recovery().Corrupt != "" {
			t.Errorf("second opening = %v, %+v, want nothing found", err, j.Recovery())
		}
	})
}
