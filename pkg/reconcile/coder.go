package reconcile

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"slices"
	"strconv"
	"time"
)

// coder goes through the fields of a Memory and writes, reads or names them. Each
// type lists its fields once, in a method of memoryfields.go, so that writing and
// reading cannot differ.
type coder struct {
	// tree are the fields of the value at hand, by name.
	tree map[string]any
	// isReading takes the values from the tree; otherwise they go into it.
	isReading bool
	// shape, when not nil, gets the names and kinds of all fields, and nothing is
	// written or read.
	shape io.Writer
	// known counts the fields of the tree that were read.
	known int
	err   error
}

var errShape = errors.New("the memory has another shape")

// maxItems bounds a list that is read.
const maxItems = 100_000

// field is one value that is no struct: write makes JSON of it, read takes it back.
func (c *coder) field(name, kind string, isZero bool, write func() any, read func(any) error) {
	switch {
	case c.shape != nil:
		fmt.Fprintf(c.shape, "%s:%s;", name, kind)
	case c.isReading:
		if value, ok := c.tree[name]; ok {
			c.known++
			c.fail(name, read(value))
		}
	case !isZero:
		c.tree[name] = write()
	}
}

func (c *coder) fail(name string, err error) {
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("%s: %w", name, err)
	}
}

func (c *coder) time(name string, t *time.Time) {
	c.field(name, "time", t.IsZero(), func() any { return t.Format(time.RFC3339Nano) }, func(value any) (err error) {
		text, ok := value.(string)
		if !ok {
			return errShape
		}
		*t, err = time.Parse(time.RFC3339Nano, text)
		return err
	})
}

func (c *coder) flag(name string, b *bool) {
	c.field(name, "bool", !*b, func() any { return *b }, func(value any) error {
		on, ok := value.(bool)
		if !ok {
			return errShape
		}
		*b = on
		return nil
	})
}

// float is written as text: JSON has no infinity.
func (c *coder) float(name string, f *float64) {
	c.field(name, "float", math.Float64bits(*f) == 0, func() any { return strconv.FormatFloat(*f, 'g', -1, 64) }, func(value any) (err error) {
		text, ok := value.(string)
		if !ok {
			return errShape
		}
		*f, err = strconv.ParseFloat(text, 64)
		return err
	})
}

func text[T ~string](c *coder, name string, s *T) {
	c.field(name, "text", *s == "", func() any { return string(*s) }, func(value any) error {
		t, ok := value.(string)
		if !ok {
			return errShape
		}
		*s = T(t)
		return nil
	})
}

// integer is written as text: a JSON number is not exact above 2⁵³.
func integer[T ~int | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint32](c *coder, name string, n *T) {
	c.field(name, "integer", *n == 0, func() any { return strconv.FormatInt(int64(*n), 10) }, func(value any) error {
		t, ok := value.(string)
		if !ok {
			return errShape
		}
		i, err := strconv.ParseInt(t, 10, 64)
		if err == nil && int64(T(i)) != i {
			err = errShape // It does not fit.
		}
		*n = T(i)
		return err
	})
}

// hash is an integer of all 64 bits.
func (c *coder) hash(name string, n *uint64) {
	c.field(name, "hash", *n == 0, func() any { return strconv.FormatUint(*n, 16) }, func(value any) (err error) {
		t, ok := value.(string)
		if !ok {
			return errShape
		}
		*n, err = strconv.ParseUint(t, 16, 64)
		return err
	})
}

// part is a struct; one without a value is left out.
func (c *coder) part(name string, code func(*coder)) {
	switch {
	case c.shape != nil:
		c.shapeOf(name, code)
	case c.isReading:
		c.field(name, "", false, nil, func(value any) error { return read(value, code) })
	default:
		if tree := c.written(name, code); len(tree) > 0 {
			c.tree[name] = tree
		}
	}
}

