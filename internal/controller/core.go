package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

const (
	// lookTimeout bounds one look.
	lookTimeout = 8 * time.Second
	// writeTimeout bounds one action at Rancher, the reads before it included.
	writeTimeout = 20 * time.Second
	// rollbackGrace is what journal and evidence together may take before a
	// rollback goes without them (ruling 8).
	rollbackGrace = 2 * time.Second
	// journalTimeout bounds one append.
	journalTimeout = 10 * time.Second
	// maxCause bounds what a panic says in a target's reason; the log has all of it.
	maxCause = 200
)

// Core steps targets. It starts no goroutine that outlives a call.
type Core struct {
	parts Parts

	mu     sync.Mutex
	config *desired.Config
	states map[string]*state
	// conservativeUntil is set when the journal was lost or damaged.
	conservativeUntil time.Time
	// observeUntil is set after a crash loop.
	observeUntil time.Time
	// listeners are told of every report.
	listeners map[chan Report]struct{}

	// starting is held while a start takes its place in the budgets, so that two
	// workers cannot take the same one.
	starting sync.Mutex
	// isFailed says that the last append failed: nothing starts or finishes.
	isFailed atomic.Bool
	// evidenceFails says that the last evidence could not be kept.
	evidenceFails atomic.Bool
}

// NewCore makes a Core that remembers the histories.
func NewCore(p Parts, c *desired.Config, histories map[string]reconcile.History) *Core {
	core := &Core{parts: p, config: c, states: map[string]*state{}, listeners: map[chan Report]struct{}{}}
	for key, h := range histories {
		core.states[key] = &state{history: h}
	}
	core.makeStates(c)
	core.hideSecrets(c)
	return core
}

// BeConservative lets nothing start before t.
func (c *Core) BeConservative(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conservativeUntil = t
}

// ObserveOnly lets nothing be done before t, but what a person asks for.
func (c *Core) ObserveOnly(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.observeUntil = t
}

// Configure takes over a new file.
func (c *Core) Configure(config *desired.Config) {
	c.hideSecrets(config)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config = config
	c.makeStates(config)
}

// makeStates makes what is kept of each target that is new, in one piece: made one by
// one among what the first steps throw away, thousands lie scattered over twice the
// memory that they take.
func (c *Core) makeStates(config *desired.Config) {
	keys, unknown := make([]string, len(config.Targets)), 0
	for i := range config.Targets {
		keys[i] = config.Targets[i].Key()
		if c.states[keys[i]] == nil {
			unknown++
		}
	}
	fresh := make([]state, unknown)
	for i, key := range keys {
		if c.states[key] == nil {
			c.states[key], fresh = &fresh[0], fresh[1:]
		}
		c.states[key].place = int32(i)
	}
}

// target is a target of the file in force, found where it stands there: thousands of
// them are looked at, and each would be sought among all.
func (c *Core) target(key string) (desired.Target, bool) {
	c.mu.Lock()
	config, s, place := c.config, c.states[key], 0
	if s != nil {
		place = int(s.place)
	}
	c.mu.Unlock()
	if stack, service, _ := strings.Cut(key, "/"); place < len(config.Targets) {
		if t := &config.Targets[place]; t.Stack == stack && t.Service == service {
			return *t, true
		}
	}
	return config.Target(key)
}

// Config is the file in force.
func (c *Core) Config() *desired.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.config
}

// Keys are the targets to step: those of the file, and those that left it with a
// rollout open.
func (c *Core) Keys() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys := make([]string, 0, len(c.config.Targets))
	listed := make(map[string]bool, len(c.config.Targets))
	for i := range c.config.Targets {
		key := c.config.Targets[i].Key()
		keys, listed[key] = append(keys, key), true
	}
	for key, s := range c.states {
		if h, _ := s.snapshot(); h.Rollout != nil && !listed[key] {
			keys = append(keys, key)
		}
	}
	return keys
}

func (c *Core) state(key string) *state {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.states[key]
	if s == nil {
		s = &state{}
		c.states[key] = s
	}
	return s
}

