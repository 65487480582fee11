// Command report reads the events of `go test -json`, prints what `go test`
// would have printed, and ends with the tests that were skipped and why: a
// skipped test proves nothing, and a run that hides it claims too much.
//
//	go test -json ./... | go run ./test/report
//
// It exits 1 when a test or a build failed, or when there was nothing to read.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// report collects what the events tell.
type report struct {
	out io.Writer
	// pending is the output of each test that has not ended yet.
	pending map[string][]string
	// skips are the skipped tests with their reasons.
	skips []string
	// packages and passes count what passed; failed says that something did not.
	packages, passes int
	failed           bool
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// run copies the story from in to out.
func run(in io.Reader, out io.Writer) error {
	r := &report{out: out, pending: map[string][]string{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		r.line(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading test events: %w", err)
	}
	return r.end()
}

// line takes one line; what is no event is shown as it is.
func (r *report) line(b []byte) {
	var e event
	if err := json.Unmarshal(b, &e); err != nil || e.Action == "" {
		fmt.Fprintf(r.out, "%s\n", b)
		return
	}
	r.event(e)
}

// event takes one event.
func (r *report) event(e event) {
	key := e.Package + "\x00" + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "build-fail":
		r.failed = true
	case "output":
		r.output(key, e)
	case "pass", "skip", "fail", "bench":
		r.ended(key, e)
	}
}

// output shows a package's own lines at once and keeps a test's until it ends.
func (r *report) output(key string, e event) {
	switch {
	case e.Test != "":
		r.pending[key] = append(r.pending[key], e.Output)
	case e.Output != "PASS\n":
		fmt.Fprint(r.out, e.Output)
	}
}

// ended shows the output of a failed test and remembers a skipped one.
func (r *report) ended(key string, e event) {
	said := r.pending[key]
	delete(r.pending, key)
	switch {
	case e.Action == "fail":
		r.failed = true
		r.show(said)
	case e.Test == "" && e.Action == "pass":
		r.packages++
	case e.Action == "pass":
		r.passes++
	case e.Test != "" && e.Action == "skip":
		r.skips = append(r.skips, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(said)))
	}
}

// show prints a test's output without the marks of its progress.
func (r *report) show(said []string) {
	for _, s := range said {
		if !strings.HasPrefix(s, "=== ") {
			fmt.Fprint(r.out, s)
		}
	}
}

// reason is what a skipped test said.
func reason(said []string) string {
	var words []string
	for _, s := range said {
		s = strings.TrimSpace(s)
		if s != "" && !strings.HasPrefix(s, "=== ") && !strings.HasPrefix(s, "--- ") {
			words = append(words, s)
		}
	}
	if len(words) == 0 {
		return "no reason given"
	}
	return strings.Join(words, " ")
}

// end prints the summary and says whether the run was a good one.
func (r *report) end() error {
	// A test that never ended was cut off by a panic or a timeout.
	for _, said := range r.pending {
		r.show(said)
	}
	slices.Sort(r.skips)
	if len(r.skips) > 0 {
		fmt.Fprintf(r.out, "\n!!! %d SKIPPED: nothing was proven by\n", len(r.skips))
	}
	for _, s := range r.skips {
		fmt.Fprintf(r.out, "!!!   %s\n", s)
	}
	fmt.Fprintf(r.out, "\n%d packages and %d tests passed, %d skipped\n", r.packages, r.passes, len(r.skips))
	switch {
	case r.failed:
		return fmt.Errorf("tests failed")
	case r.packages == 0:
		return fmt.Errorf("no package was tested")
	}
	return nil
}
