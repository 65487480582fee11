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

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
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
	return t, endOf(s.Language, t, goal, err)
}

// errTimeout says that --timeout is over.
var errTimeout = errors.New("not over in time")

// endOf is the error of a rollout that did not come to its goal.
func endOf(l language.Language, t operator.Track, goal operator.Goal, err error) error {
	switch {
	case t.Has(goal):
		return nil
	case t.Outcome != operator.Open:
		return &exitError{exitOtherwise, l.Errorf("%s ended otherwise: %s", t.Key, joinReason(outcomeIn(l, string(t.Outcome)), t.Reason))}
	case !t.BlindSince.IsZero():
		return &exitError{exitUnknown, l.Errorf("%s: what came of it is not known: %s", t.Key, t.Text)}
	case errors.Is(err, errTimeout):
		return &exitError{exitTimeout, l.Errorf("%s: not %s in time: %s", t.Key, goal, t.Text)}
	}
	return &exitError{exitInterrupted, l.Errorf("stopped waiting; the rollout of %s goes on: %s", t.Key, t.Text)}
}

func joinReason(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}

// explain gives an error its exit code.
func explain(l language.Language, err error) error {
	var refused *operator.RefusedError
	var needs *operator.NeedsDaemonError
	var blind *operator.BlindError
	switch {
	case errors.As(err, &refused):
		return &exitError{exitRefused, l.Errorf("refused: %w", err)}
	case errors.As(err, &needs):
		return &exitError{exitNoDaemon, l.Errorf("%w; start one with `drover run`", err)}
	case errors.As(err, &blind):
		return &exitError{exitUnknown, l.Errorf("%w: nothing was done", err)}
	case errors.Is(err, web.ErrNoDaemon):
		return &exitError{exitNoDaemon, l.Errorf("%w any more: it is not known whether it took the command", err)}
	}
	return err
}

// confirm asks whether to go on; anything but yes is no.
func confirm(in io.Reader, out io.Writer, l language.Language) error {
	fmt.Fprint(out, l.Sprintf("go on? [y/N] "))
	line, err := bufio.NewReader(io.LimitReader(in, 64)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return &exitError{exitNotConfirmed, l.Errorf("not confirmed, nothing done")}
	}
	return nil
}
