package registry

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/distribution/registry/client/auth/challenge"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// scheme is how a registry wants to be shown credentials.
type scheme string

const (
	// schemeNone is a registry that has not asked for any.
	schemeNone scheme = ""
	// schemeBasic sends user name and password with every request.
	schemeBasic scheme = "basic"
	// schemeBearer sends tokens that another service gives out.
	schemeBearer scheme = "bearer"
)

// authorizer knows what to put into the Authorization header for one registry.
// It learns the scheme from the first challenge and keeps it, so that only the
// first request to a registry is refused and asked again.
type authorizer struct {
	config desired.Registry
	secret secretFunc
	// send asks the token service.
	send func(ctx context.Context, to *url.URL, who credentials) ([]byte, error)

	mu     sync.Mutex
	scheme scheme
	// basic is the header's value under schemeBasic.
	basic string
	// realm and service are the token service's address and what it calls the
	// registry.
	realm   *url.URL
	service string
	// tokens holds the token of each repository; several may share one.
	tokens map[string]*token
	// flights are the token requests under way, by repository.
	flights map[string]*flight
	// alone are repositories whose shared token was not good enough.
	alone map[string]bool
	// followed are the repositories that will be asked for, sorted.
	followed []string
	// refusal is the token service's last refusal of the credentials; it is not
	// asked again before refusedUntil.
	refusal      error
	refusedUntil time.Time
	refusals     int
}

func newAuthorizer(config desired.Registry, secret secretFunc) *authorizer {
	return &authorizer{
		config: config, secret: secret,
		tokens: map[string]*token{}, flights: map[string]*flight{}, alone: map[string]bool{},
	}
}

// follow says which repositories will be asked for, so that one token can serve
// several, and forgets the tokens of all others.
func (a *authorizer) follow(repositories []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.followed = slices.Compact(slices.Sorted(slices.Values(repositories)))
	gone := func(repo string) bool {
		_, found := slices.BinarySearch(a.followed, repo)
		return !found
	}
	for repo := range a.tokens {
		if gone(repo) {
			delete(a.tokens, repo)
		}
	}
	for repo := range a.alone {
		if gone(repo) {
			delete(a.alone, repo)
		}
	}
}

// header is what to send with a request about a repository; empty is nothing.
func (a *authorizer) header(ctx context.Context, repo string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch a.scheme {
	case schemeBasic:
		return a.basic, nil
	case schemeBearer:
		t, err := a.tokenLocked(ctx, repo)
		if err != nil {
			return "", err
		}
		return t.header, nil
	case schemeNone:
	}
	return "", nil
}

// challenged learns from a 401. used is the header that was refused. Nil means
// that the request is worth repeating, once.
func (a *authorizer) challenged(response *http.Response, repo, used string) error {
	challenges := challenge.ResponseChallenges(response)
	for _, wanted := range []scheme{schemeBearer, schemeBasic} {
		for _, c := range challenges {
			if strings.EqualFold(c.Scheme, string(wanted)) {
				return a.answer(wanted, c.Parameters, repo, used)
			}
		}
	}
	return &Error{Status: http.StatusUnauthorized, Code: CodeCredentials, Message: "the registry does not say how it wants to be authorized"}
}

// answer takes up a challenge.
func (a *authorizer) answer(wanted scheme, parameters map[string]string, repo, used string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if wanted == schemeBasic {
		return a.answerBasic(used)
	}
	realm, err := a.allowedRealm(parameters["realm"])
	if err != nil {
		return err
	}
	a.scheme, a.realm, a.service = schemeBearer, realm, parameters["service"]
	a.reject(repo, used, parameters["error"])
	return nil
}

// answerBasic reads the credentials again: they may have been rotated.
func (a *authorizer) answerBasic(used string) error {
	who, err := readCredentials(a.config, a.secret)
	switch {
	case err != nil:
		return err
	case who.isZero():
		return &Error{Status: http.StatusUnauthorized, Code: CodeCredentials, Message: "the registry wants credentials and none are configured"}
	case who.basic() == used:
		return &Error{Status: http.StatusUnauthorized, Code: CodeCredentials, Message: "the registry refuses the configured credentials"}
	}
	a.scheme, a.basic = schemeBasic, who.basic()
	return nil
}

// reject forgets a token that was refused. One that was good, but not for this
// repository, was shared with others by a service that does not give out such
// tokens: the repository gets one of its own from now on.
func (a *authorizer) reject(repo, used, reason string) {
	if used == "" {
		return
	}
	t := a.tokens[repo]
	if t == nil || t.header != used {
		return
	}
	delete(a.tokens, repo)
	if reason == "invalid_token" {
		for other, shared := range a.tokens {
			if shared == t {
				delete(a.tokens, other)
			}
		}
		return
	}
	a.alone[repo] = true
}

// allowedRealm refuses token services on hosts that nobody named, and plain HTTP
// for a registry that is asked over HTTPS: a registry that was taken over, or a
// proxy in between, could otherwise have the credentials sent anywhere.
func (a *authorizer) allowedRealm(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, invalid("the token service's address in the challenge is not a URL")
	}
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !a.config.PlainHTTP):
		return nil, unusable("the registry sends its clients to a token service at %s://%s, which is not https: refused", clean(u.Scheme), clean(u.Host))
	case !a.isTokenHost(u):
		return nil, unusable("the registry sends its clients to a token service at %s: refused, because it is another host; list it in tokenHosts to allow it", clean(u.Host))
	}
	return u, nil
}

// isTokenHost accepts the registry's own address and the configured ones. An
// entry without a port allows every port of the host.
func (a *authorizer) isTokenHost(u *url.URL) bool {
	own := &url.URL{Scheme: u.Scheme, Host: endpoint(a.config.Host)}
	if strings.EqualFold(hostPort(u), hostPort(own)) {
		return true
	}
	return slices.ContainsFunc(a.config.TokenHosts, func(allowed string) bool {
		if _, _, err := net.SplitHostPort(allowed); err == nil {
			return strings.EqualFold(allowed, hostPort(u))
		}
		return strings.EqualFold(strings.Trim(allowed, "[]"), u.Hostname())
	})
}

// hostPort is host:port with the scheme's port filled in.
func hostPort(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// refused remembers that the token service does not accept the credentials.
// Asking again for each reference would lock accounts.
func (a *authorizer) refused(err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Status != http.StatusUnauthorized {
		return
	}
	a.refusal = err
	a.refusedUntil = time.Now().Add(min(5*time.Second<<min(a.refusals, 10), 5*time.Minute))
	a.refusals++
}
