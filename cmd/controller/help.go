package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// --help is what fits a screen: what a command is for, how it is called, examples,
// its own flags. `drover help COMMAND` is everything, and so are the manual pages
// and docs/cli.md, which are made from the same texts.

// helpWidth is the width of a terminal that nobody widened.
const helpWidth = 80

// verbGroups are the commands in the order in which a person meets them. One that
// stands in none is shown under "More".
var verbGroups = []struct {
	title string
	verbs []string
}{
	{"Watch", []string{"watch", "logs", "status", "history", "why"}},
	{"Decide", []string{"upgrade", "finish", "rollback", "cancel", "approve", "pause", "resume", "retry"}},
	{"Pipelines", []string{"wait", "rancher-gitlab-deploy"}},
	{"Daemon", []string{"run", "plan", "healthcheck"}},
	{"Files", []string{"validate", "lint", "import", "export", "schema"}},
	{"Try out", []string{"demo", "sandbox", "simulate", "replay"}},
}

// rootExample is for who has seen nothing yet.
const rootExample = `  drover demo                    a good and a bad version, within a minute
  git push && drover watch api   from the push to the finish, and decide
  drover why api                 why it was deployed, or not, or taken back`

// useHelp gives a tree of commands this help.
func useHelp(root *cobra.Command) {
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeHelp(cmd.OutOrStdout(), cmd) })
	root.SetHelpCommand(helpCommand())
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			describeCompletion(c)
		}
	}
}

// helpCommand prints everything there is to say of a command.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Say everything about a command, or about drover",
		Long: `Print the whole text about a command, with every flag. Without a command, what drover
does, all commands, the flags they share, and the exit codes.`,
		Example: "  drover help\n  drover help sandbox | less",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return verbsLike(cmd.Root(), begun), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || about == cmd.Root() && len(rest) > 0 {
				return usage("there is no command %q", strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag()
			writeManual(cmd.OutOrStdout(), about)
			return nil
		},
	}
}

// verbsLike are the commands that begin so.
func verbsLike(root *cobra.Command, begun string) []string {
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() && strings.HasPrefix(c.Name(), begun) {
			names = append(names, c.Name())
		}
	}
	return names
}

// describeCompletion replaces cobra's pages of instructions by examples.
func describeCompletion(completion *cobra.Command) {
	completion.Short = "Print a script that completes commands, targets and services"
	completion.Long = completion.Short + ` for bash, zsh, fish or
PowerShell. Names come from targets.yaml, the daemon and Rancher.`
	completion.Example = "  source <(drover completion bash)"
	examples := map[string]string{
		"bash":       "  source <(drover completion bash)    # in ~/.bashrc; needs bash-completion",
		"zsh":        "  drover completion zsh > \"${fpath[1]}/_drover\"    # once; needs compinit",
		"fish":       "  drover completion fish > ~/.config/fish/completions/drover.fish",
		"powershell": "  drover completion powershell | Out-String | Invoke-Expression",
	}
	// With something to run, cobra refuses a shell that it does not know.
	completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, shell := range completion.Commands() {
		shell.Long, shell.Example = "Print the script for "+shell.Name()+".", examples[shell.Name()]
	}
}

// writeHelp writes what fits a screen.
func writeHelp(out io.Writer, cmd *cobra.Command) {
	isRoot := !cmd.HasParent() && cmd.HasSubCommands()
	first, _, _ := strings.Cut(longOf(cmd), "\n\n")
	fmt.Fprintf(out, "%s\n\n%s", reflow(first, helpWidth), usageLine(cmd))
	if isRoot {
		fmt.Fprintf(out, "\n%s", groupLines(cmd))
	}
	if cmd.HasExample() {
		fmt.Fprintf(out, "\nExamples:\n%s\n", cmd.Example)
	}
	if isRoot {
		fmt.Fprintf(out, "\n%s\n", reflow("`drover COMMAND --help` explains a command, `drover help COMMAND` says all of it; `drover help` has all commands, shared flags and exit codes.", helpWidth))
		return
	}
	if text := flagText(cmd.LocalNonPersistentFlags(), cmd.Flags().SortFlags); text != "" {
		fmt.Fprintf(out, "\nFlags:\n%s", text)
	}
	if cmd.HasParent() {
		fmt.Fprintf(out, "\n%s\n", reflow(fmt.Sprintf("All of it: `drover help %s`. Flags of every command: `drover help`.", pathBelowRoot(cmd)), helpWidth))
	}
}

