package evidence

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// masked stands where a secret stood.
const masked = "***"

// shortest is the length from which a known secret is masked wherever it stands: a
// shorter one is too likely a word.
const shortest = 6

// Redactor masks secrets in text. It knows the secrets of the configuration, and
// what secrets look like in what applications log.
type Redactor struct {
	// known are the secrets, the longest first, each also as it stands in JSON.
	known [][]byte
}

// NewRedactor makes a Redactor that knows some secrets.
func NewRedactor(secrets ...string) *Redactor {
	r := &Redactor{}
	for _, s := range secrets {
		if len(s) < shortest {
			continue
		}
		r.known = append(r.known, []byte(s))
		if quoted, err := json.Marshal(s); err == nil {
			r.known = append(r.known, quoted[1:len(quoted)-1])
		}
	}
	slices.SortFunc(r.known, func(a, b []byte) int { return len(b) - len(a) })
	r.known = slices.CompactFunc(r.known, bytes.Equal)
	return r
}

// secretLooks are what secrets look like. The first group, where there is one, is
// kept; neither it nor what is masked spans a quote or a backslash, so that JSON
// stays JSON.
var secretLooks = []*regexp.Regexp{
	regexp.MustCompile(`(?i)((?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|authorization|cookie|session[_-]?id)(?:\\?["'])?\s{0,3}[:=]\s{0,3}(?:\\?["'])?(?:bearer |basic |token )?)[^\s"'\\,;&<>(){}]{3,}`),
	regexp.MustCompile(`(?i)((?:bearer|basic) )[a-z0-9._~+/=-]{8,}`),
	regexp.MustCompile(`([a-z][a-z0-9+.-]{1,20}://[^\s/:@"'\\]{0,64}:)[^\s/@"'\\]{1,256}(?:@)`),
	regexp.MustCompile(`()\bAKIA[0-9A-Z]{16}\b`),
	regexp.MustCompile(`()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`),
	regexp.MustCompile(`()\bgl(?:pat|rt|dt)-[A-Za-z0-9_-]{10,}`),
}

// Bytes masks secrets in a text.
func (r *Redactor) Bytes(text []byte) []byte {
	for _, s := range r.known {
		text = bytes.ReplaceAll(text, s, []byte(masked))
	}
	for i, re := range secretLooks {
		with := "${1}" + masked
		if i == 2 {
			with += "@"
		}
		text = re.ReplaceAll(text, []byte(with))
	}
	return text
}

// String masks secrets in a text.
func (r *Redactor) String(text string) string {
	if !strings.ContainsAny(text, ":=- .") && len(r.known) == 0 {
		return text
	}
	return string(r.Bytes([]byte(text)))
}
