package probe

import (
	"bytes"
	"context"
	"errors"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// instance is one HAProxy of a load balancer.
type instance struct {
	// name is for people: host:port or a path, numbered where that is not unique.
	name string
	at   endpoint
	// place is where it stands among those of its load balancer.
	place int
	// problem is why the last page counted for nothing.
	problem *observe.Problem
	ledger  ledger
	page    page
	// body is room for a page, used again.
	body bytes.Buffer
}

// arrival is a page, or why there is none.
type arrival struct {
	problem         *observe.Problem
	asked, answered time.Time
}

// fetch gets a page into body. One fetch of an instance is under way at a time.
func (in *instance) fetch(ctx context.Context, f *fetcher, who credentials) arrival {
	asked := time.Now()
	problem := f.get(ctx, &in.at, who, &in.body)
	return arrival{problem: problem, asked: asked, answered: time.Now()}
}

// take enters a page into the ledger.
func (in *instance) take(a arrival) {
	in.problem = a.problem
	if in.problem == nil {
		in.problem = in.enter(in.body.Bytes(), a.asked, a.answered)
	}
	if in.problem != nil {
		in.problem.Message = "statistics of " + in.name + ": " + in.problem.Message
	}
}

func (in *instance) enter(body []byte, asked, answered time.Time) *observe.Problem {
	if err := in.parse(body); err != nil {
		return pageProblem(err)
	}
	if err := in.ledger.enter(&in.page, asked, answered); err != nil {
		return pageProblem(err)
	}
	return nil
}

// parse reads an answer in the instance's format.
func (in *instance) parse(body []byte) error {
	if in.at.isJSON {
		return in.page.parseJSON(body)
	}
	return in.page.parse(body)
}

// pageProblem tells a page that will never do from one that may be better next
// time.
func pageProblem(err error) *observe.Problem {
	var missing *missingColumnError
	var unusable *unusableError
	if errors.As(err, &missing) || errors.As(err, &unusable) {
		return problemf(observe.CauseUnusable, "%v", err)
	}
	return problemf(observe.CauseInvalid, "%v", err)
}
