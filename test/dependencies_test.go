package test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// required matches a direct requirement of go.mod, in a block or alone.
var required = regexp.MustCompile(`(?m)^(?:require )?\s*([\w./-]+\.[\w./-]+) v\S+$`)

// explained matches a row of the table in docs/dependencies.md.
var explained = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.+) \\|$")

func TestEveryDependencyHasAReason(t *testing.T) {
	direct := map[string]bool{}
	for _, m := range required.FindAllStringSubmatch(read(t, "go.mod"), -1) {
		direct[m[1]] = true
	}
	if len(direct) < 5 {
		t.Fatalf("found %d direct requirements in go.mod: the pattern no longer fits", len(direct))
	}
	reasons := map[string]bool{}
	for _, m := range explained.FindAllStringSubmatch(read(t, "docs/dependencies.md"), -1) {
		if reasons[m[1]] {
			t.Errorf("docs/dependencies.md explains %s twice", m[1])
		}
		if len(strings.Fields(m[2])) < 4 {
			t.Errorf("docs/dependencies.md: %q is no reason for %s", m[2], m[1])
		}
		reasons[m[1]] = true
	}
	for _, p := range slices.Sorted(maps.Keys(direct)) {
		if !reasons[p] {
			t.Errorf("go.mod requires %s, and docs/dependencies.md does not say why", p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(reasons)) {
		if !direct[p] {
			t.Errorf("docs/dependencies.md explains %s, which go.mod does not require directly", p)
		}
	}
}