// optional is a struct behind a pointer: an empty one is not none.
func optional[T any](c *coder, name string, p **T, code func(*T, *coder)) {
	switch {
	case c.shape != nil:
		c.shapeOf(name+"?", func(c *coder) { code(new(T), c) })
	case c.isReading:
		c.field(name, "", false, nil, func(value any) error {
			*p = new(T)
			return read(value, func(c *coder) { code(*p, c) })
		})
	case *p != nil:
		c.tree[name] = c.written(name, func(c *coder) { code(*p, c) })
	}
}

// list is a slice of structs; an empty one is not none.
func list[T any](c *coder, name string, s *[]T, code func(*T, *coder)) {
	switch {
	case c.shape != nil:
		c.shapeOf(name+"[]", func(c *coder) { code(new(T), c) })
	case c.isReading:
		c.field(name, "", false, nil, func(value any) error {
			items, ok := value.([]any)
			if !ok || len(items) > maxItems {
				return errShape
			}
			*s = make([]T, len(items))
			return readEach(items, *s, code)
		})
	case *s != nil:
		c.tree[name] = items(c, name, *s, code)
	}
}

// fixed is an array of structs, all of which are there.
func fixed[T comparable](c *coder, name string, s []T, code func(*T, *coder)) {
	if c.shape != nil {
		c.shapeOf(fmt.Sprintf("%s[%d]", name, len(s)), func(c *coder) { code(new(T), c) })
		return
	}
	isZero := !slices.ContainsFunc(s, func(v T) bool { return v != *new(T) })
	c.field(name, "", isZero, func() any { return items(c, name, s, code) }, func(value any) error {
		values, ok := value.([]any)
		if !ok || len(values) != len(s) {
			return errShape
		}
		return readEach(values, s, code)
	})
}

func items[T any](c *coder, name string, s []T, code func(*T, *coder)) []any {
	all := make([]any, len(s))
	for i := range s {
		all[i] = c.written(name, func(c *coder) { code(&s[i], c) })
	}
	return all
}

func readEach[T any](values []any, s []T, code func(*T, *coder)) error {
	for i, value := range values {
		if err := read(value, func(c *coder) { code(&s[i], c) }); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return nil
}

func (c *coder) shapeOf(name string, code func(*coder)) {
	fmt.Fprintf(c.shape, "%s(", name)
	code(c)
	fmt.Fprint(c.shape, ")")
}

func (c *coder) written(name string, code func(*coder)) map[string]any {
	sub := &coder{tree: map[string]any{}}
	code(sub)
	c.fail(name, sub.err)
	return sub.tree
}

// read takes a struct from its tree. A field that nobody knows is an error: what it
// says would be lost.
func read(value any, code func(*coder)) error {
	tree, ok := value.(map[string]any)
	if !ok {
		return errShape
	}
	c := &coder{tree: tree, isReading: true}
	code(c)
	if c.err == nil && c.known != len(tree) {
		return errShape
	}
	return c.err
}

// MemoryShape names what a Memory of this build is made of: one that was written by
// a build with another shape is not read.
var MemoryShape = memoryShape()

func memoryShape() string {
	h := fnv.New64a()
	new(Memory).code(&coder{shape: h})
	return fmt.Sprintf("%016x", h.Sum64())
}

// MarshalJSON writes what the gates have counted, for a replay that begins where
// this memory is. What is zero is left out.
func (m Memory) MarshalJSON() ([]byte, error) {
	c := &coder{tree: map[string]any{}}
	m.code(c)
	if c.err != nil {
		return nil, c.err
	}
	return json.Marshal(c.tree)
}

// UnmarshalJSON reads what MarshalJSON wrote in a build of the same MemoryShape.
func (m *Memory) UnmarshalJSON(data []byte) error {
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return err
	}
	var whole Memory
	if err := read(tree, whole.code); err != nil {
		return fmt.Errorf("reading what the gates had counted: %w", err)
	}
	*m = whole
	return nil
}
