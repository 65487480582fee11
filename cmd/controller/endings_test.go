package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// endings are the exit codes that each command can end with, and where each is
// shown: a script of testdata/script, or a Go test where a script cannot get there.
// docs/cli.md shows the table.
var endings = map[string]map[int]string{
	"drover":     {exitOK: "usage", exitUsage: "usage"},
	"help":       {exitOK: "usage", exitUsage: "usage"},
	"completion": {exitOK: "usage", exitUsage: "usage"},
	"version":    {exitOK: "usage", exitUsage: "usage"},
	"schema":     {exitOK: "validate", exitUsage: "usage"},
	"man":        {exitOK: "usage", exitFailed: "usage", exitUsage: "usage"},

	"run":         {exitOK: "TestCommandsAgainstARunningWorld", exitFailed: "nodaemon", exitUsage: "usage"},
	"healthcheck": {exitOK: "TestCommandsAgainstARunningWorld", exitFailed: "nodaemon", exitUsage: "usage"},
	"plan":        {exitOK: "TestCommandsAgainstARunningWorld", exitFailed: "nodaemon", exitUsage: "usage", exitChanges: "TestCommandsAgainstARunningWorld"},

	"status":   {exitOK: "simulate", exitFailed: "nodaemon", exitUsage: "usage", exitNoDaemon: "nodaemon"},
	"history":  {exitOK: "simulate", exitFailed: "nodaemon", exitUsage: "usage"},
	"why":      {exitOK: "simulate", exitFailed: "nodaemon", exitUsage: "usage"},
	"replay":   {exitOK: "simulate", exitFailed: "nodaemon", exitUsage: "usage"},
	"simulate": {exitOK: "simulate", exitFailed: "simulate", exitUsage: "simulate", exitChanges: "simulate"},

	"logs": {exitOK: "logs", exitFailed: "logs", exitUsage: "logs"},
	"watch": {
		exitOK: "alone", exitFailed: "alone", exitUsage: "usage", exitNoDaemon: "nodaemon", exitOtherwise: "alone",
		exitUnknown: "nodaemon", exitInterrupted: "alone",
	},
	"wait": {
		exitOK: "alone", exitFailed: "nodaemon", exitUsage: "usage", exitNoDaemon: "nodaemon", exitOtherwise: "alone", exitTimeout: "alone",
		exitUnknown: "nodaemon", exitInterrupted: "TestWaitIsTheBridgeForPipelines",
	},

	"validate": {exitOK: "validate", exitFailed: "validate", exitUsage: "usage"},
	"lint":     {exitOK: "compose", exitFailed: "compose", exitUsage: "compose"},
	"import":   {exitOK: "compose", exitFailed: "compose", exitUsage: "compose"},
	"export":   {exitOK: "alone", exitFailed: "compose", exitUsage: "usage"},

	"rancher-gitlab-deploy": {exitOK: "alone", exitFailed: "alone", exitUsage: "usage"},

	"demo":    {exitOK: "TestDemo", exitUsage: "usage"},
	"sandbox": {exitOK: "usage", exitFailed: "usage", exitUsage: "usage"},

	"upgrade":  acting("TestActingOnRancherAlone", "TestCommandsAgainstARunningWorld"),
	"finish":   acting("alone", "alone"),
	"rollback": acting("alone", "alone"),
	"cancel":   acting("TestActingOnRancherAlone", "alone"),
	"approve":  remembering("TestActEndsWithOneCodeForEachOutcome", "TestCommandsAgainstARunningWorld", true),
	"retry":    remembering("TestCommandsAgainstARunningWorld", "TestCommandsAgainstARunningWorld", true),
	"pause":    remembering("TestCommandsAgainstARunningWorld", "", false),
	"resume":   remembering("TestCommandsAgainstARunningWorld", "", false),
}

// acting are the endings of a verb that works without the daemon too.
func acting(ok, refused string) map[int]string {
	e := waiting()
	e[exitOK], e[exitRefused] = ok, refused
	return e
}

// remembering are those of a verb that only the daemon can remember.
func remembering(ok, refused string, waits bool) map[int]string {
	e := waiting()
	if !waits {
		for _, code := range []int{exitOtherwise, exitTimeout, exitUnknown, exitInterrupted} {
			delete(e, code)
		}
	}
	e[exitOK] = ok
	if refused != "" {
		e[exitRefused] = refused
	}
	return e
}

// waiting are what all verbs have in common.
func waiting() map[int]string {
	return map[int]string{
		exitFailed: "nodaemon", exitUsage: "usage", exitNoDaemon: "nodaemon", exitNotConfirmed: "TestCommandsAgainstARunningWorld",
		exitOtherwise: "TestActEndsWithOneCodeForEachOutcome", exitTimeout: "TestActEndsWithOneCodeForEachOutcome",
		exitUnknown: "TestActEndsWithOneCodeForEachOutcome", exitInterrupted: "TestActEndsWithOneCodeForEachOutcome",
	}
}

// ending is one command with one exit code.
type ending struct {
	command string
	code    int
}

