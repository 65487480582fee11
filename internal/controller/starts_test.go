package controller

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestCrashLoopWaitsLongerAndThenObserves is C9.
func TestCrashLoopWaitsLongerAndThenObserves(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	begin := func(at time.Time) *Starts {
		t.Helper()
		s, err := CountStart(dir, at)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for i, want := range []time.Duration{0, 0, 1, 2, 4, 8, 16, 30, 30} {
		at := now.Add(time.Duration(i) * time.Second)
		s := begin(at)
		if s.Delay() != want*time.Second {
			t.Errorf("start %d waits %s, want %s", i+1, s.Delay(), want*time.Second)
		}
		until := time.Time{}
		if i >= 5 {
			until = at.Add(5 * time.Minute)
		}
		if s.Unended() != i || !s.ObserveUntil().Equal(until) {
			t.Errorf("start %d: %d unended, observes until %v, want %d and %v", i+1, s.Unended(), s.ObserveUntil(), i, until)
		}
	}
	// It lives on, and is killed once much later: that is no loop.
	if s := begin(now.Add(6 * time.Minute)); s.Unended() != 0 {
		t.Errorf("after six minutes %d starts count, want none", s.Unended())
	}
	// A clock that goes back a day hides nothing and blocks nothing for long.
	if s := begin(now.Add(-24 * time.Hour)); s.Unended() != 0 || !s.ObserveUntil().IsZero() {
		t.Errorf("a day back: %d unended, observes until %v", s.Unended(), s.ObserveUntil())
	}
}

func TestAProperEndIsNoCrash(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	for range 20 {
		s, err := CountStart(dir, now)
		if err != nil || s.Unended() != 0 {
			t.Fatalf("CountStart = %d unended, %v, want 0", s.Unended(), err)
		}
		if err := s.End(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "starts"), []byte(`["2026-05-`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := CountStart(dir, now); err != nil || s.Unended() != 1 {
		t.Errorf("after a damaged file: %d unended, %v, want 1", s.Unended(), err)
	}
	for range 100 {
		if _, err := CountStart(dir, now); err != nil {
			t.Fatal(err)
		}
	}
	if s, _ := CountStart(dir, now); s.Unended() >= maxStarts {
		t.Errorf("%d starts are remembered, want fewer than %d", s.Unended(), maxStarts)
	}
}
