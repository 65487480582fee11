package ranchersim

import (
	"context"
	"net"
	"net/http"
	"time"
)

// postStack creates a stack.
func (s *Server) postStack(q *request) (object, *apiError) {
	in, err := s.validator(q.view).object(schemas["stack"], q.body, forCreate)
	if err != nil {
		return nil, err
	}
	st, err := s.newStack(q.view.caller.project, in)
	if err != nil {
		return nil, err
	}
	return q.view.stack(st), nil
}

// newStack records a stack; it is active in a moment. The caller holds mu.
func (s *Server) newStack(p *project, in map[string]any) (*stack, *apiError) {
	name := text(in["name"])
	for _, st := range s.stacks {
		if st.project == p && st.name == name && st.removed.IsZero() {
			return nil, invalid("NotUnique", "name")
		}
	}
	st := &stack{
		id: s.next(prefixStack), project: p, name: name, state: stateActivating, uuid: s.uuid(), created: s.now(),
		healthState: healthHealthy, fields: in,
	}
	s.stacks[st.id] = st
	s.bus.touch(kindStack, st.id)
	s.spawn(func(ctx context.Context) {
		s.sleep(ctx, registerTime)
		s.mu.Lock()
		defer s.mu.Unlock()
		if st.state == stateActivating {
			st.state = stateActive
			s.bus.touch(kindStack, st.id)
		}
	})
	return st, nil
}

// postSecret stores a secret; this answer is the only one with its value.
func (s *Server) postSecret(q *request) (object, *apiError) {
	in, err := s.validator(q.view).object(schemas["secret"], q.body, forCreate)
	if err != nil {
		return nil, err
	}
	for _, other := range s.secrets {
		if other.project == q.view.caller.project && other.name == text(in["name"]) && other.removed.IsZero() {
			return nil, invalid("NotUnique", "name")
		}
	}
	sec := &secret{
		id: s.next(prefixSecret), project: q.view.caller.project, name: text(in["name"]), uuid: s.uuid(),
		value: text(in["value"]), description: in["description"], created: s.now(), state: stateCreating,
	}
	s.secrets[sec.id] = sec
	s.bus.touch(kindSecret, sec.id)
	s.spawn(func(ctx context.Context) {
		s.sleep(ctx, registerTime)
		s.mu.Lock()
		defer s.mu.Unlock()
		if sec.state == stateCreating {
			sec.state = stateActive
			s.bus.touch(kindSecret, sec.id)
		}
	})
	return q.view.secret(sec, true), nil
}

// auditEntry tells who changed what.
type auditEntry struct {
	id                                int
	project                           *project
	eventType, resourceType, clientIP string
	account                           string // Whose key it was.
	isOpen                            bool   // Access control was off.
	resourceID                        any
	code                              int
	created                           time.Time
}

// maxAudits bounds the audit log; Cattle keeps 30 days.
const maxAudits = 5000

// audit writes down a change, refused or not (AuditServiceImpl#logRequest). The caller holds mu.
func (s *Server) audit(q *request, status int, err *apiError) {
	if q.view.caller.project == nil || len(q.rest) == 0 {
		return
	}
	sch := q.schema()
	if sch == nil {
		return
	}
	if err != nil {
		status = err.status
	}
	ip, _, splitErr := net.SplitHostPort(q.r.RemoteAddr)
	if splitErr != nil {
		ip = q.r.RemoteAddr
	}
	e := &auditEntry{
		id: s.next(prefixAudit), project: q.view.caller.project, eventType: "api." + sch.ID + "." + q.verb(),
		resourceType: sch.ID, clientIP: ip, code: status, created: s.now(),
		account: q.view.caller.account, isOpen: q.view.caller.admin,
	}
	if len(q.rest) > 1 {
		e.resourceID = q.rest[1]
	}
	s.audits = append(s.audits, e)
	if len(s.audits) > maxAudits {
		s.audits = append([]*auditEntry(nil), s.audits[maxAudits/10:]...)
	}
}

// verb is the action's name, or the word for the method.
func (q *request) verb() string {
	if action := q.query.Get("action"); action != "" {
		return action
	}
	switch q.r.Method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	default:
		return "delete"
	}
}

// auditLog renders an entry of the audit log.
func (v view) auditLog(e *auditEntry) object {
	o := v.head(formatID(prefixAudit, e.id), "auditLog", "auditLog", []string{"account"}, nil)
	o.set("accountId", formatID(prefixProject, e.project.id))
	o.set("authType", "BasicAuth")
	o.set("authenticatedAsAccountId", e.account)
	if e.isOpen {
		o[len(o)-2].value = "AdminAuth"
	}
	o.set("authenticatedAsIdentityId", nil)
	o.set("clientIp", e.clientIP)
	o.setDate("created", e.created)
	o.set("description", nil)
	o.set("eventType", e.eventType)
	o.set("kind", "auditLog")
	o.set("requestObject", nil)
	o.set("resourceId", e.resourceID)
	o.set("resourceType", e.resourceType)
	o.set("responseCode", e.code)
	o.set("responseObject", nil)
	return o
}
