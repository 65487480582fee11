package registry

import (
	"net/http"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/docker/distribution/manifest/manifestlist"
	"github.com/docker/distribution/manifest/schema2"
	"github.com/docker/distribution/registry/client/auth/challenge"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

func FuzzManifest(f *testing.F) {
	f.Add(schema2.MediaTypeManifest, []byte(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"x"}}`))
	f.Add(manifestlist.MediaTypeManifestList, []byte(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[{"platform":{"os":"linux","architecture":"amd64"}}]}`))
	f.Add(v1.MediaTypeImageIndex, []byte(`{"manifests":[null,{"platform":null}]}`))
	f.Add(v1.MediaTypeImageManifest, []byte(`{"config":null,"layers":[null]}`))
	f.Fuzz(func(t *testing.T, mediaType string, body []byte) {
		if checkMediaType(mediaType) != nil {
			return
		}
		m, err := parseManifest(&document{mediaType: mediaType, body: body})
		if err != nil {
			return
		}
		index, ok := m.(*manifestlist.DeserializedManifestList)
		if ok != isIndex(mediaType) {
			t.Fatalf("a %s was read as %T", mediaType, m)
		}
		if !ok {
			return
		}
		chosen, err := choose(index.Manifests, parsePlatform(""))
		if err == nil && chosen != "" && chosen.Validate() != nil {
			t.Errorf("choose() = %q, want a digest", chosen)
		}
	})
}

func FuzzAnswers(f *testing.F) {
	f.Add("120", `Bearer realm="https://r.example/token",service="s"`, []byte(`{"errors":[{"code":"DENIED","message":"no"}]}`))
	f.Add("Fri, 02 Jan 2026 03:05:05 GMT", `Basic realm="\`, []byte(`{"token":"t","expires_in":300}`))
	f.Add("-1", `Bearer realm=`, []byte(`{"auths":{"r.example":{"auth":"Y2k6czNj"}}}`))
	f.Fuzz(func(t *testing.T, retryAfter, authenticate string, body []byte) {
		now := time.Unix(1700000000, 0)
		if d := parseRetryAfter(retryAfter, now); d < minWait || d > maxWait {
			t.Errorf("parseRetryAfter(%q) = %v", retryAfter, d)
		}
		header := http.Header{"Retry-After": {retryAfter}, "Www-Authenticate": {authenticate}}
		e := statusError(http.StatusTooManyRequests, header, body)
		if text := e.Error(); !utf8.ValidString(text) || len(text) > 2000 {
			t.Errorf("Error() = %q, want it short and valid", text)
		}
		if token, err := parseToken(body, now); err == nil && !token.until.After(now) {
			t.Errorf("parseToken gave a token until %v", token.until)
		}
		_, _ = parseDockerConfig(body, "r.example")
		a := newAuthorizer(desired.Registry{Host: "r.example"}, desired.Secret.Value)
		for _, c := range challenge.ResponseChallenges(&http.Response{StatusCode: http.StatusUnauthorized, Header: header}) {
			if u, err := a.allowedRealm(c.Parameters["realm"]); err == nil && (u.Scheme != "https" || u.Hostname() != "r.example") {
				t.Errorf("allowedRealm accepted %q", u)
			}
		}
	})
}

func FuzzName(f *testing.F) {
	f.Add("docker.gf.com.cn/clickeggs/parrot-rest:latest", "linux/amd64")
	f.Add("alpine", "arm")
	f.Add("[::1]:5000/a/b:c", "///")
	f.Fuzz(func(t *testing.T, ref, on string) {
		p := parsePlatform(on)
		if again := parsePlatform(p.String()); p.os != "" && p.arch != "" && again != p {
			t.Errorf("parsePlatform(%q) = %v, then %v", on, p, again)
		}
		n, err := parseName(ref)
		if err != nil {
			return
		}
		if again, err := parseName(n.String()); err != nil || again != n {
			t.Errorf("parseName(%q) = %v, then %v, %v", ref, n, again, err)
		}
	})
}
