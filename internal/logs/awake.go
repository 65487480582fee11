package logs

import "time"

// sleepLimit is how far the wall clock may run ahead between two questions before
// the machine is taken to have slept. A clock that is set by more looks the same,
// and costs one reconnect.
const sleepLimit = 5 * time.Second

// Awake notices that the machine slept: the wall clock went on meanwhile and the
// monotonic one stood still, as it does in a suspend (Linux CLOCK_MONOTONIC,
// clock_gettime(2); macOS mach_absolute_time). What was connected before may be dead
// and not know it: no packet told either side, and every timer that would notice
// stood still too. Its zero value has not been asked.
type Awake struct {
	wall    time.Time
	running time.Duration
}

// Slept says for how long the machine slept since the last question; 0 when it did
// not. wall is the wall clock's time, running what the monotonic clock says.
func (a *Awake) Slept(wall time.Time, running time.Duration) time.Duration {
	before := *a
	a.wall, a.running = wall.Round(0), running
	if before.wall.IsZero() {
		return 0
	}
	if d := a.wall.Sub(before.wall) - (running - before.running); d > sleepLimit {
		return d
	}
	return 0
}

// Clocks reads both clocks, for Slept.
func Clocks() func() (wall time.Time, running time.Duration) {
	begun := time.Now()
	return func() (time.Time, time.Duration) {
		now := time.Now()
		return now.Round(0), now.Sub(begun)
	}
}
