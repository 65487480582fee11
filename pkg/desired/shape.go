package desired

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// enumerated is a text with a few values.
type enumerated interface{ values() []string }

func (FirstSight) values() []string { return []string{string(Adopt), string(Deploy)} }
func (Finish) values() []string     { return []string{string(FinishAuto), string(FinishManual)} }
func (Novelty) values() []string {
	return []string{string(NoveltyReport), string(NoveltyHold), string(NoveltyOff)}
}

func (OnTimeout) values() []string { return []string{string(TimeoutRollback), string(TimeoutHold)} }
func (OnSameLayers) values() []string {
	return []string{string(SameLayersAllow), string(SameLayersHold)}
}

var (
	durationType = reflect.TypeFor[Duration]()
	percentType  = reflect.TypeFor[Percent]()
	secretType   = reflect.TypeFor[Secret]()
	urlsType     = reflect.TypeFor[URLs]()
)

// rules are what the tags of a struct field in types.go say of its value: the
// one source for the checks here, the JSON schema and the reference page.
type rules struct {
	// key is the name in the file; required says that it must be there.
	key      string
	required bool
	// is and keys name grammars, of the texts and of the keys of a mapping.
	is, keys string
	// least and most are the bounds as written in the range tag.
	least, most string
}

func rulesOf(f reflect.StructField) rules {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	least, most, _ := strings.Cut(f.Tag.Get("range"), ",")
	return rules{
		key: name, required: f.IsExported() && options == "",
		is: f.Tag.Get("is"), keys: f.Tag.Get("keys"),
		least: least, most: most,
	}
}

// shape is a struct type with its fields by key.
type shape struct {
	keys   []string
	fields map[string]reflect.StructField
	rules  map[string]rules
}

func shapeOf(t reflect.Type) shape {
	s := shape{fields: map[string]reflect.StructField{}, rules: map[string]rules{}}
	for f := range fieldsOf(t) {
		r := rulesOf(f)
		s.keys = append(s.keys, r.key)
		s.fields[r.key], s.rules[r.key] = f, r
	}
	return s
}

// suggest names the key that was meant, or the place where the key belongs.
func (s shape) suggest(key string) string {
	if nearest(key, s.keys) != "" {
		return suggest(key, s.keys)
	}
	for _, place := range s.keys {
		inner := element(s.fields[place].Type)
		if !isStruct(inner) {
			continue
		}
		for f := range fieldsOf(inner) {
			if rulesOf(f).key == key {
				return "it belongs under " + place
			}
		}
	}
	return suggest(key, s.keys)
}

// fieldsOf yields the fields of a struct that the file may set.
func fieldsOf(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && !yield(f) {
				return
			}
		}
	}
}

// checker compares the tree with the types: unknown keys, wrong types, values
// out of their grammar or bounds. What is wrong is cut out of the tree, so that
// the rest can be decoded and checked further.
type checker struct {
	*complaints
	// lines holds the line of every key by its path.
	lines  map[string]int
	shapes map[reflect.Type]shape
	// related are the paths of relations that were complained of: unlike a wrong
	// value, they do not keep the same key from further relations.
	related map[string]bool
	// advice collects warnings.
	advice *complaints
}

func newChecker(c *complaints) *checker {
	return &checker{
		complaints: c,
		lines:      map[string]int{},
		shapes:     map[reflect.Type]shape{},
		related:    map[string]bool{},
		advice:     newComplaints(c.file),
	}
}

// check says whether a value may stay in the tree.
func (c *checker) check(n *node, line int, path string, t reflect.Type, r rules) bool {
	c.lines[path] = line
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var err error
	switch {
	case n.kind == kindBroken:
		return false
	case t == secretType:
		err = c.checkSecret(n, path)
	case n.kind == kindNull:
		err = fmt.Errorf("is empty: give it a value or remove the key")
	case t == durationType:
		err = checkDuration(n, r)
	case t == percentType:
		err = checkPercent(n)
	case t == urlsType && n.kind == kindText:
		err = conform(r.is, n.text)
	case t.Kind() == reflect.Struct:
		return c.checkStruct(n, line, path, t)
	case t.Kind() == reflect.Slice:
		return c.checkList(n, line, path, t, r)
	case t.Kind() == reflect.Map:
		return c.checkMap(n, line, path, t, r)
	default:
		err = checkScalar(n, t, r)
	}
	if err != nil {
		c.add(line, path, "%s", err)
	}
	return err == nil
}

func (c *checker) checkStruct(n *node, line int, path string, t reflect.Type) bool {
	if n.kind != kindMap {
		c.add(line, path, "must be a mapping of keys to values")
		return false
	}
	s, known := c.shapes[t]
	if !known {
		s = shapeOf(t)
		c.shapes[t] = s
	}
	kept := n.fields[:0:0]
	meant := map[string]bool{}
	for _, f := range n.fields {
		known, ok := s.fields[f.key]
		if !ok {
			c.add(f.line, path, "unknown key %s; %s", shorten(f.key), s.suggest(f.key))
			meant[nearest(f.key, s.keys)] = true
			continue
		}
		if c.check(f.value, f.line, join(path, f.key), known.Type, s.rules[f.key]) {
			kept = append(kept, f)
		}
	}
	for _, key := range s.keys {
		if s.rules[key].required && n.get(key) == nil && !meant[key] {
			c.add(line, join(path, key), "is missing")
		}
	}
	n.fields = kept
	return true
}

