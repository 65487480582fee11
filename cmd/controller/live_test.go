package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/internal/sandbox"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// bench is a sandbox with a configuration for it.
type bench struct {
	t     *testing.T
	world *sandbox.World
	dir   string
	// said is everything that any command printed.
	said transcript
}

// transcript is written by the daemon and by commands beside it.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// String is all of it.
func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchOf(t, sandbox.Options{CheckInterval: 100 * time.Millisecond, Speed: 4})
}

func newBenchOf(t *testing.T, o sandbox.Options) *bench {
	t.Helper()
	dir, err := os.MkdirTemp("", "d") // t.TempDir may be too long for a socket.
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: dir}
	if b.world, err = sandbox.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.world.Close()
		os.RemoveAll(dir)
	})
	if _, err := (&demo{world: b.world}).configure(dir); err != nil {
		t.Fatal(err)
	}
	i := b.world.Info()
	// The bake is long: nothing finishes while the commands are tried.
	text := strings.Replace(demoConfig, "bake: 5s", "bake: 10m", 1)
	b.write(fmt.Sprintf(text, i.Rancher, filepath.ToSlash(dir), i.Registry, i.Stats, i.StatsUser, i.Image))
	return b
}

// client reads Rancher beside the commands.
func (b *bench) client() *rancher.Client {
	b.t.Helper()
	i := b.world.Info()
	value := func(s string) func() (string, error) { return func() (string, error) { return s, nil } }
	c, err := rancher.New(rancher.Options{URL: i.Rancher, AccessKey: value(i.AccessKey), SecretKey: value(i.SecretKey)})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	return c
}

func (b *bench) write(config string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, "targets.yaml"), []byte(config), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// drover runs a command in this process and expects its exit code.
func (b *bench) drover(want int, args ...string) string {
	b.t.Helper()
	code, out := b.try(args...)
	if code != want {
		b.t.Fatalf("drover %s ends with %d, want %d:\n%s\n%s", strings.Join(args, " "), code, want, out, &b.said)
	}
	return out
}

func (b *bench) try(args ...string) (int, string) {
	var out bytes.Buffer
	code := b.run(b.t.Context(), &out, args...)
	_, _ = b.said.Write(out.Bytes())
	return code, out.String()
}

// ends holds a command to its exit code.
func ends(want int, command string, got int) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("drover %s ends with %d, want %d", command, got, want)
}

// declines answers a command's question with no, on a terminal.
func (b *bench) declines(args ...string) {
	b.t.Helper()
	d := newDesk(b.t, 80, 24)
	d.Press("n\n")
	var out bytes.Buffer
	args = append(args, "--config", filepath.Join(b.dir, "targets.yaml"), "--state-dir", filepath.Join(b.dir, "state"))
	if code := run(b.t.Context(), args, d.TTY, &out, &out); code != exitNotConfirmed || !strings.Contains(out.String(), "go on? [y/N]") {
		b.t.Errorf("drover %s, answered with no, ends with %d, want %d:\n%s", strings.Join(args, " "), code, exitNotConfirmed, &out)
	}
}

func (b *bench) run(ctx context.Context, out *bytes.Buffer, args ...string) int {
	args = append(args, "--config", filepath.Join(b.dir, "targets.yaml"), "--state-dir", filepath.Join(b.dir, "state"))
	return run(ctx, args, strings.NewReader(""), out, out)
}

// daemon runs `drover run` and returns how to stop it.
func (b *bench) daemon() (stop func() int) {
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan int, 1)
	go func() {
		args := []string{"run", "--config", filepath.Join(b.dir, "targets.yaml"), "--state-dir", filepath.Join(b.dir, "state"), "--log-level", "debug"}
		ended <- run(ctx, args, strings.NewReader(""), &b.said, &b.said)
	}()
	b.await("the daemon is healthy", func() bool { code, _ := b.try("healthcheck"); return code == exitOK })
	return func() int { cancel(); return <-ended }
}

func (b *bench) await(what string, is func() bool) {
	b.t.Helper()
	awaits(b.t, what, is, b.said.String)
}

// patience is how long is waited for what should come within seconds: the machine may
// have other work.
const patience = 3 * time.Minute

// awaits asks until it is so; there is no sleeping for luck. What was said meanwhile is
// shown when it never is.
func awaits(t *testing.T, what string, is func() bool, said func() string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within %s: %s\n%s", patience, what, said())
		}
	}
}

func (b *bench) awaitStatus(text string) {
	b.t.Helper()
	b.await("status says "+text, func() bool {
		_, out := b.try("status", "--json")
		return strings.Contains(out, text)
	})
}