// History is what is remembered of a target.
func (c *Core) History(key string) reconcile.History {
	h, _ := c.state(key).snapshot()
	return h
}

// Shadow is what trials of a target's load balancer gate have shown.
func (c *Core) Shadow(key string) reconcile.Shadow {
	_, m := c.state(key).snapshot()
	return m.Shadow()
}

// holdAfterPanic has a target observe only, until a person says `drover resume`: a
// step of it ran into a bug, and the next one may do anything.
func (c *Core) holdAfterPanic(ctx context.Context, key string, cause any) error {
	// Perhaps it is what the gates remember that no step survives: from zero is safe.
	c.state(key).remember(reconcile.Memory{})
	h := c.History(key)
	if h.Holding != nil {
		return nil // It is held already, and panics on.
	}
	said := fmt.Sprint(cause)
	d := reconcile.AfterPanic(h, said[:min(len(said), maxCause)], c.parts.Now())
	err := c.note(ctx, key, d.Events)
	c.report(key, observe.Snapshot{}, d, h.Rollout, err)
	return err
}

// errNoTarget says that a key is neither in the file nor in a rollout.
var errNoTarget = errors.New("no such target")

// Look observes and decides, and touches nothing. It goes by what the caller
// remembers of the gates; what they have seen now is in the decision's Memory.
func (c *Core) Look(ctx context.Context, key string, m reconcile.Memory) (observe.Snapshot, reconcile.Decision, error) {
	in, d, err := c.look(ctx, key, c.History(key), m)
	return in.Observed, d, err
}

// Suppose takes facts for written down that are not, for whoever asks what would follow.
func (c *Core) Suppose(key string, facts ...reconcile.Event) { c.state(key).apply(facts) }

func (c *Core) look(ctx context.Context, key string, h reconcile.History, m reconcile.Memory) (reconcile.Input, reconcile.Decision, error) {
	current, isListed := c.target(key)
	t, ok := policy(current, isListed, h)
	if !ok {
		return reconcile.Input{}, reconcile.Decision{}, fmt.Errorf("%s: %w", key, errNoTarget)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	in := reconcile.Input{Target: t, History: h, Memory: m, Now: c.parts.Now()}
	in.Observed = c.parts.Observer.Glance(ctx, t, in.Now)
	wants := reconcile.Need(in)
	in.Observed = c.parts.Observer.Look(ctx, t, in.Observed, wants)
	in.Observed.Fleet = c.fleet(key, t, wants)
	d := reconcile.Decide(in)
	if d.Action == reconcile.FinishUpgrade || d.Action == reconcile.Rollback {
		// What cannot be undone is decided on two readings that agree (A12): the second
		// replaces the first, and everything else stays as it was seen.
		in.Observed.Service = c.parts.Observer.Services.Service(ctx, t.Stack, t.Service, true)
		d = reconcile.Decide(in)
	}
	if acts := c.parts.Observer.Acts; acts != nil && d.NamesSomebody() {
		// Who it was is written down with it: later nobody can tell.
		act := acts.LastAct(ctx, in.Observed.Service.ID)
		in.Observed.Act = &act
		d = reconcile.Decide(in)
	}
	return in, d, nil
}

// Step looks at one target once, decides, writes the decision down, does it, and
// writes down what came of it. It returns when to look again; zero means only a
// wake changes anything.
func (c *Core) Step(ctx context.Context, key string) (time.Duration, error) {
	h, m, before := c.state(key).beginStep()
	in, d, err := c.look(ctx, key, h, m)
	if errors.Is(err, errNoTarget) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	c.keepDead(ctx, key, &in, &d)
	rollout := c.History(key).Rollout
	err = c.commit(ctx, key, in.Observed, &d)
	c.keepStep(key, in, &d, before, err)
	c.report(key, in.Observed, d, rollout, err)
	return d.RequeueAfter, err
}

// commit is the second half of a step: durable before visible.
func (c *Core) commit(ctx context.Context, key string, seen observe.Snapshot, d *reconcile.Decision) error {
	switch d.Action {
	case reconcile.Upgrade:
		return c.start(ctx, key, seen, d)
	case reconcile.Rollback:
		c.keepEvidence(ctx, key, seen, d)
	case reconcile.FinishUpgrade, reconcile.CancelUpgrade:
		if err := c.write(ctx, key, d.Events); err != nil {
			return err
		}
	case reconcile.NoAction:
		c.state(key).rememberLook(d)
		c.retryJournal()
		return c.note(ctx, key, d.Events)
	}
	c.state(key).rememberSent(d.Memory, d.Action, c.parts.Now())
	return c.act(ctx, key, seen, d, nil)
}

// retryJournal looks whether a journal that failed works again: nothing starts
// meanwhile, so nobody else would find out.
func (c *Core) retryJournal() {
	if !c.isFailed.Load() {
		return
	}
	if c.parts.Journal.Failed() == nil || c.parts.Journal.Reopen() == nil {
		c.isFailed.Store(false)
	}
}

// note writes events that no action waits for. They count in memory even when
// they could not be written: the next look would only decide the same again.
func (c *Core) note(ctx context.Context, key string, events []reconcile.Event) error {
	if len(events) == 0 {
		return nil
	}
	err := c.append(ctx, key, events)
	c.state(key).apply(events)
	return err
}

// write writes events that an action waits for; without them on disk there is no
// action.
func (c *Core) write(ctx context.Context, key string, events []reconcile.Event) error {
	if err := c.append(ctx, key, events); err != nil {
		return fmt.Errorf("nothing is done that is not written down: %w", err)
	}
	c.state(key).apply(events)
	return nil
}

func (c *Core) append(ctx context.Context, key string, events []reconcile.Event) error {
	entries, err := entriesOf(key, events)
	if err != nil {
		return err
	}
	return c.appendEntries(ctx, entries...)
}

func (c *Core) appendEntries(ctx context.Context, entries ...journal.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, journalTimeout)
	defer cancel()
	if c.parts.Journal.Failed() != nil {
		// A failed journal is not trusted until it has been read again.
		if err := c.parts.Journal.Reopen(); err != nil {
			c.isFailed.Store(true)
			return err
		}
	}
	err := c.parts.Journal.AppendContext(ctx, entries...)
	c.isFailed.Store(err != nil)
	return err
}

