package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// Recovery is what Open found out of order. The zero value means nothing.
type Recovery struct {
	// Created says that there was no journal: the first start, or a lost store.
	Created bool
	// Torn is the number of bytes of an unfinished last line that were cut off.
	Torn int64
	// Corrupt is the path under which a damaged file was kept; the journal goes
	// on with the intact lines in front of the damage.
	Corrupt string
	// Cause is the damage.
	Cause error
	// IncompleteSince is when this journal last began without knowing its past:
	// its creation, unless it was the first here, or its last cut. Callers start conservatively until some
	// time after it, also when they were restarted in between.
	IncompleteSince time.Time
}

// markerType is the Type of the journal's own entries.
const markerType = "journal"

// marker is the Data of the journal's own entries.
type marker struct {
	// Event is created, rotated or recovered.
	Event string `json:"event"`
	// File is where the lines before, or the damaged file, are found.
	File string `json:"file,omitempty"`
	// Cause is the damage.
	Cause string `json:"cause,omitempty"`
	// IncompleteSince is Recovery's; it travels through rotations.
	IncompleteSince time.Time `json:"incompleteSince,omitzero"`
}

// entry wraps the marker.
func (m marker) entry() (Entry, error) {
	data, err := json.Marshal(m)
	return Entry{Type: markerType, Data: data}, err
}

// load reads the active file and leaves it open, intact and durable. The caller
// has the turn.
func (j *Journal) load() error {
	if err := j.removeLeftover(); err != nil {
		return err
	}
	f, err := j.opts.fs.OpenFile(j.path(activeName), os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return j.create()
	}
	if err != nil {
		return err
	}
	return j.adopt(f)
}

// removeLeftover removes a file that was never renamed into place.
func (j *Journal) removeLeftover() error {
	err := j.opts.fs.Remove(j.path(newName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// create starts a journal. Where rotated files tell of an earlier one, the
// chain goes on from the last of them.
func (j *Journal) create() error {
	last, err := j.lastRotated()
	if err != nil {
		return err
	}
	now := j.opts.Now()
	if j.opts.First && last.hash == genesis {
		now = time.Time{}
	}
	j.recovery = Recovery{Created: true, IncompleteSince: now}
	return j.install(strings.NewReader(""), extent{last: last}, marker{Event: "created", IncompleteSince: now}, "", nil)
}

// lastRotated is where the newest rotated file ends.
func (j *Journal) lastRotated() (head, error) {
	names, err := rotatedFiles(j.opts.fs, j.dir)
	if err != nil || len(names) == 0 {
		return head{hash: genesis}, err
	}
	f, err := j.opts.fs.OpenFile(j.path(names[len(names)-1].name), os.O_RDONLY, 0)
	if err != nil {
		return head{}, err
	}
	defer f.Close()
	x, err := scan(f, nil)
	if _, isDamaged := errors.AsType[*CorruptError](err); isDamaged {
		err = nil // The lines before the damage are as good a start as any.
	}
	if x.lines == 0 {
		x.last.seq = names[len(names)-1].first
	}
	return x.last, err
}

// adopt takes an existing file as the active one.
func (j *Journal) adopt(f file) error {
	defer func() {
		if j.active != f {
			_ = f.Close() // It was only read.
		}
	}()
	var found findings
	x, err := scan(f, found.see)
	damage, isDamaged := errors.AsType[*CorruptError](err)
	switch {
	case isDamaged:
		return j.cut(x, damage)
	case err != nil:
		return err
	case x.lines == 0:
		// The first line is there before the file has its name.
		return j.cut(x, &CorruptError{Line: 1, Cause: errors.New("no whole line")})
	}
	if err := j.trim(f, x); err != nil {
		return err
	}
	j.recovery = Recovery{Torn: x.torn, IncompleteSince: found.marked.IncompleteSince}
	j.use(f, x, found)
	return nil
}

// findings is what load remembers of the lines.
type findings struct {
	// marked is the last marker.
	marked marker
	// base is where the leading marker and snapshot end.
	base int64
	// isPast says that base is final.
	isPast bool
}

// see notes markers and how far the snapshot reaches.
func (f *findings) see(l line) error {
	if l.Type != markerType && !l.Snapshot {
		f.isPast = true
	}
	if !f.isPast {
		f.base = l.end
	}
	if l.Type != markerType {
		return nil
	}
	var m marker
	if err := json.Unmarshal(l.Data, &m); err != nil {
		return fmt.Errorf("reading the journal's own entry %d: %w", l.Seq, err)
	}
	f.marked = m
	return nil
}

// trim cuts a torn line off and makes what is left durable: lines of a process
// that was killed before its sync may so far be in memory only.
func (j *Journal) trim(f file, x extent) error {
	if x.torn > 0 {
		if err := f.Truncate(x.good); err != nil {
			return fmt.Errorf("cutting a torn line off: %w", err)
		}
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing the journal: %w", err)
	}
	return j.opts.fs.SyncDir(j.dir)
}

// use makes f the active file.
func (j *Journal) use(f file, x extent, found findings) {
	x.torn = 0
	j.active, j.marked = f, found.marked
	j.base.Store(found.base)
	j.setExtent(x)
}

// cut keeps a damaged file aside and goes on with its intact lines.
func (j *Journal) cut(x extent, damage *CorruptError) error {
	if x.lines == 0 {
		last, err := j.lastRotated()
		if err != nil {
			return err
		}
		x.last = last
	}
	intact, err := j.opts.fs.OpenFile(j.path(activeName), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer intact.Close()
	now := j.opts.Now()
	aside := activeName + ".corrupt-" + stamp(now)
	m := marker{Event: "recovered", File: aside, Cause: damage.Error(), IncompleteSince: now}
	if err := j.install(io.LimitReader(intact, x.good), x, m, aside, nil); err != nil {
		return fmt.Errorf("recovering, as %w: %w", damage, err)
	}
	j.recovery = Recovery{Corrupt: j.path(aside), Cause: damage, IncompleteSince: now}
	return nil
}

// stamp is a time as it stands in file names.
func stamp(t time.Time) string { return t.UTC().Format("20060102T150405.000000000Z") }

// install writes a new active file of some bytes, a marker and entries, keeps
// the present one under a second name, and puts the new one in its place.
func (j *Journal) install(before io.Reader, x extent, m marker, keepAs string, entries []Entry) error {
	own, err := m.entry()
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	x, err = j.encodeAny(&buf, x, append([]Entry{own}, entries...))
	if err != nil {
		return err
	}
	f, err := j.build(io.MultiReader(before, &buf))
	if err != nil {
		return err
	}
	if err := j.swap(keepAs); err != nil {
		return errors.Join(err, f.Close())
	}
	j.use(f, x, findings{marked: m, base: x.good})
	return nil
}

// build writes a complete file under the temporary name.
func (j *Journal) build(content io.Reader) (file, error) {
	name := j.path(newName)
	f, err := j.opts.fs.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("creating a journal file: %w", err)
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		_, _ = f.Close(), j.opts.fs.Remove(name)
		return nil, fmt.Errorf("writing a journal file: %w", err)
	}
	return f, nil
}
