package main

import (
	"errors"
	"fmt"
	"strings"
)

// Exit codes. A script may rely on them.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitChanges
	exitRefused
	exitNoDaemon
)

// exitCodes is the one table that code, --help and docs/cli.md share.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitOK, "done; `plan`: nothing to do"},
	{exitFailed, "failed; what went wrong is on standard error"},
	{exitUsage, "wrong flags, arguments or DROVER_* variables"},
	{exitChanges, "`plan`: changes are pending"},
	{exitRefused, "the daemon refused a command because it does not fit what goes on"},
	{exitNoDaemon, "a command needs the daemon, and none runs on this state directory"},
}

// exitTable is the table as text.
func exitTable() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "  %d  %s\n", e.code, e.meaning)
	}
	return b.String()
}

// exitError ends the process with a code. With a nil cause nothing is printed:
// what there is to say has been said.
type exitError struct {
	code  int
	cause error
}

// Error is the cause.
func (e *exitError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.cause.Error()
}

// Unwrap is the cause.
func (e *exitError) Unwrap() error { return e.cause }

// quietly ends with a code and no message.
func quietly(code int) error { return &exitError{code: code} }

// codeOf is the exit code of an error; wasStarted says that the command had begun,
// so that it is not about flags and arguments.
func codeOf(err error, wasStarted bool) int {
	var exit *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return exit.code
	case !wasStarted:
		return exitUsage
	}
	return exitFailed
}
