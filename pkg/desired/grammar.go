package desired

import (
	"errors"
	"net/url"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// grammar is what a text may be. The pattern goes into the JSON schema; check
// says what a pattern cannot, with a reason that does not repeat the text.
type grammar struct {
	pattern string
	reason  string
	check   func(string) error
	// re compiles the pattern at its first use: most commands read no file, and
	// their start should not wait for it.
	re func() *regexp.Regexp
}

// Reasons that a check and a pattern share.
const (
	urlReason     = "must be a URL that begins with http:// or https://"
	statsReason   = "must be the URL of the statistics page (http:// or https://), or a runtime socket: unix:///path or tcp://host:port"
	digestReason  = "must be a digest: sha256: and 64 hexadecimal digits"
	patternReason = "must be an RE2 pattern of at most 1000 characters"
)

// grammars are the values of the is and keys tags in types.go.
var grammars = compileGrammars(map[string]grammar{
	// Any text: what has no tag.
	"": {
		pattern: `^[^\x00-\x1f\x7f]+$`,
		reason:  "must be text in one line, without control characters",
	},
	"apiVersion": {pattern: `^drover/v1$`, reason: `must be "` + APIVersion + `", the only version this build reads`},
	// Stack, service and sidekick names: ServiceValidationFilter in Rancher's
	// cattle, and the name field of its environment schema.
	"name": {
		pattern: `^[a-zA-Z0-9-]{1,63}$`,
		reason:  "must be 1 to 63 letters, digits and hyphens, as Rancher names stacks and services",
	},
	"label": {
		pattern: `^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?$`,
		reason:  "must be 1 to 63 letters, digits, dots, underscores and hyphens, the first and the last a letter or digit",
	},
	"host": {
		pattern: `^([a-zA-Z0-9]([a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?$`,
		reason:  "must be a host or host:port, without scheme and path", check: checkPort,
	},
	"listen": {
		pattern: `^([a-zA-Z0-9.-]{1,253}|\[[0-9a-fA-F:]+\])?:[0-9]{1,5}$`,
		reason:  "must be host:port or :port, as in 127.0.0.1:8470", check: checkListen,
	},
	"statsURL": {
		pattern: `^(https?://[^\s/@?#]+([/?][^\s#]*)?|unix:///[^\s?#]+|tcp://[^\s/@?#]+:[0-9]{1,5}(;json)?)$`,
		reason:  statsReason, check: checkStatsURL,
	},
	"url":    {pattern: `^https?://[^\s/@?#]+([/?][^\s#]*)?$`, reason: urlReason, check: checkURL},
	"apiURL": {pattern: `^https?://[^\s/@?#]+(/[^\s?#]*)?$`, reason: urlReason + ", without query", check: checkAPIURL},
	"image": {
		pattern: `^[^\s@]+:[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}$`,
		reason:  "must be an image and its tag, as in host/repository:tag", check: checkImage,
	},
	"platform": {
		pattern: `^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$`,
		reason:  "must be os/architecture or os/architecture/variant, as in linux/amd64",
	},
	"digest": {pattern: `^sha256:[a-f0-9]{64}$`, reason: digestReason, check: checkDigest},
	"env":    {pattern: `^[A-Za-z_][A-Za-z0-9_]{0,255}$`, reason: "must be the name of an environment variable: letters, digits and underscores"},
	"path":   {pattern: `^/[^\s#]*$`, reason: "must begin with / and hold no space"},
	"header": {pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$", reason: "must be the name of an HTTP header", check: checkHeader},
	"jsonPath": {
		pattern: `^([A-Za-z0-9_$-]+(\[[0-9]{1,4}\])*|(\[[0-9]{1,4}\])+)(\.[A-Za-z0-9_$-]+(\[[0-9]{1,4}\])*)*$`,
		reason:  "must be the path of a value in JSON, as in status, checks.db or nodes[0].name",
	},
	// A pattern is matched against lines that are cut at some length anyway.
	"pattern": {pattern: `^[^\x00-\x1f\x7f]{1,1000}$`, reason: patternReason, check: checkPattern},
})

func compileGrammars(table map[string]grammar) map[string]grammar {
	for name, g := range table {
		g.re = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(g.pattern) })
		table[name] = g
	}
	return table
}

