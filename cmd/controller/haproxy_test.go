package main

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/sandbox"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// blamed is a way to fail behind Debian's haproxy, and who has to be blamed.
type blamed struct {
	name, behaviour string
	// finding says whether a finding is the expected one.
	finding func(reconcile.Finding) bool
	// isHeld says that the version is to be held and not taken back.
	isHeld bool
	// most is how many requests of the new version may be seen before the verdict.
	most int64
	// statsIn is the section with the statistics page: each of the four is tried.
	statsIn string
}

// failures are the ways of load-balancer-and-logs 3: failing requests behind a
// green health check first, because nothing but the load balancer sees them.
var failures = []blamed{
	{"5xx", "errors=30%", byBalancer, false, 300, sandbox.StatsInFrontend},
	{"empty reply", "empty=30%", byBalancer, false, 300, sandbox.StatsInDefaults},
	{"reset", "resets=30%", byBalancer, false, 300, sandbox.StatsInBackend},
	{"404", "not-found=40%", finds("load balancer", reconcile.CodeClientErrors), true, 0, sandbox.StatsInListen},
	{"refused from the start", "refuse", byHealth, false, 300, sandbox.StatsInListen},
	{"refused later", "refuse-after=2s", byAnyone, false, 300, sandbox.StatsInFrontend},
	{"flapping health", "flapping=2s", byAnyone, false, 300, sandbox.StatsInDefaults},
	{"crash", "crash-after=2s", byAnyone, false, 300, sandbox.StatsInBackend},
}

func finds(gate string, codes ...reconcile.Code) func(reconcile.Finding) bool {
	return func(f reconcile.Finding) bool { return f.Gate == gate && slices.Contains(codes, f.Code) }
}

var (
	byBalancer = finds("load balancer", reconcile.CodeWorseThanOld, reconcile.CodeTooManyErrors)
	byHealth   = finds("health", reconcile.CodeNotHealthyYet)
)

// byAnyone: who notices first depends on whose check comes next.
func byAnyone(f reconcile.Finding) bool {
	return finds("health", reconcile.CodeBecameUnhealthy, reconcile.CodeRestarts)(f) ||
		finds("load balancer", reconcile.CodeServerDown, reconcile.CodeRefused, reconcile.CodeWorseThanOld, reconcile.CodeTooManyErrors)(f) ||
		finds("http", reconcile.CodeProbeFailed)(f)
}

// TestRealHAProxy rolls versions that fail in different ways out behind Debian's
// haproxy, with real reloads, and checks who is blamed and after how many requests.
func TestRealHAProxy(t *testing.T) {
	needs(t, "haproxy")
	if testing.Short() {
		t.Skip("plays whole rollouts")
	}
	for _, b := range failures {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			s := startHAProxyStory(t, b.statsIn)
			s.until("the service is known", func(r controller.Report, _ reconcile.Event) bool {
				return r.Decision.Phase == reconcile.Idle && r.Decision.Code == reconcile.CodeNothingToDo
			})
			s.push(b.behaviour)
			if b.isHeld {
				s.untilHeld(b)
				return
			}
			s.untilTakenBack(b)
		})
	}
}

// haproxyStory is a world with the real load balancer, and a daemon.
type haproxyStory struct {
	t       *testing.T
	ctx     context.Context
	world   *sandbox.World
	reports <-chan controller.Report
	// digest is what was pushed: the way to it may begin with a rollout that pins
	// what runs.
	digest string
	said   []string
}

