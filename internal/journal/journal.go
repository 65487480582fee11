package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

const (
	activeName = "journal.jsonl"
	newName    = "journal.jsonl.new"
	lockName   = "journal.lock"
)

// Options bounds a journal. The zero value means the defaults.
type Options struct {
	// RotateSize is the size from which ShouldRotate asks for a rotation;
	// default 16 MiB.
	RotateSize int64
	// MaxSize is the size beyond which Append refuses with ErrFull; default
	// 256 MiB.
	MaxSize int64
	// Keep is how many rotated files are kept; default 8, negative means all.
	Keep int
	// First says that the caller knows of no earlier journal here: one that begins
	// now has lost nothing.
	First bool
	// Now gives entries without a time theirs; default time.Now.
	Now func() time.Time

	// fs is the operating system unless a test says otherwise.
	fs filesystem
}

// setDefaults fills what is zero.
func (o *Options) setDefaults() {
	if o.RotateSize == 0 {
		o.RotateSize = 16 << 20
	}
	if o.MaxSize == 0 {
		o.MaxSize = 256 << 20
	}
	if o.Keep == 0 {
		o.Keep = 8
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.fs == nil {
		o.fs = osFilesystem{}
	}
}

var (
	// ErrClosed is what a closed journal answers.
	ErrClosed = errors.New("the journal is closed")
	// ErrFull says that an append would pass MaxSize. The journal is not failed:
	// a rotation makes room.
	ErrFull = errors.New("the journal is full and must be rotated")
)

// LockedError says that another process, or another part of this one, has the
// journal open.
type LockedError struct {
	// Dir is the state directory.
	Dir string
	// PID is the holder's process id, 0 when unknown.
	PID int
}

// Error names the directory and the holder.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("the journal in %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("the journal in %s is in use by process %d", e.Dir, e.PID)
}

// Journal is the one writer of a state directory. Its methods may be called
// from several goroutines.
type Journal struct {
	dir  string
	opts Options
	lock io.Closer

	// turn holds one token; whoever took it may touch the fields below it. A
	// channel and not a mutex, because a disk may hang and callers have
	// deadlines.
	turn     chan struct{}
	active   file
	extent   extent
	marked   marker
	recovery Recovery
	closed   bool

	// These are read without the turn: size is extent.good, base the size that
	// the last rotation left.
	size   atomic.Int64
	base   atomic.Int64
	failed atomic.Pointer[error]
	// tried is when Writable last saw a try go well.
	tried atomic.Pointer[time.Time]
}

// Open opens the journal in dir for writing, creates what is missing and
// repairs what a crash or a bad disk left; Recovery tells what that was. While
// another process has it open the error is a *LockedError.
func Open(dir string, opts Options) (*Journal, error) {
	opts.setDefaults()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the state directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	j := &Journal{dir: dir, opts: opts, lock: lock, turn: make(chan struct{}, 1)}
	j.turn <- struct{}{}
	if err := j.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the journal in %s: %w", dir, err), lock.Close())
	}
	return j, nil
}

// Append writes the entries, in their order and in one write, and returns when
// they are on disk. On an error none of them counts, and unless it is about the
// entries themselves or ErrFull the journal has failed.
func (j *Journal) Append(entries ...Entry) error {
	return j.AppendContext(context.Background(), entries...)
}

// AppendContext is Append for callers that cannot wait for a hanging disk. When
// the context ends first the entries may still be written later: their fate is
// unknown until the journal has been read again.
func (j *Journal) AppendContext(ctx context.Context, entries ...Entry) error {
	return j.inTurn(ctx, "appending to the journal", func() error { return j.append(entries) })
}

// inTurn takes the turn and has the disk work, for as long as the context lasts.
func (j *Journal) inTurn(ctx context.Context, doing string, work func() error) error {
	if err := j.take(ctx); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	done := make(chan error, 1)
	// The worker gives the turn back, and Close takes it: that is the wait.
	go func() {
		defer j.give()
		done <- work()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s: not on disk yet: %w", doing, context.Cause(ctx))
	}
}

