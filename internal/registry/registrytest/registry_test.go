package registrytest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/registry/registrytest"
)

func start(t *testing.T, options registrytest.Options) *registrytest.Registry {
	t.Helper()
	r, err := registrytest.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close() = %v, want nil", err)
		}
	})
	return r
}

// head asks for a manifest and returns status and digest.
func head(t *testing.T, r *registrytest.Registry, path string, prepare func(*http.Request)) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, r.URL()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json")
	if prepare != nil {
		prepare(req)
	}
	response, err := r.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode, response.Header.Get("Docker-Content-Digest")
}

func TestPushedImageIsServed(t *testing.T) {
	for _, options := range []registrytest.Options{{}, {TLS: true}} {
		r := start(t, options)
		spec := registrytest.ImageSpec{Labels: map[string]string{"a": "b"}, Created: time.Unix(1, 0)}
		want, err := r.PushImage(t.Context(), "gf/chat", "latest", spec)
		if err != nil {
			t.Fatal(err)
		}
		status, got := head(t, r, "/v2/gf/chat/manifests/latest", nil)
		if status != http.StatusOK || got != want {
			t.Errorf("HEAD over %s = %d %q, want 200 %q", r.URL(), status, got, want)
		}
		again, err := r.PushImage(t.Context(), "gf/other", "v1", spec)
		if err != nil || again != want {
			t.Errorf("digest of an equal spec = %q, %v, want %q", again, err, want)
		}
	}
}

func TestBasicAuth(t *testing.T) {
	r := start(t, registrytest.Options{Auth: registrytest.AuthBasic, Users: map[string]string{"ci": "secret"}})
	if _, err := r.PushImage(t.Context(), "gf/chat", "latest", registrytest.ImageSpec{}); err != nil {
		t.Fatal(err)
	}
	if status, _ := head(t, r, "/v2/gf/chat/manifests/latest", nil); status != http.StatusUnauthorized {
		t.Errorf("HEAD without credentials = %d, want 401", status)
	}
	status, _ := head(t, r, "/v2/gf/chat/manifests/latest", func(req *http.Request) { req.SetBasicAuth("ci", "secret") })
	if status != http.StatusOK {
		t.Errorf("HEAD with credentials = %d, want 200", status)
	}
}

func TestTokenAuth(t *testing.T) {
	r := start(t, registrytest.Options{Auth: registrytest.AuthToken, Users: map[string]string{"ci": "secret"}})
	if _, err := r.PushImage(t.Context(), "gf/chat", "latest", registrytest.ImageSpec{}); err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/token?scope=repository:gf/chat:pull", http.NoBody)
	req.SetBasicAuth("ci", "secret")
	response, err := r.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Token string }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	status, _ := head(t, r, "/v2/gf/chat/manifests/latest", func(req *http.Request) {
		req.Header.Set("Authorization", "Bearer "+answer.Token)
	})
	if status != http.StatusOK {
		t.Errorf("HEAD with a token = %d, want 200", status)
	}
	if status, _ := head(t, r, "/v2/gf/chat/manifests/latest", nil); status != http.StatusUnauthorized {
		t.Errorf("HEAD without a token = %d, want 401", status)
	}
}

func TestNotifications(t *testing.T) {
	bodies := make(chan string, 16)
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		bodies <- string(body)
	}))
	defer sink.Close()
	r := start(t, registrytest.Options{NotifyURL: sink.URL})
	if _, err := r.PushImage(t.Context(), "gf/chat", "latest", registrytest.ImageSpec{}); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(10 * time.Second)
	for {
		select {
		case body := <-bodies:
			if strings.Contains(body, `"tag": "latest"`) || strings.Contains(body, `"tag":"latest"`) {
				return
			}
		case <-deadline:
			t.Fatal("no notification with the tag within 10s")
		}
	}
}

// TestSkopeoPushes proves that a program nobody here wrote can push.
func TestSkopeoPushes(t *testing.T) {
	if _, err := exec.LookPath("skopeo"); err != nil {
		t.Skip("skopeo is not installed")
	}
	from, to := start(t, registrytest.Options{}), start(t, registrytest.Options{})
	want, err := from.PushImage(t.Context(), "gf/chat", "latest", registrytest.ImageSpec{Content: "x"})
	if err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(policy, []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "skopeo", "--policy", policy, "copy",
		"--src-tls-verify=false", "--dest-tls-verify=false",
		"docker://"+from.Ref("gf/chat", "latest"), "docker://"+to.Ref("gf/chat", "copied")).CombinedOutput()
	if err != nil {
		t.Fatalf("skopeo copy = %v:\n%s", err, out)
	}
	status, got := head(t, to, "/v2/gf/chat/manifests/copied", nil)
	if status != http.StatusOK || got != want {
		t.Errorf("HEAD after skopeo = %d %q, want 200 %q", status, got, want)
	}
}
