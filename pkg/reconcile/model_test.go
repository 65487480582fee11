package reconcile

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// disturbances are what may happen before a look of the small model: the daemon
// dies, at once or between writing down and acting; a request gets lost; a person
// acts in Rancher or through Drover; a version comes, or turns out bad.
var disturbances = []string{
	"restart", "die-next", "lose-next-request", "lose-journal",
	"person rolls-back", "person finishes", "person cancels", "person upgrades 9",
	"person aborts", "person finishes-early", "person resumes",
	"push c", "behave b crash", "behave b dumb", "behave c errors=1", "set blind=yes", "set blind=no",
	"person scales 3", "person scales 1", "person drives 9", "person upgrades-side 8", "person changes-side 8", "push-side 2", "set repull=yes", "set pause=yes", "file bake=0s", "file deadline=10s",
}

const (
	// modelLooks is how many looks a run of the small model has: enough for a whole
	// rollout, finished or taken back, and its probation.
	modelLooks = 20
	// modelDisturbances is how many things may happen in a run, whenever. More take
	// minutes: DROVER_MODEL=2.
	modelDisturbances = 1
)

// smallWorlds are the worlds of the small model.
var smallWorlds = map[string]func(*walk){
	"plain":              func(*walk) {},
	"sidekick, probed":   func(w *walk) { w.addSidekick(); w.probeBy("http") },
	"probed on its port": func(w *walk) { w.probeBy("tcp") },
}

// TestSmallModel visits every state that Decide and a Rancher of two containers can
// reach together, breadth first, while the given number of disturbances happen at any
// of the looks and in any order. The invariants are checked at each (rollout-safety
// 4.3: I1, I3 to I16), and from each last state the world has to
// come to rest or call a person (I2). It is the real Decide, not a copy.
func TestSmallModel(t *testing.T) {
	bound := modelDisturbances
	if n, err := strconv.Atoi(os.Getenv("DROVER_MODEL")); err == nil {
		bound = n
	}
	for name, furnish := range smallWorlds {
		t.Run(name, func(t *testing.T) {
			w := &walk{t: t, paper: smallWorld()}
			furnish(w)
			w.begin()
			visit(t, w, bound)
		})
	}
}

// visit is the search, breadth first.
func visit(t *testing.T, w *walk, bound int) {
	level := map[uint64]*branch{0: {walk: w}}
	states, edges := 1, 0
	for range modelLooks {
		next := map[uint64]*branch{}
		for _, b := range level {
			for _, b := range b.successors(bound) {
				edges++
				if key := b.key(); next[key] == nil || next[key].used > b.used {
					next[key] = b
				}
			}
		}
		level, states = next, states+len(next)
	}
	actions := map[string]int{}
	for _, b := range level {
		for _, a := range b.acted {
			actions[a]++
		}
		b.settle()
	}
	t.Logf("%d disturbances within %d looks: %d states, %d transitions, all %d ends at rest; actions on the way: %v", bound, modelLooks, states, edges, len(level), actions)
	for _, a := range []string{"upgrade", "finishupgrade", "rollback"} {
		if actions[a] == 0 {
			t.Errorf("the model never comes to %s: it proves nothing of it", a)
		}
	}
}

// smallWorld is two containers, short times, and a new version at the tag.
func smallWorld() *paper {
	p := newPaper()
	r := &p.target.Rollout
	r.Settle, r.Bake, r.Probation, r.Backoff = ptr(desired.Seconds(0)), desired.Seconds(4), ptr(desired.Seconds(6)), ptr(desired.Seconds(2))
	r.ProgressDeadline, r.RollbackDeadline, r.NoDataLimit = desired.Seconds(30), desired.Seconds(30), desired.Seconds(10)
	p.target.Gates.Health = &desired.HealthGate{MinHealthyTime: desired.Seconds(2), Deadline: desired.Seconds(10), MaxRestarts: ptr(0)}
	p.target.Gates.LoadBalancer.MinRequests, p.target.Gates.LoadBalancer.MaxErrorRate = 40, ptr(desired.Percent(0.10))
	p.scale, p.containers = 2, nil
	for range p.scale {
		p.create("a", "healthy")
		p.containers[len(p.containers)-1].ImageID = ""
	}
	return p
}

