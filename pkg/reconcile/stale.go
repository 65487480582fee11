package reconcile

import (
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Rancher has one database, but between it and us there may be caches, and a list
// comes in pages read at different times. A picture that is older than what was
// already seen is no change of the service: nothing is concluded from it (A12).

// stale says why this look shows the service as it was before; empty when it does
// not. It compares what only grows or never returns: Rancher's counter of created
// containers, and the versions of launch configurations, each of which Rancher makes
// once.
func (l *look) stale() string {
	s := l.svc()
	if s.ID == l.mem.serviceID && s.CreateIndex > 0 && s.CreateIndex < l.mem.createIndex {
		return "it has created fewer containers than it had at the last look"
	}
	if r := l.r; r != nil {
		if r.Confirmed && l.isBefore(r) {
			return "it shows nothing of an upgrade that it has shown before"
		}
		return ""
	}
	last := l.in.History.Last
	switch {
	case last == nil || last.Version == "":
	case last.Outcome == Finished && s.Launch.Version == last.Version && isUpgradeState(s.State):
		return "it shows an upgrade that is finished"
	case last.Outcome == Finished && l.isBefore(last):
		return "it shows nothing of an upgrade that is finished"
	case last.Outcome == RolledBack && s.Launch.Version == last.Version:
		return "it shows an upgrade that was rolled back"
	}
	return ""
}

// isBefore says that the service shows the launch configuration from before a
// rollout, and no trace of the upgrade. After a rollback the trace stays
// (rancher-api 14.3).
func (l *look) isBefore(r *Rollout) bool {
	s := l.svc()
	if r.FromVersion == "" || s.Launch.Version != r.FromVersion {
		return false
	}
	return s.Upgrade == nil || s.Upgrade.To.Labels[LabelRollout] != r.ID
}

func isUpgradeState(s observe.ServiceState) bool {
	return s == observe.StateUpgrading || s == observe.StateUpgraded || s == observe.StateFinishingUpgrade
}

// outdated: what was seen in this look does not count.
func (l *look) outdated(why string) step {
	return l.blind(CodeStale, "Rancher answers with an older state of the service: "+why)
}

// noteService remembers what stale compares with.
func (l *look) noteService() {
	s := l.svc()
	if s.ID != l.mem.serviceID {
		l.mem.serviceID, l.mem.createIndex = s.ID, 0
	}
	l.mem.createIndex = max(l.mem.createIndex, s.CreateIndex)
}

// blind is a look that saw nothing: nothing is written, and it does not count
// towards a bake.
func (l *look) blind(code Code, reason string) step {
	blind := since(&l.mem.blindSince, l.in.Now)
	l.mem.bakeStart, l.mem.passedSince = time.Time{}, time.Time{}
	d := l.say(Blind, code, l.soon(), "%s", reason)
	d.Alert = blind >= l.in.Target.Rollout.NoDataLimit.Duration
	return d
}
