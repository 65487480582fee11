package reconcile

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// moves are what may happen in a seeded world, between looks: pushes, people,
// faults and their ends, losses of memory, journal and requests.
var moves = []string{
	"push b", "push c errors=5", "push d never", "push e crash", "push f errors=2", "push a",
	"behave b errors=3", "behave b ok", "behave b dumb",
	"person rolls-back", "person finishes", "person cancels", "person upgrades 9",
	"person approves", "person finishes-early", "person aborts", "person resumes", "person pauses", "person retries c",
	"person asks-to-cancel", "person takes-back",
	"restart", "lose-journal", "lose-next-request", "journal-full yes", "journal-full no",
	"set blind=yes", "set blind=no", "set lb-down=yes", "set lb-down=no", "set quiet=yes", "set quiet=no",
	"set stalled=yes", "set stalled=no", "set hosts=0", "set hosts=2", "set pause=yes", "set pause=no",
	"set hold=freeze", "set hold=", "set finish=manual", "set finish=auto", "unpullable a", "unpullable 1", "set image-ids=no",
	"push-side 2", "push-side 3", "push-side 1", "person upgrades-side 8", "person changes-side 8", "person changes-side 2", "person changes-env", "person drives 9",
	"rebuild 0 b", "rebuild 7 f", "rebuild-side 4 2", "person retries 7", "person retries 4", "file same-layers=hold", "file same-layers=allow",
	"person retries 1", "person retries 2", "file sidekick=no", "file sidekick=yes", "set repull=yes", "set repull=no", "person scales 5", "person scales 2",
	"file bake=0s", "file batch=3", "file deadline=10s", "file limit=100%", "file on-deadline=hold", "file retry=c", "file retry=d", "file retry=",
	"sleep 20s", "sleep 10m", "run 2s", "run 6s", "run 10s", "run 30s", "run 1m",
}

// TestInvariants walks through seeded worlds and checks after every look what must
// never be, whatever happened; then the faults stop, and the world must come to
// rest.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &walk{t: t, paper: newPaper()}
		if rapid.Bool().Draw(t, "sidekick") {
			w.addSidekick()
		}
		w.probeBy(rapid.SampledFrom([]string{"", "http", "tcp", "both"}).Draw(t, "probes"))
		w.run("run 4s")
		for range rapid.IntRange(1, 25).Draw(t, "moves") {
			w.run(rapid.SampledFrom(moves).Draw(t, "move"))
		}
		w.rest()
	})
}

// walk is one way through a paper world, with what is checked beside it.
type walk struct {
	*paper
	t interface {
		Helper()
		Fatalf(format string, args ...any)
	}
	// said is the script so far, for the failure's text.
	said []string
	// before is the action of the look before.
	before Action
	// failed are digests that a gate or probation condemned, since the journal was
	// lost last. The map is replaced, not changed.
	failed map[string]bool
	// begun is what rollouts began with, by id. The map is replaced, not changed.
	begun map[string]begun
	// hasLostJournal says that it was lost once.
	hasLostJournal bool
	// parts is what the guards have to know of the primary and of the sidekick, apart
	// from the history.
	parts [2]partFacts
}

// probeBy adds gates that probe: a version that fails in its counters or its health
// fails its probes alike, and nobody answers one that is told to be dumb.
func (w *walk) probeBy(gates string) {
	if gates == "" {
		return
	}
	if gates != "tcp" {
		w.target.Gates.HTTP = httpGate()
	}
	if gates != "http" {
		w.target.Gates.TCP = tcpGate()
	}
	w.isProbed = true
}

func (w *walk) run(move string) {
	words := strings.Fields(move)
	if isImpossible(w.paper, words) {
		return
	}
	w.said = append(w.said, move)
	if words[0] == "lose-journal" {
		w.failed, w.parts, w.hasLostJournal = nil, [2]partFacts{}, true
	}
	if words[0] == "run" {
		d, err := time.ParseDuration(words[1])
		if err != nil {
			w.t.Fatalf("%s: %v", move, err)
		}
		for end := w.now.Add(d); w.now.Before(end); {
			w.step()
		}
		return
	}
	if err := w.command(words, func(Decision) {}); err != nil {
		w.t.Fatalf("%s: %v", move, err)
	}
}

