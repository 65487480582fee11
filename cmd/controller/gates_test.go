package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// TestEveryGateJudgesARollout plays a rollout of the real daemon with every gate
// that there is: it finishes when all pass, a check is called once and told which
// image it is about, and errors that only the new version writes are told.
func TestEveryGateJudgesARollout(t *testing.T) {
	t.Parallel()
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"scalar","result":[%d,"0.5"]}}`, time.Now().Unix())
	}))
	t.Cleanup(prometheus.Close)
	p := newPeer(t)
	called := filepath.Join(p.dir, "called")
	p.edit(func(text string) string {
		// Three values of the query, one a second, have to fit into the bake.
		text = strings.Replace(text, "bake: 2s", "bake: 4s", 1)
		text = strings.Replace(text, "targets:\n", `prometheus:
- {name: main, url: `+prometheus.URL+`}
checks:
- name: smoke
  command: {run: [sh, -c, 'echo "$DROVER_IMAGE" >> "$0"; echo 3 tests passed', `+called+`]}
targets:
`, 1) + `    tcp: {port: 8080, every: 500ms}
    logs: {novelty: hold}
    prometheus:
    - {name: load, server: main, query: scalar(up), max: 1, every: 1s}
    checks: [smoke]
`
		return strings.Replace(text, "every: 500ms}\n    tcp", "every: 500ms, evidenceRate: 10}\n    tcp", 1)
	})
	p.start()
	p.awaitAdopted()
	good := p.push("serve")
	p.await("the good version runs", func() bool { return p.settled(good) })
	p.await("it is finished", func() bool {
		last := p.history().Last
		return last != nil && last.Outcome == reconcile.Finished && last.To.Digest == good
	})
	if told, err := os.ReadFile(called); err != nil || strings.Count(string(told), "\n") != 1 || !strings.Contains(string(told), good) {
		t.Errorf("the check was told %q, %v, want the image once", told, err)
	}
	noisy := p.push("log=ERROR cannot reach 10.42.0.7")
	p.await("the errors of the new version hold it", func() bool {
		h := p.history()
		return h.Rollout != nil && h.Rollout.To.Digest == noisy && h.Status.Code == reconcile.CodeShortOfEvidence && strings.Contains(h.Status.Verdicts, "logs=Hold")
	})
	out, err := exec.Command(p.binary, "why", "parrot-rest", "--config", p.config(), "--state-dir", p.state()).CombinedOutput()
	for _, want := range []string{"of errors that the old version does not write", "ERROR cannot reach 10.42.0.7", "check smoke"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("why does not say %q (%v):\n%s", want, err, out)
		}
	}
}
