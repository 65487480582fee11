package simulation

import (
	"fmt"
	"slices"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Turn is one rollout among the others of an environment.
type Turn struct {
	Target string
	// LoadBalancer is the one that its gate reads; empty for none.
	LoadBalancer string
	// Started is when it began, Lasts how long it would be open.
	Started time.Time
	Lasts   time.Duration
	// IsWayBack says that it takes a finished version back: it counts as a rollback,
	// and waits for nobody. IsRollback says that it ends as one.
	IsWayBack, IsRollback bool
}

// Wait is for how long a rollout would not have begun, and why; zero when it would
// have begun when it did.
type Wait struct {
	For time.Duration
	Why string
	// IsOvertaken says that a newer digest of its target came before it could begin, so
	// that it never would have.
	IsOvertaken bool
}

// begun is a turn with when it would begin and end.
type begun struct {
	*Turn
	from, to time.Time
}

// Waits says for each of the turns, which are in the order of their starts, how long
// the limits would have kept it from beginning: the first that came is the first that
// goes, as soon as there is room. A rollout that would have begun sooner is not found:
// nobody wrote down that it waited.
func Waits(turns []Turn, limits desired.Limits) []Wait {
	waits := make([]Wait, len(turns))
	var before []begun
	for i := range turns {
		b := begun{Turn: &turns[i], from: turns[i].Started}
		for !b.IsWayBack {
			until, why := blocked(&b, before, limits)
			if why == "" {
				break
			}
			b.from, waits[i].Why = until, why
		}
		waits[i].For = b.from.Sub(b.Started)
		if waits[i].IsOvertaken = isOvertaken(&b, turns[i+1:]); !waits[i].IsOvertaken {
			b.to = b.from.Add(b.Lasts)
			before = append(before, b)
		}
	}
	return waits
}

const hour = time.Hour

// blocked says until when, at the earliest, a rollout may not begin at its time, and
// why; empty when it may.
func blocked(b *begun, before []begun, limits desired.Limits) (until time.Time, why string) {
	f := observe.Fleet{LimitEnvironment: limits.RolloutsPerEnvironment, LimitLoadBalancer: limits.RolloutsPerLoadBalancer}
	var ends, rollbacks []time.Time
	for i := range before {
		other := &before[i]
		if at, is := other.rolledBackAt(); is && !at.After(b.from) && at.Add(hour).After(b.from) {
			rollbacks = append(rollbacks, at)
		}
		if other.from.After(b.from) || !other.to.After(b.from) {
			continue
		}
		if other.Target == b.Target {
			return other.to, "when the rollout before it had ended"
		}
		f.Open++
		ends = append(ends, other.to)
		if b.LoadBalancer != "" && other.LoadBalancer == b.LoadBalancer {
			f.OpenOnLoadBalancer++
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	slices.SortFunc(rollbacks, time.Time.Compare)
	switch n := limits.RollbacksPerHour; {
	case n > 0 && len(rollbacks) >= n:
		return rollbacks[len(rollbacks)-n].Add(hour), fmt.Sprintf("because of %d rollbacks within an hour (limits.rollbacksPerHour)", len(rollbacks))
	case f.HasRoom(b.LoadBalancer != ""):
		return time.Time{}, ""
	case f.LimitEnvironment > 0 && f.Open >= f.LimitEnvironment:
		return ends[0], fmt.Sprintf("because %d others were open (limits.rolloutsPerEnvironment)", f.Open)
	}
	return ends[0], fmt.Sprintf("because %d others on its load balancer were open (limits.rolloutsPerLoadBalancer)", f.OpenOnLoadBalancer)
}

// isOvertaken says that the next rollout of its target was pushed before this one
// could begin.
func isOvertaken(b *begun, later []Turn) bool {
	return slices.ContainsFunc(later, func(t Turn) bool {
		return t.Target == b.Target && !t.IsWayBack && t.Started.Before(b.from)
	})
}

// rolledBackAt is when a rollout counts as a rollback.
func (b *begun) rolledBackAt() (time.Time, bool) {
	switch {
	case b.IsWayBack:
		return b.from, true
	case b.IsRollback:
		return b.to, true
	}
	return time.Time{}, false
}

// Wait takes into the answer that the rollout would have begun later.
func (r *Result) Wait(w Wait) {
	if w.For <= 0 {
		return
	}
	if w.IsOvertaken {
		r.note("it would not have begun, %s, before a newer digest came", w.Why)
	} else {
		r.note("it would have begun %s later, %s; its readings are taken as they came", w.For.Round(time.Second), w.Why)
	}
	r.Differs = r.Differs || r.Unknown == ""
}
