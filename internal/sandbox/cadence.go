package sandbox

import "sync"

// cadence says which requests fail: evenly spread, so that of any run of requests the share fails, rounded up or down.
// Chance would make a demonstration wrong now and then; this never is.
type cadence struct {
	mu sync.Mutex
	// perMillion is the share.
	perMillion int
	// debt grows by the share with each request; a million is one failure.
	debt int
}

// newCadence begins at a place of the pattern that the seed chooses, so that containers do not fail in step.
func newCadence(perMillion int, seed uint64) *cadence {
	return &cadence{perMillion: perMillion, debt: int(seed % million)}
}

// next says whether the next request fails.
func (c *cadence) next() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.debt += c.perMillion
	if c.debt < million {
		return false
	}
	c.debt -= million
	return true
}
