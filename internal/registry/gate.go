package registry

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// minWait and maxWait clamp Retry-After: a registry can neither make Drover
	// hammer nor go silent for a day.
	minWait = time.Second
	maxWait = time.Hour
	// maxPause bounds the pauses Drover takes by itself.
	maxPause = time.Minute
	// toleratedFailures is how many requests in a row may fail before the whole
	// registry is left alone for a while.
	toleratedFailures = 3
)

// gate is what all requests to one registry pass: its rate, its concurrency, and
// the pauses it asked for or earned.
type gate struct {
	slots   chan struct{}
	limiter *rate.Limiter

	mu sync.Mutex
	// until is the end of the pause; why is the error that began it.
	until time.Time
	why   error
	// failures counts failed requests since the last answer, pauses the pauses
	// that followed one another.
	failures, pauses int
}

// newGate makes a gate; 0 requests per second means no limit.
func newGate(perSecond float64, concurrency int) *gate {
	g := &gate{slots: make(chan struct{}, concurrency), limiter: rate.NewLimiter(rate.Inf, 1)}
	if perSecond > 0 {
		g.limiter = rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond)))
	}
	return g
}

// enter waits for a turn, or returns at once with the error that began the pause.
func (g *gate) enter(ctx context.Context) error {
	if err := g.paused(); err != nil {
		return err
	}
	if err := g.limiter.Wait(ctx); err != nil {
		return &Error{Message: "no turn within the registry's rate limit in time", Err: err}
	}
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return &Error{Message: "no turn within the registry's concurrency limit in time", Err: context.Cause(ctx)}
	}
	// The pause may have begun while this request waited.
	if err := g.paused(); err != nil {
		g.leave()
		return err
	}
	return nil
}

// leave gives the turn back.
func (g *gate) leave() { <-g.slots }

// paused is the error that began a pause under way; nil when there is none.
func (g *gate) paused() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Now().Before(g.until) {
		return g.why
	}
	return nil
}

// openAt is when requests are let in again; in the past when they are now.
func (g *gate) openAt() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.until
}

// record learns from the outcome of a request.
func (g *gate) record(err error) {
	e, _ := errors.AsType[*Error](err)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case e == nil || !e.Temporary():
		g.failures, g.pauses = 0, 0
	case e.Wait > 0:
		g.pause(e, e.Wait)
	default:
		g.failures++
		if e.RateLimited() || g.failures >= toleratedFailures {
			g.pause(e, g.nextPause())
		}
	}
}

// pause keeps requests out for a while. A pause under way is only ever extended.
func (g *gate) pause(why error, d time.Duration) {
	now := time.Now()
	if !now.Before(g.until) {
		g.pauses++
	}
	if until := now.Add(d); until.After(g.until) {
		g.until, g.why = until, why
	}
}

// nextPause doubles from a second up, give or take a fifth. A pause under way is
// not lengthened by the requests that were on their way when it began.
func (g *gate) nextPause() time.Duration {
	if time.Now().Before(g.until) {
		return 0
	}
	d := min(time.Second<<min(g.pauses, 10), maxPause)
	return jitter(d, 0.2)
}

// parseRetryAfter reads seconds or a date (RFC 9110, 10.2.3), clamped to
// [minWait, maxWait]. What cannot be read is the shortest wait.
func parseRetryAfter(s string, now time.Time) time.Duration {
	s = strings.TrimSpace(s)
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		return clampWait(time.Duration(min(max(seconds, 0), int64(maxWait/time.Second))) * time.Second)
	}
	if isNumber(s) {
		return maxWait
	}
	if at, err := http.ParseTime(s); err == nil {
		return clampWait(at.Sub(now))
	}
	return minWait
}

// isNumber says that s is digits only: here, a number too large to parse.
func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func clampWait(d time.Duration) time.Duration { return min(max(d, minWait), maxWait) }

// jitter is d, give or take the share.
func jitter(d time.Duration, share float64) time.Duration {
	return time.Duration(float64(d) * (1 - share + 2*share*rand.Float64()))
}
