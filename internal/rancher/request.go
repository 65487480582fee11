package rancher

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	// maxAnswer bounds one answer. A page of 500 services is 1.5 MB on a real
	// server (rancher-api 14.4).
	maxAnswer = 16 << 20
	// maxErrorAnswer bounds what is read of an error.
	maxErrorAnswer = 64 << 10
	// readTries is how often a read is sent at most.
	readTries = 3
)

// get reads one resource into v, trying again while the fault may pass.
func (c *Client) get(ctx context.Context, op string, u *url.URL, v any) error {
	return c.read(ctx, op, u, func(body io.Reader) error {
		return decode(op, body, v)
	})
}

// read sends a GET until it succeeds, fails for good, has been tried often enough
// or time is up. handle may be called again after it failed half way.
func (c *Client) read(ctx context.Context, op string, u *url.URL, handle func(io.Reader) error) error {
	wait := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second),
		backoff.WithMaxElapsedTime(0))
	policy := backoff.WithContext(backoff.WithMaxRetries(wait, readTries-1), ctx)
	var last error
	err := backoff.Retry(func() error {
		last = c.once(ctx, op, http.MethodGet, u, nil, handle)
		var e *Error
		if last == nil || errors.As(last, &e) && e.Temporary() {
			return last
		}
		return backoff.Permanent(last)
	}, policy)
	if err != nil && last != nil {
		// When time is up while waiting, the fault says more than "deadline".
		return last
	}
	return err
}

// once sends one request and hands a good answer's body to handle.
func (c *Client) once(ctx context.Context, op, method string, u *url.URL, body []byte, handle func(io.Reader) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout,
		fmt.Errorf("no answer within %s: %w", c.timeout, context.DeadlineExceeded))
	defer cancel()
	// connected is set by the transport's goroutine.
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	write := method != http.MethodGet
	r, err := newRequest(traced, method, u, body)
	if err != nil {
		return &Error{Op: op, err: err}
	}
	resp, err := c.http.Do(r)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && isTimeout(err) {
			err = cause
		}
		return networkError(op, err, write, connected.Load())
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("X-Api-Account-Kind"); kind != "" {
		c.kind.Store(kind)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return answeredError(op, resp, write)
	}
	if err := handle(&capped{r: resp.Body, left: maxAnswer}); err != nil {
		return unreadAnswer(op, resp.StatusCode, err, write)
	}
	return nil
}

// newRequest makes a request; a nil body stays absent, as Rancher's own clients
// send actions without input.
func newRequest(ctx context.Context, method string, u *url.URL, body []byte) (*http.Request, error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), reader)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	// Without GetBody the transport never sends a body a second time.
	r.GetBody = nil
	return r, nil
}

// wireError is Rancher's error envelope (rancher-api 1.8).
type wireError struct {
	Type      string `json:"type"`
	Code      string `json:"code"`
	FieldName string `json:"fieldName"`
	Message   string `json:"message"`
	Detail    string `json:"detail"`
}

// answeredError makes an Error of an answer that is no success. A 5xx to a write
// may come from a proxy after Rancher applied it.
func answeredError(op string, resp *http.Response, write bool) error {
	e := &Error{Op: op, Status: resp.StatusCode, unknown: write && resp.StatusCode >= 500}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorAnswer))
	var w wireError
	if err == nil && json.Unmarshal(text, &w) == nil && w.Type == "error" {
		e.Code, e.FieldName, e.Message, e.Detail = clip(w.Code), clip(w.FieldName), clip(w.Message), clip(w.Detail)
		return e
	}
	e.Message = http.StatusText(resp.StatusCode) + ", not in Rancher's words"
	return e
}

// unreadAnswer describes a success whose body could not be used.
func unreadAnswer(op string, status int, err error, write bool) error {
	var e *Error
	if !errors.As(err, &e) {
		// The connection broke within the body.
		return &Error{Op: op, err: err, unknown: write}
	}
	e.Op, e.Status, e.unknown = op, status, write
	return e
}

// decode reads one JSON object.
func decode(op string, body io.Reader, v any) error {
	d := json.NewDecoder(body)
	if err := d.Decode(v); err != nil {
		return jsonError(err)
	}
	return nil
}

// jsonError tells text that is no JSON from a connection that broke.
func jsonError(err error) error {
	var e *Error
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &syntax), errors.As(err, &kind), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Code: CodeNotJSON, Message: "the answer is not what Rancher answers", err: err}
	}
	return err
}

// capped is a reader that fails above its limit instead of ending there.
type capped struct {
	r    io.Reader
	left int64
	// blank is how many white-space bytes in a row came last.
	blank int
}

// maxBlank bounds white space in a row. Rancher sends none, and encoding/json looks
// through all of it again with each read: megabytes of it would keep a core busy for
// minutes.
const maxBlank = 64 << 10

// Read fails when more than the limit was read.
func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, &Error{Code: CodeTooLarge, Message: fmt.Sprintf("the answer is larger than %d bytes", maxAnswer)}
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	blank := n - len(bytes.TrimRight(p[:n], " \t\r\n"))
	if blank < n {
		c.blank = 0
	}
	if c.blank += blank; c.blank > maxBlank {
		return 0, &Error{Code: CodeNotJSON, Message: "the answer is blank without end"}
	}
	return n, err
}