// take waits for the turn.
func (j *Journal) take(ctx context.Context) error {
	select {
	case <-j.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// give hands the turn on.
func (j *Journal) give() { j.turn <- struct{}{} }

// append does the work of Append; the caller has the turn.
func (j *Journal) append(entries []Entry) error {
	if err := j.usable(); err != nil {
		return err
	}
	var buf bytes.Buffer
	x, err := j.encode(&buf, j.extent, entries)
	if err != nil {
		return fmt.Errorf("appending to the journal: %w", err)
	}
	if buf.Len() == 0 {
		return nil
	}
	if x.good > j.opts.MaxSize {
		return fmt.Errorf("appending to the journal: %w", ErrFull)
	}
	return j.write(buf.Bytes(), x)
}

// usable says why nothing may be written, if so.
func (j *Journal) usable() error {
	if j.closed {
		return ErrClosed
	}
	return j.Failed()
}

// encode appends the entries' lines to buf and returns the extent they lead to.
func (j *Journal) encode(buf *bytes.Buffer, x extent, entries []Entry) (extent, error) {
	for _, e := range entries {
		if err := checkEntry(e); err != nil {
			return x, err
		}
	}
	return j.encodeAny(buf, x, entries)
}

// encodeAny is encode for entries of the journal's own as well.
func (j *Journal) encodeAny(buf *bytes.Buffer, x extent, entries []Entry) (extent, error) {
	start := buf.Len()
	for _, e := range entries {
		if e.Time.IsZero() {
			e.Time = j.opts.Now()
		}
		last, err := encodeLine(buf, e, x.last)
		if err != nil {
			return x, err
		}
		if x.lines == 0 {
			x.first, x.prev = last.seq, x.last.hash
		}
		x.last = last
		x.lines++
	}
	x.good += int64(buf.Len() - start)
	return x, nil
}

// write puts the bytes at the end of the file and on disk.
func (j *Journal) write(b []byte, x extent) error {
	if _, err := j.active.Write(b); err != nil {
		return j.fail(fmt.Errorf("writing the journal: %w", err))
	}
	if err := j.active.Sync(); err != nil {
		return j.fail(fmt.Errorf("syncing the journal: %w", err))
	}
	j.setExtent(x)
	return nil
}

// setExtent notes how far the file is good.
func (j *Journal) setExtent(x extent) {
	j.extent = x
	j.size.Store(x.good)
}

// fail takes back what a failed write may have left, as far as the disk still
// obeys, and refuses everything until Reopen. Taking back is for order's sake:
// a torn line is survived, and a whole one was never acknowledged.
func (j *Journal) fail(cause error) error {
	if err := j.active.Truncate(j.extent.good); err == nil {
		_ = j.active.Sync() // The journal has failed already.
	}
	return j.refuse(cause)
}

// refuse marks the journal as failed.
func (j *Journal) refuse(cause error) error {
	err := fmt.Errorf("the journal has failed and must be reopened: %w", cause)
	j.failed.Store(&err)
	return err
}

// Failed returns the error after which nothing is written any more, or nil.
func (j *Journal) Failed() error {
	if err := j.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Size is the size of the active file.
func (j *Journal) Size() int64 { return j.size.Load() }

// Dir is the state directory.
func (j *Journal) Dir() string { return j.dir }

// Recovery is what the last Open or Reopen found out of order.
func (j *Journal) Recovery() Recovery {
	<-j.turn
	defer j.give()
	return j.recovery
}

// Reopen reads the file again, repairs it as Open does, and ends the failed
// state. The lock is kept throughout.
func (j *Journal) Reopen() error {
	<-j.turn
	defer j.give()
	if j.closed {
		return ErrClosed
	}
	_ = j.active.Close() // Whatever it had to say, the file is read anew.
	if err := j.load(); err != nil {
		return j.refuse(fmt.Errorf("reopening the journal in %s: %w", j.dir, err))
	}
	j.failed.Store(nil)
	return nil
}

// Close waits for an append under way, closes the file and drops the lock.
func (j *Journal) Close() error {
	<-j.turn
	defer j.give()
	if j.closed {
		return nil
	}
	j.closed = true
	return errors.Join(j.active.Close(), j.lock.Close())
}

// path is a file's path in the state directory.
func (j *Journal) path(name string) string { return filepath.Join(j.dir, name) }
