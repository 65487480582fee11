package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/registry/registrytest"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const password = "s3cr3t-p4ss"

var users = map[string]string{"ci": password}

// signIn gives the world's registry the right user name and password.
func (w *world) signIn() {
	w.Setenv("REGISTRY_PASSWORD", password)
	w.config.Username, w.config.Password = "ci", desired.Secret{Env: "REGISTRY_PASSWORD"}
}

func TestBasicAuth(t *testing.T) {
	w := newWorld(t, registrytest.Options{Auth: registrytest.AuthBasic, Users: users})
	want := w.push("one")
	w.follow()
	w.wantProblem(w.look(), observe.CauseAuth, "none are configured")
	w.signIn()
	w.follow()
	w.wantDigest(w.look(), want)
	w.reset()
	w.look()
	if n := w.count(""); n != 1 {
		t.Errorf("%d requests once the scheme is known, want 1", n)
	}
}

func TestRefusedCredentialsAreAskedOnceAndNotTold(t *testing.T) {
	w := newWorld(t, registrytest.Options{Auth: registrytest.AuthBasic, Users: users})
	w.signIn()
	t.Setenv("REGISTRY_PASSWORD", "wr0ng-p4ss")
	w.follow()
	i := w.look()
	w.wantProblem(i, observe.CauseAuth, "refuses the configured credentials")
	if strings.Contains(i.Problem.Message, "wr0ng") {
		t.Errorf("Problem.Message = %q, want no password in it", i.Problem.Message)
	}
	// A rotated secret is found without a restart.
	want := w.push("one")
	t.Setenv("REGISTRY_PASSWORD", password)
	w.wantDigest(w.look(), want)
}

func TestBearerTokenIsKeptUntilItExpires(t *testing.T) {
	w := newWorld(t, registrytest.Options{Auth: registrytest.AuthToken, Users: users})
	want := w.push("one")
	w.signIn()
	w.follow()
	w.wantDigest(w.look(), want)
	w.reset()
	w.look()
	if n := w.count(""); n != 1 {
		t.Errorf("%d requests with a token in hand, want 1", n)
	}
	h, _ := w.watcher.find(w.ref)
	h.client.auth.tokens[repo].until = time.Now()
	w.reset()
	w.wantDigest(w.look(), want)
	if heads, tokens := w.count("HEAD"), w.count("/token"); heads != 1 || tokens != 1 {
		t.Errorf("%d HEADs and %d tokens after expiry, want 1 and 1", heads, tokens)
	}
}

// TestTokensAreShared has a hundred repositories: one challenge, five tokens.
func TestTokensAreShared(t *testing.T) {
	w := newWorld(t, registrytest.Options{Auth: registrytest.AuthToken})
	var refs []Ref
	for n := range 100 {
		name := fmt.Sprintf("gf/repo-%03d", n)
		if _, err := w.registry.PushImage(t.Context(), name, tag, registrytest.ImageSpec{}); err != nil {
			t.Fatal(err)
		}
		refs = append(refs, Ref{Image: w.registry.Ref(name, tag)})
	}
	w.watcher.Update([]desired.Registry{w.config}, refs)
	w.reset()
	stats := w.watcher.Sweep(t.Context())
	if stats.Failed != 0 || stats.Changed != 100 {
		t.Errorf("Sweep() = %+v, want 100 changed", stats)
	}
	if n := w.count("/token"); n != 5 {
		t.Errorf("%d token requests for 100 repositories, want 5", n)
	}
}

// TestTokenServiceWithoutSharing gives out the first scope only, as some do.
func TestTokenServiceWithoutSharing(t *testing.T) {
	w := newWorld(t, registrytest.Options{Auth: registrytest.AuthToken})
	var refs []Ref
	for _, name := range []string{"gf/a", "gf/b", "gf/c"} {
		if _, err := w.registry.PushImage(t.Context(), name, tag, registrytest.ImageSpec{}); err != nil {
			t.Fatal(err)
		}
		refs = append(refs, Ref{Image: w.registry.Ref(name, tag)})
	}
	w.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if query := r.URL.Query(); r.URL.Path == "/token" {
			query["scope"] = query["scope"][:1]
			r.URL.RawQuery = query.Encode()
		}
		return false
	})
	w.watcher.Update([]desired.Registry{w.config}, refs)
	if stats := w.watcher.Sweep(t.Context()); stats.Failed != 0 {
		t.Errorf("Sweep() = %+v, want none failed", stats)
	}
	w.reset()
	if stats := w.watcher.Sweep(t.Context()); stats.Requests != 3 || stats.Failed != 0 {
		t.Errorf("second Sweep() = %+v, want 3 requests", stats)
	}
}

