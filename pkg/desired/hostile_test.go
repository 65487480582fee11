package desired

import (
	"strings"
	"testing"
	"time"
)

// TestHostileFilesEndSoon: files at the size cap, made to be slow, are refused in
// bounded time.
func TestHostileFilesEndSoon(t *testing.T) {
	fill := func(s string) string { return strings.Repeat(s, maxFileSize/len(s)) }
	for name, text := range map[string]string{
		"open lists":     fill("["),
		"open mappings":  fill("{a: "),
		"lists in a row": fill("- "),
		"unknown keys":   "a:\n" + fill("- {}\n")[:maxFileSize/2],
		"comments":       fill("#\n"),
		"one long key":   fill("k"),
		"anchors":        fill("- &a *a\n"),
		"quotes":         fill(`"`),
		"zero bytes":     fill("\x00"),
	} {
		start := time.Now()
		if _, err := Parse("targets.yaml", []byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		} else if len(err.Error()) > 1<<20 {
			t.Errorf("%s: %d bytes of messages", name, len(err.Error()))
		}
		took := time.Since(start)
		t.Logf("%s: %v", name, took)
		if took > 5*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}
