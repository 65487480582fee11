package reconcile

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// rebuilt is a look at b, which has the layers of the digests condemned before.
func rebuilt(t *testing.T, condemned ...string) Input {
	t.Helper()
	in := aboutTo(t, Upgrade, func(*paper) {})
	in.Target.Rollout.OnSameLayers = desired.SameLayersHold
	in.History.Quarantine = map[string]Quarantined{}
	for i, letter := range condemned {
		in.History.Quarantine[digest(letter)] = Quarantined{At: in.Now.Add(time.Duration(i) * time.Minute), Reason: "it failed", Layers: in.Observed.Image.Layers}
	}
	return in
}

// TestSameLayersAreWhatThePolicySays: what changes when one thing is otherwise.
func TestSameLayersAreWhatThePolicySays(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(*Input)
		want Code // Empty starts.
		says bool
	}{
		"hold":                       {func(*Input) {}, CodeSameLayers, true},
		"allow":                      {func(in *Input) { in.Target.Rollout.OnSameLayers = desired.SameLayersAllow }, "", true},
		"a policy from before it":    {func(in *Input) { in.Target.Rollout.OnSameLayers = "" }, "", true},
		"asked for by name":          {func(in *Input) { in.History.Released = []string{digest("b")} }, "", true},
		"asked for in the file":      {func(in *Input) { in.Target.Retry = digest("b") }, "", true},
		"the old one in the file":    {func(in *Input) { in.Target.Retry = digest("x") }, "", false},
		"other layers":               {func(in *Input) { in.Observed.Image.Layers = observe.Layers{1} }, "", false},
		"layers not told":            {func(in *Input) { in.Observed.Image.Layers = observe.Layers{} }, "", false},
		"condemned before they were": {func(in *Input) { in.History.Quarantine = map[string]Quarantined{digest("x"): {}} }, "", false},
		"neither is known": {func(in *Input) {
			in.History.Quarantine, in.Observed.Image.Layers = map[string]Quarantined{digest("x"): {}}, observe.Layers{}
		}, "", false},
		"they run": {func(in *Input) {
			b := *in.History.Baseline
			b.Layers, in.History.Baseline = in.Observed.Image.Layers, &b
		}, "", false},
		"the old one was released": {func(in *Input) {
			in.History = in.History.Apply(Event{Kind: EventReleased, Digests: []string{digest("x")}})
		}, "", false},
	} {
		in := rebuilt(t, "x")
		tt.edit(&in)
		d := Decide(in)
		if tt.want == "" && d.Action != Upgrade || tt.want != "" && (d.Action != NoAction || d.Code != tt.want || d.Phase != Held || !d.Alert) {
			t.Errorf("%s: action %q, %s %s, alert %t (%s), want %q", name, d.Action, d.Phase, d.Code, d.Alert, d.Reason, tt.want)
		}
		if says := strings.Contains(d.Reason, "same layers as quarantined "+short(digest("x"))); says != tt.says {
			t.Errorf("%s: says that the layers are those of x: %t, want %t (%s)", name, says, tt.says, d.Reason)
		}
		for _, e := range d.Events {
			if e.Kind == EventStarted && slices.Equal(e.Start.SameLayers, []string{digest("x")}) != tt.says {
				t.Errorf("%s: the rollout names %q", name, e.Start.SameLayers)
			}
		}
	}
}

// TestSameLayersNameTheLatest of several that were condemned, and of two at once always
// the same.
func TestSameLayersNameTheLatest(t *testing.T) {
	in := rebuilt(t, "x", "z", "y")
	if d := Decide(in); !strings.Contains(d.Reason, short(digest("y"))) {
		t.Errorf("of x, z and y: %s, want y", d.Reason)
	}
	same := in.History.Quarantine[digest("y")]
	in.History.Quarantine = map[string]Quarantined{digest("z"): same, digest("y"): same, digest("x"): same}
	for range 20 {
		if d := Decide(in); !strings.Contains(d.Reason, short(digest("x"))) {
			t.Fatalf("of three at once: %s, want x", d.Reason)
		}
	}
}

// TestCondemnedLayersAreRemembered: by whichever way a digest comes into quarantine.
func TestCondemnedLayersAreRemembered(t *testing.T) {
	for name, script := range map[string]string{
		"a gate":            "run 4s|push b errors=5|run 30s",
		"a person in here":  "run 4s|push b|run 12s|person aborts|run 20s",
		"a person in there": "run 4s|push b|run 12s|person rolls-back|run 20s",
		"probation":         "run 4s|push b|run 50s|behave b errors=3|run 40s",
		"after the finish":  "run 4s|push b|run 2m|person takes-back",
		"a lost journal":    "run 4s|push b errors=5|run 30s|lose-journal|run 10s",
	} {
		p := newPaper()
		for command := range strings.SplitSeq("set image-ids=no|"+script, "|") {
			if err := p.command(strings.Fields(command), func(Decision) {}); err != nil {
				t.Fatal(err)
			}
		}
		q, is := p.history.Quarantine[digest("b")]
		if !is || q.Layers != p.layersOf("b") {
			t.Errorf("%s: b is quarantined: %t, with the layers %q; want them to be %q (%s)", name, is, q.Layers, p.layersOf("b"), p.last.Reason)
		}
	}
}

