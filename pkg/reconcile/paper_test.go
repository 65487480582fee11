package reconcile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// paper is a world on paper: a registry, a Rancher, a load balancer and a journal
// small enough to be read, for scripts and seeded worlds that decide whole
// rollouts without a socket.
type paper struct {
	now     time.Time
	target  desired.Target
	history History
	memory  Memory
	journal []Event
	last    Decision

	tag    string // Letter of the digest the tag names.
	seenAt time.Time
	gone   map[string]bool // Digests that cannot be pulled any more.

	state      observe.ServiceState
	launch     observe.Launch
	previous   observe.Launch
	upgrade    *observe.Upgrade
	containers []observe.Container
	scale      int
	made       int
	hosts      int

	// behaviour by digest letter: ok, errors=N (one in N), never, crash, log.
	behaviour map[string]string
	requests  int64 // Per running container and tick.
	latency   int64 // The load balancer's average in ms, of every server; -1 for none.
	served    map[string]int64

	blind, lbDown, quiet, lost, stalled, notDurable bool
	reload                                          bool
	// repulls says that a rollback makes its containers anew, so that a bare tag is
	// pulled again.
	repulls bool
	// theirs are the versions of launch configurations that Drover did not make. The
	// map is replaced, not changed.
	theirs map[string]bool
	// answer is what a probe of a container with an image's letter gets; nil is no
	// probes.
	answer func(letter string) observe.Sample
	// isProbed answers by what a version is told to do: one that is not healthy, or
	// is dumb, answers nobody.
	isProbed bool
	// measure gives the Prometheus gate's readings; nil is none.
	measure func() []observe.Metric
	// check gives the results of the checks that are asked for; nil is none.
	check func(observe.CheckRun) observe.CheckResult
	// readLogs gives the log gate's reading; nil is none.
	readLogs func() observe.Logs
	acted    []string
	// side is the sidekick's launch configuration, formerSide the one before the
	// upgrade, sideTag the letter that its tag names; empty is no sidekick.
	side, formerSide observe.Launch
	sideTag          string
	// rebuilt are the letters that have another's layers, by that one. The map is
	// replaced, not changed.
	rebuilt map[string]string
	// dead is what Docker says of every new container instead of starting it.
	dead string
}

func digest(letter string) string { return "sha256:" + strings.Repeat(letter, 64)[:64] }

func letterOf(image string) string {
	_, d, ok := strings.Cut(image, "@sha256:")
	if !ok {
		return ""
	}
	return d[:1]
}

const repository = "docker.gf.com.cn/clickeggs/parrot-rest"

func ptr[T any](v T) *T { return &v }

func newPaper() *paper {
	p := &paper{
		now: time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC), state: observe.StateActive, scale: 3, hosts: 2,
		behaviour: map[string]string{}, served: map[string]int64{}, gone: map[string]bool{}, requests: 20, latency: -1,
		tag: "a",
		target: desired.Target{
			Name: "parrot-rest", Stack: "gf-chat", Service: "parrot-rest", Image: repository + ":latest",
			Platform: "linux/amd64", FirstSight: desired.Adopt,
			Rollout: desired.Rollout{
				BatchSize: 1, Interval: desired.Seconds(5), StartFirst: ptr(false), Settle: ptr(desired.Seconds(5)),
				Look: desired.Seconds(2), Bake: desired.Seconds(20), Probation: ptr(desired.Seconds(60)),
				ProgressDeadline: desired.Seconds(1800), NoDataLimit: desired.Seconds(300), RollbackDeadline: desired.Seconds(300),
				Backoff: ptr(desired.Seconds(900)), RollbacksPerDay: 2, Finish: desired.FinishAuto,
				ApprovalTimeout: desired.Seconds(3600), OnApprovalTimeout: desired.TimeoutRollback, OnDeadline: desired.TimeoutRollback,
			},
			Gates: desired.Gates{
				Health:       &desired.HealthGate{MinHealthyTime: desired.Seconds(4), Deadline: desired.Seconds(120), MaxRestarts: ptr(0)},
				LoadBalancer: &desired.LoadBalancerGate{Name: "chat", MaxErrorRate: ptr(desired.Percent(0.01)), MinRequests: 299, ProbesCount: ptr(true)},
			},
		},
	}
	p.seenAt = p.now.Add(-time.Hour)
	p.launch = observe.Launch{Image: repository + ":latest", Version: "v0"}
	for range p.scale {
		p.create("a", "healthy")
	}
	return p
}

