//go:build image

package image

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCompose brings deploy/docker-compose.yml up, as it is but for what differs
// from one place to the next: which image, where the two directories of the host
// are, and the network, on which the sandbox takes the place of Rancher.
func TestCompose(t *testing.T) {
	w := newWorld(t)
	project := unique(t, "drover")
	etc := filled(t, "etc", map[string]string{"targets.yaml": w.config("")})
	secrets := filled(t, "secrets", w.secrets())
	override := fmt.Sprintf(`services:
  drover:
    image: %s
    pull_policy: never
    network_mode: host
    volumes: ["etc:/etc/drover:ro", "secrets:/run/secrets:ro"]
volumes:
  etc: {name: %s, external: true}
  secrets: {name: %s, external: true}
`, *imageName, etc, secrets)
	file := filepath.Join(t.TempDir(), "override.yml")
	if err := os.WriteFile(file, []byte(override), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("RANCHER_ACCESS_KEY", w.AccessKey)
	compose := func(args ...string) []string {
		return append([]string{"compose", "-p", project, "-f", "../../deploy/docker-compose.yml", "-f", file}, args...)
	}
	cleanUp(t, compose("down", "--volumes", "--timeout", "30")...)
	docker(t, compose("up", "-d")...)
	d := &deployment{whole: t, daemon: docker(t, compose("ps", "-q", "drover")...), state: project + "_drover-state"}

	isConfined(t, d.daemon)
	isAsDeployed(t, d.daemon)
	awaitHealth(t, d.daemon, "healthy", 2*time.Minute)
	d.hasPrivateState(t)
	// What rancher-compose.yml has Rancher ask, on the network they share.
	const ask = `exec 3<>/dev/tcp/127.0.0.1/8471; printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3; head -n 1 <&3`
	if got := docker(t, "run", "--rm", "--network", "host", pipelineName(), "bash", "-c", ask); !strings.HasPrefix(got, "HTTP/1.0 200 ") {
		t.Errorf("the port for Rancher's health check answers %q, want 200", got)
	}
	d.comesTo(t, w, w.push(t, "serve"), 0)
	d.comesTo(t, w, w.push(t, "crash-after=2s"), endedOtherwise)
	// The journal is the volume's: another container goes on with it.
	docker(t, compose("up", "-d", "--force-recreate", "--timeout", "30")...)
	d.daemon = docker(t, compose("ps", "-q", "drover")...)
	if got := d.drover(t, "history"); !strings.Contains(got, "finished") || !strings.Contains(got, "rolled-back") {
		t.Errorf("the history after the container was recreated is\n%s", got)
	}
	d.showsNoSecret(t, w)
	stops(t, d.daemon)
}

// isAsDeployed is what the file asks the engine for, by the engine's word.
func isAsDeployed(t *testing.T, container string) {
	t.Helper()
	var host struct {
		ReadonlyRootfs bool
		Privileged     bool
		CapDrop        []string
		Memory         int64
		Tmpfs          map[string]string
	}
	decode(t, docker(t, "inspect", "-f", "{{json .HostConfig}}", container), &host)
	if _, hasTmp := host.Tmpfs["/tmp"]; !host.ReadonlyRootfs || host.Privileged || len(host.CapDrop) != 1 || host.CapDrop[0] != "ALL" || host.Memory != 256<<20 || !hasTmp {
		t.Errorf("the engine was asked for %+v", host)
	}
}
