package deploytool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// pollInterval is the tool's: it sleeps first, then reads.
const pollInterval = 2 * time.Second

// errTimeout is the end of a wait's budget.
var errTimeout = errors.New("too late")

// timeoutError says what was seen last.
type timeoutError struct{ after, last string }

// Error is for people.
func (e *timeoutError) Error() string { return "after " + e.after + ", " + e.last }

// Is makes it errTimeout.
func (e *timeoutError) Is(target error) bool { return target == errTimeout }

// await reads the service every two seconds until judge is content or fails, or
// the budget is used up. A read that fails is no answer: the next may succeed.
func (t *tool) await(ctx context.Context, budget time.Duration, judge func(*observe.Service) (bool, error)) error {
	begun, last := time.Now(), ""
	for {
		if err := sleep(ctx, pollInterval); err != nil {
			return err
		}
		// In whole polls, as the tool counts: with a budget of 300 s the last read is
		// at 300 s.
		if time.Since(begun).Truncate(pollInterval) > budget {
			return &timeoutError{budget.String(), t.lastSeen(last)}
		}
		s, err := t.read(ctx, t.service.Name)
		var unread *unreadError
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &unread) && unread.mayPass():
			last = err.Error()
			continue
		case err != nil:
			return err
		}
		last = ""
		t.take(s)
		if done, err := judge(&s); done || err != nil {
			return err
		}
	}
}

// lastSeen is the state of the service for a message; problem, when not empty, is
// why it is not known.
func (t *tool) lastSeen(problem string) string {
	if problem != "" {
		return problem
	}
	text := fmt.Sprintf("the service is '%s'", t.service.State)
	if t.service.TransitioningMessage != "" {
		text += ": " + t.service.TransitioningMessage
	}
	return text
}

// becomes waits for a state.
func (t *tool) becomes(state observe.ServiceState) func(*observe.Service) (bool, error) {
	return func(s *observe.Service) (bool, error) { return s.State == state, nil }
}

// sleep waits, or returns why it was cut short.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
