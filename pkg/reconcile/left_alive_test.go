package reconcile

import (
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// The tests here are for changes of the code that no other test noticed.

// TestOneOfTwoSidekicksIsMet: the one whose tag cannot be read waits for the next look.
func TestOneOfTwoSidekicksIsMet(t *testing.T) {
	p := newPaper()
	p.addSidekick()
	p.edit("sidekick=no")
	p.run(6*time.Second, func(Decision) {})
	p.target.Containers = map[string]string{"logger": sideRepository + ":latest", "proxy": "r.example/proxy:1"}
	s := p.snapshot()
	s.Service.Secondary = append(s.Service.Secondary, observe.Launch{Name: "proxy", Image: "r.example/proxy:1"})
	s.Sidekicks["proxy"] = observe.Image{Problem: unreachable}
	p.take(Decide(Input{Target: p.target, Observed: s, History: p.history, Memory: p.memory, Now: p.now}))
	if _, isMet := p.history.Baseline.Sidekicks["proxy"]; isMet || len(p.history.Baseline.Sidekicks) != 1 {
		t.Errorf("%+v is remembered, want the one that can be read", p.history.Baseline.Sidekicks)
	}
}

// TestRetryInTheFile passes quarantine, the question about older digests, and the
// back-off; for the digest that it names.
func TestRetryInTheFile(t *testing.T) {
	for name, edit := range map[string]func(*History, time.Time){
		"quarantined": func(h *History, _ time.Time) { h.Quarantine = map[string]Quarantined{digest("b"): {Reason: "bad"}} },
		"ran before":  func(h *History, _ time.Time) { h.Past = []string{digest("b")} },
		"back-off": func(h *History, now time.Time) {
			h.NotBefore, h.Last = now.Add(time.Hour), &Rollout{Outcome: RolledBack}
		},
		"daily budget": func(h *History, now time.Time) { h.Rollbacks = []time.Time{now, now} },
	} {
		for retry, want := range map[string]Action{"": NoAction, digest("b"): Upgrade, digest("c"): NoAction} {
			p := newPaper()
			for i := range p.containers {
				p.containers[i].ImageID = ""
			}
			p.run(6*time.Second, func(Decision) {})
			edit(&p.history, p.now)
			p.tag, p.target.Retry = "b", retry
			p.now = p.now.Add(2 * time.Second)
			if d := p.look(); d.Action != want {
				t.Errorf("%s, retry %s: %q (%s: %s), want %q", name, short(retry), d.Action, d.Code, d.Reason, want)
			}
		}
	}
}

// TestPersonUpgradesWhatIsBeingFinished: with the labels kept it is the person's all the
// same, and nothing is stuck: Drover holds until resume.
func TestPersonUpgradesWhatIsBeingFinished(t *testing.T) {
	p := newPaper()
	for i := range p.containers {
		p.containers[i].ImageID = ""
	}
	p.until(t, func(d Decision) bool { return d.Action == FinishUpgrade })
	p.state, p.lost = observe.StateActive, false
	for _, words := range [][]string{{"changes-env"}} {
		if err := p.person(words); err != nil {
			t.Fatal(err)
		}
	}
	p.state = observe.StateActive // And it is over at once.
	p.now = p.now.Add(2 * time.Second)
	if d := p.look(); d.Phase != Held || d.Code != CodeForeign || p.history.Holding == nil || p.history.Last.Outcome != TakenOver {
		t.Errorf("%s %s: %s; want it held for the person", d.Phase, d.Code, d.Reason)
	}
}

// TestPinThatSomebodyTookBackCondemnsNothing, and nothing else is said of it.
func TestPinThatSomebodyTookBackCondemnsNothing(t *testing.T) {
	for isKnown, want := range map[bool]string{true: "", false: short(digest("b")) + " is quarantined"} {
		p := newPaper()
		for i := range p.containers {
			if !isKnown {
				p.containers[i].ImageID = "" // So nothing is pinned first.
			}
		}
		p.until(t, func(d Decision) bool { return d.Phase == Bake })
		p.startRollback()
		d := p.wait(t, func(d Decision) bool { return d.Code == CodeForeignRollback && d.Phase == Held })
		_, said, _ := strings.Cut(d.Reason, "; ")
		said, _, _ = strings.Cut(said, "; ")
		if has := len(p.history.Quarantine) > 0; has != (want != "") || !strings.HasPrefix(said, want) || want == "" && strings.Contains(d.Reason, "quarantined") {
			t.Errorf("known %t: %d digests are condemned, and it says %q", isKnown, len(p.history.Quarantine), d.Reason)
		}
	}
}

// TestContainerOnItsWayOutIsNotProbed: it is none that should answer.
func TestContainerOnItsWayOutIsNotProbed(t *testing.T) {
	p := newPaper()
	p.target.Gates.HTTP = httpGate()
	p.isProbed = true
	p.bake(t)
	c := p.containers[len(p.containers)-1]
	c.ID, c.State, c.Health = "1i99", "removing", ""
	p.containers = append(p.containers, c)
	p.run(6*time.Second, func(Decision) {})
	if f := finding(t, p.last, "http"); f.Containers != 3 || f.Verdict != Pass {
		t.Errorf("%s %s: %s; want that three answer", f.Verdict, f.Code, f.Text())
	}
}

// TestNobodyAnswersTheProbes: neither the old version nor the new one, which never has,
// and Rancher checks nothing. Then it is not the new one's fault, however long it lasts.
func TestNobodyAnswersTheProbes(t *testing.T) {
	for who, want := range map[string]Action{"nobody": NoAction, "the old one": Rollback} {
		w := newWaiting(func(s *observe.Snapshot) {
			s.Service.HasHealthCheck = false
			for i := range s.Service.Containers {
				s.Service.Containers[i].Health = ""
			}
		})
		w.target.Gates.LoadBalancer, w.target.Gates.TCP, w.target.Gates.Health.Deadline = nil, tcpGate(), desired.Seconds(20)
		w.answer = func(string) observe.Sample { return observe.Sample{} }
		if _, began := w.since(CodeNewDigest, func(d Decision) bool { return d.Action == Upgrade }, time.Minute); !began {
			t.Fatalf("it does not begin: %s", w.last.Reason)
		}
		w.answer = func(letter string) observe.Sample {
			if letter == "a" && who == "the old one" {
				return observe.Sample{}
			}
			return observe.Sample{Error: "no route to host"}
		}
		w.tick() // One new container; Rancher goes no further.
		w.stalled = true
		took, did := w.since(CodeBatches, func(d Decision) bool { return d.Action != NoAction }, 2*time.Minute)
		if did != (want != NoAction) || did && w.last.Action != want {
			t.Errorf("%s answers: %q after %s (%s), want %q", who, w.last.Action, took, w.last.Reason, want)
		}
		if f := finding(t, w.last, "tcp"); !did && f.Verdict != NoData {
			t.Errorf("%s answers: %s %s: %s", who, f.Verdict, f.Code, f.Text())
		}
	}
}

// TestPatternThatWasNotSeenFailsNobody: a match of no line.
func TestPatternThatWasNotSeenFailsNobody(t *testing.T) {
	p := logged(t, desired.NoveltyReport, func(id string) observe.Logs {
		return observe.Logs{Lines: 7, Matches: []observe.LogMatch{{Pattern: "^panic: ", Container: id}}}
	})
	if d := p.until(t, ended); d.Action != FinishUpgrade {
		t.Errorf("%s: %s", d.Action, d.Reason)
	}
}

// TestCheckKeepsWhereItRuns: a reading that does not know it takes nothing away.
func TestCheckKeepsWhereItRuns(t *testing.T) {
	ref := "7"
	p, _ := checked(func(observe.CheckRun) observe.CheckResult {
		return observe.CheckResult{State: observe.CheckRunning, Ref: ref}
	})
	p.until(t, func(Decision) bool {
		r := p.history.Rollout
		return r != nil && len(r.Checks) > 0 && r.Checks[0].Ref == "7"
	})
	ref = ""
	lines := len(p.journal)
	p.run(6*time.Second, func(Decision) {})
	if got := p.history.Rollout.Checks[0].Ref; got != "7" {
		t.Errorf("it runs at %q, want 7", got)
	}
	for _, e := range p.journal[lines:] {
		if e.Kind == EventCheck {
			t.Errorf("a line is written that says nothing: %+v", e.Check)
		}
	}
}

// TestRefusedRollbackIsAskedAgainAfterAWhile: the key may not, so it is not asked at
// every other look (A2).
func TestRefusedRollbackIsAskedAgainAfterAWhile(t *testing.T) {
	p := baking(t)
	p.behaviour["b"] = "crash"
	p.lost = true
	p.wait(t, func(d Decision) bool { return d.Action == Rollback })
	p.memory = p.memory.Refused("403 Forbidden")
	begun := p.now
	for {
		p.run(2*time.Second, func(Decision) {})
		if p.last.Action == Rollback {
			break
		}
		if p.last.Code != CodeNotAllowed || !p.last.Alert {
			t.Fatalf("%s %s, alert %t: %s", p.last.Phase, p.last.Code, p.last.Alert, p.last.Reason)
		}
	}
	if took := p.now.Sub(begun); took < again || took > again+4*time.Second {
		t.Errorf("asked again after %s, want %s", took, again)
	}
}

// TestCounterThatIsNotTold is no older state of the service.
func TestCounterThatIsNotTold(t *testing.T) {
	in := bakingFor(t, func(in *Input) {
		in.Memory.serviceID, in.Memory.createIndex, in.Observed.Service.CreateIndex = in.Observed.Service.ID, 20, 0
	})
	if d := Decide(in); d.Code == CodeStale {
		t.Errorf("%s: %s", d.Code, d.Reason)
	}
}

// TestRemovedServiceIsForgotten: one with the same name is seen for the first time,
// and what it runs is not held against it.
func TestRemovedServiceIsForgotten(t *testing.T) {
	p := newPaper()
	p.run(6*time.Second, func(Decision) {})
	p.state = observe.StateRemoved
	p.run(goneAfter+6*time.Second, func(Decision) {})
	if p.last.Phase != Gone || !p.last.Alert || p.history.Baseline != nil {
		t.Fatalf("%s, alert %t, and %+v is remembered", p.last.Phase, p.last.Alert, p.history.Baseline)
	}
	p.state, p.launch.Image = observe.StateActive, repository+"@"+digest("9")
	for i := range p.containers {
		p.containers[i].Image = p.launch.Image
	}
	p.run(4*time.Second, func(Decision) {})
	if b := p.history.Baseline; b == nil || b.Digest != digest("9") || p.history.Holding != nil {
		t.Errorf("%s: %s", p.last.Code, p.last.Reason)
	}
}
