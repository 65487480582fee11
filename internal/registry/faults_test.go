package registry

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/distribution/manifest/manifestlist"
	"github.com/docker/distribution/manifest/schema2"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"gitlab.gf.com.cn/clickeggs/drover/internal/registry/registrytest"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// The tests are named after the rows of the fault table, rollout-safety 5.

func TestR01UnauthorizedRefreshesOncePerChallenge(t *testing.T) {
	w := newWorld(t, registrytest.Options{Auth: registrytest.AuthToken})
	want := w.push("one")
	w.follow()
	w.wantDigest(w.look(), want)
	w.reset()
	w.set(status(http.StatusUnauthorized, "WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="registrytest",error="invalid_token"`, w.registry.URL())))
	i := w.look()
	w.wantProblem(i, observe.CauseAuth, "refuses the token")
	if i.Digest != want {
		t.Errorf("Digest = %q, want the last known %q", i.Digest, want)
	}
	if heads, tokens := w.count("HEAD"), w.count("/token"); heads != 2 || tokens != 1 {
		t.Errorf("%d HEADs and %d tokens, want 2 and 1", heads, tokens)
	}
	w.set(nil)
	w.wantDigest(w.look(), want)
}

func TestR02DeniedIsNotRetried(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	w.push("one")
	w.set(status(http.StatusForbidden))
	w.follow()
	w.wantProblem(w.look(), observe.CauseAuth, "403")
	if n := w.count("HEAD"); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	h, e := w.watcher.find(w.ref)
	for _, want := range []int{1, 2, 4, 8, 8} {
		near := time.Until(h.dueAfter(e, time.Now()))
		if low, high := time.Duration(want-1)*h.poll, time.Duration(want+1)*h.poll; near < low || near > high {
			t.Errorf("next look after %d refusals in %v, want between %v and %v", e.failures, near, low, high)
		}
		w.look()
	}
}

func TestR03DeletedTagKeepsTheDigest(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	want := w.push("one")
	w.follow()
	w.look()
	if err := w.registry.DeleteManifest(t.Context(), repo, want); err != nil {
		t.Fatal(err)
	}
	i := w.look()
	w.wantProblem(i, observe.CauseNotFound, "404")
	if i.Digest != want || i.Manifest != want {
		t.Errorf("Digest, Manifest = %q, %q, want the last known %q", i.Digest, i.Manifest, want)
	}
	w.push("one")
	w.wantDigest(w.look(), want)
}

func TestR04MissingRepository(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	w.follow()
	w.wantProblem(w.look(), observe.CauseNotFound, w.ref)
}

// TestR04SomebodyElsesNotFound tells a proxy's page from a registry's answer.
func TestR04SomebodyElsesNotFound(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	w.set(status(http.StatusNotFound, "Content-Type", "text/html"))
	w.follow()
	w.wantProblem(w.look(), observe.CauseInvalid, "does not come from a registry")
}

func TestR05RetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"120":                           2 * time.Minute,
		"0":                             time.Second,
		"-5":                            time.Second,
		"86400":                         time.Hour,
		"99999999999999999999999999":    time.Hour,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute,
		"Fri, 02 Jan 2026 03:00:00 GMT": time.Second,
		"Sat, 02 Jan 2100 03:00:00 GMT": time.Hour,
		"soon":                          time.Second,
	} {
		if got := parseRetryAfter(header, now); got != want {
			t.Errorf("parseRetryAfter(%q) = %v, want %v", header, got, want)
		}
	}
}

// TestR05RetryAfterHoldsForTheWholeRegistry looks at two references: the second
// costs no request.
func TestR05RetryAfterHoldsForTheWholeRegistry(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	w.push("one")
	w.config.Concurrency = 1
	other := w.registry.Ref(repo, "other")
	w.watcher.Update([]desired.Registry{w.config}, []Ref{{Image: w.ref}, {Image: other}})
	w.set(status(http.StatusTooManyRequests, "Retry-After", "3600"))
	w.reset()
	w.look()
	w.wantProblem(w.image(), observe.CauseUnreachable, "429")
	w.wantProblem(w.watcher.Image(t.Context(), other, ""), observe.CauseUnreachable, "429")
	if n := w.count(""); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	h, e := w.watcher.find(w.ref)
	if wait := time.Until(h.client.gate.openAt()); wait < 59*time.Minute || wait > time.Hour {
		t.Errorf("the registry is left alone for %v, want an hour", wait)
	}
	if e.problem == nil {
		t.Error("the entry has no problem")
	}
}

