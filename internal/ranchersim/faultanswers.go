package ranchersim

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"time"
)

// answerFaults are the faults of requests, which are decided on before a request is looked at.
var answerFaults = []string{
	FaultLate, FaultCutBefore, FaultCutAfter, FaultStale, FaultHTML, FaultTruncated, FaultEndless, Fault401, Fault403, Fault404, Fault409, Fault422, Fault429, Fault500, Fault502, Fault503,
}

// proxyPage is what something between client and server answers.
const proxyPage = "<html><head><title>Sorry</title></head><body><h1>The server is not available</h1></body></html>"

// middleware is the choke point that every request passes.
func (b *faultBook) middleware(s *Server, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.isDown():
			http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
		case !b.any.Load():
			next.ServeHTTP(w, r)
		default:
			b.serve(s, w, r, next)
		}
	})
}

// serve answers a request while there are faults.
func (b *faultBook) serve(s *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
	r = b.bend(r)
	if first := b.unheard(r); first != nil {
		answer := newRecorder()
		next.ServeHTTP(answer, r)
		b.keep(first, r, answer)
		answer.send(w)
		return
	}
	a := b.draw(func(a *activeFault) bool {
		return a.concerns(r) && (a.Name != FaultStale || a.stale[staleKey(r)] != nil)
	}, answerFaults...)
	if a == nil {
		next.ServeHTTP(w, r)
		return
	}
	b.strike(s, a, w, r, next)
}

// bend applies the faults that only change how a list is put on pages.
func (b *faultBook) bend(r *http.Request) *http.Request {
	concerns := func(a *activeFault) bool { return a.concerns(r) }
	bent := r
	if a := b.draw(concerns, FaultShortPages); a != nil {
		bent = a.withSmallPages(bent)
	}
	if a := b.draw(concerns, FaultLostPages); a != nil {
		bent = bent.WithContext(context.WithValue(bent.Context(), losesPages{}, true))
	}
	return bent
}

func (b *faultBook) strike(s *Server, a *activeFault, w http.ResponseWriter, r *http.Request, next http.Handler) {
	switch a.Name {
	case FaultCutBefore:
		panic(http.ErrAbortHandler)
	case FaultCutAfter:
		next.ServeHTTP(newRecorder(), r)
		panic(http.ErrAbortHandler)
	case FaultLate:
		a.answerLate(s, w, r, next)
	case FaultStale:
		b.recall(a, r).send(w)
	case FaultTruncated:
		answer := newRecorder()
		next.ServeHTTP(answer, r)
		answer.body = answer.body[:len(answer.body)/2]
		answer.send(w)
	case FaultEndless:
		answerEndlessly(s, w, r)
	default:
		a.answerWrongly(s, w, r, next)
	}
}

// answerLate waits before the request or, when it is to be applied, between it and the answer.
func (a *activeFault) answerLate(s *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
	answer := newRecorder()
	if a.Applied {
		next.ServeHTTP(answer, r)
	}
	t := time.NewTimer(a.Delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
		return
	case <-s.ctx.Done():
		return
	}
	if a.Applied {
		answer.send(w)
		return
	}
	next.ServeHTTP(w, r)
}

// answerWrongly answers a page or an error in place of what is true.
func (a *activeFault) answerWrongly(s *Server, w http.ResponseWriter, r *http.Request, next http.Handler) {
	if a.Applied {
		next.ServeHTTP(newRecorder(), r)
	}
	status := a.status()
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	if a.Page || a.Name == FaultHTML {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(max(status, http.StatusOK))
		_, _ = w.Write([]byte(proxyPage)) // A client that is gone is no error here.
		return
	}
	err := plainError(status)
	if a.Code != "" {
		err = &apiError{status: status, code: a.Code}
	}
	if a.Field != "" {
		err.field = a.Field
	}
	view{server: s}.fail(w, err)
}

// answerEndlessly begins a list and never ends it.
func answerEndlessly(s *Server, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, err := w.Write([]byte(`{"type":"collection","data":[`))
	blanks := bytes.Repeat([]byte(" "), 64<<10)
	for err == nil && r.Context().Err() == nil && s.ctx.Err() == nil {
		_, err = w.Write(blanks)
	}
	panic(http.ErrAbortHandler)
}

// withSmallPages is the request with a limit that it did not ask for.
func (a *activeFault) withSmallPages(r *http.Request) *http.Request {
	query := r.URL.Query()
	if n, err := strconv.Atoi(query.Get("limit")); err == nil && n > 0 && n <= a.Size {
		return r
	}
	query.Set("limit", strconv.Itoa(a.Size))
	small := r.Clone(r.Context())
	small.URL.RawQuery = query.Encode()
	return small
}

// losesPages marks a request whose list is to end after its first page.
type losesPages struct{}

// staleKey is what makes two reads the same.
func staleKey(r *http.Request) string { return r.URL.RequestURI() }

// unheard is the first stale fault that concerns a read it has not heard of.
func (b *faultBook) unheard(r *http.Request) *activeFault {
	if r.Method != http.MethodGet || r.Header.Get("Upgrade") != "" {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.active {
		if a.Name == FaultStale && !a.isOver() && a.concerns(r) && a.stale[staleKey(r)] == nil {
			return a
		}
	}
	return nil
}

// maxStale bounds how many answers a stale fault keeps.
const maxStale = 1000

// keep stores the answer that a stale fault will repeat.
func (b *faultBook) keep(a *activeFault, r *http.Request, answer *recorder) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(a.stale) >= maxStale {
		clear(a.stale)
	}
	a.stale[staleKey(r)] = answer
}

func (b *faultBook) recall(a *activeFault, r *http.Request) *recorder {
	b.mu.Lock()
	defer b.mu.Unlock()
	return a.stale[staleKey(r)]
}

// recorder keeps an answer instead of sending it.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

func newRecorder() *recorder { return &recorder{header: http.Header{}, status: http.StatusOK} }

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	r.body = append(r.body, b...)
	return len(b), nil
}

// send gives the answer to a client.
func (r *recorder) send(w http.ResponseWriter) {
	for name, values := range r.header {
		w.Header()[name] = values
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) // A client that is gone is no error here.
}
