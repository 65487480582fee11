//go:build image

package image

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	imageName    = flag.String("image", "drover:test", "name of the image that is built and tested")
	imageVersion = flag.String("version", "test", "version that is built into it")
)

const (
	// commandLimit is what one docker command may take; builds have buildLimit.
	commandLimit = 2 * time.Minute
	buildLimit   = 15 * time.Minute
	// notTested is the exit code when there is nothing to test with.
	notTested = 2
)

// pipelineName is the image with a shell. The tests look into volumes with it.
func pipelineName() string { return *imageName + "-pipeline" }

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runAll(m))
}

// runAll builds both images, then runs the tests.
func runAll(m *testing.M) int {
	if r := run(context.Background(), commandLimit, "", "info"); r.code != 0 {
		fmt.Fprintf(os.Stderr, "\n!!! no Docker engine answers here: the image was NOT built and NOT tested\n%s\n\n", r.errOut)
		return notTested
	}
	build := []string{"build", "--build-arg", "VERSION=" + *imageVersion, "--build-arg", "GOPROXY", "--build-arg", "GOSUMDB"}
	for _, more := range [][]string{{"-t", *imageName}, {"-t", pipelineName(), "--target", "pipeline"}} {
		args := slices.Concat(build, more, []string{"../.."})
		if r := run(context.Background(), buildLimit, "", args...); r.code != 0 {
			fmt.Fprintf(os.Stderr, "docker %s:\n%s%s\n", strings.Join(args, " "), r.out, r.errOut)
			return 1
		}
	}
	return m.Run()
}

// result is how a docker command ended.
type result struct {
	out, errOut string
	code        int
}

// run runs docker with a limit of its own; code is -1 when it did not end by itself.
func run(ctx context.Context, limit time.Duration, stdin string, args ...string) result {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	err := cmd.Run()
	r := result{out: strings.TrimSpace(out.String()), errOut: strings.TrimSpace(errOut.String())}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
	case err != nil:
		r.code, r.errOut = -1, err.Error()
	}
	return r
}

// try runs docker whatever comes of it.
func try(t *testing.T, args ...string) result {
	t.Helper()
	return run(t.Context(), commandLimit, "", args...)
}

// docker runs docker, which must succeed, and returns its standard output.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	r := try(t, args...)
	if r.code != 0 {
		t.Fatalf("docker %s ends with %d:\n%s\n%s", strings.Join(args, " "), r.code, r.out, r.errOut)
	}
	return r.out
}

// shell runs a script as root in the image that has a shell; more are options of
// docker run.
func shell(t *testing.T, stdin, script string, more ...string) string {
	t.Helper()
	args := slices.Concat([]string{"run", "--rm", "-i", "--user", "0:0"}, more, []string{pipelineName(), "sh", "-ec", script})
	r := run(t.Context(), commandLimit, stdin, args...)
	if r.code != 0 {
		t.Fatalf("docker %s ends with %d:\n%s\n%s", strings.Join(args, " "), r.code, r.out, r.errOut)
	}
	return r.out
}

// confined are the options under which Drover is deployed.
var confined = []string{"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp"}

// start runs the image in the background and returns the container's name; the
// container is removed in the end. Options of docker run come before "--", the
// command after it.
func start(t *testing.T, name, image string, args ...string) string {
	t.Helper()
	name = unique(t, name)
	var options, command []string
	for i, a := range args {
		if a == "--" {
			options, command = args[:i], args[i+1:]
		}
	}
	cleanUp(t, "rm", "-f", "-v", name)
	docker(t, slices.Concat([]string{"run", "-d", "--name", name}, options, []string{image}, command)...)
	t.Cleanup(func() {
		if t.Failed() {
			r := run(context.Background(), commandLimit, "", "logs", "--tail", "40", name)
			t.Logf("the last of %s:\n%s\n%s", name, r.out, r.errOut)
		}
	})
	return name
}

// volume makes a volume, removed in the end.
func volume(t *testing.T, name string, options ...string) string {
	t.Helper()
	name = unique(t, name)
	cleanUp(t, "volume", "rm", "-f", name)
	docker(t, slices.Concat([]string{"volume", "create"}, options, []string{name})...)
	return name
}

// unique names what this run makes.
func unique(t *testing.T, name string) string {
	return fmt.Sprintf("drover-test-%d-%s-%s", os.Getpid(), strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")), name)
}

// cleanUp runs docker in the end, after what is cleaned up later.
func cleanUp(t *testing.T, args ...string) {
	t.Cleanup(func() { run(context.Background(), commandLimit, "", args...) })
}

// await waits until what is asked for is so; said is what it saw last.
func await(t *testing.T, what string, limit time.Duration, ask func() (ok bool, said string)) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, said := ask()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %s, but %s", what, limit, said)
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, context.Cause(t.Context()))
		}
	}
}

// awaitHealth waits for what the engine's own health check says.
func awaitHealth(t *testing.T, container, want string, limit time.Duration) {
	t.Helper()
	await(t, container+" is "+want, limit, func() (bool, string) {
		said := docker(t, "inspect", "-f", "{{.State.Status}} {{.State.Health.Status}} {{json .State.Health.Log}}", container)
		if !strings.HasPrefix(said, "running ") {
			t.Fatalf("%s does not run any more: %s", container, said)
		}
		return strings.HasPrefix(said, "running "+want+" "), said
	})
}
