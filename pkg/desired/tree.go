package desired

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What a file may be at most. The file is written by people with access to the
// repository, but a mistake in it must not take the controller down.
const (
	// maxFileSize is in bytes.
	maxFileSize = 1 << 20
	// maxDepth is how deep mappings and lists may nest; the schema needs 6.
	maxDepth = 16
	// maxAliased is how many nodes aliases may add. A file without aliases is
	// bounded by its size; a bomb of nine levels of nine aliases adds 10^9.
	maxAliased = 100_000
	// maxTargets is how many targets a file may have.
	maxTargets = 10_000
)

// kind is what a node of the tree is.
type kind int

const (
	kindBroken kind = iota // Complained of already.
	kindNull
	kindText
	kindNumber
	kindBool
	kindList
	kindMap
)

// node is one value of the file, with aliases resolved. It exists for lines,
// duplicates and complaints; the values themselves are decoded by
// sigs.k8s.io/yaml.
type node struct {
	kind   kind
	line   int
	text   string
	items  []*node
	fields []field
}

// field is one key of a mapping.
type field struct {
	key   string
	line  int
	value *node
}

// get is the value of a key, nil when absent.
func (n *node) get(key string) *node {
	for i := range n.fields {
		if n.fields[i].key == key {
			return n.fields[i].value
		}
	}
	return nil
}

// parseTree reads exactly one document. A nil tree means that nothing more can
// be said of the file.
func parseTree(data []byte, c *complaints) *node {
	if len(data) > maxFileSize {
		c.add(0, "", "is larger than %d bytes", maxFileSize)
		return nil
	}
	var doc, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) || isEmptyDocument(&doc, err) {
		c.add(0, "", "is empty: an empty file is taken for a mistake, not for \"no targets\"")
		return nil
	} else if err != nil {
		c.addSyntax(err)
		return nil
	}
	if err := decoder.Decode(&second); err == nil {
		c.add(second.Line, "", "a second document begins here: one file is one document")
		return nil
	} else if !errors.Is(err, io.EOF) {
		c.addSyntax(err)
		return nil
	}
	b := treeBuilder{complaints: c}
	tree := b.build(doc.Content[0], "", 0, false)
	if b.full {
		return nil
	}
	return tree
}

func isEmptyDocument(doc *yaml.Node, err error) bool {
	return err == nil && (len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null")
}

// unknownAnchor is the one message of the YAML parser that repeats the file. An
// unquoted password that begins with * is an anchor to it.
const unknownAnchor = "unknown anchor"

// grammarError finds the messages that go.yaml.in/yaml/v3 gives with a line
// counted from 0; those of its scanner count from 1 (decode.go, parser.fail).
var grammarError = regexp.MustCompile(`^did not find expected (<|node content|'-' indicator|key|',' or)`)

// yamlLine finds the line in a message of the YAML parser.
var yamlLine = regexp.MustCompile(`^line (\d+): `)

// addSyntax turns a parser's message into a complaint without repeating the file.
func (c *complaints) addSyntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	text, _, _ = strings.Cut(text, "\n")
	if grammarError.MatchString(text) {
		line++
	}
	if strings.HasPrefix(text, unknownAnchor) {
		text = "a value begins with * and is no alias of an anchor; put it in quotes if it is text"
	}
	c.add(line, "", "not YAML: %s", text)
}

// treeBuilder turns YAML nodes into a tree within the bounds.
type treeBuilder struct {
	*complaints
	aliased int
	// full says that a bound was reached, which is said once.
	full bool
}

// build makes a node; inAlias counts what aliases add.
func (b *treeBuilder) build(y *yaml.Node, path string, depth int, inAlias bool) *node {
	if y.Kind == yaml.AliasNode {
		return b.build(y.Alias, path, depth+1, true)
	}
	n := &node{line: y.Line}
	if !b.within(y, depth, inAlias) {
		return n
	}
	if y.Style&yaml.TaggedStyle != 0 {
		b.add(y.Line, path, "tags are not read: write the value without its \"!\"")
		return n
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = kindMap
		b.mapping(n, y, path, depth, inAlias)
	case yaml.SequenceNode:
		n.kind = kindList
		for i, item := range y.Content {
			n.items = append(n.items, b.build(item, fmt.Sprintf("%s[%d]", path, i), depth+1, inAlias))
		}
	default:
		n.kind, n.text = scalarKind(y), y.Value
	}
	return n
}

