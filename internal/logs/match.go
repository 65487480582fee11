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
	// source are the patterns as written, patterns the same compiled.
	source   []string
	patterns []*regexp.Regexp
	// counters are by container id; that of a removed container stays.
	counters map[string]*counter
}

// counter counts one container's lines.
type counter struct {
	patterns []*regexp.Regexp
	stream   *stream
	cancel   context.CancelFunc
	// state and starts are what was last heard of the container.
	state  string
	starts int

	mu    sync.Mutex
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
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines++
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
		out.Lines += c.addTo(&out, id)
	}
	slices.SortFunc(out.Matches, func(a, b observe.LogMatch) int {
		return cmp.Or(cmp.Compare(a.Pattern, b.Pattern), cmp.Compare(a.Container, b.Container))
	})
	for i := range containers {
		if p := t.problem(containers[i].ID); p != nil {
			out.Problem = p
			break
		}
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
