package reconcile

import (
	"strings"
	"testing"
	"time"
)

// TestRetryIsOneMoreTry: a version that was asked for once more, and fails once more, is
// not tried for ever, whoever asked and however it fails.
func TestRetryIsOneMoreTry(t *testing.T) {
	const condemned = "run 4s; push c errors=5; run 10m"
	for name, test := range map[string]struct {
		script string
		// most is how many upgrades the rest of the day may see: pins count.
		most int
	}{
		"in the file, failing a gate":           {condemned + "; file retry=c", 1},
		"in the file, failing on probation":     {condemned + "; behave c ok; file retry=c; run 50s; behave c errors=5", 1},
		"in the file, no time for the pin":      {"run 4s; file deadline=10s; file retry=c; push c ok", 2},
		"in the file, no time for the version":  {"set image-ids=no; run 4s; file deadline=10s; file retry=c; push c ok", 2},
		"by a person, failing a gate":           {condemned + "; person retries c", 1},
		"by a person, no time for the pin":      {"run 4s; file deadline=10s; push c ok; person retries c", 2},
		"by a person, no time for the version":  {"set image-ids=no; run 4s; file deadline=10s; push c ok; person retries c", 2},
		"in the file, and then by a person too": {condemned + "; file retry=c; run 10m; person retries c", 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPaper()
			for command := range strings.SplitSeq(test.script, "; ") {
				if err := p.command(strings.Fields(command), func(Decision) {}); err != nil {
					t.Fatal(err)
				}
			}
			var sent []string
			p.run(12*time.Hour, func(d Decision) {
				if d.Action == Upgrade {
					sent = append(sent, string(d.Plan.Kind)+" "+string(d.Code))
				}
			})
			if len(sent) == 0 || len(sent) > test.most {
				t.Errorf("%d upgrades, want 1 to %d: %.300q", len(sent), test.most, sent)
			}
		})
	}
}
