package logs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// tailTimeout bounds reading a tail: evidence must not hold up a rollback.
	tailTimeout = 5 * time.Second
	// tailBytes bounds the text of a tail; the youngest lines are kept.
	tailBytes = 1 << 20
)

// Tail returns the last n lines of a container, oldest first, within five
// seconds and 1 MiB. Lines read before a failure come with the error. client may
// be nil.
func Tail(ctx context.Context, src Source, client *http.Client, containerID string, n int) ([]Line, error) {
	if n <= 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	t := tail{id: containerID, lines: n}
	err := t.read(ctx, src, client)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		err = fmt.Errorf("reading last %d lines of container %s: %w", n, containerID, err)
	}
	return t.kept, err
}

// tail keeps the last lines of one container.
type tail struct {
	id    string
	lines int
	kept  []Line
	bytes int
}

// read opens the stream without following it and reads to its end.
func (t *tail) read(ctx context.Context, src Source, client *http.Client) error {
	// Rancher offers logs of a stopped container too, but not of a removed one.
	s := newStream(src, client, t.id, t.lines, t.add)
	c, err := s.open(ctx, false)
	if errors.Is(err, errRefused) {
		c, err = s.open(ctx, false)
	}
	if err != nil {
		return err
	}
	defer c.close()
	return s.read(c)
}

// add keeps a line, and gives up the oldest for it.
func (t *tail) add(r Record) {
	l := Line{Container: t.id, Output: r.Output, Text: string(r.Text), Truncated: r.Truncated}
	if r.Nanos != 0 {
		l.Time = time.Unix(0, r.Nanos).UTC()
	}
	t.kept = append(t.kept, l)
	t.bytes += len(l.Text)
	for len(t.kept) > t.lines || t.bytes > tailBytes {
		t.bytes -= len(t.kept[0].Text)
		t.kept[0] = Line{}
		t.kept = t.kept[1:]
	}
}
