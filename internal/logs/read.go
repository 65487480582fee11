package logs

import (
	"context"
	"io"
	"iter"
	"time"
)

// maxBatch bounds the lines that one call of Next returns.
const maxBatch = 4096

// Next waits for lines and returns some thousands at most, in order. They are
// valid until the next call. After Close, or the end of the context given to
// Follow, it returns what is left and then io.EOF.
func (f *Follower) Next(ctx context.Context) ([]Line, error) {
	for {
		ended := false
		if f.rendered == len(f.taken) {
			ended = f.swap()
		}
		if len(f.taken) > 0 {
			return f.render(), nil
		}
		if ended {
			return nil, io.EOF
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-f.readable:
		}
	}
}

// swap takes the merged lines.
func (f *Follower) swap() (ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken, f.ready = f.ready, recycle(f.taken, 1<<16)
	f.rendered = 0
	if f.ended {
		// Next must see the end each time it is asked.
		select {
		case f.readable <- struct{}{}:
		default:
		}
	}
	return f.ended
}

// render turns the next lines taken into the form for users, and gives their
// memory back to the streams.
func (f *Follower) render() []Line {
	clear(f.lines)
	f.lines = f.lines[:0]
	var cost int64
	for _, it := range f.taken[f.rendered:min(len(f.taken), f.rendered+maxBatch)] {
		f.lines = append(f.lines, it.line())
		if it.dropped == 0 {
			cost += int64(len(it.text) + lineCost)
		}
	}
	f.rendered += len(f.lines)
	f.used.Add(-cost)
	return f.lines
}

// line is the item as users see it.
func (it *item) line() Line {
	c := it.from
	l := Line{Container: c.ID, Name: c.Name, Service: c.Service, Version: c.Version, Output: it.output, Text: it.text, Truncated: it.truncated, Dropped: it.dropped}
	if it.nanos != 0 {
		l.Time = time.Unix(0, it.nanos).UTC()
	}
	return l
}

// Lines yields lines one by one until the follower or ctx ends.
func (f *Follower) Lines(ctx context.Context) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		for {
			lines, err := f.Next(ctx)
			if err != nil {
				return
			}
			for _, l := range lines {
				if !yield(l) {
					return
				}
			}
		}
	}
}

// Status is where the stream of one container stands.
type Status struct {
	// Container is the one followed.
	Container Container
	// Phase is where its stream stands, At since when.
	Phase Phase
	At    time.Time
	// Err is what went wrong last; nil once attached.
	Err error
}

// Status says how the containers of the set are followed, in no order.
func (f *Follower) Status() []Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]Status, 0, len(f.entries))
	for _, e := range f.entries {
		now := e.stream.now.Load()
		all = append(all, Status{Container: *e.container.Load(), Phase: now.phase, At: now.at, Err: now.err})
	}
	return all
}
