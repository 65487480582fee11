package reconcile

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// flapLimit is how often a tag may change in ten minutes and still be followed.
	flapLimit = 5
	// stopAllowance is the time one batch's stop and start may take when a
	// rollback's duration is predicted.
	stopAllowance = 10 * time.Second
	// attemptLimit is how often in a row the same digest's upgrade may fail to
	// reach Rancher.
	attemptLimit = 3
)

// prepare brings a newer digest to its start, and says while it waits what is known of
// its layers.
func (l *look) prepare(to Baseline) step {
	d := l.toStart(to)
	if d.Phase == Settle || d.Phase == Preflight {
		d.Reason += l.sameLayersToo(to)
	}
	return d
}

// toStart asks first the rules that need nothing but memory, then the settle time, then
// the preflight.
func (l *look) toStart(to Baseline) step {
	if d, stop := l.refused(to); stop {
		return d
	}
	if wait := l.settling(); wait > 0 {
		return l.say(Settle, CodeSettling, min(wait, l.every()), "%s must stay the same for %s more", to.news(l.in.History.Baseline), wait.Round(time.Millisecond))
	}
	if d := l.preflight(); d != nil {
		return *d
	}
	if pinned, yes := l.pinFirst(); yes && !l.isDespiteBaseline() { // A pin of what fails would not pass.
		return l.start(Pin, pinned, CodePinFirst, "pinning the running image before the first change, so that the way back is exact")
	}
	reason := "new digest " + to.news(l.in.History.Baseline)
	if digestOf(l.in.History.Baseline.Image) == "" {
		reason += "; what runs under the bare tag could not be verified, so a rollback is compared again"
	}
	return l.start(Deploy, to, CodeNewDigest, reason+l.sameLayersToo(to))
}

// settling is how long the newest of the changed digests still has to stay.
func (l *look) settling() time.Duration {
	settle := l.in.Target.Rollout.Settle.Duration
	wait := settle - l.in.Now.Sub(l.in.Observed.Image.SeenAt)
	for _, img := range l.in.Observed.Sidekicks {
		wait = max(wait, settle-l.in.Now.Sub(img.SeenAt))
	}
	return wait
}

// preflight asks the conditions of a start, cheapest first.
func (l *look) preflight() *step {
	if d := checkImage(l); d != nil {
		return d
	}
	if d := checkService(l); d != nil {
		return d
	}
	if d := checkCapacity(l); d != nil {
		return d
	}
	if d := checkWayBack(l); d != nil {
		return d
	}
	if d := checkGates(l); d != nil {
		return d
	}
	return checkBudgets(l)
}

// not is a reason not to start yet.
func (l *look) not(code Code, alert bool, format string, args ...any) *step {
	d := l.say(Preflight, code, l.every(), format, args...)
	d.Alert = alert
	if limit := l.patienceWith(code); !alert && limit > 0 {
		l.isUnready = true
		if waited, was := l.unready(code); waited >= limit || was {
			to, _ := l.wanted()
			d.Alert = true
			d.Reason += fmt.Sprintf("; %s has waited for more than %s", to.news(l.in.History.Baseline), limit)
		}
	}
	return &d
}

// patienceWith is how long a fault may keep a new version from starting before a
// person is told: what runs may heal for as long as a container may take to become
// healthy, and what cannot be read may come back. None is for what passes by itself or
// a person chose, and for what is told otherwise.
func (l *look) patienceWith(code Code) time.Duration {
	switch code {
	case CodeUnhealthyBefore:
		return l.in.Target.Gates.Health.Deadline.Duration
	case CodeBlind, CodeNoHost, CodeNotPullable, CodeBaselineBlind:
		return l.in.Target.Rollout.NoDataLimit.Duration
	default:
		return 0
	}
}

// unready is for how long faults have kept a version from starting, one after the
// other, and whether a person was told already. The journal's last line knows of both
// after a restart.
func (l *look) unready(code Code) (waited time.Duration, wasTold bool) {
	st := &l.in.History.Status
	isKnown := st.Phase == Preflight && st.Code == code
	if isKnown && l.mem.unreadySince.IsZero() {
		l.mem.unreadySince = st.Since
	}
	return since(&l.mem.unreadySince, l.in.Now), isKnown && st.Alert
}

func checkImage(l *look) *step {
	images := []observe.Image{l.in.Observed.Image}
	for _, img := range l.in.Observed.Sidekicks {
		images = append(images, img)
	}
	for _, img := range images {
		switch {
		case img.PlatformMissing:
			return l.not(CodePlatformMissing, true, "%s has nothing for %s", img.Ref, l.in.Target.Platform)
		case img.Flaps > flapLimit:
			return l.not(CodeFlapping, true, "%s changed %d times within ten minutes: is the registry replicated?", img.Ref, img.Flaps)
		}
	}
	return nil
}