func (c *checker) checkList(n *node, line int, path string, t reflect.Type, r rules) bool {
	if n.kind != kindList {
		c.add(line, path, "must be a list")
		return false
	}
	if len(n.items) == 0 {
		c.add(line, path, "is an empty list: give it a value or remove the key")
		return false
	}
	ok := true
	for i, item := range n.items {
		if c.check(item, item.line, path+"["+strconv.Itoa(i)+"]", t.Elem(), r) {
			continue
		}
		if ok = t.Elem().Kind() == reflect.Struct && ok; ok {
			// The other items keep their numbers.
			n.items[i] = &node{kind: kindMap, line: item.line}
		}
	}
	c.paths[path] = c.paths[path] || !ok
	return ok
}

func (c *checker) checkMap(n *node, line int, path string, t reflect.Type, r rules) bool {
	if n.kind != kindMap {
		c.add(line, path, "must be a mapping of keys to values")
		return false
	}
	ok := true
	for _, f := range n.fields {
		at := join(path, f.key)
		if err := conform(r.keys, f.key); err != nil {
			c.add(f.line, at, "%s", err)
			ok = false
			continue
		}
		ok = c.check(f.value, f.line, at, t.Elem(), r) && ok
	}
	return ok
}

// checkSecret complains without repeating anything that stands there.
func (c *checker) checkSecret(n *node, path string) error {
	const places = "{env: NAME} or {file: PATH}"
	if n.kind != kindMap {
		return fmt.Errorf("a secret may not be written out: this file is in git; name its place, %s", places)
	}
	if len(n.fields) != 1 {
		return fmt.Errorf("must name one place, %s", places)
	}
	f := n.fields[0]
	if f.key != "env" && f.key != "file" {
		return fmt.Errorf("must name its place, %s", places)
	}
	c.lines[path+"."+f.key] = f.line
	if f.value.kind != kindText {
		return fmt.Errorf("%s must be text; put it in quotes", f.key)
	}
	is := ""
	if f.key == "env" {
		is = "env"
	}
	if err := conform(is, f.value.text); err != nil {
		return fmt.Errorf("%s %w", f.key, err)
	}
	return nil
}

// durationPattern is what a duration looks like, here and in the schema.
const durationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`

var durationText = regexp.MustCompile(durationPattern)

func checkDuration(n *node, r rules) error {
	if n.kind == kindNumber {
		return fmt.Errorf("has no unit: write it as in 30s, 5m or 1h30m")
	}
	if strings.HasPrefix(n.text, "-") {
		return fmt.Errorf("must not be negative")
	}
	if n.kind != kindText || len(n.text) > 64 || !durationText.MatchString(n.text) {
		return fmt.Errorf("is not a duration: write it as in 30s, 5m or 1h30m")
	}
	d, err := time.ParseDuration(n.text)
	if err != nil {
		return fmt.Errorf("is not a duration: write it as in 30s, 5m or 1h30m")
	}
	if least, most := mustDuration(r.least), mustDuration(r.most); d < least || d > most {
		return fmt.Errorf("must be %s to %s", Duration{least}, Duration{most})
	}
	return nil
}

// mustDuration reads a bound of a range tag; a test walks all of them.
func mustDuration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic("desired: range tag: " + err.Error()) // Written in types.go, not in a file.
	}
	return d
}

// percentPattern is what a share written with its sign looks like.
const percentPattern = `^[0-9]{1,3}(\.[0-9]{1,10})?%$`

var percentText = regexp.MustCompile(percentPattern)

func checkPercent(n *node) error {
	isShare := n.kind == kindNumber && plainDecimal.MatchString(n.text) ||
		n.kind == kindText && percentText.MatchString(n.text)
	if !isShare {
		return fmt.Errorf("is not a share: write it as in 1%% or 0.01")
	}
	p, err := parsePercent(n.text)
	if err != nil || p <= 0 || p >= 1 {
		return fmt.Errorf("must be above 0%% and below 100%%; one in a hundred is 1%% or 0.01")
	}
	return nil
}

var (
	plainInteger = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,15})$`)
	plainDecimal = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,15})?$`)
)

func checkScalar(n *node, t reflect.Type, r rules) error {
	switch t.Kind() {
	case reflect.String:
		return checkText(n, t, r)
	case reflect.Bool:
		if n.kind != kindBool || n.text != "true" && n.text != "false" {
			return fmt.Errorf("must be true or false")
		}
	case reflect.Int:
		if n.kind != kindNumber || !plainInteger.MatchString(n.text) {
			return fmt.Errorf("must be a whole number")
		}
		return checkRange(n.text, r)
	case reflect.Float64:
		if n.kind != kindNumber || !plainDecimal.MatchString(n.text) {
			return fmt.Errorf("must be a number")
		}
		return checkRange(n.text, r)
	default:
		panic("desired: no check for " + t.String()) // Written in types.go, not in a file.
	}
	return nil
}

func checkText(n *node, t reflect.Type, r rules) error {
	if n.kind != kindText {
		return fmt.Errorf("must be text; put it in quotes")
	}
	enum, ok := reflect.Zero(t).Interface().(enumerated)
	if !ok {
		return conform(r.is, n.text)
	}
	for _, v := range enum.values() {
		if n.text == v {
			return nil
		}
	}
	return fmt.Errorf("%s is not known; %s", shorten(n.text), suggest(n.text, enum.values()))
}

func checkRange(text string, r rules) error {
	v, err := strconv.ParseFloat(text, 64)
	least, _ := strconv.ParseFloat(r.least, 64)
	most, _ := strconv.ParseFloat(r.most, 64)
	if err != nil || v < least || v > most {
		return fmt.Errorf("must be %s to %s", r.least, r.most)
	}
	return nil
}
