package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
)

// progress shows where a rollout stands: on a terminal one line that changes in
// place, elsewhere a line whenever more than a figure changes.
type progress struct {
	out   io.Writer
	begun time.Time
	// width is the terminal's; 0 elsewhere.
	width int
	last  string
	// isOpen says that the line in place has no end yet.
	isOpen bool
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, begun: time.Now()}
	if f, ok := out.(*os.File); ok && isTerminal(f) && os.Getenv("TERM") != "dumb" {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			p.width = max(width, 20)
		}
	}
	return p
}

// tell shows a track.
func (p *progress) tell(t operator.Track, _ operator.Sight) {
	text := oneLine(t.Text)
	if p.width == 0 {
		if key := withoutFigures(text); key != p.last {
			p.last = key
			fmt.Fprintf(p.out, "%s: %s\n", t.Key, text)
		}
		return
	}
	line := fmt.Sprintf("%4ds  %s: %s", int(time.Since(p.begun).Seconds()), t.Key, text)
	// \x1b[K clears what a longer line left behind (ECMA-48, EL).
	fmt.Fprintf(p.out, "\r%s\x1b[K", language.Clip(line, p.width-1))
	p.isOpen = true
}

// end leaves the line in place behind.
func (p *progress) end() {
	if p.isOpen {
		fmt.Fprintln(p.out)
		p.isOpen = false
	}
}

// withoutFigures is a text in which nothing counts.
func withoutFigures(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, s)
}
