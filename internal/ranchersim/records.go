package ranchersim

import (
	"strings"
)

// record is one thing with an id, whatever its type: how it is shown, filtered and sorted.
type record struct {
	id      int
	removed bool
	column  func(name string) any // A database column's value, nil for NULL.
	render  func() object

	service  *service
	instance *instance
	stack    *stack
	host     *host
	secret   *secret
	project  *project
}

// record finds a thing of a type by id, in the caller's project. The letters of the id do not count, so
// /services/1i7 is service 7; removed things are still found.
func (s *Server) record(v view, sch *schema, id string) *record {
	n, ok := parseID(id)
	if !ok {
		return nil
	}
	rec := s.recordOf(v, sch, n)
	if rec == nil || v.caller.project == nil && rec.project == nil || v.caller.project != nil && rec.project != v.caller.project {
		return nil
	}
	return rec
}

func (s *Server) recordOf(v view, sch *schema, n int) *record {
	switch {
	case sch.isService():
		if svc := s.services[n]; svc != nil {
			return v.serviceRecord(svc)
		}
	case sch.ID == "container" || sch.ID == "instance":
		if i := s.instances[n]; i != nil {
			return v.containerRecord(i)
		}
	case sch.ID == "stack":
		if st := s.stacks[n]; st != nil {
			return v.stackRecord(st)
		}
	case sch.ID == "host":
		if h := s.hosts[n]; h != nil {
			return v.hostRecord(h)
		}
	case sch.ID == "secret":
		if sec := s.secrets[n]; sec != nil {
			return v.secretRecord(sec)
		}
	case sch.ID == "project" || sch.ID == "account":
		for _, p := range s.projects {
			if p.id == n {
				return v.projectRecord(p)
			}
		}
	case sch.ID == "serviceLog":
		if e := s.logs.find(n); e != nil {
			return v.logRecord(e)
		}
	case sch.ID == "serviceExposeMap":
		for _, i := range s.instances {
			if i.mapID == n {
				return v.mapRecord(i)
			}
		}
	case sch.ID == "containerEvent":
		if e := s.findEvent(n); e != nil {
			return v.eventRecord(e)
		}
	case sch.ID == "auditLog":
		for _, e := range s.audits {
			if e.id == n {
				return v.auditRecord(e)
			}
		}
	}
	return nil
}

func (v view) serviceRecord(svc *service) *record {
	return &record{
		id: svc.id, removed: !svc.removed.IsZero(), service: svc, project: svc.project,
		render: func() object { return v.service(svc) },
		column: func(name string) any {
			switch name {
			case "id":
				return svc.id
			case "name":
				return svc.name
			case "state":
				return svc.state
			case "created":
				return formatDate(svc.created)
			case "removed":
				return formatDate(svc.removed)
			}
			return v.serviceField(svc, name)
		},
	}
}

func (v view) containerRecord(i *instance) *record {
	return &record{
		id: i.id, removed: !i.removed.IsZero(), instance: i, project: i.service.project,
		render: func() object { return v.container(i) },
		column: func(name string) any {
			switch name {
			case "id":
				return i.id
			case "name":
				return i.name
			case "state":
				return i.state
			case "created":
				return formatDate(i.created)
			case "removed":
				return formatDate(i.removed)
			case "kind":
				return "container"
			}
			return v.containerField(i, name)
		},
	}
}

// plainRecord takes its columns from what is shown.
func plainRecord(id int, p *project, removed bool, render func() object) *record {
	return &record{id: id, project: p, removed: removed, render: render, column: func(name string) any {
		if name == "id" {
			return id
		}
		return render().get(name)
	}}
}

func (v view) stackRecord(st *stack) *record {
	rec := plainRecord(st.id, st.project, !st.removed.IsZero(), func() object { return v.stack(st) })
	rec.stack = st
	return rec
}

func (v view) hostRecord(h *host) *record {
	rec := plainRecord(h.id, h.project, !h.removed.IsZero(), func() object { return v.host(h) })
	rec.host = h
	return rec
}

func (v view) secretRecord(sec *secret) *record {
	rec := plainRecord(sec.id, sec.project, !sec.removed.IsZero(), func() object { return v.secret(sec, false) })
	rec.secret = sec
	return rec
}

func (v view) projectRecord(p *project) *record {
	return plainRecord(p.id, p, false, func() object { return v.project(p) })
}

func (v view) logRecord(e *logEntry) *record {
	rec := plainRecord(e.id, e.service.project, false, func() object { return v.serviceLog(e) })
	rec.service = e.service
	return rec
}

func (v view) mapRecord(i *instance) *record {
	return plainRecord(i.mapID, i.service.project, !i.removed.IsZero(), func() object { return v.exposeMap(i) })
}

func (v view) eventRecord(e *containerEvent) *record {
	return &record{
		id: e.id, project: e.instance.service.project,
		render: func() object { return v.containerEvent(e) },
		column: func(name string) any { return v.containerEventColumn(e, name) },
	}
}

func (v view) auditRecord(e *auditEntry) *record {
	return plainRecord(e.id, e.project, false, func() object { return v.auditLog(e) })
}

