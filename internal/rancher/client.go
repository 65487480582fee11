package rancher

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
)

// defaultTimeout bounds a request when Options does not.
const defaultTimeout = 15 * time.Second

// userAgent must not contain "mozilla": Rancher would answer HTML
// (RequestUtils#isBrowser).
const userAgent = "drover"

// Options say where Rancher is and what may be done there.
type Options struct {
	// URL is the server; /v2-beta is added when missing.
	URL string
	// Environment is a name or an id (1a5); empty means the only one.
	Environment string
	// AccessKey and SecretKey are asked for at each request, so that a rotated
	// key is taken up.
	AccessKey, SecretKey func() (string, error)
	// CAFile is a PEM bundle trusted in addition to the system's.
	CAFile string
	// Timeout bounds each request; default 15s.
	Timeout time.Duration
	// Insecure takes any certificate. It is for people who ask for it by name.
	Insecure bool
	// Allow are the services that may be acted on; see Client.Allow.
	Allow []Key
	// MayCreate adds creating stacks and services, and setting the links of an
	// allowed service, to what the client may do.
	MayCreate bool
	// Trace, when not nil, is told of every request that was sent.
	Trace func(Exchange)
	// Transport replaces the network, for tests.
	Transport http.RoundTripper
	// Logger is for the few things that no caller is told; default none.
	Logger logr.Logger
}

// Client reads a Rancher environment and acts on allowed services in it. It is
// safe for use by several goroutines.
type Client struct {
	base        *url.URL
	environment string
	timeout     time.Duration
	http        *http.Client
	grants      *grants
	log         logr.Logger
	// kind is the X-API-ACCOUNT-KIND of the last answer.
	kind atomic.Value

	mu sync.Mutex
	// project is the id of the environment once it was found.
	project string
	// stackIDs are the ids of stack names, re-checked when a service is missing.
	stackIDs map[string]string
	// stackNames are the names of stack ids.
	stackNames map[string]string
	// access is what account kinds that were asked may do and see.
	access map[string]Access
}

// New makes a Client. It does not talk to Rancher yet.
func New(o Options) (*Client, error) {
	base, err := baseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.AccessKey == nil || o.SecretKey == nil {
		return nil, errors.New("rancher needs an access key and a secret key")
	}
	next := o.Transport
	if next == nil {
		if next, err = transport(o.CAFile, o.Insecure); err != nil {
			return nil, err
		}
	}
	if o.Trace != nil {
		next = &traced{next: next, tell: o.Trace}
	}
	c := &Client{
		base:        base,
		environment: o.Environment,
		timeout:     o.Timeout,
		grants:      &grants{},
		log:         o.Logger,
		stackIDs:    map[string]string{},
		stackNames:  map[string]string{},
		access:      map[string]Access{},
	}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	if c.log.GetSink() == nil {
		c.log = logr.Discard()
	}
	c.grants.allow(o.Allow)
	c.http = &http.Client{
		Transport:     &guard{base: base, grants: c.grants, mayCreate: o.MayCreate, sign: signer(o.AccessKey, o.SecretKey), next: next},
		CheckRedirect: c.checkRedirect,
	}
	return c, nil
}

// Allow replaces the set of services that the client may act on.
func (c *Client) Allow(keys ...Key) { c.grants.allow(keys) }

// AllowLogs replaces the set of services of which the client may ask for the logs
// and nothing else, beside those it may act on.
func (c *Client) AllowLogs(keys ...Key) { c.grants.allowLogs(keys) }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// baseURL checks the configured URL and ends it in /v2-beta.
func baseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return nil, errors.New("rancher url is malformed")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, fmt.Errorf("rancher url %q: write it as http://host:8080 or https://host", u.Redacted())
	case u.User != nil:
		return nil, errors.New("rancher url: credentials do not belong in it")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("rancher url: it takes no query")
	}
	path := strings.TrimRight(u.Path, "/")
	for _, version := range []string{"/v2-beta", "/v1", "/v2"} {
		path = strings.TrimSuffix(path, version)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: path + "/v2-beta"}, nil
}

