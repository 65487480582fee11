package evidence

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Limits bound what is kept. The zero value has the defaults.
type Limits struct {
	// File bounds the looks of one rollout in bytes; default 16 MiB. Containers and
	// the end may take a quarter more.
	File int64
	// Files and Total bound all files together; default 200 and 512 MiB. The oldest
	// go.
	Files int
	Total int64
}

func (l Limits) withDefaults() Limits {
	l.File, l.Files, l.Total = cmp.Or(l.File, 16<<20), cmp.Or(l.Files, 200), cmp.Or(l.Total, 512<<20)
	return l
}

// Step is one step of a target, for the record.
type Step struct {
	// In is what was decided from, Decision what was decided.
	In       reconcile.Input
	Decision reconcile.Decision
	// Before are facts that others wrote down before the look, Facts those of this
	// step.
	Before, Facts []reconcile.Event
	// Sent is the action that left, at SentAt.
	Sent   reconcile.Action
	SentAt time.Time
	Err    string
}

// Store writes the evidence of rollouts into a folder. It may be used by many at
// once. Its errors are told and change nothing.
type Store struct {
	dir, build string
	limits     Limits

	mu       sync.Mutex
	redactor *Redactor
	// writers are by target.
	writers map[string]*writer
}

// Open uses a folder, which it makes. build is the program's version.
func Open(dir, build string, limits Limits) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the folder of evidence: %w", err)
	}
	return &Store{dir: dir, build: build, limits: limits.withDefaults(), redactor: NewRedactor(), writers: map[string]*writer{}}, nil
}

// Redact masks other secrets from now on.
func (s *Store) Redact(r *Redactor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redactor = r
}

// Redactor is the one in force.
func (s *Store) Redactor() *Redactor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.redactor
}

// Path is where a rollout's evidence is, whether there is any or not.
func Path(dir, rollout string) string { return filepath.Join(dir, fileName(rollout)) }

// fileName is a name that cannot lead out of the folder: a rollout's id may come
// from a label that anybody wrote.
func fileName(rollout string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, rollout)
	return name[:min(len(name), 100)] + ".jsonl"
}

// writer appends to one rollout's file.
type writer struct {
	rollout string
	file    *os.File
	size    int64
	limits  Limits
	isFull  bool
	// parts, target and said are as they were written last.
	parts  map[string]string
	target []byte
	said   string
	// isNew says that no look of this segment was written yet.
	isNew bool
}

// Record writes one step down, when it is about a rollout.
func (s *Store) Record(key string, step Step) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	after := step.In.History.Apply(step.Facts...)
	r := subject(step.In, after)
	w := s.writers[key]
	if w != nil && (r == nil || r.ID != w.rollout) {
		if err := s.closeWriter(key); err != nil {
			return fmt.Errorf("closing the evidence of rollout %s: %w", w.rollout, err)
		}
		w = nil
	}
	if r == nil {
		return nil
	}
	if w == nil {
		var err error
		if w, err = s.open(key, r, step.In); err != nil {
			return err
		}
	}
	if err := s.writeLook(w, step); err != nil {
		return err
	}
	if step.In.History.Rollout != nil && after.Rollout == nil && after.Last != nil && after.Last.ID == r.ID {
		return s.write(w, Line{At: step.In.Now, End: &End{Outcome: after.Last.Outcome, Reason: after.Last.Reason}}, true)
	}
	return nil
}

// subject is the rollout that a step is about: the open one, the one it closes or
// the one on probation.
func subject(in reconcile.Input, after reconcile.History) *reconcile.Rollout {
	switch w := after.Probation; {
	case after.Rollout != nil:
		return after.Rollout
	case in.History.Rollout != nil:
		return in.History.Rollout
	case w != nil && in.Now.Before(w.Until):
		return &w.Rollout
	}
	return nil
}

// AddContainer writes a container of the open rollout of a target down.
func (s *Store) AddContainer(key string, at time.Time, c Container) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.writers[key]
	if w == nil {
		return nil
	}
	return s.write(w, Line{At: at, Container: &c}, true)
}

// Close closes all files.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for key := range s.writers {
		errs = append(errs, s.closeWriter(key))
	}
	return errors.Join(errs...)
}

func (s *Store) closeWriter(key string) error {
	w := s.writers[key]
	delete(s.writers, key)
	return w.file.Close()
}

// open begins a segment, in a new file or at the end of one.
func (s *Store) open(key string, r *reconcile.Rollout, in reconcile.Input) (*writer, error) {
	path := Path(s.dir, r.ID)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the evidence of rollout %s: %w", r.ID, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the evidence of rollout %s: %w", r.ID, err), f.Close())
	}
	w := &writer{rollout: r.ID, file: f, size: info.Size(), limits: s.limits, parts: map[string]string{}, isNew: true}
	if err := s.begin(w, key, r, in); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.writers[key] = w
	return w, nil
}

