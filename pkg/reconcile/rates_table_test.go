package reconcile

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	ratesBegin = "<!-- gate-rates: written by `make gate-rates` -->"
	ratesEnd   = "<!-- gate-rates ends -->"
	ratesHead  = " failing, before → new version "
)

// renderRates is the table of the page.
func renderRates(all []cell, got []outcome) string {
	var b strings.Builder
	for i, c := range all {
		if c.isFirstOfTable(all, i) {
			fmt.Fprintf(&b, "\n**%d requests of the new version**, %d runs per figure\n\n", c.requests, got[i].runs)
			b.WriteString("|" + ratesHead + "| half of the traffic: 1 | 3 | 8 | a tenth: 1 | 3 | 8 |\n|---|---|---|---|---|---|---|\n")
		}
		if c.split == splits[0] && c.clump == clumps[0] {
			b.WriteString("| " + c.name)
		}
		fmt.Fprintf(&b, " | %s", figureText(got[i]))
		if c.split == splits[len(splits)-1] && c.clump == clumps[len(clumps)-1] {
			b.WriteString(" |\n")
		}
	}
	return b.String()
}

func (c cell) isFirstOfTable(all []cell, i int) bool {
	return i == 0 || all[i-1].requests != c.requests
}

// figureText is the share of rollbacks and, in brackets, of holds.
func figureText(o outcome) string {
	s := strings.TrimPrefix(fmt.Sprintf("%.3f", o.rollback()), "0")
	if o.holds > 0 && o.hold() >= 0.0005 {
		s += " (" + strings.TrimPrefix(fmt.Sprintf("%.3f", o.hold()), "0") + ")"
	}
	return s
}

// parseRates reads renderRates back.
func parseRates(page string) map[knownCell]figure {
	table := map[knownCell]figure{}
	_, text, _ := strings.Cut(page, ratesBegin)
	text, _, _ = strings.Cut(text, ratesEnd)
	requests := 0
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "**"); ok {
			number, _, _ := strings.Cut(rest, " ")
			requests, _ = strconv.Atoi(number)
			continue
		}
		columns := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(columns) != 1+len(splits)*len(clumps) || strings.HasPrefix(columns[0], ratesHead) {
			continue
		}
		for i, text := range columns[1:] {
			key := knownCell{strings.TrimSpace(columns[0]), requests, splits[i/len(clumps)], clumps[i%len(clumps)]}
			if f, ok := parseFigure(text); ok {
				table[key] = f
			}
		}
	}
	return table
}

func parseFigure(text string) (figure, bool) {
	rollback, hold, _ := strings.Cut(strings.TrimSpace(text), " ")
	var f figure
	var err error
	if f.rollback, err = strconv.ParseFloat(rollback, 64); err != nil {
		return f, false
	}
	if hold != "" {
		f.hold, err = strconv.ParseFloat(strings.Trim(hold, "()"), 64)
	}
	return f, err == nil
}

// rewriteRates writes some cells anew and leaves the others as the page has them.
func rewriteRates(t *testing.T, some []cell, got []outcome) {
	t.Helper()
	page, err := os.ReadFile(gatesPage)
	if err != nil {
		t.Fatal(err)
	}
	table := parseRates(string(page))
	all := cells()
	merged := make([]outcome, len(all))
	for i, c := range all {
		if n := slices.Index(some, c); n >= 0 {
			merged[i] = got[n]
			continue
		}
		f := table[c.known()]
		runs := float64(got[0].runs)
		merged[i] = outcome{runs: got[0].runs, rollbacks: int(math.Round(f.rollback * runs)), holds: int(math.Round(f.hold * runs))}
	}
	writeTable(t, ratesBegin, ratesEnd, renderRates(all, merged))
}

// writeTable puts a table into its place in the page.
func writeTable(t *testing.T, begin, end, table string) {
	t.Helper()
	page, err := os.ReadFile(gatesPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, isBegun := strings.Cut(string(page), begin)
	_, after, isEnded := strings.Cut(rest, end)
	if !isBegun || !isEnded {
		t.Fatalf("%s has no place for the table: %s … %s", gatesPage, begin, end)
	}
	if err := os.WriteFile(gatesPage, []byte(before+begin+"\n"+table+"\n"+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRatesTableIsReadBack(t *testing.T) {
	all := cells()
	got := make([]outcome, len(all))
	for i := range got {
		got[i] = outcome{runs: 1000, rollbacks: i, holds: i % 3 * 100}
	}
	table := parseRates(ratesBegin + renderRates(all, got) + ratesEnd)
	if len(table) != len(all) {
		t.Errorf("read %d cells back, want %d", len(table), len(all))
	}
	for i, c := range all {
		if f := table[c.known()]; f.rollback != got[i].rollback() || f.hold != got[i].hold() {
			t.Errorf("%s: read %v (%v) back, want %v (%v)", c, f.rollback, f.hold, got[i].rollback(), got[i].hold())
		}
	}
}
