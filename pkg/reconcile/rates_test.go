package reconcile

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

var (
	ratesRuns  = flag.Int("rates.runs", 0, "simulate each cell of the gate's error rates so often; 0 is a few, compared with docs/gates.md")
	ratesOnly  = flag.String("rates.only", "", "simulate only the cells whose name matches, and print how they end; with -rates.write they are written anew")
	ratesWrite = flag.Bool("rates.write", false, "write the table in docs/gates.md anew")
)

const (
	gatesPage = "../../docs/gates.md"
	// fewRuns is how often a cell is simulated in the normal run of the tests.
	fewRuns = 60
)

// course is how often requests fail, in per cent, before the rollout and in it.
type course struct {
	name               string
	before, fresh, old float64
	// isLate says that it begins half-way through the rollout.
	isLate bool
	// hasNeighbours says that another service of the load balancer does as the old
	// side does.
	hasNeighbours bool
}

// courses are the rows of rollout-safety 3.4 and 3.5b.
var courses = []course{
	{name: "0.1 → 0.1 %", before: 0.1, fresh: 0.1, old: 0.1},
	{name: "1 → 1 %", before: 1, fresh: 1, old: 1},
	{name: "2 → 2 %", before: 2, fresh: 2, old: 2},
	{name: "5 → 5 %", before: 5, fresh: 5, old: 5},
	{name: "20 → 20 %", before: 20, fresh: 20, old: 20},
	{name: "both 0.1 → 20 % half-way", before: 0.1, fresh: 20, old: 20, isLate: true},
	{name: "the same, neighbours too", before: 0.1, fresh: 20, old: 20, isLate: true, hasNeighbours: true},
	{name: "0.1 → 1 %", before: 0.1, fresh: 1, old: 0.1},
	{name: "0.1 → 2 %", before: 0.1, fresh: 2, old: 0.1},
	{name: "0.1 → 5 %", before: 0.1, fresh: 5, old: 0.1},
	{name: "0.1 → 10 %", before: 0.1, fresh: 10, old: 0.1},
	{name: "0.1 → 20 %", before: 0.1, fresh: 20, old: 0.1},
	{name: "0.1 → 50 %", before: 0.1, fresh: 50, old: 0.1},
	{name: "0.1 → 100 %", before: 0.1, fresh: 100, old: 0.1},
	{name: "1 → 5 %", before: 1, fresh: 5, old: 1},
	{name: "1 → 10 %", before: 1, fresh: 10, old: 1},
	{name: "5 → 20 %", before: 5, fresh: 20, old: 5},
	{name: "0.1 → 20 % half-way", before: 0.1, fresh: 20, old: 0.1, isLate: true},
	{name: "0.1 → 100 % half-way", before: 0.1, fresh: 100, old: 0.1, isLate: true},
}

// isEqual says that both sides fail alike from the beginning to the end: a rollback
// is false.
func (c course) isEqual() bool { return c.before == c.fresh && c.fresh == c.old }

// cell is one figure of the table.
type cell struct {
	course
	// requests is how many the new side sees.
	requests int
	// split is the new side's part of the traffic in per cent, clump the mean length
	// of a run of failures.
	split, clump int
}

var (
	requestCounts = []int{1000, 100, 20}
	splits        = []int{50, 10}
	clumps        = []int{1, 3, 8}
)

func cells() []cell { return grid(courses, requestCounts, splits, clumps) }

func grid(courses []course, requestCounts, splits, clumps []int) []cell {
	var all []cell
	for _, n := range requestCounts {
		for _, c := range courses {
			for _, split := range splits {
				for _, clump := range clumps {
					all = append(all, cell{c, n, split, clump})
				}
			}
		}
	}
	return all
}

func (c cell) String() string {
	return fmt.Sprintf("%s, %d requests, %d %% of the traffic, clumps of %d", c.name, c.requests, c.split, c.clump)
}

// seed tells the cells' random numbers apart.
func (c cell) seed() uint64 {
	h := fnv.New64a()
	h.Write([]byte(c.String()))
	return h.Sum64()
}

// outcome is how the runs of a cell ended.
type outcome struct{ runs, rollbacks, holds int }

func (o outcome) rollback() float64 { return float64(o.rollbacks) / float64(o.runs) }
func (o outcome) hold() float64     { return float64(o.holds) / float64(o.runs) }

// run simulates a cell. Run i is the same whatever the number of runs.
func (c cell) run(runs int) outcome {
	o := outcome{runs: runs}
	for i := range runs {
		s := newTraffic(c, rand.New(rand.NewPCG(uint64(i), c.seed())))
		switch s.rollout() {
		case Fail:
			o.rollbacks++
		case Hold:
			o.holds++
		case Pass, NoData:
		}
	}
	return o
}

func simulate(all []cell, runs int) []outcome {
	outcomes := make([]outcome, len(all))
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range next {
				outcomes[i] = all[i].run(runs)
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	workers.Wait()
	return outcomes
}

// TestGateRates measures how often the load balancer gate takes back a good
// version, finds a bad one and holds in an incident of both, with the decision's
// own code (Decide) on simulated traffic, and compares with what docs/gates.md
// says.
func TestGateRates(t *testing.T) {
	runs := *ratesRuns
	if runs == 0 {
		runs = fewRuns
	}
	all := cells()
	if *ratesOnly != "" {
		printRates(t, all, runs)
		return
	}
	got := simulate(all, runs)
	for i, c := range all {
		if problem := c.promise(got[i]); problem != "" {
			t.Errorf("%s: %s", c, problem)
		}
	}
	if *ratesWrite {
		writeTable(t, ratesBegin, ratesEnd, renderRates(all, got))
		return
	}
	compareRates(t, all, got)
}

// printRates simulates some cells and prints them; nothing is promised of them.
func printRates(t *testing.T, all []cell, runs int) {
	t.Helper()
	only, err := regexp.Compile(*ratesOnly)
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(c cell) bool { return !only.MatchString(c.String()) })
	got := simulate(all, runs)
	for i, o := range got {
		t.Logf("cell: %s: %d %d %d", all[i], o.rollbacks, o.holds, o.runs)
	}
	if *ratesWrite {
		rewriteRates(t, all, got)
	}
}

