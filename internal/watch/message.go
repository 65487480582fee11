package watch

import (
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Looked is one look: the service, and its load balancer where there is one.
type Looked struct {
	operator.Sight
	// Balancer is nil where no load balancer is known; BalancerAt is when it was
	// read.
	Balancer   *observe.LoadBalancer
	BalancerAt time.Time
	// Tag is what the followed tag names, asked for where no daemon says it.
	Tag observe.Image
}

// Lines are log lines, in order.
type Lines []logs.Line

// Now is the time; it comes every second.
type Now time.Time

// Slept is for how long the machine slept: connections are made anew.
type Slept time.Duration

// planned is what a key would do, found out by looking.
type planned struct {
	plan operator.Plan
	err  error
}

// done is what came of a plan that was carried out.
type done struct {
	plan operator.Plan
	err  error
}