func (p *paper) create(letter, health string) {
	p.made++
	n := len(p.containers)%p.scale + 1
	p.containers = append(p.containers, observe.Container{
		ID: fmt.Sprintf("1i%d", p.made), Name: fmt.Sprintf("parrot-rest-%d", n), Version: p.launch.Version, State: "running",
		Health: health, Image: p.launch.Image, ImageID: "config-" + letter, IP: fmt.Sprintf("10.0.0.%d", p.made), StartCount: 1, HostID: "1h1", Unit: letter,
	})
}

const sideRepository = "docker.gf.com.cn/clickeggs/logger"

// addSidekick gives every container a sidekick, whose image the target follows too.
// A sidekick has no health check.
func (p *paper) addSidekick() {
	p.sideTag = "1" // No letter of the primary's.
	p.side = observe.Launch{Name: "logger", Image: sideRepository + ":latest", Version: "s0"}
	p.target.Containers = map[string]string{"logger": sideRepository + ":latest"}
	for range p.scale {
		p.createSidekick("1")
	}
}

// layersOf are the layers of a letter's image: its own, or those of which it is a
// rebuild.
func (p *paper) layersOf(letter string) (l observe.Layers) {
	if of := p.rebuilt[letter]; of != "" {
		letter = of
	}
	copy(l[:], letter)
	return l
}

// rebuild makes a letter one that has another's layers.
func (p *paper) rebuild(letter, of string) {
	p.rebuilt = maps.Clone(p.rebuilt)
	if p.rebuilt == nil {
		p.rebuilt = map[string]string{}
	}
	p.rebuilt[letter] = of
}

func (p *paper) createSidekick(letter string) {
	p.made++
	p.containers = append(p.containers, observe.Container{
		ID: fmt.Sprintf("1i%d", p.made), Name: fmt.Sprintf("logger-%d", p.made), LaunchName: "logger", Version: p.side.Version, State: "running",
		Image: p.side.Image, ImageID: "config-" + letter, StartCount: 1, HostID: "1h1", Unit: letter,
	})
}

// isOld says that a container is of another launch configuration than the one in
// force.
func (p *paper) isOld(c *observe.Container) bool {
	if c.LaunchName != "" {
		return c.Version != p.side.Version
	}
	return c.Version != p.launch.Version
}

