package reconcile

import "gitlab.gf.com.cn/clickeggs/drover/pkg/observe"

// Need looks at what is cheap: history, service and images as the caches have
// them.
func Need(in Input) observe.Wants {
	l := &look{in: in, mem: in.Memory, r: in.History.Rollout}
	h := &in.History
	switch {
	case l.r != nil:
		return observe.Wants{Fresh: true, Gates: l.r.StuckAt.IsZero(), Logs: true, Rollout: l.r.ID, Evidence: l.isShortOfEvidence(), Checks: l.checkRuns()}
	case h.Holding != nil || h.Baseline == nil || l.svc().Problem != nil:
		return observe.Wants{Fresh: h.Baseline == nil}
	}
	n := observe.Wants{}
	n.Rollout = l.judged()
	n.Gates = n.Rollout != ""
	n.Fresh, n.Logs = n.Gates, n.Gates
	n.Balancer = l.shadowEvery() > 0
	if l.svc().State != observe.StateActive || !l.isBaseline() || !l.isFollowing() {
		// The cache may still show what was before the last action: what does not
		// look like ours is asked for again before it is called somebody else's (A12).
		n.Fresh = true
		return n
	}
	if l.problemOfImages() != nil {
		return n
	}
	to, isNewer := l.wanted()
	if !isNewer {
		return n
	}
	if _, stop := l.refused(to); stop {
		return n
	}
	n.Fresh, n.Gates = true, true
	n.Repository, n.Previous = in.Observed.Image.Repository, h.Baseline.Digest
	for name, side := range h.Baseline.Sidekicks {
		if repository := in.Observed.Sidekicks[name].Repository; side.Digest != "" && repository != "" {
			if n.PreviousSidekicks == nil {
				n.PreviousSidekicks = make(map[string]observe.Pinned, len(h.Baseline.Sidekicks))
			}
			n.PreviousSidekicks[name] = observe.Pinned{Repository: repository, Digest: side.Digest}
		}
	}
	return n
}
