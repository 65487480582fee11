package main

import (
	"fmt"
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
