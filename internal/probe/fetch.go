package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Bounds of one fetch.
const (
	defaultFetchTimeout = 5 * time.Second
	// defaultMaxPage is room for 30,000 servers.
	defaultMaxPage = 16 << 20
	maxHeaderBytes = 64 << 10
	maxRedirects   = 3
)

// credentials are those of a statistics page.
type credentials struct {
	username string
	password func() (string, error)
}

// fetcher gets statistics, over HTTP and from runtime sockets.
type fetcher struct {
	client  *http.Client
	dialer  net.Dialer
	timeout time.Duration
	maxPage int64
}

func newFetcher(o ReaderOptions) *fetcher {
	f := &fetcher{timeout: o.Timeout, maxPage: o.MaxPage}
	if f.timeout <= 0 {
		f.timeout = defaultFetchTimeout
	}
	if f.maxPage <= 0 {
		f.maxPage = defaultMaxPage
	}
	transport := o.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeaderBytes,
		}
	}
	f.client = &http.Client{Transport: transport, CheckRedirect: stayOnHost}
	return f
}

// errOtherHost refuses a redirect that would carry the password away.
var errOtherHost = errors.New("redirected to another host")

// stayOnHost follows few redirects, on the same host, and never from https to
// http.
func stayOnHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > maxRedirects:
		return errors.New("too many redirects")
	case next.URL.Host != first.Host:
		return errOtherHost
	case first.Scheme == "https" && next.URL.Scheme != "https":
		return errors.New("redirected from https to http")
	}
	return nil
}

// get reads the statistics from wherever they are.
func (f *fetcher) get(ctx context.Context, at *endpoint, who credentials, body *bytes.Buffer) *observe.Problem {
	if at.url == "" {
		return f.ask(ctx, at, body)
	}
	return f.fetch(ctx, at.url, who, body)
}

// fetch reads a page into body. A connection is made for each: one that was kept
// could still end at a process that a reload has replaced (haproxy -sf), and
// would show its counters.
func (f *fetcher) fetch(ctx context.Context, address string, who credentials, body *bytes.Buffer) *observe.Problem {
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("no answer within %v", f.timeout))
	defer cancel()
	req, problem := newRequest(ctx, address, who)
	if problem != nil {
		return problem
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return transportProblem(ctx, err)
	}
	defer resp.Body.Close()
	if problem := statusProblem(resp.StatusCode); problem != nil {
		return problem
	}
	body.Reset()
	n, err := body.ReadFrom(io.LimitReader(resp.Body, f.maxPage+1))
	if err != nil {
		return transportProblem(ctx, err)
	}
	if n > f.maxPage {
		return problemf(observe.CauseInvalid, "the page is larger than %d bytes", f.maxPage)
	}
	return nil
}

func newRequest(ctx context.Context, address string, who credentials) (*http.Request, *observe.Problem) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, problemf(observe.CauseUnusable, "the address is no URL")
	}
	if who.username == "" && who.password == nil {
		return req, nil
	}
	password := ""
	if who.password != nil {
		if password, err = who.password(); err != nil {
			return nil, problemf(observe.CauseAuth, "reading the password: %v", err)
		}
	}
	req.SetBasicAuth(who.username, password)
	return req, nil
}

// transportProblem says why there was no answer, without the URL.
func transportProblem(ctx context.Context, err error) *observe.Problem {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	if errors.Is(err, errOtherHost) {
		return problemf(observe.CauseInvalid, "%v", err)
	}
	return problemf(observe.CauseUnreachable, "%v", err)
}

// statusProblem says what is wrong with a status; nil is for 200.
func statusProblem(status int) *observe.Problem {
	switch {
	case status == http.StatusOK:
		return nil
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return problemf(observe.CauseAuth, "answered %d: user name or password are not accepted", status)
	case status == http.StatusNotFound || status == http.StatusGone:
		return problemf(observe.CauseNotFound, "answered %d: there is no statistics page here", status)
	case status >= 500 || status == http.StatusTooManyRequests:
		return problemf(observe.CauseUnreachable, "answered %d", status)
	}
	return problemf(observe.CauseInvalid, "answered %d", status)
}

func problemf(cause observe.Cause, format string, args ...any) *observe.Problem {
	return &observe.Problem{Cause: cause, Message: fmt.Sprintf(format, args...)}
}
