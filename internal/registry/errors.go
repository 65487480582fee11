package registry

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Error is what a registry, or the way to it, answered instead of what was asked.
type Error struct {
	// Op is what was being done, as in "checking the tag".
	Op string
	// Ref is the reference or registry it was done to.
	Ref string
	// Status is the HTTP status; 0 when there was no answer.
	Status int
	// Code is the registry's own error code (MANIFEST_UNKNOWN, DENIED, …), or one
	// of the Code constants.
	Code string
	// Message says what was wrong, without secrets.
	Message string
	// Wait is how long the registry asked to be left alone, already clamped.
	Wait time.Duration
	// Err is the cause below; nil when the answer itself is the error.
	Err error
}

// Codes of errors that no registry sends.
const (
	// CodeInvalid is an answer that cannot be understood or is not supported.
	CodeInvalid = "INVALID_ANSWER"
	// CodeMismatch is a body whose hash is not the digest it was named by.
	CodeMismatch = "DIGEST_MISMATCH"
	// CodeUnusable is a registry that cannot be asked as it is configured.
	CodeUnusable = "UNUSABLE"
	// CodeCredentials is a registry that wants credentials which are missing or
	// were refused.
	CodeCredentials = "CREDENTIALS"
)

// Error says what was being done and what came of it.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Ref != "" {
		b.WriteString(" " + e.Ref)
	}
	b.WriteString(":")
	if e.Status != 0 {
		fmt.Fprintf(&b, " %d %s", e.Status, http.StatusText(e.Status))
		if e.Code != "" || e.Message != "" {
			b.WriteString(":")
		}
	}
	switch {
	case e.Message != "":
		b.WriteString(" " + e.Message)
	case e.Err != nil:
		b.WriteString(" " + e.Err.Error())
	case e.Code != "":
		b.WriteString(" " + e.Code)
	}
	return b.String()
}

// Unwrap is the cause below.
func (e *Error) Unwrap() error { return e.Err }

// NotFound says that the registry definitely has no such thing.
func (e *Error) NotFound() bool { return e.Status == http.StatusNotFound && e.Code != CodeInvalid }

// Auth says that credentials are missing or refused.
func (e *Error) Auth() bool {
	return e.Code == CodeCredentials || e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// RateLimited says that the registry was asked too often.
func (e *Error) RateLimited() bool { return e.Status == http.StatusTooManyRequests }

// RetryAfter is how long the registry asked to be left alone; 0 when it did not.
func (e *Error) RetryAfter() time.Duration { return e.Wait }

// Temporary says that the same request may be answered later.
func (e *Error) Temporary() bool {
	switch {
	case e.Code == CodeInvalid, e.Code == CodeMismatch, e.Code == CodeUnusable, e.Code == CodeCredentials,
		e.Status == http.StatusNotImplemented:
		return false
	case e.Status == 0, e.RateLimited(), e.Status >= 500:
		return true
	}
	return e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooEarly
}

// Problem is the error as an observer reports it.
func (e *Error) Problem() *observe.Problem {
	return &observe.Problem{Cause: e.cause(), Message: e.Error()}
}

func (e *Error) cause() observe.Cause {
	switch {
	case e.Code == CodeUnusable:
		return observe.CauseUnusable
	case e.Code == CodeInvalid, e.Code == CodeMismatch:
		return observe.CauseInvalid
	case e.Auth():
		return observe.CauseAuth
	case e.NotFound():
		return observe.CauseNotFound
	case e.Temporary():
		return observe.CauseUnreachable
	}
	return observe.CauseInvalid
}

// problemOf reports any error; what is not an *Error could not be reached.
func problemOf(err error) *observe.Problem {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Problem()
	}
	return &observe.Problem{Cause: observe.CauseUnreachable, Message: err.Error()}
}

// isMismatch says that a body was not what its digest promises.
func isMismatch(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == CodeMismatch
}

func isNotFound(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.NotFound()
}

// invalid is an answer that cannot be used.
func invalid(format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Message: fmt.Sprintf(format, args...)}
}

// unusable is a configuration that cannot work.
func unusable(format string, args ...any) *Error {
	return &Error{Code: CodeUnusable, Message: fmt.Sprintf(format, args...)}
}

// wrap completes an error with what was being done; the first to say so wins, and
// nil stays nil.
func wrap(err error, op, ref string) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return &Error{Op: op, Ref: ref, Err: err}
	}
	if e.Op != "" {
		return err
	}
	c := *e
	c.Op, c.Ref = op, ref
	return &c
}

// transportError is a request that got no answer. The URL is left out: after a
// redirect it may be a signed one.
func transportError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	_, isUntrusted := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return &Error{Code: CodeUnusable, Message: "the registry answers in plain HTTP: put its host under registries in targets.yaml, with plainHTTP: true", Err: err}
	case isUntrusted:
		return &Error{Code: CodeUnusable, Message: err.Error() + "; a private CA is named by caFile under registries in targets.yaml", Err: err}
	case isCertificateError(err):
		return &Error{Code: CodeUnusable, Message: err.Error(), Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Message: "no complete answer in time", Err: err}
	case errors.Is(err, io.EOF):
		return &Error{Message: "the connection was closed without an answer", Err: err}
	}
	return &Error{Err: err}
}

// statusError is an answer that is not what was asked for. Registries put a list
// of errors into the body (distribution, docs/spec/api.md, "Errors").
func statusError(status int, header http.Header, body []byte) *Error {
	e := &Error{Status: status}
	var answer struct {
		Errors []struct{ Code, Message string }
	}
	known := json.Unmarshal(body, &answer) == nil && len(answer.Errors) > 0
	if known {
		e.Code, e.Message = clean(answer.Errors[0].Code), clean(answer.Errors[0].Message)
	}
	if status == http.StatusNotFound && !known && !looksLikeRegistry(header) {
		e.Code, e.Message = CodeInvalid, "the answer does not come from a registry"
	} else if status == http.StatusNotFound && !known {
		e.Message = "the registry has no such repository or tag"
	}
	if after := header.Get("Retry-After"); after != "" {
		e.Wait = parseRetryAfter(after, time.Now())
	}
	return e
}

// looksLikeRegistry tells a registry's "not found" from that of a proxy or a web
// server that happens to listen there. A HEAD has no body to tell them apart.
func looksLikeRegistry(header http.Header) bool {
	return header.Get("Docker-Distribution-Api-Version") != "" ||
		strings.HasPrefix(header.Get("Content-Type"), "application/json")
}

// clean makes a text from the network fit for a log line.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return s
}