// isImpossible leaves out what Rancher would refuse a person.
func isImpossible(p *paper, words []string) bool {
	if words[0] == "push-side" || words[0] == "rebuild-side" || words[0] == "file" && strings.HasPrefix(words[1], "sidekick") {
		return p.sideTag == ""
	}
	if words[0] != "person" {
		return false
	}
	if strings.HasSuffix(words[1], "-side") && p.sideTag == "" {
		return true
	}
	if words[1] == "scales" { // Rancher takes it, and does nothing about it, in other states (rancher-api 14.3).
		return p.state != observe.StateActive && p.state != observe.StateUpgrading
	}
	needs := map[string]string{
		"rolls-back": "rollback", "finishes": "finishupgrade", "cancels": "cancelupgrade", "upgrades": "upgrade", "drives": "upgrade", "upgrades-side": "upgrade",
		"changes-side": "upgrade", "changes-env": "upgrade",
	}
	action, isAction := needs[words[1]]
	return isAction && !slices.Contains(actionsOf(p.state), action)
}

func (w *walk) step() {
	w.tick()
	w.reconcileScale()
	w.now = w.now.Add(2 * time.Second)
	in := Input{Target: InForce(w.target, w.history), Observed: w.snapshotOnce(), History: w.history, Memory: w.memory, Now: w.now}
	kept := slices.Clone(in.Memory.tracked)
	first, second := Decide(in), Decide(in)
	if !slices.Equal(in.Memory.tracked, kept) {
		w.fail("I14: Decide changed the memory it was given")
	}
	if first.Phase != second.Phase || first.Code != second.Code || first.Action != second.Action || !reflect.DeepEqual(first.Memory, second.Memory) {
		w.fail("I14: the same input gave %s %s and %s %s", first.Phase, first.Code, second.Phase, second.Code)
	}
	if rest, ok := w.memory.Rest(); ok && w.last.IsQuiet() {
		in.Memory = rest.Memory()
		rested := Decide(in)
		if said(&first) != said(&rested) {
			w.fail("after a rest %s was decided, and with all that was remembered %s", said(&rested), said(&first))
		}
		first = rested // As the daemon goes on.
	}
	h := w.history
	w.check(in, h, first)
	w.always(in, h, first)
	w.checkParts(in, h, first)
	w.noteFailed(h, first)
	w.take(first)
	w.before = first.Action
}

// said is what a decision says and does, without what it remembers.
func said(d *Decision) string {
	kinds := make([]EventKind, len(d.Events))
	for i := range d.Events {
		kinds[i] = d.Events[i].Kind
	}
	return fmt.Sprintln(d.Phase, d.Code, d.Reason, d.Action, d.Alert, d.RequeueAfter, kinds, verdicts(d.Gates))
}

// snapshotOnce takes a snapshot that two decisions can share: the paper world
// counts requests when it is read.
func (w *walk) snapshotOnce() observe.Snapshot { return w.snapshot() }

func (w *walk) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf(format+"\nscript:\n%s", append(args, strings.Join(w.said, "\n"))...)
}

func (w *walk) check(in Input, h History, d Decision) {
	s := in.Observed.Service
	if d.Action == NoAction {
		return
	}
	switch {
	case s.Problem != nil:
		w.fail("%s while blind", d.Action)
	case h.Holding != nil:
		w.fail("I5: %s while held: %s", d.Action, h.Holding.Reason)
	case d.Action == w.before:
		w.fail("I10: %s in two looks in a row", d.Action)
	case !slices.Contains(s.Actions, string(d.Action)):
		w.fail("%s, which Rancher does not offer in %s", d.Action, s.State)
	}
	switch d.Action {
	case Upgrade:
		w.checkUpgrade(in, h, d)
	case FinishUpgrade:
		w.checkFinish(in, h, d)
	case Rollback:
		if h.Rollout == nil {
			recovered := slices.ContainsFunc(d.Events, func(e Event) bool { return e.Kind == EventRecovered })
			if !recovered {
				w.fail("I5: rolls back what it did not start")
			}
		} else if h.Rollout.Kind == Restore {
			w.fail("I7: rolls back a rollback")
		}
	case CancelUpgrade, NoAction: // What holds of every action is checked above.
	}
}

