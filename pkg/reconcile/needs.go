package reconcile

// Needs says which readings a decision will ask for, so that thousands of idle
// targets cost a look into two caches and nothing else.
type Needs struct {
	// Fresh asks Rancher itself, not the informer's cache.
	Fresh bool
	// Gates takes the gates' readings.
	Gates bool
	// Repository and Previous are the image whose presence is to be confirmed: the
	// way back.
	Repository, Previous string
}

// Need looks at what is cheap: history, service and images as the caches have
// them.
func Need(in Input) Needs {
	l := &look{in: &in, mem: in.Memory, r: in.History.Rollout}
	h := &in.History
	switch {
	case l.r != nil:
		return Needs{Fresh: true, Gates: l.r.StuckAt.IsZero()}
	case h.Holding != nil || h.Baseline == nil || l.svc().Problem != nil:
		return Needs{Fresh: h.Baseline == nil}
	}
	n := Needs{}
	n.Gates = h.Probation != nil && in.Now.Before(h.Probation.Until)
	n.Fresh = n.Gates
	if l.svc().State != "active" || l.problemOfImages() != nil {
		return n
	}
	to, isNewer := l.wanted()
	if !isNewer || to.Digest == h.Baseline.Over && !l.isReleased(to) {
		return n
	}
	if _, stop := l.refused(to); stop {
		return n
	}
	return Needs{Fresh: true, Gates: true, Repository: in.Observed.Image.Repository, Previous: h.Baseline.Digest}
}
