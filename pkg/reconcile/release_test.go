package reconcile

import "testing"

// TestACondemnationEndsARelease: who asked for a digest did not know what condemned it later.
func TestACondemnationEndsARelease(t *testing.T) {
	release := Event{Kind: EventReleased, By: "mei", Digests: []string{digest("b"), digest("c")}}
	condemn := Event{Kind: EventQuarantined, Reason: "rolled back", Digests: []string{digest("b")}}
	before := History{}.Apply(release)
	h := before.Apply(condemn)
	if len(h.Released) != 1 || h.Released[0] != digest("c") || len(h.Quarantine) != 1 {
		t.Errorf("released are %q, condemned %v; want only c released and b condemned", h.Released, h.Quarantine)
	}
	if len(before.Released) != 2 {
		t.Errorf("the history before it changed to %q", before.Released)
	}
	if h = h.Apply(release); len(h.Quarantine) != 0 || len(h.Released) < 2 {
		t.Errorf("after another release %v are condemned and %q released", h.Quarantine, h.Released)
	}
}
