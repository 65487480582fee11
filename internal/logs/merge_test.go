package logs

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestMergerOrdersWithinTheWindow(t *testing.T) {
	const window = 200 * time.Millisecond
	var m merger
	begin := time.Unix(1000, 0)
	m.add(begin, []item{{nanos: 30}, {nanos: 10}})
	if out := m.take(begin.Add(199*time.Millisecond), window, nil); len(out) != 0 {
		t.Fatalf("%d lines came before the window was over", len(out))
	}
	m.add(begin.Add(100*time.Millisecond), []item{{nanos: 20}, {nanos: 40}})
	var times []int64
	for _, it := range m.take(begin.Add(200*time.Millisecond), window, nil) {
		times = append(times, it.nanos)
	}
	if want := []int64{10, 20, 30}; !slices.Equal(times, want) {
		t.Errorf("lines came as %v, want %v", times, want)
	}
	if out := m.flush(nil); len(out) != 1 || out[0].nanos != 40 {
		t.Errorf("%v is left, want the line at 40", out)
	}
}

// Any lines whose ways differ by less than the window come in order, each once
// and no later than the window after they arrived.
func TestMergerProperty(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		window := time.Duration(1+r.IntN(300)) * time.Millisecond
		var m merger
		type arrival struct{ at, stamp time.Duration }
		var all []arrival
		for range 500 {
			stamp := time.Duration(r.IntN(2000)) * time.Millisecond
			all = append(all, arrival{stamp + time.Duration(r.Int64N(int64(window))), stamp})
		}
		slices.SortFunc(all, func(a, b arrival) int { return int(a.at - b.at) })
		var out []item
		begin, next := time.Unix(1000, 0), 0
		for now := time.Duration(0); now < 3*time.Second; now += time.Millisecond {
			var fresh []item
			for next < len(all) && all[next].at <= now {
				fresh = append(fresh, item{nanos: int64(all[next].stamp)})
				next++
			}
			m.add(begin.Add(now), fresh)
			out = m.take(begin.Add(now), window, out)
		}
		if len(out) != len(all) || len(m.pending) != 0 || len(m.batches) != 0 {
			t.Fatalf("seed %d: %d of %d lines came, %d are held", seed, len(out), len(all), len(m.pending))
		}
		if !slices.IsSortedFunc(out, func(a, b item) int { return int(a.nanos - b.nanos) }) {
			t.Fatalf("seed %d: lines are out of order", seed)
		}
	}
}
