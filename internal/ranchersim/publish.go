package ranchersim

import (
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// publish sends every record that changed since the last time, once, as it is now. Whatever happened in between is
// not seen by anyone, as with the real server's coalescing (task.resource.change.publish.schedule).
func (s *Server) publish() {
	changes := s.bus.take()
	subs := s.bus.subscribers()
	if len(subs) == 0 || len(changes) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Nothing is promised about the order between resources, and the real server's has none.
	s.random.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	for _, change := range changes {
		if s.faults.losesEvent() {
			continue
		}
		for _, sub := range subs {
			s.send(sub, change)
		}
	}
}

// send queues the frame of a change for a subscriber that may see it; a full queue ends the subscription. The caller
// holds mu.
func (s *Server) send(sub *subscriber, change resource) {
	v := view{server: s, caller: sub.caller, base: sub.base, version: apiV2}
	owner, body := s.lookUp(v, change)
	if body == nil || owner != sub.caller.project {
		return
	}
	frame := object{
		{"id", s.uuid()},
		{"name", "resource.change"},
		{"resourceId", body.get("id")},
		{"resourceType", body.get("type")},
		{"data", object{{"resource", body}}},
		{"time", s.now().UnixMilli()},
	}
	sub.push(appendJSON(nil, frame))
}

func (sub *subscriber) push(frame []byte) {
	select {
	case sub.queue <- frame:
	default:
		sub.cut()
	}
}

// lookUp renders a changed record and tells whose it is.
func (s *Server) lookUp(v view, r resource) (*project, object) {
	switch r.kind {
	case kindService:
		if svc := s.services[r.id]; svc != nil {
			return svc.project, v.service(svc)
		}
	case kindContainer:
		if i := s.instances[r.id]; i != nil {
			return i.service.project, v.container(i)
		}
	case kindExposeMap:
		if i := s.instances[r.id]; i != nil {
			return i.service.project, v.exposeMap(i)
		}
	case kindStack:
		if st := s.stacks[r.id]; st != nil {
			return st.project, v.stack(st)
		}
	case kindHost:
		if h := s.hosts[r.id]; h != nil {
			return h.project, v.host(h)
		}
	case kindServiceLog:
		if e := s.logs.find(r.id); e != nil {
			return e.service.project, v.serviceLog(e)
		}
	case kindContainerEvent:
		if e := s.findEvent(r.id); e != nil {
			return e.instance.service.project, v.containerEvent(e)
		}
	case kindSecret:
		if sec := s.secrets[r.id]; sec != nil && v.caller.kind != AgentKey {
			return sec.project, v.secret(sec, false)
		}
	}
	return nil, nil
}

// eventNames is the set of characters that Cattle allows in eventNames.
var eventNames = regexp.MustCompile(`^[*._0-9a-zA-Z;=]*$`)

// subscribe serves the event socket. Without an upgrade header it is an empty collection, with 200.
func (s *Server) subscribe(w http.ResponseWriter, r *http.Request, v view) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		v.reply(w, http.StatusOK, v.subscribeCollection(r))
		return
	}
	names := r.URL.Query()["eventNames"]
	for _, name := range names {
		if !eventNames.MatchString(name) {
			v.fail(w, invalid("InvalidCharacters", "eventNames"))
			return
		}
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered.
	}
	defer func() { _ = conn.CloseNow() }()
	sub := newSubscriber(conn.CloseRead(s.ctx), v.caller, v.base)
	defer sub.cut()
	if wantsChanges(names) {
		s.bus.join(sub)
		defer s.bus.leave(sub)
	}
	s.feed(conn, sub, len(names) > 0)
}

// wantsChanges tells whether resource.change was asked for; without names the socket stays silent.
func wantsChanges(names []string) bool {
	for _, name := range names {
		if strings.HasPrefix(name, "resource.change") || name == "*" {
			return true
		}
	}
	return false
}

// feed writes frames and pings until someone ends it.
func (s *Server) feed(conn *websocket.Conn, sub *subscriber, pings bool) {
	ping := time.NewTicker(s.scaled(pingInterval))
	defer ping.Stop()
	for sent := 0; sent < maxPings; {
		var frame []byte
		select {
		case frame = <-sub.queue:
		case <-ping.C:
			if !pings {
				continue
			}
			sent++
			frame = s.pingFrame()
		case <-sub.ctx.Done():
			return
		}
		if conn.Write(sub.ctx, websocket.MessageText, frame) != nil {
			return
		}
	}
	_ = conn.Close(websocket.StatusNormalClosure, "") // Twelve hours are over.
}

func (s *Server) pingFrame() []byte {
	s.mu.Lock()
	id := s.uuid()
	s.mu.Unlock()
	return appendJSON(nil, object{
		{"id", id},
		{"name", "ping"},
		{"resourceId", nil},
		{"resourceType", nil},
		{"data", object{{"options", object{}}, {"resources", []any{}}}},
		{"time", s.now().UnixMilli()},
	})
}
