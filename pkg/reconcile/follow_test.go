package reconcile

import (
	"slices"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// upgrades are the images that a paper world is upgraded to within a while, the
// sidekick's behind the primary's.
func (p *paper) upgrades(d time.Duration) []string {
	var to []string
	p.run(d, func(d Decision) {
		if d.Plan != nil {
			to = append(to, string(d.Plan.Kind)+" "+letterOf(d.Plan.Image)+letterOf(d.Plan.Sidekicks["logger"]))
		}
	})
	return to
}

// TestFirstSightDeployPassesNothingOver: what the tags name comes, also where
// something else was pinned by hand.
func TestFirstSightDeployPassesNothingOver(t *testing.T) {
	for mode, want := range map[desired.FirstSight][]string{desired.Deploy: {"deploy b1"}, desired.Adopt: nil} {
		p := newPaper()
		p.addSidekick()
		p.target.FirstSight = mode
		p.launch.Image, p.side.Image = repository+"@"+digest("9"), sideRepository+"@"+digest("8")
		for i := range p.containers {
			c := &p.containers[i]
			if c.Image = p.launch.Image; c.LaunchName != "" {
				c.Image = p.side.Image
			}
			c.ImageID = ""
		}
		p.tag = "b"
		if got := p.upgrades(2 * time.Minute); !slices.Equal(got, want) {
			t.Errorf("firstSight %s: upgrades %q, want %q", mode, got, want)
		}
	}
}

// TestFollowedLater: a sidekick that the file names later is met as at first sight.
func TestFollowedLater(t *testing.T) {
	for name, tt := range map[string]struct {
		mode   desired.FirstSight
		pinned bool
		want   []string
	}{
		"a bare tag":                         {desired.Adopt, false, nil},
		"pinned by hand":                     {desired.Adopt, true, nil},
		"a bare tag, to be deployed":         {desired.Deploy, false, []string{"deploy a1"}},
		"pinned by hand, and to be deployed": {desired.Deploy, true, []string{"deploy a1"}},
	} {
		p := newPaper()
		p.addSidekick()
		p.launch.Image = repository + "@" + digest("a")
		if tt.pinned {
			p.side.Image = sideRepository + "@" + digest("8")
		}
		for i := range p.containers {
			c := &p.containers[i]
			if c.Image = p.launch.Image; c.LaunchName != "" {
				c.Image = p.side.Image
			}
			c.ImageID = ""
		}
		p.edit("sidekick=no")
		p.run(6*time.Second, func(Decision) {})
		p.target.FirstSight = tt.mode
		p.edit("sidekick=yes")
		if got := p.upgrades(2 * time.Minute); !slices.Equal(got, tt.want) {
			t.Errorf("%s: upgrades %q, want %q (%s)", name, got, tt.want, p.last.Reason)
		}
		p.edit("sidekick=no")
		p.run(4*time.Second, func(Decision) {})
		if b := p.history.Baseline; len(b.Sidekicks) != 0 {
			t.Errorf("%s: not followed any more, and %v is remembered", name, b.Sidekicks)
		}
	}
}

// TestFollowedWhenItsTagIsRead: what is not known yet is no baseline.
func TestFollowedWhenItsTagIsRead(t *testing.T) {
	p := newPaper()
	p.addSidekick()
	p.edit("sidekick=no")
	p.run(6*time.Second, func(Decision) {})
	p.edit("sidekick=yes")
	look := func(problem *observe.Problem) Decision {
		p.now = p.now.Add(2 * time.Second)
		s := p.snapshot()
		if problem != nil {
			s.Sidekicks = map[string]observe.Image{"logger": {Repository: sideRepository, Problem: problem}}
		}
		return p.take(Decide(Input{Target: p.target, Observed: s, History: p.history, Memory: p.memory, Now: p.now}))
	}
	if d := look(unreachable); len(p.history.Baseline.Sidekicks) != 0 || d.Code != CodeRegistryProblem {
		t.Errorf("while its tag cannot be read: %s, and %v is remembered", d.Code, p.history.Baseline.Sidekicks)
	}
	look(nil)
	if side := p.history.Baseline.Sidekicks["logger"]; side.Digest != digest("1") {
		t.Errorf("%+v is remembered, want what its tag names", side)
	}
}

// TestUndoneUpgradeCondemnsWhatIsFollowed: at first sight after a rollback Rancher
// still names what was taken back, also of a sidekick; one that nobody follows is
// nobody's business, and what runs is not condemned.
func TestUndoneUpgradeCondemnsWhatIsFollowed(t *testing.T) {
	for what, want := range map[string][]string{"sidekick=yes": {digest("2")}, "sidekick=no": nil} {
		p := newPaper()
		p.addSidekick()
		p.edit(what)
		p.launch.Image = repository + "@" + digest("a")
		p.upgrade = &observe.Upgrade{To: p.launch, From: p.launch, ToSecondary: []observe.Launch{{Name: "logger", Image: sideRepository + "@" + digest("2")}}}
		p.look()
		var got []string
		for d := range p.history.Quarantine {
			got = append(got, d)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: condemned are %q, want %q", what, got, want)
		}
	}
}

// TestRecoveredSidekicks: after the journal was lost in a rollout, what the sidekick
// was before is what Rancher kept, with all that is known of it where it is the same.
func TestRecoveredSidekicks(t *testing.T) {
	for name, tt := range map[string]struct{ before, now, want Part }{
		"unchanged": {Part{Image: sideRepository + ":latest"}, Part{Image: sideRepository + ":latest"}, Part{
			Image: sideRepository + ":latest", Digest: digest("1"), Manifest: digest("1"), Config: "config-1", Layers: new(paper).layersOf("1"),
		}},
		"changed": {Part{Image: sideRepository + "@" + digest("8")}, Part{Image: sideRepository + "@" + digest("1")}, Part{
			Image: sideRepository + "@" + digest("8"), Digest: digest("8"),
		}},
	} {
		p := newPaper()
		p.addSidekick()
		p.side.Image = tt.now.Image
		before := p.launch
		p.launch = observe.Launch{Image: repository + "@" + digest("b"), Version: "v9", Labels: map[string]string{
			LabelRollout: "r1", LabelTo: digest("b"), LabelFrom: digest("a"), LabelOwner: "drover-test", LabelKind: "deploy",
			LabelDeadline: p.now.Add(50 * time.Minute).Format(time.RFC3339),
		}}
		p.upgrade = &observe.Upgrade{To: p.launch, From: before, FromSecondary: []observe.Launch{{Name: "logger", Image: tt.before.Image}, {Name: "other", Image: "x"}}}
		p.state = observe.StateUpgrading
		p.look()
		r := p.history.Rollout
		if r == nil {
			t.Fatalf("%s: not recovered: %s", name, p.last.Reason)
		}
		if got := r.From.Sidekicks["logger"]; got != tt.want || len(r.From.Sidekicks) != 1 {
			t.Errorf("%s: before it ran %+v, want %+v alone", name, r.From.Sidekicks, tt.want)
		}
		if !r.Deadline.Equal(p.now.Add(50 * time.Minute)) {
			t.Errorf("%s: the deadline is %s, want the label's", name, r.Deadline)
		}
	}
}
