package ranchersim

import (
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxBody bounds a request's body; metadata may have 1 MB.
const maxBody = 8 << 20

func lower(s string) string { return strings.ToLower(s) }

// Handler serves the API: /v2-beta, /v1 and the log sockets.
func (s *Server) Handler() http.Handler { return s.faults.middleware(s, http.HandlerFunc(s.serve)) }

// target is a parsed path: the version, the project in it and what follows.
type target struct {
	version  string
	project  string   // "" when the path names none.
	isItself bool     // The path names the project and nothing in it.
	rest     []string // Type, id, link.
}

// parsePath splits a path as ApiRequestParser#parse does; /projects/<id> is taken off when something follows it.
func parsePath(path string) (target, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if parts[0] != apiV1 && parts[0] != apiV2 {
		return target{}, false
	}
	t := target{version: parts[0], rest: parts[1:]}
	if len(t.rest) > 2 && t.rest[0] == "projects" && lower(t.rest[2]) != "projectmembers" {
		t.project, t.rest = t.rest[1], t.rest[2:]
	} else if len(t.rest) == 2 && t.rest[0] == "projects" {
		t.project, t.isItself = t.rest[1], true
	}
	return t, true
}

// request is one API call on its way through the handlers.
type request struct {
	w     http.ResponseWriter
	r     *http.Request
	view  view
	rest  []string
	query url.Values
	body  map[string]any // Empty when there is none.
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/v1/logs") {
		s.serveLogs(w, r)
		return
	}
	t, ok := parsePath(r.URL.Path)
	v := view{server: s, version: t.version, base: baseURL(r, t)}
	if !ok {
		v.fail(w, notFound())
		return
	}
	w.Header().Set("X-API-Schemas", v.base+"/schemas")
	s.mu.RLock()
	c, err := s.authenticate(r, t.project)
	s.mu.RUnlock()
	if err != nil {
		if err.status == http.StatusUnauthorized {
			challenge(w, r)
		}
		v.fail(w, err)
		return
	}
	v.caller = c
	accountHeaders(w, c)
	s.dispatch(&request{w: w, r: r, view: v, rest: t.rest, query: r.URL.Query()})
}

// baseURL is how this client addresses the server: forwarded headers, else the Host header; lower-cased.
func baseURL(r *http.Request, t target) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if f := r.Header.Get("X-Forwarded-Proto"); f != "" {
		scheme = f
	}
	host := r.Host
	if f := r.Header.Get("X-Forwarded-Host"); f != "" {
		host = f
	}
	base := scheme + "://" + host + "/" + t.version
	if t.project != "" && !t.isItself {
		base += "/projects/" + t.project
	}
	return lower(base)
}

// rootBase is the base without the project.
func (v view) rootBase() string {
	base, _, _ := strings.Cut(v.base, "/projects/")
	return base
}

// dispatch reads the body and answers.
func (s *Server) dispatch(q *request) {
	if err := q.readBody(); err != nil {
		q.fail(err)
		return
	}
	if len(q.rest) > 0 && lower(q.rest[0]) == "subscribe" && q.r.Method == http.MethodGet {
		s.subscribe(q.w, q.r, q.view)
		return
	}
	var status int
	var body object
	var err *apiError
	if q.r.Method == http.MethodGet || q.r.Method == http.MethodHead {
		s.mu.RLock()
		status, body, err = s.get(q)
		s.mu.RUnlock()
	} else {
		s.mu.Lock()
		status, body, err = s.write(q)
		s.audit(q, status, err)
		s.mu.Unlock()
	}
	if err != nil {
		q.fail(err)
		return
	}
	q.view.reply(q.w, status, body)
}

func (q *request) fail(err *apiError) { q.view.fail(q.w, err) }

// readBody parses a JSON body; a list counts as an empty object. Malformed JSON is 400.
func (q *request) readBody() *apiError {
	q.body = map[string]any{}
	if q.r.Body == nil || q.r.Method == http.MethodGet {
		return nil
	}
	raw, err := io.ReadAll(http.MaxBytesReader(q.w, q.r.Body, maxBody))
	if err != nil {
		return plainError(http.StatusBadRequest)
	}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return nil
	}
	v, err := decodeJSON(raw)
	if err != nil {
		return &apiError{status: http.StatusBadRequest, code: "InvalidBodyContent", message: "InvalidBodyContent"}
	}
	if m, ok := v.(map[string]any); ok {
		q.body = m
	}
	return nil
}

