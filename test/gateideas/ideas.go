package main

// idea is a change of the gate that was tried and rejected.
type idea struct {
	name string
	// why it was rejected, beside the figures.
	why     string
	changes []change
	cells   []string
}

// change replaces a text of a file of pkg/reconcile that is there exactly once.
type change struct{ file, old, new string }

// both are a row's cells at half and at a tenth of the traffic, with clumps of a
// mean length.
func both(course, requests, clump string) []string {
	return []string{at(course, requests, "50", clump), at(course, requests, "10", clump)}
}

// at is the name of a cell, as the simulation prints it.
func at(course, requests, split, clump string) string {
	return course + ", " + requests + " requests, " + split + " % of the traffic, clumps of " + clump
}

func cells(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

const incident = "both 0.1 → 20 % half-way"

// ideas are in the order of docs/gates.md.
var ideas = []idea{
	{
		name: "divide each look by the φ known before it",
		why:  "the first clump, before anything is known, counts in full for ever",
		changes: []change{
			{"contest.go", "\tc.evidence.add(fresh, old)\n\tc.absolute.add(fresh, old, r.judged)\n", `	known, before := c.phi(r), c.evidence.log
	c.evidence.add(fresh, old)
	for i := range before {
		c.evidence.log[i] = before[i] + (c.evidence.log[i]-before[i])/tempered(known)
	}
	c.absolute.add(fresh, old, steps{r.judged.failure / known, r.judged.success / known})
`},
			{"contest.go", "l, cusum := c.absolute.l/phi, c.absolute.c/phi", "l, cusum := c.absolute.l, c.absolute.c"},
			{"contest.go", "c.evidence.value(tempered(phi))", "c.evidence.value(1)"},
		},
		cells: cells(both("1 → 1 %", "1000", "8"), both(incident, "1000", "8")),
	},
	{
		name:    "divide by the mean length of a clump, (φ+1)/2",
		why:     "blames good versions",
		changes: []change{{"contest.go", "\tphi := c.phi(r)\n\tl, cusum", "\tphi := (c.phi(r) + 1) / 2\n\tl, cusum"}},
		cells:   cells(both("1 → 1 %", "1000", "3"), both("5 → 5 %", "1000", "3")),
	},
	{
		name: "divide everything by φ^0.8",
		why:  "blames good versions",
		changes: []change{
			{"contest.go", "\tphi := c.phi(r)\n\tl, cusum", "\tphi := math.Pow(c.phi(r), 0.8)\n\tl, cusum"},
			{"contest.go", "c.evidence.value(tempered(phi))", "c.evidence.value(phi)"},
		},
		cells: cells(both("5 → 5 %", "1000", "3"), both("5 → 5 %", "1000", "8")),
	},
	{
		name: "divide by the largest of three φ at all times",
		why:  "where failures are independent the largest of three estimates is noise",
		changes: []change{{"contest.go", `	case min(failures, r.failures) >= enoughToTell:
		old = max(old, phi)
	case failures > 0:
		old = (phi*failures + r.phi*r.failures) / (failures + r.failures)
	}`, `	case failures > 0:
		old = max(old, phi)
	}`}},
		cells: cells(both("1 → 10 %", "100", "1"), both("1 → 5 %", "100", "1")),
	},
	{
		name: "φ by successive differences, deaf to a change of level",
		why:  "an incident is such a change: it is taken for the version's",
		changes: []change{
			{"dispersion.go", "\trequests, failures, squares float64\n}\n\nfunc (s *spread) add", "\trequests, failures, squares float64\n\tprior, moved float64\n}\n\nfunc (s *spread) add"},
			{"dispersion.go", "\ts.squares += x * x / n\n\ts.open = block{}", "\tif s.blocks > 1 {\n\t\ts.moved += n * (x/n - s.prior) * (x/n - s.prior) / 2\n\t}\n\ts.prior = x / n\n\ts.squares += x * x / n\n\ts.open = block{}"},
			{"dispersion.go", "\ts.squares /= 2\n", "\ts.squares /= 2\n\ts.moved /= 2\n"},
			{"dispersion.go", "\treturn dispersion(s.requests, s.failures, s.squares, float64(s.blocks))", "\tp := s.failures / s.requests\n\tif p >= 1 {\n\t\treturn 1\n\t}\n\treturn max(1, s.moved/(p*(1-p))/float64(s.blocks-1))"},
			{"dispersion.go", "\treturn dispersion(requests, failures, squares, float64(r.filled))", `	p, moved, prior := failures/requests, 0.0, 0.0
	if p >= 1 {
		return 1
	}
	for i := range r.filled {
		b := r.blocks[(r.next+recentBlocks-r.filled+i)%recentBlocks]
		n, x := float64(b.requests), float64(b.failures)
		if i > 0 {
			moved += n * (x/n - prior) * (x/n - prior) / 2
		}
		prior = x / n
	}
	return max(1, moved/(p*(1-p))/float64(r.filled-1))`},
			{"dispersion.go", "\tvar requests, failures, squares float64\n\tfor", "\tvar requests, failures float64\n\tfor"},
			{"dispersion.go", "\t\tfailures += x\n\t\tsquares += x * x / n\n", "\t\tfailures += x\n"},
		},
		cells: cells(both(incident, "1000", "3"), both(incident, "1000", "8")),
	},
	{
		name:    "φ of the new side from all of its blocks, not the last ten",
		why:     "a version that turns bad is compared with how it was",
		changes: []change{{"contest.go", "\tfreshSpread lastBlocks\n", "\tfreshSpread spread\n"}},
		cells:   cells(both("0.1 → 5 %", "1000", "8"), both("0.1 → 20 % half-way", "1000", "8")),
	},
	{
		name: "compare failing blocks instead of failures",
		why:  "too few blocks to find as much",
		changes: []change{
			{"contest.go", "\tevidence   comparison\n", "\tevidence   comparison\n\tblocksOf   [2]observe.Counts\n\topenBlock  [2]block\n"},
			{"contest.go", "\tc.evidence.add(fresh, old)\n", `	for i, n := range []observe.Counts{fresh, old} {
		c.openBlock[i].take(n)
		if c.openBlock[i].requests >= intervalRequests {
			c.blocksOf[i].Requests++
			c.blocksOf[i].Failures += int64(min(c.openBlock[i].failures, 1))
			c.openBlock[i] = block{}
		}
	}
	if c.blocksOf[0].Requests > 0 && c.blocksOf[1].Requests > 0 {
		c.evidence.add(c.blocksOf[0], c.blocksOf[1])
		c.blocksOf = [2]observe.Counts{}
	}
`},
			{"contest.go", "c.evidence.value(tempered(phi))", "c.evidence.value(1)"},
		},
		cells: cells(both("0.1 → 20 %", "100", "1"), both("0.1 → 20 %", "100", "3"), both("0.1 → 5 %", "1000", "8")),
	},
	{
		name:    "let L fire at 3 instead of ln 50 when there is a control",
		why:     "blames good versions",
		changes: []change{{"contest.go", "sumToBlame  = 3.912023005428146", "sumToBlame  = 3"}, {"contest.go", "a.isBlamed = a.evidence >= evidenceToBlame ||", "a.isBlamed = true ||"}},
		cells:   both("5 → 5 %", "1000", "3"),
	},
	{
		name:    "let L fire at 2",
		why:     "the more so",
		changes: []change{{"contest.go", "sumToBlame  = 3.912023005428146", "sumToBlame  = 2"}, {"contest.go", "a.isBlamed = a.evidence >= evidenceToBlame ||", "a.isBlamed = true ||"}},
		cells:   both("5 → 5 %", "1000", "3"),
	},
	{
		name:    "ask for 3 φ failures instead of 3",
		why:     "the three intervals say it already",
		changes: []change{{"contest.go", "c.fresh.Failures >= minFailures\n", "float64(c.fresh.Failures) >= minFailures*phi\n"}},
		cells:   cells(both("0.1 → 20 %", "100", "3"), both("0.1 → 20 %", "100", "8")),
	},
	{
		name:    "ask the CUSUM to agree with E",
		why:     "finds less and blames no less",
		changes: []change{{"contest.go", "a.isWorse = isSpread && isFelt && a.evidence >= evidenceToFail", "a.isWorse = isSpread && isFelt && a.evidence >= evidenceToFail && cusum >= 3"}},
		cells:   cells(both("1 → 10 %", "1000", "8"), both("1 → 1 %", "1000", "8")),
	},
	{
		name:    "believe the comparison from half of the limit on, not from the limit",
		why:     "takes back versions that fail less than they may; little is gained",
		changes: []change{{"baseline.go", "felt: min(mostFelt, max(limit, leastRate))", "felt: min(mostFelt, max(limit/2, leastRate))"}},
		cells:   cells(both("0.1 → 1 %", "1000", "1"), both("1 → 1 %", "1000", "1"), both("1 → 1 %", "1000", "3"), both("1 → 1 %", "1000", "8")),
	},
	{
		name:    "hold a version to its baseline alone, not to a quarter of the limit",
		why:     "the same",
		changes: []change{{"baseline.go", "strictness = 0.25", "strictness = 0.05"}},
		cells:   cells(both("0.1 → 1 %", "1000", "1"), both("0.1 → 0.1 %", "1000", "1"), both("0.1 → 0.1 %", "1000", "3"), both("0.1 → 0.1 %", "1000", "8")),
	},
	{
		name:    "p₀ at the limit, whatever the baseline",
		why:     "a service that used to be clean is held to too little",
		changes: []change{{"baseline.go", "strictness = 0.25", "strictness = 1"}},
		cells:   cells(both("0.1 → 5 %", "1000", "8"), both("0.1 → 2 %", "1000", "1")),
	},
}
