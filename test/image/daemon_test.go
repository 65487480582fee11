//go:build image

package image

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// The commands' exit codes, docs/cli.md.
const (
	failed         = 1
	endedOtherwise = 6
)

// rolloutLimit is what a rollout of three containers with a bake of ten seconds
// may take on a busy machine.
const rolloutLimit = 4 * time.Minute

// TestDaemon is a deployment's life: healthy, a good version finished, stopped in
// the middle of the next, which another container ends, killed in the middle of a
// bad one, which a third takes back.
func TestDaemon(t *testing.T) {
	w := newWorld(t)
	d := w.deploy(t, wishes{})
	d.start("first")
	steps := []struct {
		name string
		run  func(t *testing.T)
	}{
		// With the timing of the image: the first look is after fifteen seconds.
		{"healthy", func(t *testing.T) { awaitHealth(t, d.daemon, "healthy", 2*time.Minute) }},
		{"confined", func(t *testing.T) { isConfined(t, d.daemon) }},
		{"state", d.hasPrivateState},
		{"good", func(t *testing.T) { d.comesTo(t, w, w.push(t, "serve"), 0) }},
		{"stopped", func(t *testing.T) { d.goesOnAfterStop(t, w) }},
		{"killed", func(t *testing.T) { d.takesBackAfterKill(t, w) }},
		{"onCall", d.isCommandedFromWithin},
		{"alone", d.isAlone},
		{"secrets", func(t *testing.T) { d.showsNoSecret(t, w) }},
	}
	for _, s := range steps {
		if !t.Run(s.name, s.run) {
			t.FailNow()
		}
	}
}

// comesTo waits for what comes of a digest, by the command a pipeline would use,
// and returns what that says of it.
func (d *deployment) comesTo(t *testing.T, w *world, digest string, want int) string {
	t.Helper()
	args := []string{"exec", d.daemon, "drover", "wait", "--image", w.Image, "--digest", digest, "--timeout", rolloutLimit.String()}
	r := run(t.Context(), rolloutLimit+commandLimit, "", args...)
	if r.code != want {
		t.Fatalf("drover wait ends with %d, want %d:\n%s\n%s", r.code, want, r.out, r.errOut)
	}
	return r.errOut
}

// isConfined holds a daemon's process to what the deployment promises.
func isConfined(t *testing.T, container string) {
	t.Helper()
	status := shell(t, "", "cat /proc/1/status", "--pid", "container:"+container)
	for _, want := range []string{
		"Uid:\t65532\t65532\t65532\t65532", "Gid:\t65532\t65532\t65532\t65532",
		"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000",
	} {
		if !strings.Contains(status, want+"\n") {
			t.Errorf("the daemon's process has not %q:\n%s", want, status)
		}
	}
	if r := try(t, "exec", container, "drover", "man", "/var/man"); r.code != failed || !strings.Contains(r.errOut, "read-only file system") {
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

// goesOnAfterStop stops the daemon in the middle of a rollout and has another
// container end it.
func (d *deployment) goesOnAfterStop(t *testing.T, w *world) {
	digest := w.push(t, "serve")
	d.awaitRollout(t, digest)
	stops(t, d.daemon)
	docker(t, "rm", "-v", d.daemon)
	d.start("second")
	d.comesTo(t, w, digest, 0)
	d.drover(t, "history", "--verify")
	if got := d.drover(t, "history"); strings.Count(got, "finished") < 2 {
		t.Errorf("the history of both containers is\n%s", got)
	}
}

// takesBackAfterKill kills the daemon in the middle of the rollout of a bad version
// and has another container take that back.
func (d *deployment) takesBackAfterKill(t *testing.T, w *world) {
	digest := w.push(t, "errors=20%")
	d.awaitRollout(t, digest)
	docker(t, "kill", d.daemon)
	docker(t, "rm", "-v", d.daemon)
	d.start("third")
	if said := d.comesTo(t, w, digest, endedOtherwise); !strings.Contains(said, "load balancer") {
		t.Errorf("the version was not taken back for what users saw: %s", said)
	}
	if why := d.drover(t, "why", "parrot-rest", digest); !strings.Contains(why, "quarantine") {
		t.Errorf("drover why says of it:\n%s", why)
	}
	d.drover(t, "history", "--verify")
}

// awaitRollout waits until a digest is being rolled out.
func (d *deployment) awaitRollout(t *testing.T, digest string) {
	t.Helper()
	await(t, "the rollout is under way", time.Minute, func() (bool, string) {
		var status struct {
			Targets []struct{ Rollout *struct{ To string } }
		}
		said := d.drover(t, "status", "--json", "parrot-rest")
		decode(t, said, &status)
		return len(status.Targets) == 1 && status.Targets[0].Rollout != nil && status.Targets[0].Rollout.To == digest, said
	})
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

// isCommandedFromWithin is what operations.md has whoever is on call do; the
// journal says who it was.
func (d *deployment) isCommandedFromWithin(t *testing.T) {
	d.drover(t, "pause", "--yes", "--by", "ann", "parrot-rest")
	if got := d.drover(t, "status", "parrot-rest"); !strings.Contains(got, "ann") {
		t.Errorf("the status does not name who paused:\n%s", got)
	}
	// Without a name it is the image's user, with one it is the person's.
	d.drover(t, "resume", "--yes", "parrot-rest")
	docker(t, "exec", "-e", "USER=ben", d.daemon, "drover", "pause", "--yes", "parrot-rest")
	d.drover(t, "resume", "--yes", "parrot-rest")
	said := d.look(t, `grep -h -E '"type":"(paused|resumed)"' /state/journal.jsonl`)
	for _, want := range []string{`"by":"ann"`, `"by":"drover@`, `"by":"ben@`} {
		if !strings.Contains(said, want) {
			t.Errorf("the journal does not say %s:\n%s", want, said)
		}
	}
}

// isAlone starts a second daemon on the same volume, which refuses to run.
func (d *deployment) isAlone(t *testing.T) {
	args := slices.Concat([]string{"run", "--rm"}, d.options, []string{*imageName})
	if r := try(t, args...); r.code != failed || !strings.Contains(r.errOut, "one daemon at a time") {
		t.Errorf("a second daemon ends with %d: %s", r.code, r.errOut)
	}
	d.drover(t, "healthcheck")
}

// showsNoSecret looks for the secrets where others may look.
func (d *deployment) showsNoSecret(t *testing.T, w *world) {
	logs := try(t, "logs", d.daemon)
	places := map[string]string{
		"docker inspect":          docker(t, "inspect", d.daemon),
		"docker logs":             logs.out + logs.errOut,
		"docker image history":    docker(t, "image", "history", "--no-trunc", *imageName),
		"the process":             shell(t, "", "tr '\\0' '\\n' </proc/1/cmdline; tr '\\0' '\\n' </proc/1/environ", "--pid", "container:"+d.daemon, "--cap-add", "SYS_PTRACE"),
		"the state directory":     d.look(t, "cd /state; find . -type f -exec cat {} +"),
		"drover status --json":    d.drover(t, "status", "--json"),
		"drover history --json":   d.drover(t, "history", "--json"),
		"drover validate --live":  try(t, "exec", d.daemon, "drover", "validate", "--live").out,
		"drover plan --json":      try(t, "exec", d.daemon, "drover", "plan", "--json").out,
		"drover export, as YAML ": try(t, "exec", d.daemon, "drover", "export", "gf-chat").out,
	}
	for place, text := range places {
		if text == "" {
			t.Errorf("%s says nothing: nothing was looked at", place)
		}
		for name, secret := range w.secrets() {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows the %s", place, name)
			}
		}
	}
}
