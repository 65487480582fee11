package ranchersim

import (
	"errors"
	"time"
)

// maxLogs bounds the service log; Cattle keeps a day of it.
const maxLogs = 20000

// logEntry is one line of a service's log.
type logEntry struct {
	id          int
	service     *service
	instance    int // 0 when it is about no container.
	eventType   string
	description string
	level       string // info or error
	subLog      bool
	transaction string
	created     time.Time
	ended       time.Time // Zero while what it tells of goes on.
}

// logBook is the log of all services, oldest first.
type logBook struct{ entries []*logEntry }

// find returns an entry by id, or nil.
func (b *logBook) find(id int) *logEntry {
	if len(b.entries) == 0 {
		return nil
	}
	if i := id - b.entries[0].id; i >= 0 && i < len(b.entries) {
		return b.entries[i]
	}
	return nil
}

// addLog writes an entry. The caller holds mu.
func (s *Server) addLog(e *logEntry) *logEntry {
	e.id, e.created = s.next(prefixLog), s.now()
	s.logs.entries = append(s.logs.entries, e)
	if len(s.logs.entries) > maxLogs {
		s.logs.entries = append([]*logEntry(nil), s.logs.entries[maxLogs/10:]...)
	}
	s.bus.touch(kindServiceLog, e.id)
	return e
}

// event writes what a process does and that it goes on; the returned function tells its end.
func (s *Server) event(p *process, eventType, description string, sub bool) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.addLog(&logEntry{
		service: p.service, eventType: eventType, description: description, level: "info", subLog: sub,
		transaction: p.transaction,
	})
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		e.ended = s.now()
		s.bus.touch(kindServiceLog, e.id)
	}
}

// info writes an entry that is over at once.
func (s *Server) info(p *process, eventType, description string) {
	s.event(p, eventType, description, true)()
}

// instanceLog writes an entry about one container. The caller holds mu.
func (s *Server) instanceLog(p *process, i *instance, what, description, level string) {
	e := s.addLog(&logEntry{
		service: p.service, instance: i.id, eventType: "service.instance." + what, description: description,
		level: level, subLog: true, transaction: p.transaction,
	})
	e.ended = e.created
}

// logException writes why an execution ended. The caller holds mu.
func (s *Server) logException(p *process, err error) {
	e := &logEntry{
		service: p.service, eventType: "service." + p.name + ".exception", description: err.Error(), level: "error",
		subLog: true, transaction: p.transaction,
	}
	var wait *waitError
	var bad *instanceError
	switch {
	case errors.As(err, &wait):
		e.level, e.instance = "info", wait.instance.id
	case errors.As(err, &bad):
		e.instance = bad.instance.id
	}
	s.addLog(e)
	e.ended = e.created
}