func TestR06TooManyRequestsBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(0, 1)
		var pauses []time.Duration
		for range 8 {
			g.record(&Error{Status: http.StatusTooManyRequests})
			// Requests that were on their way change nothing.
			g.record(&Error{Status: http.StatusTooManyRequests})
			pause := time.Until(g.openAt())
			pauses = append(pauses, pause)
			if g.paused() == nil {
				t.Error("paused() = nil within the pause")
			}
			time.Sleep(pause)
		}
		for i, pause := range pauses {
			middle := min(time.Second<<i, maxPause)
			if pause < middle*8/10 || pause > middle*12/10 {
				t.Errorf("pause %d = %v, want %v give or take a fifth", i, pause, middle)
			}
		}
		g.record(nil)
		g.record(&Error{Status: http.StatusTooManyRequests})
		if pause := time.Until(g.openAt()); pause > 1200*time.Millisecond {
			t.Errorf("pause after an answer = %v, want a second again", pause)
		}
	})
}

func TestR07ServerErrorsAreRetriedThenBelieved(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	want := w.push("one")
	w.follow()
	left := 2
	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		left--
		return left >= 0 && status(http.StatusBadGateway)(rw, r)
	})
	w.wantDigest(w.look(), want)
	w.set(status(http.StatusServiceUnavailable))
	w.reset()
	i := w.look()
	w.wantProblem(i, observe.CauseUnreachable, "503")
	if n := w.count("HEAD"); n != tries {
		t.Errorf("%d requests, want %d", n, tries)
	}
	if i.Digest != want {
		t.Errorf("Digest = %q, want the last known %q", i.Digest, want)
	}
}

// TestR08FailingRegistryDisturbsNoOther sweeps a registry that accepts connections
// and never answers beside one that works.
func TestR08FailingRegistryDisturbsNoOther(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	want := w.push("one")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused.Close()
	w.watcher = New(Options{RequestTimeout: 200 * time.Millisecond, OnChange: func(ref string) { w.changes <- ref }})
	bad := desired.Registry{Host: silent.Addr().String(), PlainHTTP: true}
	closed := desired.Registry{Host: refused.Addr().String(), PlainHTTP: true}
	refs := []Ref{{Image: w.ref}, {Image: bad.Host + "/a:b"}, {Image: closed.Host + "/a:b"}}
	w.watcher.Update([]desired.Registry{w.config, bad, closed}, refs)
	begun := time.Now()
	w.wantDigest(w.look(), want)
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the sweep took %v, want it bounded by the deadlines", took)
	}
	w.wantProblem(w.watcher.Image(t.Context(), refs[1].Image, ""), observe.CauseUnreachable, "in time")
	w.wantProblem(w.watcher.Image(t.Context(), refs[2].Image, ""), observe.CauseUnreachable, "refused")
}

func TestR09SlowAndHugeBodies(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	w.push("one")
	w.watcher = New(Options{RequestTimeout: 200 * time.Millisecond})
	w.follow()
	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		rw.Header().Set("Content-Type", schema2.MediaTypeManifest)
		for r.Context().Err() == nil {
			_, _ = rw.Write([]byte(" "))
			rw.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
		return true
	})
	w.wantProblem(w.look(), observe.CauseUnreachable, "in time")
	w.watcher = New(Options{})
	w.follow()
	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		rw.Header().Set("Content-Type", schema2.MediaTypeManifest)
		_, _ = rw.Write([]byte(strings.Repeat(" ", maxBody+1)))
		return true
	})
	w.wantProblem(w.look(), observe.CauseInvalid, "longer than")
}

