package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/sandbox"
)

// bashCompletion is the package that the script for bash builds on.
const bashCompletion = "/usr/share/bash-completion/bash_completion"

// shells are those that have completion, how each is started without anybody's
// settings, and how it takes the script up.
var shells = []struct {
	name   string
	start  []string
	script string
}{
	{"bash", []string{"--noprofile", "--norc", "-i"}, "source " + bashCompletion + "; source <(drover completion bash)"},
	{"zsh", []string{"-f", "-i"}, "autoload -Uz compinit; compinit -u -D; source <(drover completion zsh)"},
	{"fish", []string{"--no-config", "-i"}, "drover completion fish | source"},
}

// typed are what somebody types before the tabulator, and what stands there then.
var typed = []struct{ before, after string }{
	{"drover watch par", "drover watch parrot-rest "},
	{"drover finish gf-chat/p", "drover finish gf-chat/parrot-rest "},
	{"drover logs -f parrot-rest gf-chat/o", "drover logs -f parrot-rest gf-chat/other "}, // Nobody targets it: Rancher runs it.
	{"drover export gf", "drover export gf-chat "},
	{"drover simulate --target par", "drover simulate --target parrot-rest "},
	{"drover wait --for up", "drover wait --for upgraded "},
	{"drover hist", "drover history "},
}

// TestCompletionInShells presses the tabulator in real shells: commands, targets,
// services that only Rancher knows, and stacks.
func TestCompletionInShells(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary")
	}
	t.Parallel()
	b := newBenchOf(t, sandbox.Options{CheckInterval: 50 * time.Millisecond, Speed: 20, Scale: 1})
	if err := createService(t.Context(), b.world, "other"); err != nil {
		t.Fatal(err)
	}
	for _, shell := range shells {
		t.Run(shell.name, func(t *testing.T) {
			p := startShell(t, shell.name, shell.start, b.dir)
			p.Press(shell.script + "; echo rea''dy\r")
			p.sees(&b.said, "ready")
			for _, c := range typed {
				p.Press("\x15" + c.before + "\t") // ^U empties the line first.
				p.shows(c.after)
			}
			for _, secret := range []string{b.world.Info().SecretKey, b.world.Info().StatsPassword} {
				if strings.Contains(p.Text(), secret) {
					t.Error("the screen shows a secret")
				}
			}
		})
	}
}

// TestCompletionDoesNotHang: Rancher takes the connection and says nothing. What
// the file knows is there all the same, soon, and nothing is said about the rest.
func TestCompletionDoesNotHang(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary")
	}
	t.Parallel()
	s := newStrait(t, "127.0.0.1:1")
	s.shut()
	dir := t.TempDir()
	config := fmt.Sprintf(`apiVersion: drover/v1
rancher: {url: http://%s, accessKey: {env: KEY}, secretKey: {env: SECRET}}
targets:
- {name: api, stack: shop, service: api, image: 'r.example/shop/api:latest'}
`, s.address)
	if err := os.WriteFile(filepath.Join(dir, "targets.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	binary, err := builtDrover()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"watch", "a"}, "api\n:4\n"},
		{[]string{"watch", "nosuch"}, ":4\n"},
		{[]string{"logs", "shop/"}, "shop/api\n:4\n"},
		{[]string{"export", ""}, "shop\n:4\n"},
		{[]string{"why", "api", ""}, ":4\n"},
	} {
		command := exec.Command(binary, append([]string{"__complete"}, c.words...)...)
		command.Dir = dir
		command.Env = []string{"DROVER_CONFIG=targets.yaml", "KEY=planted-key", "SECRET=planted-secret", "HOME=" + dir}
		var said strings.Builder
		command.Stderr = &said
		begun := time.Now()
		out, err := command.Output()
		if took := time.Since(begun); err != nil || string(out) != c.want || took > 10*time.Second {
			t.Errorf("completing %q: %q, %v after %s, want %q", c.words, out, err, took, c.want)
		}
		if strings.Contains(said.String()+string(out), "planted-") {
			t.Errorf("completing %q says a secret: %s", c.words, &said)
		}
	}
}

// TestCompletionOfThePast: the second word of why is a digest or a rollout of the
// journal, the newest first.
func TestCompletionOfThePast(t *testing.T) {
	state := t.TempDir()
	if err := unpack(filepath.Join(simulateData, "state"), state); err != nil {
		t.Fatal(err)
	}
	rollouts, err := pastOf(language.English, state, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	last := rollouts[len(rollouts)-1]
	var out strings.Builder
	args := []string{"__complete", "why", "--state-dir", state, "--config", filepath.Join(simulateData, "targets.yaml"), "parrot-rest", ""}
	if code := run(t.Context(), args, strings.NewReader(""), &out, &out); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &out)
	}
	names := strings.Fields(out.String())
	if names[0] != strings.TrimPrefix(last.To, "sha256:")[:12] || names[1] != last.ID || !strings.Contains(out.String(), rollouts[0].ID) {
		t.Errorf("completing the second word of why: %s, want %s and %s first", &out, last.To, last.ID)
	}
}

// startShell starts a shell on a terminal of its own, where drover is the program
// and the bench's targets.yaml the configuration.
func startShell(t *testing.T, name string, args []string, dir string) *desk {
	t.Helper()
	path := needs(t, name)
	if name == "bash" {
		if _, err := os.Stat(bashCompletion); err != nil {
			t.Skip("bash-completion is NOT INSTALLED")
		}
	}
	binary, err := builtDrover()
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, 120, 40)
	home := t.TempDir()
	shell := exec.Command(path, args...)
	shell.Dir, shell.Stdin, shell.Stdout, shell.Stderr = home, d.TTY, d.TTY, d.TTY
	shell.Env = []string{
		"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "HOME=" + home, "TERM=xterm-256color", "PS1=$ ", "LC_ALL=C.UTF-8",
		"DROVER_CONFIG=" + filepath.Join(dir, "targets.yaml"), "DROVER_STATE_DIR=" + filepath.Join(dir, "state"),
	}
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = shell.Process.Kill()
		_ = shell.Wait()
	})
	return d
}

// shows waits until a line of the screen ends so, but for the spaces at its end.
func (d *desk) shows(line string) {
	d.t.Helper()
	d.Await(time.Minute, "the line "+line, func(screen string) bool {
		for _, row := range strings.Split(screen, "\n") {
			if strings.HasSuffix(strings.TrimRight(row, " "), strings.TrimRight(line, " ")) {
				return true
			}
		}
		return false
	})
}

// createService has Rancher run another service in the world's stack.
func createService(ctx context.Context, w *sandbox.World, name string) error {
	i := w.Info()
	base := i.Rancher + "/v2-beta/projects/" + i.Environment
	var found struct{ Data []struct{ StackID string } }
	if err := ask(ctx, i, http.MethodGet, base+"/services?name="+i.Service, nil, &found); err != nil {
		return err
	}
	body := map[string]any{
		"name": name, "stackId": found.Data[0].StackID, "scale": 1, "startOnCreate": true,
		"launchConfig": map[string]any{"imageUuid": "docker:" + i.Image},
	}
	return ask(ctx, i, http.MethodPost, base+"/services", body, nil)
}
