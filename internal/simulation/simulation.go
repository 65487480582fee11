package simulation

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/evidence"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Fate is what becomes of a rollout.
type Fate string

const (
	// Finished was decided to stay.
	Finished Fate = "finished"
	// RolledBack was decided to be taken back.
	RolledBack Fate = "rolled-back"
	// TakenBack was finished, and failed on probation.
	TakenBack Fate = "taken-back"
	// AwaitsApproval passed, and waits for a person.
	AwaitsApproval Fate = "awaits-approval"
	// NotStarted had a reason not to begin when it began.
	NotStarted Fate = "not-started"
	// Undecided is neither where the readings end.
	Undecided Fate = "undecided"
	// Stuck was given to a person.
	Stuck Fate = "stuck"
	// TakenOver was changed by somebody else.
	TakenOver Fate = "taken-over"
	// NotApplied never reached Rancher.
	NotApplied Fate = "not-applied"
	// Open is not over.
	Open Fate = "open"
)

// Ending is how a rollout ends, and when that was decided.
type Ending struct {
	Fate Fate `json:"fate"`
	// Seconds is when, counted from the rollout's start.
	Seconds float64 `json:"seconds"`
	// Code is the rule that decided, Reason the same with its figures.
	Code   reconcile.Code `json:"code,omitempty"`
	Reason string         `json:"reason,omitempty"`
	// Gates are the verdicts it was decided on.
	Gates []reconcile.Finding `json:"gates,omitempty"`
}

// After is when the end was decided, counted from the rollout's start.
func (e *Ending) After() time.Duration { return time.Duration(e.Seconds * float64(time.Second)) }

// Result is one rollout, as it was and as it would have been.
type Result struct {
	// Changed are the keys that the file has otherwise than the rollout was decided by.
	Changed []Change `json:"changed,omitempty"`
	// Was is how it ended, Would how it would have; Would is nil when Unknown says
	// why that cannot be told.
	Was     *Ending `json:"was,omitempty"`
	Would   *Ending `json:"would,omitempty"`
	Unknown string  `json:"unknown,omitempty"`
	// Limits name the changed keys that are not simulated, or not wholly; Notes what
	// else limits the answer for this rollout.
	Limits []string `json:"limits,omitempty"`
	Notes  []string `json:"notes,omitempty"`
	// Differs says that it would have ended otherwise, or at another look.
	Differs bool `json:"differs"`
}

// Recording is a rollout's evidence.
type Recording struct {
	file, back []byte
	about      evidence.About
	// was is what it was decided by, own how this build decides it by that.
	was   *desired.Target
	own   *course
	looks int
	notes []string
}

// Read reads a rollout's evidence. back is that of the way back that was taken on
// its probation, where there is one: its first look is the probation's last.
func Read(file, back []byte) (*Recording, error) {
	r := &Recording{file: file, back: back}
	if err := evidence.Read(bytes.NewReader(file), r.line); err != nil {
		return nil, err
	}
	r.own = &course{about: r.about}
	if err := r.follow(r.own, nil); err != nil {
		return nil, err
	}
	if r.was == nil {
		return nil, errors.New("no look of this rollout was recorded")
	}
	return r, nil
}

// line is the first pass: what the file is about, and what it was decided by.
func (r *Recording) line(line evidence.Line) error {
	switch {
	case line.Rollout != nil:
		r.about = *line.Rollout
	case line.Cut != "":
		r.notes = append(r.notes, fmt.Sprintf("the evidence is not whole from +%s on: %s", line.At.Sub(r.about.Started).Round(time.Second), line.Cut))
	case line.Look != nil:
		r.looks++
		if r.was == nil {
			r.was = line.Look.Target
		}
	}
	return nil
}

// By decides the rollout by an edited target.
func (r *Recording) By(edited desired.Target) (Result, error) {
	result := Result{Was: r.own.recordedEnd(), Notes: slices.Concat(r.notes, r.own.notes)}
	if why := r.own.contradiction(); why != "" {
		result.Unknown = why
		return result, nil
	}
	result.Changed = changes(r.was, &edited)
	result.Limits = limits(r.was, &edited, result.Changed)
	policy, unread := adapt(r.was, &edited, result.Changed)
	would := &course{about: r.about, bake: policy.Rollout.Bake.Duration, isStartKnown: r.own.begins}
	if policy.Rollout.Settle != nil {
		would.settle = policy.Rollout.Settle.Duration
	}
	if err := r.follow(would, &policy); err != nil {
		return result, err
	}
	result.conclude(would, unread)
	return result, nil
}

// errEnough ends a replay whose rest is of another rollout.
var errEnough = errors.New("enough")

// follow decides a rollout's evidence, and the first look of the way back, which is
// the next that the same process took.
func (r *Recording) follow(c *course, policy *desired.Target) error {
	err := evidence.Replay(io.MultiReader(bytes.NewReader(r.file), bytes.NewReader(r.back)), policy, func(p evidence.Replayed) error {
		if c.looks > r.looks {
			return errEnough
		}
		return c.look(p)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (r *Result) note(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(r.Notes, n) {
		r.Notes = append(r.Notes, n)
	}
}

// conclude compares the two courses.
func (r *Result) conclude(would *course, unread []Change) {
	end := would.end()
	if would.delay > 0 {
		r.note("it would have begun %s later, when the digest had settled; its readings are taken as they came", would.delay.Round(time.Second))
	}
	if len(unread) > 0 && end.Fate != RolledBack && end.Fate != NotStarted {
		r.Unknown = fmt.Sprintf("%s was not read; by all else: %s at +%s", pathsOf(unread), end.Fate, end.After().Round(time.Second))
		return
	}
	if len(unread) > 0 {
		r.note("%s was not read: what it would have failed may have been earlier", pathsOf(unread))
	}
	r.Would = end
	r.Notes = append(r.Notes, would.notes...)
	r.Differs = end.Fate != r.Was.Fate || end.Seconds != r.Was.Seconds || would.delay > 0
}

// limits names the keys whose effect is Rancher's, or comes before the first look
// or after the last.
func limits(was, is *desired.Target, all []Change) []string {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	for _, c := range all {
		switch {
		case c.Path == "rollout.settle":
			if was.Rollout.Settle != nil && is.Rollout.Settle != nil && is.Rollout.Settle.Duration < was.Rollout.Settle.Duration {
				say("a shorter rollout.settle begins sooner, which is not simulated")
			}
		case c.kind == start:
			say("%s changes how Rancher replaces containers, which is not simulated", c.Path)
		case c.kind == pace:
			say("%s changes how often is looked, which is not simulated", c.Path)
		case c.kind == outside:
			say("%s matters between rollouts, which is not simulated", c.Path)
		}
	}
	return said
}

func pathsOf(all []Change) string {
	var paths []string
	for _, c := range all {
		paths = append(paths, c.Path)
	}
	return strings.Join(paths, ", ")
}
