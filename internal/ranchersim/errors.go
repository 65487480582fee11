package ranchersim

import (
	"fmt"
	"net/http"
)

// apiError is an error as the API shows it. Validation errors (422) carry a field name and no message; Rancher often
// puts prose into the field name (ValidationErrorCodes#throwValidationError takes code and fieldName).
type apiError struct {
	status  int
	code    string
	message any // A string or nil.
	field   any // A string or nil; nil leaves fieldName out altogether.
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%d %s %v %v", e.status, e.code, e.field, e.message)
}

// invalid is a validation error with the field, or the prose, that Rancher puts there.
func invalid(code, field string) *apiError {
	return &apiError{status: http.StatusUnprocessableEntity, code: code, field: field}
}

// plainError is an error whose code and message are the text of its status (messages.properties).
func plainError(status int) *apiError {
	text := http.StatusText(status)
	if status == http.StatusMethodNotAllowed {
		text = "Method not allowed"
	}
	return &apiError{status: status, code: text, message: text}
}

func notFound() *apiError         { return plainError(http.StatusNotFound) }
func conflict() *apiError         { return plainError(http.StatusConflict) }
func methodNotAllowed() *apiError { return plainError(http.StatusMethodNotAllowed) }

// body renders the error; the id is a random UUID that the server logs too.
func (e *apiError) body(id string) object {
	o := object{
		{"id", id},
		{"type", "error"},
		{"links", object{}},
		{"actions", object{}},
		{"status", e.status},
		{"code", e.code},
		{"message", e.message},
		{"detail", nil},
	}
	if e.field != nil {
		o.set("fieldName", e.field)
	}
	o.set("baseType", "error")
	return o
}
