package logs

import (
	"strings"
	"testing"
)

func TestHarmless(t *testing.T) {
	for _, c := range []struct{ name, in, plain, coloured string }{
		{"plain", "a\tb é 雪", "a\tb é 雪", "a\tb é 雪"},
		{"colours", "\x1b[1;31mred\x1b[0m x", "red x", "\x1b[1;31mred\x1b[0m x\x1b[0m"},
		{"title", "\x1b]0;pwned\x07x", "\ufffd]0;pwned\ufffdx", "\ufffd]0;pwned\ufffdx\x1b[0m"},
		{"cursor", "a\x1b[2J\rb", "a\ufffd[2J\ufffdb", "a\ufffd[2J\ufffdb\x1b[0m"},
		{"c1", "a\u009b2Jb", "a\ufffd2Jb", "a\ufffd2Jb\x1b[0m"},
		{"direction", "a\u202eb", "a\ufffdb", "a\ufffdb\x1b[0m"},
	} {
		if got := Harmless(c.in, false); got != c.plain {
			t.Errorf("%s: Harmless(%q, false) = %q, want %q", c.name, c.in, got, c.plain)
		}
		if got := Harmless(c.in, true); got != c.coloured {
			t.Errorf("%s: Harmless(%q, true) = %q, want %q", c.name, c.in, got, c.coloured)
		}
	}
}

func FuzzHarmless(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m", true)
	f.Add("\x1b\x1b[0m[2J", true)
	f.Add("\x1b\x1b[0m[2J", false)
	f.Fuzz(func(t *testing.T, text string, mayColour bool) {
		shown := Harmless(text, mayColour)
		if mayColour {
			shown = sgr.ReplaceAllString(shown, "|")
		}
		if strings.IndexFunc(shown, isUnsafe) >= 0 {
			t.Errorf("Harmless(%q, %t) = %q", text, mayColour, shown)
		}
	})
}

func TestColoursAreStable(t *testing.T) {
	seen := map[uint8]bool{}
	for i := range 100 {
		id := "1i" + string(rune('0'+i%10)) + string(rune('0'+i/10))
		colour, again := ColourOf(id), ColourOf(id)
		if colour != again || colour > 15 || colour == 0 {
			t.Errorf("ColourOf(%q) = %d, and then %d", id, colour, again)
		}
		seen[colour] = true
	}
	if len(seen) < 8 {
		t.Errorf("a hundred containers share %d colours", len(seen))
	}
}
