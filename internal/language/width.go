package language

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// A Chinese character is two columns wide on a terminal, so that neither bytes nor
// runes say where a column begins.

// Width is how many columns a text takes on a terminal.
func Width(text string) int { return ansi.StringWidth(text) }

// Pad fills a text with spaces up to a width in columns; a wider one stays.
func Pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
}

// Clip cuts a text to a width in columns, and marks where.
func Clip(text string, width int) string { return ansi.Truncate(text, width, "…") }