func TestRefusingTokenServiceIsLeftAlone(t *testing.T) {
	w := newWorld(t, registrytest.Options{Auth: registrytest.AuthToken, Users: users})
	w.signIn()
	t.Setenv("REGISTRY_PASSWORD", "wrong")
	w.follow()
	w.look()
	w.reset()
	w.wantProblem(w.look(), observe.CauseAuth, "token service refuses")
	if n := w.count("/token"); n != 0 {
		t.Errorf("the token service was asked %d more times at once, want none", n)
	}
}

func TestR21CertificateOfNobody(t *testing.T) {
	w := newWorld(t, registrytest.Options{TLS: true})
	want := w.push("one")
	file := w.config.CAFile
	w.config.CAFile = ""
	w.follow()
	w.reset()
	w.wantProblem(w.look(), observe.CauseUnusable, "a private CA is named by caFile under registries")
	if n := w.count(""); n != 0 {
		t.Errorf("%d requests reached a registry that cannot be trusted, want none", n)
	}
	w.config.CAFile = file
	w.follow()
	w.wantDigest(w.look(), want)
	w.config.CAFile = filepath.Join(t.TempDir(), "missing.pem")
	w.follow()
	i := w.look()
	w.wantProblem(i, observe.CauseUnusable, "CA file")
	if i.Digest != want {
		t.Errorf("Digest = %q, want the last known %q", i.Digest, want)
	}
}

func TestR21PlainHTTPOnlyWhenConfigured(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	w.config.PlainHTTP = false
	w.follow()
	w.reset()
	w.wantProblem(w.look(), observe.CauseUnusable, "with plainHTTP: true")
	if n := w.count(""); n != 0 {
		t.Errorf("%d plain requests, want none", n)
	}
}

func TestR21NoDowngradeByRedirect(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("plain HTTP was asked") }))
	defer plain.Close()
	w := newWorld(t, registrytest.Options{TLS: true})
	w.set(status(http.StatusTemporaryRedirect, "Location", plain.URL+"/v2/x/manifests/y"))
	w.follow()
	w.wantProblem(w.look(), observe.CauseUnusable, "redirected from https")
}

func TestR21CredentialsStayAtHome(t *testing.T) {
	w := newWorld(t, registrytest.Options{Auth: registrytest.AuthBasic, Users: users})
	want := w.push("one")
	w.signIn()
	asked := make(chan string, 8)
	// Another port of the same host is another host.
	elsewhere := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Authorization")
		r.SetBasicAuth("ci", password)
		w.next.ServeHTTP(rw, r)
	}))
	defer elsewhere.Close()
	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") || r.Header.Get("Authorization") == "" {
			return false
		}
		http.Redirect(rw, r, elsewhere.URL+r.URL.Path+"?signature=t0p", http.StatusTemporaryRedirect)
		return true
	})
	w.follow()
	w.wantDigest(w.look(), want)
	if got := <-asked; got != "" {
		t.Errorf("Authorization at another host = %q, want none", got)
	}
}

func TestR22TokenServiceElsewhere(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = rw.Write([]byte(`{}`))
	}))
	defer service.Close()
	w := newWorld(t, registrytest.Options{Auth: registrytest.AuthToken, Realm: service.URL + "/token"})
	w.signIn()
	w.follow()
	w.wantProblem(w.look(), observe.CauseUnusable, "list it in tokenHosts")
	w.config.TokenHosts = []string{strings.TrimPrefix(service.URL, "http://")}
	w.follow()
	w.wantProblem(w.look(), observe.CauseInvalid, "no usable token")
}

func TestAllowedRealm(t *testing.T) {
	for _, c := range []struct {
		config desired.Registry
		realm  string
		ok     bool
	}{
		{desired.Registry{Host: "r.example"}, "https://r.example/token", true},
		{desired.Registry{Host: "r.example"}, "https://R.example:443/token", true},
		{desired.Registry{Host: "r.example"}, "https://r.example:5050/token", false},
		{desired.Registry{Host: "r.example"}, "http://r.example/token", false},
		{desired.Registry{Host: "r.example", PlainHTTP: true}, "http://r.example/token", true},
		{desired.Registry{Host: "r.example"}, "https://auth.r.example/token", false},
		{desired.Registry{Host: "r.example", TokenHosts: []string{"auth.r.example"}}, "https://auth.r.example:8443/token", true},
		{desired.Registry{Host: "r.example", TokenHosts: []string{"auth.r.example:443"}}, "https://auth.r.example/token", true},
		{desired.Registry{Host: "r.example", TokenHosts: []string{"auth.r.example:443"}}, "https://auth.r.example:8443/token", false},
		{desired.Registry{Host: "docker.io", TokenHosts: []string{"auth.docker.io"}}, "https://auth.docker.io/token", true},
		{desired.Registry{Host: "docker.io"}, "https://auth.docker.io/token", false},
		{desired.Registry{Host: "r.example"}, "https://ci:secret@r.example/token", false},
		{desired.Registry{Host: "r.example"}, "file:///etc/passwd", false},
		{desired.Registry{Host: "r.example"}, "", false},
	} {
		_, err := newAuthorizer(c.config, desired.Secret.Value).allowedRealm(c.realm)
		if (err == nil) != c.ok {
			t.Errorf("allowedRealm(%q) for %s = %v, want ok %v", c.realm, c.config.Host, err, c.ok)
		}
	}
}

