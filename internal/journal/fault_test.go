package journal

import (
	"errors"
	"io/fs"
	"sync/atomic"
)

var errDead = errors.New("the process is dead")

// faultyDisk passes calls on and goes wrong at the chosen one: it fails that
// call (a write half done), and every later one too if it is a kill.
type faultyDisk struct {
	filesystem
	// calls counts down to the bad one.
	calls int
	// isKill says that no later call gets through.
	isKill bool
	// cause is what the bad call returns.
	cause error
	// happened says that the bad call came.
	happened bool
}

// step counts a call and says whether it goes wrong.
func (d *faultyDisk) step() error {
	d.calls--
	switch {
	case d.calls == 0:
		d.happened = true
		return d.cause
	case d.calls < 0 && d.isKill:
		return errDead
	}
	return nil
}

func (d *faultyDisk) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	f, err := d.filesystem.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file: f, disk: d}, nil
}

func (d *faultyDisk) SameFile(name, other string) (bool, error) {
	if err := d.step(); err != nil {
		return false, err
	}
	return d.filesystem.SameFile(name, other)
}

func (d *faultyDisk) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	return d.filesystem.ReadDir(name)
}

func (d *faultyDisk) Link(oldName, newName string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.filesystem.Link(oldName, newName)
}

func (d *faultyDisk) Rename(oldName, newName string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.filesystem.Rename(oldName, newName)
}

func (d *faultyDisk) Remove(name string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.filesystem.Remove(name)
}

func (d *faultyDisk) SyncDir(name string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.filesystem.SyncDir(name)
}

// faultyFile is a file of a faultyDisk.
type faultyFile struct {
	file
	disk *faultyDisk
}

func (f *faultyFile) Read(b []byte) (int, error) {
	if err := f.disk.step(); err != nil {
		return 0, err
	}
	return f.file.Read(b)
}

func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.disk.step(); err != nil {
		if errors.Is(err, errDead) {
			return 0, err
		}
		n, _ := f.file.Write(b[:len(b)/2])
		return n, err
	}
	return f.file.Write(b)
}

func (f *faultyFile) Sync() error {
	if err := f.disk.step(); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.disk.step(); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

// hangingDisk hangs in its first sync after it was armed.
type hangingDisk struct {
	filesystem
	armed            atomic.Bool
	reached, release chan struct{}
}

func (d *hangingDisk) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := d.filesystem.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &hangingFile{file: f, disk: d}, nil
}

type hangingFile struct {
	file
	disk *hangingDisk
}

func (f *hangingFile) Sync() error {
	if f.disk.armed.CompareAndSwap(true, false) {
		close(f.disk.reached)
		<-f.disk.release
	}
	return f.file.Sync()
}
