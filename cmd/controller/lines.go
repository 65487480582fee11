package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
)

// lineTime is the width of a time that logs shows: all nine digits, so that lines
// stand below each other and sort as text.
const lineTime = "2006-01-02T15:04:05.000000000Z07:00"

// linePrinter prints containers' lines, for people or as JSON.
type linePrinter struct {
	out *bufio.Writer
	// notices are told here when out is not JSON.
	notices io.Writer
	// hasTimes puts the time before each line, isColoured colours the container's
	// name, isTerminal keeps lines from moving the cursor, asJSON prints objects.
	hasTimes, isColoured, isTerminal, asJSON bool
	// grep leaves out lines that it does not match; nil leaves out none.
	grep *regexp.Regexp
	// width is that of the longest label so far.
	width int
}

// newLinePrinter prints to out, which may be a terminal.
func newLinePrinter(out, notices io.Writer) *linePrinter {
	return &linePrinter{
		out: bufio.NewWriterSize(out, 64<<10), notices: notices,
		isColoured: hasColour(out), isTerminal: isTerminal(out),
	}
}

// print prints some lines and lets go of them.
func (p *linePrinter) print(lines []logs.Line) error {
	for i := range lines {
		l := &lines[i]
		var err error
		switch {
		case l.Dropped > 0 && !p.asJSON:
			fmt.Fprintf(p.notices, "drover: %d lines of %s were dropped: the output is not read fast enough\n", l.Dropped, l.Name)
		case l.Dropped == 0 && p.grep != nil && !p.grep.MatchString(l.Text):
		case p.asJSON:
			err = json.NewEncoder(p.out).Encode(l)
		default:
			err = p.line(l)
		}
		if err != nil {
			return err
		}
	}
	return p.out.Flush()
}

// line prints one line for people: time, label, text.
func (p *linePrinter) line(l *logs.Line) error {
	if p.hasTimes {
		at := strings.Repeat(" ", len(lineTime)-len("07:00"))
		if !l.Time.IsZero() {
			at = l.Time.Format(lineTime)
		}
		fmt.Fprint(p.out, at, " ")
	}
	label := labelOf(l)
	p.width = max(p.width, utf8.RuneCountInString(label))
	pad := strings.Repeat(" ", p.width-utf8.RuneCountInString(label))
	if p.isColoured {
		label = "\x1b[" + sgrOf(logs.ColourOf(l.Container)) + "m" + label + "\x1b[0m"
	}
	text := l.Text
	if p.isTerminal {
		text = logs.Harmless(text, p.isColoured)
	}
	_, err := fmt.Fprintf(p.out, "%s%s | %s\n", label, pad, text)
	return err
}

// labelOf is how a container is named beside its lines. During a rollout old and
// new containers have the same names.
func labelOf(l *logs.Line) string {
	label := oneLine(l.Name)
	if stack, _, ok := strings.Cut(l.Service, "/"); ok {
		label = strings.TrimPrefix(label, stack+"-")
	}
	if l.Version != logs.VersionUnknown {
		label += " " + string(l.Version)
	}
	return label
}

// sgrOf is the parameter that sets one of the sixteen colours (ECMA-48, SGR; from 8
// on aixterm's).
func sgrOf(colour uint8) string {
	if colour < 8 {
		return strconv.Itoa(30 + int(colour))
	}
	return strconv.Itoa(82 + int(colour))
}
