package reconcile

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// What must hold of the primary and of the sidekick alike, looked at apart from each
// other and from the history: neither a digest that ran before nor one that was
// passed over comes back unasked, and a person's change stays a person's, also when
// only a sidekick was changed and the labels were kept (R14, I5).

// sidekickMoves are those that sidekicks are about, with time enough for a whole
// rollout between them.
var sidekickMoves = []string{
	"push a", "push b", "push c never", "push-side 1", "push-side 2", "push-side 3", "run 3m", "run 3m", "run 3m", "run 20s",
	"person changes-side 1", "person changes-side 8", "person upgrades-side 8", "person changes-env", "person finishes", "person rolls-back", "person resumes",
	"person retries 1", "person retries 2", "person retries a", "person takes-back", "file sidekick=no", "file sidekick=yes",
	"set repull=yes", "set image-ids=no", "unpullable 1", "behave a crash", "behave a ok", "behave b crash", "behave b ok", "restart", "lose-journal", "sleep 20m",
}

// TestSidekickInvariants walks through seeded worlds with a sidekick: the walks of
// TestInvariants seldom have a version finished, moved back and changed by hand in
// one.
func TestSidekickInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &walk{t: t, paper: newPaper()}
		w.addSidekick()
		if rapid.Bool().Draw(t, "unknown images") {
			w.run("set image-ids=no") // Nothing is pinned before the first change.
		}
		w.run("run 4s")
		for range rapid.IntRange(4, 16).Draw(t, "moves") {
			w.run(rapid.SampledFrom(sidekickMoves).Draw(t, "move"))
		}
		w.run("behave a ok")
		w.run("behave b ok")
		w.run("run 4m")
		w.checkImages()
	})
}

// partFacts is what happened to one part of the service.
type partFacts struct {
	// ran are the digests that a rollout replaced. The map is replaced, not changed.
	ran map[string]bool
	// over is what the tag named when what a person had pinned was adopted.
	over string
}

// sidekickOf names the parts: the primary first.
var sidekickOf = [2]string{"", "logger"}

func tagOf(s observe.Snapshot, sidekick string) string {
	if sidekick == "" {
		return s.Image.Digest
	}
	return s.Sidekicks[sidekick].Digest
}

func (w *walk) checkParts(in Input, h History, d Decision) {
	isTheirs := w.theirs[in.Observed.Service.Launch.Version]
	if isTheirs && (d.Action == FinishUpgrade || d.Action == Rollback || d.Action == CancelUpgrade) {
		w.fail("I5: %s of a person's upgrade: %s", d.Action, d.Reason)
	}
	for _, e := range d.Events {
		switch {
		case e.Kind == EventRecovered && isTheirs:
			w.fail("I5: takes a person's upgrade for its own rollout %s", e.Start.ID)
		case e.Kind == EventStarted:
			w.checkStartedParts(in, h, e.Start)
		case e.Kind == EventFinished && h.Rollout != nil:
			w.noteReplaced(h.Rollout)
		case e.Kind == EventAdopted:
			w.noteAdopted(in, h, *e.Baseline, isTheirs)
		}
	}
}

func (w *walk) checkStartedParts(in Input, h History, r *Rollout) {
	w.checkLayers(in, h, r)
	s := in.Observed.Service
	for i, sidekick := range sidekickOf {
		from, to, runs := partFor(h.Baseline, sidekick), partFor(&r.To, sidekick), s.Launch.Image
		if sidekick != "" && len(s.Secondary) > 0 {
			runs = s.Secondary[0].Image
		}
		isReleased := slices.Contains(h.Released, to.Digest)
		switch {
		case from.Image != "" && from.Image != runs:
			w.fail("I5: starts %s over %s, which is not what was known to run, %s", r.Kind, runs, from.Image)
		case r.Kind != Deploy || to.Digest == from.Digest || to.Digest == "":
		case w.parts[i].ran[to.Digest] && !isReleased:
			w.fail("R14: the tag of %q moved back to %s, which is brought unasked", sidekick, short(to.Digest))
		case w.parts[i].over == to.Digest && !isReleased:
			w.fail("I5: brings %s of %q, which a person had gone back from", short(to.Digest), sidekick)
		}
	}
}

