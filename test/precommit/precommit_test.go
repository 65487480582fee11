// Package precommit tries .pre-commit-hooks.yaml as users have it: the real
// pre-commit clones this repository, builds the hooks with Go, and runs them in a
// repository of targets and compose files.
package precommit

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	goodTargets = `apiVersion: drover/v1
rancher:
  url: http://rancher.example:8080
  environment: dev
  accessKey: {env: KEY}
  secretKey: {env: SECRET}
targets:
- name: api
  stack: shop
  service: api
  image: registry.example/shop/api:latest
  gates: {health: {}}
`
	dockerCompose = `version: '2'
services:
  api:
    image: registry.example/shop/api:1.4
`
	goodRancherCompose = `version: '2'
services:
  api:
    scale: 2
    health_check:
      port: 8080
      interval: 2000
      unhealthy_threshold: 3
      healthy_threshold: 2
      response_timeout: 2000
      request_line: GET /healthz HTTP/1.0
`
	badRancherCompose = `version: '2'
services:
  api:
    scale: 2
`
)

// TestHooksOfARealPreCommit: good files pass, and a commit of them goes through;
// each kind of bad file fails with its line, and its commit does not.
func TestHooksOfARealPreCommit(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT TESTED WITH THE REAL pre-commit: it builds drover once more")
	}
	u := newUser(t, preCommit(t))
	u.write("config/targets.yaml", goodTargets)
	u.write("other/targets.yaml", goodTargets)
	u.write("shop/docker-compose.yml", dockerCompose)
	u.write("shop/rancher-compose.yml", goodRancherCompose)
	if out, err := u.commit("good files"); err != nil || strings.Count(out, "Passed") != 2 {
		t.Fatalf("good files do not pass: %v\n%s", err, out)
	}

	u.write("config/targets.yaml", strings.Replace(goodTargets, "image:", "imagge:", 1))
	u.refuses("a misspelt key", "drover validate", `config/targets.yaml:11: targets[0]: unknown key "imagge"; did you mean "image"?`)
	u.write("config/targets.yaml", goodTargets)
	u.write("shop/rancher-compose.yml", badRancherCompose)
	u.refuses("a service without a health check", "drover lint", "[no-health-check]")
	u.write("shop/rancher-compose.yml", goodRancherCompose+"# A remark.\n")
	if out, err := u.commit("good again"); err != nil {
		t.Errorf("what was put right does not pass: %v\n%s", err, out)
	}
}

// preCommit is the path of the real program.
func preCommit(t *testing.T) string {
	t.Helper()
	var reason bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "../peers/pre-commit")
	cmd.Stderr = &reason
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("NOT TESTED WITH THE REAL pre-commit: %s", bytes.TrimSpace(reason.Bytes()))
	}
	return string(bytes.TrimSpace(out))
}

// user is somebody with a repository that names ours in .pre-commit-config.yaml.
type user struct {
	t   *testing.T
	dir string
	env []string
}

func newUser(t *testing.T, program string) *user {
	t.Helper()
	home := t.TempDir()
	u := &user{t: t, dir: t.TempDir(), env: append(os.Environ(),
		"PRE_COMMIT_HOME="+home, "GIT_CONFIG_GLOBAL="+filepath.Join(home, "gitconfig"), "GIT_CONFIG_SYSTEM="+os.DevNull,
		"GIT_AUTHOR_NAME=jo", "GIT_AUTHOR_EMAIL=jo@desk.example", "GIT_COMMITTER_NAME=jo", "GIT_COMMITTER_EMAIL=jo@desk.example",
		// pre-commit gives each hook a GOPATH of its own; what was downloaded and built
		// for this test is taken from where it is.
		"GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOCACHE="+goEnv(t, "GOCACHE"), "GOFLAGS=-modcacherw",
	)}
	rev := u.publish(filepath.Join(home, "drover"))
	u.must(u.dir, "git", "init", "--quiet")
	u.write(".pre-commit-config.yaml", "repos:\n- repo: file://"+filepath.Join(home, "drover")+"\n  rev: "+rev+"\n  hooks: [{id: drover-validate}, {id: drover-lint}]\n")
	u.must(u.dir, program, "install", "--install-hooks")
	return u
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// publish makes a repository of this one as it is now, committed or not, and returns
// its revision.
func (u *user) publish(dir string) string {
	u.t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		u.t.Fatal(err)
	}
	names := u.must(root, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	for name := range strings.SplitSeq(strings.TrimRight(names, "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // Removed, and not yet committed.
		}
		if err != nil {
			u.t.Fatal(err)
		}
		u.put(filepath.Join(dir, name), string(data))
	}
	u.must(dir, "git", "init", "--quiet")
	u.must(dir, "git", "add", "--all")
	u.must(dir, "git", "commit", "--quiet", "--message", "as it is now")
	return strings.TrimSpace(u.must(dir, "git", "rev-parse", "HEAD"))
}

func (u *user) write(name, text string) {
	u.t.Helper()
	u.put(filepath.Join(u.dir, name), text)
}

func (u *user) put(path, text string) {
	u.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		u.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		u.t.Fatal(err)
	}
}

// commit commits everything, through the hooks.
func (u *user) commit(message string) (string, error) {
	u.t.Helper()
	u.must(u.dir, "git", "add", "--all")
	return u.run(u.dir, "git", "commit", "--message", message)
}

// refuses expects that a commit does not go through, which hook says so, and what.
func (u *user) refuses(what, hook, text string) {
	u.t.Helper()
	before := u.must(u.dir, "git", "rev-parse", "HEAD")
	out, err := u.commit(what)
	if err == nil || u.must(u.dir, "git", "rev-parse", "HEAD") != before {
		u.t.Errorf("%s was committed:\n%s", what, out)
	}
	if failed := strings.Split(out, "Failed"); len(failed) != 2 || !strings.Contains(failed[0][strings.LastIndexByte(failed[0], '\n')+1:], hook) || !strings.Contains(out, text) {
		u.t.Errorf("%s: want that %s alone fails with %q:\n%s", what, hook, text, out)
	}
}

// hookTimeout bounds one command; the first builds drover.
const hookTimeout = 8 * time.Minute

func (u *user) run(dir, name string, args ...string) (string, error) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), hookTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, u.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (u *user) must(dir, name string, args ...string) string {
	u.t.Helper()
	out, err := u.run(dir, name, args...)
	if err != nil {
		u.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}
