package watch

import (
	"slices"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
)

const (
	// keptLines and keptBytes bound the lines that can be scrolled back to.
	keptLines = 20_000
	keptBytes = 16 << 20
	// longestLine bounds what is kept of one line.
	longestLine = 4 << 10
	// lineCost is what a line takes beside its text.
	lineCost = 160
)

// filter says which lines are shown. Its zero value shows all.
type filter struct {
	// side is old or new, container an id, text a part of the line in any case.
	side      logs.Version
	container string
	errors    bool
	text      string
}

// isEmpty says that nothing is left out.
func (f filter) isEmpty() bool { return f == filter{} }

// shows says whether a line is shown.
func (f filter) shows(l *logs.Line) bool {
	switch {
	case f.side != logs.VersionUnknown && l.Version != f.side && l.Dropped == 0:
		return false
	case f.container != "" && l.Container != f.container:
		return false
	case l.Dropped > 0:
		return true
	case f.errors && !logs.LooksLikeError(l.Text):
		return false
	}
	return f.text == "" || strings.Contains(strings.ToLower(l.Text), f.text)
}

// pane is the log: the lines kept, those that the filter shows, and where the
// reader is among them.
type pane struct {
	lines []logs.Line
	// first is the number of lines[0]; every line has one, counted from the start.
	first int
	bytes int
	// total counts all lines, dropped those that the follower lost.
	total, dropped int64

	filter filter
	// shown are the numbers of the lines that the filter shows, in order.
	shown []int
	// isHeld stops following; anchor is then the number of the last line on the
	// screen, and held how many lines came since.
	isHeld bool
	anchor int
	held   int
}

// add takes lines, and gives up the oldest for them.
func (p pane) add(lines []logs.Line) pane {
	for i := range lines {
		l := lines[i]
		if l.Dropped > 0 {
			p.dropped += l.Dropped
		} else {
			p.total++
		}
		if len(l.Text) > longestLine {
			l.Text, l.Truncated = strings.ToValidUTF8(l.Text[:longestLine], ""), true
		}
		p.lines = append(p.lines, l)
		p.bytes += len(l.Text) + lineCost
		if p.filter.shows(&l) {
			p.shown = append(p.shown, p.first+len(p.lines)-1)
			if p.isHeld {
				p.held++
			}
		}
	}
	return p.forget()
}

// forget drops the oldest lines beyond the bounds, a tenth at once. The others stay
// where they are until the room behind them is used up: moving twenty thousand lines
// is what a key would wait for.
func (p pane) forget() pane {
	if len(p.lines) <= keptLines && p.bytes <= keptBytes {
		return p
	}
	n, bytes := 0, p.bytes
	for n < len(p.lines) && (len(p.lines)-n > keptLines*9/10 || bytes > keptBytes*9/10) {
		bytes -= len(p.lines[n].Text) + lineCost
		n++
	}
	p.lines, p.bytes = p.lines[n:], bytes
	p.first += n
	at, _ := slices.BinarySearch(p.shown, p.first)
	p.shown = p.shown[at:]
	return p
}

// narrow shows what another filter shows.
func (p pane) narrow(f filter) pane {
	p.filter, p.shown = f, nil
	for i := range p.lines {
		if f.shows(&p.lines[i]) {
			p.shown = append(p.shown, p.first+i)
		}
	}
	p.held = 0
	return p
}

// bottom is how many shown lines there are up to the last on the screen.
func (p pane) bottom(height int) int {
	if !p.isHeld {
		return len(p.shown)
	}
	at, found := slices.BinarySearch(p.shown, p.anchor)
	if found {
		at++
	}
	return min(max(at, min(height, len(p.shown))), len(p.shown))
}

// page are the lines on a screen of so many.
func (p pane) page(height int) []logs.Line {
	bottom := p.bottom(height)
	page := make([]logs.Line, 0, height)
	for _, n := range p.shown[max(0, bottom-height):bottom] {
		page = append(page, p.lines[n-p.first])
	}
	return page
}

// hold stops following where the screen is now.
func (p pane) hold() pane {
	if p.isHeld {
		return p
	}
	p.isHeld, p.held = true, 0
	p.anchor = p.first + len(p.lines) - 1
	if n := len(p.shown); n > 0 {
		p.anchor = p.shown[n-1]
	}
	return p
}

// follow goes on with the newest line.
func (p pane) follow() pane {
	p.isHeld, p.held = false, 0
	return p
}

// scroll moves by so many lines, up with a negative number. At the newest line it
// follows again, unless it was stopped there on purpose.
func (p pane) scroll(by, height int) pane {
	if len(p.shown) == 0 || by > 0 && !p.isHeld {
		return p
	}
	p = p.hold()
	at := min(max(p.bottom(height)+by, min(height, len(p.shown))), len(p.shown))
	if at == len(p.shown) && by > 0 {
		return p.follow()
	}
	p.anchor = p.shown[max(at-1, 0)]
	return p
}
