package reconcile

import (
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Rest is what a Memory comes down to while nothing happens. Thousands of targets
// are at rest nearly always, and what the gates remember of each container would be
// from zero at the next look anyway: a rollout that begins, and a gap of a few looks,
// forget it.
type Rest struct {
	lastLook           time.Time
	state              observe.ServiceState
	stateSince         time.Time
	serviceID          string
	createIndex, scale int
	lb                 *lbMemory
}

// IsQuiet says that a decision found nothing to do and waits for nothing but the next
// look of shadow mode: only a wake changes that.
func (d *Decision) IsQuiet() bool {
	return d.Phase == Idle && d.Code == CodeNothingToDo
}

// Rest is what is worth keeping after a decision that is quiet. It is not ok when the
// memory holds something that waits, or that was learned for a rollout to come.
func (m *Memory) Rest() (r Rest, ok bool) {
	waits := m.rollout != "" || m.sent != sent{} || m.deadEnd != deadEnd{} || m.probes.latency != nil || len(m.metrics) > 0
	for _, t := range [...]time.Time{m.bakeStart, m.unprovedSince, m.passedSince, m.blindSince, m.noDataSince, m.mixedSince, m.goneSince, m.unreadySince} {
		waits = waits || !t.IsZero()
	}
	if waits {
		return Rest{}, false
	}
	return Rest{
		lastLook: m.lastLook, state: m.state, stateSince: m.stateSince,
		serviceID: m.serviceID, createIndex: m.createIndex, scale: m.scale, lb: m.lb,
	}, true
}

// Memory is what the next look begins with.
func (r Rest) Memory() Memory {
	return Memory{
		lastLook: r.lastLook, state: r.state, stateSince: r.stateSince,
		serviceID: r.serviceID, createIndex: r.createIndex, scale: r.scale, lb: r.lb,
	}
}
