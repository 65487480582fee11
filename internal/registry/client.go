package registry

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

const (
	// userAgent is who asks.
	userAgent = "drover"
	// maxBody bounds manifests and image configurations: what registries
	// themselves accept (distribution, registry/handlers/manifests.go).
	maxBody = 4 << 20
	// tries is how often one request is sent before its failure is believed.
	tries = 3
	// defaultTimeout bounds one request, body and all.
	defaultTimeout = 10 * time.Second
	// defaultConcurrency is the number of requests under way at once.
	defaultConcurrency = 8
)

// client speaks to one registry on behalf of all its references.
type client struct {
	config  desired.Registry
	http    *http.Client
	auth    *authorizer
	gate    *gate
	timeout time.Duration
	// broken is why this registry cannot be asked at all; nil when it can.
	broken error
	// requests counts what was sent, token requests included.
	requests atomic.Int64
}

// newClient makes a client. What is wrong with the configuration is an error of
// every request, not of the whole program: other registries go on.
func newClient(config desired.Registry, options Options) *client {
	if config.Concurrency <= 0 {
		config.Concurrency = defaultConcurrency
	}
	c := &client{config: config, timeout: options.RequestTimeout, gate: newGate(config.RequestsPerSecond, config.Concurrency)}
	c.auth = newAuthorizer(config, options.Secret)
	c.auth.send = c.sendToken
	transport, err := newTransport(config, options.Dial)
	if err != nil {
		c.broken = err
		return c
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	return c
}

// close lets go of the connections.
func (c *client) close() {
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
}

// request is one question about a repository.
type request struct {
	method string
	// repo is the repository, path what is asked for below it.
	repo, path string
	// accept lists media types; empty for blobs.
	accept string
	// etag is the digest for If-None-Match, quoted already; empty for none.
	etag string
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request until it is answered, the failure is believed, or ctx ends.
// An answer with a status other than 200 and 304 is an *Error.
func (c *client) do(ctx context.Context, r request) (*answer, error) {
	if c.broken != nil {
		return nil, c.broken
	}
	a, err := c.attempt(ctx, r)
	if err == nil || !shouldRetry(err) {
		return a, err
	}
	return backoff.RetryWithData(func() (*answer, error) {
		a, err := c.attempt(ctx, r)
		if err != nil && !shouldRetry(err) {
			return nil, backoff.Permanent(err)
		}
		return a, err
	}, c.retries(ctx))
}

// retries waits about a fifth of a second, then twice as long, once less often
// than tries because the first try is over.
func (c *client) retries(ctx context.Context) backoff.BackOff {
	policy := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMultiplier(2), backoff.WithMaxInterval(2*time.Second))
	return backoff.WithContext(backoff.WithMaxRetries(policy, tries-2), ctx)
}

// shouldRetry says that trying again at once is worth it. A registry that asks
// for less is not answered with more.
func shouldRetry(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Temporary() && !e.RateLimited() && e.Wait == 0 && !errors.Is(err, context.Canceled)
}

// attempt sends a request, and again when it was answered by a challenge that can
// be met: once to learn what the registry wants, once to replace a token.
func (c *client) attempt(ctx context.Context, r request) (*answer, error) {
	for refusals := 0; ; {
		used, err := c.auth.header(ctx, r.repo)
		if err != nil {
			return nil, err
		}
		a, err := c.send(ctx, r, used)
		if err != nil {
			return nil, err
		}
		if a.status != http.StatusUnauthorized {
			return judge(a)
		}
		response := &http.Response{StatusCode: a.status, Header: a.header}
		if err := c.auth.challenged(response, r.repo, used); err != nil {
			return nil, err
		}
		if used != "" {
			refusals++
		}
		if refusals > 1 {
			return nil, &Error{Status: a.status, Code: CodeCredentials, Message: "the registry refuses the token it was given"}
		}
	}
}

// judge tells answers from errors.
func judge(a *answer) (*answer, error) {
	if a.status == http.StatusOK || a.status == http.StatusNotModified {
		return a, nil
	}
	return nil, statusError(a.status, a.header, a.body)
}

// send waits for a turn and sends a request once.
func (c *client) send(ctx context.Context, r request, authorization string) (*answer, error) {
	if err := c.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer c.gate.leave()
	header := make(http.Header, 4)
	header["User-Agent"] = []string{userAgent}
	if r.accept != "" {
		header["Accept"] = []string{r.accept}
	}
	if r.etag != "" {
		header["If-None-Match"] = []string{r.etag}
	}
	if authorization != "" {
		header["Authorization"] = []string{authorization}
	}
	return c.roundTrip(ctx, r.method, c.url(r), header, maxBody)
}

// url is where a request goes.
func (c *client) url(r request) *url.URL {
	scheme := "https"
	if c.config.PlainHTTP {
		scheme = "http"
	}
	return &url.URL{Scheme: scheme, Host: endpoint(c.config.Host), Path: "/v2/" + r.repo + r.path}
}

// roundTrip sends a request and reads the answer to its end, all within one
// deadline: a body that trickles is cut off by it.
func (c *client) roundTrip(ctx context.Context, method string, to *url.URL, header http.Header, limit int64) (*answer, error) {
	c.requests.Add(1)
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req := (&http.Request{
		Method: method, URL: to, Host: to.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	a, err := c.exchange(req, limit)
	if caller.Err() == nil {
		// A caller that went away says nothing about the registry.
		c.gate.record(err)
	}
	return a, err
}

// exchange is the HTTP part of roundTrip. Its error is also an answer's status
// when that means that the registry is in trouble.
func (c *client) exchange(req *http.Request, limit int64) (*answer, error) {
	response, err := c.http.Do(req)
	if err != nil {
		return nil, transportError(err)
	}
	defer response.Body.Close()
	a := &answer{status: response.StatusCode, header: response.Header}
	if response.StatusCode != http.StatusOK {
		limit = 16 << 10
	}
	if req.Method != http.MethodHead {
		if a.body, err = readAll(response.Body, limit); err != nil {
			return nil, transportError(err)
		}
	}
	if a.status < http.StatusBadRequest {
		return a, nil
	}
	if e := statusError(a.status, a.header, a.body); e.Temporary() {
		return nil, e
	}
	return a, nil
}
