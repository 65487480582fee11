package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// story returns the entries numbered from..to.
func story(from, to int) []Entry {
	var entries []Entry
	for i := from; i <= to; i++ {
		entries = append(entries, Entry{
			Target: "gf-chat/parrot-rest", Type: "decision",
			Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)),
		})
	}
	return entries
}

// numbers collects what story wrote, through any replayer.
func numbers(t *testing.T, replay Replayer) []int {
	t.Helper()
	var got []int
	err := replay(func(e Entry) error {
		var data struct{ N int }
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return err
		}
		got = append(got, data.N)
		return nil
	})
	if err != nil {
		t.Fatalf("replaying: %v", err)
	}
	return got
}

// upTo is 1..n.
func upTo(n int) []int {
	var want []int
	for i := 1; i <= n; i++ {
		want = append(want, i)
	}
	return want
}

// mustOpen opens a journal and closes it at the end of the test.
func mustOpen(t *testing.T, dir string, opts Options) *Journal {
	t.Helper()
	j, err := Open(dir, opts)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return j
}

// mustAppend appends entries numbered from..to.
func mustAppend(t *testing.T, j *Journal, from, to int) {
	t.Helper()
	if err := j.Append(story(from, to)...); err != nil {
		t.Fatalf("Append(%d..%d) = %v", from, to, err)
	}
}

// written opens, appends 1..n and closes; it returns the directory and the file.
func written(t *testing.T, n int) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	j, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= n; i++ {
		mustAppend(t, j, i, i)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, activeName)
}

func TestWhatWasAppendedIsReplayed(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 5, 4, 10, 42, 7, 113e6, time.UTC)
	j := mustOpen(t, dir, Options{Now: func() time.Time { return at }})
	entries := []Entry{
		{Target: "gf-chat/parrot-rest", Type: "decision", Data: json.RawMessage(`{"number":1.50e3,"html":"<a&b>","deep":[{}]}`)},
		{Type: "stopped", Time: at.Add(time.Hour)},
	}
	if err := j.Append(entries...); err != nil {
		t.Fatalf("Append = %v", err)
	}
	var got []Entry
	if err := j.Replay(func(e Entry) error { got = append(got, e); return nil }); err != nil {
		t.Fatalf("Replay = %v", err)
	}
	if len(got) != 2 {
		t.Fatalf("replayed %d entries, want 2", len(got))
	}
	if got[0].Seq != 2 || got[1].Seq != 3 {
		t.Errorf("numbers = %d, %d, want 2, 3 (1 is the journal's own)", got[0].Seq, got[1].Seq)
	}
	if !got[0].Time.Equal(at) || !got[1].Time.Equal(at.Add(time.Hour)) {
		t.Errorf("times = %v, %v", got[0].Time, got[1].Time)
	}
	if want := string(entries[0].Data); string(got[0].Data) != want {
		t.Errorf("data = %s, want it spelt as it was: %s", got[0].Data, want)
	}
	if got[0].Target != entries[0].Target || got[1].Type != "stopped" || got[1].Data != nil {
		t.Errorf("entries = %+v", got)
	}
}

func TestReopeningContinuesTheChain(t *testing.T) {
	dir, path := written(t, 3)
	j := mustOpen(t, dir, Options{})
	if r := j.Recovery(); r.Created || r.Torn != 0 || r.Corrupt != "" {
		t.Errorf("Recovery = %+v, want nothing found", r)
	}
	mustAppend(t, j, 4, 5)
	if got := numbers(t, j.Replay); !slices.Equal(got, upTo(5)) {
		t.Errorf("replayed %v, want 1..5", got)
	}
	rep, err := Verify(path)
	if err != nil || rep.Lines != 6 || rep.First != 1 || rep.Last != 6 || rep.Torn != 0 {
		t.Errorf("Verify = %+v, %v; want lines 1..6", rep, err)
	}
}

func TestASecondOpenerIsToldWhoHoldsIt(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{})
	_, err := Open(dir, Options{})
	locked, ok := errors.AsType[*LockedError](err)
	if !ok || locked.PID != os.Getpid() || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Fatalf("second Open = %v, want a LockedError naming process %d", err, os.Getpid())
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir, Options{})
}

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{})
	mustAppend(t, j, 1, 1)
	if err := j.Rotate(story(1, 1)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("ReadDir = %v, %v; want journal, rotated file and lock", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v), want 0600", e.Name(), info.Mode(), err)
		}
	}
}

func TestWhatMayNotBeWrittenIsRefusedWhole(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{MaxSize: 8 << 20})
	good := story(1, 1)[0]
	big := json.RawMessage(`"` + strings.Repeat("x", maxLine) + `"`)
	for name, bad := range map[string]Entry{
		"no type":      {Data: json.RawMessage(`1`)},
		"reserved":     {Type: markerType},
		"invalid JSON": {Type: "decision", Data: json.RawMessage(`{"a":`)},
		"two values":   {Type: "decision", Data: json.RawMessage("{}\n{}")},
		"too long":     {Type: "decision", Data: big},
	} {
		if err := j.Append(good, bad); err == nil {
			t.Errorf("%s: Append = nil, want an error", name)
		}
	}
	if err := j.Failed(); err != nil {
		t.Errorf("Failed = %v after refusals, want nil", err)
	}
	if got := numbers(t, j.Replay); len(got) != 0 {
		t.Errorf("replayed %v, want nothing: a refused batch leaves no part", got)
	}
}

