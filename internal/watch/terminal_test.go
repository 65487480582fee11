package watch

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/internal/watch/watchtest"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// terminal is a pseudo-terminal with somebody in front of it.
type terminal struct {
	*watchtest.Terminal
	t *testing.T
}

func newTerminal(t *testing.T, width, height int) *terminal {
	t.Helper()
	return &terminal{watchtest.New(t, width, height), t}
}

// await waits until the screen is so.
func (term *terminal) await(what string, is func(screen string) bool) {
	term.t.Helper()
	term.Await(30*time.Second, what, is)
}

func (term *terminal) shows(text string) {
	term.t.Helper()
	term.await("the screen shows "+text, func(screen string) bool { return strings.Contains(screen, text) })
}

// is waits until the screen is the recorded one.
func (term *terminal) is(name string) {
	term.t.Helper()
	file := filepath.Join("testdata", "terminal", name+".txt")
	if *update {
		term.Settle()
		checkGolden(term.t, file, term.Text())
	}
	want, err := os.ReadFile(file)
	if err != nil {
		term.t.Fatal(err)
	}
	term.await("the screen is "+file+":\n"+string(want), func(screen string) bool {
		lines := strings.Split(screen, "\n")
		for i := range lines {
			lines[i] = strings.TrimRight(lines[i], " ")
		}
		return strings.TrimRight(strings.Join(lines, "\n"), "\n") == strings.TrimRight(string(want), "\n")
	})
}

// world is a daemon whose word changes, and a log.
type world struct {
	mu    sync.Mutex
	now   time.Time
	look  web.Detail
	err   error
	told  []controller.Command
	lines chan []logs.Line
}

func newWorld() *world { return &world{now: noon, lines: make(chan []logs.Line, 16)} }

// set lets the daemon see the service so, at some seconds past noon.
func (w *world) set(seconds int, s observe.Service, v web.View) {
	l := watched(seconds, s, v)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now, w.err, w.look = l.At, nil, *l.Daemon
	w.look.Observed = &observe.Snapshot{At: l.At, Service: s, LoadBalancer: *l.Balancer}
}

func (w *world) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) Look(context.Context, string) (web.Detail, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.look, w.err
}

func (w *world) WayBack(context.Context, string, string) (web.WayBack, error) {
	return web.WayBack{Digest: digest("a"), Image: repository + "@" + digest("a"), Until: noon}, nil
}

func (w *world) Tell(_ context.Context, _ string, c controller.Command) (web.View, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, c)
	return w.look.View, nil
}

func (w *world) commands() []controller.Command {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.told)
}

// Next implements LineReader.
func (w *world) Next(ctx context.Context) ([]logs.Line, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case lines := <-w.lines:
		return lines, nil
	}
}

func (w *world) session() *operator.Session {
	return &operator.Session{
		Subject: operator.Subject{Stack: "gf-chat", Service: "parrot-rest", Name: "parrot-rest", Image: repository + ":latest"},
		Daemon:  w, NoDaemon: "no daemon is running", NoRancher: "no key", Now: w.clock,
	}
}

// sessionActor acts through a session, as the command does.
type sessionActor struct {
	ctx     context.Context
	session *operator.Session
}

func (a sessionActor) Plan(r operator.Request) (operator.Plan, error) {
	return operator.MakePlan(a.session.LookFor(a.ctx, r), r)
}

func (a sessionActor) Do(p operator.Plan) error { return a.session.Do(a.ctx, p) }

// running is the program on a terminal.
type running struct {
	*terminal
	*world
	ended chan Model
}

func start(t *testing.T, width, height int) *running {
	t.Helper()
	t.Setenv("TERM", "xterm-256color")
	t.Setenv("NO_COLOR", "")
	r := &running{terminal: newTerminal(t, width, height), world: newWorld(), ended: make(chan Model, 1)}
	r.set(1, service(observe.StateActive, 0), idle())
	m := New("gf-chat/parrot-rest", "jo@desk", sessionActor{t.Context(), r.session()}, noon)
	go func() {
		last, err := Run(t.Context(), m, &Feed{Session: r.session(), Lines: r.world}, r.TTY, r.TTY)
		if err != nil {
			t.Error(err)
		}
		r.ended <- last
	}()
	return r
}

// end waits until the program has left.
func (r *running) end() Model {
	r.t.Helper()
	select {
	case m := <-r.ended:
		return m
	case <-time.After(30 * time.Second):
		r.t.Fatal("the program does not end")
		return Model{}
	}
}

