package reconcile

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestMemoryIsSharedUntilItChanges: looks that show the same share what is
// remembered of the containers, and a look that learns something leaves the memory
// it was given as it was.
func TestMemoryIsSharedUntilItChanges(t *testing.T) {
	p := tenContainers()
	in := p.nextInput()
	same := Decide(in).Memory
	if &same.tracked[0] != &in.Memory.tracked[0] {
		t.Error("a look that shows the same copied the containers' memory")
	}
	before := slices.Clone(in.Memory.tracked)
	in.Observed.LoadBalancer.Servers[3].Delta = observe.Counts{Retries: 4}
	learned := Decide(in).Memory
	if got := learned.tracked[3].retries; got != 4 {
		t.Errorf("retries = %d, want 4", got)
	}
	if !slices.Equal(in.Memory.tracked, before) {
		t.Error("the input's memory was changed")
	}
}

// TestStillMeansNothingToUpdate holds the short question to the work it saves.
func TestStillMeansNothingToUpdate(t *testing.T) {
	states := []string{"running", "updating-running", "stopped", "removing", "error", "starting"}
	healths := []string{"healthy", "updating-healthy", "initializing", "unhealthy", ""}
	draw := func(t *rapid.T, id string) observe.Container {
		return observe.Container{ID: id, State: rapid.SampledFrom(states).Draw(t, "state"), Health: rapid.SampledFrom(healths).Draw(t, "health")}
	}
	rapid.Check(t, func(t *rapid.T) {
		now := newPaper().now
		checked := rapid.Bool().Draw(t, "checked")
		first, next := draw(t, "1i1"), draw(t, "1i1")
		was := tracked{id: first.ID}
		was.update(kindOf(&first, checked), now)
		is, kind := was, kindOf(&next, checked)
		is.update(kind, now.Add(1))
		if was.isStill(kind) != (is == was) {
			t.Fatalf("after %+v, %+v is still the same: %v; update changes %+v to %+v", first, next, was.isStill(kind), was, is)
		}
	})
}
