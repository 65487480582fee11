package logs

import (
	"cmp"
	"slices"
	"time"
)

// item is a line on its way through a follower.
type item struct {
	nanos     int64
	seq       uint64
	from      *Container
	text      string
	dropped   int64
	output    Output
	truncated bool
}

// merger puts lines of several streams in the order of their timestamps. It
// holds each line for a window; what comes later than that after a younger line
// is out of order. The zero value is ready; it does no I/O and reads no clock.
type merger struct {
	// pending are the held lines in order, spare the memory for the next merge.
	pending, spare []item
	// batches say until when lines are held.
	batches []batch
	seq     uint64
}

// batch is what was added at one time.
type batch struct {
	at time.Time
	// youngest is the greatest timestamp in it.
	youngest int64
}

// add takes lines that arrived now. It may change the order of new.
func (m *merger) add(now time.Time, lines []item) {
	if len(lines) == 0 {
		return
	}
	youngest := lines[0].nanos
	for i := range lines {
		lines[i].seq = m.seq
		m.seq++
		youngest = max(youngest, lines[i].nanos)
	}
	slices.SortFunc(lines, compareItems)
	m.batches = append(m.batches, batch{now, youngest})
	m.merge(lines)
}

// merge puts sorted lines among the pending ones.
func (m *merger) merge(lines []item) {
	if len(m.pending) == 0 || compareItems(m.pending[len(m.pending)-1], lines[0]) < 0 {
		m.pending = append(m.pending, lines...)
		return
	}
	old, out := m.pending, m.spare[:0]
	for len(old) > 0 && len(lines) > 0 {
		if compareItems(old[0], lines[0]) < 0 {
			out, old = append(out, old[0]), old[1:]
		} else {
			out, lines = append(out, lines[0]), lines[1:]
		}
	}
	out = append(append(out, old...), lines...)
	m.pending, m.spare = out, recycle(m.pending, 1<<17)
}

// take appends to dst the lines that were held for the window, and those that
// are older than one of them.
func (m *merger) take(now time.Time, window time.Duration, dst []item) []item {
	due, horizon := 0, int64(0)
	for _, b := range m.batches {
		if now.Sub(b.at) < window {
			break
		}
		if due == 0 || b.youngest > horizon {
			horizon = b.youngest
		}
		due++
	}
	if due == 0 {
		return dst
	}
	m.batches = slices.Delete(m.batches, 0, due)
	n, _ := slices.BinarySearchFunc(m.pending, horizon, func(it item, h int64) int {
		if it.nanos <= h {
			return -1
		}
		return 1
	})
	return m.cut(n, dst)
}

// relieve appends the older half of the lines held to dst: memory is short, and
// a line out of order is better than a lost one.
func (m *merger) relieve(dst []item) []item { return m.cut(len(m.pending)/2, dst) }

// flush appends all lines held to dst.
func (m *merger) flush(dst []item) []item {
	m.batches = m.batches[:0]
	return m.cut(len(m.pending), dst)
}

// cut moves the first n pending lines to dst.
func (m *merger) cut(n int, dst []item) []item {
	dst = append(dst, m.pending[:n]...)
	m.pending = slices.Delete(m.pending, 0, n)
	return dst
}

// compareItems orders by time, and as they came at the same time.
func compareItems(a, b item) int {
	if c := cmp.Compare(a.nanos, b.nanos); c != 0 {
		return c
	}
	return cmp.Compare(a.seq, b.seq)
}

// recycle empties lines for their next use, and lets go of memory that only a
// burst needed.
func recycle(lines []item, keep int) []item {
	if cap(lines) > keep {
		return nil
	}
	clear(lines)
	return lines[:0]
}
