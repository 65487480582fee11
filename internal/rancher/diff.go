package rancher

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Diff lists the JSON pointers (RFC 6901) at which two documents differ, in the
// order in which they are met. Numbers differ when their spelling does; strings
// differ when their meaning does, since Rancher escapes / in answers and not in
// events. A text that is no JSON, or has a key twice, differs as a whole.
func Diff(before, after json.RawMessage) []string {
	if !json.Valid(before) || !json.Valid(after) {
		if bytes.Equal(before, after) {
			return nil
		}
		return []string{""}
	}
	return diffValue(nil, "", bytes.TrimSpace(before), bytes.TrimSpace(after))
}

// diffValue appends the differences below a path.
func diffValue(found []string, path string, a, b []byte) []string {
	if bytes.Equal(a, b) {
		return found
	}
	switch {
	case a[0] == '{' && b[0] == '{':
		return diffObject(found, path, a, b)
	case a[0] == '[' && b[0] == '[':
		return diffArray(found, path, a, b)
	case a[0] == '"' && b[0] == '"' && sameString(a, b):
		return found
	}
	return append(found, path)
}

// diffObject compares member by member.
func diffObject(found []string, path string, a, b []byte) []string {
	before, errA := members(a)
	after, errB := members(b)
	if errA != nil || errB != nil {
		return append(found, path)
	}
	index := make(map[string][]byte, len(after))
	for _, m := range after {
		index[m.key] = m.value
	}
	for _, m := range before {
		at := path + "/" + pointer(m.key)
		if other, ok := index[m.key]; ok {
			found = diffValue(found, at, m.value, other)
			delete(index, m.key)
			continue
		}
		found = append(found, at)
	}
	for _, m := range after {
		if _, added := index[m.key]; added {
			found = append(found, path+"/"+pointer(m.key))
		}
	}
	return found
}

// diffArray compares element by element.
func diffArray(found []string, path string, a, b []byte) []string {
	before, errA := elements(a)
	after, errB := elements(b)
	if errA != nil || errB != nil {
		return append(found, path)
	}
	for i := range max(len(before), len(after)) {
		at := path + "/" + strconv.Itoa(i)
		if i >= len(before) || i >= len(after) {
			found = append(found, at)
			continue
		}
		found = diffValue(found, at, before[i], after[i])
	}
	return found
}

// sameString compares meanings. Text that decodes to the replacement character
// may have lost its difference on the way, so there the bytes count.
func sameString(a, b []byte) bool {
	var x, y string
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return x == y && !strings.ContainsRune(x, '\uFFFD')
}

// pointer escapes a key for a JSON pointer.
func pointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
