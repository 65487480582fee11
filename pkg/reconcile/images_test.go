package reconcile

import (
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestHostsRunDifferentImages: each host runs what the bare tag named when that host
// pulled it. A person is told which runs what, once, until it is over.
func TestHostsRunDifferentImages(t *testing.T) {
	p := newPaper()
	p.run(6*time.Second, func(Decision) {})
	p.containers[2].ImageID, p.containers[2].HostID = "config-b", "1h2"
	d := p.look()
	want := "different images run as " + repository + ":latest: config-a runs in parrot-rest-1 on 1h1, parrot-rest-2 on 1h1; config-b runs in parrot-rest-3 on 1h2"
	if d.Phase != Idle || d.Code != CodeImagesDiffer || !d.Alert || d.Reason != want || d.Action != NoAction {
		t.Errorf("decided %s %s, alert %t: %q; want an alert: %q", d.Phase, d.Code, d.Alert, d.Reason, want)
	}
	if len(d.Events) != 1 || d.Events[0].Kind != EventStatus {
		t.Errorf("events %+v, want one line", d.Events)
	}
	if d = p.look(); len(d.Events) != 0 {
		t.Errorf("said again: %+v", d.Events)
	}
	p.containers[2].ImageID = "config-a"
	if d = p.look(); d.Code != CodeNothingToDo || d.Alert {
		t.Errorf("afterwards %s, alert %t, want nothing to do", d.Code, d.Alert)
	}
}

// TestImagesThatNeedNotBeEqual: what was not seen, stopped, or made from another
// launch configuration says nothing, and one index on hosts of several platforms is
// told without an alert.
func TestImagesThatNeedNotBeEqual(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(p *paper)
		code   Code
	}{
		"not seen":           {func(p *paper) { p.containers[2].ImageID = "" }, CodeNothingToDo},
		"stopped":            {func(p *paper) { p.containers[2].State, p.containers[2].ImageID = "stopped", "config-b" }, CodeNothingToDo},
		"of another version": {func(p *paper) { p.containers[2].Version, p.containers[2].ImageID = "v9", "config-b" }, CodeNothingToDo},
		"sidekick": {func(p *paper) {
			p.containers = append(p.containers, observe.Container{ID: "1i9", LaunchName: "logger", State: "running", ImageID: "config-l"})
		}, CodeNothingToDo},
		"pinned": {func(p *paper) {
			pinned := repository + "@" + digest("a")
			p.launch.Image, p.history.Baseline.Image = pinned, pinned
			for i := range p.containers {
				p.containers[i].Image = pinned
			}
			p.containers[2].ImageID = "config-arm"
		}, CodeImagesDiffer},
	} {
		p := newPaper()
		p.run(6*time.Second, func(Decision) {})
		tt.change(p)
		if d := p.look(); d.Code != tt.code || d.Alert {
			t.Errorf("%s: %s, alert %t: %s; want %s without an alert", name, d.Code, d.Alert, d.Reason, tt.code)
		}
	}
}

// TestRunsAsAsked compares what Docker runs with what is known of the reference.
func TestRunsAsAsked(t *testing.T) {
	part := Part{Image: "app:latest", Digest: "sha256:index", Manifest: "sha256:manifest", Config: "sha256:config"}
	old := Part{Image: "app:old", Config: "sha256:old"}
	h := History{Baseline: &Baseline{Part: old, Sidekicks: map[string]Part{"logger": {Image: "log:1", Config: "sha256:log"}}}, Rollout: &Rollout{To: Baseline{Part: part}}}
	for _, tt := range []struct {
		image, launch, id string
		asked, known      bool
	}{
		{"app:latest", "", "sha256:config", true, true},
		{"app:latest", "", "sha256:manifest", true, true},
		{"app:latest", "", "sha256:index", true, true},
		{"app:latest", "", "sha256:other", false, true},
		{"app:old", "", "sha256:old", true, true},
		{"app:latest", "", "", false, false},
		{"app:unknown", "", "sha256:config", false, false},
		{"log:1", "logger", "sha256:log", true, true},
		{"log:1", "", "sha256:log", false, false},
	} {
		c := observe.Container{Image: tt.image, LaunchName: tt.launch, ImageID: tt.id}
		if asked, known := RunsAsAsked(h, &c); asked != tt.asked || known != tt.known {
			t.Errorf("RunsAsAsked(%s %s runs %s) = %t, %t; want %t, %t", tt.image, tt.launch, strings.TrimPrefix(tt.id, "sha256:"), asked, known, tt.asked, tt.known)
		}
	}
}
