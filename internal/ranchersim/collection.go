package ranchersim

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The page sizes of ParseCollectionAttributes.
const (
	defaultLimit = 100
	maxLimit     = 3000
)

// createTypes are the types a collection offers to create.
var createTypes = map[string][]string{
	"service":  {"dnsService", "externalService", "loadBalancerService", "networkDriverService", "service", "storageDriverService"},
	"stack":    {"composeProject", "kubernetesStack", "stack"},
	"instance": {"container"},
}

// list answers a top-level collection.
func (s *Server) list(q *request, sch *schema) (object, *apiError) {
	if !sch.allowsCollection(http.MethodGet) {
		return nil, methodNotAllowed()
	}
	if sch.ID == "project" {
		return s.projectList(q), nil
	}
	if q.view.caller.project == nil {
		return nil, plainError(http.StatusForbidden)
	}
	return s.collection(q, sch, s.records(q.view, sch), ofType), nil
}

// projectList has no pages; only id, uuid and name filter it, and a key sees its own project alone.
func (s *Server) projectList(q *request) object {
	data := []object{}
	for _, p := range s.projects {
		c := q.view.caller
		if c.project != nil && c.project != p && !c.admin || c.member != nil && c.member != p {
			continue
		}
		o := q.view.project(p)
		if matchesPlain(q.query, o, "id", "uuid", "name") {
			data = append(data, o)
		}
	}
	return q.plain("project", data)
}

// plain is the envelope of a collection that is not paged, sorted or filtered.
func (q *request) plain(resourceType string, data []object) object {
	return object{
		{"type", "collection"},
		{"resourceType", resourceType},
		{"links", object{{"self", q.self()}}},
		{"createTypes", object{}},
		{"actions", object{}},
		{"data", data},
		{"sortLinks", object{}},
		{"pagination", nil},
		{"sort", nil},
		{"filters", object{}},
		{"createDefaults", object{}},
	}
}

func matchesPlain(query url.Values, o object, names ...string) bool {
	for _, name := range names {
		if want := query.Get(name); want != "" && want != o.get(name) {
			return false
		}
	}
	return true
}

// self is the address of a collection: the path as asked for, without the query.
func (q *request) self() string {
	root := q.view.rootBase()
	root = root[:strings.LastIndex(root, "/")]
	return root + strings.TrimSuffix(q.r.URL.Path, "/")
}

// reach is how a collection was come to; what may be asked of it differs.
type reach int

const (
	ofType     reach = iota // /services: filters, order, pages.
	throughMap              // A link through other records, such as a service's instances: pages alone.
	toChildren              // A link to what belongs to a record: everything at once; filters are shown, not applied (recorded).
)

// collection filters, sorts, pages and renders.
func (s *Server) collection(q *request, sch *schema, list []*record, how reach) object {
	filters := filterSet{}
	if how != throughMap {
		filters = parseFilters(q.query, sch)
	}
	list = slices.DeleteFunc(list, func(r *record) bool {
		return r.removed && len(filters["removed"]) == 0 || how == ofType && !filters.match(r, sch)
	})
	sortField, descending := q.sortOrder(sch)
	if how == ofType {
		sortRecords(list, sortField, descending)
	}
	limit, offset := q.page()
	total := len(list)
	if how == toChildren {
		offset, total = 0, min(total, limit) // Nothing follows.
	} else {
		list = list[min(offset, total):min(offset+limit, total)]
	}
	data := make([]object, len(list))
	for n, r := range list {
		data[n] = s.withIncludes(q, *r)
	}
	return object{
		{"type", "collection"},
		{"resourceType", q.resourceType(sch)},
		{"links", object{{"self", q.self()}}},
		{"createTypes", q.createTypes(sch)},
		{"actions", object{}},
		{"data", data},
		{"sortLinks", q.sortLinks(sch)},
		{"pagination", q.pagination(limit, offset, total)},
		{"sort", q.sortInfo(sortField, descending)},
		{"filters", filters.render(sch)},
		{"createDefaults", q.createDefaults(sch, how)},
	}
}

// createDefaults are what a service created through a stack's own list would get.
func (q *request) createDefaults(sch *schema, how reach) object {
	if how != toChildren || !sch.isService() || lower(q.rest[0]) != "stacks" {
		return object{}
	}
	return object{{"stackId", q.rest[1]}}
}