func checkService(l *look) *step {
	s := l.svc()
	_, old := l.countVersions()
	switch {
	case s.ContainersProblem != nil:
		return l.not(CodeBlind, false, "the containers cannot be read: %s", s.ContainersProblem.Message)
	case s.System:
		return l.not(CodeSystemService, true, "it is a system service of Rancher's")
	case len(s.Actions) == 0:
		// The link actions are there in every state (rancher-api 14.1): a read-only member's key is offered none.
		return l.not(CodeNotUpgradable, true, "Rancher offers this key no action at all, so it may only read: use an environment API key")
	case !l.can(string(Upgrade)):
		return l.not(CodeNotUpgradable, true, "Rancher does not offer the upgrade action")
	case s.Launch.Secrets < 0:
		return l.not(CodeSecretsHidden, true, "this key cannot see Rancher secrets and an upgrade would drop them: use an environment API key")
	case s.Scale == 0 && !s.Global:
		return l.not(CodeScaleZero, false, "the scale is 0: there would be nothing to judge")
	case old > 0:
		return l.not(CodeMixed, since(&l.mem.mixedSince, l.in.Now) >= settleMixed, "%d containers of another version run", old)
	}
	l.mem.mixedSince = time.Time{}
	return nil
}

func checkCapacity(l *look) *step {
	s, hosts, r := l.svc(), l.in.Observed.Hosts, l.in.Target.Rollout
	switch {
	case hosts.Problem != nil:
		return l.not(CodeNoHost, false, "the hosts cannot be read: %s", hosts.Problem.Message)
	case hosts.Active == 0:
		// Rancher would say upgraded without one new container (rancher-api 15.1).
		return l.not(CodeNoHost, true, "no host is active")
	case *r.StartFirst && s.RetainIP:
		return l.not(CodeStartFirst, true, "startFirst cannot be used with retainIp")
	case *r.StartFirst && s.HostPorts && hosts.Active <= l.expected():
		return l.not(CodeStartFirst, true, "startFirst with published ports needs a host to spare: %d active hosts, %d containers", hosts.Active, l.expected())
	}
	return nil
}

// checkWayBack: a rollout starts only if its rollback is known to be possible
// (I12).
func checkWayBack(l *look) *step {
	b, r := l.in.History.Baseline, l.in.Target.Rollout
	batches := (l.expected() + r.BatchSize - 1) / r.BatchSize
	predicted := time.Duration(batches) * (r.Interval.Duration + stopAllowance)
	if predicted > r.RollbackDeadline.Duration {
		return l.not(CodeRollbackTooSlow, true, "a rollback would take about %s, the limit is %s: raise batchSize or rollbackDeadline", predicted, r.RollbackDeadline)
	}
	if d := l.checkPullable("", b.Digest, l.in.Observed.Previous); d != nil {
		return d
	}
	for _, name := range slices.Sorted(maps.Keys(b.Sidekicks)) {
		if d := l.checkPullable(name, b.Sidekicks[name].Digest, l.in.Observed.PreviousSidekicks[name]); d != nil {
			return d
		}
	}
	return nil
}

// checkPullable: Rancher pulls again what it makes anew in a rollback.
func (l *look) checkPullable(sidekick, digest string, p observe.Pullable) *step {
	switch {
	case digest == "":
		return nil // Unknown by the user's choice (firstSight: deploy).
	case p.Digest != digest:
		return l.not(CodeNotPullable, false, "waiting for the registry to confirm %s%s, the way back", short(digest), ofSidekick(sidekick))
	case p.Problem != nil:
		return l.not(CodeNotPullable, p.Problem.Cause != observe.CauseUnreachable, "the way back%s cannot be confirmed: %s", ofSidekick(sidekick), p.Problem.Message)
	case !p.OK:
		return l.not(CodeNotPullable, true, "%s%s, which runs now, is not in the registry any more: a rollback would be impossible", short(digest), ofSidekick(sidekick))
	}
	return nil
}

