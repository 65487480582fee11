package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// CorruptError is damage before the end of a file: a line that was once whole.
type CorruptError struct {
	// Line is the number of the damaged line in its file, from 1.
	Line int
	// Offset is where it begins; everything before it is intact.
	Offset int64
	// Cause says what is wrong with it.
	Cause error
}

// Error names the line and what is wrong with it.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("line %d (byte %d) is damaged: %v", e.Line, e.Offset, e.Cause)
}

// Unwrap gives the cause.
func (e *CorruptError) Unwrap() error { return e.Cause }

// extent is what a scan found to be intact.
type extent struct {
	// lines is the number of intact lines, good the offset behind the last.
	lines int
	good  int64
	// torn is the number of bytes behind good that have no newline: the trace of
	// a write that never returned.
	torn int64
	// first is the first line's number, prev the hash it names.
	first uint64
	prev  string
	// last is where the chain ends.
	last head
}

// next is the line number that must follow.
func (x *extent) next() int { return x.lines + 1 }

// add takes one more line into the extent, or says why it does not belong.
func (x *extent) add(l line) error {
	switch {
	case x.lines == 0:
		x.first, x.prev = l.Seq, l.prev
	case l.Seq != x.last.seq+1:
		return fmt.Errorf("number %d follows %d", l.Seq, x.last.seq)
	case l.prev != x.last.hash:
		return errors.New("does not name the line before it")
	}
	x.lines++
	x.last = head{seq: l.Seq, hash: l.hash}
	return nil
}

// scan reads lines until the end and hands each intact one to fn. Damage is a
// *CorruptError; a last line without its newline is no damage. The extent is
// valid with every error.
func scan(r io.Reader, fn func(line) error) (extent, error) {
	var x extent
	in := bufio.NewReaderSize(r, 64<<10)
	var buf []byte
	for {
		var err error
		buf, err = readLine(in, buf[:0])
		if errors.Is(err, io.EOF) {
			x.torn = int64(len(buf))
			return x, nil
		}
		if errors.Is(err, errTooLong) {
			return x, &CorruptError{Line: x.next(), Offset: x.good, Cause: err}
		}
		if err != nil {
			return x, fmt.Errorf("reading the journal: %w", err)
		}
		if err := x.take(buf, fn); err != nil {
			return x, err
		}
	}
}

// take parses one line with its newline, links it and hands it to fn.
func (x *extent) take(b []byte, fn func(line) error) error {
	l, err := parseLine(b[:len(b)-1])
	if err == nil {
		err = x.add(l)
	}
	if _, isNewer := errors.AsType[*VersionError](err); isNewer {
		return err
	}
	if err != nil {
		return &CorruptError{Line: x.next(), Offset: x.good, Cause: err}
	}
	x.good += int64(len(b))
	if fn == nil {
		return nil
	}
	l.end = x.good
	return fn(l)
}

// readLine reads up to and with the next newline, at most maxLine bytes. With
// io.EOF the bytes are those of an unfinished line.
func readLine(in *bufio.Reader, buf []byte) ([]byte, error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(buf)+len(part) > maxLine {
			return nil, errTooLong
		}
		buf = append(buf, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return buf, err
		}
	}
}
