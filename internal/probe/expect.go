package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// expectation compares an answer with what is expected of it. It says what is
// there and what is not; whether that is a failure is decided elsewhere.
type expectation struct {
	observe.Expect
	// headers and body are the patterns compiled, names the headers' in order.
	headers map[string]*regexp.Regexp
	body    *regexp.Regexp
	names   []string
	// paths are those of JSON, in order.
	paths []string
}

func newExpectation(e observe.Expect) (*expectation, error) {
	x := &expectation{Expect: e, headers: make(map[string]*regexp.Regexp, len(e.Headers))}
	for name, pattern := range e.Headers {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("the pattern of header %.40q: %w", name, err)
		}
		x.headers[name] = re
	}
	x.names, x.paths = slices.Sorted(maps.Keys(e.Headers)), slices.Sorted(maps.Keys(e.JSON))
	if e.Body != "" {
		re, err := regexp.Compile(e.Body)
		if err != nil {
			return nil, fmt.Errorf("the pattern of the body: %w", err)
		}
		x.body = re
	}
	return x, nil
}

// readsBody says that the body has to be kept.
func (x *expectation) readsBody() bool { return x.body != nil || len(x.paths) > 0 }

// unmet says what an answer lacks, in words; empty when it has everything. isCut
// says that the body goes on beyond what was read.
func (x *expectation) unmet(c observe.Container, header http.Header, body []byte, isCut bool) string {
	if text := x.unmetHeader(c, header); text != "" {
		return clip(text)
	}
	if x.body != nil && !x.body.Match(body) {
		return clip("its body does not match " + x.Body)
	}
	if len(x.paths) == 0 {
		return ""
	}
	if isCut {
		return fmt.Sprintf("its body is longer than the %d bytes that are read", len(body))
	}
	return clip(x.unmetJSON(body))
}

func (x *expectation) unmetHeader(c observe.Container, header http.Header) string {
	if x.Identity != "" {
		switch by := header.Get(x.Identity); {
		case by == "":
			return "it has no header " + x.Identity + ", so it may be anybody's answer"
		case !strings.EqualFold(by, c.Name) && !strings.EqualFold(by, c.ID) && by != c.IP:
			return fmt.Sprintf("%q answered, and %s was asked", by, c.Name)
		}
	}
	for _, name := range x.names {
		values := header.Values(name)
		if !slices.ContainsFunc(values, x.headers[name].MatchString) {
			return fmt.Sprintf("its header %s is %q, which does not match %s", name, strings.Join(values, ", "), x.Headers[name])
		}
	}
	return ""
}

func (x *expectation) unmetJSON(body []byte) string {
	document, err := decodeJSON(body)
	if err != nil {
		return "its body is no JSON"
	}
	for _, path := range x.paths {
		switch text, err := scalarAt(document, path); {
		case err != nil:
			return "its JSON has no " + path + ": " + err.Error()
		case text != x.JSON[path]:
			return fmt.Sprintf("its JSON has %s = %q, not %q", path, text, x.JSON[path])
		}
	}
	return ""
}

// decodeJSON reads one document and nothing behind it. Numbers keep their
// spelling, so that 1.0 is not 1.
func decodeJSON(body []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var document any
	if err := d.Decode(&document); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the document")
	}
	return document, nil
}

// scalarAt is the text of the scalar at a path such as checks.db or
// nodes[0].name.
func scalarAt(document any, path string) (string, error) {
	at := document
	for part := range strings.SplitSeq(path, ".") {
		key, indexes, _ := strings.Cut(part, "[")
		if key != "" {
			object, ok := at.(map[string]any)
			if !ok {
				return "", fmt.Errorf("%q is looked for in what is no object", key)
			}
			if at, ok = object[key]; !ok {
				return "", fmt.Errorf("no member %q", key)
			}
		}
		if indexes == "" {
			continue
		}
		for index := range strings.SplitSeq(strings.TrimSuffix(indexes, "]"), "][") {
			list, ok := at.([]any)
			n, err := strconv.Atoi(index)
			if !ok || err != nil || n < 0 || n >= len(list) {
				return "", fmt.Errorf("no item [%s]", index)
			}
			at = list[n]
		}
	}
	switch v := at.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	case nil:
		return "null", nil
	}
	return "", errors.New("it is no scalar")
}

// clip bounds a text that a server may have chosen.
func clip(text string) string {
	if len(text) <= maxError {
		return text
	}
	return strings.ToValidUTF8(text[:maxError], "")
}
