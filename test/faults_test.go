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

// faultTables are the tables of faults, by letter, with how many rows each has.
var faultTables = map[string]int{"R": 25, "A": 37, "H": 25, "C": 40}

// notBuilt are the rows without a test: what they are about does not exist, and the
// page says so.
var notBuilt = map[string]bool{
	"R23": true, // Tags are not listed.
	"C5":  true, // Frozen gates are not built (ruling 3).
	"C20": true, // One process, held by a file lock; there is no lease.
	"C30": true, // There is no notifier yet.
	"C39": true, // There are no freeze windows yet.
}

var (
	faultRow  = regexp.MustCompile(`(?m)^\| ([RAHC][0-9]+) \|.*$`)
	testNamed = regexp.MustCompile("`(Test[A-Za-z0-9]+|[0-9]{2}-[a-z-]+\\.txt)`")
)

// TestFaultRowsNameTheirTests holds docs/faults.md to the code: every row of every
// table is there, once, and names tests that exist.
func TestFaultRowsNameTheirTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "faults.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range faultRow.FindAllStringSubmatch(string(text), -1) {
		if rows[m[1]] != "" {
			t.Errorf("docs/faults.md has row %s twice", m[1])
		}
		rows[m[1]] = m[0]
	}
	for letter, last := range faultTables {
		for n := 1; n <= last; n++ {
			id := fmt.Sprint(letter, n)
			row, isThere := rows[id]
			delete(rows, id)
			switch hasTest := testNamed.MatchString(row); {
			case !isThere:
				t.Errorf("docs/faults.md has no row %s", id)
			case hasTest == notBuilt[id]:
				t.Errorf("docs/faults.md: row %s names a test: %t, is not built: %t: %s", id, hasTest, notBuilt[id], row)
			case notBuilt[id] && !strings.Contains(row, "| none: "):
				t.Errorf("docs/faults.md: row %s does not say why it has no test: %s", id, row)
			}
		}
	}
	for id := range rows {
		t.Errorf("docs/faults.md has a row %s that is in no table", id)
	}
	exists := testsAndScenarios(t)
	for _, m := range testNamed.FindAllStringSubmatch(string(text), -1) {
		if !exists[m[1]] {
			t.Errorf("docs/faults.md names %s, which does not exist", m[1])
		}
	}
}

// TestFaultRowsAreTestedByName: a test that carries a row's number is in that row,
// and a row of load balancers and probes has such a test.
func TestFaultRowsAreTestedByName(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "faults.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range faultRow.FindAllStringSubmatch(string(text), -1) {
		rows[m[1]] = m[0]
	}
	numbered := regexp.MustCompile(`^Test([RAHC])0?([0-9]+)[A-Z]`)
	has := map[string]bool{}
	for name := range testsAndScenarios(t) {
		m := numbered.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		id := m[1] + m[2]
		has[id] = true
		if !strings.Contains(rows[id], "`"+name+"`") {
			t.Errorf("%s is not named in row %s of docs/faults.md", name, id)
		}
	}
	for _, letter := range []string{"A", "H"} {
		for n := 1; n <= faultTables[letter]; n++ {
			if id := fmt.Sprint(letter, n); !has[id] {
				t.Errorf("row %s has no test Test%s…", id, id)
			}
		}
	}
}

// testsAndScenarios are the names of all tests and of the scripts in pkg/reconcile.
func testsAndScenarios(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.syntax.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.isTest && f.Recv == nil {
				names[f.Name.Name] = true
			}
		}
	}
	scripts, err := filepath.Glob(filepath.Join(root, "pkg", "reconcile", "testdata", "scenarios", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range scripts {
		names[filepath.Base(path)] = true
	}
	return names
}
