// Package deploytool runs PyPI's rancher-gitlab-deploy, the tool that pipelines
// around Rancher 1.6 call, unchanged against the sandbox.
package deploytool

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/internal/sandbox"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// binary is where TestMain's directory holds the drover that is tested; it is built once, by whoever needs it first.
var binary struct {
	once sync.Once
	dir  string
	out  []byte
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binary.dir != "" {
		_ = os.RemoveAll(binary.dir) // A leftover is harmless.
	}
	os.Exit(code)
}

// drover builds the binary as its users have it, and returns its path.
func drover(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "drover-deploytool-"); binary.err != nil {
			return
		}
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(binary.dir, "drover"), "../../cmd/controller")
		binary.out, binary.err = cmd.CombinedOutput()
	})
	if binary.err != nil {
		t.Fatalf("building drover: %v\n%s", binary.err, binary.out)
	}
	return filepath.Join(binary.dir, "drover")
}

// pypi is the path of the real tool. Where it can be neither found nor installed the test is skipped, loudly.
func pypi(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("NOT TESTED AGAINST THE REAL rancher-gitlab-deploy: it sleeps two seconds at a time")
	}
	var reason bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "../peers/rancher-gitlab-deploy")
	cmd.Stderr = &reason
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("NOT TESTED AGAINST THE REAL rancher-gitlab-deploy: %s", bytes.TrimSpace(reason.Bytes()))
	}
	return string(bytes.TrimSpace(out))
}

// world is a running `drover sandbox`.
type world struct {
	t *testing.T
	sandbox.Info
}

// startWorld starts the sandbox as a user would, as a process.
func startWorld(t *testing.T, flags ...string) *world {
	t.Helper()
	cmd := exec.Command(drover(t), append([]string{"sandbox"}, flags...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the sandbox ends with %v", err)
		}
	})
	w := &world{t: t}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &w.Info)
	}
	if err != nil {
		t.Fatalf("reading where the sandbox is: %v", err)
	}
	return w
}

// environ is what a pipeline has in its environment, with the real tool on the path.
func (w *world) environ(tool string, more ...string) []string {
	return append(append(os.Environ(), "PATH="+filepath.Dir(tool)+":"+os.Getenv("PATH"),
		"RANCHER_URL="+w.Rancher, "RANCHER_ACCESS_KEY="+w.AccessKey, "RANCHER_SECRET_KEY="+w.SecretKey,
		"CI_PROJECT_NAMESPACE="+w.Stack, "CI_PROJECT_NAME="+w.Service), more...)
}

// client reads the world's Rancher.
func (w *world) client() *rancher.Client {
	w.t.Helper()
	client, err := rancher.New(rancher.Options{
		URL:       w.Rancher,
		AccessKey: func() (string, error) { return w.AccessKey, nil },
		SecretKey: func() (string, error) { return w.SecretKey, nil },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	return client
}

// await asks Rancher until a service is so.
func (w *world) await(client *rancher.Client, stack, service, what string, is func(observe.Service) bool) {
	w.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		s := client.Service(w.t.Context(), stack, service)
		if s.Problem == nil && is(s) {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s/%s is not %s within a minute: %+v", stack, service, what, s)
		}
	}
}
