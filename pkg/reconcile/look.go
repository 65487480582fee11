package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// look is one decision in the making: the input, the memory as it changes, and
// the events so far. It lives for one call of Decide.
//
// It holds the input by value and nothing keeps a pointer into it, so that it lives
// on the stack: a look at a service where nothing changes leaves next to nothing
// for the collector (TestDecideAllocatesAHandful).
type look struct {
	in Input
	// mem is the new memory.
	mem Memory
	// r is the open rollout; nil when none is.
	r *Rollout
	// ownsTracked says that mem.tracked is this look's own copy, free to be changed.
	ownsTracked bool
	// ownsTraffic says the same of mem.lb.
	ownsTraffic bool
	// rates are what the load balancer gate holds the new version to.
	rates rates
	// accused is what the statistics say after this look, once somebody has asked.
	accused    accusation
	hasAccused bool
	// rows is what the load balancer showed in this look; empty when it could not be
	// read.
	rows rowTable
	// hasMessages says that Rancher says something of a container.
	hasMessages bool
	// events are the durable facts so far.
	events   []Event
	findings []Finding
	// isGap says that looks were missed: the bake is from zero. isJump says that
	// so much was missed that a deadline is not believed in this look (C15).
	isGap, isJump bool
	// isUnready says that a fault keeps a new version from starting.
	isUnready bool
}

// step is what a state says: a decision without the memory, which is large and
// the look's until the end. Its fields are Decision's.
type step struct {
	Phase        Phase
	Code         Code
	Reason       string
	Action       Action
	Plan         *Plan
	Alert        bool
	RequeueAfter time.Duration
	// isPending says that nothing has been seen yet: a daemon that begins has not
	// read its peers. That is no news of the target, and a start writes
	// nothing for each of thousands.
	isPending bool
}

const (
	// missedLooks is how many looks may be missed before a gap is one.
	missedLooks = 3
	// jump is the gap after which no deadline expires for one look.
	jump = 5 * time.Minute
)

// begin notices what was missed since the last look. While nobody rolls out, looks are
// as far apart as those of shadow mode.
func (l *look) begin() {
	if last := l.mem.lastLook; !last.IsZero() {
		passed := l.in.Now.Sub(last)
		l.isGap = passed < 0 || passed > missedLooks*max(l.every(), l.shadowEvery())+time.Second
		l.isJump = passed < 0 || passed > jump
	}
	l.mem.lastLook = l.in.Now
}

// take brings the memory up to this look.
func (l *look) take() {
	id := l.judged()
	if l.mem.rollout != "" && id == "" && !l.isSameImage() {
		l.mem.lb = l.mem.lb.ofNewVersion() // The baseline was that of the version before.
	}
	if g := l.in.Target.Gates.LoadBalancer; g != nil && l.mem.rollout != "" && id != "" && id != l.mem.rollout && l.mem.counted().base.fails(float64(*g.MaxErrorRate)) {
		l.mem.lb = l.mem.lb.ofNewVersion() // Nor is the next version held to one that failed before that.
	}
	if l.mem.rollout != id || l.isGap {
		if l.r != nil && l.mem.rollout != id {
			l.mem.ofBefore()
		}
		l.mem.gatesFromZero()
		l.mem.rollout = id
	}
	if s := l.svc().State; l.mem.state != s {
		l.mem.state, l.mem.stateSince, l.mem.unprovedSince = s, l.in.Now, time.Time{}
	}
	l.mem.blindSince = time.Time{}
	if !isGone(l.svc().State) {
		l.mem.goneSince = time.Time{}
	}
	l.noteService()
	l.classify()
	l.noteDeadEnd()
	l.track()
	l.noteLostHosts()
	if l.mem.scale != l.svc().Scale {
		// Somebody scaled: count anew, and bake anew (A28).
		l.mem.scale, l.mem.bakeStart = l.svc().Scale, time.Time{}
	}
	l.countServers()
	l.countProbes()
	l.countMetrics()
	l.noteChecks()
}

// isSameImage says that the rollout closed last brought what ran before it.
func (l *look) isSameImage() bool {
	last := l.in.History.Last
	return last != nil && last.Kind == Pin
}

// judged is the rollout whose version the gates watch: the open one, or the one
// on probation; empty when there is none.
func (l *look) judged() string {
	switch w := l.in.History.Probation; {
	case l.r != nil:
		return l.r.ID
	case w != nil && l.in.Now.Before(w.Until):
		return w.Rollout.ID
	}
	return ""
}

// say makes the step that writes nothing.
func (l *look) say(p Phase, code Code, again time.Duration, format string, args ...any) step {
	reason := format
	if len(args) > 0 {
		reason = fmt.Sprintf(format, args...)
	}
	return step{Phase: p, Code: code, Reason: reason, RequeueAfter: again}
}

// record adds a durable fact.
func (l *look) record(e Event) {
	e.At = l.in.Now
	if e.Rollout == "" && l.r != nil {
		e.Rollout = l.r.ID
	}
	l.events = append(l.events, e)
}