// checkGates: somebody must be able to see, and what runs now must be well.
func checkGates(l *look) *step {
	g := l.in.Target.Gates
	if !l.svc().HasHealthCheck && g.HTTP == nil && g.TCP == nil {
		return l.not(CodeNoHealthSource, true, "the service has no health check and the target no http or tcp gate: nothing would tell a dead version")
	}
	if problem := l.prove(); problem != "" {
		return l.not(CodeUnhealthyBefore, false, "what runs now is not well: %s", problem)
	}
	if d := checkLoadBalancer(l); d != nil {
		return d
	}
	if d := checkProbes(l); d != nil {
		return d
	}
	return checkMetrics(l)
}

func checkLoadBalancer(l *look) *step {
	g := l.in.Target.Gates.LoadBalancer
	if g == nil {
		return nil
	}
	lb, base := &l.in.Observed.LoadBalancer, &l.mem.counted().base
	if lb.Problem != nil {
		return l.not(CodeBaselineBlind, lb.Problem.Cause != observe.CauseUnreachable && lb.Problem.Cause != observe.CausePending, "load balancer %s cannot be read: %s", g.Name, lb.Problem.Message)
	}
	if missing := l.missingRow(); missing != "" {
		return l.not(CodeBaselineBlind, true, "load balancer %s has no server for %s", g.Name, missing)
	}
	isOnProbation := l.mem.rollout != ""
	switch {
	case base.looks == 0 && (!isOnProbation || lb.First):
		return l.not(CodeBaselineBlind, false, "learning the baseline from load balancer %s", g.Name)
	case isOnProbation:
		// What runs now is what the gate judges, not the version that the baseline is
		// of; after a restart there is none before probation is over.
	case l.isDespiteBaseline():
	case base.fails(float64(*g.MaxErrorRate)):
		return l.not(CodeBaselineBad, true, "what runs now already fails %d of %d requests, the limit is %s; if the new version is the fix: `drover upgrade --despite-baseline --digest %s`", base.latest.Failures, base.latest.Requests, g.MaxErrorRate, l.in.Observed.Image.Digest)
	}
	return nil
}

// isDespiteBaseline says that a person knows that what runs is bad, and asked for
// this digest all the same (H16).
func (l *look) isDespiteBaseline() bool {
	to, _ := l.wanted()
	return slices.ContainsFunc(l.in.History.DespiteBaseline, to.names)
}

func checkProbes(l *look) *step {
	g := &l.in.Target.Gates
	if g.HTTP != nil {
		if d := l.checkProbed(&l.in.Observed.Probes, l.mem.probes.http, "probe"); d != nil {
			return d
		}
	}
	if g.TCP != nil {
		return l.checkProbed(&l.in.Observed.TCP, l.mem.probes.tcp, "TCP probe")
	}
	return nil
}

func (l *look) checkProbed(readings *observe.Probes, list []probed, what string) *step {
	if p := readings.Problem; p != nil {
		return l.not(CodeBaselineBlind, false, "the containers cannot be probed: %s", p.Message)
	}
	isAnswering := func(p probed) bool { return p.answered && p.failures == 0 }
	if !slices.ContainsFunc(list, isAnswering) {
		said := ""
		if n := len(readings.Samples); n > 0 {
			p := prober{readings: *readings}
			said = ": " + p.last(readings.Samples[n-1].Container)
		}
		return l.not(CodeBaselineBlind, false, "no container that runs now has given a good answer to a %s%s", what, said)
	}
	return nil
}

// checkBudgets: what else goes on (I4), and whether anything can be written.
func checkBudgets(l *look) *step {
	f := l.in.Observed.Fleet
	hasLoadBalancer := l.in.Target.Gates.LoadBalancer != nil
	switch {
	case f.NotDurable:
		return l.not(CodeNotDurable, true, "the journal cannot be written")
	case l.in.Now.Before(f.ConservativeUntil):
		return l.not(CodeConservative, true, "the journal was lost or damaged: nothing starts before %s", f.ConservativeUntil.UTC().Format(time.RFC3339))
	case f.LimitRollbacks > 0 && f.RollbacksLastHour >= f.LimitRollbacks:
		return l.not(CodeBreaker, true, "%d rollbacks within the last hour over all targets: nothing starts", f.RollbacksLastHour)
	case f.LimitEnvironment > 0 && f.Open >= f.LimitEnvironment:
		return l.not(CodeBudget, false, "%d rollouts are open, the limit is %d", f.Open, f.LimitEnvironment)
	case hasLoadBalancer && f.LimitLoadBalancer > 0 && f.OpenOnLoadBalancer >= f.LimitLoadBalancer:
		return l.not(CodeBudget, false, "%d rollouts share the load balancer, the limit is %d", f.OpenOnLoadBalancer, f.LimitLoadBalancer)
	}
	return nil
}

