package logs

import "bytes"

// A template is what is left of a line when everything that differs from one
// occurrence to the next is masked: numbers, times, ids, hashes, addresses, quoted
// text, the ends of paths. Two lines of one statement in the source have one
// template, nearly always. Masking works on bytes, once from left to right, and
// keeps nothing: it runs for every line that looks like an error.

const (
	// maxTemplate bounds a template; what follows in the line is left out.
	maxTemplate = 256
	// maxQuoted is how far away a closing quote is looked for.
	maxQuoted = 512
	// minHex is the length from which letters that are all hexadecimal are a hash
	// and no word: bad and decade are words.
	minHex = 8
	mask   = '#'
)

// appendTemplate appends the template of a line to dst.
func appendTemplate(dst, line []byte) []byte {
	if t := bytes.TrimLeft(line, " \t"); len(t) > 0 && t[0] == '{' {
		if out := appendJSON(dst, t); len(out) > len(dst) {
			return out
		}
	}
	return appendText(dst, line)
}

// appendText masks text that has no structure.
func appendText(dst, line []byte) []byte {
	limit := len(dst) + maxTemplate
	for i := 0; i < len(line) && len(dst) < limit; {
		switch c := line[i]; {
		case isWord(c):
			n := wordEnd(line, i)
			dst = appendWord(dst, line[i:n])
			i = n
		case c == 0x1b:
			i = escapeEnd(line, i)
		case c <= ' ':
			if len(dst) > 0 && dst[len(dst)-1] != ' ' {
				dst = append(dst, ' ')
			}
			i++
		case c == '"' || c == '\'' || c == '`':
			dst, i = appendQuoted(dst, line, i)
		case c == '/' && i+1 < len(line) && isWord(line[i+1]):
			dst, i = appendPath(dst, line, i)
		default:
			dst = append(dst, c)
			i++
		}
	}
	return bytes.TrimRight(dst, " ")
}

// appendWord appends a word, or the mask; masks next to each other, as in a date,
// are one.
func appendWord(dst, word []byte) []byte {
	switch {
	case isVariable(word):
	case afterMask(dst) >= 0 && isHex(word): // The middle of a UUID.
	default:
		return append(dst, word...)
	}
	if n := afterMask(dst); n >= 0 {
		return dst[:n]
	}
	return append(dst, mask)
}

// afterMask is the length of dst up to a mask that is separated from its end by
// at most one joining character; -1 when there is none.
func afterMask(dst []byte) int {
	n := len(dst)
	switch {
	case n > 0 && dst[n-1] == mask:
		return n
	case n > 1 && dst[n-2] == mask && bytes.IndexByte([]byte("-:.,+_/"), dst[n-1]) >= 0:
		return n - 1
	}
	return -1
}

// isVariable says that a word differs from one occurrence to the next: it holds a
// digit, or is a hash.
func isVariable(word []byte) bool {
	for _, c := range word {
		if c >= '0' && c <= '9' {
			return true
		}
	}
	return len(word) >= minHex && isHex(word)
}

func isHex(word []byte) bool {
	for _, c := range word {
		if lower := c | 0x20; (c < '0' || c > '9') && (lower < 'a' || lower > 'f') {
			return false
		}
	}
	return true
}

// appendQuoted masks a quoted text. An apostrophe within a word is no quote, and
// neither is one that is never closed.
func appendQuoted(dst, line []byte, i int) (out []byte, next int) {
	quote := line[i]
	isApostrophe := quote == '\'' && i > 0 && isWord(line[i-1])
	rest := line[i+1 : min(len(line), i+1+maxQuoted)]
	end := bytes.IndexByte(rest, quote)
	if isApostrophe || end < 0 {
		return append(dst, quote), i + 1
	}
	return append(dst, quote, mask, quote), i + end + 2
}

// appendPath keeps the first part of a path, which names the place, and leaves out
// the rest, which names the thing.
func appendPath(dst, line []byte, i int) (out []byte, next int) {
	n := i
	for n < len(line) && line[n] > ' ' && bytes.IndexByte([]byte(`"'()[]{}<>,;`), line[n]) < 0 {
		n++
	}
	for n > i+2 && bytes.IndexByte([]byte(":.?!"), line[n-1]) >= 0 {
		n-- // The sentence's.
	}
	first := line[i+1 : n]
	rest := bytes.IndexByte(first, '/')
	if rest >= 0 {
		first = first[:rest]
	}
	dst = append(dst, '/')
	if bytes.ContainsAny(first, "0123456789") {
		dst = append(dst, mask)
	} else {
		dst = append(dst, first[:min(len(first), maxTemplate)]...)
	}
	if rest >= 0 {
		dst = append(dst, '/', mask)
	}
	return dst, n
}

// escapeEnd is where a terminal's escape sequence ends.
func escapeEnd(line []byte, i int) int {
	i++
	if i >= len(line) || line[i] != '[' {
		return i
	}
	for i++; i < len(line); i++ {
		if c := line[i]; c >= '@' && c <= '~' {
			return i + 1
		}
	}
	return i
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
}

func wordEnd(line []byte, i int) int {
	for i < len(line) && isWord(line[i]) {
		i++
	}
	return i
}

// telling are the members of a JSON line that say what happened; the others say
// to whom and when.
var telling = [][]byte{
	[]byte("msg"), []byte("message"), []byte("error"), []byte("err"), []byte("level"), []byte("severity"), []byte("event"),
	[]byte("logger"), []byte("name"), []byte("exception"), []byte("code"), []byte("@message"), []byte("log"),
}

// appendJSON appends the telling members of a JSON object, at any depth; nothing
// when there are none. The line need not be whole.
func appendJSON(dst, line []byte) []byte {
	limit := len(dst) + maxTemplate
	for i := 0; i < len(line) && len(dst) < limit; {
		if line[i] != '"' {
			i++
			continue
		}
		key, next := jsonString(line, i)
		i = skipSpace(line, next)
		if i >= len(line) || line[i] != ':' {
			continue
		}
		i = skipSpace(line, i+1)
		if i >= len(line) || line[i] != '"' {
			continue
		}
		value, next := jsonString(line, i)
		i = next
		if !isTelling(key) {
			continue
		}
		dst = append(append(dst, key...), '=')
		dst = append(appendText(dst, value), ' ')
	}
	return bytes.TrimRight(dst, " ")
}

func isTelling(key []byte) bool {
	for _, k := range telling {
		if bytes.EqualFold(k, key) {
			return true
		}
	}
	return false
}

// jsonString is the text between the quote at i and the next that is not escaped,
// and where it ends. Escapes stay as they are: they do not vary.
func jsonString(line []byte, i int) (text []byte, next int) {
	for j := i + 1; j < len(line); j++ {
		switch line[j] {
		case '\\':
			j++
		case '"':
			return line[i+1 : j], j + 1
		}
	}
	return line[i+1:], len(line)
}

func skipSpace(line []byte, i int) int {
	for i < len(line) && line[i] <= ' ' {
		i++
	}
	return i
}
