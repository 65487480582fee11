package reconcile

import (
	"reflect"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// TestNeed: an idle target costs two looks into caches; what may be decided upon
// is read afresh.
func TestNeed(t *testing.T) {
	idle := func() *paper {
		p := newPaper()
		p.run(6*time.Second, func(Decision) {})
		return p
	}
	for _, tt := range []struct {
		name string
		edit func(*paper)
		want observe.Wants
	}{
		{"idle", func(*paper) {}, observe.Wants{}},
		{"first sight", func(p *paper) { p.history = History{} }, observe.Wants{Fresh: true}},
		{"newer digest", func(p *paper) { p.tag = "b" }, observe.Wants{Fresh: true, Gates: true, Repository: repository, Previous: digest("a")}},
		{"newer digest, on hold", func(p *paper) { p.tag, p.target.Hold = "b", "freeze" }, observe.Wants{}},
		{"held", func(p *paper) { p.history.Holding = &Holding{} }, observe.Wants{}},
		{"blind", func(p *paper) { p.blind = true }, observe.Wants{}},
		{"cache shows an upgrade", func(p *paper) { p.state = observe.StateFinishingUpgrade }, observe.Wants{Fresh: true}},
		{"cache shows another image", func(p *paper) { p.launch.Image = "x@" + digest("e") }, observe.Wants{Fresh: true}},
		{"rollout open", func(p *paper) { p.history.Rollout = &Rollout{ID: "r"} }, observe.Wants{Fresh: true, Gates: true, Logs: true, Rollout: "r"}},
		{"on probation", func(p *paper) { p.history.Probation = &Watch{Rollout: Rollout{ID: "r"}, Until: p.now.Add(time.Hour)} }, observe.Wants{Fresh: true, Gates: true, Logs: true, Rollout: "r"}},
	} {
		p := idle()
		tt.edit(p)
		in := Input{Target: p.target, Observed: p.snapshot(), History: p.history, Memory: p.memory, Now: p.now}
		if got := Need(in); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: Need = %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// TestNeedOfSidekicks: the way back is theirs as well, and one that the target begins
// to follow is adopted as Rancher shows it now.
func TestNeedOfSidekicks(t *testing.T) {
	p := newPaper()
	p.addSidekick()
	p.run(6*time.Second, func(Decision) {})
	need := func() observe.Wants {
		return Need(Input{Target: p.target, Observed: p.snapshot(), History: p.history, Memory: p.memory, Now: p.now})
	}
	if got := need(); !reflect.DeepEqual(got, observe.Wants{}) {
		t.Errorf("idle: Need = %+v, want nothing", got)
	}
	p.tag = "b"
	want := observe.Wants{
		Fresh: true, Gates: true, Repository: repository, Previous: digest("a"),
		PreviousSidekicks: map[string]observe.Pinned{"logger": {Repository: sideRepository, Digest: digest("1")}},
	}
	if got := need(); !reflect.DeepEqual(got, want) {
		t.Errorf("newer digest: Need = %+v, want %+v", got, want)
	}
	p.tag = "a"
	b := *p.history.Baseline
	b.Sidekicks = nil
	p.history.Baseline = &b
	if got := need(); !reflect.DeepEqual(got, observe.Wants{Fresh: true}) {
		t.Errorf("followed anew: Need = %+v, want a fresh look", got)
	}
}

// TestInForce: of a changed file only hold, pause, abort and retry reach a rollout
// under way (I16).
func TestInForce(t *testing.T) {
	old := newPaper().target
	now := old
	now.Rollout.Bake, now.Pause, now.Hold, now.Abort, now.Retry = desired.Seconds(1), true, "h", "a", "r"
	got := InForce(now, History{Rollout: &Rollout{Policy: old}})
	if got.Rollout.Bake != old.Rollout.Bake || !got.Pause || got.Hold != "h" || got.Abort != "a" || got.Retry != "r" {
		t.Errorf("InForce = bake %s pause %t hold %q abort %q retry %q", got.Rollout.Bake, got.Pause, got.Hold, got.Abort, got.Retry)
	}
	if got := InForce(now, History{}); got.Rollout.Bake != now.Rollout.Bake {
		t.Errorf("without a rollout bake = %s, want the file's", got.Rollout.Bake)
	}
}
