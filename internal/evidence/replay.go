package evidence

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// maxLine bounds one line read from a file.
const maxLine = 64 << 20

var errNoEvidence = errors.New("this is no file of evidence: it does not begin with a rollout")

// Read hands every line of a file to fn, in order. A last line that is being
// written is left out.
func Read(r io.Reader, fn func(Line) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	n, pending := 0, error(nil)
	for lines.Scan() {
		if pending != nil {
			return pending
		}
		n++
		var line Line
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			if n == 1 {
				return errNoEvidence
			}
			pending = fmt.Errorf("line %d is no line of evidence: %w", n, err)
			continue // Perhaps the last, and half written.
		}
		if a := line.Rollout; a != nil && a.Version > formatVersion {
			return fmt.Errorf("the file has version %d and this build reads up to %d: run a newer drover", a.Version, formatVersion)
		}
		if n == 1 && line.Rollout == nil {
			return errNoEvidence
		}
		if err := fn(line); err != nil {
			return err
		}
	}
	if n == 0 {
		return errNoEvidence
	}
	return lines.Err()
}

// Replayed is one look, decided again.
type Replayed struct {
	// Line is what was recorded.
	Line Line
	// Seen is the whole look, put together from the lines before.
	Seen observe.Snapshot
	// Decision is what this build decides on it.
	Decision reconcile.Decision
	// Recorded is the decision of that time, IsSame that both are the same but for
	// wording and figures.
	Recorded Decided
	IsSame   bool
	// Note says what of the recording could not be used.
	Note string
}

// Replay decides every look of a file again, with the same code that the daemon
// decides with, and hands it to fn. With a policy, gates and rollout settings are
// taken from there instead of from the file.
func Replay(r io.Reader, policy *desired.Target, fn func(Replayed) error) error {
	p := &player{policy: policy}
	return Read(r, func(line Line) error {
		switch {
		case line.Segment != nil:
			return p.begin(line.Segment)
		case line.Look != nil:
			replayed, err := p.look(line)
			if err != nil {
				return err
			}
			return fn(replayed)
		}
		return nil
	})
}

// player is the state of a replay.
type player struct {
	policy  *desired.Target
	history reconcile.History
	memory  reconcile.Memory
	target  desired.Target
	// seen is the look so far, isBegun that a segment has begun.
	seen     observe.Snapshot
	isBegun  bool
	recorded Decided
	note     string
}

func (p *player) begin(s *Segment) error {
	hasCounted := p.isBegun
	p.history, p.note = s.History, ""
	p.seen, p.isBegun = observe.Snapshot{}, true
	switch isZero := string(s.Memory) == "{}"; {
	case s.Shape != reconcile.MemoryShape && isZero:
		p.memory = reconcile.Memory{} // A process that began anew, whatever its build.
	case s.Shape != reconcile.MemoryShape && hasCounted:
		// The same process goes on, with another rollout: what was counted here stands
		// for what it had counted.
	case s.Shape != reconcile.MemoryShape:
		p.memory = reconcile.Memory{}
		p.note = "recorded by another build (" + s.Build + "): what its gates had counted before is left out"
	default:
		p.memory = reconcile.Memory{}
		if err := json.Unmarshal(s.Memory, &p.memory); err != nil {
			return fmt.Errorf("reading what the gates had counted: %w", err)
		}
	}
	return nil
}

func (p *player) look(line Line) (Replayed, error) {
	l := line.Look
	if !p.isBegun {
		return Replayed{}, errors.New("a look comes before its segment")
	}
	if l.Target != nil {
		p.target = *l.Target
	}
	if l.Decided != nil {
		p.recorded = *l.Decided
	}
	p.history = p.history.Apply(l.Before...)
	seen, err := p.snapshot(l)
	if err != nil {
		return Replayed{}, err
	}
	seen.At = line.At
	d := reconcile.Decide(reconcile.Input{Target: p.inForce(), Observed: seen, History: p.historyInForce(), Memory: p.memory, Now: line.At})
	now := decidedOf(d)
	out := Replayed{Line: line, Seen: seen, Decision: d, Recorded: p.recorded, IsSame: now.summary() == p.recorded.summary(), Note: p.note}
	p.note = ""
	p.history, p.memory = p.history.Apply(l.Facts...), d.Memory
	if l.Sent != reconcile.NoAction {
		p.memory = p.memory.Sent(l.Sent, l.SentAt)
	}
	return out, nil
}

// inForce is the policy to decide with.
func (p *player) inForce() desired.Target {
	if p.policy == nil {
		return p.target
	}
	t := p.target
	t.Rollout, t.Gates = p.policy.Rollout, p.policy.Gates
	return t
}

// historyInForce is what is remembered, with the deadlines that the other policy
// would have set.
func (p *player) historyInForce() reconcile.History {
	h := p.history
	if p.policy == nil {
		return h
	}
	if h.Rollout != nil {
		r := *h.Rollout
		r.Deadline = r.Started.Add(p.policy.Rollout.ProgressDeadline.Duration)
		h.Rollout = &r
	}
	if h.Probation != nil && p.policy.Rollout.Probation != nil {
		w := *h.Probation
		w.Until = w.Rollout.Ended.Add(p.policy.Rollout.Probation.Duration)
		h.Probation = &w
	}
	return h
}

// snapshot takes over what changed, and what happened since the look before.
func (p *player) snapshot(l *Look) (observe.Snapshot, error) {
	s := &p.seen
	s.LoadBalancer, s.Probes, s.TCP = observe.LoadBalancer{}, observe.Probes{}, observe.Probes{}
	for name, part := range l.Seen {
		field := fieldOf(s, name)
		if field == nil || string(part) == "null" {
			continue // Of a newer build; or not there any more.
		}
		if err := json.Unmarshal(part, field); err != nil {
			return *s, fmt.Errorf("putting a look together: %s: %w", name, err)
		}
	}
	return *s, nil
}

// fieldOf empties a part of a snapshot and returns where it goes. Nothing that was
// handed out before is written to.
func fieldOf(s *observe.Snapshot, part string) any {
	switch part {
	case "image":
		s.Image = observe.Image{}
		return &s.Image
	case "sidekicks":
		s.Sidekicks = nil
		return &s.Sidekicks
	case "previous":
		s.Previous = observe.Pullable{}
		return &s.Previous
	case "previousSidekicks":
		s.PreviousSidekicks = nil
		return &s.PreviousSidekicks
	case "service":
		s.Service = observe.Service{}
		return &s.Service
	case "hosts":
		s.Hosts = observe.Hosts{}
		return &s.Hosts
	case "loadBalancer":
		return &s.LoadBalancer
	case "probes":
		return &s.Probes
	case "tcp":
		return &s.TCP
	case "logs":
		s.Logs = observe.Logs{}
		return &s.Logs
	case "metrics":
		s.Metrics = nil
		return &s.Metrics
	case "checks":
		s.Checks = nil
		return &s.Checks
	case "act":
		s.Act = nil
		return &s.Act
	case "fleet":
		s.Fleet = observe.Fleet{}
		return &s.Fleet
	}
	return nil
}