// close completes a step to a decision: memory, findings, and a status line when
// something a person would see has changed.
func (l *look) close(s step) Decision {
	if !l.isUnready {
		l.mem.unreadySince = time.Time{}
	}
	st := &l.in.History.Status
	if !s.isPending && (st.Phase != s.Phase || st.Code != s.Code || st.Alert != s.Alert || !isSaid(st.Verdicts, l.findings)) {
		now := Status{Phase: s.Phase, Code: s.Code, Reason: s.Reason, Verdicts: verdicts(l.findings), Alert: s.Alert, Since: l.in.Now}
		e := Event{Kind: EventStatus, Status: &now}
		if now.Verdicts != st.Verdicts {
			e.Findings = l.findings // What the verdicts are made of.
		}
		l.record(e)
	}
	if l.shadowEvery() > 0 && (s.RequeueAfter == 0 || s.RequeueAfter > l.untilShadow()) {
		s.RequeueAfter = l.untilShadow()
	}
	return Decision{
		Phase: s.Phase, Code: s.Code, Reason: s.Reason, Action: s.Action, Plan: s.Plan, Alert: s.Alert, RequeueAfter: s.RequeueAfter,
		Gates: l.findings, Events: l.events, BakeStart: l.mem.bakeStart, Memory: l.mem,
	}
}

func (l *look) svc() *observe.Service { return &l.in.Observed.Service }

// every is the time between two looks.
func (l *look) every() time.Duration { return l.in.Target.Rollout.Look.Duration }

// isNew says that a container was made from the launch configuration in force;
// while a rollout is open that is the new version.
func (l *look) isNew(c *observe.Container) bool {
	launch := l.launchOf(c)
	return launch != nil && c.Version == launch.Version
}

func (l *look) launchOf(c *observe.Container) *observe.Launch {
	if c.LaunchName == "" {
		return &l.svc().Launch
	}
	for i := range l.svc().Secondary {
		if l.svc().Secondary[i].Name == c.LaunchName {
			return &l.svc().Secondary[i]
		}
	}
	return nil
}

// find is where the container with an id is, or -1. The hint is where it is
// likely to be: lists that name containers have them in the order of the service.
func (l *look) find(id string, hint int) int {
	all := l.svc().Containers
	if hint < len(all) && all[hint].ID == id {
		return hint
	}
	for i := range all {
		if all[i].ID == id {
			return i
		}
	}
	return -1
}

func (l *look) isNewID(id string) bool {
	i := l.find(id, 0)
	return i >= 0 && l.isNew(&l.svc().Containers[i])
}

func (l *look) nameOf(id string) string {
	if i := l.find(id, 0); i >= 0 {
		return l.svc().Containers[i].Name
	}
	return id
}

// isOurs says that the launch configuration in force is this rollout's: it carries its
// labels, and nobody has upgraded the service since and kept them.
func (l *look) isOurs() bool {
	launch := &l.svc().Launch
	switch {
	case !l.isNamed() || launch.Labels[LabelTo] != digestOf(launch.Image):
		return false
	case l.r.Confirmed && l.r.Version != "" && launch.Version != l.r.Version:
		return false // Rancher makes each version once.
	}
	for name, side := range l.r.To.Sidekicks {
		if launch := l.secondary(name); launch != nil && launch.Image != side.Image {
			return false
		}
	}
	return true
}

// isNamed says that the launch configuration carries the rollout's id.
func (l *look) isNamed() bool {
	return l.r != nil && l.svc().Launch.Labels[LabelRollout] == l.r.ID
}

// isSigned says that the launch configuration carries this Drover's name and
// names the digest it runs, whichever rollout brought it.
func (l *look) isSigned() bool {
	labels, d := l.svc().Launch.Labels, digestOf(l.svc().Launch.Image)
	return d != "" && labels[LabelOwner] == l.in.Observed.Fleet.Self && labels[LabelTo] == d && !l.isCopied()
}

// isCopied says that the labels are those of the launch configuration before, or that
// only sidekicks were upgraded since: Rancher's own form sends the labels that it has
// read, so a person's change of a sidekick or of the environment carries the name of
// a rollout that had nothing to do with it.
func (l *look) isCopied() bool {
	up, id := l.svc().Upgrade, l.svc().Launch.Labels[LabelRollout]
	if up == nil || id == "" {
		return false
	}
	if up.To.Image == "" {
		return len(up.ToSecondary) > 0
	}
	return up.To.Labels[LabelRollout] == id && up.From.Labels[LabelRollout] == id
}

// isPaused says that a person or the file stops writes other than rollbacks.
func (l *look) isPaused() bool { return l.in.Target.Pause || l.in.History.PausedBy != "" }

// can says whether Rancher offers an action now.
func (l *look) can(action string) bool { return slices.Contains(l.svc().Actions, action) }

// digestOf is the digest an image is pinned to; empty for a bare tag.
func digestOf(image string) string {
	_, digest, _ := strings.Cut(image, "@")
	return digest
}
