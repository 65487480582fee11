package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// diary appends numbered entries and rotates now and then, with a snapshot that
// repeats every entry so far, so that replaying must always give 1..n.
type diary struct {
	journal *Journal
	// acked is the highest number whose Append returned nil.
	acked int
}

// write appends the next n numbers.
func (d *diary) write(n int) error {
	if err := d.journal.Append(story(d.acked+1, d.acked+n)...); err != nil {
		return err
	}
	d.acked += n
	return nil
}

// rotate compacts with everything that the file says.
func (d *diary) rotate() error {
	return d.journal.Compact(func(replay Replayer) ([]Entry, error) {
		var all []Entry
		err := replay(func(e Entry) error { all = append(all, e); return nil })
		return all, err
	})
}

// live is a life of the journal with everything in it. It goes on after errors,
// as a controller does.
func (d *diary) live(dir string, disk filesystem) {
	j, err := Open(dir, Options{fs: disk, Keep: 2})
	if err != nil {
		return
	}
	defer j.Close()
	d.journal = j
	for range 3 {
		d.step(func() error { return d.write(1) })
		d.step(func() error { return d.write(2) })
		d.step(d.rotate)
	}
}

// step does one thing, and reopens the journal once when that failed it.
func (d *diary) step(do func() error) {
	err := do()
	if err == nil || d.journal.Failed() == nil || d.journal.Reopen() != nil {
		return
	}
	// What was not acknowledged may be there all the same: read on from there.
	last := 0
	_ = d.journal.Replay(func(e Entry) error {
		var data struct{ N int }
		last++
		return json.Unmarshal(e.Data, &data)
	})
	d.acked = max(d.acked, last)
}

// checkSurvivors reopens the journal on a disk that works and checks that
// everything acknowledged is there, in order, and that writing goes on.
func checkSurvivors(t *testing.T, dir string, disk filesystem, acked int) {
	t.Helper()
	j, err := Open(dir, Options{fs: disk})
	if err != nil {
		t.Fatalf("reopening: %v", err)
	}
	defer j.Close()
	if r := j.Recovery(); r.Corrupt != "" || r.Created && acked > 0 {
		t.Errorf("Recovery = %+v, want at most a torn line", r)
	}
	got := numbers(t, j.Replay)
	if !slices.Equal(got, upTo(len(got))) || len(got) < acked {
		t.Fatalf("replayed %v, want 1..n with n at least %d", got, acked)
	}
	mustAppend(t, j, len(got)+1, len(got)+1)
	if err := j.Reopen(); err != nil || j.Recovery().Torn != 0 {
		t.Errorf("second opening = %v, %+v, want nothing found", err, j.Recovery())
	}
	if got := numbers(t, j.Replay); !slices.Equal(got, upTo(len(got))) || len(got) <= acked {
		t.Errorf("after the next append: %v", got)
	}
}

// eachCall runs a life that goes wrong at its 1st, 2nd, … call until one goes
// through unharmed, and fails when that are fewer lives than a life has calls.
func eachCall(t *testing.T, life func(t *testing.T, call int) (happened bool)) {
	t.Helper()
	for call := 1; ; call++ {
		happened := false
		ok := t.Run(fmt.Sprintf("call=%03d", call), func(t *testing.T) { happened = life(t, call) })
		if !ok {
			return
		}
		if !happened {
			if call < 50 {
				t.Errorf("a life has %d calls: the test no longer reaches what it is about", call)
			}
			return
		}
	}
}

func TestKilledAtAnyCall(t *testing.T) {
	eachCall(t, func(t *testing.T, call int) bool {
		dir := t.TempDir()
		disk := &faultyDisk{filesystem: osFilesystem{}, calls: call, isKill: true, cause: errDead}
		d := &diary{}
		d.live(dir, disk)
		checkSurvivors(t, dir, osFilesystem{}, d.acked)
		checkHistory(t, dir, d.acked)
		return disk.happened
	})
}

// checkHistory checks that all files together tell every entry once, and that
// the chain runs through them.
func checkHistory(t *testing.T, dir string, acked int) {
	t.Helper()
	r, err := OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := numbers(t, r.History)
	from := 1
	if len(got) > 0 {
		from = got[0] // Older files may have been pruned.
	}
	if from+len(got)-1 < acked || !slices.Equal(got, upTo(from + len(got) - 1)[from-1:]) {
		t.Errorf("history = %v, want every number once up to at least %d", got, acked)
	}
	if reports, err := VerifyDir(dir); err != nil {
		t.Errorf("VerifyDir = %+v, %v", reports, err)
	}
}

func TestAnyCallFailsOnce(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		t.Run(cause.Error(), func(t *testing.T) {
			eachCall(t, func(t *testing.T, call int) bool {
				dir := t.TempDir()
				disk := &faultyDisk{filesystem: osFilesystem{}, calls: call, cause: cause}
				d := &diary{}
				d.live(dir, disk)
				checkSurvivors(t, dir, osFilesystem{}, d.acked)
				checkHistory(t, dir, d.acked)
				return disk.happened
			})
		})
	}
}