// maxText bounds every text of the file.
const maxText = 4096

// conform says why a text is not of a grammar. The special checks go first,
// because they know the reason better than the pattern does.
func conform(is, text string) error {
	g := grammars[is]
	if text == "" {
		return errors.New("is empty: give it a value or remove the key")
	}
	if len(text) > maxText {
		return errors.New("is longer than 4096 bytes")
	}
	if g.check != nil {
		if err := g.check(text); err != nil {
			return err
		}
	}
	if !g.re().MatchString(text) {
		return errors.New(g.reason)
	}
	return nil
}

// checkListen lets port 0 pass, which takes a free one.
func checkListen(address string) error {
	if strings.HasSuffix(address, ":0") {
		return nil
	}
	return checkPort(address)
}

func checkPort(host string) error {
	i := strings.LastIndex(host, ":")
	if i < 0 || strings.Trim(host[i+1:], "0123456789") != "" {
		return nil // No port, or none that the pattern lets pass.
	}
	if port := strings.TrimLeft(host[i+1:], "0"); port == "" || len(port) > 5 || len(port) == 5 && port > "65535" {
		return errors.New("the port must be 1 to 65535")
	}
	return nil
}

// checkURL never repeats the URL: it may hold a password.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err == nil && u.User != nil || strings.Contains(text, "@") {
		return errors.New("holds a user name or password: a URL ends up in logs, so give them by their own keys")
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New(urlReason)
	}
	return checkPort(u.Host)
}

// checkStatsURL lets HAProxy's runtime sockets pass as well as its pages.
func checkStatsURL(text string) error {
	plain := strings.TrimSuffix(text, ";json")
	switch {
	case strings.HasPrefix(plain, "unix:///"):
		return nil // The pattern says the rest.
	case strings.HasPrefix(plain, "tcp://"):
		return checkPort(plain)
	case strings.HasPrefix(plain, "http://"), strings.HasPrefix(plain, "https://"):
		return checkURL(text)
	case strings.Contains(text, "@"):
		return checkURL(text)
	}
	return errors.New(statsReason)
}

func checkAPIURL(text string) error {
	if err := checkURL(text); err != nil {
		return err
	}
	u, err := url.Parse(text)
	if err == nil && strings.HasPrefix(u.Path+"/", "/v1/") {
		return errors.New("names version v1 of the API: write the server alone, /v2-beta is added")
	}
	return nil
}

// checkImage applies the reference grammar of docker/distribution. Drover pins
// the digest itself, so what is followed must be a tag.
func checkImage(text string) error {
	if rest, found := strings.CutPrefix(text, "docker:"); found && strings.ContainsAny(rest, "/:") {
		return errors.New("is written without docker: in front, as in host/repository:tag")
	}
	if strings.Contains(text, "://") {
		return errors.New("is written without a scheme, as in host/repository:tag")
	}
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return errors.New("is not an image: " + strings.TrimPrefix(err.Error(), "invalid reference format: "))
	}
	if _, ok := named.(reference.Digested); ok {
		return errors.New("names a digest, which never changes, so there would be nothing to follow; name a tag")
	}
	if reference.IsNameOnly(named) {
		return errors.New("has no tag: write the tag to follow, also when it is :latest")
	}
	return nil
}

func checkDigest(text string) error {
	if err := digest.Digest(text).Validate(); err != nil {
		return errors.New(digestReason)
	}
	return nil
}

// secretHeader finds the names of headers that carry secrets.
var secretHeader = regexp.MustCompile(`(?i)authorization|cookie|token|secret|passw|api-?key|credential`)

func checkHeader(name string) error {
	if secretHeader.MatchString(name) {
		return errors.New("a secret may not be written out here: the policy of a rollout is kept in the journal; probe a path that needs none")
	}
	return nil
}

func checkPattern(text string) error {
	re, err := regexp.Compile(text)
	if err != nil {
		var parse *syntax.Error
		if errors.As(err, &parse) {
			return errors.New("is not an RE2 pattern: " + parse.Code.String() + ": " + shorten(parse.Expr))
		}
		return errors.New(patternReason)
	}
	if re.MatchString("") {
		return errors.New("matches the empty text, and so everything")
	}
	return nil
}
