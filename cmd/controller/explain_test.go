package main

import (
	"bytes"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// pageRow is a row of the tables of docs/operations.md that explain codes.
var (
	pageRow  = regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| (.+) \\| (.+) \\|$")
	pageLink = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// TestExplanations holds what `drover why` says of a code to docs/operations.md;
// with -update the table is made from there.
func TestExplanations(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, reasons, ok := strings.Cut(string(page), "\n## Reasons\n")
	if !ok {
		t.Fatal("docs/operations.md has no section Reasons")
	}
	want := explanationTable(t, reasons)
	if *update {
		if err := os.WriteFile("explain_table.go", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("explain_table.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("explain_table.go differs from docs/operations.md: go test ./cmd/controller -run TestExplanations -update")
	}
	for _, code := range []reconcile.Code{reconcile.CodeGateFailed, reconcile.CodeQuarantined, reconcile.CodeWorseThanOld, reconcile.CodeDeadEnd} {
		if e := meaningOf(code); e.means == "" || e.do == "" {
			t.Errorf("%s is not explained: %+v", code, e)
		}
	}
}

func explanationTable(t *testing.T, reasons string) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("package main\n\nimport \"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile\"\n\n")
	b.WriteString("// explanations are made from docs/operations.md by TestExplanations -update.\n")
	b.WriteString("var explanations = map[reconcile.Code]explanation{\n")
	seen := map[string]bool{}
	for _, m := range pageRow.FindAllStringSubmatch(reasons, -1) {
		if !seen[m[1]] {
			seen[m[1]] = true
			fmt.Fprintf(&b, "%q: {%q, %q},\n", m[1], plainText(m[2]), plainText(m[3]))
		}
	}
	b.WriteString("}\n")
	text, err := format.Source(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// plainText is a cell without its markup; what is code keeps its quotes.
func plainText(cell string) string {
	cell = pageLink.ReplaceAllString(cell, "$1")
	return strings.ReplaceAll(cell, "*", "")
}

// TestChineseExplanations holds the two tables to each other: the same codes, and
// in each cell the same commands and keys.
func TestChineseExplanations(t *testing.T) {
	for code, english := range explanations {
		chinese, ok := chineseExplanations[code]
		if !ok {
			t.Errorf("%s has no explanation in Chinese (explain_chinese.go)", code)
			continue
		}
		for _, pair := range [][2]string{{english.means, chinese.means}, {english.do, chinese.do}} {
			if want, got := quotedIn(pair[0]), quotedIn(pair[1]); want != got {
				t.Errorf("%s: %q names %s, its translation %q names %s", code, pair[0], want, pair[1], got)
			}
			if !strings.ContainsFunc(pair[1], func(r rune) bool { return unicode.Is(unicode.Han, r) }) && quotedIn(pair[0]) == "" {
				t.Errorf("%s: %q is not Chinese", code, pair[1])
			}
		}
	}
	for code := range chineseExplanations {
		if _, ok := explanations[code]; !ok {
			t.Errorf("%s is explained in Chinese only", code)
		}
	}
}

// quotedIn are the words of a text that are written as code, in order.
func quotedIn(text string) string {
	words := regexp.MustCompile("`[^`]+`").FindAllString(text, -1)
	slices.Sort(words)
	return strings.Join(words, " ")
}
