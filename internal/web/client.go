package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
)

const (
	// dialTimeout bounds reaching the daemon.
	dialTimeout = 2 * time.Second
	// clientTimeout bounds each request of the client.
	clientTimeout = 15 * time.Second
	// maxAnswer bounds an answer in bytes: thousands of targets fit.
	maxAnswer = 64 << 20
)

// ErrNoDaemon says that no daemon runs on a state directory.
var ErrNoDaemon = errors.New("no daemon is running")

// StatusError is an answer that is no success.
type StatusError struct {
	Status int
	Reason string
}

// Error is the daemon's reason.
func (e *StatusError) Error() string { return e.Reason }

// Refused says that the daemon lives and the command does not fit what goes on.
func (e *StatusError) Refused() bool { return e.Status == http.StatusConflict }

// NotFound says that the daemon knows no such target.
func (e *StatusError) NotFound() bool { return e.Status == http.StatusNotFound }

// Client asks a daemon, over the socket of its state directory or over TCP.
type Client struct {
	// base is the daemon's address; the host of a socket's is not used.
	base  string
	token func() (string, error)
	http  http.Client
}

// NewClient makes a Client of the daemon on a state directory; it does not ask
// yet.
func NewClient(stateDir string) *Client {
	path := SocketPath(stateDir)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
	}
	return &Client{base: "http://drover", http: http.Client{Timeout: clientTimeout, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// NewRemoteClient makes a Client of a daemon that serves its API at a URL, to
// those who bring the token. The token goes to that server alone: a redirect is
// not followed.
func NewRemoteClient(server string, token func() (string, error)) *Client {
	transport := &http.Transport{
		DialContext:       (&net.Dialer{Timeout: dialTimeout}).DialContext,
		DisableKeepAlives: true, TLSHandshakeTimeout: dialTimeout, Proxy: http.ProxyFromEnvironment,
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		base: strings.TrimRight(server, "/"), token: token,
		http: http.Client{Timeout: clientTimeout, Transport: transport, CheckRedirect: stay},
	}
}

// newRequest makes a request that may be let in.
func (c *Client) newRequest(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("asking the daemon: %w", err)
	}
	if c.token == nil {
		return req, nil
	}
	token, err := c.token()
	if err != nil {
		return nil, fmt.Errorf("asking the daemon at %s: %w", c.base, err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return req, nil
}

// Health asks whether the daemon is well. One that says it is not is no error.
func (c *Client) Health(ctx context.Context) (Health, error) {
	var h Health
	err := c.do(ctx, http.MethodGet, "/healthz", nil, &h)
	if s := (*StatusError)(nil); errors.As(err, &s) && s.Status == http.StatusServiceUnavailable && len(h.Problems) > 0 {
		return h, nil
	}
	return h, err
}

// Targets lists all targets.
func (c *Client) Targets(ctx context.Context) ([]View, error) {
	var views []View
	err := c.do(ctx, http.MethodGet, "/v1/targets", nil, &views)
	return views, err
}

// Target shows one, by stack/service.
func (c *Client) Target(ctx context.Context, key string) (View, error) {
	var v View
	path, err := targetPath(key)
	if err != nil {
		return v, err
	}
	err = c.do(ctx, http.MethodGet, path, nil, &v)
	return v, err
}

// Look shows one target with what the last look saw of it.
func (c *Client) Look(ctx context.Context, key string) (Detail, error) {
	var d Detail
	path, err := targetPath(key)
	if err != nil {
		return d, err
	}
	err = c.do(ctx, http.MethodGet, path+"/look", nil, &d)
	return d, err
}

// WayBack asks what a restore command would go back to; an empty digest is what
// ran last.
func (c *Client) WayBack(ctx context.Context, key, digest string) (WayBack, error) {
	var back WayBack
	path, err := targetPath(key)
	if err != nil {
		return back, err
	}
	err = c.do(ctx, http.MethodGet, path+"/way-back?digest="+url.QueryEscape(digest), nil, &back)
	return back, err
}

// Tell gives a command and returns the target after it.
func (c *Client) Tell(ctx context.Context, key string, cmd controller.Command) (View, error) {
	var v View
	path, err := targetPath(key)
	if err != nil {
		return v, err
	}
	err = c.do(ctx, http.MethodPost, path+"/commands", cmd, &v)
	return v, err
}

func targetPath(key string) (string, error) {
	stack, service, ok := strings.Cut(key, "/")
	if !ok {
		return "", fmt.Errorf("%q is no stack/service", key)
	}
	return "/v1/targets/" + url.PathEscape(stack) + "/" + url.PathEscape(service), nil
}

func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("writing the request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := c.newRequest(ctx, method, path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return dialError(err)
	}
	defer resp.Body.Close()
	return read(resp, out)
}

// dialError tells "nobody listens" from other failures.
func dialError(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return ErrNoDaemon
	}
	return fmt.Errorf("asking the daemon: %w", err)
}

func read(resp *http.Response, out any) error {
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the daemon's answer: %w", err)
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusServiceUnavailable {
		if err := json.Unmarshal(data, out); err != nil && resp.StatusCode == http.StatusOK {
			return fmt.Errorf("reading the daemon's answer: %w", err)
		}
	}
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	var p problem
	if json.Unmarshal(data, &p) != nil || p.Error == "" {
		p.Error = resp.Status
	}
	return &StatusError{Status: resp.StatusCode, Reason: p.Error}
}