func (s *Store) begin(w *writer, key string, r *reconcile.Rollout, in reconcile.Input) error {
	if w.size == 0 {
		s.prune()
		about := About{
			Version: formatVersion, ID: r.ID, Kind: r.Kind, Target: key, Tag: r.Tag, From: r.From.Digest, To: r.To.Digest,
			Image: r.To.Image, Revision: r.Revision, Started: r.Started, Deadline: r.Deadline,
		}
		if err := s.write(w, Line{At: in.Now, Rollout: &about}, true); err != nil {
			return err
		}
	}
	memory, err := json.Marshal(in.Memory)
	if err != nil {
		return err
	}
	segment := Segment{Build: s.build, Shape: reconcile.MemoryShape, History: withholdAll(in.History), Memory: memory}
	return s.write(w, Line{At: in.Now, Segment: &segment}, true)
}

func (s *Store) writeLook(w *writer, step Step) error {
	look, err := w.look(step)
	if err != nil {
		return err
	}
	return s.write(w, Line{At: step.In.Now, Look: look}, false)
}

// look makes a line of what is news.
func (w *writer) look(step Step) (*Look, error) {
	l := &Look{Facts: withholdIn(step.Facts), Sent: step.Sent, SentAt: step.SentAt, Error: step.Err, Seen: map[string]json.RawMessage{}}
	if !w.isNew {
		l.Before = withholdIn(step.Before) // A new segment's history has them.
	}
	w.isNew = false
	parts, err := partsOf(step.In.Observed)
	if err != nil {
		return nil, fmt.Errorf("writing a look down: %w", err)
	}
	w.keepNews(l, parts)
	target, err := json.Marshal(step.In.Target)
	if err != nil {
		return nil, fmt.Errorf("writing a policy down: %w", err)
	}
	if !bytes.Equal(target, w.target) {
		t := step.In.Target
		l.Target, w.target = &t, target
	}
	if d := decidedOf(step.Decision); d.summary() != w.said {
		l.Decided, w.said = &d, d.summary()
	}
	return l, nil
}

// empty are parts that say nothing.
var empty = map[string]bool{"{}": true, "null": true}

// keepNews keeps of the parts what changed, or happened.
func (w *writer) keepNews(l *Look, parts map[string]json.RawMessage) {
	for name, part := range parts {
		switch {
		case !isState(name) && empty[string(part)]:
		case !isState(name):
			l.Seen[name] = part
		case w.parts[name] != string(part):
			l.Seen[name], w.parts[name] = part, string(part)
		}
	}
	for name := range w.parts {
		if _, ok := parts[name]; !ok {
			l.Seen[name] = json.RawMessage("null")
			delete(w.parts, name)
		}
	}
}

func decidedOf(d reconcile.Decision) Decided {
	return Decided{Phase: d.Phase, Code: d.Code, Reason: d.Reason, Action: d.Action, Alert: d.Alert, Gates: d.Gates}
}

// summary is what makes a decision another one: not the figures.
func (d Decided) summary() string {
	var b strings.Builder
	fmt.Fprint(&b, d.Phase, " ", d.Code, " ", d.Action, " ", d.Alert)
	for i := range d.Gates {
		f := &d.Gates[i]
		fmt.Fprint(&b, " ", f.Gate, "=", f.Verdict, "/", f.Code)
	}
	return b.String()
}

// write appends a line. isNeeded says that it may go beyond the bound of looks.
func (s *Store) write(w *writer, line Line, isNeeded bool) error {
	if w.isFull && !isNeeded {
		return nil
	}
	data, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("writing evidence: %w", err)
	}
	data = s.redactor.Bytes(data)
	if !json.Valid(data) {
		data = fmt.Appendf(nil, `{"at":%q,"cut":"a line could not be kept without a secret in it"}`, line.At.Format(time.RFC3339Nano))
	}
	bound := w.limits.File
	if isNeeded {
		bound += bound / 4
	}
	if w.size+int64(len(data)) > bound {
		if w.isFull {
			return nil
		}
		w.isFull = true
		data = fmt.Appendf(nil, `{"at":%q,"cut":"the file is full: no further looks are kept"}`, line.At.Format(time.RFC3339Nano))
	}
	n, err := w.file.Write(append(data, '\n'))
	w.size += int64(n)
	if err != nil {
		return fmt.Errorf("writing the evidence of rollout %s: %w", w.rollout, err)
	}
	return nil
}

// prune removes the oldest files until another one has room.
func (s *Store) prune() {
	type old struct {
		path string
		at   time.Time
		size int64
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	var files []old
	total := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || filepath.Ext(e.Name()) != ".jsonl" {
			continue
		}
		files = append(files, old{filepath.Join(s.dir, e.Name()), info.ModTime(), info.Size()})
		total += info.Size()
	}
	slices.SortFunc(files, func(a, b old) int { return a.at.Compare(b.at) })
	for len(files) > 0 && (len(files) > s.limits.Files || total+s.limits.File > s.limits.Total) {
		if err := os.Remove(files[0].path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return
		}
		total -= files[0].size
		files = files[1:]
	}
}

// SecretsOf reads all secrets that a configuration names, for a Redactor. One that
// cannot be read masks nothing.
func SecretsOf(config *desired.Config) []string {
	var values []string
	for _, s := range config.Secrets() {
		if v, err := s.Value(); err == nil {
			values = append(values, v)
		}
	}
	return values
}