// TestLayersGoWithTheTagsDigest: a platform's manifest is condemned beside it, and is
// not the one that people are told about.
func TestLayersGoWithTheTagsDigest(t *testing.T) {
	b := Baseline{
		Part:      Part{Digest: "sha256:index", Manifest: "sha256:manifest", Layers: observe.Layers{1}},
		Sidekicks: map[string]Part{"logger": {Digest: "sha256:side", Layers: observe.Layers{2}}, "other": {Digest: "sha256:other", Layers: observe.Layers{3}}},
	}
	got := b.LayersOf([]string{"sha256:index", "sha256:manifest", "sha256:side"})
	if want := map[string]observe.Layers{"sha256:index": {1}, "sha256:side": {2}}; !maps.Equal(got, want) {
		t.Errorf("LayersOf = %v, want %v", got, want)
	}
	if got := (*Baseline)(nil).LayersOf([]string{"sha256:index"}); got != nil {
		t.Errorf("LayersOf nothing = %v", got)
	}
}

// TestLayersOfARolloutFromBefore: one that was begun by a Drover that did not keep them
// is condemned with those that the tag still has.
func TestLayersOfARolloutFromBefore(t *testing.T) {
	p := newPaper()
	for command := range strings.SplitSeq("set image-ids=no|run 4s|push b errors=5|run 10s", "|") {
		if err := p.command(strings.Fields(command), func(Decision) {}); err != nil {
			t.Fatal(err)
		}
	}
	r := *p.history.Rollout
	r.To.Layers = observe.Layers{}
	p.history.Rollout = &r
	p.run(20*time.Second, func(Decision) {})
	if q := p.history.Quarantine[digest("b")]; q.Layers != p.layersOf("b") {
		t.Errorf("b is quarantined with the layers %q (%s), want %q", q.Layers, p.last.Reason, p.layersOf("b"))
	}
}

// TestJournalOfBeforeLayers: old lines are read as they were, new ones bring the layers
// back, and nothing is written where nothing is known.
func TestJournalOfBeforeLayers(t *testing.T) {
	var old Event
	if err := json.Unmarshal([]byte(`{"kind":"quarantined","at":"2026-05-04T10:00:00Z","digests":["sha256:b"],"reason":"it failed"}`), &old); err != nil {
		t.Fatal(err)
	}
	h := History{}.Apply(old)
	if q := h.Quarantine["sha256:b"]; q.Reason != "it failed" || q.Layers.IsKnown() {
		t.Errorf("read from an old line: %+v", q)
	}
	for what, v := range map[string]any{"event": old, "history": h, "part": Part{Digest: "sha256:b"}} {
		if text, err := json.Marshal(v); err != nil || strings.Contains(strings.ToLower(string(text)), "layers") {
			t.Errorf("%s = %s, %v; want nothing of layers", what, text, err)
		}
	}
	written := old
	written.Layers = map[string]observe.Layers{"sha256:b": {7}}
	text, err := json.Marshal(written)
	if err != nil {
		t.Fatal(err)
	}
	var read Event
	if err := json.Unmarshal(text, &read); err != nil || !maps.Equal(read.Layers, written.Layers) {
		t.Errorf("%s read back = %v, %v", text, read.Layers, err)
	}
	text, err = json.Marshal(History{}.Apply(written))
	if err != nil {
		t.Fatal(err)
	}
	var back History
	if err := json.Unmarshal(text, &back); err != nil || back.Quarantine["sha256:b"].Layers != written.Layers["sha256:b"] {
		t.Errorf("%s read back = %v, %v", text, back.Quarantine, err)
	}
}

// rebuildMoves are those that rebuilds are about, with time enough for a rollout and
// its back-off between them.
var rebuildMoves = []string{
	"push b errors=2", "push b", "push d", "rebuild 7 b", "rebuild 0 b", "push-side 2", "rebuild-side 4 2", "push-side 1",
	"file same-layers=hold", "file same-layers=allow", "run 10s", "run 1m", "run 3m", "sleep 20m", "sleep 25h",
	"person retries b", "person retries 7", "person retries 2", "person retries 4", "person aborts", "person rolls-back", "person resumes", "person takes-back", "restart",
}

// TestRebuildInvariants walks through seeded worlds in which bad versions are built
// again: the walks of TestInvariants seldom have both (R16).
func TestRebuildInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &walk{t: t, paper: newPaper()}
		w.addSidekick()
		w.run("set image-ids=no")   // Nothing is pinned before the first change.
		w.run("set deadline=1000h") // What is taken back by its deadline is not condemned.
		w.run("run 4s")
		w.run("push b errors=2")
		w.run("run 1m")
		for range rapid.IntRange(4, 16).Draw(t, "moves") {
			w.run(rapid.SampledFrom(rebuildMoves).Draw(t, "move"))
			w.run("run 10s")
		}
	})
}
