package reconcile

import "fmt"

// pace compares the average response times that HAProxy keeps. They are a coarse
// alarm and no more: averages over a window of 512 requests, of successes only,
// which a test of ranks on probes replaces where there is an http gate
// (rollout-safety 3.6). So twice as slow and by a fifth of a second, for five looks
// in a row, holds; nothing fails by it.
type pace struct {
	// usual is the running version's average before the rollout in ms, smoothed; 0
	// when it is not known.
	usual float64
	// slow is for how many looks in a row the new version has been slow; now and
	// before are what was compared in the last, in ms.
	slow        int32
	now, before float64
}

const (
	// minTimed is how many requests a server must have served in its epoch for its
	// average to say something (3.1).
	minTimed = 50
	// slowRatio and slowBy are what a slow version exceeds the other one by, in ms,
	// and slowLooks for how many looks in a row.
	slowRatio = 2
	slowBy    = 200
	slowLooks = 5
	// smoothing is how much of the usual average one look replaces.
	smoothing = 0.1
)

func (s *side) average() (ms float64, ok bool) {
	if s.timed == 0 {
		return 0, false
	}
	return float64(s.slow) / float64(s.timed), true
}

func (p *pace) learn(running *side) {
	switch ms, ok := running.average(); {
	case !ok:
	case p.usual == 0:
		p.usual = ms
	default:
		p.usual += smoothing * (ms - p.usual)
	}
}

// count compares with the old side where it serves, and else with the time before.
func (p *pace) count(fresh, old *side) {
	before, ok := old.average()
	if !ok {
		before = p.usual
	}
	now, isKnown := fresh.average()
	p.now, p.before = now, before
	if isKnown && before > 0 && now >= slowRatio*before && now-before >= slowBy {
		p.slow = min(p.slow+1, slowLooks)
		return
	}
	p.slow = 0
}

func (p *pace) isSlow() bool { return p.slow >= slowLooks }

func (p *pace) text() string {
	return fmt.Sprintf("the load balancer's average is %.0f ms, the old version's %.0f ms", p.now, p.before)
}
