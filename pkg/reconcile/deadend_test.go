package reconcile

import (
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Messages as users reported them to rancher/rancher (numbers), as recorded from
// running servers, and as Docker words them.
func TestDeadEndsInPlainWords(t *testing.T) {
	const bad = "Failed to allocate instance [container:1i407]: Bad instance [container:1i407] in state [error]: "
	for message, want := range map[string]struct {
		text       string
		isVersions bool
	}{
		bad + "Allocation failed: No healthy hosts meet the resource constraints: [ports: [8302:8888/tcp], ResourceType: instanceReservation, Amount: 1]": {"no host has the port 8302:8888/tcp free", false}, // #8786
		bad + "Allocation failed: No healthy hosts meet the resource constraints: [80:80/tcp portReservation, 1 instanceReservation]":                     {"no host has the port 80 free", false},            // #9554
		bad + "Scheduling failed: host needs ports 8092/tcp available)":                                                                                   {"no host has the port 8092/tcp free", false},      // #6249
		bad + "Allocation failed: needs host with label foo: true":                                                                                        {"no host has the label foo: true that the service asks for", false},
		bad + "Scheduling failed: No healthy hosts with sufficient resources available":                                                                   {"no healthy host has room for it: ports, CPU, memory or labels are short", false}, // #7267
		bad + "Scheduling failed: something new":                                                                                                          {"Rancher finds no host for it", false},
		`500 Server Error: Internal Server Error ("driver failed programming external connectivity on endpoint r-elasticsearch-2_kopf_1 (89cd): Error starting userland proxy: Bind for 0.0.0.0:80: unexpected error (Failure EADDRINUSE)")`: {"the port 80 is taken on its host", false}, // #6054
		"Error response from daemon: driver failed programming external connectivity on endpoint r-chat-1 (8f): Bind for 0.0.0.0:8080 failed: port is already allocated":                                                                     {"the port 8080 is taken on its host", false},
		"Error response from daemon: manifest for 127.0.0.1:5000/app@sha256:abababababababababababababababababababababababababababababababab not found: manifest unknown: manifest unknown":                                                  {"its image cannot be pulled: the registry does not have it", false}, // real-04
		"Error response from daemon: pull access denied for team/api, repository does not exist or may require 'docker login': denied: requested access to the resource is denied":                                                           {"its image cannot be pulled: the registry does not have it", false},
		"Error response from daemon: Get https://registry.example/v2/team/api/manifests/sha256:ab: unauthorized: authentication required":                                                                                                    {"its image cannot be pulled: the registry does not let the host in", false},
		"Error response from daemon: Get https://registry.example/v2/: dial tcp: lookup registry.example: no such host":                                                                                                                      {"its image cannot be pulled: the host does not reach the registry", false},
		"Error response from daemon: Get https://registry.example/v2/: x509: certificate signed by unknown authority":                                                                                                                        {"its image cannot be pulled: the host does not trust the registry's certificate", false},
		"toomanyrequests: You have reached your pull rate limit.":           {"its image cannot be pulled: the registry limits the host's requests", false},
		"no matching manifest for linux/amd64 in the manifest list entries": {"the image has nothing for the host's platform", true},
		`OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "/app/server": stat /app/server: no such file or directory: unknown`: {"the command it starts with is not in the image", true},
		`OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "serve": executable file not found in $PATH: unknown`:                {"the command it starts with is not in the image", true},
		`OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "/app/server": permission denied: unknown`:                           {"the command it starts with may not be executed", true},
		"standard_init_linux.go:228: exec user process caused: exec format error":                                                                                         {"the image is for another processor than the host's", true},
		"failed to register layer: Error processing tar file(exit status 1): write /usr/lib/x: no space left on device":                                                   {"its host's disk is full", false},
		"Timeout getting IP address": {"its host gives it no address: Rancher's network service may be down", false},
	} {
		got, ok := readDeadEnd(message)
		if !ok || got.text != want.text || got.isVersions != want.isVersions {
			t.Errorf("readDeadEnd(%q) = %q (the version's: %t), want %q (%t)", message, got.text, got.isVersions, want.text, want.isVersions)
		}
	}
	// What passes by itself, or says nothing (rancher-api 14.3).
	for _, message := range []string{
		"", "In Progress", "STATE_CHANGED", "Waiting: healthy [container:1i24]", "Failing [compute.instance.activate]", "Scheduling", "Storage", "Networking",
		"State [removed] is not valid for process [instance.stop:2155] on resource [112]", "Waiting for deployment unit instances to create",
		bad + "Failing [compute.instance.activate]",
	} {
		if got, ok := readDeadEnd(message); ok {
			t.Errorf("readDeadEnd(%q) = %q, want nothing", message, got.text)
		}
	}
}

func TestRanchersPlumbingIsLeftOut(t *testing.T) {
	for message, want := range map[string]string{
		"Failed to allocate instance [container:1i29]: Bad instance [container:1i29] in state [error]: Error response from daemon: conflict": "conflict",
		" Waiting: healthy [container:1i24] ":      "Waiting: healthy [container:1i24]",
		"Failed to allocate instance [container:1": "Failed to allocate instance [container:1",
	} {
		if got := plainly(message); got != want {
			t.Errorf("plainly(%q) = %q, want %q", message, got, want)
		}
	}
}

const portTaken = "Error response from daemon: driver failed programming external connectivity on endpoint r-chat-1 (8f): Bind for 0.0.0.0:8080 failed: port is already allocated"

// A port that is taken may become free; until the deadline it holds, and what the
// containers were made again meanwhile is not the version's churn.
func TestDeadEndOfAHostHoldsAndMayPass(t *testing.T) {
	p := newPaper()
	for i := range p.containers {
		p.containers[i].ImageID = ""
	}
	p.dead = portTaken
	p.until(t, func(d Decision) bool { return d.Phase == Upgrading })
	p.run(90*time.Second, func(d Decision) {
		if d.Action != NoAction {
			t.Fatalf("decided %s: %s", d.Action, d.Reason)
		}
	})
	f := finding(t, p.last, "health")
	if f.Verdict != Hold || f.Code != CodeDeadEnd || !strings.HasSuffix(f.Text(), "the port 8080 is taken on its host") {
		t.Errorf("port taken: %s %s", f.Verdict, f.Text())
	}
	p.dead = ""
	if d := p.until(t, ended); d.Action != FinishUpgrade {
		t.Errorf("when the port is free: %s %s", d.Action, d.Reason)
	}
}

// At the deadline the version is taken back, because capacity is short meanwhile;
// its digest is not condemned, and is tried again after the back-off.
func TestDeadEndOfAHostIsTakenBackWithoutBlame(t *testing.T) {
	p := newPaper()
	for i := range p.containers {
		p.containers[i].ImageID = ""
	}
	p.dead = portTaken
	p.until(t, func(d Decision) bool { return d.Phase == Upgrading })
	begun := p.now
	d := p.until(t, ended)
	if took := p.now.Sub(begun); d.Action != Rollback || took < 115*time.Second || took > 130*time.Second {
		t.Errorf("%s after %v: %s, want a rollback at the health deadline", d.Action, took, d.Reason)
	}
	p.dead = ""
	p.run(time.Minute, func(Decision) {})
	if len(p.history.Quarantine) != 0 || p.history.Last == nil || p.history.Last.Outcome != RolledBack {
		t.Errorf("quarantine %v, last %+v, want rolled back and nothing condemned", p.history.Quarantine, p.history.Last)
	}
	if d := p.until(t, func(d Decision) bool { return d.Action != NoAction }); d.Action != Upgrade {
		t.Errorf("after the back-off: %s %s, want another try", d.Action, d.Reason)
	}
}

func TestImageThatCannotRunFailsAtOnce(t *testing.T) {
	p := newPaper()
	for i := range p.containers {
		p.containers[i].ImageID = ""
	}
	p.dead = `OCI runtime create failed: starting container process caused: exec: "serve": executable file not found in $PATH: unknown`
	p.until(t, func(d Decision) bool { return d.Action == Upgrade })
	begun := p.now
	d := p.until(t, ended)
	if d.Action != Rollback || p.now.Sub(begun) > 10*time.Second || !strings.Contains(d.Reason, "the command it starts with is not in the image") {
		t.Errorf("%s after %v: %s", d.Action, p.now.Sub(begun), d.Reason)
	}
	p.dead = ""
	p.run(30*time.Second, func(Decision) {})
	if len(p.history.Quarantine) != 1 {
		t.Errorf("quarantine %v, want the digest", p.history.Quarantine)
	}
}

// An error that Rancher shows for a moment is no failure (rancher-api 2.7).
func TestPassingErrorIsNoDeadEnd(t *testing.T) {
	p := newPaper()
	for i := range p.containers {
		p.containers[i].ImageID = ""
	}
	p.until(t, inBake)
	in := func(message string) Decision {
		p.now = p.now.Add(2 * time.Second)
		seen := p.snapshot()
		seen.Service.Transitioning, seen.Service.TransitioningMessage = "error", message
		d := Decide(Input{Target: InForce(p.target, p.history), Observed: seen, History: p.history, Memory: p.memory, Now: p.now})
		p.memory = d.Memory
		return d
	}
	if d := in("STATE_CHANGED"); d.Code != CodeBaking {
		t.Errorf("STATE_CHANGED: %s %s", d.Code, d.Reason)
	}
	if p.state != observe.StateUpgraded {
		t.Fatalf("state %s", p.state)
	}
}
