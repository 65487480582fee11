package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// TestDemo plays the whole story on embedded parts and believes nothing but its
// summary, which asks Rancher and the journal.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("the demo takes half a minute")
	}
	var out bytes.Buffer
	if err := ends(exitOK, "demo", run(t.Context(), []string{"demo", "--json"}, strings.NewReader(""), &out, &out)); err != nil {
		t.Fatalf("the demo failed: %v\n%s", err, decisionsIn(out.String()))
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var o outcome
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &o); err != nil || o.Event != "summary" {
		t.Fatalf("last line is no summary (%v): %s", err, lines[len(lines)-1])
	}
	if !o.OK || !o.Finished || !o.RolledBack || !o.Quarantine || !o.Verified {
		t.Errorf("summary = %+v, want everything right", o)
	}
	if o.Seconds >= 60 {
		t.Errorf("the demo took %.0f s, want less than 60", o.Seconds)
	}
	if !strings.Contains(o.Reason, "load balancer") {
		t.Errorf("rolled back because of %q, want the load balancer gate", o.Reason)
	}
	if o.Traffic.Lost > 0 {
		t.Errorf("%d requests of users were not answered", o.Traffic.Lost)
	}
	if strings.Contains(out.String(), `"code":"pin-first"`) {
		t.Error("the demo pins an image first: it begins with a pinned one, to be over in half a minute")
	}
	for _, want := range []string{`"event":"log"`, `"event":"decision"`, `"action":"upgrade"`, `"action":"finishupgrade"`, `"action":"rollback"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the story has no line with %s", want)
		}
	}
}

// decisionsIn leaves the log lines out.
func decisionsIn(story string) string {
	var b strings.Builder
	for line := range strings.Lines(story) {
		if !strings.Contains(line, `"event":"log"`) {
			b.WriteString(line)
		}
	}
	return b.String()
}
