package watch

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
)

// containerStyles are the sixteen colours.
var containerStyles = func() (styles [16]lipgloss.Style) {
	for i := range styles {
		styles[i] = lipgloss.NewStyle().Foreground(lipgloss.ANSIColor(i))
	}
	return styles
}()

// logTitle says how much there is and what is shown of it.
func (m Model) logTitle() string {
	p := &m.log
	parts := []string{m.Language.Sprintf("── log: %s lines", thousands(p.total))}
	if p.dropped > 0 {
		parts = append(parts, m.Language.Sprintf("%s not read in time", thousands(p.dropped)))
	}
	if f := m.filterText(); f != "" {
		parts = append(parts, f+m.Language.Sprintf(" (%s shown)", thousands(int64(len(p.shown)))))
	}
	if p.isHeld {
		parts = append(parts, m.Language.Sprintf("stopped, %s newer below", thousands(int64(p.held))))
	}
	title := strings.Join(parts, ", ") + " "
	style := faint
	if p.isHeld || !p.filter.isEmpty() {
		style = warn
	}
	return style.Render(title + strings.Repeat("─", max(0, m.width-ansi.StringWidth(title))))
}

// filterText says what is left out.
func (m Model) filterText() string {
	f := m.log.filter
	var parts []string
	if f.side != logs.VersionUnknown {
		parts = append(parts, string(f.side))
	}
	if f.errors {
		parts = append(parts, m.Language.Sprintf("errors"))
	}
	if f.container != "" {
		name := f.container
		for _, c := range m.containers() {
			if c.ID == f.container {
				name = m.nameOf(&c)
			}
		}
		parts = append(parts, name)
	}
	if f.text != "" {
		parts = append(parts, fmt.Sprintf("%q", f.text))
	}
	if len(parts) == 0 {
		return ""
	}
	return m.Language.Sprintf("only %s", strings.Join(parts, ", "))
}

// logLines are the log's part of the screen.
func (m Model) logLines(height int) []string {
	height = max(height, 0)
	page := m.log.page(height)
	lines := make([]string, 0, height)
	width := 0
	for i := range page {
		width = max(width, ansi.StringWidth(m.label(&page[i])))
	}
	for i := range page {
		lines = append(lines, m.logLine(&page[i], width))
	}
	if len(lines) == 0 && height > 0 {
		lines = append(lines, faint.Render(m.noLines()))
	}
	for len(lines) < height {
		lines = append(lines, "")
	}
	return lines
}

func (m Model) noLines() string {
	switch {
	case m.NoLogs != "":
		return m.Language.Sprintf("no log: %s", m.NoLogs)
	case !m.log.filter.isEmpty() && m.log.total > 0:
		return m.Language.Sprintf("no line is shown; esc shows all again")
	}
	return m.Language.Sprintf("no line yet")
}

// label names a line's container, as `drover logs` does.
func (m Model) label(l *logs.Line) string {
	name := clean(l.Name)
	if stack, _, ok := strings.Cut(l.Service, "/"); ok {
		name = strings.TrimPrefix(name, stack+"-")
	}
	if l.Version != logs.VersionUnknown {
		name += " " + string(l.Version)
	}
	return name
}

// logLine is one line: time, container, text.
func (m Model) logLine(l *logs.Line, width int) string {
	at := strings.Repeat(" ", len("15:04:05.000"))
	if !l.Time.IsZero() {
		at = l.Time.Local().Format("15:04:05.000")
	}
	label := m.label(l)
	label = containerStyles[logs.ColourOf(l.Container)].Render(label) + strings.Repeat(" ", max(0, width-ansi.StringWidth(label)))
	text := clean(l.Text)
	switch {
	case l.Dropped > 0:
		text = warn.Render(m.Language.Sprintf("%s lines were not read in time", thousands(l.Dropped)))
	case logs.LooksLikeError(l.Text):
		text = bad.Render(text)
	case l.Version == logs.VersionOld:
		text = faint.Render(text)
	}
	return faint.Render(at) + " " + label + " " + text
}

// copyScreen is the log alone: nothing stands beside the text.
func (m Model) copyScreen() []string {
	height := m.copyHeight()
	bottom := m.log.bottom(height)
	var lines []string
	for _, n := range m.log.shown[max(0, bottom-height):bottom] {
		text := clean(m.log.lines[n-m.log.first].Text)
		if m.copy.isCopied(n) {
			text = marked.Render(ansi.Truncate(text, m.width, "…") + " ")
		}
		lines = append(lines, text)
	}
	for len(lines) < height {
		lines = append(lines, "")
	}
	return append(lines, faint.Render(m.Language.Sprintf("copy: ↑↓ move  space mark  y copy  esc back")))
}

// thousands writes 4912 as 4,912.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