func TestR10TruncatedManifestIsDiscarded(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	want := w.push("one")
	w.follow()
	w.look()
	w.push("two")
	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		rw.Header().Set("Content-Type", schema2.MediaTypeManifest)
		rw.Header().Set("Content-Length", "500")
		_, _ = rw.Write([]byte(`{"schemaVersion":2`))
		return true
	})
	i := w.look()
	w.wantProblem(i, observe.CauseUnreachable, "EOF")
	if i.Digest != want {
		t.Errorf("Digest = %q, want the last known %q", i.Digest, want)
	}
}

// lie replaces the digest that HEAD names.
func lie(digest string) func(http.ResponseWriter, *http.Request) bool {
	return func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodHead || !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		rw.Header().Set("Content-Type", schema2.MediaTypeManifest)
		rw.Header().Set("Docker-Content-Digest", digest)
		return true
	}
}

func TestR11BodyThatIsNotItsDigest(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	want := w.push("one")
	w.follow()
	w.look()
	w.push("two")
	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		rw.Header().Set("Content-Type", schema2.MediaTypeManifest)
		_, _ = rw.Write([]byte(`{"schemaVersion":2,"mediaType":"` + schema2.MediaTypeManifest + `"}`))
		return true
	})
	i := w.look()
	w.wantProblem(i, observe.CauseInvalid, "contradicts itself")
	if i.Digest != want {
		t.Errorf("Digest = %q, want the last known %q", i.Digest, want)
	}
}

func TestR12HeadAndGetDisagreeTwice(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	want := w.push("one")
	w.follow()
	w.set(lie("sha256:" + strings.Repeat("0", 64)))
	i := w.look()
	w.wantProblem(i, observe.CauseInvalid, "contradicts itself twice")
	if i.Digest != "" {
		t.Errorf("Digest = %q, want none", i.Digest)
	}
	// Once is a tag that moved in between, or a replica that is behind.
	left := 1
	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead {
			left--
		}
		return left >= 0 && lie("sha256:"+strings.Repeat("0", 64))(rw, r)
	})
	w.wantDigest(w.look(), want)
}

func TestR13FlappingTagIsCounted(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	w.follow()
	var seen time.Time
	for n := range 5 {
		want := w.push([]string{"a", "b"}[n%2])
		i := w.look()
		w.wantDigest(i, want)
		if i.Flaps != n {
			t.Errorf("Flaps after %d pushes = %d, want %d", n+1, i.Flaps, n)
		}
		if !i.SeenAt.After(seen) {
			t.Errorf("SeenAt = %v, want it to start again after %v", i.SeenAt, seen)
		}
		seen = i.SeenAt
	}
	_, e := w.watcher.find(w.ref)
	if n := e.flaps(time.Now().Add(flapWindow + time.Minute)); n != 0 {
		t.Errorf("flaps eleven minutes later = %d, want 0", n)
	}
}

func TestR14TagMovedBackIsReported(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	old := w.push("one")
	w.follow()
	w.look()
	w.push("two")
	w.look()
	w.push("one")
	i := w.look()
	w.wantDigest(i, old)
	if i.Flaps != 2 || i.Revision != "rev-one" {
		t.Errorf("Flaps, Revision = %d, %q, want 2, rev-one", i.Flaps, i.Revision)
	}
}

