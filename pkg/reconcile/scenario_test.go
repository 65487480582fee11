package reconcile

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// TestScenarios runs each script of testdata/scenarios and compares its
// transcript: the commands as they stand, and below each what was decided, a line
// whenever phase, reason, verdicts or action change.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d scenarios (%v), want at least 20", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := playScript(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("transcript differs:\n--- got\n%s\n--- want\n%s", got, want)
			}
		})
	}
}

// playScript runs the lines that do not begin with two blanks, which are the
// transcript.
func playScript(t *testing.T, script string) string {
	t.Helper()
	p := newPaper()
	var out strings.Builder
	begin := p.now
	tell := func(d Decision) {
		changed := len(d.Events) > 0 || d.Action != NoAction
		if !changed {
			return
		}
		fmt.Fprintf(&out, "  %5s %s %s: %s\n", p.now.Sub(begin), d.Phase, d.Code, d.Reason)
		for _, e := range d.Events {
			if e.Kind != EventStatus {
				fmt.Fprintf(&out, "        + %s%s\n", e.Kind, describe(e))
			}
		}
		if d.Action != NoAction {
			fmt.Fprintf(&out, "        > %s%s\n", d.Action, describePlan(d.Plan))
		}
	}
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		out.WriteString(line)
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := p.command(strings.Fields(line), tell); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return out.String()
}

func describe(e Event) string {
	var b strings.Builder
	if e.By != "" {
		fmt.Fprintf(&b, " by=%s", e.By)
	}
	for _, d := range e.Digests {
		fmt.Fprintf(&b, " %s", short(d))
	}
	if e.Baseline != nil {
		fmt.Fprintf(&b, " %s", strings.TrimPrefix(shortImage(e.Baseline.Image), repository))
		for _, name := range slices.Sorted(maps.Keys(e.Baseline.Sidekicks)) {
			b.WriteString(" " + name + strings.TrimPrefix(shortImage(e.Baseline.Sidekicks[name].Image), sideRepository))
		}
	}
	if e.Condemned {
		b.WriteString(" condemned")
	}
	return b.String()
}

func describePlan(p *Plan) string {
	if p == nil {
		return ""
	}
	text := fmt.Sprintf(" %s %s", p.Kind, strings.TrimPrefix(shortImage(p.Image), repository))
	for _, name := range slices.Sorted(maps.Keys(p.Sidekicks)) {
		text += " " + name + strings.TrimPrefix(shortImage(p.Sidekicks[name]), sideRepository)
	}
	return text
}

func (p *paper) command(words []string, tell func(Decision)) error {
	arg := ""
	if len(words) > 1 {
		arg = words[1]
	}
	switch words[0] {
	case "run":
		d, err := time.ParseDuration(arg)
		if err != nil {
			return err
		}
		p.run(d, tell)
	case "push":
		p.tag, p.seenAt = arg, p.now
		if len(words) > 2 {
			p.behaviour[arg] = words[2]
		}
	case "rebuild": // A push of the layers of another letter's image.
		p.rebuild(arg, words[2])
		p.tag, p.seenAt = arg, p.now
	case "rebuild-side":
		p.rebuild(arg, words[2])
		p.sideTag, p.seenAt = arg, p.now
	case "sidekick": // Every container has one, whose image the target follows too.
		p.addSidekick()
	case "push-side":
		p.sideTag, p.seenAt = arg, p.now
	case "file":
		p.edit(arg)
	case "behave":
		p.behaviour[arg] = words[2]
	case "set":
		return p.set(arg)
	case "person":
		return p.person(words[1:])
	case "journal-full":
		p.notDurable = arg == "yes"
	case "restart": // The controller loses its memory, not its journal.
		p.memory = Memory{}
	case "lose-journal":
		p.memory, p.history = Memory{}, History{}
	case "lose-next-request":
		p.lost = true
	case "unpullable":
		p.gone[arg] = true
	case "sleep":
		d, err := time.ParseDuration(arg)
		if err != nil {
			return err
		}
		p.now = p.now.Add(d)
	default:
		return fmt.Errorf("unknown command %q", words[0])
	}
	return nil
}

// edit is a change of targets.yaml.
func (p *paper) edit(what string) {
	r, g := &p.target.Rollout, &p.target.Gates
	if letter, isRetry := strings.CutPrefix(what, "retry="); isRetry {
		p.target.Retry = ""
		if letter != "" {
			p.target.Retry = digest(letter)
		}
	}
	switch what {
	case "bake=0s":
		r.Bake = desired.Seconds(0)
	case "bake=20s":
		r.Bake = desired.Seconds(20)
	case "batch=3":
		r.BatchSize = 3
	case "deadline=10s":
		r.ProgressDeadline = desired.Seconds(10)
	case "limit=100%":
		limit := *g.LoadBalancer
		limit.MaxErrorRate = ptr(desired.Percent(1))
		g.LoadBalancer = &limit
	case "on-deadline=hold":
		r.OnDeadline = desired.TimeoutHold
	case "same-layers=hold":
		r.OnSameLayers = desired.SameLayersHold
	case "same-layers=allow":
		r.OnSameLayers = desired.SameLayersAllow
	case "sidekick=no":
		p.target.Containers = nil
	case "sidekick=yes":
		p.target.Containers = map[string]string{"logger": sideRepository + ":latest"}
	}
}

