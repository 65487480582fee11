package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	// startsWindow is how far back starts without a proper end count: a daemon that
	// has lived longer is not in a crash loop.
	startsWindow = 5 * time.Minute
	// startsToObserve is how many of them make the next one only observe.
	startsToObserve = 5
	// firstDelay is the pause before the third start in a row, doubled for each
	// further one up to lastDelay.
	firstDelay, lastDelay = time.Second, 30 * time.Second
	// maxStarts bounds what is remembered.
	maxStarts = 16
)

// Starts are the times at which this Drover began lately and did not end properly
// (C9). What kills it may be what it does; so the next start waits a little longer
// each time, and after five it only observes until it has lived for a while.
type Starts struct {
	path string
	// at is when this start was; unended are those before it.
	at      time.Time
	unended []time.Time
}

// CountStart writes a start down in the state directory. Only one process may hold
// the directory: it is called with the journal open.
func CountStart(dir string, now time.Time) (*Starts, error) {
	s := &Starts{path: filepath.Join(dir, "starts"), at: now}
	text, err := os.ReadFile(s.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return s, fmt.Errorf("reading earlier starts: %w", err)
	}
	var before []time.Time
	if json.Unmarshal(text, &before) != nil && err == nil {
		// What cannot be read is at least one start that ended badly.
		before = []time.Time{now}
	}
	for _, t := range before {
		if now.Sub(t).Abs() < startsWindow {
			s.unended = append(s.unended, t)
		}
	}
	s.unended = s.unended[max(0, len(s.unended)-maxStarts+1):]
	return s, s.write(append(s.unended[:len(s.unended):len(s.unended)], now))
}

func (s *Starts) write(times []time.Time) error {
	text, err := json.Marshal(times)
	if err != nil {
		return fmt.Errorf("writing down a start: %w", err)
	}
	hidden := s.path + ".new"
	if err := errors.Join(os.WriteFile(hidden, append(text, '\n'), 0o600), os.Rename(hidden, s.path)); err != nil {
		return fmt.Errorf("writing down a start: %w", err)
	}
	return nil
}

// Unended is how many starts of the last five minutes did not end properly.
func (s *Starts) Unended() int { return len(s.unended) }

// Delay is how long this start waits before it does anything.
func (s *Starts) Delay() time.Duration {
	if len(s.unended) < 2 {
		return 0
	}
	return min(firstDelay<<(len(s.unended)-2), lastDelay)
}

// ObserveUntil is until when nothing may be done; zero when there is no such time.
func (s *Starts) ObserveUntil() time.Time {
	if len(s.unended) < startsToObserve {
		return time.Time{}
	}
	return s.at.Add(startsWindow)
}

// End says that this run ended properly: there is no crash loop.
func (s *Starts) End() error {
	if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forgetting earlier starts: %w", err)
	}
	return nil
}
