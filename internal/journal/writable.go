package journal

import (
	"context"
	"os"
	"time"
)

const (
	tryName = "journal.try"
	// trySize is about what the lines of one rollout take.
	trySize = 16 << 10
	// tryEvery is how long a try that went well holds.
	tryEvery = 30 * time.Second
)

// Writable says why an append would fail now, nil when it would not: what the
// last one failed with, or what a small file fails with that is written, synced
// and removed. Whoever asks for the daemon's health asks this and not Failed:
// for days there may be nothing to append, and a disk that has filled up
// meanwhile would be found by the rollout that needs it.
func (j *Journal) Writable(ctx context.Context) error {
	if err := j.Failed(); err != nil {
		return err
	}
	if at := j.tried.Load(); at != nil && j.opts.Now().Sub(*at) < tryEvery {
		return nil
	}
	return j.inTurn(ctx, "trying to write beside the journal", j.try)
}

// try does the work of Writable; the caller has the turn.
func (j *Journal) try() error {
	if err := j.usable(); err != nil {
		return err
	}
	err := j.writeTry()
	if gone := j.opts.fs.Remove(j.path(tryName)); err == nil {
		err = gone
	}
	if err != nil {
		return err
	}
	now := j.opts.Now()
	j.tried.Store(&now)
	return nil
}

func (j *Journal) writeTry() error {
	f, err := j.opts.fs.OpenFile(j.path(tryName), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, trySize)); err != nil {
		return err
	}
	return f.Sync()
}