// TestTerminal drives the whole program as a person does, and compares what the
// terminal shows with recorded screens.
func TestTerminal(t *testing.T) {
	r := start(t, 110, 24)
	r.is("1-waiting")
	r.lines <- lines(1, logs.VersionUnknown, 0, 2)
	r.set(10, service(observe.StateUpgrading, 1), upgrading())
	r.shows("1 of 3 containers are new")
	r.lines <- append(lines(4, logs.VersionNew, 100, 2), lines(2, logs.VersionOld, 102, 2)...)
	r.shows("/v1/rooms/103")
	r.set(30, service(observe.StateUpgraded, 3), baking(30))
	r.shows("baking 00:10 of 10:00")
	r.is("2-baking")
	r.Press("n")
	r.shows("only new")
	r.is("3-only-new")
	r.Press("f")
	r.shows("[y] yes")
	r.is("4-finish-asked")
	r.Press("n")
	r.shows("nothing was done")
	r.Press("f")
	r.shows("[y] yes")
	r.Press("y")
	r.shows("finish told to the daemon, by jo@desk")
	if told := r.commands(); len(told) != 1 || told[0] != (controller.Command{Verb: controller.Finish, By: "jo@desk", Rollout: "parrot-rest-1"}) {
		t.Errorf("the daemon was told %+v", told)
	}
	r.set(91, finished(), over(reconcile.Finished, ""))
	r.shows("FINISHED after 01:30")
	r.Press("r")
	r.shows("a fresh upgrade goes back to aaaaaaaaaaaa")
	r.Press("\x1b")
	r.shows("nothing was done")

	r.Resize(60, 14)
	r.set(120, finished(), over(reconcile.Finished, "")) // The notice has passed by then.
	r.shows("r roll back  h hold  u resume  q leave  ? keys  / filter  n…")
	r.is("5-small")
	r.Resize(110, 24)
	r.shows("tab container")
	r.is("6-large-again")

	r.fail(os.ErrDeadlineExceeded)
	r.shows("the daemon does not answer")
	r.set(130, finished(), over(reconcile.Finished, ""))
	r.await("the daemon is seen again", func(s string) bool { return !strings.Contains(s, "does not answer") })

	r.Press("\x03")
	if m := r.end(); m.Outcome().Outcome != operator.Finished || !m.isLeft {
		t.Errorf("left with %+v", m.Outcome())
	}
	r.await("the screen before is back", func(s string) bool { return strings.TrimSpace(s) == "" })
	if told := r.commands(); len(told) != 1 {
		t.Errorf("leaving told the daemon %+v", told[1:])
	}
}

// TestTerminalEndsWithItsContext: SIGTERM of the command ends it and gives the
// terminal back.
func TestTerminalEndsWithItsContext(t *testing.T) {
	term := newTerminal(t, 80, 24)
	w := newWorld()
	w.set(30, service(observe.StateUpgraded, 3), baking(30))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := Run(ctx, New("gf-chat/parrot-rest", "jo", sessionActor{ctx, w.session()}, noon), &Feed{Session: w.session()}, term.TTY, term.TTY)
		ended <- err
	}()
	term.shows("every gate holds so far")
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Run() = %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the program does not end with its context")
	}
	term.await("the screen before is back", func(s string) bool { return strings.TrimSpace(s) == "" })
}

// TestKeysAreAnsweredUnderLoad: 10,000 lines a second come, and a key is answered
// within 50 ms; on a machine that is busy with other things, within 50 ms more than
// twice what it takes there without any line.
func TestKeysAreAnsweredUnderLoad(t *testing.T) {
	r := start(t, 160, 50)
	r.set(30, service(observe.StateUpgraded, 3), baking(30))
	r.shows("every gate holds so far")
	presses, perSecond := 31, 10_000
	if isRace { // It makes the program about ten times slower: only that keys are answered is looked at.
		presses, perSecond = 5, 1000
	}
	calm := r.latency(presses)
	ctx, cancel := context.WithCancel(t.Context())
	var pumping sync.WaitGroup
	pumping.Go(func() { r.pump(ctx, perSecond) })
	r.await("lines come", func(s string) bool { return !strings.Contains(s, "log: 0 lines") })
	loaded := r.latency(presses)
	cancel()
	pumping.Wait()
	t.Logf("a key is answered in %s (median), %s (slowest) without lines; %s and %s at %d lines/s",
		calm[len(calm)/2], calm[len(calm)-1], loaded[len(loaded)/2], loaded[len(loaded)-1], perSecond)
	if limit := 50*time.Millisecond + 2*calm[len(calm)/2]; !isRace && loaded[len(loaded)/2] > limit {
		t.Errorf("the median is %s, want at most %s", loaded[len(loaded)/2], limit)
	}
	r.Press("\x03")
	if m := r.end(); m.log.total == 0 || m.log.dropped > 0 {
		t.Errorf("%d lines came, %d were dropped", m.log.total, m.log.dropped)
	}
}

// latency presses ? and another key in turn, and says how long each took to show,
// sorted.
func (r *running) latency(presses int) []time.Duration {
	r.t.Helper()
	var took []time.Duration
	for i := range presses {
		isHelp := i%2 == 0
		begun := time.Now()
		r.Press("?")
		r.await("the key is answered", func(s string) bool { return strings.Contains(s, "drover watch: keys") == isHelp })
		took = append(took, time.Since(begun))
	}
	if presses%2 == 1 {
		r.Press("?")
		r.await("the key is answered", func(s string) bool { return !strings.Contains(s, "drover watch: keys") })
	}
	slices.Sort(took)
	return took
}

// pump writes lines at a rate, in batches as the follower merges them.
func (r *running) pump(ctx context.Context, perSecond int) {
	const batches = 40
	tick := time.NewTicker(time.Second / batches)
	defer tick.Stop()
	for n := 0; ; n += perSecond / batches {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case <-ctx.Done():
			return
		case r.lines <- lines(4, logs.VersionNew, n, perSecond/batches):
		}
	}
}
