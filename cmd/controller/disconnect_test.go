package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/sandbox"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// strait is the network between a person and Rancher. It can be shut, so that
// nothing passes and nobody is told, and it can break.
type strait struct {
	t       *testing.T
	address string
	to      string

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	// isShut has new connections wait; epoch tells those from before it.
	isShut bool
	epoch  int
	flow   *sync.Cond
	routes sync.WaitGroup
}

func newStrait(t *testing.T, to string) *strait {
	t.Helper()
	s := &strait{t: t, address: "127.0.0.1:0", to: to, conns: map[net.Conn]bool{}}
	s.flow = sync.NewCond(&s.mu)
	s.mend()
	t.Cleanup(func() {
		s.breaks()
		s.routes.Wait()
	})
	return s
}

// mend listens, again at the same address.
func (s *strait) mend() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.listener, s.address, s.isShut = l, l.Addr().String(), false
	s.mu.Unlock()
	s.routes.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.routes.Go(func() { s.route(c) })
		}
	})
}

// breaks closes every connection and refuses new ones, as a server that is killed.
func (s *strait) breaks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.listener.Close()
	for c := range s.conns {
		_ = c.Close()
	}
	clear(s.conns)
	s.epoch++
	s.flow.Broadcast()
}

// shut lets nothing pass and closes nothing. What was connected before stays so for
// ever, as behind a router that has forgotten it.
func (s *strait) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isShut = true
	s.epoch++
}

// opens lets new connections pass.
func (s *strait) opens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isShut = false
	s.flow.Broadcast()
}

// keep remembers a connection and says in which epoch it began.
func (s *strait) keep(c net.Conn) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = true
	return s.epoch
}

// passes waits while the strait is shut, and says whether what began in an epoch
// still passes.
func (s *strait) passes(epoch int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.isShut && epoch == s.epoch {
		s.flow.Wait()
	}
	return epoch == s.epoch
}

func (s *strait) route(near net.Conn) {
	epoch := s.keep(near)
	if !s.passes(epoch) {
		return
	}
	far, err := net.Dial("tcp", s.to)
	if err != nil {
		_ = near.Close()
		return
	}
	s.keep(far)
	var both sync.WaitGroup
	both.Go(func() { s.carry(near, far, epoch) })
	both.Go(func() { s.carry(far, near, epoch) })
	both.Wait()
}

// carry passes bytes on until the epoch ends; then they are lost.
func (s *strait) carry(from, to net.Conn, epoch int) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if s.passes(epoch) {
			if n > 0 {
				_, err = to.Write(buf[:n])
			}
			if err != nil {
				_ = to.Close()
			}
		}
		if err != nil {
			return
		}
	}
}

// beside is a command that runs beside a test.
type beside struct {
	b     *bench
	name  string
	said  *transcript
	ended chan int
	leave context.CancelFunc
}

// follow runs a command beside the test until it ends by itself or is left.
func (b *bench) follow(args ...string) *beside {
	ctx, cancel := context.WithCancel(b.t.Context())
	f := &beside{b: b, name: args[0], said: &transcript{}, ended: make(chan int, 1), leave: cancel}
	args = append(args, "--config", filepath.Join(b.dir, "targets.yaml"), "--state-dir", filepath.Join(b.dir, "state"))
	go func() { f.ended <- run(ctx, args, strings.NewReader(""), f.said, f.said) }()
	b.t.Cleanup(cancel)
	return f
}

// says waits until the command has said something so often.
func (f *beside) says(text string, times int) {
	f.b.t.Helper()
	awaits(f.b.t, fmt.Sprintf("%s says %q %d times", f.name, text, times),
		func() bool { return strings.Count(f.said.String(), text) >= times }, f.said.String)
}

// ends waits for the end and expects an exit code.
func (f *beside) ends(want int) {
	f.b.t.Helper()
	select {
	case code := <-f.ended:
		if err := ends(want, f.name, code); err != nil {
			f.b.t.Errorf("%v:\n%s", err, f.said)
		}
	case <-time.After(time.Minute):
		f.b.t.Errorf("%s does not end:\n%s", f.name, f.said)
	}
}

