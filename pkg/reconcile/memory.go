package reconcile

import (
	"slices"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Memory is what the gates have seen since they began to look: counters, and
// since when things hold. It is never persisted. Its zero value means "from
// zero" and is always safe: a bake that lost its memory starts again.
type Memory struct {
	// lastLook is the time of the look before this one.
	lastLook time.Time
	// rollout is the id the gates' part belongs to.
	rollout string
	// state is Rancher's, with the time it was first seen.
	state      observe.ServiceState
	stateSince time.Time
	// bakeStart is when proof and gates began to hold without a gap.
	bakeStart time.Time
	// unprovedSince is since when a proof in upgraded is missing.
	unprovedSince time.Time
	// passedSince is when a passed bake began to wait for a person.
	passedSince time.Time
	// blindSince, noDataSince, mixedSince, goneSince and unreadySince are the
	// beginnings of what must not last.
	blindSince, noDataSince, mixedSince, goneSince, unreadySince time.Time
	// sent is a write whose effect Rancher has not shown yet.
	sent sent
	// serviceID and createIndex are the service's id and the most containers it was
	// seen to have created.
	serviceID   string
	createIndex int
	// scale is the number the last look expected.
	scale int
	// tracked are the containers of the last look, in its order. Memories of looks
	// between which nothing changed share it; see own.
	tracked []tracked
	// replaced counts new containers that vanished and were made again.
	replaced int
	// deadEnd is what Rancher cannot get past, as far as it is known.
	deadEnd deadEnd
	// probes is the part of the gates that probe.
	probes probeMemory
	// metrics is the Prometheus gate's part, one for each query.
	metrics []metricMemory
	// lb is the load balancer gate's part; nil before it counts. It is never changed
	// once a memory has it; see traffic.
	lb *lbMemory
}

// sent is a write that left, and how many looks since found it without effect.
type sent struct {
	action Action
	at     time.Time
	looks  int
	// refused is why Rancher does not let this key do it; empty when it does, or
	// when nobody knows.
	refused string
}

// tracked is what is remembered of one container.
type tracked struct {
	id string
	// version is the launch configuration's it was made from, host where it is.
	version, host string
	// isLeaving says that it is on its way out or was never made well.
	isLeaving bool
	// seen, running and healthy are since when; healthy is without a gap.
	seen, running, healthy time.Time
	// lostAt is when its host was last seen to be lost.
	lostAt time.Time
	// wasHealthy and wasUp say that it has been: losing it is a failure.
	wasHealthy, wasUp bool
	// retries are connections the load balancer had to send elsewhere since the
	// server last served one.
	retries int64
}

// Sent records that a decision's action left, so that the next looks wait for
// its effect instead of sending it again (I10).
func (m Memory) Sent(a Action, at time.Time) Memory {
	m.sent = sent{action: a, at: at}
	return m
}

// Refused records that Rancher answered the action that was sent with: this key
// may not.
func (m Memory) Refused(reason string) Memory {
	m.sent.refused = reason
	return m
}

// gatesFromZero forgets what the gates have counted and keeps the rest.
func (m *Memory) gatesFromZero() {
	m.bakeStart, m.passedSince = time.Time{}, time.Time{}
	m.tracked, m.replaced, m.deadEnd = nil, 0, deadEnd{}
	m.probes = probeMemory{latency: m.probes.latency.baseline()}
	m.metrics = metricsFromZero(m.metrics)
	m.lb = m.lb.fromZero()
}

// ofBefore makes what the gates saw of the version that runs now the old version's,
// for a rollout that begins.
func (m *Memory) ofBefore() {
	m.probes.latency = m.probes.latency.ofBefore()
	m.metrics = metricsOfBefore(m.metrics)
}

// since returns t, or now when t has not begun, and remembers it.
func since(t *time.Time, now time.Time) time.Duration {
	if t.IsZero() {
		*t = now
	}
	return now.Sub(*t)
}

// at returns the entry of a container, or nil. Looks name containers in the same
// order nearly always, so the place of the last time is tried first.
func at(entries []tracked, hint int, id string) *tracked {
	if i := indexOf(entries, hint, id); i >= 0 {
		return &entries[i]
	}
	return nil
}

// indexOf is where a container's entry is, or -1.
func indexOf(entries []tracked, hint int, id string) int {
	if hint < len(entries) && entries[hint].id == id {
		return hint
	}
	for i := range entries {
		if entries[i].id == id {
			return i
		}
	}
	return -1
}

// own is the tracked containers, to be changed: the first time in a look they are
// copied, because the memory of the caller's input stays as it was.
func (l *look) own() []tracked {
	if !l.ownsTracked {
		l.mem.tracked, l.ownsTracked = slices.Clone(l.mem.tracked), true
	}
	return l.mem.tracked
}

// track updates the containers' part from a look: one entry per container, in the
// same order.
func (l *look) track() {
	before := l.mem.tracked
	if !l.isTracked(before) {
		l.trackAnew(before)
		l.mem.replaced += l.vanished(before)
	}
	l.mem.probes.http = l.keepProbes(l.mem.probes.http, before, l.in.Target.Gates.HTTP != nil)
	l.mem.probes.tcp = l.keepProbes(l.mem.probes.tcp, before, l.in.Target.Gates.TCP != nil)
}

// isTracked says that this look shows the containers of the one before, in its
// order, and nothing new of any of them.
func (l *look) isTracked(before []tracked) bool {
	if len(before) != len(l.svc().Containers) {
		return false
	}
	for i := range before {
		if before[i].id != l.svc().Containers[i].ID || !before[i].isStill(l.rows.of(i).kind) {
			return false
		}
	}
	return true
}

func (l *look) trackAnew(before []tracked) {
	containers := l.svc().Containers
	l.mem.tracked, l.ownsTracked = make([]tracked, len(containers)), true
	for i := range containers {
		c, t := &containers[i], &l.mem.tracked[i]
		if old := at(before, i, c.ID); old != nil {
			*t = *old
		} else {
			t.id, t.version, t.seen = c.ID, c.Version, l.in.Now
		}
		t.host = c.HostID
		t.update(l.rows.of(i).kind, l.in.Now)
	}
}

// isStill says that update would change nothing.
func (t *tracked) isStill(k kind) bool {
	return t.isLeaving == k.has(leaving) && t.running.IsZero() != k.has(running) && t.healthy.IsZero() != k.has(healthy)
}

func (t *tracked) update(k kind, now time.Time) {
	t.isLeaving = k.has(leaving)
	if !k.has(running) {
		t.running, t.healthy = time.Time{}, time.Time{}
		return
	}
	if t.running.IsZero() {
		t.running = now
	}
	if !k.has(healthy) {
		t.healthy = time.Time{}
		return
	}
	t.wasHealthy = true
	if t.healthy.IsZero() {
		t.healthy = now
	}
}

// vanished counts containers of the new version that were there before and are
// not any more, although nobody asked for fewer (A28) and no host or registry is
// to blame.
func (l *look) vanished(before []tracked) int {
	if l.mem.scale != l.svc().Scale || l.isOthersFault() {
		return 0
	}
	n := 0
	for i := range before {
		b := &before[i]
		if b.isLeaving || b.version != l.svc().Launch.Version || l.isHostLost(b.host) {
			continue
		}
		if t := at(l.mem.tracked, i, b.id); t == nil || t.isLeaving {
			n++
		}
	}
	return n
}

// isDown says that a host cannot run containers now.
func (l *look) isDown(host string) bool { return slices.Contains(l.in.Observed.Hosts.Down, host) }

// noteLostHosts remembers which containers lost their host: when it comes back they
// get as long as new ones to become healthy again.
func (l *look) noteLostHosts() {
	if len(l.in.Observed.Hosts.Down) == 0 {
		return
	}
	for i := range l.svc().Containers {
		if l.isHostLost(l.svc().Containers[i].HostID) {
			l.own()[i].lostAt = l.in.Now
		}
	}
}

// isHostLost says that a container's host went and not the version: the host is
// down, and no old container on it is well either (A22).
func (l *look) isHostLost(host string) bool {
	if !l.isDown(host) {
		return false
	}
	for i := range l.svc().Containers {
		c := &l.svc().Containers[i]
		if c.HostID == host && !l.isNew(c) && isHealthy(c, l.svc().HasHealthCheck) {
			return false
		}
	}
	return true
}

// kind is what a look makes of one container, in bits. It is worked out once: every
// part of a decision asks for it.
type kind uint8

const (
	leaving kind = 1 << iota
	running
	healthy
	// fresh is made from the launch configuration in force.
	fresh
)

func (k kind) has(bits kind) bool { return k&bits == bits }

// serving is a new container that runs.
const serving = running | fresh

func (l *look) classify() {
	s := l.svc()
	l.rows.fit(len(s.Containers))
	for i := range s.Containers {
		c := &s.Containers[i]
		k := kindOf(c, s.HasHealthCheck)
		if l.isNew(c) {
			k |= fresh
			if l.isDone(c) {
				k |= running | healthy
			}
		}
		l.rows.of(i).kind = k
		l.hasMessages = l.hasMessages || c.Message != ""
	}
}

func kindOf(c *observe.Container, checked bool) kind {
	switch {
	case isHealthy(c, checked):
		return running | healthy
	case isRunning(c):
		return running
	case isLeaving(c):
		return leaving
	}
	return 0
}

// isLeaving says that a container is on its way out or was never made well.
func isLeaving(c *observe.Container) bool {
	switch c.State {
	case "removing", "removed", "purging", "purged", "erroring", "error":
		return true
	}
	return false
}

func isRunning(c *observe.Container) bool {
	return c.State == "running" || c.State == "updating-running"
}

// isHealthy follows Rancher: a container without check is healthy when it runs,
// and updating-healthy is healthy (rancher-api 2.6).
func isHealthy(c *observe.Container, checked bool) bool {
	if !isRunning(c) {
		return false
	}
	switch c.Health {
	case "healthy", "updating-healthy":
		return true
	case "":
		// With a check a container shows a state from its start on; none at all
		// means the look came before Rancher wrote it.
		return !checked || c.LaunchName != ""
	}
	return false
}
