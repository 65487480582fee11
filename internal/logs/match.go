package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// maxExample bounds the example kept of a match.
	maxExample = 512
	// grace is how long a stream may be cut before it counts as blind: a resumed
	// one has lost nothing.
	grace = 15 * time.Second
)

// watch is what one key asked for.
type watch struct {
	// rollout and source, the patterns as written, are what was asked for; patterns
	// are the same compiled.
	rollout  string
	source   []string
	patterns []*regexp.Regexp
	// novelty compares the versions' errors; nil does not.
	novelty *novelty
	// hasOld says that a container of the old version has been followed.
	hasOld bool
	// asked is when it was last asked for.
	asked time.Time
	// counters are by container id; that of a removed container stays.
	counters map[string]*counter
}

// counter counts one container's lines.
type counter struct {
	id       string
	patterns []*regexp.Regexp
	novelty  *novelty
	// isOld says that the container is of the old version: its lines are learned
	// from, and not counted.
	isOld   bool
	scanner scanner
	stream  *stream
	cancel  context.CancelFunc
	// state and starts are what was last heard of the container.
	state  string
	starts int

	mu    sync.Mutex
	last  lastLines
	lines int64
	hits  []hit
}

// hit is what one pattern matched.
type hit struct {
	count   int64
	example string
}

// take counts a line. It runs on the websocket's reader: RE2 needs time linear
// in the line, and the line is bounded.
func (c *counter) take(r Record) {
	if c.isOld {
		c.novelty.learn(c.scanner.template(r.Text))
		return
	}
	if c.novelty != nil {
		if t := c.scanner.template(r.Text); t != nil {
			c.novelty.see(t, r.Text, c.id)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines++
	c.last.add(r)
	for i, re := range c.patterns {
		if !re.Match(r.Text) {
			continue
		}
		h := &c.hits[i]
		if h.count == 0 {
			h.example = example(r.Text)
		}
		h.count++
	}
}

// example is the beginning of a line, cut between characters.
func example(text []byte) string {
	if len(text) <= maxExample {
		return string(text)
	}
	n := maxExample
	for n > 0 && text[n]&0xc0 == 0x80 {
		n--
	}
	return string(text[:n])
}

// read sums the watch up. It has a problem when a container that is listed
// cannot be read; what others wrote is told nevertheless.
func (t *watch) read(containers []observe.Container) observe.Logs {
	var out observe.Logs
	for id, c := range t.counters {
		if !c.isOld {
			out.Lines += c.addTo(&out, id)
		}
	}
	slices.SortFunc(out.Matches, func(a, b observe.LogMatch) int {
		return cmp.Or(cmp.Compare(a.Pattern, b.Pattern), cmp.Compare(a.Container, b.Container))
	})
	out.Problem = t.firstProblem(containers)
	return out
}

// firstProblem is that of the first listed container that cannot be read.
func (t *watch) firstProblem(containers []observe.Container) *observe.Problem {
	for i := range containers {
		if p := t.problem(containers[i].ID); p != nil {
			return p
		}
	}
	return nil
}

// compare adds to a reading what only the new version writes; nothing as long as it
// is not known what the old one does.
func (t *watch) compare(out observe.Logs, old []observe.Container) observe.Logs {
	out.OldProblem = t.firstProblem(old)
	if !t.hasOld {
		out.OldProblem = &observe.Problem{Cause: observe.CausePending, Message: "no container of the old version is left to learn from"}
	}
	if out.OldProblem == nil {
		t.novelty.tell(&out)
	}
	return out
}

// addTo appends the container's matches and returns its lines.
func (c *counter) addTo(out *observe.Logs, id string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, h := range c.hits {
		if h.count > 0 {
			out.Matches = append(out.Matches, observe.LogMatch{Pattern: c.patterns[i].String(), Container: id, Count: h.count, Example: h.example})
		}
	}
	return c.lines
}

// problem says why a container's log is not being read; nil when it is, or when
// it was read to its end.
func (t *watch) problem(id string) *observe.Problem {
	c := t.counters[id]
	if c == nil {
		return &observe.Problem{Cause: observe.CauseUnreachable, Message: fmt.Sprintf("following logs of container %s: too many log streams are open", id)}
	}
	s := c.stream.now.Load()
	if s.phase != PhaseConnecting || s.seen && time.Since(s.at) < grace {
		return nil
	}
	if s.err == nil {
		return &observe.Problem{Cause: observe.CausePending, Message: fmt.Sprintf("following logs of container %s: not attached yet", id)}
	}
	cause := observe.CauseUnreachable
	var p *observe.Problem
	if errors.As(s.err, &p) {
		cause = p.Cause
	}
	return &observe.Problem{Cause: cause, Message: s.err.Error()}
}
