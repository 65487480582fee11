package evidence

import (
	"encoding/json"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// formatVersion is what this build writes and the newest it reads.
const formatVersion = 1

// Line is one line of a file: exactly one of its parts is there.
type Line struct {
	At time.Time `json:"at"`
	// Rollout is the first line.
	Rollout *About `json:"rollout,omitempty"`
	// Segment is where a process begins to record.
	Segment *Segment `json:"segment,omitempty"`
	// Look is one look.
	Look *Look `json:"look,omitempty"`
	// Container is one that died, or is about to be removed.
	Container *Container `json:"container,omitempty"`
	// End is the rollout's.
	End *End `json:"end,omitempty"`
	// Cut says that the file is full: no further looks are kept.
	Cut string `json:"cut,omitempty"`
}

// About is which rollout a file is about.
type About struct {
	Version  int            `json:"version"`
	ID       string         `json:"id"`
	Kind     reconcile.Kind `json:"kind"`
	Target   string         `json:"target"`
	Tag      string         `json:"tag,omitempty"`
	From     string         `json:"from,omitempty"`
	To       string         `json:"to"`
	Image    string         `json:"image,omitempty"`
	Revision string         `json:"revision,omitempty"`
	Started  time.Time      `json:"started"`
	Deadline time.Time      `json:"deadline"`
}

// Segment is what a process went on from.
type Segment struct {
	// Build is the program's version, Shape that of the gates' memory in it.
	Build string `json:"build,omitempty"`
	Shape string `json:"shape"`
	// History and Memory are as they were before the next look. Launch
	// configurations are withheld.
	History reconcile.History `json:"history"`
	Memory  json.RawMessage   `json:"memory"`
}

// Look is what one look saw, and what came of it.
type Look struct {
	// Target is the policy in force, when it is another than before.
	Target *desired.Target `json:"target,omitempty"`
	// Seen are the parts of the snapshot. One that tells a state is left out when
	// it is as before; one that tells what happened since the last look, when there
	// is nothing.
	Seen map[string]json.RawMessage `json:"seen,omitempty"`
	// Before are facts that others wrote down since the look before: commands.
	Before []reconcile.Event `json:"before,omitempty"`
	// Decided is the decision, when it is another than before.
	Decided *Decided `json:"decided,omitempty"`
	// Facts are what was written down of the decision.
	Facts []reconcile.Event `json:"facts,omitempty"`
	// Sent is the action that left, and when.
	Sent   reconcile.Action `json:"sent,omitempty"`
	SentAt time.Time        `json:"sentAt,omitzero"`
	// Error is what went wrong with writing down or doing.
	Error string `json:"error,omitempty"`
}

// Decided is a decision in short, with the figures of every gate.
type Decided struct {
	Phase  reconcile.Phase     `json:"phase"`
	Code   reconcile.Code      `json:"code"`
	Reason string              `json:"reason"`
	Action reconcile.Action    `json:"action,omitempty"`
	Alert  bool                `json:"alert,omitempty"`
	Gates  []reconcile.Finding `json:"gates,omitempty"`
}

// Container is a container of the new version as it was last seen, with the last
// it wrote.
type Container struct {
	// Why it is kept: it died, was restarted, vanished, or is rolled back.
	Why string `json:"why"`
	observe.Container
	Lines []LogLine `json:"lines,omitempty"`
	// Error says why there are no lines, or not all.
	Error string `json:"error,omitempty"`
}

// LogLine is one line of a container.
type LogLine struct {
	At     time.Time `json:"at,omitzero"`
	Output string    `json:"output,omitempty"`
	Text   string    `json:"text"`
}

// End is how a rollout ended.
type End struct {
	Outcome reconcile.Outcome `json:"outcome"`
	Reason  string            `json:"reason,omitempty"`
}

// isState says of a part of a snapshot that it tells how things are, and not what
// happened since the last look.
func isState(part string) bool {
	switch part {
	case "loadBalancer", "probes", "tcp":
		return false
	}
	return true
}

// partsOf takes a snapshot apart. What only says when something was read is left
// out: it would make every look news, and nothing is decided by it.
func partsOf(s observe.Snapshot) (map[string]json.RawMessage, error) {
	s.Service.ReadAt, s.Image.CheckedAt = time.Time{}, time.Time{}
	if len(s.Sidekicks) > 0 {
		images := make(map[string]observe.Image, len(s.Sidekicks))
		for name, img := range s.Sidekicks {
			img.CheckedAt = time.Time{}
			images[name] = img
		}
		s.Sidekicks = images
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var parts map[string]json.RawMessage
	err = json.Unmarshal(data, &parts)
	delete(parts, "at")
	return parts, err
}

// withheld stands where a launch configuration was: it has one, and it is not
// here, because its environment may hold secrets.
var withheld = json.RawMessage(`{"withheld":"a launch configuration may hold secrets"}`)

func withhold(r *reconcile.Rollout) *reconcile.Rollout {
	if r == nil {
		return nil
	}
	c := *r
	c.Previous, c.PreviousSecondary = withoutContents(c.Previous), withoutContents(c.PreviousSecondary)
	return &c
}

// withoutContents says of a launch configuration only that there is one.
func withoutContents(launch json.RawMessage) json.RawMessage {
	if len(launch) == 0 {
		return launch
	}
	return withheld
}

func withholdAll(h reconcile.History) reconcile.History {
	h.Rollout, h.Last = withhold(h.Rollout), withhold(h.Last)
	if h.Probation != nil {
		w := *h.Probation
		w.Rollout = *withhold(&w.Rollout)
		h.Probation = &w
	}
	h.Restoring = withholdBack(h.Restoring)
	return h
}

func withholdBack(back *reconcile.Restoring) *reconcile.Restoring {
	if back == nil {
		return nil
	}
	c := *back
	c.Base, c.BaseSecondary = withoutContents(c.Base), withoutContents(c.BaseSecondary)
	return &c
}

func withholdIn(events []reconcile.Event) []reconcile.Event {
	kept := make([]reconcile.Event, len(events))
	for i, e := range events {
		e.Start, e.Restoring = withhold(e.Start), withholdBack(e.Restoring)
		kept[i] = e
	}
	return kept
}