// transport is the network: HTTP/1.1 (the event stream is a websocket), bounded
// in everything.
func transport(caFile string, insecure bool) (*http.Transport, error) {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSHandshakeTimeout:    10 * time.Second,
		IdleConnTimeout:        60 * time.Second,
		MaxIdleConnsPerHost:    8,
		MaxConnsPerHost:        64,
		MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure}, //nolint:gosec // Asked for by name.
	}
	if caFile == "" || insecure {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("reading rancher ca file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("rancher ca file %s holds no certificate", caFile)
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

// signer adds the credentials to a request that the guard let pass.
func signer(access, secret func() (string, error)) func(*http.Request) error {
	return func(r *http.Request) error {
		user, err := access()
		if err != nil {
			return &Error{Code: CodeCredentials, Message: "access key cannot be read", err: err}
		}
		password, err := secret()
		if err != nil {
			return &Error{Code: CodeCredentials, Message: "secret key cannot be read", err: err}
		}
		r.SetBasicAuth(user, password)
		r.Header.Set("User-Agent", userAgent)
		r.Header.Set("X-API-No-Challenge", "true")
		return nil
	}
}

// checkRedirect follows only reads within the configured host: credentials go
// nowhere else, and an action is never repeated at another address.
func (c *Client) checkRedirect(r *http.Request, via []*http.Request) error {
	switch {
	case len(via) > 3:
		return errors.New("too many redirects")
	case via[0].Method != http.MethodGet:
		return errors.New("an action was answered with a redirect")
	case r.URL.Scheme != c.base.Scheme || r.URL.Host != c.base.Host:
		return fmt.Errorf("redirect to another host (%s) is not followed", clip(r.URL.Host))
	}
	return nil
}

// rebase puts a link that Rancher returned onto the configured base. Links are
// lower-cased and carry the host of the request as Rancher saw it, which behind a
// proxy is not the one we use (rancher-api 1.4, DefaultUrlBuilder).
func (c *Client) rebase(link string) (*url.URL, error) {
	u, err := url.Parse(link)
	if err != nil {
		return nil, &Error{Op: "following a link", Code: CodeMismatch, Message: "link is malformed"}
	}
	at := strings.Index(strings.ToLower(u.Path), "/v2-beta")
	rest := u.Path[max(at, 0):]
	if at < 0 || len(rest) > len("/v2-beta") && rest[len("/v2-beta")] != '/' {
		return nil, &Error{Op: "following a link", Code: CodeMismatch, Message: "link is outside the API"}
	}
	rebased := *c.base
	rebased.Path += rest[len("/v2-beta"):]
	rebased.RawQuery = u.RawQuery
	return &rebased, nil
}

// scope is the URL of a path within the environment.
func (c *Client) scope(ctx context.Context, path string, query url.Values) (*url.URL, error) {
	project, err := c.Environment(ctx)
	if err != nil {
		return nil, err
	}
	u := *c.base
	u.Path += "/projects/" + project + path
	u.RawQuery = query.Encode()
	return &u, nil
}

// Environment is the id of the environment, asked for once.
func (c *Client) Environment(ctx context.Context) (string, error) {
	c.mu.Lock()
	project := c.project
	c.mu.Unlock()
	if project != "" {
		return project, nil
	}
	project, err := c.findEnvironment(ctx)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.project = project
	return project, nil
}

// findEnvironment looks among the environments that the key can see. Filters are
// not used: a key of an environment sees one anyway.
func (c *Client) findEnvironment(ctx context.Context) (string, error) {
	const op = "finding the environment"
	all, err := c.Environments(ctx)
	if err != nil {
		return "", err
	}
	var names, ids []string
	for _, p := range all {
		names = append(names, p.Name+" ("+p.ID+")")
		if c.environment == "" || p.ID == c.environment || p.Name == c.environment {
			ids = append(ids, p.ID)
		}
	}
	switch {
	case len(ids) == 1:
		return ids[0], nil
	case len(ids) == 0 && c.environment == "":
		return "", &Error{Op: op, Code: CodeNoEnvironment, Message: "the key sees no environment"}
	case len(ids) == 0:
		return "", &Error{
			Op: op, Code: CodeNoEnvironment,
			Message: fmt.Sprintf("no environment %q; the key sees %s", c.environment, strings.Join(names, ", ")),
		}
	}
	return "", &Error{
		Op: op, Code: CodeNoEnvironment,
		Message: "name one of " + strings.Join(names, ", "),
	}
}