// pinFirst: a service that runs a bare tag is pinned to the same image before its
// first change, when the running image is verified to be the adopted one.
func (l *look) pinFirst() (Baseline, bool) {
	b := *l.in.History.Baseline
	isChanged := false
	switch image := l.pinOf("", b.Part, l.in.Observed.Image.Repository); {
	case image != "":
		b.Image, isChanged = image, true
	case digestOf(b.Image) == "":
		return b, false
	}
	sidekicks := maps.Clone(b.Sidekicks)
	for name, side := range sidekicks {
		if image := l.pinOf(name, side, l.in.Observed.Sidekicks[name].Repository); image != "" {
			side.Image, isChanged = image, true
			sidekicks[name] = side
		}
	}
	b.Sidekicks = sidekicks
	return b, isChanged
}

// pinOf is the digest that a part's bare tag can be pinned to, because it is known
// to be what runs; empty when it is pinned already, or cannot be.
func (l *look) pinOf(launch string, p Part, repository string) string {
	if digestOf(p.Image) != "" || p.Digest == "" || repository == "" {
		return ""
	}
	if verified, _ := l.isRunningImage(launch, p.Config); !verified {
		return ""
	}
	return repository + "@" + p.Digest
}

// start makes the decision to upgrade. Its event is on disk before the request.
func (l *look) start(kind Kind, to Baseline, code Code, reason string) step {
	r := l.newRollout(kind, to)
	l.r = r
	l.record(Event{Kind: EventStarted, Start: r, Code: code, Reason: reason})
	l.mem.sent = sent{}
	d := l.say(Starting, code, l.every(), "%s", reason)
	d.Action, d.Plan = Upgrade, l.plan(r)
	return d
}

func (l *look) newRollout(kind Kind, to Baseline) *Rollout {
	b := *l.in.History.Baseline
	r := &Rollout{
		ID: l.rolloutID(to), ServiceID: l.svc().ID, Kind: kind, Tag: l.in.Target.Image, To: to, From: b,
		Revision: l.in.Observed.Image.Revision,
		Started:  l.in.Now, Deadline: l.in.Now.Add(l.in.Target.Rollout.ProgressDeadline.Duration),
		Policy: l.in.Target, FromVersion: l.svc().Launch.Version, Scale: l.expected(),
	}
	if kind == Deploy {
		r.SameLayers = l.allSameLayers(to)
	} else {
		r.Revision = ""
	}
	for i := range l.svc().Containers {
		r.Containers = append(r.Containers, l.svc().Containers[i].ID)
	}
	return r
}

// rolloutID is made from what the rollout is: the same decision has the same id.
func (l *look) rolloutID(to Baseline) string {
	h := fnv.New64a()
	fmt.Fprint(h, l.in.Target.Key(), l.svc().ID, to.Image, l.in.Now.UnixNano())
	return fmt.Sprintf("%s-%012x", l.in.Target.Service, h.Sum64()&0xffffffffffff)
}

func (l *look) plan(r *Rollout) *Plan {
	p := &Plan{
		Rollout: r.ID, Kind: r.Kind, ExpectVersion: l.svc().Launch.Version, Image: r.To.Image,
		BatchSize: l.in.Target.Rollout.BatchSize, Interval: l.in.Target.Rollout.Interval.Duration,
		StartFirst: *l.in.Target.Rollout.StartFirst,
		Labels: map[string]string{
			LabelRollout: r.ID, LabelImage: r.Tag, LabelFrom: r.From.Digest, LabelTo: r.To.Digest,
			LabelStarted: r.Started.UTC().Format(time.RFC3339), LabelDeadline: r.Deadline.UTC().Format(time.RFC3339),
			LabelOwner: l.in.Observed.Fleet.Self, LabelPolicy: l.in.Target.PolicyHash(), LabelKind: string(r.Kind),
		},
	}
	if r.Revision != "" {
		p.Labels[LabelRevision] = r.Revision
	}
	for name, side := range r.To.Sidekicks {
		if r.From.Sidekicks[name].Image == side.Image {
			continue
		}
		if p.Sidekicks == nil {
			p.Sidekicks = map[string]string{}
		}
		p.Sidekicks[name] = side.Image
	}
	return p
}

// shortImage is a pinned image as people read it.
func shortImage(image string) string {
	repository, digest, isPinned := strings.Cut(image, "@")
	if !isPinned {
		return image
	}
	return repository + "@" + short(digest)
}

// short is a digest as people read it: its first twelve characters.
func short(digest string) string {
	if len(digest) > 19 {
		return digest[:19]
	}
	return digest
}
