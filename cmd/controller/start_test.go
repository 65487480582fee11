package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
)

// startLimit is how long a command may take to start: what a person does not notice.
const startLimit = 30 * time.Millisecond

// released is the program as `make build` makes it: the one of testscript has the
// race detector in it.
func released(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "drover")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building drover: %v\n%s", err, out)
	}
	return binary
}

// started is how long a call took, by the clock and of the processor.
func started(t testing.TB, binary string, args []string) (clock, processor time.Duration) {
	t.Helper()
	begun := time.Now()
	cmd := exec.Command(binary, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("drover %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return time.Since(begun), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// TestEveryCommandStartsAtOnce: version, and --help of every command, take less
// than 30 ms of the processor in the best of some runs. By the clock they take no
// longer on a machine that has nothing else to do (BenchmarkStart); on one that has
// the clock is about the others.
func TestEveryCommandStartsAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program once more")
	}
	binary := released(t)
	calls := [][]string{{"version"}}
	root, _ := rootCommand()
	everyCommand(t, root, func(path string, _ *cobra.Command) {
		calls = append(calls, append(strings.Fields(path)[1:], "--help"))
	})
	var clocks []time.Duration
	for _, args := range calls {
		best := time.Hour
		for try := 0; try < 5 && best > startLimit; try++ {
			clock, processor := started(t, binary, args)
			clocks, best = append(clocks, clock), min(best, processor)
		}
		if best > startLimit {
			t.Errorf("drover %s takes %s of the processor at best, want at most %s", strings.Join(args, " "), best, startLimit)
		}
	}
	slices.Sort(clocks)
	t.Logf("%d starts of %d commands: %s at best by the clock, %s in the median", len(clocks), len(calls), clocks[0], clocks[len(clocks)/2])
}

// BenchmarkStart is the start of the program: version, which does nothing else, and
// the longest help.
func BenchmarkStart(b *testing.B) {
	binary := released(b)
	for _, args := range [][]string{{"version"}, {"--help"}, {"help"}, {"rancher-gitlab-deploy", "--help"}} {
		b.Run(strings.Join(args, " "), func(b *testing.B) {
			var processor time.Duration
			for b.Loop() {
				_, took := started(b, binary, args)
				processor += took
			}
			b.ReportMetric(float64(processor.Microseconds())/float64(b.N)/1000, "cpu-ms/op")
		})
	}
}

func TestStartHint(t *testing.T) {
	const dir = "/var/lib/drover"
	for want, err := range map[string]error{
		"one daemon at a time": &journal.LockedError{Dir: dir, PID: 7},
		"chown -R":             fmt.Errorf("opening: %w", fs.ErrPermission),
	} {
		if got := startHint(err, dir); !errors.Is(got, err) || !strings.Contains(got.Error(), want) || !strings.Contains(got.Error(), dir) {
			t.Errorf("startHint(%v) = %v, want %q in it", err, got, want)
		}
	}
	if err := errors.New("other"); !errors.Is(startHint(err, dir), err) || startHint(err, dir).Error() != "other" {
		t.Errorf("startHint(%v) = %v, want it as it is", err, startHint(err, dir))
	}
}
