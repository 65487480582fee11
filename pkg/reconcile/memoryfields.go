package reconcile

import "gitlab.gf.com.cn/clickeggs/drover/pkg/observe"

// The fields of Memory and of everything in it, for MarshalJSON and UnmarshalJSON.
// TestMemoryIsWrittenWhole notices one that is left out.

func (m *Memory) code(c *coder) {
	c.time("lastLook", &m.lastLook)
	text(c, "rollout", &m.rollout)
	text(c, "state", &m.state)
	c.time("stateSince", &m.stateSince)
	c.time("bakeStart", &m.bakeStart)
	c.time("unprovedSince", &m.unprovedSince)
	c.time("passedSince", &m.passedSince)
	c.time("blindSince", &m.blindSince)
	c.time("noDataSince", &m.noDataSince)
	c.time("mixedSince", &m.mixedSince)
	c.time("goneSince", &m.goneSince)
	c.time("unreadySince", &m.unreadySince)
	c.part("sent", m.sent.code)
	text(c, "serviceID", &m.serviceID)
	integer(c, "createIndex", &m.createIndex)
	integer(c, "scale", &m.scale)
	list(c, "tracked", &m.tracked, (*tracked).code)
	integer(c, "replaced", &m.replaced)
	c.part("deadEnd", m.deadEnd.code)
	c.part("probes", m.probes.code)
	list(c, "metrics", &m.metrics, (*metricMemory).code)
	optional(c, "lb", &m.lb, (*lbMemory).code)
}

func (s *sent) code(c *coder) {
	text(c, "action", &s.action)
	c.time("at", &s.at)
	integer(c, "looks", &s.looks)
	text(c, "refused", &s.refused)
}

func (t *tracked) code(c *coder) {
	text(c, "id", &t.id)
	text(c, "version", &t.version)
	text(c, "host", &t.host)
	c.flag("isLeaving", &t.isLeaving)
	c.time("seen", &t.seen)
	c.time("running", &t.running)
	c.time("healthy", &t.healthy)
	c.time("lostAt", &t.lostAt)
	c.flag("wasHealthy", &t.wasHealthy)
	c.flag("wasUp", &t.wasUp)
	integer(c, "retries", &t.retries)
}

func (d *deadEnd) code(c *coder) {
	text(c, "text", &d.text)
	c.flag("isVersions", &d.isVersions)
	c.time("since", &d.since)
	c.time("last", &d.last)
}

func (p *probeMemory) code(c *coder) {
	list(c, "http", &p.http, (*probed).code)
	list(c, "tcp", &p.tcp, (*probed).code)
	optional(c, "latency", &p.latency, (*latencies).code)
}

func (p *probed) code(c *coder) {
	c.time("at", &p.at)
	integer(c, "failures", &p.failures)
	c.flag("answered", &p.answered)
}

func (l *latencies) code(c *coder) {
	c.part("old", l.old.code)
	c.part("fresh", l.fresh.code)
	c.flag("isBaking", &l.isBaking)
	c.flag("isOver", &l.isOver)
	text(c, "slower", &l.slower)
}

func (h *histogram) code(c *coder) {
	integer(c, "n", &h.n)
	fixed(c, "counts", h.counts[:], func(n *uint32, c *coder) { integer(c, "n", n) })
}

func (m *metricMemory) code(c *coder) {
	c.time("at", &m.at)
	integer(c, "failures", &m.failures)
	c.float("fresh", &m.fresh)
	c.float("old", &m.old)
	c.flag("hasFresh", &m.hasFresh)
	c.flag("hasOld", &m.hasOld)
}

func (m *lbMemory) code(c *coder) {
	c.part("base", m.base.code)
	c.part("contest", m.contest.code)
	list(c, "neighbours", &m.neighbours, (*neighbour).code)
	c.part("pace", m.pace.code)
	optional(c, "shadow", &m.shadow, (*shadow).code)
	integer(c, "synthetic", &m.synthetic)
	integer(c, "syntheticFailures", &m.syntheticFailures)
	integer(c, "unknown", &m.unknown)
}

func (b *baseline) code(c *coder) {
	codeCounts(c, "counts", &b.counts)
	c.part("spread", b.spread.code)
	c.time("since", &b.since)
	codeCounts(c, "latest", &b.latest)
	c.time("latestSince", &b.latestSince)
	integer(c, "looks", &b.looks)
}

func (n *contest) code(c *coder) {
	codeCounts(c, "fresh", &n.fresh)
	codeCounts(c, "old", &n.old)
	fixed(c, "evidence", n.evidence.log[:], func(f *float64, c *coder) { c.float("log", f) })
	c.part("absolute", n.absolute.code)
	c.part("interval", n.interval.code)
	c.part("control", n.control.code)
	c.part("freshSpread", n.freshSpread.code)
	c.part("oldSpread", n.oldSpread.code)
	codeCounts(c, "latest", &n.latest)
	integer(c, "run", &n.run)
	integer(c, "alone", &n.alone)
	integer(c, "quiet", &n.quiet)
	integer(c, "incident", &n.incident)
	integer(c, "batch", &n.batch)
}

func codeCounts(c *coder, name string, n *observe.Counts) {
	c.part(name, func(c *coder) {
		integer(c, "requests", &n.Requests)
		integer(c, "failures", &n.Failures)
		integer(c, "clientErrors", &n.ClientErrors)
		integer(c, "retries", &n.Retries)
	})
}

func (s *sequential) code(c *coder) {
	c.float("l", &s.l)
	c.float("c", &s.c)
	c.part("fresh", s.fresh.code)
	c.part("old", s.old.code)
}

func (i *interval) code(c *coder) {
	c.part("open", i.open.code)
	integer(c, "withFailures", &i.withFailures)
}

func (a *alarm) code(c *coder) {
	c.float("sum", &a.sum)
	c.part("interval", a.interval.code)
}

func (b *block) code(c *coder) {
	integer(c, "requests", &b.requests)
	integer(c, "failures", &b.failures)
}

func (r *lastBlocks) code(c *coder) {
	c.part("open", r.open.code)
	fixed(c, "blocks", r.blocks[:], (*block).code)
	integer(c, "filled", &r.filled)
	integer(c, "next", &r.next)
}

func (s *spread) code(c *coder) {
	c.part("open", s.open.code)
	integer(c, "blocks", &s.blocks)
	integer(c, "failing", &s.failing)
	c.float("requests", &s.requests)
	c.float("failures", &s.failures)
	c.float("squares", &s.squares)
}

func (n *neighbour) code(c *coder) {
	text(c, "proxy", &n.proxy)
	c.float("requests", &n.requests)
	c.float("failures", &n.failures)
	c.part("spread", n.spread.code)
	c.part("alarm", n.alarm.code)
}

func (p *pace) code(c *coder) {
	c.float("usual", &p.usual)
	integer(c, "slow", &p.slow)
	c.float("now", &p.now)
	c.float("before", &p.before)
}

func (s *shadow) code(c *coder) {
	integer(c, "trials", &s.Trials)
	integer(c, "falseTriggers", &s.FalseTriggers)
	integer(c, "holds", &s.Holds)
	c.part("base", s.base.code)
	c.part("contest", s.contest.code)
	c.hash("of", &s.of)
	integer(c, "looks", &s.looks)
}
