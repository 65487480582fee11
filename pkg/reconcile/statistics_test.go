package reconcile

import (
	"math"
	"math/rand/v2"
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

func TestUpperBound(t *testing.T) {
	for _, c := range []struct {
		failures, requests int64
		want               float64
	}{
		{0, 0, 1},
		{0, -1, 1},
		{0, 100, 0.026343},
		{0, 1000, 0.002698},
		{100, 100, 1},
	} {
		if got := upperBound(c.failures, c.requests); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("upperBound(%d, %d) = %.6f, want %.6f", c.failures, c.requests, got, c.want)
		}
	}
}

// The bound is by definition the p above the observed share that lies exactly z
// standard errors, taken at p, away from it.
func TestUpperBoundSolvesWilsonsEquation(t *testing.T) {
	const z = 1.6448536269514722
	for _, c := range [][2]int64{{1, 20}, {5, 100}, {17, 1000}, {400, 500}} {
		n := float64(c[1])
		share, p := float64(c[0])/n, upperBound(c[0], c[1])
		if p <= share {
			t.Errorf("the bound %v of %v is not above the share %v", p, c, share)
		}
		if got := (p - share) / math.Sqrt(p*(1-p)/n); math.Abs(got-z) > 1e-9 {
			t.Errorf("the bound of %v lies %v standard errors off, want %v", c, got, z)
		}
	}
}

// Ville's inequality promises at most 1 % false triggers however often one looks.
func TestComparisonSeldomBlamesAnEqualVersion(t *testing.T) {
	const runs, each = 4000, 20
	limit := 0.01 + 3*math.Sqrt(0.01*0.99/runs)
	for _, n := range []int64{100, 1000} {
		for _, rate := range []float64{0.01, 0.05, 0.3} {
			rng := rand.New(rand.NewPCG(uint64(n), math.Float64bits(rate)))
			blamed := 0
			for range runs {
				if reachesBlame(rng, n, each, rate, rate) {
					blamed++
				}
			}
			if got := float64(blamed) / runs; got > limit {
				t.Errorf("n=%d rate=%v: blamed in %.2f %% of the runs, at most %.2f %% may be", n, rate, 100*got, 100*limit)
			}
		}
	}
}

func TestComparisonBlamesAWorseVersion(t *testing.T) {
	const runs = 200
	rng := rand.New(rand.NewPCG(1, 2))
	blamed := 0
	for range runs {
		if reachesBlame(rng, 1000, 20, 0.2, 0.01) {
			blamed++
		}
	}
	if blamed < runs*99/100 {
		t.Errorf("a version twenty times worse was blamed in %d of %d runs", blamed, runs)
	}
}

func reachesBlame(rng *rand.Rand, n, each int64, freshRate, oldRate float64) bool {
	var c comparison
	for range n / each {
		c.add(draw(rng, each, freshRate), draw(rng, each, oldRate))
		if c.value(1) >= 100 {
			return true
		}
	}
	return false
}

func draw(rng *rand.Rand, n int64, rate float64) observe.Counts {
	c := observe.Counts{Requests: n}
	for range n {
		if rng.Float64() < rate {
			c.Failures++
		}
	}
	return c
}

func TestComparisonNeedsBothSides(t *testing.T) {
	busy := observe.Counts{Requests: 100, Failures: 100}
	for name, sides := range map[string][2]observe.Counts{
		"only new":    {busy, {}},
		"only old":    {{}, busy},
		"no failures": {{Requests: 9}, {Requests: 9}},
	} {
		var c comparison
		if c.add(sides[0], sides[1]); c.value(1) != 1 {
			t.Errorf("%s: the evidence is %v, want 1", name, c.value(1))
		}
	}
}

func TestSequential(t *testing.T) {
	var s sequential
	by := stepsBetween(0.01, 0.05)
	for range 50 {
		s.add(observe.Counts{Requests: 20}, observe.Counts{}, by)
	}
	if s.l >= 0 || s.c >= 0 {
		t.Fatalf("without a failure both sums fall, got l=%v c=%v", s.l, s.c)
	}
	// What begins late is caught by the CUSUM while the long good past still
	// speaks for the version in Wald's sum.
	for range 3 {
		s.add(observe.Counts{Requests: 20, Failures: 4}, observe.Counts{}, by)
	}
	if s.c < cusumToFail || s.l >= sumToFail {
		t.Errorf("after a late failure l=%v c=%v, want only c to have fired", s.l, s.c)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 999: "999", 1000: "1,000", 65536: "65,536", 999999: "999,999", 1234567: "1,234,567",
	} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}