// resourceType is the schema's id; v1 names the stack's services after their parent, as recorded.
func (q *request) resourceType(sch *schema) string {
	if q.view.version == apiV1 && lower(q.rest[0]) == "environments" {
		return "environment"
	}
	return sch.ID
}

func (q *request) createTypes(sch *schema) object {
	o := object{}
	if q.view.caller.kind == ReadOnlyKey {
		return o
	}
	for _, name := range createTypes[sch.ID] {
		o.set(name, q.view.url(schemas[name].PluralName))
	}
	return o
}

// page reads limit and marker: 100 by default, at most 3000, which a limit below 1 means as well.
func (q *request) page() (limit, offset int) {
	limit = defaultLimit
	if n, err := strconv.Atoi(q.query.Get("limit")); err == nil {
		limit = n
		if n <= 0 || n > maxLimit {
			limit = maxLimit
		}
	}
	if m, ok := strings.CutPrefix(q.query.Get("marker"), "m"); ok {
		if n, err := strconv.Atoi(m); err == nil && n > 0 {
			offset = n
		}
	}
	return limit, offset
}

func (q *request) pagination(limit, offset, total int) object {
	var next any
	partial := offset+limit < total && q.r.Context().Value(losesPages{}) == nil
	if partial {
		next = q.withQuery("marker", "m"+strconv.Itoa(offset+limit))
	}
	return object{{"first", nil}, {"previous", nil}, {"next", next}, {"limit", limit}, {"total", nil}, {"partial", partial}}
}

// withQuery is the request's own address with one parameter replaced, at the end.
func (q *request) withQuery(name, value string) string {
	var kept []string
	for _, part := range strings.Split(q.r.URL.RawQuery, "&") {
		if part != "" && !strings.HasPrefix(part, name+"=") {
			kept = append(kept, part)
		}
	}
	return q.self() + "?" + strings.Join(append(kept, name+"="+value), "&")
}

// orderParameters are taken out of an address, each with the & before it (so one may remain in front; recorded).
var orderParameters = regexp.MustCompile(`&?(?:sort|order)=[^&]*`)

func (q *request) sortLinks(sch *schema) object {
	o := object{}
	prefix := q.self() + "?"
	if rest := orderParameters.ReplaceAllString(q.r.URL.RawQuery, ""); rest != "" {
		prefix += rest + "&"
	}
	for _, c := range sch.columns {
		o.set(c, prefix+"sort="+c)
	}
	return o
}

// sortOrder reads sort and order; a field that is no column is ignored.
func (q *request) sortOrder(sch *schema) (field string, descending bool) {
	field = q.query.Get("sort")
	if !slices.Contains(sch.columns, field) {
		return "", false
	}
	return field, q.query.Get("order") == "desc"
}

func (q *request) sortInfo(field string, descending bool) any {
	if field == "" {
		return nil
	}
	order, reverse := "asc", "desc"
	if descending {
		order, reverse = reverse, order
	}
	return object{{"name", field}, {"reverse", q.withQuery("order", reverse)}, {"order", order}}
}

func sortRecords(list []*record, field string, descending bool) {
	if field == "" {
		return
	}
	slices.SortStableFunc(list, func(a, b *record) int {
		c := compare(a.column(field), b.column(field))
		if descending {
			c = -c
		}
		return c
	})
}

// compare orders column values: NULL first, numbers by value, the rest as text.
func compare(a, b any) int {
	x, xok := a.(int)
	y, yok := b.(int)
	if xok && yok {
		return x - y
	}
	return strings.Compare(columnText(a), columnText(b))
}

func columnText(v any) string {
	if n, ok := v.(int); ok {
		return strconv.Itoa(n)
	}
	return text(v)
}

// subscribeCollection is what a plain GET of subscribe answers.
func (v view) subscribeCollection(r *http.Request) object {
	q := request{r: r, view: v, query: r.URL.Query()}
	filters := object{{"eventNames", nil}}
	if names := q.query["eventNames"]; len(names) > 0 {
		filters[0].value = []any{object{{"modifier", "eq"}, {"value", names[0]}}}
	}
	return object{
		{"type", "collection"},
		{"resourceType", "subscribe"},
		{"links", object{{"self", q.self()}}},
		{"createTypes", object{}},
		{"actions", object{}},
		{"data", []any{}},
		{"sortLinks", object{{"eventNames", q.self() + "?" + r.URL.RawQuery + "&sort=eventNames"}}},
		{"pagination", nil},
		{"sort", nil},
		{"filters", filters},
		{"createDefaults", object{}},
	}
}
