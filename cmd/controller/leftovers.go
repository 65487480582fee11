package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// gcPercent makes the collector run six times as often as Go's default: a daemon
	// lives for months and allocates little, so memory is dearer than the time.
	gcPercent = 15
	// giveBackEvery is how often the daemon looks for memory that a burst of work left:
	// a start, a listing of Rancher.
	giveBackEvery = 30 * time.Second
	// giveBackFrom is how much of it is worth the trouble, in bytes.
	giveBackFrom = 2 << 20
)

// setCollector sets the collector's pace, unless the environment does.
func setCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// giveBack returns to the kernel what bursts of work leave behind, until ctx ends. Go
// does so too, but slowly, and keeps a tenth more than it needed at the highest.
func giveBack(ctx context.Context) error {
	tick := time.NewTicker(giveBackEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if hasLeftovers() {
			debug.FreeOSMemory()
		}
	}
}

// hasLeftovers says that more of the heap is free than what passes between two runs of
// the collector.
func hasLeftovers() bool {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	free, live := samples[0].Value.Uint64(), samples[1].Value.Uint64()
	return free > live*gcPercent/100+giveBackFrom
}
