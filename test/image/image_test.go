//go:build image

package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestVersion(t *testing.T) {
	said := docker(t, slices.Concat([]string{"run", "--rm", "--network", "none"}, confined, []string{*imageName, "version"})...)
	if !strings.HasPrefix(said, "drover "+*imageVersion+" (") {
		t.Errorf("version says %q, want drover %s", said, *imageVersion)
	}
}

// TestConfiguration is what the image promises to whoever runs it without options.
func TestConfiguration(t *testing.T) {
	var config struct {
		User, StopSignal string
		Env              []string
		Entrypoint, Cmd  []string
		Volumes          map[string]any
		Labels           map[string]string
		Healthcheck      struct {
			Test                           []string
			Interval, Timeout, StartPeriod time.Duration
			Retries                        int
		}
	}
	decode(t, docker(t, "image", "inspect", "-f", "{{json .Config}}", *imageName), &config)
	if config.User != "65532:65532" {
		t.Errorf("the image runs as %q, want 65532:65532", config.User)
	}
	if config.StopSignal != "SIGTERM" {
		t.Errorf("it is stopped with %q, want SIGTERM", config.StopSignal)
	}
	if len(config.Entrypoint) != 1 || !slices.Equal(config.Cmd, []string{"run"}) {
		t.Errorf("it runs %q %q, want drover run", config.Entrypoint, config.Cmd)
	}
	if _, ok := config.Volumes["/var/lib/drover"]; !ok || len(config.Volumes) != 1 {
		t.Errorf("its volumes are %v, want the journal's alone", config.Volumes)
	}
	if got := config.Labels["org.opencontainers.image.version"]; got != *imageVersion {
		t.Errorf("its label says version %q, want %q", got, *imageVersion)
	}
	h := config.Healthcheck
	if len(h.Test) != 3 || h.Test[0] != "CMD" || h.Test[2] != "healthcheck" {
		t.Errorf("its health check is %q, want drover healthcheck without a shell", h.Test)
	}
	// A daemon that hangs is told within a minute and a half.
	if told := (h.Interval + h.Timeout) * time.Duration(h.Retries); told <= 0 || told > 90*time.Second {
		t.Errorf("its health check tells after %s", told)
	}
}

// TestContents is everything that is in the image: no shell, no package manager,
// nothing of the build.
func TestContents(t *testing.T) {
	want := []string{
		"etc/drover/targets.yaml", "etc/group", "etc/passwd", "etc/ssl/certs/ca-certificates.crt",
		"usr/local/bin/drover",
	}
	var got []string
	for _, h := range contents(t) {
		switch {
		case isEngines(h.Name) || h.Typeflag == tar.TypeDir:
		case h.Mode&0o6000 != 0:
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		default:
			got = append(got, h.Name)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the image holds %q, want %q", got, want)
	}
}

// isEngines says that the engine puts a file into every container.
func isEngines(name string) bool {
	return name == ".dockerenv" || slices.Contains([]string{"etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"}, name) ||
		slices.ContainsFunc([]string{"dev/", "proc/", "sys/"}, func(dir string) bool { return strings.HasPrefix(name, dir) })
}

// contents lists the files of a container that never ran.
func contents(t *testing.T) []*tar.Header {
	t.Helper()
	name := unique(t, "contents")
	cleanUp(t, "rm", "-f", "-v", name)
	docker(t, "create", "--name", name, *imageName)
	out, err := exec.CommandContext(t.Context(), "docker", "export", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []*tar.Header
	for r := tar.NewReader(bytes.NewReader(out)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
}

// TestDemo is the whole world in one container: a good image finished, a bad one
// taken back.
func TestDemo(t *testing.T) {
	said := docker(t, slices.Concat([]string{"run", "--rm", "--network", "none"}, confined, []string{*imageName, "demo", "--json"})...)
	var summary struct {
		Event                              string
		OK, Finished, RolledBack, Verified bool
	}
	decode(t, said[strings.LastIndexByte(said, '\n')+1:], &summary)
	if summary.Event != "summary" || !summary.OK || !summary.Finished || !summary.RolledBack || !summary.Verified {
		t.Errorf("the demo ends with %+v", summary)
	}
}

// TestPipeline is the image for jobs: a shell, and the names that jobs call.
func TestPipeline(t *testing.T) {
	const job = `id -u
drover version
for name in upgrade rancher-gitlab-deploy; do $name >/tmp/said 2>&1 && code=0 || code=$?; echo "$name $code $(head -n 1 /tmp/said)"; done`
	said := strings.Split(docker(t, "run", "--rm", "--network", "none", pipelineName(), "sh", "-c", job), "\n")
	want := []string{"65532", "drover " + *imageVersion, "upgrade 2 ", "rancher-gitlab-deploy 2 "}
	for i, w := range want {
		if i >= len(said) || !strings.HasPrefix(said[i], w) {
			t.Fatalf("a job sees %q, want beginnings %q", said, want)
		}
	}
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
