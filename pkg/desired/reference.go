package desired

import (
	_ "embed"
	"fmt"
	"reflect"
	"strings"
)

// intro is the hand-written part of the reference page.
//
//go:embed reference_intro.md
var intro string

// Reference is the page docs/targets.md: the introduction, then every key with
// its type, default and meaning, made from the types.
func Reference() []byte {
	w := referenceWriter{defaults: DefaultValues(), done: map[reflect.Type]bool{}}
	w.WriteString(intro)
	w.section("The whole file", "", reflect.TypeFor[Config]())
	return []byte(w.String())
}

// referenceWriter writes one section per struct type, in the order in which
// they are met.
type referenceWriter struct {
	strings.Builder
	defaults map[string]string
	done     map[reflect.Type]bool
}

// section describes a struct. A type met again (a secret, the rollout under
// defaults) is described where it was met first; defaults holds no values of its
// own, so its parts are left to the target.
func (w *referenceWriter) section(title, path string, t reflect.Type) {
	fmt.Fprintf(w, "\n## %s\n\n%s\n\n", title, describeType(t))
	w.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
	for f := range fieldsOf(t) {
		w.row(path, t, f)
	}
	for f := range fieldsOf(t) {
		inner := element(f.Type)
		if !isStruct(inner) || w.done[inner] || t == reflect.TypeFor[Defaults]() {
			continue
		}
		w.done[inner] = true
		at := below(path, f)
		title := "`" + at + "`"
		if inner == secretType {
			title += " and every other secret"
		}
		w.section(title, at, inner)
	}
}

// below is the path of a field, with [] for the items of a list.
func below(path string, f reflect.StructField) string {
	at := join2(path, rulesOf(f).key)
	if f.Type.Kind() == reflect.Slice && isStruct(f.Type.Elem()) {
		at += "[]"
	}
	return at
}

// join2 appends a key to a path whose parts are known to be plain.
func join2(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }

func (w *referenceWriter) row(path string, t reflect.Type, f reflect.StructField) {
	r := rulesOf(f)
	value := w.defaults[join2(path, r.key)]
	if value == "" && r.required {
		value = "**required**"
	}
	fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", r.key, typeName(f.Type, r), cell(value), cell(describe(t, f.Name)))
}

// cell keeps a text from ending its table cell.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// typeName says what to write, for people.
func typeName(t reflect.Type, r rules) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem(), r)
	case t == durationType:
		return fmt.Sprintf("duration, %s to %s", r.least, r.most)
	case t == percentType:
		return "share, above 0% and below 100%"
	case t == secretType:
		return "secret"
	case t == urlsType:
		return "URL or list of URLs"
	case t.Kind() == reflect.Slice:
		return "list of " + plural(typeName(t.Elem(), r))
	case t.Kind() == reflect.Map:
		return "mapping of text to " + typeName(t.Elem(), r)
	case t.Kind() == reflect.Struct:
		return "mapping"
	case t.Kind() == reflect.Int:
		return fmt.Sprintf("whole number, %s to %s", r.least, r.most)
	case t.Kind() == reflect.Float64:
		return fmt.Sprintf("number, %s to %s", r.least, r.most)
	case t.Kind() == reflect.Bool:
		return "`true` or `false`"
	}
	if enum, ok := reflect.Zero(t).Interface().(enumerated); ok {
		return "`" + strings.Join(enum.values(), "` or `") + "`"
	}
	return grammarName(r.is)
}

func grammarName(is string) string {
	switch is {
	case "url", "apiURL":
		return "URL"
	case "statsURL":
		return "URL or runtime socket"
	case "apiVersion":
		return "`" + APIVersion + "`"
	case "env":
		return "name of an environment variable"
	case "", "label":
		return "text"
	case "jsonPath":
		return "path in JSON"
	case "pattern":
		return "RE2 pattern"
	}
	return is
}

// plural is the name of several things of a type.
func plural(name string) string {
	first, rest, _ := strings.Cut(name, ",")
	if rest != "" {
		rest = "," + rest
	}
	if first == "text" {
		return "texts" + rest
	}
	return first + "s" + rest
}
