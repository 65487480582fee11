package observe

import (
	"context"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

func TestProbesComeAtTheEvidenceRateWhileItIsShort(t *testing.T) {
	for _, c := range []struct {
		rate    float64
		isShort bool
		want    time.Duration
	}{
		{0, true, 2 * time.Second},
		{5, false, 2 * time.Second},
		{5, true, 200 * time.Millisecond},
		{0.1, true, 2 * time.Second}, // Slower than every: never less is probed.
	} {
		g := &desired.HTTPGate{Port: 80, Every: desired.Seconds(2), EvidenceRate: c.rate}
		if got := httpSpec(g, c.isShort).Every; got != c.want {
			t.Errorf("rate %v, short %t: every %v, want %v", c.rate, c.isShort, got, c.want)
		}
	}
}

func TestWhatIsExpectedReachesTheProbe(t *testing.T) {
	g := &desired.HTTPGate{
		Port: 80, Path: "/ready", Every: desired.Seconds(2), ExpectBody: "^ok", IdentityHeader: "X-Name",
		ExpectHeaders: map[string]string{"X-Version": "2"}, ExpectJSON: map[string]string{"db": "up"},
	}
	want := httpSpec(g, false).Want
	if want.Body != "^ok" || want.Identity != "X-Name" || want.Headers["X-Version"] != "2" || want.JSON["db"] != "up" {
		t.Errorf("Want = %+v", want)
	}
}

// registry has some images and lacks others.
type registry map[string]bool

func (r registry) Image(context.Context, string, string) Image { return Image{} }

func (r registry) Pullable(_ context.Context, repository, digest, _ string) Pullable {
	return Pullable{Digest: digest, OK: r[repository+"@"+digest]}
}

// TestWayBackIsAskedOfEveryImage: of the primary and of each sidekick, by its own
// repository.
func TestWayBackIsAskedOfEveryImage(t *testing.T) {
	o := Observer{Images: registry{"r.example/app@a": true, "r.example/log@1": true}}
	s := o.Look(t.Context(), desired.Target{}, Snapshot{}, Wants{
		Repository: "r.example/app", Previous: "a",
		PreviousSidekicks: map[string]Pinned{"log": {"r.example/log", "1"}, "proxy": {"r.example/proxy", "2"}},
	})
	if !s.Previous.OK || s.Previous.Digest != "a" {
		t.Errorf("the primary's: %+v", s.Previous)
	}
	want := map[string]Pullable{"log": {Digest: "1", OK: true}, "proxy": {Digest: "2"}}
	if len(s.PreviousSidekicks) != len(want) || s.PreviousSidekicks["log"] != want["log"] || s.PreviousSidekicks["proxy"] != want["proxy"] {
		t.Errorf("the sidekicks': %+v, want %+v", s.PreviousSidekicks, want)
	}
	if s := o.Look(t.Context(), desired.Target{}, Snapshot{}, Wants{}); s.PreviousSidekicks != nil || s.Previous != (Pullable{}) {
		t.Errorf("nothing is asked for, and it says %+v, %+v", s.Previous, s.PreviousSidekicks)
	}
}
