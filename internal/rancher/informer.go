package rancher

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/go-logr/logr"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// defaultRelist is how often everything is listed although the stream is up.
	defaultRelist = 5 * time.Minute
	// defaultPoll is how often it is listed without a stream.
	defaultPoll = 15 * time.Second
	// patience is how long the picture is shown as true after the stream broke: a
	// reconnect and a listing fit into it.
	patience = 45 * time.Second
	// debounce is how long doubts are gathered before services are read again.
	debounce = 500 * time.Millisecond
	// retryDoubts is how long a service that could not be read stays doubtful.
	retryDoubts = 5 * time.Second
	// doubtsAtOnce is how many services are read before events are looked at again.
	doubtsAtOnce = 20
	// eventQueue is how many reduced events wait while a listing is read. When it
	// is full the stream is not read, and Rancher hangs up above 100 frames.
	eventQueue = 4096
	// maxSilent is how many streams in a row may tell nothing before Rancher is
	// polled.
	maxSilent = 2
	// retrySocket is how long polling goes on before the stream is tried again.
	retrySocket = 10 * time.Minute
)

// InformerOptions say how an Informer keeps fresh and whom it tells.
type InformerOptions struct {
	// Relist is how often everything is listed although events come: the safety
	// net; default 5m.
	Relist time.Duration
	// Poll is how often everything is listed when the server has no event stream;
	// default 15s, more when listing takes long.
	Poll time.Duration
	// OnChange is told when a followed service or one of its containers looks
	// different. It must not block.
	OnChange func(stack, service string)
	// Logger gets a line when the stream comes or goes.
	Logger logr.Logger
}

// Informer keeps a reduced picture of followed services fresh. It satisfies
// observe.ServiceReader.
type Informer struct {
	client  *Client
	options InformerOptions
	log     logr.Logger
	cache   *cache
	// kick asks for a listing.
	kick chan struct{}
	// isWider says that services were added which the last walk through what agents
	// reported did not look for.
	isWider atomic.Bool
	// synced is closed after the first listing.
	synced     chan struct{}
	syncedOnce sync.Once

	// watching are the channels that Watch gave out.
	watching struct {
		sync.Mutex
		by map[Key]map[chan struct{}]bool
	}

	// The rest belongs to Run's goroutine.

	// doubts are services to read again; false are those that events may answer.
	doubts map[Key]bool
	// quiet says that a loss was logged and no return yet.
	quiet bool
	// polling says that the lack of a stream was logged.
	polling bool
	// silent counts streams in a row that opened and told nothing.
	silent int
	// reports is the walk through what agents reported.
	reports reports
}

var _ observe.ServiceReader = (*Informer)(nil)

// NewInformer makes an Informer; Run starts it.
func NewInformer(c *Client, o InformerOptions) *Informer {
	if o.Relist <= 0 {
		o.Relist = defaultRelist
	}
	if o.Poll <= 0 {
		o.Poll = defaultPoll
	}
	if o.OnChange == nil {
		o.OnChange = func(string, string) {}
	}
	if o.Logger.GetSink() == nil {
		o.Logger = logr.Discard()
	}
	return &Informer{
		client: c, options: o, log: o.Logger, cache: newCache(), doubts: map[Key]bool{},
		kick: make(chan struct{}, 1), synced: make(chan struct{}),
	}
}

// Update sets the services to follow. New ones are known after the next listing,
// which it asks for.
func (i *Informer) Update(keys []Key) {
	if i.cache.follow(i.client.grants.setOf(keys)) {
		i.isWider.Store(true)
		i.Relist()
	}
}

// SetOwn says which Docker container this process runs in: its id, or the beginning
// of it. The service it belongs to is marked as the process's own.
func (i *Informer) SetOwn(container string) { i.cache.setOwn(container) }

// Relist asks for a listing soon.
func (i *Informer) Relist() {
	select {
	case i.kick <- struct{}{}:
	default:
	}
}