// TestR16SameLayers: a rebuild has another digest and the layers of before, also when
// they are compressed otherwise or stand below an index; other files do not.
func TestR16SameLayers(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	push := func(spec registrytest.ImageSpec) observe.Image {
		t.Helper()
		if _, err := w.registry.PushImage(t.Context(), repo, tag, spec); err != nil {
			t.Fatal(err)
		}
		return w.look()
	}
	w.follow()
	first := push(registrytest.ImageSpec{Content: "one", Created: time.Unix(1700000000, 0)})
	if !first.Layers.IsKnown() {
		t.Fatalf("Image = %+v, want layers", first)
	}
	for name, spec := range map[string]registrytest.ImageSpec{
		"built later":          {Content: "one", Created: time.Unix(1800000000, 0)},
		"labels and variables": {Content: "one", Labels: map[string]string{"org.opencontainers.image.revision": "2"}, Env: []string{"A=b"}},
		"compressed less":      {Content: "one", Created: time.Unix(1700000000, 0), Level: gzip.BestSpeed},
		"of the other kind":    {Content: "one", OCI: true},
	} {
		if i := push(spec); i.Problem != nil || i.Digest == first.Digest || i.Layers != first.Layers {
			t.Errorf("%s: %s with layers %s, problem %v; want another digest than %s and its layers %s", name, i.Digest, i.Layers, i.Problem, first.Digest, first.Layers)
		}
	}
	if i := push(registrytest.ImageSpec{Content: "two", Created: time.Unix(1700000000, 0)}); !i.Layers.IsKnown() || i.Layers == first.Layers {
		t.Errorf("other files have the layers %q, and the first had %q", i.Layers, first.Layers)
	}
	if _, err := w.registry.PushIndex(t.Context(), repo, tag, registrytest.ImageSpec{Content: "one", Env: []string{"C=d"}}, registrytest.ImageSpec{Content: "two", Platform: "linux/arm64"}); err != nil {
		t.Fatal(err)
	}
	if i := w.look(); i.Digest == i.Manifest || i.Layers != first.Layers {
		t.Errorf("below the index %s are the layers %s, want those of this platform, %s", i.Digest, i.Layers, first.Layers)
	}
}

// TestDescriptorsOfLayersAreNotKept: what an idle target holds of an image's layers is
// their name, and what can be pulled is found out without.
func TestDescriptorsOfLayersAreNotKept(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	w.push("one")
	w.follow()
	i := w.look()
	kept, ok := w.watcher.details.get(detailsKey{i.Digest, parsePlatform("")})
	if !ok || kept.layers != nil || kept.content != i.Layers || !i.Layers.IsKnown() {
		t.Errorf("kept are %+v (%t), want no descriptors and the layers %s", kept, ok, i.Layers)
	}
	if p := w.watcher.Pullable(t.Context(), i.Repository, i.Digest, ""); !p.OK || p.Problem != nil || w.count("HEAD /v2/"+repo+"/blobs/") != 1 {
		t.Errorf("Pullable = %+v after %d questions for layers, want OK after one", p, w.count("/blobs/"))
	}
}

// TestNoLayersAreNotKnown: a configuration that names none is like no other one.
func TestNoLayersAreNotKnown(t *testing.T) {
	for _, text := range []string{`{}`, `{"rootfs":null}`, `{"rootfs":{"type":"layers","diff_ids":[]}}`} {
		var i imageConfig
		if err := json.Unmarshal([]byte(text), &i); err != nil || i.content().IsKnown() {
			t.Errorf("%s: layers %q, error %v, want none", text, i.content(), err)
		}
	}
}

func TestR17PlatformMissing(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	index, err := w.registry.PushIndex(t.Context(), repo, tag,
		registrytest.ImageSpec{Platform: "linux/arm64", OCI: true}, registrytest.ImageSpec{Platform: "linux/arm/v6", OCI: true})
	if err != nil {
		t.Fatal(err)
	}
	w.follow()
	i := w.look()
	w.wantDigest(i, index)
	if !i.PlatformMissing || i.Manifest != "" {
		t.Errorf("PlatformMissing, Manifest = %v, %q, want true and none", i.PlatformMissing, i.Manifest)
	}
	w.watcher.Update([]desired.Registry{w.config}, []Ref{{w.ref, "linux/arm64/v8"}, {w.ref, "linux/arm/v6"}, {w.ref, "linux/arm"}})
	w.look()
	for on, missing := range map[string]bool{"linux/arm64": false, "linux/arm/v6": false, "linux/arm": true} {
		i := w.watcher.Image(t.Context(), w.ref, on)
		if i.PlatformMissing != missing || i.Digest != index || (i.Manifest == "") != missing {
			t.Errorf("Image(%s) = %+v, want PlatformMissing %v", on, i, missing)
		}
	}
}

