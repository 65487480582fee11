package desired

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one complaint about targets.yaml.
type Error struct {
	// File is the file's name without its folder; of a file that could not be read
	// its path as it was asked for.
	File string `json:"file"`
	// Line counts from 1; 0 means the file as a whole.
	Line int `json:"line,omitempty"`
	// Path is the key complained of, as in targets[2].gates.http.port.
	Path string `json:"path,omitempty"`
	// Message says what is wrong and, where it can, what to write instead. It
	// never holds a value that stands beside a secret's key.
	Message string `json:"message"`
}

// Error is the complaint in the form compilers use, so that editors jump to it.
func (e Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Path != "" {
		b.WriteString(": " + e.Path)
	}
	return b.String() + ": " + e.Message
}

// Errors are all complaints about one file, in the order of its lines.
type Errors []Error

// Error is one complaint per line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// maxErrors bounds what is said about one file: a thousand complaints have one
// cause, and the reader is a person.
const maxErrors = 1000

// complaints collects errors about one file. A complaint made twice, because
// many targets inherit the same mistake from defaults, is kept once.
type complaints struct {
	file string
	list Errors
	seen map[Error]bool
	// paths are the keys complained of, so that later checks do not build on
	// values already refused.
	paths map[string]bool
}

func newComplaints(file string) *complaints {
	return &complaints{file: file, seen: map[Error]bool{}, paths: map[string]bool{}}
}

// add notes a complaint; past the bound it only counts.
func (c *complaints) add(line int, path, format string, args ...any) {
	e := Error{File: c.file, Line: line, Path: path, Message: fmt.Sprintf(format, args...)}
	c.paths[path] = true
	if c.seen[e] {
		return
	}
	c.seen[e] = true
	c.list = append(c.list, e)
}

// sorted are the complaints by line, cut at the bound.
func (c *complaints) sorted() Errors {
	slices.SortStableFunc(c.list, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), comparePaths(a.Path, b.Path))
	})
	if len(c.list) <= maxErrors {
		return c.list
	}
	more := Error{File: c.file, Message: fmt.Sprintf("and %d more mistakes", len(c.list)-maxErrors)}
	return append(slices.Clone(c.list[:maxErrors]), more)
}

// comparePaths orders complaints of one line; shorter indexes first, so that
// targets[2] comes before targets[10].
func comparePaths(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// err is nil when there is nothing to complain of.
func (c *complaints) err() error {
	if len(c.list) == 0 {
		return nil
	}
	return c.sorted()
}
