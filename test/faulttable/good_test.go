package faulttable

import (
	"testing"
	"time"
)

// TestGoodVersion is the story that every row bends.
func TestGoodVersion(t *testing.T) {
	play(t, options{}, func(w *world) {
		w.push("v2", behaviour{})
		w.untilClosed(5 * time.Minute)
		w.wantFinished("v2")
		w.wantSent("upgrade 202, finishupgrade 202")
		w.wantEvents("started", "answer", "confirmed", "finishing", "answer", "finished")
	})
}
