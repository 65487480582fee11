package reconcile

import (
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Shadow is how often the load balancer gate, asked about halves of a service that
// nobody rolls out, would have blamed one: its false triggers, as this service's own
// traffic makes them (rollout-safety 3.5).
type Shadow struct {
	// Trials are comparisons that came to their end: a thousand requests of the half
	// that played the new version, or less where it was blamed.
	Trials int64 `json:"trials"`
	// FalseTriggers are those that ended with blame, Holds those that ended in what
	// was taken for an incident.
	FalseTriggers int64 `json:"falseTriggers"`
	Holds         int64 `json:"holds"`
}

// shadow is a trial under way.
type shadow struct {
	Shadow
	// base is the baseline as it was when the trial began.
	base baseline
	contest
	// of tells the containers that take part from others.
	of uint64
	// looks is how many the trial has had.
	looks int32
}

const (
	// trialRequests and trialLooks are the length of a trial: the requests that the
	// rates in docs/gates.md are for, in looks enough for failures to be spread over.
	// trialBaseline is what must be known before one begins.
	trialRequests = 1000
	trialLooks    = 20
	trialBaseline = 2000
	// nervousTrials, nervousTriggers and nervousRate say when a service's failures
	// clump more than is seen of them: then φ is at least nervousPhi.
	nervousTrials   = 200
	nervousTriggers = 5
	nervousRate     = 0.01
	nervousPhi      = 3
)

// isNervous says that the gate is triggered falsely by this service more often than
// it may be.
func (s *shadow) isNervous() bool {
	return s != nil && s.Trials >= nervousTrials && s.FalseTriggers >= nervousTriggers && share(s.FalseTriggers, s.Trials) > nervousRate
}

// ofNewVersion keeps what was learnt of the gate and not of a version.
func (s *shadow) ofNewVersion() *shadow {
	if s == nil {
		return nil
	}
	return &shadow{Shadow: s.Shadow}
}

// Shadow is what trials have shown.
func (m Memory) Shadow() Shadow {
	if s := m.counted().shadow; s != nil {
		return s.Shadow
	}
	return Shadow{}
}

// shadowEvery is how often the load balancer is looked at while nothing is rolled
// out; 0 is not at all.
func (l *look) shadowEvery() time.Duration {
	g := l.in.Target.Gates.LoadBalancer
	if g == nil || g.Shadow == nil || l.mem.rollout != "" {
		return 0
	}
	return g.Shadow.Duration
}

// untilShadow is when the next such look is due. All targets look at the same
// moments: those of one load balancer then share one reading of it.
func (l *look) untilShadow() time.Duration {
	every := l.shadowEvery()
	return l.in.Now.Truncate(every).Add(every).Sub(l.in.Now)
}

// tryShadow takes a look of a service that nobody rolls out into a trial: every
// other container plays the new version.
func (l *look) tryShadow() {
	if l.shadowEvery() == 0 {
		return
	}
	var sides [2]side
	of, n := uint64(fnvBasis), 0
	for i := range l.mem.tracked {
		t := &l.mem.tracked[i]
		if t.running.IsZero() || t.isLeaving || l.rows.of(i).all == 0 {
			continue
		}
		sides[n%2].take(l.rows.of(i), t)
		of = hashed(of, t.id)
		n++
	}
	m := l.traffic()
	s := &shadow{}
	if m.shadow != nil {
		*s = *m.shadow
	}
	m.shadow = s
	if n < 2 || s.of != of || s.base.looks == 0 {
		s.begin(&m.base, of)
		return
	}
	s.try(sides[s.Trials%2].counts, sides[1-s.Trials%2].counts, float64(*l.in.Target.Gates.LoadBalancer.MaxErrorRate))
	if s.isOver() {
		s.begin(&m.base, of)
	}
}

// begin opens a trial, once enough of the baseline is known.
func (s *shadow) begin(b *baseline, of uint64) {
	*s = shadow{Shadow: s.Shadow, of: of}
	if b.counts.Requests >= trialBaseline {
		s.base = *b
	}
}

// try takes a look into the trial, and counts it when it has come to its end.
func (s *shadow) try(fresh, old observe.Counts, limit float64) {
	r := s.base.rates(limit)
	s.looks++
	s.count(fresh, old, &r)
	a := s.accuse(&r)
	s.follow(&a, &r, false)
	switch {
	case s.fails(&a):
		s.Trials++
		s.FalseTriggers++
	case s.fresh.Requests < trialRequests || s.looks < trialLooks:
		return
	default:
		s.Trials++
		if s.incident != noIncident {
			s.Holds++
		}
	}
	s.base = baseline{}
}

func (s *shadow) isOver() bool { return s.base.looks == 0 }

// hashed and fnvBasis are the 64-bit FNV-1a hash, without an allocation.
const (
	fnvBasis = 14695981039346656037
	fnvPrime = 1099511628211
)

func hashed(h uint64, text string) uint64 {
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * fnvPrime
	}
	return h
}