// within says whether the bounds still hold, and complains once when not.
func (b *treeBuilder) within(y *yaml.Node, depth int, inAlias bool) bool {
	if inAlias {
		b.aliased++
	}
	switch {
	case b.full:
		return false
	case b.aliased > maxAliased:
		b.full = true
		b.add(y.Line, "", "aliases repeat more than %d values", maxAliased)
	case depth > maxDepth:
		b.full = true
		b.add(y.Line, "", "nested deeper than %d levels", maxDepth)
	}
	return !b.full
}

func (b *treeBuilder) mapping(n *node, y *yaml.Node, path string, depth int, inAlias bool) {
	lines := make(map[string]int, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		if !b.usableKey(k, path) {
			continue
		}
		if first, twice := lines[k.Value]; twice {
			b.add(k.Line, childPath(path, k.Value), "is written twice, first in line %d", first)
			continue
		}
		lines[k.Value] = k.Line
		value := b.build(y.Content[i+1], childPath(path, k.Value), depth+1, inAlias)
		n.fields = append(n.fields, field{key: k.Value, line: k.Line, value: value})
	}
}

// usableKey refuses keys that are not plain text. Merge keys are refused because
// the strict decoder takes an overriding key for a duplicate.
func (b *treeBuilder) usableKey(k *yaml.Node, path string) bool {
	if k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" {
		b.add(k.Line, path, "merge keys (<<) are not read: what targets share belongs under defaults")
		return false
	}
	if k.Kind != yaml.ScalarNode || k.Style&yaml.TaggedStyle != 0 || scalarKind(k) != kindText {
		b.add(k.Line, path, "a key must be text; put it in quotes")
		return false
	}
	return true
}

// scalarKind is what a scalar is under YAML 1.1 and 1.2 alike. The decoder reads
// 1.1, in which yes, on, y and their opposites are booleans; an editor reads 1.2,
// in which they are text. They are given no meaning here but in quotes.
func scalarKind(y *yaml.Node) kind {
	plain := y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	switch tag := y.ShortTag(); {
	case tag == "!!null":
		return kindNull
	case tag == "!!bool", plain && isOldBool(y.Value):
		return kindBool
	case tag == "!!int", tag == "!!float":
		return kindNumber
	}
	return kindText
}

func isOldBool(s string) bool {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off":
		return true
	}
	return false
}

// join appends a key to a path.
func join(path, key string) string {
	if !plainKey.MatchString(key) {
		return path + "[" + shorten(key) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// secretPath finds the path of a secret.
var secretPath = regexp.MustCompile(`(^|\.)(accessKey|secretKey|password)$`)

// childPath is the path of a key; what stands inside a secret is not named,
// because {hunter2} is a mapping with the key hunter2.
func childPath(path, key string) string {
	if secretPath.MatchString(path) {
		return path
	}
	return join(path, key)
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// shorten quotes a word of the file for a message.
func shorten(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}

// json writes the tree as JSON: the rest of a file whose wrong parts were cut
// out, so that it can be checked further.
func (n *node) json(b *bytes.Buffer) {
	switch n.kind {
	case kindNull:
		b.WriteString("null")
	case kindText:
		text, _ := json.Marshal(n.text) // Marshalling a string cannot fail.
		b.Write(text)
	case kindNumber, kindBool:
		b.WriteString(n.text)
	case kindList:
		b.WriteByte('[')
		for i, item := range n.items {
			separate(b, i)
			item.json(b)
		}
		b.WriteByte(']')
	case kindMap:
		b.WriteByte('{')
		for i, f := range n.fields {
			separate(b, i)
			key, _ := json.Marshal(f.key)
			b.Write(key)
			b.WriteByte(':')
			f.value.json(b)
		}
		b.WriteByte('}')
	default: // Broken parts were cut out.
	}
}

func separate(b *bytes.Buffer, i int) {
	if i > 0 {
		b.WriteByte(',')
	}
}
