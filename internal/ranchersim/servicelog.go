package ranchersim

import (
	"context"
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

// whole writes what an execution of a process is for, and how it ends.
func (s *Server) whole(p *process, description string, f func() error) error {
	return s.run1(p, "service."+p.name, description, false, f)
}

// part does the same for a part of it. What it fails with is written after each part that it ends, from the inside out
// (ActivityLogImpl#exception).
func (s *Server) part(p *process, eventType, description string, f func() error) error {
	return s.run1(p, eventType, description, true, f)
}

func (s *Server) run1(p *process, eventType, description string, sub bool, f func() error) error {
	s.mu.Lock()
	e := s.addLog(&logEntry{
		service: p.service, eventType: eventType, description: description, level: "info", subLog: sub,
		transaction: p.transaction,
	})
	s.mu.Unlock()
	err := f()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.logException(p, eventType, err)
	}
	e.ended = s.now()
	s.bus.touch(kindServiceLog, e.id)
	return err
}

// info writes an entry that is over at once.
func (s *Server) info(p *process, eventType, description string) {
	_ = s.part(p, eventType, description, func() error { return nil })
}

// instanceLog writes an entry about one container. The caller holds mu.
func (s *Server) instanceLog(p *process, i *instance, what, description, level string) {
	e := s.addLog(&logEntry{
		service: p.service, instance: i.id, eventType: "service.instance." + what, description: description,
		level: level, subLog: true, transaction: p.transaction,
	})
	e.ended = e.created
}

// logException writes why something ended. The caller holds mu.
func (s *Server) logException(p *process, eventType string, err error) {
	e := &logEntry{
		service: p.service, eventType: eventType + ".exception", description: err.Error(), level: "error",
		subLog: true, transaction: p.transaction,
	}
	var wait *waitError
	var bad *instanceError
	switch {
	case errors.Is(err, errStateChanged), errors.Is(err, context.Canceled):
		return // Another process took over, or the server is closed: no error.
	case errors.As(err, &wait):
		e.level, e.instance = "info", wait.instance.id
	case errors.As(err, &bad):
		e.instance = bad.instance.id
	}
	s.addLog(e)
	e.ended = e.created
}
