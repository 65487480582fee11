package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// maxRuns bounds the checks that are worked on at once.
	maxRuns = 64
	// idleAfter is how long a run may not be asked for before it is given up: its
	// rollout is over.
	idleAfter = time.Minute
	// firstRetry and lastRetry bound the pause after a problem.
	firstRetry, lastRetry = 2 * time.Second, time.Minute
)

// Runner works on checks. It implements observe.CheckReader and may be used by
// many at once.
type Runner struct {
	client *http.Client
	wg     sync.WaitGroup

	mu sync.Mutex
	// ctx and begun are set by Run.
	ctx   context.Context
	begun time.Time
	specs map[string]Spec
	runs  map[id]*run
}

// id names a run.
type id struct{ rollout, check string }

// run is one check of one rollout.
type run struct {
	observe.CheckRun
	spec   Spec
	cancel context.CancelFunc
	// asked is when somebody last wanted to know; result is what is told.
	asked  time.Time
	result observe.CheckResult
	isOver bool
}

var _ observe.CheckReader = (*Runner)(nil)

// NewRunner makes a Runner that knows no check yet. transport replaces the network
// in tests.
func NewRunner(transport http.RoundTripper) *Runner {
	if transport == nil {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: time.Minute}
	}
	return &Runner{
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		specs:  map[string]Spec{}, runs: map[id]*run{},
	}
}

// Update replaces the specs. Runs under way keep theirs.
func (r *Runner) Update(specs []Spec) {
	known := make(map[string]Spec, len(specs))
	for _, s := range specs {
		known[s.Name] = s
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.specs = known
}

// Run lets checks be worked on until ctx ends, and returns when all have stopped.
// It is called once.
func (r *Runner) Run(ctx context.Context) error {
	r.mu.Lock()
	if r.ctx != nil {
		r.mu.Unlock()
		return errors.New("running checks: they run already")
	}
	r.ctx, r.begun = ctx, time.Now()
	r.mu.Unlock()
	tick := time.NewTicker(idleAfter / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.wg.Wait()
			return nil
		case now := <-tick.C:
			r.giveUp(now)
		}
	}
}

// giveUp ends runs that nobody asks for any more.
func (r *Runner) giveUp(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, run := range r.runs {
		if now.Sub(run.asked) > idleAfter {
			run.cancel()
			delete(r.runs, key)
		}
	}
}

// Checks implements observe.CheckReader.
func (r *Runner) Checks(_ context.Context, _ string, runs []observe.CheckRun) []observe.CheckResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	results := make([]observe.CheckResult, len(runs))
	for i, wanted := range runs {
		results[i] = r.result(wanted)
	}
	return results
}

// result is what is known of a run; the first call starts it.
func (r *Runner) result(wanted observe.CheckRun) observe.CheckResult {
	key := id{wanted.About.Rollout, wanted.Name}
	if known := r.runs[key]; known != nil {
		known.asked = time.Now()
		return known.result
	}
	none := observe.CheckResult{Name: wanted.Name, Rollout: key.rollout, State: observe.CheckRunning, Ref: wanted.Ref}
	spec, ok := r.specs[wanted.Name]
	switch {
	case r.ctx == nil || r.ctx.Err() != nil:
		none.Problem = problemf(observe.CausePending, "checks are not run")
	case !ok:
		none.Problem = problemf(observe.CauseUnusable, "check %q is not configured any more", wanted.Name)
	case len(r.runs) >= maxRuns:
		none.Problem = problemf(observe.CausePending, "%d checks are run already", maxRuns)
	default:
		r.start(key, wanted, spec, none)
	}
	return none
}

func (r *Runner) start(key id, wanted observe.CheckRun, spec Spec, none observe.CheckResult) {
	late := fmt.Errorf("no verdict within %v", spec.Timeout)
	ctx, cancel := context.WithDeadlineCause(r.ctx, wanted.Started.Add(spec.Timeout), late)
	run := &run{CheckRun: wanted, spec: spec, cancel: cancel, asked: time.Now(), result: none}
	r.runs[key] = run
	r.wg.Go(func() {
		defer cancel()
		r.work(ctx, run)
	})
}

// work calls a check until it has a verdict, or until its time is over.
func (r *Runner) work(ctx context.Context, run *run) {
	// A check that was decided before this process may have been called by the one
	// before; so may one that was given up and is asked for again.
	mayExist := run.Started.Before(r.begun) || time.Since(run.Started) > idleAfter
	retry := firstRetry
	for attempt := 1; ; attempt++ {
		o := r.call(ctx, run, attempt, mayExist)
		mayExist = true
		r.note(ctx, run, o)
		if run.isOver || ctx.Err() != nil {
			return
		}
		pause := o.after
		switch {
		case pause > 0:
		case o.problem != nil:
			pause, retry = retry, min(2*retry, lastRetry)
		default:
			pause, retry = run.spec.Every, firstRetry
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		if ctx.Err() != nil {
			r.note(ctx, run, outcome{})
			return
		}
	}
}

func (r *Runner) call(ctx context.Context, run *run, attempt int, mayExist bool) outcome {
	s := &run.spec
	switch {
	case s.Webhook != nil:
		return s.Webhook.call(ctx, r.client, run.About, attempt)
	case s.Command != nil:
		return s.Command.call(ctx, run.About)
	case s.Pipeline != nil:
		return s.Pipeline.call(ctx, run.About, run.Started, run.Ref, mayExist)
	}
	return outcome{problem: problemf(observe.CauseUnusable, "check %q is nothing", s.Name)}
}

// note takes an outcome over. A verdict that came in time counts; after that the
// check is over without one.
func (r *Runner) note(ctx context.Context, run *run, o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := &run.result
	if o.ref != "" {
		run.Ref, res.Ref = o.ref, o.ref
	}
	if o.url != "" {
		res.URL = o.url
	}
	last := res.Problem
	res.Problem = o.problem
	switch {
	case o.state != "" && o.state != observe.CheckRunning:
		res.State, res.Detail, run.isOver = o.state, o.detail, true
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		res.State, run.isOver = observe.CheckEnded, true
		res.Detail = oneLine(context.Cause(ctx).Error())
		if last != nil {
			res.Detail = oneLine(res.Detail + "; the last answer: " + last.Message)
		}
		res.Problem = nil
	case o.problem == nil:
		res.Detail = o.detail
	}
}
