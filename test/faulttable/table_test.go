package faulttable

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// rows is how many rows the fault table has for Rancher.
const rows = 37

// TestEveryRowHasItsTest holds docs/faults.md to the tests: a row that is missing in either fails.
func TestEveryRowHasItsTest(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "faults.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| (A[0-9]+) \\|.*\\| `(Test\\w+)`[^|]*\\|$").FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = m[2]
	}
	tests := tests(t)
	for n := 1; n <= rows; n++ {
		row, prefix := fmt.Sprintf("A%d", n), fmt.Sprintf("TestA%02d", n)
		name := documented[row]
		if !strings.HasPrefix(name, prefix) || !tests[name] {
			t.Errorf("row %s names the test %q, want one of this package that begins with %s", row, name, prefix)
		}
	}
	if len(documented) != rows {
		t.Errorf("docs/faults.md has %d rows, want %d", len(documented), rows)
	}
}

// tests are the names of this package's tests.
func tests(t *testing.T) map[string]bool {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range syntax.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}
