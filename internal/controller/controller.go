package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
)

const (
	// workers is how many targets are stepped at once: steps wait for the network
	// most of their time.
	workers = 8
	// firstRetry and lastRetry bound the pause after a step that failed.
	firstRetry = 500 * time.Millisecond
	lastRetry  = time.Minute
	// stopTimeout is how long a step under way may take to end after a stop.
	stopTimeout = 8 * time.Second
	// compactEvery is how often the journal is asked whether it has grown.
	compactEvery = time.Minute
)

// Runner is a part that works until its context ends: a watcher, an informer, a
// server. The controller owns its goroutine.
type Runner struct {
	// Name is for the log.
	Name string
	Run  func(ctx context.Context) error
}

// Controller is the daemon's loop around a Core.
type Controller struct {
	*Core
	queue   workqueue.TypedRateLimitingInterface[string]
	runners []Runner
	// compact makes the journal smaller when it has grown; nil never does.
	compact func() error
}

// New makes a Controller. The runners are started and awaited by Run; compact is
// called now and then.
func New(core *Core, compact func() error, runners ...Runner) *Controller {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)
	return &Controller{Core: core, queue: workqueue.NewTypedRateLimitingQueue(limiter), runners: runners, compact: compact}
}

// Wake has a target looked at now. It does not block.
func (c *Controller) Wake(key string) { c.queue.Add(key) }

// WakeAll has every target looked at, spread over a moment so that a restart is
// no stampede (C31).
func (c *Controller) WakeAll(within time.Duration) {
	for _, key := range c.Keys() {
		if within <= 0 {
			c.queue.Add(key)
			continue
		}
		c.queue.AddAfter(key, rand.N(within))
	}
}

// Run works until ctx ends: then it stops deciding, lets the steps under way end
// and be written down, and returns. It rolls nothing back.
func (c *Controller) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	for _, r := range c.runners {
		parts.Go(func() {
			if err := r.Run(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("running the %s: %w", r.Name, err))
			}
		})
	}
	for range workers {
		parts.Go(func() { c.work(ctx) })
	}
	parts.Go(func() { c.tidy(ctx) })
	c.WakeAll(0)
	<-ctx.Done()
	c.queue.ShutDown()
	parts.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// work steps targets from the queue until it shuts down.
func (c *Controller) work(ctx context.Context) {
	for {
		key, isShutDown := c.queue.Get()
		if isShutDown {
			return
		}
		if ctx.Err() == nil {
			c.step(ctx, key)
		}
		c.queue.Done(key)
	}
}

// step steps one target. A stop does not cut it off: what it has begun it ends,
// within its own time.
func (c *Controller) step(ctx context.Context, key string) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopTimeout, cancel) })
	defer stop()
	after, err := c.safely(own, key)
	switch {
	case err != nil && after > 0 && c.History(key).Rollout != nil:
		// A rollout under way is looked at in its own rhythm, whatever fails.
		c.queue.AddAfter(key, after)
	case err != nil:
		c.queue.AddRateLimited(key)
	default:
		c.queue.Forget(key)
		c.again(key, after)
	}
}

// again has a target looked at after a time, if it is above 0. One that wants so at
// once does not go through the queue of those that wait: it keeps the room that it ever
// took, and after a start thousands want so.
func (c *Controller) again(key string, after time.Duration) {
	switch {
	case after <= 0:
	case after <= time.Millisecond:
		c.queue.Add(key)
	default:
		c.queue.AddAfter(key, after)
	}
}

// safely keeps a panic in one target from ending the others (C18). It is a bug:
// the log says where, and the target is held for a person.
func (c *Controller) safely(ctx context.Context, key string) (after time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while stepping %s: %v", key, p)
			c.parts.Log.Error(err, "a step panicked", "target", key, "stack", string(debug.Stack()))
			c.holdSafely(ctx, key, p)
		}
	}()
	return c.Step(ctx, key)
}

// holdSafely holds a target whose step panicked. What panicked may do so again
// while that is told: then the log has it, and the others still go on.
func (c *Controller) holdSafely(ctx context.Context, key string, cause any) {
	defer func() {
		if p := recover(); p != nil {
			c.parts.Log.Error(fmt.Errorf("panic while holding %s: %v", key, p), "a step panicked, and so did holding the target", "target", key)
		}
	}()
	if err := c.holdAfterPanic(ctx, key, cause); err != nil {
		c.parts.Log.Error(err, "cannot write down that a target is held", "target", key)
	}
}

// tidy compacts the journal when it has grown.
func (c *Controller) tidy(ctx context.Context) {
	tick := time.NewTicker(compactEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if c.compact == nil {
			continue
		}
		if err := c.compact(); err != nil {
			c.parts.Log.Error(err, "cannot compact the journal")
		}
	}
}
