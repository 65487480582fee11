package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Replay hands every entry of the active file to fn, oldest first: the whole
// state. Appends may go on meanwhile; what they add is not seen.
func (j *Journal) Replay(fn func(Entry) error) error {
	f, size, err := j.snapshotFile()
	if err != nil {
		return err
	}
	defer f.Close()
	return replay(io.LimitReader(f, size), fn)
}

// snapshotFile opens the active file and says how far it is good now. The open
// file stays the same one when a rotation renames another over its name.
func (j *Journal) snapshotFile() (file, int64, error) {
	if err := j.take(context.Background()); err != nil {
		return nil, 0, err
	}
	defer j.give()
	if j.closed {
		return nil, 0, ErrClosed
	}
	f, err := j.opts.fs.OpenFile(j.path(activeName), os.O_RDONLY, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the journal: %w", err)
	}
	return f, j.extent.good, nil
}

// Reader reads a state directory that another process may be writing to. It
// holds nothing open between calls.
type Reader struct {
	dir string
}

// OpenReadOnly finds the journal in dir. The error wraps fs.ErrNotExist when
// there is none.
func OpenReadOnly(dir string) (*Reader, error) {
	if _, err := os.Stat(filepath.Join(dir, activeName)); err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	return &Reader{dir: dir}, nil
}

// Replay hands every entry of the active file to fn, oldest first. A last line
// that is still being written is left out.
func (r *Reader) Replay(fn func(Entry) error) error {
	return replayFile(osFilesystem{}, filepath.Join(r.dir, activeName), math.MaxInt64, fn)
}

// History hands every entry that is still kept to fn, oldest first, from the
// rotated files and the active one, without the snapshots that repeat state.
func (r *Reader) History(fn func(Entry) error) error {
	news := func(e Entry) error {
		if e.Snapshot {
			return nil
		}
		return fn(e)
	}
	return r.eachFile(func(_ string, f file) error { return replay(f, news) })
}

// eachFile opens the rotated files and the active one in the chain's order. The
// active file is opened first of all: whatever is rotated later was in it.
func (r *Reader) eachFile(visit func(name string, f file) error) error {
	path := filepath.Join(r.dir, activeName)
	active, err := osFilesystem{}.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	defer active.Close()
	older, err := r.olderThan(active)
	if err != nil {
		return err
	}
	for _, name := range older {
		if err := r.visitFile(filepath.Join(r.dir, name), visit); err != nil {
			return err
		}
	}
	return visit(path, active)
}

// visitFile opens one rotated file; one that was pruned meanwhile is no error.
func (r *Reader) visitFile(path string, visit func(name string, f file) error) error {
	f, err := osFilesystem{}.OpenFile(path, os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	defer f.Close()
	return visit(path, f)
}

// olderThan names the rotated files that end before the active file begins. A
// file with the active one's own number is the active one, linked by a rotation
// that is under way or was killed.
func (r *Reader) olderThan(active file) ([]string, error) {
	first, err := firstLine(active)
	if err != nil {
		return nil, err
	}
	files, err := rotatedFiles(osFilesystem{}, r.dir)
	if err != nil {
		return nil, fmt.Errorf("listing the journal's files: %w", err)
	}
	var names []string
	for _, f := range files {
		if f.first < first {
			names = append(names, f.name)
		}
	}
	return slices.Clip(names), nil
}

// firstLine reads the number of a file's first line and rewinds the file. A
// file without a whole line sorts behind every other.
func firstLine(f file) (uint64, error) {
	errStop := errors.New("stop")
	first := uint64(math.MaxUint64)
	_, err := scan(f, func(l line) error {
		first = l.Seq
		return errStop
	})
	_, isDamaged := errors.AsType[*CorruptError](err)
	if err != nil && !isDamaged && !errors.Is(err, errStop) {
		return 0, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return first, err
}

// replayFile replays the first size bytes of a file.
func replayFile(fsys filesystem, path string, size int64, fn func(Entry) error) error {
	f, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	defer f.Close()
	return replay(io.LimitReader(f, size), fn)
}

// replay hands on the entries that are not the journal's own.
func replay(r io.Reader, fn func(Entry) error) error {
	_, err := scan(r, func(l line) error {
		if l.Type == markerType {
			return nil
		}
		return fn(l.Entry)
	})
	return err
}