func (w *walk) checkUpgrade(in Input, h History, d Decision) {
	letter := letterOf(d.Plan.Image)
	if letter == "" {
		w.fail("I8: upgrades to the bare tag %s", d.Plan.Image)
	}
	isReleased := isAsked(in, digest(letter))
	_, isCondemned := h.Quarantine[digest(letter)]
	w.checkSidekick(in, h, d)
	isAnyAsked := false // The primary's digest or the sidekick's.
	for _, d := range (&Rollout{To: w.to(d), From: *h.Baseline}).brought() {
		isAnyAsked = isAnyAsked || isAsked(in, d)
		if w.failed[d] && !isAsked(in, d) {
			w.fail("I3: starts %s, which failed before", short(d))
		}
	}
	switch {
	case h.Rollout != nil:
		w.fail("I4: starts while %s is open", h.Rollout.ID)
	case d.Plan.Kind == Deploy && digest(letter) != in.Observed.Image.Digest:
		w.fail("I8: deploys %s, the tag names %s", short(digest(letter)), short(in.Observed.Image.Digest))
	case d.Plan.Kind == Deploy && isCondemned && !isReleased:
		w.fail("I3: starts %s, which is quarantined", short(digest(letter)))
	case in.Observed.Fleet.NotDurable:
		w.fail("starts with a journal that cannot be written")
	case in.Target.Pause || h.PausedBy != "":
		w.fail("starts while paused")
	case in.Target.Hold != "" && d.Plan.Kind == Deploy:
		w.fail("starts on hold")
	case d.Plan.Kind == Deploy && in.Observed.Hosts.Active == 0:
		w.fail("I12: starts without a host")
	case d.Plan.Kind == Deploy && h.Baseline.Digest != "" && !in.Observed.Previous.OK:
		w.fail("I12: starts without a way back")
	case d.Plan.Kind == Deploy && w.isSidekickGone(h):
		w.fail("I12: starts without a way back of the sidekick")
	case d.Plan.Kind == Deploy && h.RollbacksSince(w.now.Add(-rollbackWindow)) >= in.Target.Rollout.RollbacksPerDay && !isReleased && !isAnyAsked:
		w.fail("I7: starts after %d rollbacks in a day", len(h.Rollbacks))
	}
	// Whatever was asked for: each move is a reason for one more at the most.
	if n := h.RollbacksSince(w.now.Add(-rollbackWindow)); n > in.Target.Rollout.RollbacksPerDay+len(w.said) {
		w.fail("I7: starts after %d rollbacks in a day, of %d moves", n, len(w.said))
	}
}

// isAsked says that a person asked for a digest, or the file does and it was not tried
// since.
func isAsked(in Input, digest string) bool {
	return slices.Contains(in.History.Released, digest) || in.Target.Retry == digest && in.History.Retried != digest
}

// noteFailed keeps what failed, apart from the quarantine.
func (w *walk) noteFailed(h History, d Decision) {
	var failed *Rollout
	for _, e := range d.Events {
		switch {
		case e.Kind == EventRolledBack && h.Rollout != nil && h.Rollout.Code == CodeGateFailed && h.Rollout.Condemned:
			failed = h.Rollout
		case e.Kind == EventStarted && e.Code == CodeProbationFailed:
			failed = &h.Probation.Rollout
		}
	}
	if failed == nil {
		return
	}
	w.failed = maps.Clone(w.failed)
	if w.failed == nil {
		w.failed = map[string]bool{}
	}
	for letter := range strings.SplitSeq("a b c d e f 9 1 2 3 8", " ") {
		to, from := failed.To, failed.From
		if digest(letter) == to.Digest && to.Digest != from.Digest || digest(letter) == to.Sidekicks["logger"].Digest && to.Sidekicks["logger"].Digest != from.Sidekicks["logger"].Digest {
			w.failed[digest(letter)] = true
		}
	}
}

// to is what a start brings.
func (w *walk) to(d Decision) Baseline {
	for _, e := range d.Events {
		if e.Kind == EventStarted && d.Plan.Kind == Deploy {
			return e.Start.To
		}
	}
	return *w.history.Baseline
}

