package reconcile

import (
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestSameManifestIsNotPassedOver: the tag names an index that brings what runs: there
// is nothing to pass over.
func TestSameManifestIsNotPassedOver(t *testing.T) {
	p := newPaper()
	p.launch.Image = repository + "@" + digest("9")
	for i := range p.containers {
		p.containers[i].Image = p.launch.Image
	}
	p.look()
	b := *p.history.Baseline
	b.Manifest = digest("a")
	p.history.Baseline = &b
	if p.now = p.now.Add(2 * time.Second); b.Over != digest("a") || p.look().Code != CodeNothingToDo {
		t.Errorf("over is %s, and Drover says %s: %s", short(b.Over), p.last.Code, p.last.Reason)
	}
}

// TestNoWayBackToABareTag: what ran before is not known by its digest, so a version
// that fails on probation is left to a person.
func TestNoWayBackToABareTag(t *testing.T) {
	p := newPaper()
	p.target.FirstSight = desired.Deploy
	p.tag = "b"
	p.wait(t, func(d Decision) bool { return d.Phase == Probation })
	p.behaviour["b"] = "crash"
	d := p.wait(t, func(d Decision) bool { return d.Code == CodeProbationFailed })
	if d.Action != NoAction || !d.Alert || !strings.Contains(d.Reason, "not known with its digest") {
		t.Errorf("%q, alert %t: %s; want that a person is called", d.Action, d.Alert, d.Reason)
	}
}

// TestRepairNeedsEveryDigest: a sidekick came back as another image, and the primary
// is a bare tag of which nothing is known: going to that would be a guess.
func TestRepairNeedsEveryDigest(t *testing.T) {
	for isKnown, want := range map[bool]Action{true: Upgrade, false: NoAction} {
		p := newPaper()
		p.addSidekick()
		p.run(4*time.Second, func(Decision) {})
		b := *p.history.Baseline
		if !isKnown {
			b.Digest, b.Manifest, b.Config = "", "", ""
		}
		p.history.Baseline, p.history.Last = &b, &Rollout{Outcome: RolledBack}
		for i := range p.containers {
			if c := &p.containers[i]; c.LaunchName != "" {
				c.ImageID = "config-2"
			}
		}
		p.now = p.now.Add(2 * time.Second)
		if d := p.look(); d.Action != want || d.Code != CodeRollbackMismatch || !isKnown && !d.Alert || !strings.Contains(d.Reason, "sidekick logger") {
			t.Errorf("primary known %t: %s, %q, alert %t: %s", isKnown, d.Code, d.Action, d.Alert, d.Reason)
		}
	}
}

// TestPinThatIsRefusedIsNotRepeated: Rancher will not take it later either, and nothing
// is deployed without it (A7); until a person asks.
func TestPinThatIsRefusedIsNotRepeated(t *testing.T) {
	p := newPaper()
	p.run(4*time.Second, func(Decision) {})
	p.tag, p.seenAt = "b", p.now
	p.lost = true
	p.wait(t, func(d Decision) bool { return d.Action == Upgrade })
	r := p.history.Rollout
	if r.Kind != Pin {
		t.Fatalf("it begins with a %s", r.Kind)
	}
	p.history = p.history.Apply(Event{Kind: EventNotApplied, At: p.now, Rollout: r.ID, Code: CodeGaveUp, Reason: "422 InvalidOption ports"})
	p.run(10*time.Minute, func(d Decision) {
		if d.Action != NoAction {
			t.Fatalf("%s: %s", d.Action, d.Reason)
		}
	})
	if p.last.Phase != Held || p.last.Code != CodeGaveUp || !p.last.Alert || !strings.Contains(p.last.Reason, "InvalidOption") {
		t.Errorf("%s %s: %s; want that it gave up", p.last.Phase, p.last.Code, p.last.Reason)
	}
	p.history = p.history.Apply(Event{Kind: EventReleased, At: p.now, By: "mei", Digests: []string{digest("b")}})
	p.now = p.now.Add(2 * time.Second)
	if d := p.look(); d.Action != Upgrade {
		t.Errorf("after a retry: %s %s", d.Code, d.Reason)
	}
}

// TestAnotherSidekickIsAnotherAttempt: what Rancher refused was for another digest.
func TestAnotherSidekickIsAnotherAttempt(t *testing.T) {
	last := &Rollout{ID: "r0", To: Baseline{Part: Part{Digest: digest("a")}, Sidekicks: map[string]Part{"logger": {Digest: digest("1")}}}}
	for letter, want := range map[string]int{"1": 3, "2": 1} {
		to := last.To
		to.Sidekicks = map[string]Part{"logger": {Digest: digest(letter)}}
		h := History{Last: last, Attempts: 2, Rollout: &Rollout{ID: "r1", To: to}}
		if h = h.Apply(Event{Kind: EventNotApplied, Rollout: "r1", Code: CodeNotApplied}); h.Attempts != want {
			t.Errorf("sidekick %s: %d attempts, want %d", letter, h.Attempts, want)
		}
	}
}

// TestPastIsWhatWasReplaced, of each part for itself.
func TestPastIsWhatWasReplaced(t *testing.T) {
	b := func(primary, side string) Baseline {
		return Baseline{Part: Part{Digest: primary}, Sidekicks: map[string]Part{"logger": {Digest: side}}}
	}
	h := History{Rollout: &Rollout{ID: "r", From: b("a", "1"), To: b("a", "2")}}.Apply(Event{Kind: EventFinished, Rollout: "r"})
	if len(h.Past) != 0 || len(h.PastSidekicks["logger"]) != 1 || h.PastSidekicks["logger"][0] != "1" {
		t.Errorf("past: %v, of the sidekick: %v; want the sidekick's alone", h.Past, h.PastSidekicks)
	}
	before := h.PastSidekicks
	h.Rollout = &Rollout{ID: "s", From: b("a", "2"), To: b("b", "3")}
	after := h.Apply(Event{Kind: EventFinished, Rollout: "s"})
	if len(before["logger"]) != 1 || len(after.PastSidekicks["logger"]) != 2 || len(after.Past) != 1 {
		t.Errorf("before: %v, after: %v, %v; a history that was given away has changed, or nothing was added", before, after.PastSidekicks, after.Past)
	}
}

// TestChangesNameWhatIsNew: the tag's digest, and the platform's manifest where that is
// another thing and another one than before.
func TestChangesNameWhatIsNew(t *testing.T) {
	from := Part{Digest: "i1", Manifest: "m1"}
	for _, tt := range []struct {
		to   Part
		want string
	}{
		{from, ""},
		{Part{}, ""},
		{Part{Digest: "i2", Manifest: "m2"}, "i2 m2"},
		{Part{Digest: "i2", Manifest: "m1"}, "i2"},
		{Part{Digest: "m2", Manifest: "m2"}, "m2"},
		{Part{Digest: "i2"}, "i2"},
	} {
		to := Baseline{Sidekicks: map[string]Part{"logger": tt.to}}
		if got := strings.Join(to.Changes(Baseline{Sidekicks: map[string]Part{"logger": from}}), " "); got != tt.want {
			t.Errorf("%+v changes %q, want %q", tt.to, got, tt.want)
		}
	}
}

// TestOursIsOneVersionAndItsSidekicks: a launch configuration with the rollout's labels
// is its own until somebody has upgraded the service once more and kept them.
func TestOursIsOneVersionAndItsSidekicks(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(*Input)
		want bool
	}{
		"as it was":       {func(*Input) {}, true},
		"another version": {func(in *Input) { in.Observed.Service.Launch.Version = "theirs" }, false},
		"another version, when it is not known": {func(in *Input) {
			r := *in.History.Rollout
			r.Version = ""
			in.History.Rollout, in.Observed.Service.Launch.Version = &r, "theirs"
		}, true},
		"another sidekick": {func(in *Input) {
			r := *in.History.Rollout
			r.To.Sidekicks = map[string]Part{"logger": {Image: "l@1"}}
			in.History.Rollout, in.Observed.Service.Secondary = &r, []observe.Launch{{Name: "logger", Image: "l@2"}}
		}, false},
		"the sidekick that it brought": {func(in *Input) {
			r := *in.History.Rollout
			r.To.Sidekicks = map[string]Part{"logger": {Image: "l@1"}, "gone": {Image: "g@1"}}
			in.History.Rollout, in.Observed.Service.Secondary = &r, []observe.Launch{{Name: "logger", Image: "l@1"}}
		}, true},
	} {
		in := bakingFor(t, tt.edit)
		l := look{in: in, r: in.History.Rollout}
		if got := l.isOurs(); got != tt.want {
			t.Errorf("%s: ours %t, want %t", name, got, tt.want)
		}
	}
}