// schema finds the type a path begins with.
func (q *request) schema() *schema {
	name := lower(q.rest[0])
	if q.view.version == apiV1 && (name == "environments" || name == "environment") {
		name = "stacks"
	}
	sch := schemaByPath[name]
	if sch == nil || q.view.caller.hidden()[sch.ID] {
		return nil
	}
	return sch
}

// get answers a read. The caller holds mu for reading.
func (s *Server) get(q *request) (int, object, *apiError) {
	body, err := s.read(q)
	return http.StatusOK, body, err
}

func (s *Server) read(q *request) (object, *apiError) {
	if len(q.rest) == 0 || q.rest[0] == "" {
		return q.root(), nil
	}
	sch := q.schema()
	switch {
	case sch == nil:
		return nil, notFound()
	case sch.ID == "schema":
		return q.schemas()
	case len(q.rest) == 1:
		return s.list(q, sch)
	}
	rec := s.record(q.view, sch, q.rest[1])
	switch {
	case rec == nil:
		return nil, notFound()
	case len(q.rest) == 2:
		return s.withIncludes(q, *rec), nil
	case len(q.rest) == 3:
		return s.link(q, *rec, q.rest[2])
	}
	return nil, notFound()
}

// root is the entry point of the API.
func (q *request) root() object {
	v := q.view
	links := object{{"self", v.base}, {"schemas", v.base + "/schemas"}}
	for _, s := range sortedSchemas {
		if s.allowsCollection("GET") && !v.caller.hidden()[s.ID] {
			links.set(s.PluralName, v.url(s.PluralName))
		}
	}
	return object{{"id", v.version}, {"type", "apiVersion"}, {"links", links}, {"actions", object{}}}
}

// write answers a change. The caller holds mu.
func (s *Server) write(q *request) (int, object, *apiError) {
	if len(q.rest) == 0 || q.rest[0] == "" {
		return 0, nil, methodNotAllowed()
	}
	sch := q.schema()
	if sch == nil {
		return 0, nil, notFound()
	}
	if sch.ID == "schema" && q.r.Method == http.MethodPost {
		body, err := q.schemas() // Recorded: POST /schemas answers the list.
		return http.StatusOK, body, err
	}
	action := q.query.Get("action")
	if q.view.caller.kind == ReadOnlyKey && (q.r.Method != http.MethodPost || action == "") {
		return 0, nil, methodNotAllowed()
	}
	switch len(q.rest) {
	case 1:
		return s.writeCollection(q, sch)
	case 2:
		rec := s.record(q.view, sch, q.rest[1])
		if rec == nil {
			return 0, nil, notFound()
		}
		return s.writeRecord(q, sch, rec, action)
	}
	return 0, nil, methodNotAllowed()
}

func (s *Server) writeCollection(q *request, sch *schema) (int, object, *apiError) {
	if q.r.Method != http.MethodPost || !sch.allowsCollection(http.MethodPost) {
		return 0, nil, methodNotAllowed()
	}
	if q.view.caller.project == nil {
		return 0, nil, plainError(http.StatusForbidden)
	}
	var body object
	var err *apiError
	switch {
	case sch.isService():
		body, err = s.postService(q, sch)
	case sch.ID == "stack":
		body, err = s.postStack(q)
	case sch.ID == "secret":
		body, err = s.postSecret(q)
	default:
		return 0, nil, methodNotAllowed()
	}
	return http.StatusCreated, body, err
}

func (s *Server) writeRecord(q *request, sch *schema, rec *record, action string) (int, object, *apiError) {
	switch q.r.Method {
	case http.MethodPost:
		if action == "" {
			return 0, nil, methodNotAllowed()
		}
		return s.act(q, sch, rec, action)
	case http.MethodPut:
		if !sch.allowsResource(http.MethodPut) {
			return 0, nil, methodNotAllowed()
		}
		body, err := s.put(q, rec)
		return http.StatusOK, body, err
	case http.MethodDelete:
		if !sch.allowsResource(http.MethodDelete) {
			return 0, nil, methodNotAllowed()
		}
		body, err := s.remove(q, rec)
		return http.StatusOK, body, err
	}
	return 0, nil, methodNotAllowed()
}