func TestDockerConfig(t *testing.T) {
	for _, c := range []struct{ body, host, want, complaint string }{
		{`{"auths":{"r.example":{"auth":"Y2k6czNj"}}}`, "r.example", "ci:s3c", ""},
		{`{"auths":{"https://r.example/v1/":{"auth":"Y2k6czNj"}}}`, "r.example", "ci:s3c", ""},
		{`{"auths":{"https://index.docker.io/v1/":{"auth":"Y2k6czNj"}}}`, "docker.io", "ci:s3c", ""},
		{`{"auths":{"r.example":{"username":"ci","password":"x"}}}`, "r.example", "ci:x", ""},
		{`{"auths":{"r.example":{"auth":"Y2k6czNj"}},"credsStore":"desktop"}`, "r.example", "ci:s3c", ""},
		{`{"auths":{}}`, "r.example", ":", ""},
		{`{"auths":{"r.example":{}},"credsStore":"desktop"}`, "r.example", "", "credential store desktop"},
		{`{"credHelpers":{"r.example":"pass"}}`, "r.example", "", "credential helper pass"},
		{`{"auths":{"r.example":{"identitytoken":"s3c"}}}`, "r.example", "", "identity token"},
		{`{"auths":{"r.example":{"auth":"s3c!"}}}`, "r.example", "", "not base64"},
		{`{"auths":{"r.example":{"auth":"s3c`, "r.example", "", "not valid JSON"},
	} {
		got, err := parseDockerConfig([]byte(c.body), c.host)
		switch {
		case c.complaint == "" && (err != nil || got.username+":"+got.password != c.want):
			t.Errorf("parseDockerConfig(%s) = %v, %v, want %s", c.body, got, err, c.want)
		case c.complaint != "" && (err == nil || !strings.Contains(err.Error(), c.complaint)):
			t.Errorf("parseDockerConfig(%s) = %v, want %q", c.body, err, c.complaint)
		case err != nil && strings.Contains(err.Error(), "s3c"):
			t.Errorf("parseDockerConfig(%s) = %v, want no secret in it", c.body, err)
		}
	}
}

func TestDockerConfigIsUsed(t *testing.T) {
	w := newWorld(t, registrytest.Options{Auth: registrytest.AuthBasic, Users: users})
	want := w.push("one")
	body, err := json.Marshal(map[string]any{"auths": map[string]any{
		w.registry.Host(): map[string]string{"username": "ci", "password": password},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.config.DockerConfig = filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(w.config.DockerConfig, body, 0o600); err != nil {
		t.Fatal(err)
	}
	w.follow()
	w.wantDigest(w.look(), want)
}

func TestParseToken(t *testing.T) {
	asked := time.Unix(1000, 0)
	for body, want := range map[string]time.Duration{
		`{"token":"t","expires_in":300}`:         270 * time.Second,
		`{"access_token":"t","expires_in":3600}`: 3570 * time.Second,
		`{"token":"t"}`:                          54 * time.Second,
		`{"token":"t","expires_in":-5}`:          54 * time.Second,
		`{"token":"t","expires_in":1e99}`:        24*time.Hour - 30*time.Second,
		`{"token":"t","expires_in":1}`:           500 * time.Millisecond,
	} {
		got, err := parseToken([]byte(body), asked)
		if err != nil || got.header != "Bearer t" || got.until.Sub(asked) != want {
			t.Errorf("parseToken(%s) = %+v, %v, want it used for %v", body, got, err, want)
		}
	}
	for _, body := range []string{`{}`, `[]`, ``, `{"token":"a b"}`, `{"token":"a\nb"}`, `{"token":5}`} {
		if got, err := parseToken([]byte(body), asked); err == nil {
			t.Errorf("parseToken(%s) = %+v, want an error", body, got)
		}
	}
}
