package probe

import (
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// pacer says when a caller's containers are due.
type pacer struct {
	// seen is when the caller last asked.
	seen time.Time
	// next is when each container's next sample is due.
	next map[string]time.Time
}

// due counts the samples of each container that are due now, at most limit. A
// caller that looks less often than every gets several at once; what it missed by
// more than limit is not made up for.
func (p *pacer) due(now time.Time, every time.Duration, limit int, containers []observe.Container) []int {
	p.seen = now
	next := make(map[string]time.Time, len(containers))
	counts := make([]int, len(containers))
	for i, c := range containers {
		was, isKnown := p.next[c.ID]
		if !isKnown {
			was = now
		}
		counts[i], next[c.ID] = dueSince(was, now, every, limit)
	}
	p.next = next
	return counts
}

// dueSince counts the multiples of every between next and now, and says which is
// the next one. Looks are not punctual: a tenth too early is on time.
func dueSince(next, now time.Time, every time.Duration, limit int) (n int, following time.Time) {
	if every <= 0 {
		return 1, now
	}
	late := now.Sub(next) + every/10
	if late < 0 {
		return 0, next
	}
	n = int(min(late/every+1, time.Duration(limit)))
	following = next.Add(time.Duration(n) * every)
	if following.Before(now.Add(-every / 10)) {
		following = now.Add(every)
	}
	return n, following
}
