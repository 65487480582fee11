package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// helpHeight is the height of a terminal that nobody resized.
const helpHeight = 24

// tallHelp are the commands whose --help is longer than a screen, and why.
var tallHelp = map[string]string{
	"drover rancher-gitlab-deploy": "its forty options are a contract: --help has listed them all since version 1",
}

// everyCommand calls do with each command that help shows.
func everyCommand(t *testing.T, root *cobra.Command, do func(path string, cmd *cobra.Command)) {
	t.Helper()
	seen := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		seen++
		do(cmd.CommandPath(), cmd)
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() && c.Name() != "help" || cmd == root && c.Name() == "help" {
				walk(c)
			}
		}
	}
	walk(root)
	if seen < 30 {
		t.Fatalf("walked %d commands: the test no longer finds them", seen)
	}
}

// printed is what drover prints for arguments.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := run(t.Context(), args, strings.NewReader(""), &out, &errOut); code != exitOK || errOut.Len() > 0 {
		t.Fatalf("drover %s ends with %d: %s", strings.Join(args, " "), code, errOut.String())
	}
	return out.String()
}

// TestHelpFitsAScreen: --help of every command has its purpose, its usage and
// examples on 24 lines of 80 columns.
func TestHelpFitsAScreen(t *testing.T) {
	root, _ := rootCommand()
	everyCommand(t, root, func(path string, _ *cobra.Command) {
		text := printed(t, append(strings.Fields(path)[1:], "--help")...)
		lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
		if len(lines) > helpHeight && tallHelp[path] == "" {
			t.Errorf("%s --help has %d lines, want at most %d:\n%s", path, len(lines), helpHeight, text)
		}
		checkWidth(t, path+" --help", lines)
		for _, want := range []string{"\nUsage: " + path, "\nExamples:\n  "} {
			if !strings.Contains("\n"+text, want) {
				t.Errorf("%s --help has no %q:\n%s", path, strings.TrimSpace(want), text)
			}
		}
	})
}

func checkWidth(t *testing.T, what string, lines []string) {
	t.Helper()
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > helpWidth {
			t.Errorf("%s has a line of %d columns, want at most %d: %q", what, n, helpWidth, line)
		}
	}
}

// TestHelpSaysAllOfIt: `drover help COMMAND` has every word of the command's text
// and every flag, within 80 columns.
func TestHelpSaysAllOfIt(t *testing.T) {
	root, _ := rootCommand()
	everyCommand(t, root, func(path string, cmd *cobra.Command) {
		text := printed(t, append([]string{"help"}, strings.Fields(path)[1:]...)...)
		checkWidth(t, "help "+path, strings.Split(text, "\n"))
		said := strings.Join(strings.Fields(text), " ")
		for _, word := range []string{longOf(cmd), cmd.Example} {
			if !strings.Contains(said, strings.Join(strings.Fields(word), " ")) {
				t.Errorf("help %s leaves out a part of:\n%s\nit says:\n%s", path, word, text)
			}
		}
		for _, flag := range []string{"--config", "--state-dir", "--server", "--token-file", "--log-format", "--log-level"} {
			if !strings.Contains(text, flag+" ") {
				t.Errorf("help %s leaves out %s", path, flag)
			}
		}
	})
	if got := printed(t, "help"); !strings.Contains(got, exitTable()) {
		t.Errorf("drover help has no table of exit codes:\n%s", got)
	}
}

// TestEveryVerbHasItsGroup: the groups name commands that exist, and what stands in
// none is the program's own.
func TestEveryVerbHasItsGroup(t *testing.T) {
	root, _ := rootCommand()
	grouped(root, func(title string, verbs []*cobra.Command) {
		if title == "More" && len(verbs) > 6 {
			t.Errorf("%d commands stand in no group of help.go", len(verbs))
		}
	})
	text := printed(t, "--help")
	everyCommand(t, root, func(path string, cmd *cobra.Command) {
		if cmd.Parent() == root && !slices.Contains(strings.Fields(strings.ReplaceAll(text, ",", "")), cmd.Name()) {
			t.Errorf("drover --help does not name %s", path)
		}
	})
	for _, g := range verbGroups {
		for _, verb := range g.verbs {
			if c, _, err := root.Find([]string{verb}); err != nil || c.Name() != verb {
				t.Errorf("the group %s names %q, which does not exist", g.title, verb)
			}
		}
	}
}

func TestReflow(t *testing.T) {
	text := "one two three\nfour\n\n    a table   stays\n\nfive"
	want := "one two\nthree four\n\n    a table   stays\n\nfive"
	if got := reflow(text, 10); got != want {
		t.Errorf("reflow = %q, want %q", got, want)
	}
	if got := hang("- ", "one two three", 9); got != "- one two\n  three" {
		t.Errorf("hang = %q", got)
	}
}
