package logs

import (
	"fmt"
	"hash/maphash"
	"time"
)

const (
	// overlap is how far before the last line a cut stream is resumed. Standard
	// output and error are stamped apart, so that a line may come after a younger
	// one.
	overlap = time.Second
	// maxMarks bounds what is remembered of delivered lines: 16 bytes each.
	maxMarks = 1 << 16
	// clockStep is a jump backwards that is a clock being set and no disorder.
	clockStep = 10 * time.Second
)

// mark stands for a delivered line: its time and a hash of its text.
type mark struct {
	nanos int64
	hash  uint64
}

// boundary knows where a stream was cut and what was delivered before, so that
// the resumed one neither loses nor repeats a line. Equal lines at equal times
// are counted, not merged.
type boundary struct {
	seed maphash.Seed
	// latest is the youngest time delivered.
	latest int64
	// marks are the lines delivered within overlap of latest, at most maxMarks.
	marks marks
	// forgotten is the youngest time among marks given up for lack of room;
	// nothing up to it may be asked for again.
	forgotten int64

	// isTail says that the first connection left out older lines, oldest the
	// smallest time that it delivered: what is older must not come with the overlap
	// of a later one.
	isTail bool
	oldest int64

	// since is from where the stream was resumed; 0 while the first one runs.
	since int64
	// arrived says that the resumed stream has reached since: a server that
	// ignores it sends older lines first.
	arrived bool
	// expected counts the lines that will come again.
	expected map[mark]int
}

func newBoundary() *boundary { return &boundary{seed: maphash.MakeSeed()} }

// hasBegun says that a line was delivered.
func (b *boundary) hasBegun() bool { return b.latest != 0 }

// beginAt leaves out what is older than t, and returns the since to ask for. It
// holds until a line was delivered.
func (b *boundary) beginAt(t time.Time) string {
	b.since, b.arrived = t.UnixNano(), false
	return unixSince(b.since)
}

// unixSince is a time as Docker reads it: seconds.nanoseconds.
func unixSince(nanos int64) string {
	return fmt.Sprintf("%d.%09d", nanos/int64(time.Second), nanos%int64(time.Second))
}

// resume begins a new connection and returns the since to ask for; empty when
// nothing was delivered yet and nothing left out.
func (b *boundary) resume() string {
	switch {
	case b.latest == 0 && b.since == 0:
		return ""
	case b.latest == 0:
		b.arrived = false
		return unixSince(b.since)
	}
	b.since = max(b.latest-int64(overlap), b.forgotten+1)
	if b.isTail {
		b.since = max(b.since, min(b.oldest, b.latest))
	}
	b.arrived = false
	b.expected = map[mark]int{}
	for m := range b.marks.all {
		if m.nanos >= b.since {
			b.expected[m]++
		}
	}
	return unixSince(b.since)
}

// fresh says whether a line has not been delivered yet, and remembers it.
func (b *boundary) fresh(nanos int64, text []byte) bool {
	if nanos == 0 {
		return true
	}
	if b.since != 0 && !b.arrived && nanos < b.since {
		return false
	}
	b.arrived = true
	m := mark{nanos, maphash.Bytes(b.seed, text)}
	if len(b.expected) > 0 && b.repeated(m) {
		return false
	}
	b.remember(m)
	return true
}

// repeated takes m off the expected lines.
func (b *boundary) repeated(m mark) bool {
	n := b.expected[m]
	switch n {
	case 0:
		return false
	case 1:
		delete(b.expected, m)
	default:
		b.expected[m] = n - 1
	}
	return true
}

// complete says that all lines delivered before the cut came again: the replay
// was whole.
func (b *boundary) complete() bool { return len(b.expected) == 0 }

// remember adds a delivered line and gives up those that are too old.
func (b *boundary) remember(m mark) {
	if b.oldest == 0 || m.nanos < b.oldest {
		b.oldest = m.nanos
	}
	switch {
	case m.nanos > b.latest:
		b.latest = m.nanos
	case m.nanos < b.latest-int64(clockStep):
		// The host's clock was set back: the future begins here again.
		b.latest, b.forgotten = m.nanos, 0
	}
	if b.marks.len() == maxMarks {
		b.forgotten = max(b.forgotten, b.marks.pop().nanos)
	}
	b.marks.push(m)
	for b.marks.first().nanos < b.latest-int64(overlap) {
		b.marks.pop()
	}
}

// marks is a queue in a ring that grows.
type marks struct {
	ring        []mark
	begin, size int
}

func (q *marks) len() int    { return q.size }
func (q *marks) first() mark { return q.ring[q.begin] }

func (q *marks) push(m mark) {
	if q.size == len(q.ring) {
		q.grow()
	}
	q.ring[(q.begin+q.size)&(len(q.ring)-1)] = m
	q.size++
}

func (q *marks) pop() mark {
	m := q.ring[q.begin]
	q.begin = (q.begin + 1) & (len(q.ring) - 1)
	q.size--
	return m
}

// grow doubles the ring; its length stays a power of two.
func (q *marks) grow() {
	ring := make([]mark, max(64, 2*len(q.ring)))
	n := copy(ring, q.ring[q.begin:])
	copy(ring[n:], q.ring[:q.begin])
	q.ring, q.begin = ring, 0
}

// all yields the marks, oldest first.
func (q *marks) all(yield func(mark) bool) {
	for i := range q.size {
		if !yield(q.ring[(q.begin+i)&(len(q.ring)-1)]) {
			return
		}
	}
}