// snapshot is what an observer would see.
func (p *paper) snapshot() observe.Snapshot {
	s := observe.Snapshot{At: p.now, Hosts: observe.Hosts{Active: p.hosts, Total: 2}}
	s.Fleet = observe.Fleet{Self: "drover-test", NotDurable: p.notDurable}
	s.Image = observe.Image{
		Ref: p.target.Image, Repository: repository, Digest: digest(p.tag), Manifest: digest(p.tag), Config: "config-" + p.tag, SeenAt: p.seenAt,
		Layers: p.layersOf(p.tag),
	}
	if b := p.history.Baseline; b != nil && b.Digest != "" {
		s.Previous = observe.Pullable{Digest: b.Digest, OK: !p.gone[b.Digest[7:8]]}
	}
	if b := p.history.Baseline; b != nil && b.Sidekicks["logger"].Digest != "" {
		d := b.Sidekicks["logger"].Digest
		s.PreviousSidekicks = map[string]observe.Pullable{"logger": {Digest: d, OK: !p.gone[d[7:8]]}}
	}
	s.Service = observe.Service{
		ID: "1s5", Name: "parrot-rest", Stack: "gf-chat", StackKnown: true, State: p.state, Scale: p.scale, HasHealthCheck: true,
		Launch: p.launch, Upgrade: p.upgrade, Containers: slices.Clone(p.containers), Actions: actionsOf(p.state),
	}
	if p.sideTag != "" {
		s.Service.Secondary = []observe.Launch{p.side}
		s.Sidekicks = map[string]observe.Image{"logger": {
			Ref: sideRepository + ":latest", Repository: sideRepository, Digest: digest(p.sideTag), Manifest: digest(p.sideTag), Config: "config-" + p.sideTag, SeenAt: p.seenAt,
			Layers: p.layersOf(p.sideTag),
		}}
	}
	if p.dead != "" && p.state == observe.StateUpgrading {
		s.Service.Transitioning = "error"
		s.Service.TransitioningMessage = "Failed to allocate instance [container:1i29]: Bad instance [container:1i29] in state [error]: " + p.dead
	}
	if p.blind {
		s.Service = observe.Service{Problem: &observe.Problem{Cause: observe.CauseUnreachable, Message: "connection refused"}}
	}
	s.LoadBalancer = p.readLoadBalancer()
	p.probe(&s)
	if p.measure != nil {
		s.Metrics = p.measure()
	}
	if p.check != nil && p.history.Rollout != nil {
		for _, run := range Need(Input{Target: InForce(p.target, p.history), Observed: s, History: p.history, Memory: p.memory, Now: p.now}).Checks {
			s.Checks = append(s.Checks, p.check(run))
		}
	}
	if p.readLogs != nil {
		s.Logs = p.readLogs()
	}
	return s
}

// newest and oldest are the letters of the images that run: of the launch
// configuration in force, and of another one, if any.
func (p *paper) newest() string { return p.running(true) }

func (p *paper) oldest() string { return p.running(false) }

func (p *paper) running(isNew bool) string {
	for i := range p.containers {
		c := &p.containers[i]
		if c.LaunchName == "" && c.State == "running" && (c.Version == p.launch.Version) == isNew {
			return c.Unit
		}
	}
	return ""
}

func (p *paper) answerOf(letter string) observe.Sample {
	switch p.behaviour[letter] {
	case "never", "crash", "dumb":
		return observe.Sample{Error: "connection refused"}
	}
	return observe.Sample{Status: 200, Latency: 10 * time.Millisecond}
}

// probe takes a sample of each running container for the gates there are.
func (p *paper) probe(s *observe.Snapshot) {
	answer := p.answer
	switch {
	case answer != nil:
	case p.isProbed:
		answer = p.answerOf
	default:
		return
	}
	for i := range p.containers {
		c := &p.containers[i]
		if c.State != "running" || c.LaunchName != "" {
			continue
		}
		sample := answer(c.Unit)
		sample.Container, sample.At = c.ID, p.now
		if p.target.Gates.HTTP != nil {
			s.Probes.Samples = append(s.Probes.Samples, sample)
		}
		if p.target.Gates.TCP != nil {
			sample.Status = 0
			s.TCP.Samples = append(s.TCP.Samples, sample)
		}
	}
}

func actionsOf(s observe.ServiceState) []string {
	switch s {
	case observe.StateActive:
		return []string{"upgrade", "restart"}
	case observe.StateUpgrading:
		return []string{"cancelupgrade", "rollback"}
	case observe.StateUpgraded:
		return []string{"finishupgrade", "rollback"}
	case observe.StateFinishingUpgrade:
		return []string{"cancelupgrade"}
	case observe.StateCanceledUpgrade:
		return []string{"rollback", "continueupgrade"}
	default:
		return nil
	}
}

func (p *paper) readLoadBalancer() observe.LoadBalancer {
	if p.lbDown {
		return observe.LoadBalancer{Problem: &observe.Problem{Cause: observe.CauseUnreachable, Message: "statistics page: connection refused"}}
	}
	lb := observe.LoadBalancer{Reloaded: p.reload}
	p.reload = false
	for i := range p.containers {
		c := &p.containers[i]
		if c.State != "running" || c.LaunchName != "" {
			continue
		}
		srv := observe.Server{Container: c.ID, Status: observe.ServerUp, Text: "UP", Weight: 1, Latency: p.latency, Total: observe.Counts{Requests: 500}}
		if !p.quiet {
			srv.Delta = p.serve(c)
		}
		lb.Servers = append(lb.Servers, srv)
	}
	return lb
}

