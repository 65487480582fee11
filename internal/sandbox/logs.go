package sandbox

import (
	"sync"
	"time"
	"unicode/utf8"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

const (
	// maxLogLines is how many lines of a container are kept; older ones go first.
	maxLogLines = 10_000
	// maxLogLine is how long a line may be; the rest is cut.
	maxLogLine = 16 << 10
)

// logBuffer keeps the latest lines of a container, over restarts, and wakes whoever waits for more.
type logBuffer struct {
	mu    sync.Mutex
	lines []ranchersim.LogLine
	// first is the index of lines[0] since the container was created.
	first int
	// changed is made when somebody may wait and closed at the next change.
	changed chan struct{}
	ended   bool
}

// Lines implements ranchersim.LogSource. The slice it returns is never written again.
func (l *logBuffer) Lines(from int) (lines []ranchersim.LogLine, next int, changed <-chan struct{}, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	next = l.first + len(l.lines)
	if from < next {
		n := len(l.lines)
		lines = l.lines[max(from-l.first, 0):n:n]
	}
	return lines, next, l.changed, l.ended
}

// add appends a line of stdout (1) or stderr (2).
func (l *logBuffer) add(stream int, text string) {
	line := ranchersim.LogLine{Time: time.Now().UTC(), Stream: stream, Text: cut(text, maxLogLine)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) >= 2*maxLogLines {
		l.first += len(l.lines) - maxLogLines
		l.lines = append(make([]ranchersim.LogLine, 0, 2*maxLogLines), l.lines[len(l.lines)-maxLogLines:]...)
	}
	l.lines = append(l.lines, line)
	l.wake()
}

// setEnded says whether the stream is over; a restart opens it again.
func (l *logBuffer) setEnded(ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = ended
	l.wake()
}

func (l *logBuffer) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// cut shortens s to at most n bytes without breaking a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
