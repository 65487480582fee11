// Package gitlab asks a GitLab server to run pipelines, and how they are.
//
// It is the one package that knows GitLab's client library. A request is sent once:
// the library would repeat a POST that was answered with a 5xx, and a pipeline
// could run twice; whoever calls knows better whether to look first. Answers are
// bounded, and errors hold neither token nor address.
package gitlab

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	api "gitlab.com/gitlab-org/api/client-go"
)

const (
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 4 << 20
	// maxMessage bounds the text of an error.
	maxMessage = 300
	// requestTimeout bounds one request.
	requestTimeout = 20 * time.Second
)

// Client talks to one GitLab server.
type Client struct {
	server string
	token  func() (string, error)
	http   *http.Client
}

// New makes a client of a server. The token is asked for at every request.
// transport replaces the network in tests.
func New(server string, token func() (string, error), transport http.RoundTripper) *Client {
	if transport == nil {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: time.Minute}
	}
	return &Client{server: server, token: token, http: &http.Client{
		Transport: bounded{transport}, Timeout: requestTimeout,
		// The token must not follow a redirect to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// bounded cuts answers off.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}

func (c *Client) connect() (*api.Client, error) {
	token, err := c.token()
	if err != nil {
		return nil, &Error{Status: http.StatusUnauthorized, Message: err.Error()}
	}
	client, err := api.NewClient(token, api.WithBaseURL(c.server), api.WithHTTPClient(c.http), api.WithoutRetries())
	if err != nil {
		return nil, &Error{Message: "the server's address is no URL"}
	}
	return client, nil
}

// Error is a request that failed.
type Error struct {
	// Status is GitLab's; 0 when there was no answer.
	Status int
	// Message is GitLab's own, or why there was no answer.
	Message string
}

// Error says what went wrong.
func (e *Error) Error() string {
	if e.Status == 0 {
		return e.Message
	}
	return fmt.Sprintf("GitLab answered %d: %s", e.Status, e.Message)
}

// Unknown says that the request may have been carried out all the same.
func (e *Error) Unknown() bool { return e.Status == 0 || e.Status >= 500 }

// wrap makes an error of the library one of this package.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, api.ErrNotFound) {
		return &Error{Status: http.StatusNotFound, Message: "there is no such project, ref or pipeline, or the token does not see it"}
	}
	var answered *api.ErrorResponse
	if errors.As(err, &answered) && answered.Response != nil {
		message := answered.Message
		if message == "" {
			message = http.StatusText(answered.Response.StatusCode)
		}
		return &Error{Status: answered.Response.StatusCode, Message: clip(message)}
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	return &Error{Message: clip(err.Error())}
}

func clip(text string) string {
	if len(text) > maxMessage {
		text = text[:maxMessage]
	}
	return strings.ToValidUTF8(text, "")
}
