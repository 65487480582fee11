package logs

import (
	"hash/fnv"
	"regexp"
	"strings"
	"unicode"
)

// colours are those of the sixteen that are readable on black and on white.
var colours = [...]uint8{2, 3, 4, 5, 6, 10, 12, 13, 14, 1}

// ColourOf is a container's colour among a terminal's sixteen: the same each time
// and everywhere it is shown.
func ColourOf(container string) uint8 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(container))
	return colours[h.Sum32()%uint32(len(colours))]
}

// sgr is the one terminal sequence that lines may hold: colours and the like.
var sgr = regexp.MustCompile(`\x1b\[[0-9;:]*m`)

// Harmless keeps a line's text from doing anything to a terminal but showing
// itself, in its own colours if they are wanted.
func Harmless(text string, mayColour bool) string {
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

// LooksLikeError says whether a line is about an error: by the level it names
// itself, or else by its words.
func LooksLikeError(text string) bool { return looksLikeError([]byte(text)) }
