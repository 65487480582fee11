package watch

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// page is a reader that may be looked at while it is written to.
type page struct {
	mu   sync.Mutex
	text bytes.Buffer
	err  error
	// written holds a token when something was.
	written chan struct{}
}

func newPage() *page { return &page{written: make(chan struct{}, 1)} }

// await waits until the page holds a text.
func (p *page) await(t *testing.T, text string) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for !strings.Contains(p.String(), text) {
		select {
		case <-p.written:
		case <-limit:
			t.Fatalf("not told: %q in\n%s", text, p)
		}
	}
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return 0, p.err
	}
	select {
	case p.written <- struct{}{}:
	default:
	}
	return p.text.Write(b)
}

func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// TestPlain tells a rollout in lines, one for each change, and ends with it.
func TestPlain(t *testing.T) {
	w, out, ended := newWorld(), newPage(), make(chan Model, 1)
	w.set(1, service(observe.StateActive, 0), idle())
	go func() {
		m, err := Plain(t.Context(), New("gf-chat/parrot-rest", "jo", nil, noon), &Feed{Session: w.session(), Lines: w}, out)
		if err != nil {
			t.Error(err)
		}
		ended <- m
	}()
	await := func(text string) {
		t.Helper()
		out.await(t, text)
	}
	await("idle: runs what the tag names")
	w.set(10, service(observe.StateUpgrading, 1), upgrading())
	await("upgrading: 1 of 3 containers are new")
	w.lines <- lines(4, logs.VersionNew, 100, 2)
	await("ERROR cannot reach room 101")
	await("first line of a new container, 10s after the rollout began")
	w.set(30, service(observe.StateUpgraded, 3), baking(30))
	await("baking 00:10 of 10:00")
	w.set(31, service(observe.StateUpgraded, 3), baking(31))
	w.set(91, service(observe.StateActive, 0), over(reconcile.RolledBack, "load balancer: new failed 16 of 80"))
	select {
	case m := <-ended:
		if m.Outcome().Outcome != operator.RolledBack {
			t.Errorf("outcome = %+v", m.Outcome())
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("does not end with the rollout:\n%s", out)
	}
	checkGolden(t, "testdata/plain.txt", out.String())
}

// TestPlainEnds with its context, and with its reader.
func TestPlainEnds(t *testing.T) {
	w := newWorld()
	w.set(30, service(observe.StateUpgraded, 3), baking(30))
	ctx, cancel := context.WithCancel(t.Context())
	out := newPage()
	ended := make(chan error, 1)
	go func() {
		_, err := Plain(ctx, New("gf-chat/parrot-rest", "jo", nil, noon), &Feed{Session: w.session()}, out)
		ended <- err
	}()
	out.await(t, "baking")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Plain() = %v", err)
	}
	gone := errors.New("broken pipe")
	if _, err := Plain(t.Context(), New("gf-chat/parrot-rest", "jo", nil, noon), &Feed{Session: w.session()}, &page{err: gone}); !errors.Is(err, gone) {
		t.Errorf("Plain() to nobody = %v", err)
	}
}

// TestPlainAfterASleep: a laptop was shut for a night. It is said, what was
// connected is connected anew, and the story goes on.
func TestPlainAfterASleep(t *testing.T) {
	w, out := newWorld(), newPage()
	w.set(30, service(observe.StateUpgraded, 3), baking(30))
	var slept atomic.Int64
	begun, woken := time.Now(), make(chan struct{}, 1)
	f := &Feed{Session: w.session(), Renew: func() { woken <- struct{}{} }}
	f.clocks = func() (time.Time, time.Duration) {
		running := time.Since(begun)
		return begun.Add(running + time.Duration(slept.Load())), running
	}
	ended := make(chan error, 1)
	go func() {
		_, err := Plain(t.Context(), New("gf-chat/parrot-rest", "jo", nil, noon), f, out)
		ended <- err
	}()
	out.await(t, "baking")
	slept.Store(int64(9 * time.Hour))
	out.await(t, "gf-chat/parrot-rest this machine slept for 9h0m0s: looking anew")
	<-woken
	w.set(91, service(observe.StateActive, 0), over(reconcile.RolledBack, "load balancer: new failed 16 of 80"))
	if err := <-ended; err != nil {
		t.Errorf("Plain() = %v", err)
	}
}