func TestR17SingleImageOfAnotherPlatform(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	if _, err := w.registry.PushImage(t.Context(), repo, tag, registrytest.ImageSpec{Platform: "linux/arm64"}); err != nil {
		t.Fatal(err)
	}
	w.follow()
	if i := w.look(); !i.PlatformMissing {
		t.Errorf("Image = %+v, want PlatformMissing", i)
	}
}

func TestR18WhatIsNotUnderstoodIsRefused(t *testing.T) {
	nested := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"size":2,"digest":"sha256:%064d","platform":{"os":"linux","architecture":"amd64"}}]}`,
		v1.MediaTypeImageIndex, v1.MediaTypeImageIndex, 1)
	chart := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","size":2,"digest":"sha256:%064d"},"layers":[]}`,
		v1.MediaTypeImageManifest, 1)
	for _, c := range []struct{ mediaType, body, want string }{
		{"application/vnd.docker.distribution.manifest.v1+prettyjws", `{}`, "schema 1"},
		{"application/vnd.example+json", `{}`, "application/vnd.example+json"},
		{"text/html", `<html>`, "text/html"},
		{"", `{}`, "does not say"},
		{v1.MediaTypeImageIndex, nested, "nested indexes"},
		{v1.MediaTypeImageManifest, chart, "helm"},
		{manifestlist.MediaTypeManifestList, `{"schemaVersion":2`, "cannot be read"},
		{schema2.MediaTypeManifest, `[]`, "cannot be read"},
	} {
		w := newWorld(t, registrytest.Options{})
		w.set(func(rw http.ResponseWriter, r *http.Request) bool {
			rw.Header()["Content-Type"] = []string{c.mediaType}
			if r.Method == http.MethodHead {
				rw.Header().Set("Docker-Content-Digest", digest.FromString(c.body).String())
				return true
			}
			_, _ = rw.Write([]byte(c.body))
			return true
		})
		w.follow()
		w.wantProblem(w.look(), observe.CauseInvalid, c.want)
	}
}

func TestR19PullableSeesWhatWasDeleted(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	old := w.push("one")
	w.follow()
	repository := w.registry.Host() + "/" + repo
	p := w.watcher.Pullable(t.Context(), repository, old, "")
	if !p.OK || p.Problem != nil || p.Manifest != old || p.Config == "" {
		t.Errorf("Pullable = %+v, want OK", p)
	}
	w.reset()
	if w.watcher.Pullable(t.Context(), repository, old, ""); w.count("") != 0 {
		t.Errorf("%d requests for the same question, want none", w.count(""))
	}
	gone := "sha256:" + strings.Repeat("1", 64)
	if p := w.watcher.Pullable(t.Context(), repository, gone, ""); p.OK || p.Problem != nil || p.Digest != gone {
		t.Errorf("Pullable of a deleted digest = %+v, want a definite no", p)
	}
	w.watcher = New(Options{})
	w.follow()
	w.set(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodHead {
			return false
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusNotFound)
		return true
	})
	if p := w.watcher.Pullable(t.Context(), repository, old, ""); p.OK || p.Problem != nil {
		t.Errorf("Pullable with a layer gone = %+v, want a definite no", p)
	}
	w.watcher = New(Options{})
	w.follow()
	w.set(func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(http.StatusForbidden); return true })
	if p := w.watcher.Pullable(t.Context(), repository, old, ""); p.OK || p.Problem == nil || p.Problem.Cause != observe.CauseAuth {
		t.Errorf("Pullable when denied = %+v, want a problem", p)
	}
}

func TestR25ThreePushesAreOneChange(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	w.push("one")
	w.follow()
	w.look()
	<-w.changes
	w.push("two")
	w.push("three")
	want := w.push("four")
	w.wantDigest(w.look(), want)
	if n := len(w.changes); n != 1 {
		t.Errorf("OnChange was called %d times, want once", n)
	}
}
