package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestManPages: every command has a page with its parts and every flag, and the
// same build writes the same pages.
func TestManPages(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "86400")
	dir := filepath.Join(t.TempDir(), "new", "man1")
	said := printed(t, "man", dir)
	root, _ := rootCommand()
	pages := 0
	everyCommand(t, root, func(path string, cmd *cobra.Command) {
		if cmd.Name() == "help" {
			return // It prints what the pages say.
		}
		pages++
		name := strings.ReplaceAll(path, " ", "-")
		data, err := os.ReadFile(filepath.Join(dir, name+".1"))
		if err != nil {
			t.Error(err)
			return
		}
		page := string(data)
		for _, want := range []string{
			`.TH "` + strings.ToUpper(name) + `" "1" "1970-01-02" "drover ` + version + `" "Drover"`,
			"\n.SH NAME\n" + name + " - ", "\n.SH SYNOPSIS\n", "\n.SH OPTIONS\n", "\n.SH EXAMPLE\n", "\n.SH SEE ALSO\n",
		} {
			if !strings.Contains(page, want) {
				t.Errorf("%s.1 has no %q", name, want)
			}
		}
		for _, flags := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.InheritedFlags()} {
			flags.VisitAll(func(f *pflag.Flag) {
				if !f.Hidden && !strings.Contains(page, `\fB--`+f.Name+`\fP`) {
					t.Errorf("%s.1 leaves out --%s", name, f.Name)
				}
			})
		}
	})
	if want := fmt.Sprintf("%d manual pages in %s\n", pages, dir); said != want {
		t.Errorf("drover man says %q, want %q", said, want)
	}
	again := filepath.Join(t.TempDir(), "man1")
	printed(t, "man", again)
	written, err := os.ReadDir(again)
	if err != nil || len(written) != pages {
		t.Errorf("%d pages were written, want %d: %v", len(written), pages, err)
	}
	for _, f := range written {
		first, _ := os.ReadFile(filepath.Join(dir, f.Name()))
		second, _ := os.ReadFile(filepath.Join(again, f.Name()))
		if string(first) != string(second) {
			t.Errorf("%s differs from call to call", f.Name())
		}
	}
}

// TestManPagesAreClean has mandoc, which nobody here wrote, look at the pages and
// print one.
func TestManPagesAreClean(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("mandoc is not installed: test/peers/install does it")
	}
	dir := t.TempDir()
	printed(t, "man", dir)
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) < 30 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	if out, err := exec.Command(mandoc, append([]string{"-T", "lint", "-W", "warning"}, pages...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("mandoc complains: %v\n%s", err, out)
	}
	out, err := exec.Command(mandoc, "-T", "ascii", filepath.Join(dir, "drover-lint.1")).Output()
	if err != nil {
		t.Fatal(err)
	}
	text := backspaced.Replace(string(out))
	for _, want := range []string{"NAME", "drover-lint - Check compose files", "no-health-check         fail  without a health check", "--strict"} {
		if !strings.Contains(text, want) {
			t.Errorf("man drover-lint does not show %q:\n%s", want, text)
		}
	}
}

// backspaced takes out how a page is made bold on paper: each letter twice.
var backspaced = func() *strings.Replacer {
	var pairs []string
	for c := ' '; c < 127; c++ {
		pairs = append(pairs, string(c)+"\b"+string(c), string(c))
	}
	return strings.NewReplacer(pairs...)
}()

func TestManPagesCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	code, out := (&bench{t: t, dir: t.TempDir()}).try("man", file)
	if code != exitFailed || !strings.Contains(out, "writing manual pages: ") {
		t.Errorf("it ends with %d and says %q", code, out)
	}
}
