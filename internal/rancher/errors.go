package rancher

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Codes of errors that this package makes itself. The others come from Rancher.
const (
	// CodeNotJSON is an answer that is no JSON, such as a proxy's page.
	CodeNotJSON = "NotJSON"
	// CodeTooLarge is an answer above the size limit.
	CodeTooLarge = "TooLarge"
	// CodeMismatch is an answer about another thing than was asked for.
	CodeMismatch = "Mismatch"
	// CodeChanged means that the service is not in the state the caller saw.
	CodeChanged = "Changed"
	// CodeCredentials means that a key could not be read.
	CodeCredentials = "Credentials"
	// CodeNoEnvironment means that the environment was not found among those the
	// key can see, or that none was named and there are several.
	CodeNoEnvironment = "NoEnvironment"
	// CodeReadOnly means that the key's role may only read.
	CodeReadOnly = "ReadOnly"
	// codeActionNotAvailable is Rancher's: the action exists but not in the
	// service's present state (rancher-api 1.8).
	codeActionNotAvailable = "ActionNotAvailable"
	// codeInvalidAction is Rancher's: no such action for the type or the role.
	codeInvalidAction = "InvalidAction"
)

// maxErrorText bounds what an error repeats of a server's prose.
const maxErrorText = 400

// Error is a request to Rancher that did not do what was asked.
type Error struct {
	// Op is what was being done, such as "upgrading service 1s5".
	Op string
	// Status is the HTTP status; 0 when no answer came.
	Status int
	// Code is Rancher's error code or one of the Code constants.
	Code string
	// FieldName is Rancher's; it may hold prose instead of a name
	// (ValidationErrorCodes#throwValidationError takes code and fieldName).
	FieldName string
	// Message and Detail are Rancher's and often empty.
	Message string
	Detail  string
	// unknown says that the request may have been applied all the same.
	unknown bool
	// err is the cause below HTTP.
	err error
}

// Error joins what there is.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	for _, s := range []string{e.Code, e.FieldName, e.Message, e.Detail} {
		if s != "" {
			b.WriteString(": " + clip(s))
		}
	}
	if e.err != nil {
		b.WriteString(": " + clip(e.cause()))
	}
	if e.unknown {
		b.WriteString(" (it is not known whether the request was applied)")
	}
	return b.String()
}

// cause is what went wrong below HTTP, in words for those that Go leaves out.
func (e *Error) cause() string {
	_, isUntrusted := errors.AsType[x509.UnknownAuthorityError](e.err)
	switch {
	case e.Status != 0 || e.Code != "":
	case errors.Is(e.err, io.EOF):
		return "the connection was closed without an answer"
	case errors.Is(e.err, context.DeadlineExceeded):
		return "no answer in time"
	case isUntrusted:
		return e.err.Error() + "; a private CA is named by caFile"
	}
	return e.err.Error()
}

// Unwrap is the cause below HTTP, if any.
func (e *Error) Unwrap() error { return e.err }

// Unknown says that a write may or may not have been applied: the answer was lost
// or came from something in between. It calls for a read.
func (e *Error) Unknown() bool { return e.unknown }

// Temporary says that the same read may succeed later without anybody's doing.
func (e *Error) Temporary() bool {
	switch {
	case e.Status >= 500, e.Status == http.StatusTooManyRequests, e.Status == http.StatusRequestTimeout:
		return e.Status != http.StatusNotImplemented
	case e.Status == 0:
		return e.Code == "" && e.err != nil
	}
	return false
}

// NotFound says that Rancher knows no such resource.
func (e *Error) NotFound() bool { return e.Status == http.StatusNotFound }

// Conflict says that the service is in another state than the action needs: read
// again and decide again.
func (e *Error) Conflict() bool {
	if e.Code == CodeChanged {
		return true
	}
	return e.Status == http.StatusConflict ||
		e.Status == http.StatusUnprocessableEntity && e.Code == codeActionNotAvailable
}

// NotAllowed says that the key may not do this, or is none.
func (e *Error) NotAllowed() bool {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed:
		return true
	}
	return e.Code == CodeCredentials || e.Code == CodeReadOnly || e.Code == codeInvalidAction
}

// Invalid says that Rancher refused what was sent; sending it again is no use.
func (e *Error) Invalid() bool {
	if e.Conflict() || e.NotAllowed() {
		return false
	}
	return e.Status == http.StatusUnprocessableEntity || e.Status == http.StatusBadRequest
}

// garbled says that the answer could not be understood.
func (e *Error) garbled() bool {
	return slices.Contains([]string{CodeNotJSON, CodeTooLarge, CodeMismatch}, e.Code)
}

// UnsafeError is an upgrade that was not sent because it would lose or wreck
// something.
type UnsafeError struct {
	// Op is what was being done.
	Op string
	// Reason says what is wrong.
	Reason string
	// Paths are the JSON pointers in question, when there are any.
	Paths []string
}

// Error names the reason and the paths.
func (e *UnsafeError) Error() string {
	text := e.Op + ": refused: " + e.Reason
	if len(e.Paths) > 0 {
		text += ": " + clip(strings.Join(e.Paths, ", "))
	}
	return text
}

// problem turns an error into the part of a Snapshot that tells of it. A 404 is no
// proof that something is gone: a proxy or a wrong environment answers 404 to
// everything (rollout-safety A4). Who knows better says so itself.
func problem(err error) *observe.Problem {
	if err == nil {
		return nil
	}
	var p *observe.Problem
	if errors.As(err, &p) {
		return p
	}
	cause := observe.CauseUnreachable
	var e *Error
	var refused *CapabilityError
	switch {
	case errors.As(err, &refused):
		cause = observe.CauseUnusable
	case !errors.As(err, &e):
	case e.NotAllowed():
		cause = observe.CauseAuth
	case e.Code == CodeNoEnvironment:
		cause = observe.CauseUnusable
	case e.garbled(), e.Invalid():
		cause = observe.CauseInvalid
	}
	return &observe.Problem{Cause: cause, Message: clip(err.Error())}
}

// notFound is the definite "there is no such thing".
func notFound(format string, args ...any) *observe.Problem {
	return &observe.Problem{Cause: observe.CauseNotFound, Message: fmt.Sprintf(format, args...)}
}

// networkError describes a request without an answer. What a url.Error adds is
// left out: the operation is already named. A request that never got a connection
// was not applied; anything later is not known.
func networkError(op string, err error, write, connected bool) error {
	var refused *CapabilityError
	if errors.As(err, &refused) {
		return refused
	}
	var known *Error
	if errors.As(err, &known) {
		known.Op = op
		return known
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &Error{Op: op, err: err, unknown: write && connected}
}

// isTimeout says that time ran out rather than that somebody gave up.
func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// clip bounds text that comes from outside and keeps it on one line.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxErrorText {
		s = strings.ToValidUTF8(s[:maxErrorText], "") + "…"
	}
	return s
}

// isNotFound says that an error is a 404.
func isNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.NotFound()
}