// writeManual writes all there is.
func writeManual(out io.Writer, cmd *cobra.Command) {
	fmt.Fprintf(out, "%s\n\n%s", reflow(longOf(cmd), helpWidth), usageLine(cmd))
	if cmd.HasExample() {
		fmt.Fprintf(out, "\nExamples:\n%s\n", cmd.Example)
	}
	if !cmd.HasParent() {
		fmt.Fprintf(out, "\n%s", commandTable(cmd))
	}
	if text := flagText(cmd.LocalNonPersistentFlags(), cmd.Flags().SortFlags); text != "" {
		fmt.Fprintf(out, "\nFlags:\n%s", text)
	}
	if text := flagText(cmd.Root().PersistentFlags(), true); text != "" {
		fmt.Fprintf(out, "\nFlags of every command:\n%s", text)
	}
}

// longOf is the text about a command.
func longOf(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return strings.TrimSpace(cmd.Long)
	}
	return cmd.Short + "."
}

func usageLine(cmd *cobra.Command) string {
	line := "Usage: " + cmd.UseLine()
	if cmd.HasParent() && cmd.HasSubCommands() {
		line = "Usage: " + cmd.CommandPath() + " " + strings.Join(verbsLike(cmd, ""), "|")
	}
	return line + "\n"
}

func pathBelowRoot(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// grouped are the commands by group, and the rest under "More".
func grouped(root *cobra.Command, tell func(title string, verbs []*cobra.Command)) {
	left := slices.DeleteFunc(slices.Clone(root.Commands()), func(c *cobra.Command) bool {
		return !c.IsAvailableCommand() && c.Name() != "help"
	})
	for _, g := range verbGroups {
		var found []*cobra.Command
		for _, verb := range g.verbs {
			if i := slices.IndexFunc(left, func(c *cobra.Command) bool { return c.Name() == verb }); i >= 0 {
				found = append(found, left[i])
				left = slices.Delete(left, i, i+1)
			}
		}
		tell(g.title, found)
	}
	tell("More", left)
}

// groupLines are the commands' names, a group in a line.
func groupLines(root *cobra.Command) string {
	var b strings.Builder
	grouped(root, func(title string, verbs []*cobra.Command) {
		names := make([]string, len(verbs))
		for i, c := range verbs {
			names[i] = c.Name()
		}
		fmt.Fprintf(&b, "  %-11s%s\n", title, strings.Join(names, ", "))
	})
	return b.String()
}

// commandTable are the commands with what they do.
func commandTable(root *cobra.Command) string {
	var b strings.Builder
	grouped(root, func(title string, verbs []*cobra.Command) {
		fmt.Fprintf(&b, "%s:\n", title)
		for _, c := range verbs {
			fmt.Fprintf(&b, "%s\n", hang(fmt.Sprintf("  %-22s", c.Name()), c.Short, helpWidth))
		}
	})
	return b.String()
}

// flagText are flags without -h, which is how one came here.
func flagText(flags *pflag.FlagSet, isSorted bool) string {
	shown := pflag.NewFlagSet("", pflag.ContinueOnError)
	shown.SortFlags, flags.SortFlags = isSorted, isSorted
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "version" {
			shown.AddFlag(f)
		}
	})
	return shown.FlagUsagesWrapped(helpWidth)
}

// reflow breaks paragraphs into lines; a line that begins with a space is of a table,
// and stays.
func reflow(text string, width int) string {
	var lines, words []string
	flush := func() {
		if len(words) > 0 {
			lines = append(lines, hang("", strings.Join(words, " "), width))
		}
		words = nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" || line[0] == ' ' || line[0] == '\t' {
			flush()
			lines = append(lines, line)
			continue
		}
		words = append(words, strings.Fields(line)...)
	}
	flush()
	return strings.Join(lines, "\n")
}

// hang breaks a text into lines that begin below each other, beside a head.
func hang(head, text string, width int) string {
	indent := strings.Repeat(" ", utf8.RuneCountInString(head))
	line, at := head, utf8.RuneCountInString(head)
	var lines []string
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if i > 0 && at+1+n > width {
			lines = append(lines, line)
			line, at = indent, len(indent)
		} else if i > 0 {
			line, at = line+" ", at+1
		}
		line, at = line+word, at+n
	}
	return strings.Join(append(lines, line), "\n")
}
