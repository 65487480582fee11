package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"regexp"
	"strings"
	"unicode"
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
		label = "\x1b[" + colourOf(l.Container) + "m" + label + "\x1b[0m"
	}
	text := l.Text
	if p.isTerminal {
		text = harmless(text, p.isColoured)
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

// colours are those of the sixteen that are readable on black and on white.
var colours = [...]string{"32", "33", "34", "35", "36", "92", "94", "95", "96", "31"}

// colourOf is a container's colour: the same each time it is shown.
func colourOf(container string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(container))
	return colours[h.Sum32()%uint32(len(colours))]
}

// sgr is the one terminal sequence that lines may hold: colours and the like.
var sgr = regexp.MustCompile(`\x1b\[[0-9;:]*m`)

// harmless keeps a line's text from doing anything to a terminal but showing
// itself, in its own colours if they are wanted.
func harmless(text string, mayColour bool) string {
	if strings.IndexFunc(text, isUnsafe) < 0 {
		return text
	}
	if !mayColour {
		return clean(sgr.ReplaceAllString(text, ""))
	}
	var b strings.Builder
	for at := sgr.FindStringIndex(text); at != nil; at = sgr.FindStringIndex(text) {
		b.WriteString(clean(text[:at[0]]))
		b.WriteString(text[at[0]:at[1]])
		text = text[at[1]:]
	}
	return b.String() + clean(text) + "\x1b[0m"
}

// clean shows a place for each character that is not to be printed.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if isUnsafe(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// isUnsafe says that a character does more than show itself: controls, and the
// marks that turn the direction of writing around.
func isUnsafe(r rune) bool {
	return unicode.IsControl(r) && r != '\t' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}
