package desired

import (
	"context"
	"fmt"
	"hash/maphash"
	"path/filepath"
	"reflect"
	"sync"
	"time"
)

// Source holds the last valid content of a targets.yaml. A file that has become
// wrong, empty or unreadable changes nothing: "no targets" is never concluded
// from a file that could not be read (rollout-safety C22, C23).
type Source struct {
	path string
	// seed is for the sums of readings.
	seed maphash.Seed

	mu      sync.Mutex
	current *Config
	// handled is what was read last and told to somebody, as content or failure;
	// pending is what a poll has read once.
	handled, pending reading
}

// reading is the outcome of reading the file: a sum of its content, or why there is
// none. The content itself may be a megabyte, which is neither kept nor made anew
// every second.
type reading struct {
	sum     uint64
	failure string
}

// NewSource reads the file for the first time; it must be valid.
func NewSource(path string) (*Source, error) {
	s := &Source{path: path, seed: maphash.MakeSeed()}
	if _, err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Current is the last valid configuration. It is shared and must not be changed.
func (s *Source) Current() *Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// Reload reads the file now, as on SIGHUP. It says whether Current is another
// configuration than before; with an error it is the one before.
func (s *Source) Reload() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(s.read())
}

// Run polls the file until ctx is done, and calls changed with each new valid
// configuration, failed once for each distinct way in which the file is wrong, and
// restored when it reads differently and means again what Current says. It compares
// contents, not times or inodes, so a file written in place, renamed into place or
// reached through a swapped symbolic link are all the same to it. A content must be
// read twice before it is taken, because a writer may be in the middle of the file.
// The callbacks run one after another, in the goroutine of Run; what Reload has
// answered they are not told again.
func (s *Source) Run(ctx context.Context, every time.Duration, changed func(*Config), restored func(), failed func(error)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		switch isRead, config, err := s.poll(); {
		case err != nil:
			failed(err)
		case config != nil:
			changed(config)
		case isRead:
			restored()
		}
	}
}

// poll answers nothing while there is nothing new to tell; isRead says that there was
// another content, or failure, than before.
func (s *Source) poll() (isRead bool, changed *Config, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.look()
	settled := seen == s.pending
	s.pending = seen
	if seen == s.handled || !settled {
		return false, nil, nil
	}
	again, data := s.read()
	if s.pending = again; again != seen {
		return false, nil, nil // A writer was faster.
	}
	isOther, err := s.take(again, data)
	if !isOther {
		return true, nil, err
	}
	return true, s.current, nil
}

// look reads the file and keeps nothing of it. It never fails; a failure is a reading
// too.
func (s *Source) look() reading {
	var sum maphash.Hash
	sum.SetSeed(s.seed)
	if err := copyRegular(&sum, s.path, maxFileSize); err != nil {
		return unreadable(err)
	}
	return reading{sum: sum.Sum64()}
}

// read is look with the content.
func (s *Source) read() (reading, []byte) {
	data, err := readRegular(s.path, maxFileSize)
	if err != nil {
		return unreadable(err), nil
	}
	return reading{sum: maphash.Bytes(s.seed, data)}, data
}

func unreadable(err error) reading {
	return reading{failure: fmt.Sprintf("cannot be read: %v", err)}
}

// take makes a reading the current configuration if it is valid. The caller
// holds the lock.
func (s *Source) take(r reading, data []byte) (changed bool, err error) {
	s.handled = r
	if r.failure != "" {
		return false, Errors{{File: s.path, Message: r.failure}}
	}
	config, err := Parse(filepath.Base(s.path), data)
	if err != nil {
		return false, err
	}
	changed = s.current == nil || !sameSettings(*s.current, *config)
	s.current = config
	return changed, nil
}

// sameSettings says that two configurations differ at most in comments and
// layout, which show in the lines of the warnings.
func sameSettings(a, b Config) bool {
	a.warnings, b.warnings = nil, nil
	return reflect.DeepEqual(a, b)
}