// WaitSync waits for the first listing.
func (i *Informer) WaitSync(ctx context.Context) error {
	select {
	case <-i.synced:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Service shows a service: from the picture, or, when it must be fresh, as Rancher
// answers now. ReadAt of the picture is when it was last known to be true.
func (i *Informer) Service(ctx context.Context, stack, service string, fresh bool) observe.Service {
	if !fresh {
		return i.cache.service(Key{stack, service}, time.Now(), patience)
	}
	s, containers := i.client.service(ctx, stack, service)
	i.cache.imageIDs(&s, containers)
	return s
}

// Hosts counts hosts: from the picture while it is kept true, else by asking.
func (i *Informer) Hosts(ctx context.Context) observe.Hosts {
	if i.cache.isLive() {
		return i.cache.hostCount()
	}
	return i.client.Hosts(ctx)
}

// Run keeps the picture fresh until the context ends. It waits for everything it
// started.
func (i *Informer) Run(ctx context.Context) error {
	wait := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(500*time.Millisecond),
		backoff.WithMaxInterval(30*time.Second),
		backoff.WithMaxElapsedTime(0))
	for {
		began := time.Now()
		err := i.session(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // The end that was asked for.
		}
		i.cache.lose(err)
		// While it polls, another socket without a word is no news.
		if err != nil && (!i.polling || !errors.Is(err, errSilent)) {
			i.sayLost(err)
		}
		// Rancher closes every stream after 12 hours; that is no fault.
		if err == nil || time.Since(began) > time.Minute {
			wait.Reset()
		}
		if !sleep(ctx, wait.NextBackOff()) {
			return nil
		}
	}
}

// sayLost logs a loss once, until the picture is whole again.
func (i *Informer) sayLost(err error) {
	if i.quiet {
		return
	}
	i.quiet = true
	i.log.Info("rancher event stream lost", "reason", clip(err.Error()))
}

// session opens the stream, lists, and follows the stream until it ends.
func (i *Informer) session(ctx context.Context) error {
	conn, err := i.dial(ctx)
	if errors.Is(err, errNoStream) || i.silent >= maxSilent {
		if conn != nil {
			_ = conn.CloseNow()
		}
		return i.poll(ctx)
	}
	if err != nil {
		// Only sockets may be broken: what can be listed is shown meanwhile.
		_ = i.relist(ctx)
		return err
	}
	s := openStream(ctx, conn)
	defer func() { s.close(); i.heed(s) }()
	if err := i.relist(ctx); err != nil {
		return err
	}
	i.reports.begin(i.isWider.Swap(false))
	defer i.reports.stop()
	return i.follow(ctx, s)
}

// heed counts streams that opened and told nothing, not even a ping: a proxy in
// between lets the handshake through and keeps the frames.
func (i *Informer) heed(s *stream) {
	switch {
	case s.hasFrames.Load():
		i.silent = 0
	case errors.Is(s.err, errSilent):
		i.silent++
	}
}

// sayFound tells that what was said to be lost is there again. A stream counts
// from its first frame on.
func (i *Informer) sayFound() {
	if i.polling {
		i.polling = false
		i.log.Info("rancher event stream is available again")
	}
	if i.quiet {
		i.quiet = false
		i.log.Info("rancher is followed again")
	}
}

// follow applies events, reads doubtful services, and lists again from time to
// time.
func (i *Informer) follow(ctx context.Context, s *stream) error {
	relist := time.NewTimer(jitter(i.options.Relist))
	defer relist.Stop()
	doubt := time.NewTimer(debounce)
	defer doubt.Stop()
	for armed := true; ; {
		if !armed && len(i.doubts) > 0 {
			doubt.Reset(debounce)
			armed = true
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case ev, ok := <-s.events:
			if !ok {
				return s.err
			}
			i.sayFound()
			i.learn(ev)
			hidden, _ := i.client.secretsHidden(ctx)
			i.take(i.cache.apply(ev, hidden))
			i.cache.confirm(time.Now())
		case <-i.reports.wake():
			i.readReports(ctx)
		case <-doubt.C:
			if armed = !i.resolve(ctx); armed {
				doubt.Reset(retryDoubts)
			}
		case <-i.kick:
			// A little later, so that many reasons make one listing.
			relist.Reset(min(time.Second, i.options.Relist))
		case <-relist.C:
			if err := i.relist(ctx); err != nil {
				return err
			}
			relist.Reset(jitter(i.options.Relist))
			if i.isWider.Swap(false) {
				i.reports.begin(true)
			}
		}
	}
}

// learn ties a container to its service as soon as an event tells of it, so that
// its logs can be asked for without another read.
func (i *Informer) learn(ev event) {
	if ev.container == nil {
		return
	}
	for _, id := range ev.container.ServiceIDs {
		if i.client.grants.knowsService(id) {
			i.client.grants.learnContainer(ev.container.ID, id)
		}
	}
}

// take passes on what came of telling the cache something.
func (i *Informer) take(n news) {
	for _, k := range n.uneven {
		if _, isDoubted := i.doubts[k]; !isDoubted {
			i.doubts[k] = false
		}
	}
	for _, k := range n.doubtful {
		i.doubts[k] = true
	}
	if n.relist {
		i.Relist()
	}
	told := map[Key]bool{}
	for _, k := range n.changed {
		if !told[k] {
			told[k] = true
			i.options.OnChange(k.Stack, k.Service)
			i.wake(k)
		}
	}
}

// Watch returns a channel that holds a token once a followed service looks
// different than when the last one was taken; stop ends it.
func (i *Informer) Watch(stack, service string) (changed <-chan struct{}, stop func()) {
	k, c := Key{stack, service}, make(chan struct{}, 1)
	i.watching.Lock()
	defer i.watching.Unlock()
	if i.watching.by == nil {
		i.watching.by = map[Key]map[chan struct{}]bool{}
	}
	if i.watching.by[k] == nil {
		i.watching.by[k] = map[chan struct{}]bool{}
	}
	i.watching.by[k][c] = true
	return c, func() {
		i.watching.Lock()
		defer i.watching.Unlock()
		delete(i.watching.by[k], c)
		if len(i.watching.by[k]) == 0 {
			delete(i.watching.by, k)
		}
	}
}

// wake leaves a token for whoever watches a service.
func (i *Informer) wake(k Key) {
	i.watching.Lock()
	defer i.watching.Unlock()
	for c := range i.watching.by[k] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// resolve reads some of the doubtful services again, and says whether that worked.
// One that cannot be read stays doubtful.
func (i *Informer) resolve(ctx context.Context) bool {
	left := doubtsAtOnce
	for k, mustRead := range i.doubts {
		if !mustRead && i.cache.isSettled(k) {
			delete(i.doubts, k)
			continue
		}
		if left--; left < 0 {
			break
		}
		s, containers := i.client.service(ctx, k.Stack, k.Service)
		if s.ContainersProblem != nil || s.Problem != nil && s.Problem.Cause != observe.CauseNotFound {
			return false
		}
		delete(i.doubts, k)
		i.take(i.cache.put(k, s, containers))
	}
	return true
}

// poll lists again and again in place of a stream, and returns to try the stream
// now and then.
func (i *Informer) poll(ctx context.Context) error {
	if !i.polling {
		i.polling = true
		i.log.Info("rancher has no event stream here, polling instead", "every", i.options.Poll.String())
	}
	i.quiet, i.silent = false, min(i.silent, maxSilent-1)
	defer i.reports.stop()
	isFirst := true
	for began := time.Now(); time.Since(began) < retrySocket; {
		at := time.Now()
		if err := i.relist(ctx); err != nil {
			return err
		}
		if isWider := i.isWider.Swap(false); isWider || isFirst {
			i.reports.begin(isWider)
		}
		isFirst = false
		i.resolve(ctx)
		if err := i.rest(ctx, max(i.options.Poll, 10*time.Since(at))); err != nil {
			return err
		}
	}
	return nil
}

// rest waits from one listing of polling to the next.
func (i *Informer) rest(ctx context.Context, d time.Duration) error {
	pause := time.NewTimer(d)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-i.reports.wake():
			i.readReports(ctx)
		case <-i.kick:
			return nil
		case <-pause.C:
			return nil
		}
	}
}

// relist lists and takes the result for the picture.
func (i *Informer) relist(ctx context.Context) error {
	select {
	case <-i.kick:
		// What was asked for is about to be done.
	default:
	}
	at := time.Now()
	l, err := i.client.listing(ctx, i.cache)
	if err != nil {
		return err
	}
	i.take(i.cache.replace(l, at))
	i.syncedOnce.Do(func() { close(i.synced) })
	i.log.V(1).Info("listed rancher", "services", len(l.services), "containers", len(l.containers)+len(l.still), "took", time.Since(at).String())
	return nil
}

// jitter spreads a time by a tenth, so that several Drovers do not list at once.
func jitter(d time.Duration) time.Duration {
	return d - d/20 + rand.N(d/10+1)
}

// sleep waits and says whether the context is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
