package test

import (
	"fmt"
	"regexp"
	"testing"
)

// namedRows are the rows of the fault table about load balancers and probes (H)
// that are one behaviour of one package, and so have a test by their number. The
// statistical rows (H14 to H18, H25) are judged together, by simulation.
var namedRows = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 19, 20, 21, 22, 23, 24}

func TestFaultRowsAreTestedByName(t *testing.T) {
	var all []string
	named := regexp.MustCompile(`(?m)^func (TestH[0-9]+[A-Z]\w*)\(`)
	for _, s := range sources(t) {
		if !s.isTest {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(read(t, s.path), -1) {
			all = append(all, m[1])
		}
	}
	for _, row := range namedRows {
		want := regexp.MustCompile(fmt.Sprintf(`^TestH%d[A-Z]`, row))
		found := false
		for _, name := range all {
			found = found || want.MatchString(name)
		}
		if !found {
			t.Errorf("row H%d of the fault table has no test TestH%d…", row, row)
		}
	}
}
