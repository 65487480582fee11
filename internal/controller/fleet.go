package controller

import (
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// fleet is what goes on elsewhere. It is counted only when a start or a finish
// may follow; thousands of idle targets do not count each other.
func (c *Core) fleet(key string, t desired.Target, w observe.Wants) observe.Fleet {
	c.mu.Lock()
	defer c.mu.Unlock()
	limits := c.config.Limits
	f := observe.Fleet{
		Self: c.parts.Self, ConservativeUntil: c.conservativeUntil, ObserveUntil: c.observeUntil, NotDurable: c.isFailed.Load(),
		LimitEnvironment: limits.RolloutsPerEnvironment, LimitLoadBalancer: limits.RolloutsPerLoadBalancer, LimitRollbacks: limits.RollbacksPerHour,
	}
	hourAgo := c.parts.Now().Add(-time.Hour)
	if own := c.states[key]; own != nil {
		_, f.RollbacksLastHour = own.standing(hourAgo)
	}
	if !w.Fresh {
		return f
	}
	for other, s := range c.states {
		if other == key {
			continue
		}
		open, rollbacks := s.standing(hourAgo)
		f.RollbacksLastHour += rollbacks
		if open == nil {
			continue
		}
		f.Open++
		if sharesLoadBalancer(&t, &open.Policy) {
			f.OpenOnLoadBalancer++
		}
	}
	return f
}

// standing is what others want to know of a target: its open rollout, if there is one,
// and its rollbacks since a time.
func (s *state) standing(since time.Time) (open *reconcile.Rollout, rollbacks int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.history.Rollout, s.history.RollbacksSince(since)
}

func sharesLoadBalancer(a, b *desired.Target) bool {
	x, y := a.Gates.LoadBalancer, b.Gates.LoadBalancer
	return x != nil && y != nil && x.Name == y.Name
}
