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

// Client asks the daemon of a state directory.
type Client struct{ http http.Client }

// NewClient makes a Client; it does not ask yet.
func NewClient(stateDir string) *Client {
	path := SocketPath(stateDir)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", path)
	}
	return &Client{http: http.Client{Timeout: clientTimeout, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
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
	// The host is not used: the socket is the address.
	req, err := http.NewRequestWithContext(ctx, method, "http://drover"+path, body)
	if err != nil {
		return fmt.Errorf("asking the daemon: %w", err)
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
