package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// sayArguments has every command say what it takes when it is called with
// something else, instead of a count.
func sayArguments(root *cobra.Command) {
	for _, c := range root.Commands() {
		if check := c.Args; check != nil {
			c.Args = func(cmd *cobra.Command, args []string) error {
				if check(cmd, args) == nil {
					return nil
				}
				return fmt.Errorf("%s takes %s, and got %s", cmd.Name(), takes(cmd), gotten(args))
			}
		}
	}
}

// takes are a command's arguments as its usage line has them.
func takes(cmd *cobra.Command) string {
	_, arguments, _ := strings.Cut(cmd.Use, " ")
	if arguments == "" {
		return "no arguments"
	}
	return arguments
}

func gotten(args []string) string {
	if len(args) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%q", strings.Join(args, " "))
}

// otherWords are what users of kubectl, docker and the old tools call a command.
var otherWords = map[string][]string{
	"status":   {"get", "ps", "list", "ls", "describe", "show", "top"},
	"why":      {"explain", "events", "reason"},
	"rollback": {"rollout", "undo", "revert", "back"},
	"upgrade":  {"deploy", "apply", "up", "update", "set", "start", "create", "push"},
	"finish":   {"confirm", "finishupgrade", "promote", "commit"},
	"cancel":   {"abort", "stop", "kill", "cancelupgrade"},
	"watch":    {"follow", "attach", "ui"},
	"logs":     {"log", "tail"},
	"history":  {"rollouts", "audit", "journal"},
	"pause":    {"hold", "freeze", "suspend"},
	"resume":   {"continue", "unpause", "release", "thaw"},
	"plan":     {"diff", "dry-run", "preview"},
	"validate": {"check", "test", "verify"},
	"run":      {"serve", "daemon", "server", "agent"},
}

// knowOtherWords suggests a command for what others call it.
func knowOtherWords(root *cobra.Command) {
	for _, c := range root.Commands() {
		c.SuggestFor = otherWords[c.Name()]
	}
}

// misused is a complaint about how drover was called, in one line, and what helps:
// the command that cobra suggests, or the help of the one that was called.
func misused(text string, called *cobra.Command) string {
	said, suggested, ok := strings.Cut(text, "\n\nDid you mean this?\n")
	if !ok {
		return text + "; see " + called.CommandPath() + " --help"
	}
	names := strings.Fields(suggested)
	slices.Sort(names)
	for i, name := range names {
		names[i] = "`drover " + name + "`"
	}
	return said + "; did you mean " + strings.Join(names, " or ") + "?"
}

// namesShown is how many names an error lists of those that there are.
const namesShown = 8

// thereAre lists what there is where something else was asked for; nothing when
// there is none.
func thereAre(names []string) string {
	switch n := len(names); {
	case n == 0:
		return ""
	case n > namesShown:
		return fmt.Sprintf("; there are %s and %d more", strings.Join(names[:namesShown], ", "), n-namesShown)
	case n == 1:
		return "; there is " + names[0]
	}
	return "; there are " + strings.Join(names, ", ")
}
