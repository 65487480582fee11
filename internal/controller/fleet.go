package controller

import (
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// fleet is what goes on elsewhere. It is counted only when a start or a finish
// may follow; thousands of idle targets do not count each other.
func (c *Core) fleet(key string, t desired.Target, w observe.Wants) observe.Fleet {
	c.mu.Lock()
	limits := c.config.Limits
	f := observe.Fleet{
		Self: c.parts.Self, ConservativeUntil: c.conservativeUntil, ObserveUntil: c.observeUntil, NotDurable: c.isFailed.Load(),
		LimitEnvironment: limits.RolloutsPerEnvironment, LimitLoadBalancer: limits.RolloutsPerLoadBalancer, LimitRollbacks: limits.RollbacksPerHour,
	}
	var others []*state
	if w.Fresh {
		others = make([]*state, 0, len(c.states))
		for other, s := range c.states {
			if other != key {
				others = append(others, s)
			}
		}
	}
	c.mu.Unlock()
	hourAgo := c.parts.Now().Add(-time.Hour)
	for _, s := range others {
		h, _ := s.snapshot()
		f.RollbacksLastHour += h.RollbacksSince(hourAgo)
		if h.Rollout == nil {
			continue
		}
		f.Open++
		if sharesLoadBalancer(t, h.Rollout.Policy) {
			f.OpenOnLoadBalancer++
		}
	}
	f.RollbacksLastHour += c.History(key).RollbacksSince(hourAgo)
	return f
}

func sharesLoadBalancer(a, b desired.Target) bool {
	x, y := a.Gates.LoadBalancer, b.Gates.LoadBalancer
	return x != nil && y != nil && x.Name == y.Name
}