// checkSidekick is checkUpgrade for the sidekick, where it changes.
func (w *walk) checkSidekick(in Input, h History, d Decision) {
	image, changes := d.Plan.Sidekicks["logger"]
	if !changes {
		return
	}
	letter := letterOf(image)
	if letter == "" {
		w.fail("I8: upgrades the sidekick to the bare tag %s", image)
	}
	_, isCondemned := h.Quarantine[digest(letter)]
	switch {
	case d.Plan.Kind == Pin && digest(letter) != h.Baseline.Sidekicks["logger"].Digest:
		w.fail("I8: pins the sidekick to %s, and %s runs", short(digest(letter)), short(h.Baseline.Sidekicks["logger"].Digest))
	case d.Plan.Kind == Deploy && digest(letter) != in.Observed.Sidekicks["logger"].Digest:
		w.fail("I8: deploys the sidekick %s, the tag names %s", short(digest(letter)), short(in.Observed.Sidekicks["logger"].Digest))
	case d.Plan.Kind == Deploy && isCondemned && !isAsked(in, digest(letter)):
		w.fail("I3: starts the sidekick %s, which is quarantined", short(digest(letter)))
	}
}

func (w *walk) checkFinish(in Input, h History, d Decision) {
	s := in.Observed.Service
	running, sidekicks := 0, 0
	for _, c := range s.Containers {
		switch {
		case c.State != "running":
		case w.isOld(&c) || c.LaunchName == "" && c.Health != "healthy":
			w.fail("I1: finishes with %s %s of version %s", c.Name, c.Health, c.Version)
		case c.LaunchName != "":
			sidekicks++
		default:
			running++
		}
	}
	isEarly, wanted := h.Rollout.EarlyFinishBy != "", s.Scale
	if h.Rollout.Scale > 0 { // Rancher makes more only with the finish (A28).
		wanted = min(wanted, h.Rollout.Scale)
	}
	switch {
	case running < wanted:
		w.fail("I1: finishes with %d of %d containers", running, wanted)
	case len(s.Secondary) > 0 && sidekicks < wanted:
		w.fail("I1: finishes with %d of %d sidekicks", sidekicks, wanted)
	case in.Observed.Fleet.NotDurable || in.Target.Pause || h.PausedBy != "":
		w.fail("finishes with a journal that cannot be written, or paused")
	case isEarly:
	case in.Observed.LoadBalancer.Problem != nil:
		w.fail("I6: finishes without seeing the load balancer")
	case d.BakeStart.IsZero() || w.now.Sub(d.BakeStart) < in.Target.Rollout.Bake.Duration: // That it began then, checkTimes checks.
		w.fail("I1: finishes %s into a bake of %s", w.now.Sub(d.BakeStart), in.Target.Rollout.Bake)
	case sum(d.Gates) != Pass:
		w.fail("I1: finishes on %s", verdicts(d.Gates))
	}
}

// rest ends the faults and asks where the world comes to rest.
func (w *walk) rest() {
	for _, move := range []string{
		"behave b ok", "set blind=no", "set lb-down=no", "set quiet=no", "set stalled=no", "set hosts=2", "set pause=no", "set hold=", "journal-full no",
	} {
		w.run(move)
	}
	w.lost = false
	// Past every deadline, twice: a rollout that begins in between ends as well.
	for range 2 {
		w.run("run 32m")
		w.run("sleep 2h")
		w.run("run 1m")
	}
	w.run("run 32m")
	w.checkImages()
	isAlerting := w.last.Alert
	// With onDeadline: hold; and what somebody finished in Rancher before it was healthy.
	switch isLeftToAPerson := (w.last.Code == CodeDeadline || w.last.Code == CodeMixed && w.last.Phase == Committing) && isAlerting; w.last.Phase {
	case Idle, Probation, AwaitApproval:
	case Held, Stuck, Waiting, Preflight, Gone:
		if !isAlerting && w.last.Code != CodePaused && w.last.Code != CodeBackoff {
			w.fail("I2: at rest in %s %s (%s) without an alert", w.last.Phase, w.last.Code, w.last.Reason)
		}
	default:
		if isLeftToAPerson {
			return
		}
		w.fail("not at rest: %s %s (%s), Rancher shows %s", w.last.Phase, w.last.Code, w.last.Reason, w.state)
	}
}
