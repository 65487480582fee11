//go:build image

package image

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// quick makes the engine ask often; what it asks is the image's own.
var quick = []string{"--health-interval", "1s", "--health-timeout", "5s", "--health-retries", "2", "--health-start-period", "0s"}

// tellLimit is how soon two failures in a row must be told.
const tellLimit = time.Minute

// nowhere is a world in which nothing answers: a daemon is healthy all the same.
func nowhere() *world {
	return &world{
		Registry: "127.0.0.1:1", Rancher: "http://127.0.0.1:1", LoadBalancer: "http://127.0.0.1:1", Stats: "http://127.0.0.1:1/stats",
		StatsUser: "admin", StatsPassword: "p", AccessKey: "a", SecretKey: "s", Image: "127.0.0.1:1/a/b:latest",
	}
}

func TestUnhealthyWhileItHangs(t *testing.T) {
	t.Parallel()
	d := nowhere().deploy(t, wishes{options: quick})
	d.start("daemon")
	name := d.daemon
	awaitHealth(t, name, "healthy", tellLimit)
	docker(t, "kill", "--signal", "STOP", name)
	awaitHealth(t, name, "unhealthy", tellLimit)
	docker(t, "kill", "--signal", "CONT", name)
	awaitHealth(t, name, "healthy", tellLimit)
	stops(t, name)
}

// TestUnhealthyWhileTheVolumeIsFull fills the volume beside a daemon that has
// nothing to write, and empties it again.
func TestUnhealthyWhileTheVolumeIsFull(t *testing.T) {
	t.Parallel()
	small := volume(t, "small", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=2m,uid=65532,gid=65532,mode=0700")
	d := nowhere().deploy(t, wishes{options: quick, state: small})
	d.start("daemon")
	name := d.daemon
	awaitHealth(t, name, "healthy", tellLimit)
	fill := func(script string) string { return shell(t, "", script, "-v", d.state+":/state") }
	fill("dd if=/dev/zero of=/state/other bs=4k 2>/dev/null || true")
	awaitHealth(t, name, "unhealthy", tellLimit)
	if said := docker(t, "inspect", "-f", "{{json .State.Health.Log}}", name); !strings.Contains(said, "no space left on device") {
		t.Errorf("the health check says %s, want what is wrong", said)
	}
	fill("rm /state/other")
	awaitHealth(t, name, "healthy", tellLimit)
	stops(t, name)
}

// TestForeignVolume: a state directory that belongs to another user, as a directory
// of the host that was mounted, is refused with what to do about it.
func TestForeignVolume(t *testing.T) {
	t.Parallel()
	foreign := volume(t, "foreign")
	shell(t, "", "touch /v/something; chmod 755 /v", "-v", foreign+":/v")
	d := nowhere().deploy(t, wishes{state: foreign})
	r := try(t, slices.Concat([]string{"run", "--rm"}, d.options, []string{*imageName})...)
	if r.code != failed || !strings.Contains(r.errOut, "permission denied: the state directory must") || !strings.Contains(r.errOut, "chown -R 65532:65532 /var/lib/drover") {
		t.Errorf("the daemon ends with %d: %s", r.code, r.errOut)
	}
}