// TestCopiedLabels: Rancher's form keeps what it has read.
func TestCopiedLabels(t *testing.T) {
	of := func(id string) observe.Launch {
		return observe.Launch{Image: "x@1", Labels: map[string]string{LabelRollout: id}}
	}
	side := []observe.Launch{{Name: "logger"}}
	for name, tt := range map[string]struct {
		launch observe.Launch
		up     *observe.Upgrade
		want   bool
	}{
		"no upgrade is known":         {of("r"), nil, false},
		"no labels":                   {observe.Launch{}, &observe.Upgrade{ToSecondary: side}, false},
		"by the rollout":              {of("r"), &observe.Upgrade{To: of("r"), From: of("q")}, false},
		"again, with the same labels": {of("r"), &observe.Upgrade{To: of("r"), From: of("r")}, true},
		"of sidekicks alone":          {of("r"), &observe.Upgrade{ToSecondary: side}, true},
		"of nothing that can be read": {of("r"), &observe.Upgrade{}, false},
		"taken back":                  {of("r"), &observe.Upgrade{To: of("s"), From: of("r")}, false},
	} {
		l := look{in: Input{Observed: observe.Snapshot{Service: observe.Service{Launch: tt.launch, Upgrade: tt.up}}}}
		if got := l.isCopied(); got != tt.want {
			t.Errorf("%s: copied %t, want %t", name, got, tt.want)
		}
	}
}
