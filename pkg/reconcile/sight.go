package reconcile

// Sight is whether a gate would see anything if a rollout began now.
type Sight struct {
	// Gate is as in a Finding.
	Gate string
	// Code and Reason say why it would not, or why no rollout would begin; they are
	// empty when it sees.
	Code   Code
	Reason string
}

// SightOf looks at a running service with the gates that read by themselves, as the
// preflight of a rollout would: probes and Prometheus. It judges nothing yet.
func SightOf(in Input) []Sight {
	in.History, in.Memory = History{}, Memory{}
	l := &look{in: in}
	l.begin()
	l.take()
	var sights []Sight
	see := func(gate string, d *step) {
		s := Sight{Gate: gate}
		if d != nil {
			s.Code, s.Reason = d.Code, d.Reason
		}
		sights = append(sights, s)
	}
	g := &in.Target.Gates
	if g.HTTP != nil {
		see("http", l.checkProbed(&in.Observed.Probes, l.mem.probes.http, "probe"))
	}
	if g.TCP != nil {
		see("tcp", l.checkProbed(&in.Observed.TCP, l.mem.probes.tcp, "TCP probe"))
	}
	for i := range g.Prometheus {
		see("prometheus "+g.Prometheus[i].Name, l.checkMetric(i))
	}
	return sights
}