// serve counts this tick's requests; one in N fails, evenly.
func (p *paper) serve(c *observe.Container) observe.Counts {
	d := observe.Counts{Requests: p.requests}
	var n int64
	if _, err := fmt.Sscanf(p.behaviour[c.Unit], "errors=%d", &n); err != nil || n == 0 {
		return d
	}
	for range p.requests {
		p.served[c.ID]++
		if p.served[c.ID]%n == 0 {
			d.Failures++
		}
	}
	return d
}

// look decides once and does what was decided.
func (p *paper) look() Decision {
	in := Input{Target: InForce(p.target, p.history), Observed: p.snapshot(), History: p.history, Memory: p.memory, Now: p.now}
	return p.take(Decide(in))
}

// take applies a decision: history, memory, and what Rancher makes of it.
func (p *paper) take(d Decision) Decision {
	for _, e := range d.Events {
		if e.Kind == EventStarted { // As the controller does, from what it read.
			e.Start.Previous = json.RawMessage(`{"imageUuid":"docker:` + p.launch.Image + `"}`)
		}
	}
	p.last, p.memory = d, d.Memory
	p.journal = append(p.journal, d.Events...)
	p.history = p.history.Apply(d.Events...)
	if d.Action != NoAction {
		p.memory = p.memory.Sent(d.Action, p.now)
		if p.lost {
			p.lost = false
		} else {
			p.act(d)
		}
	}
	return d
}

func (p *paper) act(d Decision) {
	if !slices.Contains(p.snapshot().Service.Actions, string(d.Action)) && !p.blind {
		p.acted = append(p.acted, "refused "+string(d.Action))
		return
	}
	p.acted = append(p.acted, string(d.Action))
	switch d.Action {
	case Upgrade:
		p.startUpgrade(d.Plan.Image, d.Plan.Labels, d.Plan.Sidekicks["logger"])
	case FinishUpgrade:
		p.state = observe.StateFinishingUpgrade
	case CancelUpgrade:
		p.state = observe.StateCanceledUpgrade
	case Rollback:
		p.startRollback()
	case NoAction:
	}
}

// startUpgrade takes an upgrade as Rancher does; an empty sidekick stays as it is.
func (p *paper) startUpgrade(image string, labels map[string]string, sidekick string) {
	p.made++ // Rancher makes each version once.
	p.previous, p.formerSide = p.launch, p.side
	p.launch = observe.Launch{Image: image, Version: fmt.Sprintf("v%d-%s", p.made, letterOf(image)), Labels: labels}
	p.upgrade = &observe.Upgrade{To: p.launch, From: p.previous}
	if p.sideTag != "" {
		p.upgrade.FromSecondary = []observe.Launch{p.side}
	}
	if sidekick != "" {
		p.side.Image, p.side.Version = sidekick, fmt.Sprintf("s%d", p.made)
		p.upgrade.ToSecondary = []observe.Launch{p.side}
	}
	p.state = observe.StateUpgrading
}

func (p *paper) startRollback() {
	p.launch, p.side = p.previous, p.formerSide
	p.state = observe.StateRollingBack
}

// personUpgrades is an upgrade that is not Drover's.
func (p *paper) personUpgrades(image string, labels map[string]string, sidekick string) {
	p.startUpgrade(image, labels, sidekick)
	p.theirs = maps.Clone(p.theirs)
	if p.theirs == nil {
		p.theirs = map[string]bool{}
	}
	p.theirs[p.launch.Version] = true
}

// tick lets Rancher work for a moment.
func (p *paper) tick() {
	p.fail()
	for i := range p.containers {
		p.live(&p.containers[i])
	}
	switch p.state {
	case observe.StateUpgrading:
		p.batch()
	case observe.StateFinishingUpgrade:
		p.containers = slices.DeleteFunc(p.containers, func(c observe.Container) bool { return p.isOld(&c) })
		p.state = observe.StateActive
	case observe.StateRollingBack:
		p.restore()
	default:
	}
}

