package ranchersim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var updateDocs = flag.Bool("update", false, "write the tables of docs/sandbox.md anew")

// TestDocsListEveryFault holds the tables of docs/sandbox.md to the catalogue, line by line.
func TestDocsListEveryFault(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "sandbox.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	var faults, args strings.Builder
	for _, k := range FaultKinds() {
		fmt.Fprintf(&faults, "| `%s` | %s | `%s` |\n", k.Name, k.What, strings.Join(k.Args, "` `"))
	}
	for _, a := range FaultArgs() {
		fmt.Fprintf(&args, "| `%s` | %s |\n", a.Name, a.What)
	}
	page = replaceTable(t, page, "| fault | what happens | arguments |\n|---|---|---|\n", faults.String())
	page = replaceTable(t, page, "| argument | meaning |\n|---|---|\n", args.String())
	if *updateDocs {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if page != string(raw) {
		t.Error("docs/sandbox.md differs from the catalogue: go test ./internal/ranchersim -run TestDocsListEveryFault -update")
	}
}

// replaceTable puts rows below a table's head in place of those that stand there.
func replaceTable(t *testing.T, page, head, rows string) string {
	t.Helper()
	before, after, ok := strings.Cut(page, head)
	if !ok {
		t.Fatalf("docs/sandbox.md has no table %q", head)
	}
	_, rest, ok := strings.Cut(after, "\n\n")
	if !ok {
		t.Fatalf("the table %q has no end", head)
	}
	return before + head + rows + "\n" + rest
}