func startHAProxyStory(t *testing.T, statsIn string) *haproxyStory {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	s := &haproxyStory{t: t, ctx: ctx}
	var err error
	s.world, err = sandbox.Start(ctx, sandbox.Options{HAProxy: true, StatsIn: statsIn, CheckInterval: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ignoreCancel(s.world.Close()); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	config, err := (&demo{world: s.world}).configure(dir)
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDaemon(config, dir, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.world.Traffic(ctx, demoTraffic); err != nil {
		t.Fatal(err)
	}
	s.reports = d.control.Listen(ctx)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.control.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *haproxyStory) push(behaviour string) {
	s.t.Helper()
	digest, err := s.world.Push(s.ctx, behaviour, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.digest = digest
}

// isOfPushed says that a report is about the rollout of what was pushed.
func (s *haproxyStory) isOfPushed(r controller.Report) bool {
	return r.Rollout != nil && r.Rollout.To.Digest == s.digest
}

// until waits for a report, and tells all of them when it does not come.
func (s *haproxyStory) until(what string, is func(controller.Report, reconcile.Event) bool) controller.Report {
	s.t.Helper()
	for {
		select {
		case <-s.ctx.Done():
			s.t.Fatalf("not in time: %s\n%s", what, s.story())
		case r := <-s.reports:
			line := fmt.Sprintf("%s %s: %s %v", r.Decision.Phase, r.Decision.Code, r.Decision.Reason, texts(r.Decision.Gates))
			if len(s.said) == 0 || s.said[len(s.said)-1] != line {
				s.said = append(s.said, line)
			}
			found := is(r, reconcile.Event{})
			for _, e := range r.Decision.Events {
				found = is(r, e) || found
			}
			if found {
				return r
			}
		}
	}
}

func (s *haproxyStory) story() string {
	var b string
	for _, line := range s.said {
		b += line + "\n"
	}
	return b
}

func texts(findings []reconcile.Finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, fmt.Sprintf("%s=%s %s", f.Gate, f.Verdict, f.Text()))
	}
	return all
}

// untilTakenBack expects a rollback for the right reason, in time, and the old
// version after it.
func (s *haproxyStory) untilTakenBack(b blamed) {
	s.t.Helper()
	r := s.until("the version is taken back", func(r controller.Report, e reconcile.Event) bool {
		if !s.isOfPushed(r) {
			return false
		}
		if e.Kind == reconcile.EventFinished {
			s.t.Fatalf("it was finished\n%s", s.story())
		}
		return e.Kind == reconcile.EventRollingBack
	})
	i := slices.IndexFunc(r.Decision.Gates, func(f reconcile.Finding) bool { return f.Verdict == reconcile.Fail && b.finding(f) })
	if i < 0 {
		s.t.Fatalf("nobody is blamed as expected: %v\n%s", texts(r.Decision.Gates), s.story())
	}
	seen := r.Decision.Gates[slices.IndexFunc(r.Decision.Gates, func(f reconcile.Finding) bool { return f.Gate == "load balancer" })].Requests
	if seen > b.most {
		s.t.Errorf("%d requests of the new version were seen before the verdict, want at most %d", seen, b.most)
	}
	s.t.Logf("%-22s %s: %s (%d requests of the new version)", b.name, r.Decision.Gates[i].Gate, r.Decision.Gates[i].Text(), seen)
	s.until("what ran before is verified", func(_ controller.Report, e reconcile.Event) bool { return e.Kind == reconcile.EventRolledBack })
}

// untilHeld expects that the version is neither finished nor taken back when its
// bake is over.
func (s *haproxyStory) untilHeld(b blamed) {
	s.t.Helper()
	r := s.until("the bake is over and the version held", func(r controller.Report, e reconcile.Event) bool {
		if !s.isOfPushed(r) {
			return false
		}
		if e.Kind == reconcile.EventFinished || e.Kind == reconcile.EventRollingBack {
			s.t.Fatalf("it was not held: %s\n%s", e.Kind, s.story())
		}
		return r.Decision.Phase == reconcile.Bake && r.Decision.Code == reconcile.CodeShortOfEvidence && slices.ContainsFunc(r.Decision.Gates, b.finding)
	})
	i := slices.IndexFunc(r.Decision.Gates, b.finding)
	if r.Decision.Gates[i].Verdict != reconcile.Hold {
		s.t.Errorf("%s is %s, want Hold", r.Decision.Gates[i].Gate, r.Decision.Gates[i].Verdict)
	}
	s.t.Logf("%-22s held: %s", b.name, r.Decision.Gates[i].Text())
}
