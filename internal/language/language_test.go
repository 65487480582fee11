package language

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

func TestFromEnvironment(t *testing.T) {
	for _, tt := range []struct {
		environment string
		want        Language
	}{
		{"", English},
		{"LANG=zh_CN.UTF-8", Chinese},
		{"LANG=zh_CN", Chinese},
		{"LANG=zh_CN.utf8", Chinese},
		{"LANG=zh_SG.UTF-8@x", Chinese},
		{"LANG=zh", Chinese},
		{"LANG=C", English},
		{"LANG=POSIX", English},
		{"LANG=en_US.UTF-8", English},
		{"LANG=zh_TW.UTF-8", English},
		{"LANG=zh_CN.GBK", English},
		{"LANG=zh_CN.", English},
		{"LANG=zhong", English},
		// POSIX: the first of these that is set and not empty.
		{"LC_MESSAGES=zh_CN.UTF-8", Chinese},
		{"LC_MESSAGES=zh_CN.UTF-8 LANG=en_US.UTF-8", Chinese},
		{"LC_MESSAGES=en_US.UTF-8 LANG=zh_CN.UTF-8", English},
		{"LC_MESSAGES= LANG=zh_CN.UTF-8", Chinese},
		{"LC_ALL=C LC_MESSAGES=zh_CN.UTF-8 LANG=zh_CN.UTF-8", English},
		{"LC_ALL=zh_CN.UTF-8 LC_MESSAGES=C LANG=C", Chinese},
		{"LC_ALL= LC_MESSAGES= LANG=zh_CN.UTF-8", Chinese},
		// Neither other categories nor GNU's own variable are about this.
		{"LC_CTYPE=zh_CN.UTF-8 LANGUAGE=zh_CN", English},
	} {
		environment := map[string]string{}
		for _, variable := range strings.Fields(tt.environment) {
			name, value, _ := strings.Cut(variable, "=")
			environment[name] = value
		}
		if got := FromEnvironment(func(name string) string { return environment[name] }); got != tt.want {
			t.Errorf("FromEnvironment(%s) = %d, want %d", tt.environment, got, tt.want)
		}
	}
}

// verb matches a verb of a format, with the number of its argument in group 1.
var verb = regexp.MustCompile(`%(?:\[(\d+)\])?[-+# 0]*[0-9.]*([a-zA-Z%])`)

// verbsOf are a format's verbs by argument, as "1 s"; %w prints as %v does, but an
// error that is wrapped must be in both.
func verbsOf(format string) []string {
	var verbs []string
	next := 1
	for _, m := range verb.FindAllStringSubmatch(format, -1) {
		if m[2] == "%" {
			continue
		}
		if m[1] != "" {
			_, _ = fmt.Sscan(m[1], &next) // The pattern took digits.
		}
		verbs = append(verbs, fmt.Sprint(next, " ", m[2]))
		next++
	}
	slices.Sort(verbs)
	return slices.Compact(verbs)
}

// TestTranslations: every translation is Chinese, and takes the same arguments by
// the same verbs.
func TestTranslations(t *testing.T) {
	if len(chinese) < 50 {
		t.Fatalf("there are %d translations", len(chinese))
	}
	for _, english := range slices.Sorted(maps.Keys(chinese)) {
		translated := chinese[english]
		if want, got := verbsOf(english), verbsOf(translated); !slices.Equal(want, got) {
			t.Errorf("%q takes %q, its translation %q takes %q", english, want, translated, got)
		}
		if !strings.ContainsFunc(translated, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
			t.Errorf("the translation of %q has no Chinese in it: %q", english, translated)
		}
		if strings.Count(english, "`") != strings.Count(translated, "`") {
			t.Errorf("%q and %q quote other commands", english, translated)
		}
		for _, quoted := range regexp.MustCompile("`[^`]+`").FindAllString(english, -1) {
			if !strings.Contains(translated, quoted) {
				t.Errorf("the translation of %q leaves out %s", english, quoted)
			}
		}
	}
}

func TestVerbsOf(t *testing.T) {
	for format, want := range map[string]string{
		"%s to %s": "1 s,2 s", "%[2]s %[1]d": "1 d,2 s", "100%% of %-7s": "1 s", "%[1]s, %[1]s": "1 s", "%d %w": "1 d,2 w", "no": "",
		"%[2]s, %.1f": "2 s,3 f",
	} {
		if got := strings.Join(verbsOf(format), ","); got != want {
			t.Errorf("verbsOf(%q) = %q, want %q", format, got, want)
		}
	}
}

// TestEnglishIsUntouched: without Chinese not a byte changes, whatever is said.
func TestEnglishIsUntouched(t *testing.T) {
	for english := range chinese {
		args := make([]any, len(verbsOf(english)))
		for i := range args {
			args[i] = i
		}
		if got, want := English.Sprintf(english, args...), fmt.Sprintf(strings.ReplaceAll(english, "%w", "%v"), args...); got != want && !strings.Contains(english, "%w") {
			t.Errorf("English says %q, want %q", got, want)
		}
	}
	if got := Chinese.Sprintf("%s that nobody translated", "a message"); got != "a message that nobody translated" {
		t.Errorf("an unknown message is said as %q", got)
	}
}

func TestErrorsAreWrapped(t *testing.T) {
	for _, l := range []Language{English, Chinese} {
		if err := l.Errorf("refused: %w", fs.ErrExist); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%d: %v does not wrap its cause", l, err)
		}
	}
}

func TestWidth(t *testing.T) {
	if got := Pad("容器", 8); got != "容器    " {
		t.Errorf("Pad = %q", got)
	}
	if got := Clip("容器 is healthy", 7); ansi.StringWidth(got) > 7 || !strings.HasSuffix(got, "…") {
		t.Errorf("Clip = %q, %d wide", got, ansi.StringWidth(got))
	}
	if got := Pad("wider than that", 4); got != "wider than that" {
		t.Errorf("Pad = %q", got)
	}
}