// checkLayers: what has the layers of a quarantined digest starts only where the policy
// allows it or a person asked for it, and says so, unless the layers run already. What
// was quarantined is known by its letter, apart from what the history keeps of layers.
// After a journal was lost it may not be known.
func (w *walk) checkLayers(in Input, h History, r *Rollout) {
	if r.Kind != Deploy || w.hasLostJournal {
		return
	}
	for _, sidekick := range sidekickOf {
		from, to := partFor(h.Baseline, sidekick), partFor(&r.To, sidekick)
		for d := range h.Quarantine {
			bad := w.layersOf(letterOf("@" + d))
			if to.Digest == "" || to.Digest == from.Digest || d == to.Digest || bad != w.layersOf(letterOf("@"+to.Digest)) || bad == from.Layers {
				continue
			}
			switch {
			case len(r.SameLayers) == 0:
				w.fail("R16: %s of %q has the layers of quarantined %s, and the rollout does not say so", short(to.Digest), sidekick, short(d))
			case in.Target.Rollout.OnSameLayers == desired.SameLayersHold && !slices.Contains(h.Released, to.Digest):
				w.fail("R16: %s of %q has the layers of quarantined %s, and is brought unasked", short(to.Digest), sidekick, short(d))
			}
		}
	}
}

// isSidekickGone says that what is known to run of the followed sidekick cannot be
// pulled any more.
func (w *walk) isSidekickGone(h History) bool {
	d := h.Baseline.Sidekicks["logger"].Digest
	return d != "" && len(w.target.Containers) > 0 && w.gone[d[7:8]]
}

// noteReplaced keeps what a finished rollout replaced.
func (w *walk) noteReplaced(r *Rollout) {
	for i, sidekick := range sidekickOf {
		from, to := partFor(&r.From, sidekick), partFor(&r.To, sidekick)
		if from.Digest == "" || from.Digest == to.Digest || to.Digest == "" {
			continue
		}
		ran := maps.Clone(w.parts[i].ran)
		if ran == nil {
			ran = map[string]bool{}
		}
		ran[from.Digest] = true
		w.parts[i] = partFacts{ran: ran}
	}
}

// noteAdopted keeps what the tags named when what a person had pinned was adopted: at
// first sight everything, later what the target has begun to follow.
func (w *walk) noteAdopted(in Input, h History, b Baseline, isTheirs bool) {
	for i, sidekick := range sidekickOf {
		part, tag := partFor(&b, sidekick), tagOf(in.Observed, sidekick)
		if part.Image == "" || h.Baseline != nil && partFor(h.Baseline, sidekick).Image == part.Image {
			continue
		}
		w.parts[i].over = ""
		if d := digestOf(part.Image); isTheirs && d != "" && d != tag && in.Target.FirstSight != "deploy" {
			w.parts[i].over = tag
		}
	}
}

// checkImages: at rest after a rollback nobody runs another image under a bare tag
// than ran before it, unless a person is told (ruling 4).
func (w *walk) checkImages() {
	b, last := w.history.Baseline, w.history.Last
	if b == nil || last == nil || last.Outcome != RolledBack || !b.At.Before(last.Started) || w.last.Phase != Idle || w.last.Alert {
		return
	}
	for i := range w.containers {
		c := &w.containers[i]
		part := partFor(b, c.LaunchName)
		if c.State == "running" && digestOf(part.Image) == "" && part.Config != "" && c.ImageID != "" && c.ImageID != part.Config {
			w.fail("at rest, and %s runs %s under the tag of %s: %s", c.Name, c.ImageID, part.Config, w.last.Reason)
		}
	}
}