// start takes a place in the budgets, writes the intent, and posts the upgrade.
func (c *Core) start(ctx context.Context, key string, seen observe.Snapshot, d *reconcile.Decision) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	c.state(key).remember(d.Memory)
	prepared, err := c.prepare(ctx, key, seen, d)
	if prepared == nil {
		return err
	}
	if !c.reserve(ctx, key, d, &err) {
		return err
	}
	c.state(key).rememberSent(d.Memory, d.Action, c.parts.Now())
	return c.act(ctx, key, seen, d, prepared)
}

// prepare reads the launch configuration and proves the change. The rollout's
// start keeps what was read: it is the way back after the finish.
func (c *Core) prepare(ctx context.Context, key string, seen observe.Snapshot, d *reconcile.Decision) (*rancher.Prepared, error) {
	p := d.Plan
	prepared, err := c.parts.Rancher.PrepareUpgrade(ctx, rancher.UpgradeSpec{
		ServiceID: seen.Service.ID, ExpectVersion: p.ExpectVersion, Image: p.Image, Secondary: p.Sidekicks, Labels: p.Labels,
		BatchSize: p.BatchSize, Interval: p.Interval, StartFirst: p.StartFirst, Base: p.Base, BaseSecondary: p.BaseSecondary,
	})
	if err != nil {
		if isRefusal(err) {
			return nil, c.note(ctx, key, append(d.Events, c.refused(key, d, err)...))
		}
		return nil, err
	}
	for i := range d.Events {
		if e := &d.Events[i]; e.Kind == reconcile.EventStarted {
			r := *e.Start
			r.Previous, r.PreviousSecondary = prepared.Previous, prepared.PreviousSecondary
			e.Start = &r
		}
	}
	return prepared, nil
}

