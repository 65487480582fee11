package sandbox

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// process is one life of the small load balancer, from one reload to the next. Everything it counts begins at zero, and
// sessions that outlive it count where nobody looks, as with the real one.
type process struct {
	check   *Check
	started time.Time

	mu sync.Mutex
	// front and back are the rows FRONTEND and BACKEND.
	front, back counters
	members     []*member
	next        int
	// usable is the backend's state: whether any member is up, since when, and how long it was not in total.
	usable  bool
	changed time.Time
	downFor time.Duration
	downs   int64

	stop   context.CancelFunc
	checks sync.WaitGroup
}

// member is a server in a process.
type member struct {
	counters
	Server
	name string
	// health counts passed checks from 0 to rise+fall-1; from rise on the server is up.
	health  int
	changed time.Time
	downFor time.Duration
	// fails and downs are chkfail and chkdown.
	fails, downs int64
	// result is the last check's; its status is INI before the first. checking says that one is under way.
	result   checkResult
	checking bool
}

// newProcess starts a process and its health checks.
func newProcess(o BalancerOptions, servers []Server) *process {
	now := time.Now()
	p := &process{check: o.Check, started: now, changed: now, usable: true}
	for _, s := range servers {
		m := &member{Server: s, name: ServerName(s.IP), changed: now, result: checkResult{status: "INI"}}
		if o.Check != nil {
			m.health = o.Check.Rise // UP 1/fall: a fresh server takes part until its first check (sample 03a).
		}
		p.members = append(p.members, m)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	if o.Check != nil {
		p.startChecks(ctx)
	}
	return p
}

// startChecks spreads the first checks over an interval, as HAProxy does (sample 01).
func (p *process) startChecks(ctx context.Context) {
	for i, m := range p.members {
		first := p.check.Interval * time.Duration(i) / time.Duration(len(p.members))
		p.checks.Go(func() { p.watch(ctx, m, first) })
	}
}

// close ends the checks and waits for them; open sessions go on.
func (p *process) close() {
	p.stop()
	p.checks.Wait()
}

// watch checks one server until ctx ends.
func (p *process) watch(ctx context.Context, m *member, first time.Duration) {
	t := time.NewTimer(first)
	defer t.Stop()
	address := Server{IP: m.IP, Port: p.check.Port}.address()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		p.mark(m, true)
		r := check(ctx, address, p.check.RequestLine, p.check.Timeout)
		if ctx.Err() != nil {
			return
		}
		p.judge(m, r, time.Now())
		t.Reset(p.check.Interval)
	}
}

func (p *process) mark(m *member, checking bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.checking = checking
}

// judge moves a server's health by one check (HAProxy src/checks.c, set_server_check_status): failures count down from
// the top and drop to zero below rise, successes count up and jump to the top at rise.
func (p *process) judge(m *member, r checkResult, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wasUp := p.isUp(m)
	m.result, m.checking = r, false
	top := p.check.Rise + p.check.Fall - 1
	switch {
	case r.passed() && m.health < top:
		if m.health++; m.health >= p.check.Rise {
			m.health = top
		}
	case !r.passed() && m.health > 0:
		m.fails++
		if m.health--; m.health < p.check.Rise {
			m.health = 0
		}
	}
	if isUp := p.isUp(m); isUp != wasUp {
		m.turn(isUp, now)
		p.turn(now)
	}
}

// turn notes that a server went up or down.
func (m *member) turn(isUp bool, now time.Time) {
	if isUp {
		m.downFor += now.Sub(m.changed)
	} else {
		m.downs++
	}
	m.changed = now
}

// turn notes whether that changed the backend's state.
func (p *process) turn(now time.Time) {
	usable := p.countUp() > 0
	if usable == p.usable {
		return
	}
	if usable {
		p.downFor += now.Sub(p.changed)
	} else {
		p.downs++
	}
	p.usable, p.changed = usable, now
}

func (p *process) isUp(m *member) bool { return p.check == nil || m.health >= p.check.Rise }

func (p *process) countUp() (n int) {
	for _, m := range p.members {
		if p.isUp(m) {
			n++
		}
	}
	return n
}

// pick is the next server in turn, another one than avoid when there is another; nil when none is up. The lock is held.
func (p *process) pick(avoid *member) *member {
	var same *member
	for range p.members {
		m := p.members[p.next%len(p.members)]
		p.next = (p.next + 1) % len(p.members)
		switch {
		case !p.isUp(m):
		case m == avoid:
			same = m
		default:
			return p.taken(m)
		}
	}
	return p.taken(same)
}

func (p *process) taken(m *member) *member {
	if m != nil {
		m.picked++
		p.back.picked++
	}
	return m
}

// errNoServer says that no server is up.
var errNoServer = errors.New("no server is available")

// connect finds a server that accepts a connection: at most three further attempts, each at another server when there
// is one, else at the same a second later (HAProxy src/backend.c, back_handle_st_cer; sample 08a).
func (s *session) connect(ctx context.Context) (net.Conn, error) {
	p := s.process
	for left := retries; ; left-- {
		if !s.choose(left) {
			return nil, errNoServer
		}
		began := time.Now()
		conn, err := s.dial(ctx)
		if err == nil {
			s.connectTime = time.Since(began)
			return conn, nil
		}
		if left == 0 || ctx.Err() != nil {
			s.failed()
			return nil, err
		}
		if p.isAlone() && !wait(ctx, s.retryWait) {
			s.failed()
			return nil, context.Cause(ctx)
		}
	}
}

// choose sets the session's server for the next attempt and counts the attempt, or a retry or redispatch of the last.
func (s *session) choose(left int) bool {
	p := s.process
	p.mu.Lock()
	defer p.mu.Unlock()
	before, now := s.server, time.Now()
	switch {
	case before == nil:
		s.server = p.pick(nil)
	case p.countUp() > 1 || left == 0 || !p.isUp(before):
		before.open--
		s.server = p.pick(before)
	default:
		before.open--
	}
	if s.server == nil {
		p.back.connectErrors++ // On no server's row (sample 07).
		return false
	}
	s.countAgain(before)
	s.server.begin(now)
	s.server.connects++
	p.back.connects++
	return true
}

// countAgain counts a second attempt on the row of the server that failed the first.
func (s *session) countAgain(before *member) {
	switch before {
	case nil:
	case s.server:
		before.retries++
		s.process.back.retries++
	default:
		before.redispatches++
		s.process.back.redispatches++
	}
}

// isAlone says that there is no other server to go to.
func (p *process) isAlone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.countUp() <= 1
}

// wait says whether the time passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