// begin has what runs adopted, and something new pushed.
func (p *paper) begin() {
	p.run(6*time.Second, func(Decision) {})
	p.tag, p.seenAt = "b", p.now
}

// branch is a world of the model, and how many disturbances it has had.
type branch struct {
	*walk
	used int
	// dies says that the daemon is killed between its next write and its request.
	dies bool
}

// successors are the worlds one look later.
func (b *branch) successors(bound int) []*branch {
	quiet := b.fork()
	quiet.look()
	all := []*branch{quiet}
	if b.used == bound {
		return all
	}
	for _, what := range disturbances {
		if isImpossible(b.paper, strings.Fields(what)) {
			continue
		}
		next := b.fork()
		if next.disturb(what) {
			next.used++
			next.look()
			all = append(all, next)
		}
	}
	return all
}

// disturb has something happen, and says whether that was possible.
func (b *branch) disturb(what string) bool {
	before := len(b.said)
	if what == "die-next" {
		b.dies, b.lost = true, true
		b.said = append(b.said, what)
		return true
	}
	b.run(what)
	if what == "restart" || what == "lose-journal" {
		b.before = NoAction
	}
	return len(b.said) > before
}

func (b *branch) look() {
	b.said = append(b.said, "look")
	b.step()
	if b.dies && b.last.Action != NoAction {
		// The next look of the new life is the read after the unknown result (I10).
		b.dies, b.memory, b.before = false, Memory{}, NoAction
	}
}

// fork copies what a look changes in place; histories and memories are values.
func (b *branch) fork() *branch {
	p := *b.paper
	p.containers, p.journal, p.acted = slices.Clone(p.containers), slices.Clip(p.journal), slices.Clip(p.acted)
	p.behaviour, p.served, p.gone = maps.Clone(p.behaviour), maps.Clone(p.served), maps.Clone(p.gone)
	w := *b.walk
	w.paper, w.said = &p, slices.Clip(w.said)
	return &branch{walk: &w, used: b.used, dies: b.dies}
}

var modelSeed = maphash.MakeSeed()

// key tells states apart: the world, what is remembered of it, and what the checks
// look back on. Worlds are compared at the same look, so times are as they are.
func (b *branch) key() uint64 {
	p := b.paper
	history, err := json.Marshal(p.history)
	if err != nil {
		b.fail("%v", err)
	}
	var h maphash.Hash
	h.SetSeed(modelSeed)
	_, _ = h.Write(history)
	memory, err := json.Marshal(p.memory)
	if err != nil {
		b.fail("%v", err)
	}
	fmt.Fprintf(&h, "%s %+v %+v %s %s %s %d %+v %+v %+v %v %d %d %v %v %v %v %v %v %v %s %v %t %v %+v", memory, p.side, p.formerSide, p.sideTag, p.tag, p.seenAt, p.made, p.launch, p.previous, p.containers, p.state, p.scale, p.hosts,
		p.behaviour, p.served, p.blind, p.lost, p.reload, p.stalled, b.dies, b.before, p.target.Pause, p.repulls, p.theirs, b.parts)
	if p.upgrade != nil {
		fmt.Fprintf(&h, "%+v", *p.upgrade)
	}
	return h.Sum64()
}

// settle ends what is wrong and asks where the world comes to rest, past every
// deadline.
func (b *branch) settle() {
	b.blind, b.lost, b.dies, b.target.Pause = false, false, false, false
	delete(b.behaviour, "b")
	delete(b.behaviour, "c")
	for range 100 {
		b.look()
	}
	switch d := b.last; d.Phase {
	case Idle, Probation:
	case Held, Stuck, Waiting, Preflight, Gone:
		if !d.Alert && d.Code != CodeBackoff {
			b.fail("I2: at rest in %s %s (%s) without an alert", d.Phase, d.Code, d.Reason)
		}
	default:
		b.fail("I2: not at rest: %s %s (%s), Rancher shows %s", d.Phase, d.Code, d.Reason, b.state)
	}
	if b.state == observe.StateUpgraded && !b.last.Alert {
		b.fail("I2: half upgraded and silent: %s %s", b.last.Phase, b.last.Code)
	}
}
