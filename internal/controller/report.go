package controller

import (
	"context"
	"slices"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// report tells the log and the listeners what a step did: one line per decision,
// silence while nothing changes.
func (c *Core) report(key string, seen observe.Snapshot, d reconcile.Decision, open *reconcile.Rollout, err error) {
	r := Report{Target: key, At: c.parts.Now(), Decision: d, Observed: seen, Rollout: open}
	if now := c.History(key).Rollout; now != nil {
		r.Rollout = now
	}
	if err != nil {
		r.Err = err.Error()
	}
	c.state(key).keep(r)
	c.log(key, r, err)
	c.publish(r)
}

// keep remembers a report for those who ask later.
func (s *state) keep(r Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &r.Decision
	if r.Err == "" && r.Rollout == nil && d.IsQuiet() {
		s.last, s.quiet = nil, quiet{at: r.At, reason: d.Reason, balancer: ownCounts(&r.Observed.LoadBalancer)}
		return
	}
	kept := r
	s.last, s.quiet = &kept, quiet{}
}

// ownCounts is what a look of shadow mode read of the target's own servers; nil when it
// read nothing. What the neighbours counted is in the memory.
func ownCounts(lb *observe.LoadBalancer) *observe.LoadBalancer {
	if len(lb.Servers) == 0 {
		return nil
	}
	kept := *lb
	kept.Servers, kept.OtherProxies = slices.Clip(slices.Clone(lb.Servers)), nil
	return &kept
}

// Last is the last report of a target, or nil. What an idle target looks like is
// taken from the caches, as its own looks do.
func (c *Core) Last(key string) *Report {
	s := c.state(key)
	s.mu.Lock()
	last, q := s.last, s.quiet
	s.mu.Unlock()
	if q.at.IsZero() {
		return last
	}
	r := &Report{Target: key, At: q.at, Decision: reconcile.Decision{Phase: reconcile.Idle, Code: reconcile.CodeNothingToDo, Reason: q.reason}}
	if t, isListed := c.Config().Target(key); isListed {
		r.Observed = c.parts.Observer.Glance(context.Background(), t, q.at)
	}
	if q.balancer != nil {
		r.Observed.LoadBalancer = *q.balancer
	}
	return r
}

func (c *Core) log(key string, r Report, err error) {
	d := r.Decision
	if len(d.Events) == 0 && d.Action == reconcile.NoAction && err == nil {
		return
	}
	values := []any{"target", key, "phase", d.Phase, "code", d.Code, "reason", d.Reason}
	if r.Rollout != nil {
		values = append(values, "rollout", r.Rollout.ID, "digest", r.Rollout.To.Digest)
	}
	if gates := verdicts(d.Gates); gates != "" {
		values = append(values, "gates", gates)
	}
	if d.Action != reconcile.NoAction {
		values = append(values, "action", d.Action)
	}
	if d.Alert {
		values = append(values, "alert", true)
	}
	if err != nil {
		c.parts.Log.Error(err, "decision not carried out", values...)
		return
	}
	c.parts.Log.Info("decision", values...)
}

// verdicts are the gates' in a word each: without them a line that a verdict caused
// would say the same as the one before.
func verdicts(findings []reconcile.Finding) string {
	words := make([]string, len(findings))
	for i := range findings {
		words[i] = findings[i].Gate + " " + string(findings[i].Verdict)
	}
	return strings.Join(words, ", ")
}

// listenerBuffer is how many reports a slow listener may be behind; what is more
// is dropped for it.
const listenerBuffer = 256

// Listen returns a channel of reports until ctx ends. A listener that does not
// keep up misses reports.
func (c *Core) Listen(ctx context.Context) <-chan Report {
	ch := make(chan Report, listenerBuffer)
	c.mu.Lock()
	c.listeners[ch] = struct{}{}
	c.mu.Unlock()
	context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.listeners, ch)
		close(ch)
	})
	return ch
}

func (c *Core) publish(r Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ch := range c.listeners {
		select {
		case ch <- r:
		default:
		}
	}
}