// TestEveryEndingIsShown holds the table to the commands, to the codes, and to the
// scripts and tests that show them.
func TestEveryEndingIsShown(t *testing.T) {
	root, _ := rootCommand()
	root.InitDefaultHelpCmd()
	names := []string{"drover"}
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	slices.Sort(names)
	if rows := slices.Sorted(maps.Keys(endings)); !slices.Equal(rows, names) {
		t.Errorf("the table has %d %q, the commands are %d %q", len(rows), rows, len(names), names)
	}
	scripts, tests := shownByScripts(t, root), shownByTests(t)
	used := map[int]bool{}
	for command, codes := range endings {
		for code, where := range codes {
			used[code] = true
			shown := scripts[where]
			if strings.HasPrefix(where, "Test") {
				shown = tests[where]
			}
			if !shown[ending{command, code}] {
				t.Errorf("%s does not show %s with exit code %d", where, command, code)
			}
		}
	}
	for _, e := range exitCodes {
		if !used[e.code] {
			t.Errorf("no command ends with %d", e.code)
		}
	}
	for where, shown := range scripts {
		for e := range shown {
			if endings[e.command][e.code] == "" {
				t.Errorf("%s shows %s with exit code %d, which the table does not have", where, e.command, e.code)
			}
		}
	}
}

// exitLine is a line of a script that holds a command to its exit code.
var exitLine = regexp.MustCompile(`(?m)^(?:exits|interrupt) (\d+) (?:\S+ )?(?:'[^']*' )?drover(.*)$`)

// besideLine is one that runs a command beside the script and keeps its exit code,
// which a grep looks into later.
var besideLine = regexp.MustCompile(`(?m)^exec sh -c 'drover ([^;']*); echo \$\? >(\S+)' &`)

// shownByScripts are the endings that each script expects.
func shownByScripts(t *testing.T, root *cobra.Command) map[string]map[ending]bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[ending]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		shown := map[ending]bool{}
		all[strings.TrimSuffix(filepath.Base(path), ".txtar")] = shown
		for _, m := range exitLine.FindAllStringSubmatch(string(text), -1) {
			code, _ := strconv.Atoi(m[1]) // Only digits match.
			shown[ending{verbOf(root, strings.Fields(m[2])), code}] = true
		}
		for _, m := range besideLine.FindAllStringSubmatch(string(text), -1) {
			expected := regexp.MustCompile(`(?m)^grep '\^(\d+)\$' ` + regexp.QuoteMeta(m[2]) + `$`).FindStringSubmatch(string(text))
			if expected == nil {
				t.Errorf("%s: nobody looks into %s", path, m[2])
				continue
			}
			code, _ := strconv.Atoi(expected[1]) // Only digits match.
			shown[ending{verbOf(root, strings.Fields(m[1])), code}] = true
		}
	}
	return all
}

// verbOf is the command that a line calls; drover itself when it calls none.
func verbOf(root *cobra.Command, words []string) string {
	for _, w := range words {
		for _, c := range root.Commands() {
			if c.Name() == w {
				return w
			}
		}
	}
	return "drover"
}

// shownByTests are the endings that the Go tests of each file expect by
// drover(CODE, "COMMAND", …) and the like, by the tests that are in the file.
func shownByTests(t *testing.T) map[string]map[ending]bool {
	t.Helper()
	paths, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[ending]bool{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		shown := map[ending]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if e, ok := endingOf(call); ok {
					shown[e] = true
				}
			}
			return true
		})
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				all[f.Name.Name] = shown
			}
		}
	}
	all["TestActEndsWithOneCodeForEachOutcome"] = shownByOutcomes()
	return all
}

// codeNames are the constants by name.
var codeNames = map[string]int{
	"exitOK": exitOK, "exitFailed": exitFailed, "exitUsage": exitUsage, "exitChanges": exitChanges, "exitRefused": exitRefused,
	"exitNoDaemon": exitNoDaemon, "exitOtherwise": exitOtherwise, "exitTimeout": exitTimeout, "exitNotConfirmed": exitNotConfirmed,
	"exitUnknown": exitUnknown, "exitInterrupted": exitInterrupted,
}

// endingOf is what a call such as b.drover(exitOK, "plan") expects. The arguments
// may be appended to.
func endingOf(call *ast.CallExpr) (ending, bool) {
	var name string
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		name = f.Sel.Name
	case *ast.Ident:
		name = f.Name
	}
	if !slices.Contains([]string{"drover", "ends", "declines", "leaves"}, name) || len(call.Args) < 2 {
		return ending{}, false
	}
	switch name {
	case "declines":
		return ending{literalIn(call.Args[0]), exitNotConfirmed}, true
	case "leaves":
		return ending{literalIn(call.Args[0]), exitInterrupted}, true
	}
	constant, ok := call.Args[0].(*ast.Ident)
	if !ok {
		return ending{}, false
	}
	code, ok := codeNames[constant.Name]
	if !ok {
		return ending{}, false
	}
	return ending{literalIn(call.Args[1]), code}, true
}

// literalIn is the first text in an expression.
func literalIn(e ast.Expr) string {
	var verb string
	ast.Inspect(e, func(n ast.Node) bool {
		if text, ok := n.(*ast.BasicLit); ok && verb == "" && text.Kind == token.STRING {
			verb, _ = strconv.Unquote(text.Value) // The parser has checked it.
		}
		return verb == ""
	})
	return verb
}

// endingTable is the table for docs/cli.md.
func endingTable() string {
	var b strings.Builder
	b.WriteString("Which command can end with which:\n\n| command |")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, " %d |", e.code)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(exitCodes)) + "\n")
	for _, command := range slices.Sorted(maps.Keys(endings)) {
		fmt.Fprintf(&b, "| `%s` |", command)
		for _, e := range exitCodes {
			mark := " "
			if endings[command][e.code] != "" {
				mark = " ● "
			}
			b.WriteString(mark + "|")
		}
		b.WriteString("\n")
	}
	return b.String()
}
