package test

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFaultRowsNameTheirTests holds docs/faults.md to the code: every row is there,
// and every test it names exists.
func TestFaultRowsNameTheirTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "faults.md"))
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.syntax.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.isTest && f.Recv == nil {
				exists[f.Name.Name] = true
			}
		}
	}
	scripts, err := filepath.Glob(filepath.Join(root, "pkg", "reconcile", "testdata", "scenarios", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range scripts {
		exists[filepath.Base(path)] = true
	}
	for kind, last := range map[string]int{"R": 25, "C": 40} {
		for n := 1; n <= last; n++ {
			if !strings.Contains(string(text), fmt.Sprintf("\n| %s%d |", kind, n)) {
				t.Errorf("docs/faults.md has no row %s%d", kind, n)
			}
		}
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+|[0-9]{2}-[a-z-]+\\.txt)`")
	for _, m := range named.FindAllStringSubmatch(string(text), -1) {
		if !exists[m[1]] {
			t.Errorf("docs/faults.md names %s, which does not exist", m[1])
		}
	}
	for line := range strings.Lines(string(text)) {
		if isRow := regexp.MustCompile(`^\| [RC][0-9]+ \|`).MatchString(line); isRow && !named.MatchString(line) && !strings.Contains(line, "| none") {
			t.Errorf("docs/faults.md: this row names no test and does not say so: %s", line)
		}
	}
}
