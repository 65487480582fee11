package logs

import "time"

const (
	// maxLast is how many last lines of a new container are kept, and maxLastText how
	// much of each: Rancher purges a container that died, and its log with it.
	maxLast     = 200
	maxLastText = 1024
)

// lastLines keeps the last lines of a container in memory that is used again and
// again. The zero value is empty.
type lastLines struct {
	lines []keptLine
	// next is where the next line goes once there are maxLast.
	next int
}

type keptLine struct {
	nanos     int64
	output    Output
	text      []byte
	truncated bool
}

func (l *lastLines) add(r Record) {
	if len(l.lines) < maxLast {
		l.lines = append(l.lines, keptLine{})
		l.next = len(l.lines) - 1
	}
	k := &l.lines[l.next]
	k.nanos, k.output = r.Nanos, r.Output
	k.text = append(k.text[:0], r.Text[:min(len(r.Text), maxLastText)]...)
	k.truncated = r.Truncated || len(r.Text) > maxLastText
	l.next = (l.next + 1) % maxLast
}

// last copies the last n lines, oldest first.
func (l *lastLines) last(container string, n int) []Line {
	var out []Line
	first := 0
	if len(l.lines) == maxLast {
		first = l.next
	}
	for i := max(0, len(l.lines)-n); i < len(l.lines); i++ {
		k := &l.lines[(first+i)%len(l.lines)]
		line := Line{Container: container, Output: k.output, Text: string(k.text), Truncated: k.truncated}
		if k.nanos != 0 {
			line.Time = time.Unix(0, k.nanos).UTC()
		}
		out = append(out, line)
	}
	return out
}
