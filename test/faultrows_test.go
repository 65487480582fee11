package test

import (
	"fmt"
	"regexp"
	"testing"
)

// namedRows is how many rows the fault table has about load balancers and probes
// (H): each has a test by its number.
const namedRows = 25

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
	for row := 1; row <= namedRows; row++ {
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
