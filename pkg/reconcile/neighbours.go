package reconcile

import (
	"slices"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// neighbour is another service behind the same load balancer, by its proxy. When
// it fails more than it used to, it is not the new version (rollout-safety 3.4).
type neighbour struct {
	// proxy is its name; empty for the sum of all of them, which also has those that
	// are too many to be counted apart.
	proxy string
	// requests, failures and spread are its baseline, in the halving sums that
	// baseline.learn keeps too.
	requests, failures float64
	spread             spread
	alarm              alarm
}

// allNeighbours is what a person reads for the sum.
const allNeighbours = "the load balancer's other services"

// learnNeighbours takes a look before a rollout into their baselines. It returns a
// new list: a memory that was given away keeps its own.
func learnNeighbours(list []neighbour, lb *observe.LoadBalancer) []neighbour {
	return eachNeighbour(list, lb, func(n *neighbour, c observe.Counts) {
		if n.requests >= longRequests {
			n.requests, n.failures = n.requests/2, n.failures/2
			n.spread.fade()
		}
		n.requests += float64(c.Requests)
		n.failures += float64(c.Failures)
		n.spread.add(c)
	})
}

// countNeighbours takes a look of a rollout. One without a baseline is held to what
// the new version is allowed.
func countNeighbours(list []neighbour, lb *observe.LoadBalancer, limit float64) []neighbour {
	return eachNeighbour(list, lb, func(n *neighbour, c observe.Counts) {
		usual := 0.0
		if phi := n.spread.phi(); n.requests > 0 {
			usual = wilson(n.failures/phi, n.requests/phi, quantile87)
		}
		allowed := min(max(usual, limit, leastRate), mostRate)
		n.alarm.add(c, stepsBetween(allowed, alternative(allowed)))
	})
}

// eachNeighbour calls do for a copy of each neighbour that had traffic.
func eachNeighbour(list []neighbour, lb *observe.LoadBalancer, do func(*neighbour, observe.Counts)) []neighbour {
	if lb.Others.Requests == 0 {
		return list
	}
	next := append(make([]neighbour, 0, max(len(list), len(lb.OtherProxies)+1)), list...)
	take := func(proxy string, c observe.Counts) {
		i := slices.IndexFunc(next, func(n neighbour) bool { return n.proxy == proxy })
		switch {
		case i < 0 && len(next) <= observe.MaxOtherProxies:
			i = len(next)
			next = append(next, neighbour{proxy: proxy})
		case i < 0:
			return
		}
		do(&next[i], c)
	}
	take("", lb.Others)
	for i := range lb.OtherProxies {
		take(lb.OtherProxies[i].Proxy, lb.OtherProxies[i].Counts)
	}
	return next
}

// failingNeighbour names one that is over its baseline; empty when none is.
func failingNeighbour(list []neighbour) string {
	for i := range list {
		switch n := &list[i]; {
		case !n.alarm.isOn(n.spread.phi()):
		case n.proxy == "":
			return allNeighbours
		default:
			return "proxy " + n.proxy
		}
	}
	return ""
}

// quietened are the neighbours with their baselines and without alarms.
func quietened(list []neighbour) []neighbour {
	next := slices.Clone(list)
	for i := range next {
		next[i].alarm = alarm{}
	}
	return next
}
