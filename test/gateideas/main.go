// Command gateideas plays ideas for the load balancer gate that were tried and
// rejected, each as a change of the product's own code in the compiler's overlay, on
// the same simulated rollouts as `make gate-rates`, and writes what they would do
// into docs/gates.md beside what the gate does. Nothing of them is in the product.
//
//	go run ./test/gateideas -runs 2000 -write
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

const (
	folder = "pkg/reconcile"
	page   = "docs/gates.md"
	begins = "<!-- gate-ideas: written by `make gate-ideas` -->"
	ends   = "<!-- gate-ideas ends -->"
)

func main() {
	runs := flag.Int("runs", 2000, "how often each cell is simulated")
	write := flag.Bool("write", false, "write the table into "+page)
	only := flag.String("only", "", "play the ideas whose name has this in it")
	flag.Parse()
	if err := run(*runs, *write, *only); err != nil {
		fmt.Fprintln(os.Stderr, "gateideas:", err)
		os.Exit(1)
	}
}

func run(runs int, write bool, only string) error {
	var wanted []string
	for _, i := range ideas {
		wanted = append(wanted, i.cells...)
	}
	asItIs, err := simulate(".", nil, wanted, runs)
	if err != nil {
		return fmt.Errorf("the gate as it is: %w", err)
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%d runs a figure; a row is the share taken back and, in brackets, held, as the gate is → with the idea.\n\n| idea | half of the traffic | a tenth | why not |\n|---|---|---|---|\n", runs)
	for _, i := range ideas {
		if !strings.Contains(i.name, only) {
			continue
		}
		files, err := apply(".", i)
		if err != nil {
			return err
		}
		got, err := simulate(".", files, i.cells, runs)
		if err != nil {
			return fmt.Errorf("%s: %w", i.name, err)
		}
		row := i.row(asItIs, got)
		fmt.Print(row)
		table.WriteString(row)
	}
	if !write || only != "" {
		return nil
	}
	return writeTable(table.String())
}

// row is an idea's line of the table. Its cells come in pairs: half of the traffic
// and a tenth.
func (i idea) row(asItIs, got map[string]figure) string {
	var columns [2][]string
	for n, cell := range i.cells {
		course, rest, _ := strings.Cut(cell, ", ")
		requests, _, _ := strings.Cut(rest, " ")
		clump := cell[strings.LastIndex(cell, " ")+1:]
		columns[n%2] = append(columns[n%2], fmt.Sprintf("%s, %s requests, clumps of %s: %s → **%s**", course, requests, clump, asItIs[cell], got[cell]))
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", i.name, strings.Join(columns[0], "<br>"), strings.Join(columns[1], "<br>"), i.why)
}

// figure is how the runs of a cell ended.
type figure struct{ rollback, hold float64 }

// String is the figure as in the tables of the page.
func (f figure) String() string {
	short := func(x float64) string { return strings.TrimPrefix(strconv.FormatFloat(x, 'f', 3, 64), "0") }
	if f.hold < 0.0005 {
		return short(f.rollback)
	}
	return short(f.rollback) + " (" + short(f.hold) + ")"
}

// apply makes the changed files of an idea: their text by path.
func apply(root string, i idea) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, c := range i.changes {
		path := filepath.Join(root, folder, c.file)
		text, isChanged := files[path]
		if !isChanged {
			var err error
			if text, err = os.ReadFile(path); err != nil {
				return nil, err
			}
		}
		if n := bytes.Count(text, []byte(c.old)); n != 1 {
			return nil, fmt.Errorf("idea %q: %s has %d times\n%s\nand must have it once: the code has moved on, and the idea with it", i.name, c.file, n, c.old)
		}
		files[path] = bytes.Replace(text, []byte(c.old), []byte(c.new), 1)
	}
	return files, nil
}

// simulate runs the simulation of cells with changed files in the place of the
// product's.
func simulate(root string, files map[string][]byte, cells []string, runs int) (map[string]figure, error) {
	dir, err := os.MkdirTemp("", "gateideas")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	overlay, err := writeOverlay(dir, files)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(cells))
	for i, c := range cells {
		names[i] = regexp.QuoteMeta(c)
	}
	test := exec.Command("go", "test", "-count=1", "-timeout", "1h", "-overlay", overlay, "-run", "^TestGateRates$", "-v", "./"+folder,
		"-rates.runs", strconv.Itoa(runs), "-rates.only", "^(?:"+strings.Join(names, "|")+")$")
	test.Dir = root
	out, err := test.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w:\n%s", err, out)
	}
	return parse(out, cells)
}

func writeOverlay(dir string, files map[string][]byte) (string, error) {
	replace := map[string]string{}
	for path, text := range files {
		whole, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		replace[whole] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[whole], text, 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}

// parse reads the lines `cell: NAME: ROLLBACKS HOLDS RUNS` of the simulation.
func parse(out []byte, cells []string) (map[string]figure, error) {
	got := map[string]figure{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		_, text, ok := strings.Cut(lines.Text(), "cell: ")
		name, counts, isCell := strings.Cut(text, ": ")
		if !ok || !isCell {
			continue
		}
		var rollbacks, holds, runs int
		if _, err := fmt.Sscan(counts, &rollbacks, &holds, &runs); err != nil || runs == 0 {
			return nil, fmt.Errorf("cannot read %q", lines.Text())
		}
		got[name] = figure{float64(rollbacks) / float64(runs), float64(holds) / float64(runs)}
	}
	for _, c := range cells {
		if _, ok := got[c]; !ok {
			return nil, fmt.Errorf("the simulation knows no cell %q", c)
		}
	}
	return got, lines.Err()
}

func writeTable(table string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, hasBegin := strings.Cut(string(text), begins)
	_, after, hasEnd := strings.Cut(rest, ends)
	if !hasBegin || !hasEnd {
		return errors.New(page + " has no place for the table")
	}
	return os.WriteFile(page, []byte(before+begins+"\n\n"+table+"\n"+ends+after), 0o644)
}