// fail lets the new containers run into a dead end, as long as there is one:
// Rancher removes each and makes another, with a new id.
func (p *paper) fail() {
	for i := range p.containers {
		c := &p.containers[i]
		switch {
		case c.LaunchName != "" || c.Version != p.launch.Version || p.state != observe.StateUpgrading:
		case p.dead == "" && c.State == "error":
			c.State, c.Health, c.Message = "running", "initializing", ""
		case p.dead == "":
		case c.State == "error" && p.now.Unix()%16 < 2:
			p.made++
			c.ID, c.State, c.Message = fmt.Sprintf("1i%d", p.made), "starting", ""
		case c.State != "running" || c.Health != "healthy":
			c.State, c.Health, c.Message = "error", "", p.dead
		}
	}
}

func (p *paper) live(c *observe.Container) {
	letter := c.Unit // The deployment unit carries the image's letter here.
	switch {
	case c.State != "running" || c.LaunchName != "":
	case p.behaviour[letter] == "crash":
		c.StartCount++
		c.Health = "initializing"
	case p.behaviour[letter] == "never":
		c.Health = "initializing"
	case c.Health == "initializing":
		c.Health = "healthy"
	}
}

// batch replaces one old container; Rancher waits for the new one's health first.
func (p *paper) batch() {
	for i := range p.containers {
		c := &p.containers[i]
		if p.stalled || c.LaunchName == "" && c.Version == p.launch.Version && (c.State != "running" || c.Health != "healthy") {
			return
		}
	}
	for i := range p.containers {
		if c := &p.containers[i]; p.isOld(c) && c.State == "running" {
			c.State = "stopped"
			if c.LaunchName != "" {
				p.createSidekick(letterOf(p.side.Image))
				return
			}
			p.create(letterOf(p.launch.Image), "initializing")
			p.reload = true
			return
		}
	}
	p.state = observe.StateUpgraded
}

func (p *paper) restore() {
	p.containers = slices.DeleteFunc(p.containers, func(c observe.Container) bool { return p.isOld(&c) })
	for i := range p.containers {
		if c := &p.containers[i]; c.State != "running" {
			c.State = "running"
			if c.LaunchName == "" {
				c.Health = "healthy"
			}
			c.StartCount++
			if p.repulls {
				p.repull(c)
			}
		}
	}
	p.state = observe.StateActive
}

// repull makes a container anew: under a bare tag it runs what that names now.
func (p *paper) repull(c *observe.Container) {
	p.made++
	c.ID, c.StartCount = fmt.Sprintf("1i%d", p.made), 1
	if digestOf(c.Image) != "" {
		return
	}
	c.Unit = p.tag
	if c.LaunchName != "" {
		c.Unit = p.sideTag
	}
	c.ImageID = "config-" + c.Unit
}

// reconcileScale makes what is missing and removes what is too much, as Rancher does
// in active.
func (p *paper) reconcileScale() {
	if p.state != observe.StateActive {
		return
	}
	letter := letterOf(p.launch.Image)
	if letter == "" {
		letter = "a"
	}
	of := func(launch string) (n int) {
		for i := range p.containers {
			if p.containers[i].LaunchName == launch {
				n++
			}
		}
		return n
	}
	for of("") < p.scale {
		p.create(letter, "initializing")
	}
	side := letterOf(p.side.Image)
	if side == "" {
		side = "1"
	}
	for p.sideTag != "" && of("logger") < p.scale {
		p.createSidekick(side)
	}
	kept := map[string]int{}
	p.containers = slices.DeleteFunc(slices.Clone(p.containers), func(c observe.Container) bool {
		kept[c.LaunchName]++
		return kept[c.LaunchName] > p.scale
	})
}

// run looks every two seconds for a while.
func (p *paper) run(d time.Duration, seen func(Decision)) {
	for end := p.now.Add(d); p.now.Before(end); {
		p.tick()
		p.now = p.now.Add(2 * time.Second)
		seen(p.look())
	}
}
