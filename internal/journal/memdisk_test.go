package journal

import (
	"bytes"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing/fstest"
)

// memDisk is a disk that loses at a power failure what was not synced: file
// contents without Sync, names without SyncDir.
type memDisk struct {
	// names is what processes see; durable is what the platter has.
	names, durable map[string]*inode
}

// inode is a file's contents, as seen and as synced.
type inode struct {
	data, synced []byte
}

func newMemDisk() *memDisk {
	return &memDisk{names: map[string]*inode{}, durable: map[string]*inode{}}
}

// powerFailure returns the disk as it comes up again. What was not synced is
// lost or kept, name by name and file by file, as random says; an append that
// was not synced may be kept in part.
func (d *memDisk) powerFailure(random *rand.Rand) *memDisk {
	after := newMemDisk()
	files := map[*inode]*inode{}
	survive := func(n *inode) *inode {
		if files[n] == nil {
			b := n.survivor(random)
			files[n] = &inode{data: b, synced: slices.Clone(b)}
		}
		return files[n]
	}
	for _, name := range d.allNames() {
		from := d.durable
		if random.IntN(2) == 0 {
			from = d.names
		}
		if n := from[name]; n != nil {
			after.names[name], after.durable[name] = survive(n), survive(n)
		}
	}
	return after
}

// allNames are the names that processes or the platter know, sorted.
func (d *memDisk) allNames() []string {
	var names []string
	for name := range d.names {
		names = append(names, name)
	}
	for name := range d.durable {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// survivor is what is left of a file's contents.
func (n *inode) survivor(random *rand.Rand) []byte {
	if !bytes.HasPrefix(n.data, n.synced) {
		return slices.Clone(n.synced) // Truncated since: the old length.
	}
	return slices.Clone(n.data[:len(n.synced)+random.IntN(len(n.data)-len(n.synced)+1)])
}

func (d *memDisk) OpenFile(name string, flag int, _ fs.FileMode) (file, error) {
	n := d.names[name]
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, fs.ErrNotExist
	case n != nil && flag&os.O_EXCL != 0:
		return nil, fs.ErrExist
	case n == nil:
		n = &inode{}
		d.names[name] = n
	}
	return &memFile{inode: n}, nil
}

func (d *memDisk) SameFile(name, other string) (bool, error) {
	if d.names[name] == nil {
		return false, fs.ErrNotExist
	}
	return d.names[name] == d.names[other], nil
}

func (d *memDisk) ReadDir(string) ([]fs.DirEntry, error) {
	listing := fstest.MapFS{}
	for name := range d.names {
		listing[filepath.Base(name)] = &fstest.MapFile{}
	}
	return listing.ReadDir(".")
}

func (d *memDisk) Link(oldName, newName string) error {
	if d.names[newName] != nil {
		return fs.ErrExist
	}
	d.names[newName] = d.names[oldName]
	return nil
}

func (d *memDisk) Rename(oldName, newName string) error {
	d.names[newName] = d.names[oldName]
	delete(d.names, oldName)
	return nil
}

func (d *memDisk) Remove(name string) error {
	if d.names[name] == nil {
		return fs.ErrNotExist
	}
	delete(d.names, name)
	return nil
}

func (d *memDisk) SyncDir(string) error {
	d.durable = map[string]*inode{}
	for name, n := range d.names {
		d.durable[name] = n
	}
	return nil
}

// memFile is an open file of a memDisk; writes append.
type memFile struct {
	*inode
	at int
}

func (f *memFile) Read(b []byte) (int, error) {
	if f.at >= len(f.data) {
		return 0, io.EOF
	}
	n := copy(b, f.data[f.at:])
	f.at += n
	return n, nil
}

func (f *memFile) Seek(offset int64, _ int) (int64, error) {
	f.at = int(offset)
	return offset, nil
}

func (f *memFile) Write(b []byte) (int, error) {
	f.data = append(f.data, b...)
	return len(b), nil
}

func (f *memFile) Sync() error {
	f.synced = slices.Clone(f.data)
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.data = f.data[:size]
	return nil
}

func (f *memFile) Close() error { return nil }
