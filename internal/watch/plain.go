package watch

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
)

// plain tells the story in lines.
type plain struct {
	out io.Writer
	m   Model
	// said is where it stood when that was told last, without figures; verdicts the
	// same of each gate.
	said     string
	verdicts map[string]string
	// hasFirst says that the first line of a new container was told.
	hasFirst bool
	err      error
}

// Plain tells the same story in lines, for a pipe, until the rollout has its
// outcome or ctx ends: a line for each change, and the containers' lines.
func Plain(ctx context.Context, m Model, f *Feed, out io.Writer) (Model, error) {
	ctx, cancel := context.WithCancel(ctx)
	messages := make(chan any)
	var feeding sync.WaitGroup
	defer feeding.Wait()
	defer cancel()
	feeding.Go(func() {
		f.Run(ctx, func(msg any) {
			select {
			case messages <- msg:
			case <-ctx.Done():
			}
		})
	})
	p := &plain{out: out, m: m, verdicts: map[string]string{}}
	for p.m.track.Outcome == operator.Open && p.err == nil {
		select {
		case <-ctx.Done():
			return p.m, nil
		case msg := <-messages:
			p.take(msg)
		}
	}
	return p.m, p.err
}

// take goes on with a message.
func (p *plain) take(msg any) {
	next, _ := p.m.Update(msg)
	p.m = next.(Model) // Update returns what it was called on.
	switch msg := msg.(type) {
	case Slept:
		p.tell(p.m.now, "%s this machine slept for %s: looking anew", p.m.track.Key, time.Duration(msg).Round(time.Second))
	case Looked:
		p.tellStanding(msg)
		p.tellGates(msg)
	case Lines:
		for i := range msg {
			p.tellLine(&msg[i])
		}
	}
}

// tell writes one line; a reader that went away ends the story.
func (p *plain) tell(at time.Time, format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, "%s %s\n", at.Local().Format("15:04:05.000"), fmt.Sprintf(format, args...))
	}
}

func (p *plain) tellStanding(l Looked) {
	text := p.m.track.Text
	if o := p.m.track.Outcome; o != operator.Open {
		text = string(o) + reason(p.m.track.Reason)
	}
	if problem := p.m.problems(); problem != "" {
		text += " [" + problem + "]"
	}
	key := strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, text)
	if key == p.said {
		return
	}
	p.said = key
	p.tell(l.At, "%s %s: %s", p.m.track.Key, p.m.digests(), clean(text))
}

func (p *plain) tellGates(l Looked) {
	if l.Daemon == nil {
		return
	}
	for i := range l.Daemon.Gates {
		g := &l.Daemon.Gates[i]
		if p.verdicts[g.Gate] != string(g.Verdict) {
			p.verdicts[g.Gate] = string(g.Verdict)
			p.tell(l.At, "%s gate %s: %s, %s", p.m.track.Key, g.Gate, g.Verdict, clean(g.Text))
		}
	}
}

func (p *plain) tellLine(l *logs.Line) {
	if l.Dropped > 0 {
		p.tell(l.Time, "%s | %d lines were not read in time", p.m.label(l), l.Dropped)
		return
	}
	p.tell(l.Time, "%s | %s", p.m.label(l), clean(l.Text))
	if !p.hasFirst && l.Version == logs.VersionNew && !p.m.track.Begun.IsZero() {
		p.hasFirst = true
		p.tell(p.m.now, "%s first line of a new container, %s after the rollout began", p.m.track.Key, p.m.now.Sub(p.m.track.Begun).Round(100*time.Millisecond))
	}
}
