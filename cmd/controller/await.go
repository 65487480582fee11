package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
)

// await follows a rollout with a progress line. Its error carries the exit code of
// whatever came instead of the goal.
func await(cmd *cobra.Command, s *operator.Session, t operator.Track, goal operator.Goal, timeout time.Duration) (operator.Track, error) {
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), timeout, errTimeout)
	defer cancel()
	p := newProgress(cmd.ErrOrStderr())
	t, err := s.Follow(ctx, t, goal, followEvery, p.tell)
	p.end()
	return t, endOf(t, goal, err)
}

// errTimeout says that --timeout is over.
var errTimeout = errors.New("not over in time")

// endOf is the error of a rollout that did not come to its goal.
func endOf(t operator.Track, goal operator.Goal, err error) error {
	switch {
	case t.Has(goal):
		return nil
	case t.Outcome != operator.Open:
		return &exitError{exitOtherwise, fmt.Errorf("%s ended otherwise: %s", t.Key, joinReason(string(t.Outcome), t.Reason))}
	case !t.BlindSince.IsZero():
		return &exitError{exitUnknown, fmt.Errorf("%s: what came of it is not known: %s", t.Key, t.Text)}
	case errors.Is(err, errTimeout):
		return &exitError{exitTimeout, fmt.Errorf("%s: not %s in time: %s", t.Key, goal, t.Text)}
	}
	return &exitError{exitInterrupted, fmt.Errorf("stopped waiting; the rollout of %s goes on: %s", t.Key, t.Text)}
}

func joinReason(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}

// explain gives an error its exit code.
func explain(err error) error {
	var refused *operator.RefusedError
	var needs *operator.NeedsDaemonError
	var blind *operator.BlindError
	switch {
	case errors.As(err, &refused):
		return &exitError{exitRefused, fmt.Errorf("refused: %w", err)}
	case errors.As(err, &needs):
		return &exitError{exitNoDaemon, fmt.Errorf("%w; start one with `drover run`", err)}
	case errors.As(err, &blind):
		return &exitError{exitUnknown, fmt.Errorf("%w: nothing was done", err)}
	case errors.Is(err, web.ErrNoDaemon):
		return &exitError{exitNoDaemon, fmt.Errorf("%w any more: it is not known whether it took the command", err)}
	}
	return err
}

// errNotConfirmed says that a person thought better of it.
var errNotConfirmed = &exitError{exitNotConfirmed, errors.New("not confirmed, nothing done")}

func confirm(in io.Reader, out io.Writer, question string) error {
	fmt.Fprintf(out, "%s? [y/N] ", question)
	line, err := bufio.NewReader(io.LimitReader(in, 64)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return errNotConfirmed
	}
	return nil
}
