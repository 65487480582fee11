package journal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// fullDisk is one on which nothing more can be written while it is full.
type fullDisk struct {
	filesystem
	isFull bool
	writes int
}

func (d *fullDisk) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := d.filesystem.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &fullFile{file: f, disk: d}, nil
}

type fullFile struct {
	file
	disk *fullDisk
}

func (f *fullFile) Write(b []byte) (int, error) {
	if f.disk.isFull {
		return 0, syscall.ENOSPC
	}
	f.disk.writes++
	return f.file.Write(b)
}

// TestWritable: a disk that fills up is seen though nothing is appended, and so is
// the room that somebody makes; a good try holds for a while.
func TestWritable(t *testing.T) {
	now := time.Unix(1000, 0)
	disk := &fullDisk{filesystem: osFilesystem{}}
	j, err := Open(t.TempDir(), Options{Now: func() time.Time { return now }, fs: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	ask := func(want error) {
		t.Helper()
		if got := j.Writable(t.Context()); !errors.Is(got, want) || (got == nil) != (want == nil) {
			t.Errorf("Writable() = %v, want %v", got, want)
		}
	}
	ask(nil)
	before := disk.writes
	ask(nil)
	if disk.writes != before {
		t.Errorf("asking again at once writes again")
	}
	disk.isFull = true
	now = now.Add(tryEvery)
	ask(syscall.ENOSPC)
	ask(syscall.ENOSPC)
	if _, err := os.Stat(filepath.Join(j.Dir(), tryName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a try leaves its file behind: %v", err)
	}
	if j.Failed() != nil {
		t.Errorf("a try fails the journal: %v", j.Failed())
	}
	disk.isFull = false
	ask(nil)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(tryEvery)
	ask(ErrClosed)
}

// TestWritableOnAHangingDisk: who asks is answered when their time is over.
func TestWritableOnAHangingDisk(t *testing.T) {
	disk := &hangingDisk{filesystem: osFilesystem{}, reached: make(chan struct{}), release: make(chan struct{})}
	j, err := Open(t.TempDir(), Options{fs: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	defer close(disk.release)
	disk.armed.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := j.Writable(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Writable() = %v, want %v", err, context.DeadlineExceeded)
	}
}
