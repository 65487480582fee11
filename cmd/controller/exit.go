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
	exitOtherwise
	exitTimeout
	exitNotConfirmed
	exitUnknown
	// exitInterrupted is what shells show of a program that SIGINT ended.
	exitInterrupted = 130
)

// exitCodes is the one table that code, --help and docs/cli.md share.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitOK, "done, or reached; `plan`, `simulate`: nothing would change"},
	{exitFailed, "failed; what went wrong is on standard error"},
	{exitUsage, "wrong flags, arguments or DROVER_* variables"},
	{exitChanges, "`plan`: changes are pending; `simulate`: an end would differ"},
	{exitRefused, "refused, nothing done: the command does not fit what goes on"},
	{exitNoDaemon, "the command needs the daemon, and none answers"},
	{exitOtherwise, "the rollout ended otherwise: rolled back, never applied, or taken over"},
	{exitTimeout, "not over within --timeout; the rollout goes on"},
	{exitNotConfirmed, "a person said no, nothing done"},
	{exitUnknown, "Rancher cannot be read, so it is not known what is or what came of it"},
	{exitInterrupted, "interrupted while waiting; the rollout goes on"},
}

// exitTable is the table as text, indented as what keeps its lines.
func exitTable() string {
	var b strings.Builder
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "    %3d  %s\n", e.code, e.meaning)
	}
	return strings.TrimRight(b.String(), "\n")
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
