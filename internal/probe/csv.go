package probe

import (
	"bytes"
	"errors"
)

// maxText bounds a cell that is kept.
const maxText = 1024

var (
	errTooFewCells  = errors.New("too few cells")
	errTooManyCells = errors.New("too many cells")
	errQuote        = errors.New("a quoted cell does not end")
)

// scanner cuts HAProxy's CSV into cells without copying them. Quoting is that of
// RFC 4180 and rare: HAProxy quotes a cell only when it has to.
type scanner struct {
	data []byte
	pos  int
	// line counts from 1, for messages.
	line int
	// eol says that the last cell was the last of its line.
	eol bool
}

func (s *scanner) done() bool { return s.pos >= len(s.data) }

// skipEmptyLine steps over a line without cells; the page ends with one.
func (s *scanner) skipEmptyLine() bool {
	rest := s.data[s.pos:]
	n := 0
	if bytes.HasPrefix(rest, []byte("\r")) {
		n = 1
	}
	if n < len(rest) && rest[n] != '\n' {
		return false
	}
	s.pos = min(s.pos+n+1, len(s.data))
	s.line++
	return true
}

// cell returns the next cell; its bytes are valid as long as the data is.
func (s *scanner) cell() ([]byte, error) {
	if s.eol {
		return nil, errTooFewCells
	}
	if s.pos < len(s.data) && s.data[s.pos] == '"' {
		return s.quotedCell()
	}
	for i := s.pos; i < len(s.data); i++ {
		switch s.data[i] {
		case ',':
			cell := s.data[s.pos:i]
			s.pos = i + 1
			return cell, nil
		case '\n':
			return s.lastCell(s.pos, i), nil
		}
	}
	return s.lastCell(s.pos, len(s.data)), nil
}

// lastCell is data[from:end], which ends its line.
func (s *scanner) lastCell(from, end int) []byte {
	s.pos, s.eol = min(end+1, len(s.data)), true
	return bytes.TrimSuffix(s.data[from:end], []byte("\r"))
}

func (s *scanner) quotedCell() ([]byte, error) {
	start := s.pos + 1
	escaped := false
	for i := start; i < len(s.data); i++ {
		if s.data[i] != '"' {
			continue
		}
		if i+1 < len(s.data) && s.data[i+1] == '"' {
			escaped = true
			i++
			continue
		}
		return s.closeQuote(s.data[start:i], i+1, escaped)
	}
	return nil, errQuote
}

// closeQuote ends a quoted cell; what follows must be a comma or the line's end.
func (s *scanner) closeQuote(cell []byte, next int, escaped bool) ([]byte, error) {
	if escaped {
		cell = bytes.ReplaceAll(cell, []byte(`""`), []byte(`"`))
	}
	if next < len(s.data) && s.data[next] == '\r' {
		next++
	}
	switch {
	case next >= len(s.data) || s.data[next] == '\n':
		s.eol = true
	case s.data[next] != ',':
		return nil, errQuote
	}
	s.pos = min(next+1, len(s.data))
	return cell, nil
}

// endLine steps over the rest of a line, which must hold n more named cells and,
// after a trailing comma, at most one empty cell without a name.
func (s *scanner) endLine(n int) error {
	if !s.eol && n > 1 {
		if more, ok := s.skipPlainCells(); ok {
			n -= more
		}
	}
	for ; n > 0; n-- {
		if _, err := s.cell(); err != nil {
			return err
		}
	}
	if !s.eol {
		if cell, err := s.cell(); err != nil || len(cell) > 0 || !s.eol {
			return errTooManyCells
		}
	}
	s.eol = false
	s.line++
	return nil
}

// skipPlainCells jumps to the last cell of a line without quotes, and says how
// many cells that were.
func (s *scanner) skipPlainCells() (n int, ok bool) {
	rest := s.data[s.pos:]
	if end := bytes.IndexByte(rest, '\n'); end >= 0 {
		rest = rest[:end]
	}
	if bytes.IndexByte(rest, '"') >= 0 {
		return 0, false
	}
	// The last comma may be the trailing one: stop before the cell ahead of it.
	last := bytes.LastIndexByte(rest, ',')
	if last < 0 {
		return 0, false
	}
	last = bytes.LastIndexByte(rest[:last], ',')
	if last < 0 {
		return 0, false
	}
	s.pos += last + 1
	return bytes.Count(rest[:last+1], []byte(",")), true
}

// parseCounter reads digits; ok is false for anything else and for what is too
// large to be true.
func parseCounter(cell []byte) (v int64, ok bool) {
	if len(cell) == 0 || len(cell) > maxDigits {
		return 0, false
	}
	for _, c := range cell {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	return v, true
}

// maxDigits bounds a number below 10^13, thirty years of 10,000 requests a second:
// anything larger is garbage, and maxRows of them still add up without overflow.
const maxDigits = 13