func TestPowerFailsAtAnyCall(t *testing.T) {
	eachCall(t, func(t *testing.T, call int) bool {
		happened := false
		for seed := range uint64(20) {
			dir, mem := t.TempDir(), newMemDisk()
			disk := &faultyDisk{filesystem: mem, calls: call, isKill: true, cause: errDead}
			d := &diary{}
			d.live(dir, disk)
			after := mem.powerFailure(rand.New(rand.NewPCG(seed, uint64(call))))
			checkSurvivors(t, dir, after, d.acked)
			happened = disk.happened
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		return happened
	})
}

func TestAFailedSyncFailsTheJournalUntilReopened(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		dir := t.TempDir()
		disk := &faultyDisk{filesystem: osFilesystem{}, cause: cause}
		j := mustOpen(t, dir, Options{fs: disk})
		mustAppend(t, j, 1, 2)
		disk.calls = 2 // The write succeeds, its sync does not.
		if err := j.Append(story(3, 3)...); !errors.Is(err, cause) {
			t.Fatalf("Append = %v, want %v", err, cause)
		}
		if err := j.Append(story(3, 3)...); !errors.Is(err, cause) {
			t.Errorf("next Append = %v, want to hear of %v again", err, cause)
		}
		if err := j.Rotate(nil); !errors.Is(err, cause) {
			t.Errorf("Rotate = %v, want to hear of %v", err, cause)
		}
		if err := j.Failed(); !errors.Is(err, cause) {
			t.Errorf("Failed = %v, want %v", err, cause)
		}
		if got := numbers(t, j.Replay); !slices.Equal(got, upTo(2)) {
			t.Errorf("replayed %v, want 1..2: reading still works", got)
		}
		if err := j.Reopen(); err != nil || j.Failed() != nil {
			t.Fatalf("Reopen = %v, Failed = %v", err, j.Failed())
		}
		if r := j.Recovery(); r.Torn != 0 {
			t.Errorf("Recovery = %+v, want no torn line: it was taken back", r)
		}
		mustAppend(t, j, 3, 3)
		if got := numbers(t, j.Replay); !slices.Equal(got, upTo(3)) {
			t.Errorf("replayed %v, want 1..3", got)
		}
	}
}

// childVariable makes the test binary a process that appends until it is killed.
const childVariable = "DROVER_TEST_JOURNAL_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		fmt.Fprintln(os.Stderr, appendForever(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// appendForever appends batches and prints the last number after each.
func appendForever(dir string) error {
	j, err := Open(dir, Options{RotateSize: 8 << 10})
	if err != nil {
		return err
	}
	d := &diary{journal: j}
	if err := j.Replay(func(Entry) error { d.acked++; return nil }); err != nil {
		return err
	}
	for {
		if err := d.write(1 + rand.IntN(20)); err != nil {
			return err
		}
		fmt.Println(d.acked)
		if !j.ShouldRotate() {
			continue
		}
		if err := d.rotate(); err != nil {
			return err
		}
	}
}

func TestSIGKILLWhileAppending(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	total := 0
	for range 15 {
		acked := killedChild(t, dir, 1+random.IntN(40), random)
		j, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r := j.Recovery(); r.Corrupt != "" {
			t.Errorf("Recovery = %+v, want at most a torn line", r)
		}
		got := numbers(t, j.Replay)
		if len(got) < acked || !slices.Equal(got, upTo(len(got))) {
			t.Fatalf("after a kill %d entries are replayed in order %t, want at least the %d acknowledged", len(got), slices.Equal(got, upTo(len(got))), acked)
		}
		if len(got) <= total {
			t.Errorf("%d entries, want more than the %d of the life before", len(got), total)
		}
		total = len(got)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(filepath.Join(dir, activeName)); err != nil {
			t.Errorf("Verify = %v", err)
		}
	}
	if files, err := rotatedFiles(osFilesystem{}, dir); err != nil || len(files) == 0 {
		t.Errorf("rotated files = %v, %v; want some, else the kills missed rotation", files, err)
	}
}

// killedChild runs a child, kills it some bytes of output after its nth
// acknowledgement, and returns the last number it acknowledged.
func killedChild(t *testing.T, dir string, nth int, random *rand.Rand) int {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	child.Stderr = &complaints
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	acked, lines := 0, 0
	for in := bufio.NewScanner(out); in.Scan(); lines++ {
		if acked, err = strconv.Atoi(in.Text()); err != nil {
			t.Fatal(err)
		}
		if lines == nth {
			spin(random.IntN(2_000_000))
			_ = child.Process.Kill() // It may be gone already: then Wait tells.
		}
	}
	_, _ = io.Copy(io.Discard, out)
	err = child.Wait()
	if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		t.Fatalf("the child ended by itself: %v: %s", err, &complaints)
	}
	return acked
}

// spin passes a little time, so that the kill meets the child anywhere.
func spin(n int) {
	x := uint32(1)
	for range n {
		x = x*1664525 + 1013904223
	}
	_ = x
}