// records lists everything of a type in the caller's project, by id.
func (s *Server) records(v view, sch *schema) []*record {
	switch {
	case sch.isService():
		return s.serviceRecords(v, func(svc *service) bool { return sch.ID == "service" || svc.kind == sch.ID })
	case sch.ID == "container" || sch.ID == "instance":
		return collect(v, s.instances, v.containerRecord, func(i *instance) *project { return i.service.project })
	case sch.ID == "stack":
		return collect(v, s.stacks, v.stackRecord, func(st *stack) *project { return st.project })
	case sch.ID == "host":
		return collect(v, s.hosts, v.hostRecord, func(h *host) *project { return h.project })
	case sch.ID == "secret":
		return collect(v, s.secrets, v.secretRecord, func(sec *secret) *project { return sec.project })
	case sch.ID == "serviceExposeMap":
		return collect(v, s.instances, v.mapRecord, func(i *instance) *project { return i.service.project })
	case sch.ID == "serviceLog":
		return listRecords(v, s.logs.entries, v.logRecord)
	case sch.ID == "containerEvent":
		return listRecords(v, s.events, v.eventRecord)
	case sch.ID == "auditLog":
		return listRecords(v, s.audits, v.auditRecord)
	}
	return nil
}

func (s *Server) serviceRecords(v view, keep func(*service) bool) []*record {
	var list []*record
	for _, id := range sortedIDs(s.services) {
		if svc := s.services[id]; svc.project == v.caller.project && keep(svc) {
			list = append(list, v.serviceRecord(svc))
		}
	}
	return list
}

func collect[T any](v view, table map[int]T, make1 func(T) *record, owner func(T) *project) []*record {
	var list []*record
	for _, id := range sortedIDs(table) {
		if owner(table[id]) == v.caller.project {
			list = append(list, make1(table[id]))
		}
	}
	return list
}

func listRecords[T any](v view, all []T, make1 func(T) *record) []*record {
	var list []*record
	for _, item := range all {
		if rec := make1(item); rec.project == v.caller.project {
			list = append(list, rec)
		}
	}
	return list
}

// link follows a link of a resource: a collection that ignores filters, or a single resource.
func (s *Server) link(q *request, rec record, name string) (object, *apiError) {
	list, sch, single := s.linked(q.view, rec, lower(name))
	switch {
	case single != nil:
		return single.render(), nil
	case sch == nil:
		return nil, notFound()
	}
	if lower(name) == "instances" {
		return s.collection(q, sch, list, throughMap), nil
	}
	return s.collection(q, sch, list, toChildren), nil
}

// linked finds what a link leads to.
func (s *Server) linked(v view, rec record, name string) (list []*record, sch *schema, single *record) {
	if name == "account" {
		return nil, nil, v.projectRecord(rec.project)
	}
	switch {
	case rec.stack != nil:
		return s.linkedToStack(v, rec.stack, name)
	case rec.service != nil:
		return s.linkedToService(v, rec.service, name)
	case rec.instance != nil:
		return s.linkedToInstance(v, rec.instance, name)
	case rec.host != nil && name == "instances":
		for _, r := range s.records(v, schemas["instance"]) {
			if r.instance.host == rec.host {
				list = append(list, r)
			}
		}
		return list, schemas["instance"], nil
	}
	return nil, nil, nil
}

func (s *Server) linkedToStack(v view, st *stack, name string) ([]*record, *schema, *record) {
	switch name {
	case "services":
		return s.serviceRecords(v, func(svc *service) bool { return svc.stack == st }), schemas["service"], nil
	case "instances", "hosts", "volumes", "secrets", "volumetemplates", "scheduledupgrades":
		return nil, schemaByPath[name], nil
	}
	return nil, nil, nil
}

func (s *Server) linkedToService(v view, svc *service, name string) (list []*record, sch *schema, single *record) {
	switch name {
	case "instances":
		for _, i := range svc.instances {
			list = append(list, v.containerRecord(i))
		}
		return list, schemas["instance"], nil
	case "serviceexposemaps":
		for _, i := range svc.instances {
			list = append(list, v.mapRecord(i))
		}
		return list, schemas["serviceExposeMap"], nil
	case "servicelogs":
		for _, e := range s.logs.entries {
			if e.service == svc {
				list = append(list, v.logRecord(e))
			}
		}
		return list, schemas["serviceLog"], nil
	case "stack", "environment":
		return nil, nil, v.stackRecord(svc.stack)
	case "consumedservices":
		return v.consumed(svc), schemas["service"], nil
	case "consumedbyservices":
		return v.consumers(svc), schemas["service"], nil
	case "networkdrivers", "storagedrivers":
		return nil, schemaByPath[name], nil
	}
	return nil, nil, nil
}

func (s *Server) linkedToInstance(v view, i *instance, name string) ([]*record, *schema, *record) {
	switch name {
	case "services":
		return []*record{v.serviceRecord(i.service)}, schemas["service"], nil
	case "serviceexposemaps":
		return []*record{v.mapRecord(i)}, schemas["serviceExposeMap"], nil
	case "hosts":
		if i.host == nil {
			return nil, schemas["host"], nil
		}
		return []*record{v.hostRecord(i.host)}, schemas["host"], nil
	}
	for _, l := range containerLinks {
		if strings.EqualFold(l, name) && schemaByPath[name] != nil {
			return nil, schemaByPath[name], nil
		}
	}
	return nil, nil, nil
}

// withIncludes renders a resource and, inline, what the first include asks for.
func (s *Server) withIncludes(q *request, rec record) object {
	o := rec.render()
	name := q.query.Get("include")
	if name == "" {
		return o
	}
	list, sch, single := s.linked(q.view, rec, lower(name))
	switch {
	case single != nil:
		o.set(name, asIncluded(single.render()))
	case sch != nil:
		rendered := []object{}
		for _, r := range list {
			if !r.removed {
				rendered = append(rendered, asIncluded(r.render()))
			}
		}
		o.set(name, rendered)
	}
	return o
}

// asIncluded leaves out what Rancher adds only where a record is asked for itself (recorded).
func asIncluded(o object) object {
	o.remove("healthcheckStates")
	for n := range o {
		switch o[n].key {
		case "instanceIds", "serviceIds":
			o[n].value = nil
		}
	}
	return o
}