// reserve looks at the budgets once more and writes the intent, as one: two
// workers cannot take the same place. A way back waits for no place: budgets hold back
// starts, never rollbacks.
func (c *Core) reserve(ctx context.Context, key string, d *reconcile.Decision, err *error) bool {
	c.starting.Lock()
	defer c.starting.Unlock()
	t, ok := c.target(key)
	if ok && d.Plan.Kind != reconcile.Restore && !c.fleet(key, t, observe.Wants{Fresh: true}).HasRoom(t.Gates.LoadBalancer != nil) {
		d.Action, d.Phase, d.Code = reconcile.NoAction, reconcile.Preflight, reconcile.CodeBudget
		d.Reason = "another rollout took the last place"
		return false
	}
	*err = c.write(ctx, key, d.Events)
	return *err == nil
}

// act sends the action and writes down what came of it.
func (c *Core) act(ctx context.Context, key string, seen observe.Snapshot, d *reconcile.Decision, p *rancher.Prepared) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	var err error
	switch d.Action {
	case reconcile.Upgrade:
		_, err = c.parts.Rancher.Upgrade(ctx, p)
	case reconcile.FinishUpgrade:
		_, err = c.parts.Rancher.FinishUpgrade(ctx, seen.Service.ID, seen.Service.Launch.Version)
	case reconcile.CancelUpgrade:
		_, err = c.parts.Rancher.CancelUpgrade(ctx, seen.Service.ID)
	case reconcile.Rollback:
		_, err = c.parts.Rancher.Rollback(ctx, seen.Service.ID)
	case reconcile.NoAction:
	}
	if written := c.answer(ctx, key, d, err); written != nil {
		c.parts.Log.Error(written, "cannot write down an answer", "target", key)
	}
	if known := (*rancher.Error)(nil); errors.As(err, &known) && known.NotAllowed() && !known.Unknown() {
		_, m := c.state(key).snapshot()
		c.state(key).remember(m.Refused(err.Error()))
	}
	if d.Action == reconcile.Upgrade && isRefusal(err) {
		return errors.Join(err, c.note(ctx, key, c.refused(key, d, err)))
	}
	return err
}

func (c *Core) answer(ctx context.Context, key string, d *reconcile.Decision, err error) error {
	a := Answer{At: c.parts.Now(), Action: d.Action}
	if r := c.History(key).Rollout; r != nil {
		a.Rollout = r.ID
	}
	if err != nil {
		var known *rancher.Error
		a.Error, a.Unknown = err.Error(), !errors.As(err, &known) || known.Unknown()
	}
	data, failed := json.Marshal(a)
	if failed != nil {
		return failed
	}
	return c.appendEntries(ctx, journal.Entry{Target: key, Type: TypeAnswer, Data: data})
}

// isRefusal says that the same upgrade will not be taken later either: it is not
// tried again by itself (A7).
func isRefusal(err error) bool {
	var unsafe *rancher.UnsafeError
	var known *rancher.Error
	var capability *rancher.CapabilityError
	switch {
	case err == nil:
		return false
	case errors.As(err, &unsafe), errors.As(err, &capability):
		return true
	case errors.As(err, &known):
		return known.Invalid() && !known.Unknown()
	}
	return false
}

// refused closes an upgrade that will not be taken later either. When it was the way
// back from a version that fails nobody else will go it: a person is called, and what
// runs is left alone until then.
func (c *Core) refused(key string, d *reconcile.Decision, err error) []reconcile.Event {
	events := []reconcile.Event{{
		Kind: reconcile.EventNotApplied, At: c.parts.Now(), Rollout: d.Plan.Rollout, Code: reconcile.CodeGaveUp, Reason: err.Error(),
	}}
	if d.Plan.Kind == reconcile.Restore && c.History(key).Restoring == nil {
		events = append(events, reconcile.Event{
			Kind: reconcile.EventHeld, At: c.parts.Now(), Code: reconcile.CodeRestoreFailed, Reason: "the way back was refused: " + err.Error(),
		})
	}
	return events
}