// promise holds a measurement to what is promised: rollout-safety 3.5b and ruling
// 19. Below the full number of runs a figure may be three standard errors off.
func (c cell) promise(o outcome) string {
	off := 0.0
	if o.runs < 1000 {
		off = 3
	}
	if c.isEqual() {
		limit := map[int]float64{1: 0.005, 3: 0.015, 8: 0.05}[c.clump]
		if allowed := limit + off*standardError(limit, o.runs); o.rollback() > allowed {
			return fmt.Sprintf("a good version is taken back in %.2f %% of the runs, at most %.2f %% may be", 100*o.rollback(), 100*limit)
		}
	}
	want, ok := known[c.known()]
	if !ok {
		return ""
	}
	isShared := strings.HasPrefix(c.name, "both")
	se := math.Hypot(standardError(want.rollback, o.runs), standardError(want.rollback, want.runs()))
	switch {
	case isShared && o.rollback() > want.rollback+3*se:
		return fmt.Sprintf("blamed in %.3f of the runs, 3.5b in %.3f", o.rollback(), want.rollback)
	case isShared && o.rollback()+o.hold() < want.rollback+want.hold-3*se:
		return fmt.Sprintf("held in %.3f of the runs, 3.5b in %.3f", o.hold(), want.hold)
	case !isShared && o.rollback() < want.rollback-3*se:
		return fmt.Sprintf("found in %.3f of the runs, 3.5b in %.3f", o.rollback(), want.rollback)
	}
	return ""
}

// standardError of a share that was measured so often. A share of 0 or 1 was
// printed rounded.
func standardError(share float64, runs int) float64 {
	p := min(max(share, 0.005), 0.995)
	return math.Sqrt(p * (1 - p) / float64(runs))
}

// knownCell is a figure of rollout-safety 3.5b.
type knownCell struct {
	name                   string
	requests, split, clump int
}

func (c cell) known() knownCell { return knownCell{c.name, c.requests, c.split, c.clump} }

type figure struct {
	rollback, hold float64
	requests       int
}

// runs is how often 3.5b simulated it.
func (f figure) runs() int {
	if f.requests == 1000 {
		return 1200
	}
	return 3000
}

// known are the figures of 3.5b, in its order: at 50 % and at 10 % of the traffic,
// clumps of 1, 3 and 8.
var known = knownFigures(map[string][6]float64{
	"1000 both 0.1 → 20 % half-way": {0.011, 0.058, 0.19, 0.001, 0.022, 0.049},
	"1000 0.1 → 5 %":                {1, 0.92, 0.86, 1, 1, 0.91},
	"1000 1 → 10 %":                 {1, 0.95, 0.67, 1, 1, 0.90},
	"100 0.1 → 10 %":                {0.93, 0.33, 0.13, 0.99, 0.49, 0.20},
	"100 0.1 → 20 %":                {1, 0.77, 0.41, 1, 0.91, 0.55},
	"100 0.1 → 50 %":                {1, 1, 0.93, 1, 1, 0.99},
	"100 1 → 10 %":                  {0.72, 0.08, 0.04, 0.95, 0.23, 0.09},
}, map[string][6]float64{
	"1000 both 0.1 → 20 % half-way": {0.99, 0.94, 0.75, 1, 0.97, 0.84},
})

func knownFigures(rollbacks, holds map[string][6]float64) map[knownCell]figure {
	all := map[knownCell]figure{}
	for key, six := range rollbacks {
		text, name, _ := strings.Cut(key, " ")
		requests := slices.IndexFunc(requestCounts, func(n int) bool { return fmt.Sprint(n) == text })
		for i, rollback := range six {
			n := requestCounts[requests]
			all[knownCell{name, n, splits[i/3], clumps[i%3]}] = figure{rollback, holds[key][i], n}
		}
	}
	return all
}

// compareRates holds a few runs to the table of the page.
func compareRates(t *testing.T, all []cell, got []outcome) {
	t.Helper()
	page, err := os.ReadFile(gatesPage)
	if err != nil {
		t.Fatal(err)
	}
	table := parseRates(string(page))
	for i, c := range all {
		want, ok := table[c.known()]
		if !ok {
			t.Errorf("%s: not in the table of %s; `make gate-rates` writes it", c, gatesPage)
			continue
		}
		// Four standard errors: there are hundreds of cells.
		if d := math.Abs(got[i].rollback() - want.rollback); d > 4*standardError(want.rollback, got[i].runs) {
			t.Errorf("%s: rolled back in %d of %d runs, the page says %.3f", c, got[i].rollbacks, got[i].runs, want.rollback)
		}
		if d := math.Abs(got[i].hold() - want.hold); d > 4*standardError(want.hold, got[i].runs) {
			t.Errorf("%s: held in %d of %d runs, the page says %.3f", c, got[i].holds, got[i].runs, want.hold)
		}
	}
}
