package deploytool

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// page is the page whose transcript is played.
const page = "../../docs/rancher-gitlab-deploy.md"

// shownRegistry and shownRancher are where the page has the sandbox.
const (
	shownRegistry = "127.0.0.1:5000"
	shownRancher  = "127.0.0.1:8080"
)

// step is a command of the transcript and what it printed.
type step struct{ command, output string }

// transcript reads the console that stands below a heading of the page.
func transcript(t *testing.T, heading string) []step {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(text), "\n## "+heading+"\n")
	part, _, _ = strings.Cut(part, "\n## ")
	block := regexp.MustCompile("(?s)```console\n(.*?)```").FindStringSubmatch(part)
	if !found || block == nil {
		t.Fatalf("%s has no console below %q", page, heading)
	}
	var steps []step
	for _, line := range strings.SplitAfter(block[1], "\n") {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			steps = append(steps, step{command: strings.TrimSpace(command)})
		} else if len(steps) > 0 {
			steps[len(steps)-1].output += line
		}
	}
	return steps
}

// TestTranscript plays the page's transcript: the real tool, unchanged, against `drover sandbox`.
func TestTranscript(t *testing.T) {
	t.Parallel()
	tool := pypi(t)
	w := startWorld(t, "--speed", "10")
	digest := w.digest("latest")
	if n := w.play("The old tool against the sandbox", tool); n < 10 {
		t.Errorf("the transcript has %d commands, want all that the tool can do", n)
	}
	w.isAsTheTranscriptLeaves(digest)
}

// TestOwnTranscript plays the one of ours.
func TestOwnTranscript(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for upgrades two seconds at a time")
	}
	link := filepath.Join(t.TempDir(), "upgrade")
	if err := os.Symlink(drover(t), link); err != nil {
		t.Fatal(err)
	}
	startWorld(t, "--speed", "10").play("Use it", link)
}

// play runs the commands below a heading, with the tool on the path, and compares what they print.
func (w *world) play(heading, tool string) (commands int) {
	t := w.t
	t.Helper()
	env := w.environ(tool, "DIGEST="+w.digest("latest"))
	shown := strings.NewReplacer(w.Registry, shownRegistry, strings.TrimPrefix(w.Rancher, "http://"), shownRancher)
	steps, code := transcript(t, heading), 0
	for _, s := range steps {
		if s.command == "echo $?" {
			if want := strings.TrimSpace(s.output); strconv.Itoa(code) != want {
				t.Errorf("exit code %d, want %s", code, want)
			}
			continue
		}
		var output string
		output, code = run(t, env, strings.ReplaceAll(s.command, shownRegistry, w.Registry))
		if output = shown.Replace(output); output != s.output {
			t.Errorf("$ %s\n%swant:\n%s", s.command, output, s.output)
		}
	}
	return len(steps)
}

// isAsTheTranscriptLeaves checks in Rancher itself what the tool said.
func (w *world) isAsTheTranscriptLeaves(digest string) {
	w.t.Helper()
	client := w.client()
	pinned := w.Registry + "/clickeggs/parrot-rest@" + digest
	w.await(client, w.Stack, w.Service, "rolled back to "+pinned, func(s observe.Service) bool {
		running := 0
		for _, c := range s.Containers {
			if c.State == "running" && c.Image == pinned && c.Version == s.Launch.Version {
				running++
			}
		}
		return s.State == observe.StateActive && s.Launch.Image == pinned && running == 3 && len(s.Containers) == 3
	})
	w.await(client, "gf-beta", "parrot-rest", "created", func(s observe.Service) bool {
		return s.State == observe.StateActive && len(s.Containers) == 1 && s.Containers[0].State == "running"
	})
}

// digest asks the world's registry what a tag is.
func (w *world) digest(tag string) string {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodHead, "http://"+w.Registry+"/v2/clickeggs/parrot-rest/manifests/"+tag, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		w.t.Fatal(err)
	}
	digest := resp.Header.Get("Docker-Content-Digest")
	if !strings.HasPrefix(digest, "sha256:") {
		w.t.Fatalf("the registry says %d and digest %q", resp.StatusCode, digest)
	}
	return digest
}

// run runs a command line and returns what it printed and its exit code.
func run(t *testing.T, env []string, line string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	var both bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &both, &both
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return both.String(), exit.ExitCode()
	case err != nil:
		t.Fatalf("running %s: %v", line, err)
	}
	return both.String(), 0
}
