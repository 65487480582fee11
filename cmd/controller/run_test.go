package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/internal/sandbox"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// peer is a sandbox with a real `drover run` process beside it.
type peer struct {
	t      *testing.T
	world  *sandbox.World
	dir    string
	binary string
	client *rancher.Client

	cmd *exec.Cmd
	log *transcript
}

// builtDrover builds the program once for all tests, without the race detector, as
// it is shipped.
var builtDrover = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "drover")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building drover: %w\n%s", err, out)
	}
	return path, nil
})

// hurried shortens the demo's waits, which are for people to look at.
var hurried = strings.NewReplacer("poll: 1s", "poll: 200ms", "interval: 1s", "interval: 200ms", "settle: 1s", "settle: 300ms", "bake: 5s", "bake: 2s",
	"minHealthyTime: 1s", "minHealthyTime: 500ms")

func newPeer(t *testing.T) *peer {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the binary and plays whole rollouts")
	}
	p := &peer{t: t, dir: t.TempDir(), log: &transcript{}}
	var err error
	if p.binary, err = builtDrover(); err != nil {
		t.Fatal(err)
	}
	if p.world, err = sandbox.Start(t.Context(), sandbox.Options{CheckInterval: 100 * time.Millisecond, Speed: 4}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if err := p.world.Close(); err != nil {
			t.Error(err)
		}
	})
	config, err := (&demo{world: p.world}).configure(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	i := p.world.Info()
	text := fmt.Sprintf(demoConfig, i.Rancher, filepath.ToSlash(p.dir), i.Registry, i.Stats, i.StatsUser, i.Image)
	if err := os.WriteFile(p.config(), []byte(hurried.Replace(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.client, err = rancher.New(rancher.Options{
		URL: i.Rancher, Environment: config.Rancher.Environment,
		AccessKey: config.Rancher.AccessKey.Value, SecretKey: config.Rancher.SecretKey.Value,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.client.Close)
	if _, err := p.world.Traffic(t.Context(), demoTraffic); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *peer) config() string { return filepath.Join(p.dir, "targets.yaml") }
func (p *peer) state() string  { return filepath.Join(p.dir, "state") }

func (p *peer) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.binary, "run", "--config", p.config(), "--state-dir", p.state())
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// kill is kill -9.
func (p *peer) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
}

func (p *peer) service() observe.Service {
	return p.client.Service(p.t.Context(), sandbox.Stack, sandbox.Service)
}

// await asks until it is so; there is no sleeping for luck.
func (p *peer) await(what string, is func() bool) {
	p.t.Helper()
	awaits(p.t, what, is, func() string {
		s := p.service()
		return fmt.Sprintf("service: %s %s\n%s", s.State, s.Launch.Image, p.log)
	})
}

func (p *peer) awaitState(want observe.ServiceState) {
	p.t.Helper()
	p.await("service is "+string(want), func() bool { return p.service().State == want })
}

// settled says that the service runs the digest on all containers, and nothing
// else.
func (p *peer) settled(digest string) bool {
	s := p.service()
	if s.Problem != nil || s.State != observe.StateActive || digestIn(s.Launch.Image) != digest {
		return false
	}
	running := 0
	for _, c := range s.Containers {
		if c.State == "running" && c.Image == s.Launch.Image && c.Health == "healthy" {
			running++
		}
	}
	return running == s.Scale && len(s.Containers) == s.Scale
}

func (p *peer) push(behaviour string) string {
	p.t.Helper()
	digest, err := p.world.Push(p.t.Context(), behaviour, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return digest
}

func (p *peer) history() reconcile.History {
	p.t.Helper()
	r, err := journal.OpenReadOnly(p.state())
	if err != nil {
		return reconcile.History{}
	}
	all, err := controller.Histories(r.Replay)
	if err != nil {
		p.t.Fatal(err)
	}
	return all[sandbox.Stack+"/"+sandbox.Service]
}

func (p *peer) awaitAdopted() {
	p.t.Helper()
	p.await("the service is adopted", func() bool { return p.history().Baseline != nil })
}

// TestKilledInUpgrading and its sister kill the daemon with SIGKILL in the middle
// and start it again: it ends right (C4, C6).
func TestKilledInUpgrading(t *testing.T) { testKilled(t, observe.StateUpgrading) }

func TestKilledInUpgraded(t *testing.T) { testKilled(t, observe.StateUpgraded) }

func testKilled(t *testing.T, when observe.ServiceState) {
	t.Parallel()
	p := newPeer(t)
	p.start()
	p.awaitAdopted()
	good := p.push("serve")
	p.await("the good version is on its way", func() bool { return digestIn(p.service().Launch.Image) == good })
	p.awaitState(when)
	p.kill()
	p.start()
	p.await("the good version runs", func() bool { return p.settled(good) })
	p.await("the journal says so", func() bool {
		h := p.history()
		return h.Rollout == nil && h.Last != nil && h.Last.Outcome == reconcile.Finished && h.Last.To.Digest == good
	})
}

// TestBadVersionIsTakenBackAndStaysAway: rolled back to the pinned good one, and
// not tried again after a restart, even when the journal is gone (I3).
func TestBadVersionIsTakenBackAndStaysAway(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	p.start()
	p.awaitAdopted()
	good := p.push("serve")
	p.await("the good version runs", func() bool { return p.settled(good) })
	bad := p.push("errors=20%")
	p.await("the bad version is tried", func() bool { return digestIn(p.service().Launch.Image) == bad })
	p.await("the good version runs again", func() bool { return p.settled(good) })
	p.await("the bad one is quarantined", func() bool { _, is := p.history().Quarantine[bad]; return is })
	p.kill()
	p.replays(bad)
	p.says(bad)
	if err := os.RemoveAll(p.state()); err != nil {
		t.Fatal(err)
	}
	p.start()
	p.await("Rancher alone condemns the bad one", func() bool { _, is := p.history().Quarantine[bad]; return is })
	p.await("a look found nothing to do", func() bool { return p.history().Status.Code == reconcile.CodeQuarantined })
	if !p.settled(good) {
		t.Errorf("the service does not run the good version: %s", p.service().Launch.Image)
	}
}

// replays holds the evidence of what was rolled out to what was decided, and to
// what on-call needs: the verdict at the same request, the last lines, no secret.
func (p *peer) replays(bad string) {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.state(), "evidence", "*.jsonl"))
	if err != nil || len(files) < 2 {
		p.t.Fatalf("evidence = %v, %v, want those of the good and the bad one", files, err)
	}
	reason := p.history().Quarantine[bad].Reason
	found := false
	for _, file := range files {
		out, err := exec.Command(p.binary, "replay", file).CombinedOutput()
		if err != nil {
			p.t.Errorf("replaying %s: %v\n%s", file, err, out)
		}
		if strings.Contains(string(out), reason) && strings.Contains(string(out), "> rollback") {
			found = true
			p.t.Logf("%s", out)
			lines, err := exec.Command(p.binary, "replay", "--lines", file).CombinedOutput()
			if err != nil || strings.Count(string(lines), "kept because it is taken back") == 0 {
				p.t.Errorf("the last lines of the bad version: %v\n%.2000s", err, lines)
			}
		}
		p.keepsSecretsOut(file)
	}
	if !found {
		p.t.Errorf("no replay comes to %q", reason)
	}
}

// says holds `drover why` to the chain of rules and figures.
func (p *peer) says(bad string) {
	p.t.Helper()
	why := func(args ...string) string {
		p.t.Helper()
		args = append([]string{"why", "parrot-rest", "--config", p.config(), "--state-dir", p.state()}, args...)
		out, err := exec.Command(p.binary, args...).CombinedOutput()
		if err != nil {
			p.t.Errorf("drover %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	reason := p.history().Quarantine[bad].Reason
	for _, out := range []string{why(), why(bad), why(bad[7:19])} {
		for _, want := range []string{reason, "rule gate-failed: a gate says that the new version is bad", "E = ", "drover replay", "quarantined"} {
			if !strings.Contains(out, want) {
				p.t.Errorf("why does not say %q:\n%s", want, out)
			}
		}
	}
	// Which rule sees it first depends on how long old containers run beside.
	if out := why(bad); !strings.Contains(out, "rule worse-than-old:") && !strings.Contains(out, "rule too-many-errors:") {
		p.t.Errorf("why does not say which rule the load balancer's figures broke:\n%s", out)
	}
	if out := why(bad); !strings.Contains(out, "drover retry gf-chat/parrot-rest --digest "+bad) {
		p.t.Errorf("why does not say what releases it:\n%s", out)
	}
	if out := why("--json"); !strings.Contains(out, `"rule"`) {
		p.t.Errorf("why --json = %s", out)
	}
}

func (p *peer) keepsSecretsOut(file string) {
	p.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, secret := range []string{p.world.Info().SecretKey, p.world.Info().StatsPassword} {
		if strings.Contains(string(data), secret) {
			p.t.Errorf("%s holds a secret", file)
		}
	}
}

// TestStartWithoutNewsWritesNothing: a daemon that is started again and finds what
// it left adds no line to the journal, however its first looks go.
func TestStartWithoutNewsWritesNothing(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	p.start()
	p.awaitAdopted()
	p.await("a look found nothing to do", func() bool { return p.history().Status.Code == reconcile.CodeNothingToDo })
	p.kill()
	before, err := os.ReadFile(filepath.Join(p.state(), "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	p.start()
	digest := p.push("serve")
	p.await("the next digest is started", func() bool { return digestIn(p.service().Launch.Image) == digest })
	after, err := os.ReadFile(filepath.Join(p.state(), "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	added, isAdded := strings.CutPrefix(string(after), string(before))
	if first, _, _ := strings.Cut(added, "\n"); !isAdded || !strings.Contains(first, digest[:19]) {
		t.Errorf("the first line after the restart is %s, want the new digest's", first)
	}
}

// TestWrongFileIsTold: a file that has become wrong is told in the log and by status
// until it is right again, and the daemon goes by the last valid one.
func TestWrongFileIsTold(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	p.start()
	p.awaitAdopted()
	right, err := os.ReadFile(p.config())
	if err != nil {
		t.Fatal(err)
	}
	status := func() string {
		out, err := exec.Command(p.binary, "status", "--config", p.config(), "--state-dir", p.state()).CombinedOutput()
		if err != nil {
			t.Errorf("status: %v: %s", err, out)
		}
		return string(out)
	}
	write := func(text []byte) {
		if err := os.WriteFile(p.config(), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(append(right, "targest: []\n"...))
	p.await("status tells of the wrong file", func() bool {
		said := status()
		return strings.Contains(said, "ALERT: the configuration file is wrong since 2") && strings.Contains(said, `did you mean "targets"?`) &&
			strings.Contains(said, "gf-chat/parrot-rest")
	})
	write(right)
	p.await("the log says that it is right again", func() bool { return strings.Contains(p.log.String(), "the configuration is right again") })
	if said := status(); strings.Contains(said, "ALERT") {
		t.Errorf("status after the file was mended: %s", said)
	}
}

// TestCrashLoopedDaemonOnlyObserves: killed again and again it does nothing but
// say so, and one proper stop ends it (C9).
func TestCrashLoopedDaemonOnlyObserves(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	p.start()
	p.awaitAdopted()
	p.kill()
	for n := range 4 {
		before := p.startsCounted()
		p.start()
		p.await(fmt.Sprintf("start %d is written down", n+2), func() bool { return p.startsCounted() > before })
		p.kill()
	}
	running := p.service().Launch.Image
	digest := p.push("serve")
	p.start()
	p.await("it only observes", func() bool { return p.history().Status.Code == reconcile.CodeCrashLoop })
	if s := p.service(); s.State != observe.StateActive || s.Launch.Image != running {
		t.Errorf("the service is %s on %s, want it left alone on %s", s.State, s.Launch.Image, running)
	}
	if err := errors.Join(p.cmd.Process.Signal(os.Interrupt), p.cmd.Wait()); err != nil {
		t.Fatalf("stopping: %v\n%s", err, p.log)
	}
	p.start()
	p.await("the digest is started", func() bool { return digestIn(p.service().Launch.Image) == digest })
}

// startsCounted is how many starts the state directory holds.
func (p *peer) startsCounted() int {
	text, _ := os.ReadFile(filepath.Join(p.state(), "starts")) // None is none.
	return strings.Count(string(text), "T")
}

// TestStopRollsNothingBack: SIGTERM ends the daemon within ten seconds, and the
// service stays as it is (C35).
func TestStopRollsNothingBack(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	p.start()
	p.awaitAdopted()
	good := p.push("serve")
	p.await("the good version is on its way", func() bool { return digestIn(p.service().Launch.Image) == good })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("drover run ended with %v\n%s", err, p.log)
		}
	case <-ctx.Done():
		t.Fatal("drover run did not end within ten seconds")
	}
	p.cmd = nil
	if s := p.service(); s.State == observe.StateRollingBack || digestIn(s.Launch.Image) != good {
		t.Errorf("after the stop the service is %s on %s", s.State, s.Launch.Image)
	}
	if strings.Contains(p.log.String(), p.world.Info().SecretKey) || strings.Contains(p.log.String(), p.world.Info().StatsPassword) {
		t.Error("the log holds a secret")
	}
}
