package reconcile

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

const (
	holdOutBegin = "<!-- gate-holdout: written by `make gate-rates` -->"
	holdOutEnd   = "<!-- gate-holdout ends -->"
)

// heldOut are rows that the constants of the gate were not chosen by: other rates,
// parts of the traffic, clumps and numbers of requests than those of courses.
var heldOut = []course{
	{name: "0.3 → 0.3 %", before: 0.3, fresh: 0.3, old: 0.3},
	{name: "0.7 → 0.7 %", before: 0.7, fresh: 0.7, old: 0.7},
	{name: "3 → 3 %", before: 3, fresh: 3, old: 3},
	{name: "10 → 10 %", before: 10, fresh: 10, old: 10},
	{name: "both 0.3 → 10 % half-way", before: 0.3, fresh: 10, old: 10, isLate: true},
	{name: "0.3 → 3 %", before: 0.3, fresh: 3, old: 0.3},
	{name: "0.3 → 8 %", before: 0.3, fresh: 8, old: 0.3},
	{name: "0.3 → 30 %", before: 0.3, fresh: 30, old: 0.3},
	{name: "3 → 12 %", before: 3, fresh: 12, old: 3},
	{name: "0.3 → 30 % half-way", before: 0.3, fresh: 30, old: 0.3, isLate: true},
}

var (
	heldOutRequests = []int{1000, 300}
	heldOutSplits   = []int{33, 20}
	heldOutClumps   = []int{1, 2, 5}
)

func heldOutCells() []cell { return grid(heldOut, heldOutRequests, heldOutSplits, heldOutClumps) }

// renderHeldOut is the table of the page.
func renderHeldOut(all []cell, got []outcome) string {
	var b strings.Builder
	last := ""
	for i, c := range all {
		if i == 0 || all[i-1].requests != c.requests {
			fmt.Fprintf(&b, "\n**%d requests of the new version**, %d runs per figure\n\n", c.requests, got[i].runs)
			b.WriteString("| failing, before → new version | a third of the traffic: 1 | 2 | 5 | a fifth: 1 | 2 | 5 |\n|---|---|---|---|---|---|---|")
			last = ""
		}
		if c.name != last {
			fmt.Fprintf(&b, "\n| %s |", c.name)
			last = c.name
		}
		fmt.Fprintf(&b, " %s |", figureText(got[i]))
		if i == len(all)-1 || all[i+1].requests != c.requests {
			b.WriteString("\n")
		}
	}
	return b.String()
}

// promisedOfHeldOut are the bounds of equal rates, by the length of clumps: those in
// between are held to the bound of the next one that is promised.
var promisedOfHeldOut = map[int]float64{1: 0.005, 2: 0.015, 5: 0.05}

// TestGateHoldOut measures the gate where nobody looked when its constants were
// chosen. What is promised must hold there as well.
func TestGateHoldOut(t *testing.T) {
	if *ratesOnly != "" {
		return
	}
	runs := *ratesRuns
	if runs == 0 {
		runs = fewRuns / 2
	}
	all := heldOutCells()
	got := simulate(all, runs)
	for i, c := range all {
		limit := promisedOfHeldOut[c.clump]
		// Three standard errors, at any number of runs: nothing was adjusted to these.
		if c.isEqual() && got[i].rollback() > limit+3*standardError(limit, runs) {
			t.Errorf("%s: a good version is taken back in %.2f %% of the runs, %.2f %% are promised", c, 100*got[i].rollback(), 100*limit)
		}
	}
	if *ratesWrite {
		writeTable(t, holdOutBegin, holdOutEnd, renderHeldOut(all, got))
		return
	}
	compareHeldOut(t, all, got, runs)
}

// compareHeldOut holds a few runs to the page.
func compareHeldOut(t *testing.T, all []cell, got []outcome, runs int) {
	t.Helper()
	page, err := os.ReadFile(gatesPage)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), holdOutBegin)
	text, _, _ = strings.Cut(text, holdOutEnd)
	table := map[string][]string{}
	requests := ""
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "**"); ok {
			requests, _, _ = strings.Cut(rest, " ")
		}
		columns := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		table[requests+strings.TrimSpace(columns[0])] = columns[1:]
	}
	for i, c := range all {
		row := table[fmt.Sprint(c.requests)+c.name]
		n := 0
		for ; heldOutSplits[n/len(heldOutClumps)] != c.split || heldOutClumps[n%len(heldOutClumps)] != c.clump; n++ {
		}
		if n >= len(row) {
			t.Errorf("%s: not in the table of %s; `make gate-rates` writes it", c, gatesPage)
			continue
		}
		want, ok := parseFigure(row[n])
		if !ok {
			t.Errorf("%s: the page says %q", c, row[n])
		}
		// One run more or less is no difference where there are few.
		if d := math.Abs(got[i].rollback() - want.rollback); d > 4*standardError(want.rollback, got[i].runs)+1/float64(runs) {
			t.Errorf("%s: rolled back in %d of %d runs, the page says %.3f", c, got[i].rollbacks, got[i].runs, want.rollback)
		}
	}
}
