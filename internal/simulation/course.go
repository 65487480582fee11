package simulation

import (
	"fmt"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/evidence"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// course follows one replay to its end.
type course struct {
	about evidence.About
	// bake is how long the gates have to hold, settle how long the digest.
	bake, settle time.Duration
	// isStartKnown says that what was recorded is enough to decide the start, begins
	// that it was decided.
	isStartKnown, begins bool
	// looks is how many were decided, last the time of the last one.
	looks int
	last  time.Duration
	// recorded is how the record ended, decided how this course does; nil before.
	recorded, decided *Ending
	// takenBack is how the record went on after its finish; nil when it stayed.
	takenBack *Ending
	// waits is since when it waits for a person; nil when it does not.
	waits *Ending
	// open is where this course stood when the record finished and it did not: what
	// follows are readings of the probation. earliest is when the bake would be over
	// then; negative while it does not hold.
	open     *Ending
	earliest time.Duration
	// delay is how much longer the digest would have had to settle.
	delay time.Duration
	notes []string
}

// look takes the next look.
func (c *course) look(p evidence.Replayed) error {
	c.looks++
	c.last = p.Line.At.Sub(c.about.Started)
	if c.looks == 1 {
		c.begin(&p)
	}
	then := c.endOf(p.Line.Look.Facts, p.Recorded.Gates)
	if c.recorded == nil {
		c.recorded = then
	}
	if then != nil && then.Fate == TakenBack {
		c.takenBack = then
	}
	now := c.endOf(p.Decision.Events, p.Decision.Gates)
	switch {
	case c.decided != nil:
		c.afterwards(now)
	case c.open != nil:
		c.onProbation(&p)
	default:
		c.goOn(&p, now)
	}
	return nil
}

// begin asks whether it would have begun when it did. A build that does not know
// what the gates had counted before cannot tell.
func (c *course) begin(p *evidence.Replayed) {
	d := &p.Decision
	c.begins = d.Action == reconcile.Upgrade
	switch {
	case p.Recorded.Action != reconcile.Upgrade || c.begins:
	case d.Code == reconcile.CodeSettling:
		c.delay = c.settle - p.Line.At.Sub(seenAt(&p.Seen))
	case c.isStartKnown:
		c.decided = c.plain(NotStarted, d)
	case p.Note != "":
		c.note("%s, so whether it would have begun is not told", p.Note)
	}
}

// seenAt is since when the newest of the digests has been seen.
func seenAt(s *observe.Snapshot) time.Time {
	at := s.Image.SeenAt
	for _, image := range s.Sidekicks {
		if image.SeenAt.After(at) {
			at = image.SeenAt
		}
	}
	return at
}

// goOn is a look while neither course has ended before.
func (c *course) goOn(p *evidence.Replayed, now *Ending) {
	d := &p.Decision
	switch {
	case now != nil:
		c.decided = now
		return
	case d.Phase != reconcile.AwaitApproval:
		c.waits = nil
	case c.waits == nil:
		c.waits = c.plain(AwaitsApproval, d)
	}
	switch {
	case c.recorded == nil:
	case c.waits != nil:
		c.decided = c.waits
	case c.recorded.Fate == Finished:
		c.open, c.earliest = c.undecided(d), -1
		if !d.BakeStart.IsZero() {
			c.earliest = d.BakeStart.Add(c.bake).Sub(c.about.Started)
		}
	default:
		c.decided = c.undecided(d)
		if !d.BakeStart.IsZero() {
			c.note("it would have been finished at +%s at the earliest", d.BakeStart.Add(c.bake).Sub(c.about.Started).Round(time.Second))
		}
	}
}

// onProbation takes what was read after the recorded finish for what this course
// would have read in its longer bake.
func (c *course) onProbation(p *evidence.Replayed) {
	for i := range p.Decision.Gates {
		if f := &p.Decision.Gates[i]; f.Verdict == reconcile.Fail {
			c.decided = &Ending{Fate: RolledBack, Seconds: c.last.Seconds(), Code: reconcile.CodeGateFailed, Reason: f.Gate + ": " + f.Text(), Gates: p.Decision.Gates}
			c.note("judged by the readings of the probation, without old containers beside")
			return
		}
	}
	if c.earliest >= 0 && c.last >= c.earliest && allPass(p.Decision.Gates) {
		c.decided = &Ending{Fate: Finished, Seconds: c.last.Seconds(), Code: reconcile.CodeBakePassed, Reason: "every gate passed when the bake was over", Gates: p.Decision.Gates}
		c.note("judged by the readings of the probation, without old containers beside")
	}
}

func allPass(gates []reconcile.Finding) bool {
	for i := range gates {
		if gates[i].Verdict != reconcile.Pass {
			return false
		}
	}
	return len(gates) > 0
}

// afterwards follows a finish at the very look of the record through its
// probation.
func (c *course) afterwards(now *Ending) {
	if now != nil && now.Fate == TakenBack && c.recorded != nil && isSame(c.decided, c.recorded) {
		c.decided = now
	}
}

// end is how this course ends.
func (c *course) end() *Ending {
	switch {
	case c.decided != nil:
		return c.decided
	case c.open != nil:
		e := *c.open
		e.Seconds = c.last.Seconds()
		if c.earliest > c.last {
			c.note("it would have been finished at +%s at the earliest", c.earliest.Round(time.Second))
		}
		return &e
	}
	return &Ending{Fate: Open, Seconds: c.last.Seconds()}
}

// recordedEnd is how the record ends.
func (c *course) recordedEnd() *Ending {
	switch {
	case c.takenBack != nil:
		return c.takenBack
	case c.recorded != nil:
		return c.recorded
	}
	return &Ending{Fate: Open, Seconds: c.last.Seconds()}
}

// contradiction says that this build decides otherwise than was recorded even
// without an edit: then a simulation says nothing about the edit.
func (c *course) contradiction() string {
	was, now := c.recordedEnd(), c.end()
	if isSame(was, now) {
		return ""
	}
	return fmt.Sprintf("this build decides it otherwise by the policy of that time already: %s at +%s, recorded was %s at +%s",
		now.Fate, now.After().Round(time.Second), was.Fate, was.After().Round(time.Second))
}

func isSame(a, b *Ending) bool { return a.Fate == b.Fate && a.Seconds == b.Seconds }

func (c *course) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// plain is an ending that no fact tells of.
func (c *course) plain(f Fate, d *reconcile.Decision) *Ending {
	return &Ending{Fate: f, Seconds: c.last.Seconds(), Code: d.Code, Reason: d.Reason, Gates: d.Gates}
}

// undecided is a course that goes on where the record ended.
func (c *course) undecided(d *reconcile.Decision) *Ending {
	e := c.plain(Undecided, d)
	e.Reason = fmt.Sprintf("it would have gone on (%s: %s), and nothing more was read", d.Phase, d.Reason)
	return e
}

// endOf is the end that a step's facts tell of; nil when they tell of none.
func (c *course) endOf(facts []reconcile.Event, gates []reconcile.Finding) *Ending {
	for i := range facts {
		e := &facts[i]
		if fate := fateOf(e); fate != "" && (c.looks > 1 || fate != TakenBack) {
			return &Ending{Fate: fate, Seconds: c.last.Seconds(), Code: e.Code, Reason: e.Reason, Gates: gates}
		}
	}
	return nil
}

// fateOf is what a fact makes of a rollout; empty when it goes on.
func fateOf(e *reconcile.Event) Fate {
	switch e.Kind {
	case reconcile.EventFinishing, reconcile.EventFinished:
		return Finished
	case reconcile.EventRollingBack, reconcile.EventRolledBack:
		return RolledBack
	case reconcile.EventStuck:
		return Stuck
	case reconcile.EventTakenOver, reconcile.EventGone:
		return TakenOver
	case reconcile.EventNotApplied:
		return NotApplied
	case reconcile.EventStarted:
		if e.Start != nil && e.Start.Kind == reconcile.Restore {
			return TakenBack
		}
	default:
	}
	return ""
}
