//go:build image

package image

import (
	"strings"
	"testing"
	"time"
)

// The daemon's exit codes, docs/cli.md.
const (
	failed         = 1
	endedOtherwise = 6
)

// rolloutLimit is what a rollout of three containers with a bake of ten seconds
// may take on a busy machine.
const rolloutLimit = "4m"

// TestDaemon is a deployment's life: healthy, a good version finished, stopped in
// the middle of the next and taken up by another container, a bad one taken back.
func TestDaemon(t *testing.T) {
	w := newWorld(t)
	d := w.deploy(t, "")
	first := d.start(t, "first")
	steps := []struct {
		name string
		run  func(t *testing.T)
	}{
		// With the timing of the image: the first look is after fifteen seconds.
		{"healthy", func(t *testing.T) { awaitHealth(t, first, "healthy", 2*time.Minute) }},
		{"confined", func(t *testing.T) { isConfined(t, first) }},
		{"state", d.hasPrivateState},
		{"good", func(t *testing.T) { comesTo(t, first, w, w.push(t, "serve"), 0) }},
		{"moved", func(t *testing.T) { d.movesOn(t, w, first) }},
	}
	for _, s := range steps {
		if !t.Run(s.name, s.run) {
			t.FailNow()
		}
	}
}

// comesTo waits for what comes of a digest, by the command a pipeline would use.
func comesTo(t *testing.T, container string, w *world, digest string, want int) string {
	t.Helper()
	args := []string{"exec", container, "drover", "wait", "--image", w.Image, "--digest", digest, "--timeout", rolloutLimit}
	r := run(t.Context(), 5*time.Minute, "", args...)
	if r.code != want {
		t.Fatalf("drover wait ends with %d, want %d:\n%s\n%s", r.code, want, r.out, r.errOut)
	}
	return r.errOut
}

// isConfined holds the daemon's process to what the deployment promises.
func isConfined(t *testing.T, container string) {
	t.Helper()
	status := shell(t, "", "cat /proc/1/status", "--pid", "container:"+container)
	for _, want := range []string{
		"Uid:\t65532\t65532\t65532\t65532", "Gid:\t65532\t65532\t65532\t65532", "NoNewPrivs:\t1",
		"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000",
	} {
		if !strings.Contains(status, want+"\n") {
			t.Errorf("the daemon's process has not %q:\n%s", want, status)
		}
	}
	if r := try(t, "exec", container, "drover", "man", "/etc/drover/man"); r.code != failed || !strings.Contains(r.errOut, "read-only file system") {
		t.Errorf("writing outside of the volume ends with %d: %s", r.code, r.errOut)
	}
	docker(t, "exec", container, "drover", "man", "/tmp/man")
}

// hasPrivateState is the volume's owner and mode, which it took from the image,
// and those of whatever the daemon has made in it.
func (d *deployment) hasPrivateState(t *testing.T) {
	const odd = `cd /state; find . \( ! -user 65532 -o ! -group 65532 -o -type d ! -perm 700 -o ! -type d ! -perm 600 \) -printf '%u:%g %m %p\n'`
	if got := d.look(t, odd); got != "" {
		t.Errorf("in the state directory is what others may read:\n%s", got)
	}
	if got := d.look(t, "cd /state; ls"); !strings.Contains(got, "journal.jsonl") || !strings.Contains(got, "drover.sock") {
		t.Errorf("the state directory holds %q, want a journal and a socket", got)
	}
}

// movesOn stops the daemon in the middle of a rollout and has another container
// end it.
func (d *deployment) movesOn(t *testing.T, w *world, first string) {
	digest := w.push(t, "serve")
	await(t, "the rollout is under way", time.Minute, func() (bool, string) {
		said := docker(t, "exec", first, "drover", "status", "--json", "parrot-rest")
		return strings.Contains(said, digest) && strings.Contains(said, `"rollout"`), said
	})
	stops(t, first)
	docker(t, "rm", "-v", first)
	second := d.start(t, "second")
	comesTo(t, second, w, digest, 0)
	docker(t, "exec", second, "drover", "history", "--verify")
}

// stops ends a container as the engine does at a shutdown.
func stops(t *testing.T, container string) {
	t.Helper()
	begun := time.Now()
	docker(t, "stop", "--time", "30", container)
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("docker stop took %s, want at most 10 s", took)
	}
	if got := docker(t, "inspect", "-f", "{{.State.ExitCode}} {{.State.OOMKilled}}", container); got != "0 false" {
		t.Errorf("the daemon ended with %s, want 0 false", got)
	}
}
