package watch

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// selection is where copying stands: the lines' numbers in the pane.
type selection struct {
	// at is the line of the cursor, mark the other end; -1 is only the cursor's.
	at, mark int
	// wasHeld says that the log was stopped before.
	wasHeld bool
}

// startCopy stops the log and gives it the whole screen, so that a terminal's own
// selection takes lines and nothing else.
func (m Model) startCopy() Model {
	if len(m.log.shown) == 0 {
		return m.say(m.Language.Sprintf("there is no line to copy"), true)
	}
	m.copy.wasHeld = m.log.isHeld
	m.mode, m.log = copying, m.log.hold()
	bottom := m.log.bottom(m.copyHeight())
	m.copy.at, m.copy.mark = m.log.shown[bottom-1], -1
	return m
}

// copyHeight is how many lines copying shows: one is for its keys.
func (m Model) copyHeight() int { return max(m.height-1, 1) }

// pressCopy moves the cursor, marks, and copies.
func (m Model) pressCopy(key string) (Model, tea.Cmd) {
	if by, ok := m.distance(key); ok {
		return m.moveCopy(by), nil
	}
	switch key {
	case "space", "v":
		if m.copy.mark < 0 {
			m.copy.mark = m.copy.at
		} else {
			m.copy.mark = -1
		}
	case "y", "enter", "c":
		text, n := m.copied()
		m = m.endCopy()
		return m.say(m.Language.Sprintf("%d lines copied, where the terminal allows it (OSC 52)", n), false), tea.SetClipboard(text)
	case "esc", "q":
		return m.endCopy(), nil
	}
	return m, nil
}

// moveCopy moves the cursor and keeps it on the screen.
func (m Model) moveCopy(by int) Model {
	shown := m.log.shown
	i, _ := slices.BinarySearch(shown, m.copy.at)
	i = min(max(i+by, 0), len(shown)-1)
	if i < 0 {
		return m.endCopy() // The lines were given up for newer ones.
	}
	m.copy.at = shown[i]
	height := m.copyHeight()
	bottom := m.log.bottom(height)
	switch {
	case i >= bottom:
		m.log.anchor = shown[i]
	case i < bottom-height:
		m.log.anchor = shown[min(i+height-1, len(shown)-1)]
	}
	return m
}

func (m Model) endCopy() Model {
	m.mode = browsing
	if !m.copy.wasHeld {
		m.log = m.log.follow()
	}
	return m
}

// isCopied says that a line is between mark and cursor.
func (s selection) isCopied(n int) bool {
	if s.mark < 0 {
		return n == s.at
	}
	return n >= min(s.at, s.mark) && n <= max(s.at, s.mark)
}

// copied is the text that is chosen, without the labels.
func (m Model) copied() (text string, n int) {
	var b strings.Builder
	for _, number := range m.log.shown {
		if m.copy.isCopied(number) && number >= m.log.first {
			b.WriteString(m.log.lines[number-m.log.first].Text)
			b.WriteByte('\n')
			n++
		}
	}
	return b.String(), n
}
