package journal

import (
	"io"
	"io/fs"
	"os"
)

// filesystem is the part of the operating system that the journal writes
// through. Tests put one in its place that dies at a chosen call.
type filesystem interface {
	OpenFile(name string, flag int, perm fs.FileMode) (file, error)
	// SameFile says whether two names are one file; the first may be missing.
	SameFile(name, other string) (bool, error)
	ReadDir(name string) ([]fs.DirEntry, error)
	Link(oldName, newName string) error
	Rename(oldName, newName string) error
	Remove(name string) error
	// SyncDir makes names created, renamed or removed in a directory durable.
	SyncDir(name string) error
}

// file is an open file of a filesystem.
type file interface {
	io.ReadWriteCloser
	io.Seeker
	Sync() error
	Truncate(size int64) error
}

// osFilesystem is the real one.
type osFilesystem struct{}

func (osFilesystem) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // Not a typed nil in the interface.
	}
	return f, nil
}

func (osFilesystem) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }
func (osFilesystem) Link(oldName, newName string) error         { return os.Link(oldName, newName) }
func (osFilesystem) Rename(oldName, newName string) error       { return os.Rename(oldName, newName) }
func (osFilesystem) Remove(name string) error                   { return os.Remove(name) }

func (osFilesystem) SameFile(name, other string) (bool, error) {
	a, err := os.Stat(name)
	if err != nil {
		return false, err
	}
	b, err := os.Stat(other)
	if err != nil {
		return false, err
	}
	return os.SameFile(a, b), nil
}

func (osFilesystem) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
