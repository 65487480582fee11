package rancher

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Editing JSON without reading it into values: members are found in the text and
// cut or replaced there, so every other byte stays, with numbers, escapes and the
// order as they were.

// member is one "key": value of an object.
type member struct {
	// key is decoded.
	key string
	// value is the text of the value.
	value []byte
	// start is where the key begins, valueStart and end bound the value.
	start, valueStart, end int
}

// members are the members of an object in their order. A key that stands twice is
// an error: which one counts would be a guess.
func members(object []byte) ([]member, error) {
	if !json.Valid(object) {
		return nil, fmt.Errorf("malformed JSON")
	}
	i := skipSpace(object, 0)
	if object[i] != '{' {
		return nil, fmt.Errorf("not an object")
	}
	var all []member
	seen := map[string]bool{}
	for i = skipSpace(object, i+1); object[i] != '}'; i = skipSpace(object, i) {
		if object[i] == ',' {
			i = skipSpace(object, i+1)
		}
		m := member{start: i}
		keyEnd := skipValue(object, i)
		if err := json.Unmarshal(object[i:keyEnd], &m.key); err != nil {
			return nil, err
		}
		if seen[m.key] {
			return nil, fmt.Errorf("key %q stands twice", clip(m.key))
		}
		seen[m.key] = true
		// Behind the key comes the colon, as the text is valid.
		m.valueStart = skipSpace(object, skipSpace(object, keyEnd)+1)
		m.end = skipValue(object, m.valueStart)
		m.value = object[m.valueStart:m.end]
		all = append(all, m)
		i = m.end
	}
	return all, nil
}

// elements are the elements of an array.
func elements(array []byte) ([]json.RawMessage, error) {
	var all []json.RawMessage
	err := json.Unmarshal(array, &all)
	return all, err
}

// find returns the member with a key, or nil.
func find(all []member, key string) *member {
	i := slices.IndexFunc(all, func(m member) bool { return m.key == key })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// setMember replaces a member's value, or appends the member.
func setMember(object []byte, key string, value []byte) ([]byte, error) {
	all, err := members(object)
	if err != nil {
		return nil, err
	}
	if m := find(all, key); m != nil {
		return splice(object, m.valueStart, m.end, value), nil
	}
	added := append(append(quote(key), ':'), value...)
	if len(all) == 0 {
		at := skipSpace(object, 0) + 1
		return splice(object, at, at, added), nil
	}
	at := all[len(all)-1].end
	return splice(object, at, at, append([]byte{','}, added...)), nil
}

// cutMember removes a member and the comma that belonged to it.
func cutMember(object []byte, key string) ([]byte, error) {
	all, err := members(object)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(m member) bool { return m.key == key })
	switch {
	case i < 0:
		return object, nil
	case i+1 < len(all):
		return splice(object, all[i].start, all[i+1].start, nil), nil
	case i > 0:
		return splice(object, all[i-1].end, all[i].end, nil), nil
	}
	return splice(object, all[i].start, all[i].end, nil), nil
}

// setOwnLabels makes the io.drover labels exactly those given. Others are not
// touched.
func setOwnLabels(launch []byte, own map[string]string) ([]byte, error) {
	labels, err := labelsOf(launch)
	if err != nil {
		return nil, err
	}
	if labels == nil {
		if len(own) == 0 {
			return launch, nil
		}
		labels = []byte("{}")
	}
	if labels, err = replaceOwn(labels, own); err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	return setMember(launch, "labels", labels)
}

// replaceOwn edits the labels object.
func replaceOwn(labels []byte, own map[string]string) ([]byte, error) {
	all, err := members(labels)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if _, stays := own[m.key]; stays || !strings.HasPrefix(m.key, ownLabels) {
			continue
		}
		if labels, err = cutMember(labels, m.key); err != nil {
			return nil, err
		}
	}
	keys := make([]string, 0, len(own))
	for key := range own {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if labels, err = setMember(labels, key, quote(own[key])); err != nil {
			return nil, err
		}
	}
	return labels, nil
}

// labelsOf is the text of the labels object; nil when absent or null.
func labelsOf(launch []byte) ([]byte, error) {
	all, err := members(launch)
	if err != nil {
		return nil, err
	}
	m := find(all, "labels")
	if m == nil || string(m.value) == "null" {
		return nil, nil
	}
	return m.value, nil
}

// residue is a launch configuration without what an upgrade may change: two that
// differ in nothing else have the same residue, byte for byte.
func residue(launch []byte) ([]byte, error) {
	out, err := cutMember(launch, "imageUuid")
	if err != nil {
		return nil, err
	}
	labels, err := labelsOf(out)
	if err != nil {
		return nil, err
	}
	if labels != nil {
		if labels, err = replaceOwn(labels, nil); err != nil {
			return nil, err
		}
	}
	all, err := members(orEmpty(labels))
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return cutMember(out, "labels")
	}
	return setMember(out, "labels", labels)
}

// orEmpty is an empty object in place of none.
func orEmpty(object []byte) []byte {
	if object == nil {
		return []byte("{}")
	}
	return object
}

// splice replaces b[from:to].
func splice(b []byte, from, to int, with []byte) []byte {
	out := make([]byte, 0, len(b)-(to-from)+len(with))
	out = append(out, b[:from]...)
	out = append(out, with...)
	return append(out, b[to:]...)
}

// quote is a JSON string, with <, > and & as they are.
func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	// Encoding a string cannot fail.
	_ = e.Encode(s)
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}

// skipSpace is the index of the next byte that is no white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue is the index behind the value that begins at i. The text is valid.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	}
	for i < len(b) && !strings.ContainsRune(",]} \t\r\n", rune(b[i])) {
		i++
	}
	return i
}

// skipString is the index behind a string.
func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipNested is the index behind an object or array.
func skipNested(b []byte, i int) int {
	depth := 0
	for {
		switch b[i] {
		case '"':
			i = skipString(b, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
		if depth == 0 {
			return i
		}
	}
}
