package conformance

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// TestRecordings plays each scenario against the embedded server.
func TestRecordings(t *testing.T) {
	all := scenarios(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(name, "rgd-") {
			continue // They are one world and another dialect: TestDeployTool.
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := load(t, all[name]...)
			synctest.Test(t, func(t *testing.T) { newRunner(t, runtimeOf(lines)).run(name, lines) })
		})
	}
}
