package simulation

import (
	"slices"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// TestWaits: who would have waited for whom.
func TestWaits(t *testing.T) {
	noon := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	turn := func(target, lb string, at, lasts int) Turn {
		return Turn{Target: target, LoadBalancer: lb, Started: noon.Add(time.Duration(at) * time.Minute), Lasts: time.Duration(lasts) * time.Minute}
	}
	back := func(t Turn) Turn { t.IsRollback = true; return t }
	way := func(t Turn) Turn { t.IsWayBack = true; return t }
	for _, tt := range []struct {
		name   string
		limits desired.Limits
		turns  []Turn
		want   []int // Minutes; negative when a newer digest came before.
	}{
		{"no limit", desired.Limits{}, []Turn{turn("a", "chat", 0, 10), turn("b", "chat", 1, 10)}, []int{0, 0}},
		{"one at a time", desired.Limits{RolloutsPerEnvironment: 1}, []Turn{turn("a", "", 0, 10), turn("b", "", 4, 10), turn("c", "", 5, 1)}, []int{0, 6, 15}},
		{"two at a time", desired.Limits{RolloutsPerEnvironment: 2}, []Turn{turn("a", "", 0, 10), turn("b", "", 4, 10), turn("c", "", 5, 1)}, []int{0, 0, 5}},
		{"ends when the next begins", desired.Limits{RolloutsPerEnvironment: 1}, []Turn{turn("a", "", 0, 10), turn("b", "", 10, 10)}, []int{0, 0}},
		{"one of a load balancer", desired.Limits{RolloutsPerLoadBalancer: 1}, []Turn{turn("a", "chat", 0, 10), turn("b", "mail", 1, 10), turn("c", "chat", 2, 1), turn("d", "", 3, 1)}, []int{0, 0, 8, 0}},
		{"both, and the first end makes no room", desired.Limits{RolloutsPerEnvironment: 3, RolloutsPerLoadBalancer: 1}, []Turn{turn("a", "mail", 0, 4), turn("b", "chat", 0, 10), turn("c", "chat", 1, 1)}, []int{0, 0, 9}},
		{"its own last one", desired.Limits{RolloutsPerEnvironment: 5}, []Turn{turn("a", "", 0, 10), turn("a", "", 3, 10)}, []int{0, 7}},
		{"the latest wins", desired.Limits{RolloutsPerEnvironment: 1}, []Turn{turn("a", "", 0, 10), turn("b", "", 1, 5), turn("b", "", 2, 5), turn("c", "", 3, 1)}, []int{0, -9, 8, 12}},
		{"a way back is no newer digest", desired.Limits{RolloutsPerEnvironment: 1}, []Turn{turn("a", "", 0, 10), turn("b", "", 1, 5), way(turn("b", "", 2, 5))}, []int{0, 9, 0}},
		{"a way back waits for nobody", desired.Limits{RolloutsPerEnvironment: 1}, []Turn{turn("a", "", 0, 10), way(turn("b", "", 4, 10)), turn("c", "", 5, 1)}, []int{0, 0, 9}},
		{"three rollbacks", desired.Limits{RollbacksPerHour: 3}, []Turn{back(turn("a", "", 0, 1)), back(turn("b", "", 10, 1)), way(turn("c", "", 20, 1)), turn("d", "", 25, 1), turn("e", "", 62, 1)}, []int{0, 0, 0, 36, 0}},
		{"four rollbacks, of three allowed", desired.Limits{RollbacksPerHour: 3}, []Turn{way(turn("a", "", 0, 1)), way(turn("b", "", 10, 1)), way(turn("c", "", 20, 1)), way(turn("d", "", 30, 1)), turn("e", "", 31, 1)}, []int{0, 0, 0, 0, 39}},
		{"a rollback counts when it is over", desired.Limits{RollbacksPerHour: 1}, []Turn{back(turn("a", "", 0, 5)), turn("b", "", 1, 1), turn("c", "", 6, 1)}, []int{0, 0, 59}},
	} {
		got := []int{}
		for _, w := range Waits(tt.turns, tt.limits) {
			minutes := int(w.For.Minutes())
			if w.IsOvertaken {
				minutes = -minutes
			}
			got = append(got, minutes)
			if (w.For > 0) != (w.Why != "") {
				t.Errorf("%s: waits %s because of %q", tt.name, w.For, w.Why)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: they wait %v minutes, want %v", tt.name, got, tt.want)
		}
	}
}

// TestWaitIsPartOfTheAnswer: once, and not where nothing can be told otherwise.
func TestWaitIsPartOfTheAnswer(t *testing.T) {
	var r, unknown Result
	unknown.Unknown = "its evidence is gone"
	for _, result := range []*Result{&r, &unknown} {
		result.Wait(Wait{})
		if result.Differs || len(result.Notes) > 0 {
			t.Errorf("without a wait it differs: %+v", result)
		}
		result.Wait(Wait{For: time.Minute, Why: "because 1 others were open"})
		if len(result.Notes) != 1 {
			t.Errorf("notes = %q, want one", result.Notes)
		}
	}
	if !r.Differs || unknown.Differs {
		t.Errorf("differs: %t and, where it is not known, %t; want only the first", r.Differs, unknown.Differs)
	}
}
