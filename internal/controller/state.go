package controller

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// state is what is kept of one target between steps. The queue sees to it that
// one worker steps a target at a time; the lock is for those who ask meanwhile.
type state struct {
	mu      sync.Mutex
	history reconcile.History
	// memory is nil while the target is at rest, and rest is what is kept of it then.
	memory *reconcile.Memory
	rest   reconcile.Rest
	// last is the last step's report; nil when that found nothing to do, and then
	// quiet has what was said. Thousands of idle targets keep no picture of their
	// own beside the caches'.
	last  *Report
	quiet quiet

	// facts were applied since the evidence was last asked; sent left at sentAt in
	// the step under way.
	facts  []reconcile.Event
	sent   reconcile.Action
	sentAt time.Time

	// alive are the new containers of the last look, dead how many were kept. They
	// belong to the worker that steps the target.
	alive map[string]alive
	dead  int

	// place is where the target stands in the file in force; the core's lock is for it.
	place int32
}

// quiet is what a step that found nothing to do said.
type quiet struct {
	at     time.Time
	reason string
	// balancer is what the load balancer counted of the target's own servers; nil when
	// it was not asked.
	balancer *observe.LoadBalancer
}

// beginStep is what a step is decided from, and the facts that others applied
// since the step before.
func (s *state) beginStep() (reconcile.History, reconcile.Memory, []reconcile.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.facts
	s.facts, s.sent = nil, reconcile.NoAction
	return s.history, s.remembered(), before
}

// endStep is what the step applied and sent.
func (s *state) endStep() (facts []reconcile.Event, sent reconcile.Action, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	facts, sent, at = s.facts, s.sent, s.sentAt
	s.facts, s.sent, s.sentAt = nil, reconcile.NoAction, time.Time{}
	return facts, sent, at
}

func (s *state) snapshot() (reconcile.History, reconcile.Memory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.history, s.remembered()
}

// remembered is the memory that the next look begins with. The lock is held.
func (s *state) remembered() reconcile.Memory {
	if s.memory == nil {
		return s.rest.Memory()
	}
	return *s.memory
}

func (s *state) apply(events []reconcile.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = s.history.Apply(events...)
	s.facts = append(s.facts, events...)
}

func (s *state) remember(m reconcile.Memory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory, s.rest = &m, reconcile.Rest{}
}

// rememberLook remembers a decision without a write: all of it, or the rest when it
// found nothing to do.
func (s *state) rememberLook(d *reconcile.Decision) {
	rest, ok := d.Memory.Rest()
	if !ok || !d.IsQuiet() {
		s.remember(d.Memory)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory, s.rest = nil, rest
}

// rememberSent remembers a decision whose action is about to leave.
func (s *state) rememberSent(m reconcile.Memory, a reconcile.Action, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m = m.Sent(a, at)
	s.memory, s.rest, s.sent, s.sentAt = &m, reconcile.Rest{}, a, at
}

// Journal entry types that are not events of the history.
const (
	// TypeHistory is a whole history, written by compaction.
	TypeHistory = "history"
	// TypeAnswer is what came of an action.
	TypeAnswer = "answer"
	// TypeEvidence is what was kept before a rollback removed it.
	TypeEvidence = "evidence"
)

// Answer is the journal's line about an action that was sent.
type Answer struct {
	At      time.Time        `json:"at"`
	Rollout string           `json:"rollout,omitempty"`
	Action  reconcile.Action `json:"action"`
	// Error is empty when Rancher took the action.
	Error string `json:"error,omitempty"`
	// Unknown says that it may have been applied all the same.
	Unknown bool `json:"unknown,omitempty"`
}

// Histories folds a journal into one history per target.
func Histories(replay func(func(journal.Entry) error) error) (map[string]reconcile.History, error) {
	all := map[string]reconcile.History{}
	err := replay(func(e journal.Entry) error {
		h, err := Fold(all[e.Target], e)
		if err != nil {
			return fmt.Errorf("reading journal line %d: %w", e.Seq, err)
		}
		if e.Target != "" {
			all[e.Target] = h
		}
		return nil
	})
	return all, err
}

// Fold applies one journal entry to the history of its target.
func Fold(h reconcile.History, e journal.Entry) (reconcile.History, error) {
	switch e.Type {
	case TypeAnswer, TypeEvidence:
		return h, nil
	case TypeHistory:
		var whole reconcile.History
		err := json.Unmarshal(e.Data, &whole)
		return whole, err
	}
	var event reconcile.Event
	if err := json.Unmarshal(e.Data, &event); err != nil {
		return h, err
	}
	return h.Apply(event), nil
}

// Summarize makes the snapshot that a compacted journal begins with.
func Summarize(r journal.Replayer) ([]journal.Entry, error) {
	all, err := Histories(r)
	if err != nil {
		return nil, err
	}
	entries := make([]journal.Entry, 0, len(all))
	for key, h := range all {
		data, err := json.Marshal(h)
		if err != nil {
			return nil, fmt.Errorf("summarizing %s: %w", key, err)
		}
		entries = append(entries, journal.Entry{Target: key, Type: TypeHistory, Data: data})
	}
	return entries, nil
}

func entriesOf(key string, events []reconcile.Event) ([]journal.Entry, error) {
	entries := make([]journal.Entry, 0, len(events))
	for _, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", e.Kind, err)
		}
		entries = append(entries, journal.Entry{Target: key, Type: string(e.Kind), Data: data})
	}
	return entries, nil
}

// policy is the target to decide with. A target that left the file while its
// rollout is open is observed under the policy it started with, and paused
// (ruling 13): a failing version is still taken back.
func policy(current desired.Target, isListed bool, h reconcile.History) (desired.Target, bool) {
	if isListed {
		return reconcile.InForce(current, h), true
	}
	if h.Rollout == nil || h.Rollout.Policy.Service == "" {
		return desired.Target{}, false
	}
	t := h.Rollout.Policy
	t.Pause = true
	return t, true
}
