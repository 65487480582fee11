package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// Replayer hands the entries of the active file to fn, oldest first, and stops
// at fn's first error.
type Replayer func(fn func(Entry) error) error

// uncertainError says that a rename may or may not have happened, or may not be
// durable: what the open file is called is then unknown.
type uncertainError struct{ cause error }

func (e *uncertainError) Error() string { return e.cause.Error() }
func (e *uncertainError) Unwrap() error { return e.cause }

// ShouldRotate says that the active file has reached RotateSize and is at least
// half made of news, so that a large snapshot is not rotated over and over.
func (j *Journal) ShouldRotate() bool {
	return j.Size() >= j.opts.RotateSize && j.Size() >= 2*j.base.Load()
}

// Rotate begins a new active file with the snapshot and keeps the old one as
// history. The snapshot must say all that the state needs, entries included
// that were appended while it was made; Compact takes that care away.
func (j *Journal) Rotate(snapshot []Entry) error {
	return j.Compact(func(Replayer) ([]Entry, error) { return snapshot, nil })
}

// Compact rotates with a snapshot that summarize makes from the active file
// itself, while nothing can be appended: it must not call the journal's methods.
// An error of summarize or of making the new file leaves the journal as it was.
func (j *Journal) Compact(summarize func(Replayer) ([]Entry, error)) error {
	<-j.turn
	defer j.give()
	if err := j.usable(); err != nil {
		return err
	}
	snapshot, err := summarize(func(fn func(Entry) error) error {
		return replayFile(j.opts.fs, j.path(activeName), j.extent.good, fn)
	})
	if err != nil {
		return fmt.Errorf("rotating the journal: making the snapshot: %w", err)
	}
	if err := j.rotate(snapshot); err != nil {
		return fmt.Errorf("rotating the journal: %w", err)
	}
	j.prune()
	return nil
}

// rotate does the work of Rotate; the caller has the turn.
func (j *Journal) rotate(snapshot []Entry) error {
	entries := slices.Clone(snapshot)
	for i := range entries {
		if err := checkEntry(entries[i]); err != nil {
			return err
		}
		entries[i].Snapshot = true
	}
	keepAs := rotatedName(j.extent.first)
	if err := j.freeName(keepAs); err != nil {
		return err
	}
	m := marker{Event: "rotated", File: keepAs, IncompleteSince: j.marked.IncompleteSince}
	old := j.active
	err := j.install(strings.NewReader(""), extent{last: j.extent.last}, m, keepAs, entries)
	if _, isUncertain := errors.AsType[*uncertainError](err); isUncertain {
		return j.refuse(err)
	}
	if err != nil {
		return err
	}
	_ = old.Close() // Everything in it was synced.
	return nil
}

// freeName makes room for the active file's second name. A file that has it may
// be the active file itself, linked by a rotation that was killed; anything else
// (a journal restored from an older copy) is history, and moved aside.
func (j *Journal) freeName(name string) error {
	isActive, err := j.opts.fs.SameFile(j.path(name), j.path(activeName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case isActive:
		return j.opts.fs.Remove(j.path(name))
	}
	return j.opts.fs.Rename(j.path(name), j.path(name+".replaced-"+stamp(j.opts.Now())))
}

// swap keeps the active file under a second name, if one is given, and renames
// the new file into its place.
func (j *Journal) swap(keepAs string) error {
	if err := j.keep(keepAs); err != nil {
		return errors.Join(err, j.opts.fs.Remove(j.path(newName)))
	}
	if err := j.opts.fs.Rename(j.path(newName), j.path(activeName)); err != nil {
		return &uncertainError{err}
	}
	if err := j.opts.fs.SyncDir(j.dir); err != nil {
		return &uncertainError{err}
	}
	return nil
}

// keep gives the active file its second name, durably.
func (j *Journal) keep(name string) error {
	if name == "" {
		return nil
	}
	if err := j.opts.fs.Link(j.path(activeName), j.path(name)); err != nil {
		return err
	}
	return j.opts.fs.SyncDir(j.dir)
}

// prune removes the oldest rotated files beyond Keep. What cannot be removed
// now is removed after the next rotation.
func (j *Journal) prune() {
	if j.opts.Keep < 0 {
		return
	}
	files, err := rotatedFiles(j.opts.fs, j.dir)
	if err != nil {
		return
	}
	for _, f := range files[:max(0, len(files)-j.opts.Keep)] {
		_ = j.opts.fs.Remove(j.path(f.name))
	}
}

// rotated is a rotated file's name and the number of its first line.
type rotated struct {
	name  string
	first uint64
}

// rotatedName is the name of a rotated file that begins with line number first.
func rotatedName(first uint64) string { return fmt.Sprintf("journal-%020d.jsonl", first) }

// rotatedFiles lists the rotated files of a directory, oldest first.
func rotatedFiles(fsys filesystem, dir string) ([]rotated, error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []rotated
	for _, e := range entries { // Sorted by name, and so by number.
		digits, _ := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".jsonl"), "journal-")
		first, err := strconv.ParseUint(digits, 10, 64)
		if err == nil && e.Name() == rotatedName(first) {
			files = append(files, rotated{name: e.Name(), first: first})
		}
	}
	return files, nil
}
