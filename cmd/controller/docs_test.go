package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// TestReferenceIsCurrent compares docs/cli.md with the commands; with -update it
// is written anew.
func TestReferenceIsCurrent(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "cli.md")
	want := reference(t)
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/cli.md differs from the commands: go test ./cmd/controller -run TestReferenceIsCurrent -update")
	}
}

func reference(t *testing.T) []byte {
	root, _ := rootCommand()
	var b bytes.Buffer
	b.WriteString("# Commands\n\nMade from the commands themselves; `drover help COMMAND` says the same, `drover COMMAND --help` what fits a screen.\n\n")
	b.WriteString("## Exit codes\n\n| code | meaning |\n|---|---|\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "| %d | %s |\n", e.code, e.meaning)
	}
	b.WriteString("\n" + endingTable() + "\n")
	everyCommand(t, root, func(_ string, c *cobra.Command) {
		c.DisableAutoGenTag = true
		if err := doc.GenMarkdownCustom(c, &b, func(name string) string {
			return "#" + strings.ReplaceAll(strings.TrimSuffix(name, ".md"), "_", "-")
		}); err != nil {
			t.Fatal(err)
		}
	})
	// One newline at the end, as editors want it.
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n')
}
