package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	// maxShared and maxSharedBytes bound how many repositories one token is asked
	// for: it is sent with every request, and servers bound their headers (nginx
	// at 8 KiB a line).
	maxShared      = 24
	maxSharedBytes = 1500
	// defaultTTL is how long a token is good for when the service does not say
	// (distribution, docs/spec/auth/token.md).
	defaultTTL = time.Minute
	// maxTTL bounds how long one is believed to be.
	maxTTL = 24 * time.Hour
	// maxToken bounds the token service's answer.
	maxToken = 64 << 10
)

// token is a bearer token; it never changes.
type token struct {
	// header is "Bearer " and the token.
	header string
	// until is when it is replaced, some time before it expires.
	until time.Time
}

// flight is a token request under way.
type flight struct {
	done chan struct{}
	// token and err are set before done is closed.
	token *token
	err   error
}

// tokenLocked is the repository's token, fetched if need be. It is called with
// a.mu held, and lets go of it while it waits.
func (a *authorizer) tokenLocked(ctx context.Context, repo string) (*token, error) {
	for {
		if t := a.tokens[repo]; t != nil && time.Now().Before(t.until) {
			return t, nil
		}
		if a.refusal != nil && time.Now().Before(a.refusedUntil) {
			return nil, a.refusal
		}
		f := a.flights[repo]
		if f == nil {
			return a.fetchLocked(ctx, repo)
		}
		if err := a.waitLocked(ctx, f); err != nil {
			return nil, err
		}
		// A flight whose own caller went away says nothing to the others.
		if f.err != nil && !errors.Is(f.err, context.Canceled) {
			return nil, f.err
		}
	}
}

// waitLocked waits for somebody else's token request.
func (a *authorizer) waitLocked(ctx context.Context, f *flight) error {
	a.mu.Unlock()
	defer a.mu.Lock()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return &Error{Message: "no token in time", Err: context.Cause(ctx)}
	}
}

// fetchLocked asks for a token for the repository and, in the same request, for
// its neighbours that will need one too.
func (a *authorizer) fetchLocked(ctx context.Context, repo string) (*token, error) {
	batch := a.batch(repo)
	f := &flight{done: make(chan struct{})}
	for _, r := range batch {
		a.flights[r] = f
	}
	realm, service := a.realm, a.service
	a.mu.Unlock()
	t, err := a.request(ctx, realm, service, batch)
	a.mu.Lock()
	for _, r := range batch {
		delete(a.flights, r)
		if err == nil {
			a.tokens[r] = t
		}
	}
	f.token, f.err = t, err
	close(f.done)
	if err == nil {
		a.refusal, a.refusals = nil, 0
		return t, nil
	}
	if len(batch) > 1 && isDefinite(err) {
		// The service may refuse all because of one.
		a.alone[repo] = true
		return a.fetchLocked(ctx, repo)
	}
	a.refused(err)
	return nil, err
}

// isDefinite says that asking the same again would be answered the same.
func isDefinite(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && !e.Temporary() && e.Status != 0
}

// batch is the repository and those of its group that need a token now. Groups
// are neighbours in the sorted list, so that they need new tokens together.
func (a *authorizer) batch(repo string) []string {
	batch := []string{repo}
	at, found := slices.BinarySearch(a.followed, repo)
	if !found || a.alone[repo] {
		return batch
	}
	first := at - at%maxShared
	size := len(repo)
	for _, r := range a.followed[first:min(first+maxShared, len(a.followed))] {
		size += len(r)
		if r != repo && size <= maxSharedBytes && a.needsToken(r) {
			batch = append(batch, r)
		}
	}
	return batch
}

// needsToken says that a repository may share the token being asked for.
func (a *authorizer) needsToken(repo string) bool {
	t := a.tokens[repo]
	return !a.alone[repo] && a.flights[repo] == nil && (t == nil || !time.Now().Before(t.until))
}

// request asks the token service.
func (a *authorizer) request(ctx context.Context, realm *url.URL, service string, repositories []string) (*token, error) {
	who, err := readCredentials(a.config, a.secret)
	if err != nil {
		return nil, err
	}
	to := *realm
	query := to.Query()
	if service != "" {
		query.Set("service", service)
	}
	for _, r := range repositories {
		query.Add("scope", "repository:"+r+":pull")
	}
	to.RawQuery = query.Encode()
	asked := time.Now()
	body, err := a.send(ctx, &to, who)
	if err != nil {
		return nil, wrap(err, "getting a token from", realm.Host)
	}
	t, err := parseToken(body, asked)
	return t, wrap(err, "getting a token from", realm.Host)
}

// parseToken reads the token service's answer. Some services say token, some
// access_token (OAuth 2), some both.
func parseToken(body []byte, asked time.Time) (*token, error) {
	var answer struct {
		Token       string  `json:"token"`
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, invalid("the token service's answer is not JSON")
	}
	value := answer.Token
	if value == "" {
		value = answer.AccessToken
	}
	if !isTokenText(value) {
		return nil, invalid("the token service's answer holds no usable token")
	}
	return &token{header: "Bearer " + value, until: asked.Add(usableFor(answer.ExpiresIn))}, nil
}

// isTokenText says that a text can stand in a header.
func isTokenText(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

// usableFor is how long a token is used: its life less a tenth, at least a second
// and at most five less.
func usableFor(seconds float64) time.Duration {
	ttl := defaultTTL
	if seconds > 0 {
		ttl = time.Duration(min(seconds, maxTTL.Seconds()) * float64(time.Second))
	}
	margin := min(max(ttl/10, time.Second), 30*time.Second)
	return max(ttl-margin, ttl/2)
}

// sendToken is authorizer.send over a client's connections.
func (c *client) sendToken(ctx context.Context, to *url.URL, who credentials) ([]byte, error) {
	if err := c.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer c.gate.leave()
	header := http.Header{"User-Agent": {userAgent}}
	if !who.isZero() {
		header.Set("Authorization", who.basic())
	}
	a, err := c.roundTrip(ctx, http.MethodGet, to, header, maxToken)
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusUnauthorized && !who.isZero():
		return nil, &Error{Status: a.status, Code: CodeCredentials, Message: "the token service refuses the configured credentials"}
	case a.status != http.StatusOK:
		return nil, statusError(a.status, a.header, a.body)
	}
	return a.body, nil
}
