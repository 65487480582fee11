package observe

import (
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