// TestCommandsAgainstARunningWorld goes through every command that needs one.
func TestCommandsAgainstARunningWorld(t *testing.T) {
	if testing.Short() {
		t.Skip("plays a rollout")
	}
	t.Parallel()
	b := newBench(t)
	b.drover(exitOK, "validate", "--live")
	b.drover(exitOK, "plan")
	if _, err := os.Stat(filepath.Join(b.dir, "state")); err == nil {
		t.Error("plan left a state directory")
	}
	b.export()
	stop := b.daemon()
	b.awaitStatus(`"nothing-to-do"`)
	b.await("status says what Docker runs, although that started before the daemon did", func() bool {
		_, out := b.try("status", "parrot-rest")
		return strings.Contains(out, "RUNS") && !strings.Contains(out, "not seen yet")
	})
	b.drover(exitRefused, "approve", "parrot-rest")
	b.drover(exitRefused, "retry", "parrot-rest")
	b.declines("pause", "parrot-rest")
	b.drover(exitOK, "pause", "parrot-rest", "--by", "jo")
	if out := b.drover(exitFailed, "run"); !strings.Contains(out, "is in use by process") {
		t.Errorf("a second daemon says %q", out)
	}
	good := b.push("serve")
	b.awaitStatus(good)
	out := b.drover(exitChanges, "plan", "--json")
	if !strings.Contains(out, good) || !strings.Contains(out, `"pending": true`) {
		t.Errorf("plan with a new digest says %s", out)
	}
	if strings.Contains(out, `"code": "baseline-blind"`) || strings.Contains(out, `"code": "settling"`) {
		t.Errorf("plan says what only a second look can tell, and not what would happen: %s", out)
	}
	b.declines("upgrade", "parrot-rest")
	b.declines("resume", "parrot-rest")
	b.drover(exitOK, "resume", "parrot-rest")
	b.pinned()
	b.awaitStatus(`"kind": "deploy"`)
	b.awaitStatus(`"asAsked": true`) // Events told what the new container runs, a listing what ran before the daemon did.
	if out := b.drover(exitOK, "status", "parrot-rest"); !strings.Contains(out, ", as asked") || strings.Contains(out, "not seen yet") {
		t.Errorf("status of one target says nothing of its containers' images:\n%s", out)
	}
	b.declines("finish", "parrot-rest")
	b.declines("rollback", "parrot-rest")
	b.declines("cancel", "parrot-rest")
	b.declines("approve", "parrot-rest")
	b.drover(exitRefused, "upgrade", "parrot-rest")
	b.drover(exitRefused, "finish", "parrot-rest", "--rollout", "another")
	b.drover(exitOK, "rollback", "parrot-rest", "--by", "jo")
	b.awaitStatus(`"outcome": "rolled-back"`)
	b.declines("retry", "parrot-rest")
	b.drover(exitOK, "retry", "gf-chat/parrot-rest", "--no-wait")
	b.awaitStatus(`"rollout": {`)
	b.reload()
	b.drover(exitOK, "healthcheck")
	if err := ends(exitOK, "run", stop()); err != nil {
		t.Errorf("%v\n%s", err, &b.said)
	}
	b.journal(good)
	b.keepsSecrets()
}

// pinned finishes the rollout that pins what runs, which comes before the first change.
func (b *bench) pinned() {
	b.t.Helper()
	b.awaitStatus(`"kind": "pin"`)
	b.awaitStatus(`"state": "upgraded"`)
	b.drover(exitOK, "finish", "parrot-rest")
}

// export prints the running stack as a configuration.
func (b *bench) export() {
	b.t.Helper()
	out := b.drover(exitOK, "export", "gf-chat")
	for _, want := range []string{"service: parrot-rest", "image: " + b.world.Info().Image, "http: {port: 8080, path: /healthz}"} {
		if !strings.Contains(out, want) {
			b.t.Errorf("export does not say %q:\n%s", want, out)
		}
	}
	if out := b.drover(exitFailed, "export", "nowhere"); !strings.Contains(out, "there is no stack nowhere") {
		b.t.Errorf("export of an unknown stack says %q", out)
	}
}

func (b *bench) push(behaviour string) string {
	b.t.Helper()
	digest, err := b.world.Push(b.t.Context(), behaviour, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return digest
}

// reload breaks the file and empties it of targets: the first changes nothing,
// and the second leaves the open rollout watched.
func (b *bench) reload() {
	b.t.Helper()
	path := filepath.Join(b.dir, "targets.yaml")
	whole, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	b.write("targets: [")
	b.await("the wrong file is said", func() bool { return strings.Contains(b.said.String(), "the last valid one stays in force") })
	b.awaitStatus(`"rollout": {`)
	b.write(strings.Replace(string(whole), "service: parrot-rest", "service: parrot-other", 1))
	b.await("the new file is in force", func() bool { return strings.Contains(b.said.String(), "configuration changed") })
	b.awaitStatus(`"gf-chat/parrot-rest"`)
	b.awaitStatus(`"gf-chat/parrot-other"`)
	b.write(string(whole))
}

// journal looks at what is left when the daemon is gone.
func (b *bench) journal(good string) {
	b.t.Helper()
	if out := b.drover(exitOK, "status"); !strings.Contains(out, "no daemon is running") {
		b.t.Errorf("status without a daemon says %q", out)
	}
	var rollouts []past
	if err := json.Unmarshal([]byte(b.drover(exitOK, "history", "parrot-rest", "--json")), &rollouts); err != nil {
		b.t.Fatal(err)
	}
	if len(rollouts) < 2 || rollouts[0].Kind != reconcile.Pin || rollouts[0].Outcome != "finished" ||
		rollouts[1].To != good || rollouts[1].Outcome != "rolled-back" || rollouts[1].By != "jo" {
		b.t.Errorf("history = %+v", rollouts)
	}
	b.drover(exitOK, "history", "--verify")
	file := filepath.Join(b.dir, "state", "journal.jsonl")
	data, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(data, []byte("parrot"), []byte("pirate"), 1), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if out := b.drover(exitFailed, "history", "--verify"); !strings.Contains(out, "not intact") {
		b.t.Errorf("history --verify of a changed journal says %q", out)
	}
}

// keepsSecrets searches everything that was printed and written.
func (b *bench) keepsSecrets() {
	b.t.Helper()
	i := b.world.Info()
	texts := map[string]string{"what was printed": b.said.String()}
	err := filepath.WalkDir(filepath.Join(b.dir, "state"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		texts[path] = string(data)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.t.Fatal(err)
	}
	for where, text := range texts {
		for _, secret := range []string{i.SecretKey, i.StatsPassword} {
			if strings.Contains(text, secret) {
				b.t.Errorf("%s holds a secret", where)
			}
		}
	}
}
