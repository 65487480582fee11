package reconcile

import (
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// These are the rows of the fault table that are statistics (rollout-safety 5).

// sides edits a look: what each container of the new version and of the old one has
// served since the look before.
func (p *paper) sides(fresh, old observe.Counts) func(*observe.LoadBalancer) {
	return func(lb *observe.LoadBalancer) {
		for i := range lb.Servers {
			lb.Servers[i].Delta = old
			for _, c := range p.containers {
				if c.ID == lb.Servers[i].Container && c.Version == p.launch.Version {
					lb.Servers[i].Delta = fresh
				}
			}
		}
	}
}

// halfWay is a paper world whose rollout stands still with both versions serving.
func halfWay(t *testing.T) *paper {
	t.Helper()
	p := newPaper()
	for i := range p.containers {
		p.containers[i].ImageID = ""
	}
	p.run(30*time.Second, func(Decision) {})
	p.tag, p.seenAt = "b", p.now
	for i := 0; p.state != observe.StateUpgrading; i++ {
		if i > 30 {
			t.Fatalf("no rollout: %s %s", p.last.Phase, p.last.Reason)
		}
		p.run(2*time.Second, func(Decision) {})
	}
	p.run(2*time.Second, func(Decision) {})
	p.stalled = true
	p.run(4*time.Second, func(Decision) {})
	return p
}

// TestH14AllTrafficSticksToTheOldVersion: what nobody asked the new version is no
// evidence for it.
func TestH14AllTrafficSticksToTheOldVersion(t *testing.T) {
	p := halfWay(t)
	p.memory.lb = p.memory.lb.fromZero()
	f, d := p.looks(200, p.sides(observe.Counts{}, counts(50, 0)))
	if f.Verdict != NoData || f.Code != CodeNoTraffic || d.Action != NoAction {
		t.Errorf("no request of the new version: %s %s, action %q, want NoData %s", f.Verdict, f.Code, d.Action, CodeNoTraffic)
	}
	f, _ = p.looks(200, p.sides(counts(1, 0), counts(50, 0)))
	if f.Verdict != Hold || f.Code != CodeShortOfEvidence {
		t.Errorf("200 of 299 requests: %s %s, want Hold %s", f.Verdict, f.Code, CodeShortOfEvidence)
	}
}

// TestH15BothVersionsFail: a database is down for everybody.
func TestH15BothVersionsFail(t *testing.T) {
	p := halfWay(t)
	f, d := p.looks(60, p.sides(counts(20, 8), counts(20, 8)))
	if f.Verdict != Hold || f.Code != CodeSharedIncident || d.Action != NoAction {
		t.Errorf("both fail: %s %s, action %q, want Hold %s", f.Verdict, f.Code, d.Action, CodeSharedIncident)
	}
}

// TestH16BadBefore: what runs fails already. Nothing starts but the digest that a
// person names (scenario 36 has the rest of it).
func TestH16BadBefore(t *testing.T) {
	p := newPaper()
	p.run(4*time.Second, func(Decision) {})
	p.behaviour["a"] = "errors=5"
	p.tag, p.seenAt = "b", p.now
	p.run(time.Minute, func(Decision) {})
	if p.last.Code != CodeBaselineBad || !p.last.Alert || len(p.acted) > 0 {
		t.Fatalf("%s %s, did %v, want %s and nothing done", p.last.Phase, p.last.Code, p.acted, CodeBaselineBad)
	}
	name := func(letter string) {
		p.history = p.history.Apply(Event{Kind: EventReleased, At: p.now, By: "mei", Digests: []string{digest(letter)}, DespiteBaseline: true})
		p.run(4*time.Second, func(Decision) {})
	}
	if name("c"); p.history.Rollout != nil {
		t.Error("b was started although c was named")
	}
	if name("b"); p.history.Rollout == nil || p.history.Rollout.To.Digest != digest("b") {
		t.Errorf("b was named and not started: %s %s", p.last.Phase, p.last.Reason)
	}
}

// TestH17ScannerOnTheNewVersion: floods of 404 and 401 never fail it.
func TestH17ScannerOnTheNewVersion(t *testing.T) {
	p := halfWay(t)
	flood := observe.Counts{Requests: 200, ClientErrors: 190}
	f, d := p.looks(60, p.sides(flood, counts(20, 0)))
	if f.Verdict != Hold || f.Code != CodeClientErrors || d.Action != NoAction {
		t.Errorf("a scanner: %s %s, action %q, want Hold %s", f.Verdict, f.Code, d.Action, CodeClientErrors)
	}
	// When it has gone, and as much was served well, so has the hold.
	f, _ = p.looks(60, p.sides(counts(400, 0), counts(20, 0)))
	if f.Verdict == Hold && f.Code == CodeClientErrors {
		t.Errorf("long after the scanner: %s %s", f.Verdict, f.Code)
	}
}

// TestH18OneClientRetries: fifteen failures within a second are one client, and do
// not condemn a version.
func TestH18OneClientRetries(t *testing.T) {
	p := halfWay(t)
	f, d := p.looks(1, p.sides(counts(30, 15), counts(20, 0)))
	if f.Verdict == Fail || d.Action != NoAction {
		t.Fatalf("one burst: %s %s %s, action %q", f.Verdict, f.Code, f.Text(), d.Action)
	}
	if f, d = p.looks(60, p.sides(counts(20, 0), counts(20, 0))); f.Verdict == Fail || d.Action != NoAction {
		t.Errorf("and long after it: %s %s, action %q", f.Verdict, f.Code, d.Action)
	}
	if f, d = p.looks(10, p.sides(counts(20, 5), counts(20, 0))); f.Verdict != Fail || d.Action != Rollback {
		t.Errorf("failures that go on: %s %s, action %q, want a rollback", f.Verdict, f.Code, d.Action)
	}
}

// TestH25ErrorsBeginAtTheEndOfTheBake: a long good past is no credit.
func TestH25ErrorsBeginAtTheEndOfTheBake(t *testing.T) {
	p := newPaper()
	p.target.Rollout.Bake.Duration = 30 * time.Minute
	p.bake(t)
	p.run(29*time.Minute, func(Decision) {})
	if p.last.Phase != Bake {
		t.Fatalf("%s %s, want the bake under way", p.last.Phase, p.last.Reason)
	}
	f, d := p.looks(25, p.sides(counts(20, 3), observe.Counts{}))
	if f.Verdict != Fail || d.Action != Rollback {
		t.Errorf("15 %% fail in the last minute: %s %s %s, action %q, want a rollback", f.Verdict, f.Code, f.Text(), d.Action)
	}
}

// TestBaselineIsFrozenWhileAVersionIsJudged: what a version is held to is what ran
// before it, from the first batch to the end of the probation, whatever the version
// and its neighbours do meanwhile. Afterwards it is learned anew: another version
// runs.
func TestBaselineIsFrozenWhileAVersionIsJudged(t *testing.T) {
	p := newPaper()
	p.latency = 40
	for i := range p.containers {
		p.containers[i].ImageID = ""
	}
	p.run(time.Minute, func(Decision) {})
	p.tag, p.seenAt = "b", p.now
	p.wait(t, func(d Decision) bool { return d.Action == Upgrade })
	base, usual := p.memory.lb.base, p.memory.lb.pace.usual
	if base.counts.Requests == 0 || base.spread.requests == 0 || usual == 0 {
		t.Fatalf("nothing was learned before the rollout: %+v, usual %v", base, usual)
	}
	p.behaviour["b"], p.latency = "errors=200", 60 // Within the limit, and worse than before.
	phases := map[Phase]int{}
	for p.history.Rollout != nil || p.history.Probation != nil {
		p.run(2*time.Second, func(d Decision) {
			phases[d.Phase]++
			isJudged := p.history.Rollout != nil || p.history.Probation != nil
			if isJudged && (p.memory.lb.base != base || p.memory.lb.pace.usual != usual) {
				t.Fatalf("in %s the baseline became %+v, usual %v; want %+v, %v", d.Phase, p.memory.lb.base, p.memory.lb.pace.usual, base, usual)
			}
		})
		if p.history.Rollout != nil && p.now.Sub(p.history.Rollout.Started) > time.Hour {
			t.Fatalf("no end: %s %s", p.last.Phase, p.last.Reason)
		}
	}
	for _, phase := range []Phase{Upgrading, Bake, Committing, Probation} {
		if phases[phase] == 0 {
			t.Errorf("the rollout was never in %s: %v", phase, phases)
		}
	}
	if phases[Probation] < 20 {
		t.Errorf("%d looks on probation, want its whole minute", phases[Probation])
	}
	p.run(10*time.Second, func(Decision) {})
	if now := p.memory.counted().base; now.looks == 0 || now.looks > 10 || now.counts.Requests >= base.counts.Requests {
		t.Errorf("after the probation the baseline is %+v, want that it is learned anew", now)
	}
}
