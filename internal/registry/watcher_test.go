package registry

import (
	"net/http"
	"slices"
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/internal/registry/registrytest"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

func TestSweepReadsDigestAndDetails(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	want := w.push("one")
	w.follow()
	w.wantProblem(w.image(), observe.CausePending, w.ref)
	i := w.look()
	w.wantDigest(i, want)
	if i.Manifest != want || i.Config == "" || i.Revision != "rev-one" || i.Created != "2023-11-14T22:13:20Z" {
		t.Errorf("Image = %+v, want manifest, config, revision and creation time", i)
	}
	if i.SeenAt.IsZero() || i.CheckedAt.IsZero() || i.Flaps != 0 || i.Repository != w.registry.Host()+"/"+repo {
		t.Errorf("Image = %+v, want times, no flaps and the repository", i)
	}
}

// TestUnchangedCostsOneRequest is the whole point of a conditional HEAD, however
// many targets share the reference.
func TestUnchangedCostsOneRequest(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	w.push("one")
	refs := slices.Repeat([]Ref{{Image: w.ref}}, 10)
	w.watcher.Update([]desired.Registry{w.config}, refs)
	w.look()
	w.reset()
	stats := w.watcher.Sweep(t.Context())
	if stats.References != 1 || stats.Requests != 1 || stats.Same != 1 || w.count("") != 1 || w.count(http.MethodHead) != 1 {
		t.Errorf("Sweep() = %+v with %d requests, want one HEAD", stats, w.count(""))
	}
}

func TestNewDigestIsReportedOnce(t *testing.T) {
	w := newWorld(t, registrytest.Options{})
	w.push("one")
	w.follow()
	w.look()
	<-w.changes
	want := w.push("two")
	i := w.look()
	w.wantDigest(i, want)
	if i.Flaps != 1 || i.Revision != "rev-two" {
		t.Errorf("Flaps, Revision = %d, %q, want 1, rev-two", i.Flaps, i.Revision)
	}
	w.look()
	if got := len(w.changes); got != 1 {
		t.Errorf("OnChange was called %d times, want once", got)
	}
}
