package conformance

import (
	"testing"
	"testing/synctest"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// TestRecordings plays each scenario against the embedded server.
func TestRecordings(t *testing.T) {
	for _, names := range [][]string{
		{"01-create-service"},
		{"02-upgrade-finish"},
		{"03-rollback-from-upgraded"},
		{"04-rollback-while-upgrading"},
		{"05-cancel-then-rollback"},
		{"06-errors", "06-errors-2"},
		{"07-stalled-upgrade"},
		{"08-start-failure"},
		{"09-health-and-self-heal"},
		{"10-put-during-upgrade"},
		{"12-load-balancer"},
		{"13-variants"},
		{"14-sidekicks", "14-sidekicks-2"},
	} {
		t.Run(names[0], func(t *testing.T) {
			t.Parallel()
			lines := load(t, names...)
			var runtime ranchersim.Runtime
			if names[0] == "08-start-failure" {
				runtime = failing{}
			}
			synctest.Test(t, func(t *testing.T) { newRunner(t, runtime).run(names[0], lines) })
		})
	}
}