// TestWatchSurvivesTheNetwork: nobody is told that nothing passes any more, as
// after a night of the laptop; then Rancher is killed and started again. The story
// goes on each time, by Rancher alone, and no line comes twice.
func TestWatchSurvivesTheNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for connections to be given up")
	}
	t.Parallel()
	b := newBenchOf(t, sandbox.Options{Behaviour: "log=old news,log-rate=10", CheckInterval: 50 * time.Millisecond, Speed: 20, Scale: 2})
	i := b.world.Info()
	s := newStrait(t, strings.TrimPrefix(i.Rancher, "http://"))
	text, err := os.ReadFile(filepath.Join(b.dir, "targets.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	b.write(strings.Replace(string(text), i.Rancher, "http://"+s.address, 1))

	w := b.follow("watch", "parrot-rest")
	w.says("| old news ", 10)

	s.shut()
	w.says("Rancher cannot be read", 1)
	told := strings.Count(w.said.String(), "| old news ")
	s.opens()
	w.says("| old news ", told+10) // Of the same containers, whose streams are dead.

	s.breaks()
	w.says("connection refused", 1)
	if err := upgrade(t.Context(), b.world, "log=new news,log-rate=10"); err != nil {
		t.Fatal(err)
	}
	s.mend()
	w.says("upgraded: 2 new containers are healthy", 1)
	w.says("| new news ", 10)
	if err := byHand(t.Context(), b.world, "finishupgrade"); err != nil {
		t.Fatal(err)
	}
	w.ends(exitOK)
	w.saysLinesOnce()
}

// newsLine is a line of a container: who wrote it, and what.
var newsLine = regexp.MustCompile(`(?m)^\S+ (\S+.*) \| ((?:old|new) news \d+)$`)

// saysLinesOnce holds the lines of containers to coming once each.
func (f *beside) saysLinesOnce() {
	f.b.t.Helper()
	seen := map[string]int{}
	for _, m := range newsLine.FindAllStringSubmatch(f.said.String(), -1) {
		seen[strings.Fields(m[1])[0]+" "+m[2]]++
	}
	for line, n := range seen {
		if n > 1 {
			f.b.t.Errorf("%q came %d times", line, n)
		}
	}
	if len(seen) < 30 {
		f.b.t.Errorf("%d lines of containers, want more:\n%s", len(seen), f.said)
	}
}

// byHand has Rancher itself do something to the world's service, as a person would in
// its page.
func byHand(ctx context.Context, w *sandbox.World, action string) error {
	i := w.Info()
	base := i.Rancher + "/v2-beta/projects/" + i.Environment
	var found struct{ Data []struct{ ID string } }
	if err := ask(ctx, i, http.MethodGet, base+"/services?name="+i.Service, nil, &found); err != nil {
		return err
	}
	return ask(ctx, i, http.MethodPost, base+"/services/"+found.Data[0].ID+"/?action="+action, struct{}{}, nil)
}

// TestFollowersSurviveTheDaemon: the daemon is stopped and started again in the
// middle of a bake. watch, wait, status --watch and history --watch go on, and say
// nothing twice.
func TestFollowersSurviveTheDaemon(t *testing.T) {
	if testing.Short() {
		t.Skip("plays a rollout")
	}
	t.Parallel()
	b := newBench(t)
	stop := b.daemon()
	b.awaitStatus(`"nothing-to-do"`)
	watch, wait := b.follow("watch", "parrot-rest"), b.follow("wait", "parrot-rest")
	status, history := b.follow("status", "--watch", "parrot-rest"), b.follow("history", "--watch", "parrot-rest")
	status.says("runs what the tag names", 1)
	watch.says("runs what the tag names", 1)
	good := b.push("serve")
	b.pinned()
	status.says("every gate holds so far", 1)
	watch.says("baking", 1)
	history.says(" open ", 1)
	if err := ends(exitOK, "run", stop()); err != nil {
		t.Fatal(err)
	}
	watch.says("the daemon does not answer now", 1)
	status.says("no daemon is running", 1)
	idle := strings.Count(status.said.String(), "runs what the tag names")
	told := strings.Count(status.said.String(), "every gate holds so far")
	stop = b.daemon()
	status.says("every gate holds so far", told+1)
	b.drover(exitOK, "finish", "parrot-rest")
	watch.ends(exitOK)
	wait.ends(exitOK)
	if said := wait.said.String(); said != "" {
		t.Errorf("wait, which came to its goal, says %q", said)
	}
	history.says(" finished ", 1)
	status.says("runs what the tag names", idle+1)
	for f, page := range map[*beside]string{watch: "\n", status: "TARGET ", history: "STARTED "} {
		f.leave()
		if f != watch {
			f.ends(exitOK)
		}
		f.saysNothingTwice(page)
	}
	b.shows(good, observe.StateActive)
	if err := ends(exitOK, "run", stop()); err != nil {
		t.Error(err)
	}
	b.keepsSecrets()
}

// saysNothingTwice holds pages, or lines, to differing from the one before by more
// than figures, or by who says it: the line above a page from the journal is part of it.
func (f *beside) saysNothingTwice(page string) {
	f.b.t.Helper()
	const fromJournal = "no daemon is running"
	before, above := "", ""
	for _, text := range strings.Split(f.said.String(), page) {
		text, below, isNext := strings.Cut(text, fromJournal)
		if text = above + withoutAges(text); text == before && text != "" {
			f.b.t.Errorf("%s says %q twice:\n%s", f.name, text, f.said)
		}
		before, above = text, ""
		if isNext {
			above = fromJournal + withoutAges(below)
		}
	}
}
