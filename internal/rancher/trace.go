package rancher

import (
	"net/http"
	"time"
)

// Exchange is a request and what came of it, without headers and bodies, so
// without the credentials.
type Exchange struct {
	Method, Path, Query string
	// Status is 0 when no answer came; Err then says why.
	Status int
	Err    error
	// Took is the time until the answer began.
	Took time.Duration
}

// traced tells of every request that passes.
type traced struct {
	next http.RoundTripper
	tell func(Exchange)
}

// RoundTrip sends the request on.
func (t *traced) RoundTrip(r *http.Request) (*http.Response, error) {
	begun := time.Now()
	resp, err := t.next.RoundTrip(r)
	e := Exchange{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Err: err, Took: time.Since(begun)}
	if resp != nil {
		e.Status = resp.StatusCode
	}
	t.tell(e)
	return resp, err
}