func TestAFullJournalIsNotAFailedOne(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{MaxSize: 1000})
	var err error
	n := 0
	for err == nil && n < 100 {
		if err = j.Append(story(n+1, n+1)...); err == nil {
			n++
		}
	}
	if !errors.Is(err, ErrFull) || n == 0 {
		t.Fatalf("Append after %d entries = %v, want ErrFull", n, err)
	}
	if j.Size() > 1000 || j.Failed() != nil {
		t.Errorf("size %d, failed %v; want at most 1000 and nil", j.Size(), j.Failed())
	}
	if err := j.Rotate(nil); err != nil {
		t.Fatalf("Rotate = %v", err)
	}
	mustAppend(t, j, 1, 1)
}

func TestAClosedJournalSaysSo(t *testing.T) {
	j := mustOpen(t, t.TempDir(), Options{})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Append":  j.Append(story(1, 1)...),
		"Rotate":  j.Rotate(nil),
		"Reopen":  j.Reopen(),
		"Replay":  j.Replay(func(Entry) error { return nil }),
		"Compact": j.Compact(func(Replayer) ([]Entry, error) { return nil, nil }),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s = %v, want ErrClosed", name, err)
		}
	}
}

func TestAHangingDiskDoesNotHoldTheCaller(t *testing.T) {
	defer goleak.VerifyNone(t)
	disk := &hangingDisk{filesystem: osFilesystem{}, release: make(chan struct{}), reached: make(chan struct{})}
	dir := t.TempDir()
	j, err := Open(dir, Options{fs: disk})
	if err != nil {
		t.Fatal(err)
	}
	disk.armed.Store(true)

	ctx, cancel := context.WithCancelCause(t.Context())
	gaveUp := errors.New("two seconds are over")
	result := make(chan error)
	go func() { result <- j.AppendContext(ctx, story(1, 1)...) }()
	<-disk.reached
	cancel(gaveUp)
	if err := <-result; !errors.Is(err, gaveUp) {
		t.Errorf("AppendContext = %v, want the context's cause", err)
	}
	// A second caller waits for the turn, not for the disk.
	if err := j.AppendContext(ctx, story(2, 2)...); !errors.Is(err, gaveUp) {
		t.Errorf("second AppendContext = %v, want the context's cause", err)
	}
	close(disk.release)
	if err := j.Close(); err != nil { // Waits for the first append.
		t.Fatal(err)
	}
	r, err := OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := numbers(t, r.Replay); !slices.Equal(got, upTo(1)) {
		t.Errorf("replayed %v, want the entry whose write was under way", got)
	}
}

func TestAppendsOfManyGoroutinesFormOneChain(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, Options{})
	const writers, each = 8, 10
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				if err := j.Append(story(1, 2)...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got := numbers(t, j.Replay)
	want := slices.Repeat([]int{1, 2}, writers*each)
	if !slices.Equal(got, want) {
		t.Errorf("batches were torn apart: %v", got)
	}
	if _, err := Verify(filepath.Join(dir, activeName)); err != nil {
		t.Errorf("Verify = %v", err)
	}
}

func TestAReaderWorksBesideTheWriter(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenReadOnly(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenReadOnly of nothing = %v, want fs.ErrNotExist", err)
	}
	j := mustOpen(t, dir, Options{})
	mustAppend(t, j, 1, 3)
	r, err := OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := numbers(t, r.Replay); !slices.Equal(got, upTo(3)) {
		t.Errorf("replayed %v, want 1..3", got)
	}
	// Half a line, as a reader may see it while the writer writes.
	appendBytes(t, filepath.Join(dir, activeName), []byte(`{"v":1,"seq":5,"ti`))
	if got := numbers(t, r.History); !slices.Equal(got, upTo(3)) {
		t.Errorf("history %v, want 1..3 without the unfinished line", got)
	}
	stop := errors.New("enough")
	if err := r.Replay(func(Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Replay = %v, want the callback's error", err)
	}
}

// appendBytes writes to a file behind the journal's back.
func appendBytes(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkAppend(b *testing.B) {
	j, err := Open(b.TempDir(), Options{MaxSize: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	e := Entry{Target: "gf-chat/parrot-rest", Type: "decision", Data: json.RawMessage(`{"note":"` + strings.Repeat("x", 500) + `"}`)}
	b.ReportAllocs()
	for b.Loop() {
		if err := j.Append(e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareSync is what BenchmarkAppend is to be compared with: the same
// bytes written and synced, and nothing else.
func BenchmarkBareSync(b *testing.B) {
	f, err := os.OpenFile(filepath.Join(b.TempDir(), "bare"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	line := bytes.Repeat([]byte("x"), 800)
	for b.Loop() {
		if _, err := f.Write(line); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReplay(b *testing.B) {
	var buf bytes.Buffer
	at := head{}
	e := Entry{Target: "gf-chat/parrot-rest", Type: "decision", Data: json.RawMessage(`{"note":"` + strings.Repeat("x", 500) + `"}`)}
	for range 10_000 {
		at, _ = encodeLine(&buf, e, at)
	}
	b.SetBytes(int64(buf.Len()))
	for b.Loop() {
		if _, err := scan(bytes.NewReader(buf.Bytes()), nil); err != nil {
			b.Fatal(err)
		}
	}
}