func (p *paper) set(assignment string) error {
	key, value, _ := strings.Cut(assignment, "=")
	on := value == "yes"
	switch key {
	case "blind":
		p.blind = on
	case "lb-down":
		p.lbDown = on
	case "quiet":
		p.quiet = on
	case "stalled":
		p.stalled = on
	case "repull": // Containers that a rollback brings back are made anew.
		p.repulls = on
	case "pause":
		p.target.Pause = on
	case "hold":
		p.target.Hold = value
	case "finish":
		p.target.Rollout.Finish = desired.Finish(value)
	case "first-sight":
		p.target.FirstSight = desired.FirstSight(value)
	case "image-ids":
		for i := range p.containers {
			p.containers[i].ImageID = "" // What a Rancher without container events shows.
		}
	case "hosts":
		n, err := strconv.Atoi(value)
		p.hosts = n
		return err
	case "scale":
		n, err := strconv.Atoi(value)
		p.scale = n
		return err
	case "deadline":
		d, err := time.ParseDuration(value)
		p.target.Rollout.ProgressDeadline = desired.Duration{Duration: d}
		return err
	case "no-lb-gate":
		p.target.Gates.LoadBalancer = nil
	default:
		return fmt.Errorf("unknown setting %q", key)
	}
	return nil
}

// person does what people do, in Rancher or through Drover's commands.
func (p *paper) person(words []string) error {
	id := ""
	if p.history.Rollout != nil {
		id = p.history.Rollout.ID
	}
	say := func(e Event) {
		e.At, e.By = p.now, "mei"
		p.history = p.history.Apply(e)
	}
	switch words[0] {
	case "rolls-back":
		p.startRollback()
	case "finishes":
		p.state = observe.StateFinishingUpgrade
	case "cancels":
		p.state = observe.StateCanceledUpgrade
	case "upgrades":
		p.personUpgrades(repository+"@"+digest(words[1]), nil, "")
	case "drives": // Another Drover.
		image := repository + "@" + digest(words[1])
		p.personUpgrades(image, map[string]string{LabelRollout: "other-1", LabelTo: digest(words[1]), LabelOwner: "drover-other"}, "")
	case "scales": // Rancher answers a PUT of the scale in upgrading with upgraded (rancher-api 14.3).
		n, err := strconv.Atoi(words[1])
		if p.scale = n; p.state == observe.StateUpgrading {
			p.state = observe.StateUpgraded
		}
		return err
	case "upgrades-side":
		p.personUpgrades(p.launch.Image, nil, sideRepository+"@"+digest(words[1]))
	case "changes-side": // In Rancher's own form, which keeps the labels.
		p.personUpgrades(p.launch.Image, p.launch.Labels, sideRepository+"@"+digest(words[1]))
	case "changes-env":
		p.personUpgrades(p.launch.Image, p.launch.Labels, "")
	case "approves":
		say(Event{Kind: EventApproved, Rollout: id})
	case "approves-old":
		say(Event{Kind: EventApproved, Rollout: "parrot-rest-000000000000"})
	case "finishes-early":
		say(Event{Kind: EventEarlyFinish, Rollout: id})
	case "aborts":
		say(Event{Kind: EventAbort, Rollout: id})
	case "asks-to-cancel":
		say(Event{Kind: EventCancel, Rollout: id})
	case "takes-back":
		if back := p.wayBack(); back != nil {
			say(Event{Kind: EventRestore, Restoring: back})
			left := []string{p.history.Baseline.Digest}
			say(Event{Kind: EventQuarantined, Digests: left, Layers: p.history.Baseline.LayersOf(left), Reason: "mei took it back after its finish"})
		}
	case "resumes":
		say(Event{Kind: EventResumed})
	case "pauses":
		say(Event{Kind: EventPaused})
	case "insists-on":
		say(Event{Kind: EventReleased, Digests: []string{digest(words[1])}, DespiteBaseline: true})
	case "retries":
		say(Event{Kind: EventReleased, Digests: []string{digest(words[1])}})
	default:
		return fmt.Errorf("people do not %q", words[0])
	}
	return nil
}

// wayBack is what the controller would find in the journal: what ran last of all
// that neither runs nor is quarantined.
func (p *paper) wayBack() *Restoring {
	if p.history.Rollout != nil || p.history.Holding != nil || p.history.Baseline == nil {
		return nil
	}
	var back *Restoring
	for _, e := range p.journal {
		if e.Kind != EventStarted || e.Start.From.Digest == "" || e.Start.From.Digest == p.history.Baseline.Digest {
			continue
		}
		if _, isCondemned := p.history.Quarantine[e.Start.From.Digest]; !isCondemned {
			back = &Restoring{By: "mei", At: p.now, To: e.Start.From, Base: e.Start.Previous}
		}
	}
	return back
}
