package watch

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

var update = flag.Bool("update", false, "write the screens anew")

func newModel(a Actor, width, height int) Model {
	m := New("gf-chat/parrot-rest", "jo@desk", a, noon)
	return send(m, tea.WindowSizeMsg{Width: width, Height: height})
}

// send hands messages to a model; texts are keys.
func send(m Model, messages ...any) Model {
	m, _ = sendCmd(m, messages...)
	return m
}

// sendCmd also returns the last message's command.
func sendCmd(m Model, messages ...any) (Model, tea.Cmd) {
	var cmd tea.Cmd
	for _, msg := range messages {
		if key, ok := msg.(string); ok {
			msg = press(key)
		}
		var next tea.Model
		next, cmd = m.Update(msg)
		m = next.(Model)
	}
	return m, cmd
}

func press(key string) tea.KeyPressMsg {
	special := map[string]tea.KeyPressMsg{
		"space": {Code: tea.KeySpace, Text: " "}, "esc": {Code: tea.KeyEscape}, "enter": {Code: tea.KeyEnter}, "backspace": {Code: tea.KeyBackspace},
		"tab": {Code: tea.KeyTab}, "shift+tab": {Code: tea.KeyTab, Mod: tea.ModShift}, "up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown},
		"pgup": {Code: tea.KeyPgUp}, "end": {Code: tea.KeyEnd}, "home": {Code: tea.KeyHome}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl},
	}
	if k, ok := special[key]; ok {
		return k
	}
	r := []rune(key)
	return tea.KeyPressMsg{Code: r[0], Text: key}
}

// scenes are screens that a person may see.
func scenes() map[string]func() Model {
	bake := func(width, height int) Model {
		return send(newModel(&recorder{}, width, height),
			watched(1, service(observe.StateActive, 0), idle()), lines(1, logs.VersionUnknown, 0, 3),
			watched(10, service(observe.StateUpgrading, 1), upgrading()), watched(12, service(observe.StateUpgrading, 1), upgrading()), lines(4, logs.VersionNew, 100, 3), lines(2, logs.VersionOld, 103, 2),
			watched(30, service(observe.StateUpgraded, 3), baking(30)), watched(31, service(observe.StateUpgraded, 3), baking(31)), lines(5, logs.VersionNew, 300, 9))
	}
	away := func(s observe.Service) observe.Service {
		s.Problem = &observe.Problem{Cause: observe.CauseUnreachable, Message: "dial tcp: connection refused"}
		return s
	}
	return map[string]func() Model{
		"looking": func() Model { return newModel(&recorder{}, 80, 12) },
		"waiting": func() Model {
			return send(newModel(&recorder{}, 100, 16), watched(1, service(observe.StateActive, 0), idle()), watched(2, service(observe.StateActive, 0), idle()), lines(1, logs.VersionUnknown, 0, 4))
		},
		"upgrading": func() Model {
			return send(newModel(&recorder{}, 120, 24), watched(10, service(observe.StateUpgrading, 1), upgrading()), watched(12, service(observe.StateUpgrading, 1), upgrading()), lines(4, logs.VersionNew, 100, 6), lines(2, logs.VersionOld, 106, 3))
		},
		"rebuild": func() Model {
			v := upgrading()
			v.Rollout.SameLayers = []string{digest("c")}
			return send(newModel(&recorder{}, 130, 20), watched(10, service(observe.StateUpgrading, 1), v), watched(12, service(observe.StateUpgrading, 1), v))
		},
		"baking":        func() Model { return bake(120, 30) },
		"baking-narrow": func() Model { return bake(72, 24) },
		"baking-low":    func() Model { return bake(100, 12) },
		"tiny":          func() Model { return bake(20, 5) },
		"finish": func() Model {
			return send(bake(100, 26), "f")
		},
		"finished": func() Model { return send(bake(100, 20), watched(91, finished(), over(reconcile.Finished, ""))) },
		"rolled-back": func() Model {
			return send(bake(100, 20), watched(91, service(observe.StateActive, 0), over(reconcile.RolledBack, "load balancer: new failed 16 of 80, old 0 of 189")))
		},
		"alone": func() Model {
			l := alone(10, service(observe.StateUpgraded, 3))
			m := send(newModel(&recorder{}, 110, 20), alone(4, service(observe.StateUpgrading, 1)), l, alone(12, service(observe.StateUpgraded, 3)), lines(4, logs.VersionNew, 0, 3))
			return m
		},
		"alone-rollback": func() Model {
			return send(newModel(&recorder{}, 90, 20), alone(10, service(observe.StateUpgraded, 3)), "r")
		},
		"alone-a-newer-tag": func() Model {
			l := alone(3, service(observe.StateActive, 0))
			l.Subject.Image, l.Tag = repository+":latest", observe.Image{Digest: digest("b")}
			return send(newModel(&recorder{}, 110, 12), l)
		},
		"alone-hold-is-refused": func() Model {
			return send(newModel(&recorder{}, 110, 12), alone(3, service(observe.StateActive, 0)), "h")
		},
		"blind": func() Model {
			return send(bake(100, 20), watched(35, away(service(observe.StateUpgraded, 3)), baking(35)), Now(noon.Add(52*time.Second)))
		},
		"daemon-away": func() Model {
			l := watched(35, service(observe.StateUpgraded, 3), baking(35))
			l.DaemonProblem = "no daemon is running"
			return send(bake(100, 20), l)
		},
		"errors-of-the-new": func() Model { return send(bake(100, 20), "n", "e") },
		"searching":         func() Model { return send(bake(100, 20), "/", "r", "o", "o", "m", "s", "/", "3", "0", "4") },
		"one-container":     func() Model { return send(bake(100, 20), "tab") },
		"nothing-matches":   func() Model { return send(bake(100, 20), "/", "q", "q", "enter") },
		"stopped":           func() Model { return send(bake(100, 20), "space", lines(5, logs.VersionNew, 320, 5)) },
		"scrolled":          func() Model { return send(bake(100, 20), "up", "up", lines(5, logs.VersionNew, 320, 5)) },
		"copying":           func() Model { return send(bake(60, 14), "c", "space", "up", "up") },
		"keys":              func() Model { return send(bake(100, 26), "?") },
		"chinese-baking":    func() Model { return inChinese(bake(120, 30)) },
		"chinese-narrow":    func() Model { return inChinese(bake(60, 20)) },
		"chinese-finish":    func() Model { return send(inChinese(bake(100, 26)), "f") },
		"chinese-keys":      func() Model { return send(inChinese(bake(100, 26)), "?") },
		"chinese-alone": func() Model {
			return send(inChinese(newModel(&recorder{}, 90, 20)), inChineseSight(alone(10, service(observe.StateUpgraded, 3))), "r")
		},
		"hostile": func() Model {
			l := lines(4, logs.VersionNew, 0, 2)
			l[0].Text = "\x1b[2J\x1b]0;owned\x07 tab\there \u202eright to left"
			l[1].Name, l[1].Text = "gf-chat-\x1b[31mparrot", strings.Repeat("漢字", 60)
			v := upgrading()
			v.Reason = "a reason\nwith a line break"
			return send(newModel(&recorder{}, 80, 14), watched(10, service(observe.StateUpgrading, 1), v), l)
		},
	}
}

// inChinese is a model of somebody who reads Chinese.
func inChinese(m Model) Model {
	m.Language = language.Chinese
	m.looked = inChineseSight(m.looked)
	m.track = m.track.Take(m.looked.Sight)
	return m
}

func inChineseSight(l Looked) Looked {
	l.Language = language.Chinese
	return l
}

// TestScreens compares screens as text, without colours.
func TestScreens(t *testing.T) {
	for name, scene := range scenes() {
		t.Run(name, func(t *testing.T) {
			m := scene()
			screen := m.screen()
			if len(screen) != m.height && m.mode != helping {
				t.Errorf("the screen has %d lines, want %d", len(screen), m.height)
			}
			for i, line := range screen {
				if w := ansi.StringWidth(line); w > m.width {
					t.Errorf("line %d is %d wide, want at most %d", i, w, m.width)
				}
			}
			checkGolden(t, filepath.Join("testdata", "screens", name+".txt"), ansi.Strip(strings.Join(screen, "\n")))
		})
	}
}

func checkGolden(t *testing.T, file, screen string) {
	t.Helper()
	var got strings.Builder
	for line := range strings.Lines(screen) {
		got.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the screen differs from %s:\n%s\nwant\n%s", file, got.String(), want)
	}
}

// TestEveryDecisionIsConfirmed: nothing is done before yes, and no other key is one.
func TestEveryDecisionIsConfirmed(t *testing.T) {
	for key, verb := range map[string]operator.Verb{"f": operator.Finish, "r": operator.Rollback, "h": operator.Pause, "a": operator.Approve} {
		a := &recorder{}
		m := send(newModel(a, 100, 30), watched(30, service(observe.StateUpgraded, 3), baking(30)), key)
		if m.mode != confirming || m.plan.Verb != verb || len(m.plan.Says) == 0 {
			t.Errorf("%s: mode %d, plan %+v", key, m.mode, m.plan)
			continue
		}
		if again := send(m, "f", "r", "x", "enter"); again.mode != confirming {
			t.Errorf("%s: another key answered the question", key)
		}
		if no := send(m, "n"); no.mode != browsing || !strings.Contains(no.notice, "nothing was done") {
			t.Errorf("%s: after no: mode %d, %q", key, no.mode, no.notice)
		}
		yes, cmd := sendCmd(m, "y")
		if cmd == nil || len(a.did) != 0 {
			t.Fatalf("%s: yes gives no command, or acts in Update", key)
		}
		yes = send(yes, cmd())
		if len(a.did) != 1 || a.did[0].Verb != verb || !strings.Contains(yes.notice, "told to the daemon, by jo@desk") {
			t.Errorf("%s: did %+v, says %q", key, a.did, yes.notice)
		}
	}
}

// TestTheWayBackIsLookedFor: after a finish the last look does not show it.
func TestTheWayBackIsLookedFor(t *testing.T) {
	a := &recorder{gives: told(operator.Rollback, "a fresh upgrade goes back to cccccccccccc")}
	m, cmd := sendCmd(newModel(a, 100, 30), watched(91, finished(), over(reconcile.Finished, "")), "r")
	if m.busy == "" || cmd == nil {
		t.Fatalf("busy = %q, command %v: want it to be looking", m.busy, cmd)
	}
	if wait := send(m, "f"); wait.mode == confirming {
		t.Error("a second decision is taken while the first is looked for")
	}
	if m = send(m, cmd()); m.mode != confirming || m.plan.Says[0] != a.gives.Says[0] || len(a.planned) != 1 || a.planned[0].By != "jo@desk" {
		t.Errorf("mode %d, plan %+v, planned %+v", m.mode, m.plan, a.planned)
	}
	a.err = errors.New("the journal keeps none")
	m, cmd = sendCmd(m, "n", "r")
	if m = send(m, cmd()); m.mode != browsing || !m.isBad || !strings.Contains(m.notice, "keeps none") {
		t.Errorf("mode %d, notice %q", m.mode, m.notice)
	}
}

// TestNextRolloutIsFollowed: an outcome stays until something else begins.
func TestNextRolloutIsFollowed(t *testing.T) {
	m := send(newModel(&recorder{}, 100, 30),
		watched(30, service(observe.StateUpgraded, 3), baking(30)), watched(91, finished(), over(reconcile.Finished, "")), watched(92, finished(), over(reconcile.Finished, "")))
	if m.Outcome().Outcome != operator.Finished {
		t.Fatalf("outcome = %q", m.Outcome().Outcome)
	}
	// Rancher shows the end a moment later than the daemon.
	if late := send(m, watched(93, service(observe.StateFinishingUpgrade, 3), over(reconcile.Finished, ""))); late.Outcome().Outcome != operator.Finished {
		t.Errorf("a late look began another rollout")
	}
	next := upgrading()
	next.Rollout.ID = "parrot-rest-2"
	if m = send(m, watched(120, service(observe.StateUpgrading, 1), next)); m.Outcome().Outcome != operator.Open || m.Outcome().Rollout != "parrot-rest-2" {
		t.Errorf("the next rollout is not followed: %+v", m.Outcome())
	}
}

// TestSidesAreRemembered: when the rollout is over Rancher tells old and new apart
// no longer, and the lines of the new version are still the ones that were filtered.
func TestSidesAreRemembered(t *testing.T) {
	m := send(newModel(&recorder{}, 100, 30), "n", watched(30, service(observe.StateUpgraded, 3), baking(30)),
		watched(91, finished(), over(reconcile.Finished, "")), lines(4, logs.VersionUnknown, 0, 2))
	if n := len(m.log.shown); n != 2 {
		t.Errorf("%d lines of the new version are shown, want 2", n)
	}
}

func TestLeaving(t *testing.T) {
	for _, key := range []string{"q", "ctrl+c"} {
		m, cmd := sendCmd(newModel(&recorder{}, 80, 24), watched(30, service(observe.StateUpgraded, 3), baking(30)), key)
		if cmd == nil || !m.isLeft {
			t.Errorf("%s does not leave", key)
			continue
		}
		if _, ok := cmd().(tea.QuitMsg); !ok {
			t.Errorf("%s gives %T", key, cmd())
		}
	}
	for _, mode := range []string{"f", "/", "?"} {
		if m := send(newModel(&recorder{}, 80, 24), watched(30, service(observe.StateUpgraded, 3), baking(30)), mode, "ctrl+c"); !m.isLeft {
			t.Errorf("Ctrl-C does not leave after %s", mode)
		}
	}
}

func TestNoticePasses(t *testing.T) {
	m := send(newModel(&recorder{}, 80, 24), watched(1, service(observe.StateActive, 0), idle()), "f")
	if m.notice == "" {
		t.Fatal("a refusal is not told")
	}
	if m = send(m, Now(noon.Add(5*time.Second))); m.notice == "" {
		t.Error("the notice is gone at once")
	}
	if m = send(m, Now(noon.Add(time.Minute))); m.notice != "" {
		t.Error("the notice stays for ever")
	}
}

func TestCopy(t *testing.T) {
	m := send(newModel(&recorder{}, 80, 24), lines(4, logs.VersionNew, 0, 30), "c", "space", "up", "up")
	m, cmd := sendCmd(m, "y")
	if cmd == nil || m.mode != browsing || m.log.isHeld {
		t.Fatalf("mode %d, held %t", m.mode, m.log.isHeld)
	}
	if _, text, _ := strings.Cut(m.notice, ""); !strings.HasPrefix(text, "3 lines copied") {
		t.Errorf("notice = %q", m.notice)
	}
	m = send(m, "c", "up", "up", "up")
	if text, n := m.copied(); n != 1 || text != "GET /v1/rooms/26 200 7ms\n" {
		t.Errorf("copied %d lines, %q", n, text)
	}
	m = send(m, "home")
	if text, _ := m.copied(); text != "GET /v1/rooms/0 200 7ms\n" {
		t.Errorf("at the top: %q", text)
	}
	if m = send(m, lines(4, logs.VersionNew, 0, keptLines+5), "down", "esc"); m.mode != browsing {
		t.Error("copying does not end")
	}
	if m = send(newModel(&recorder{}, 80, 24), "c"); m.mode == copying {
		t.Error("nothing can be copied")
	}
}

// TestChineseColumns: what is below a head begins in the head's column, although a
// Chinese character is two columns wide, and English words stay where they were.
func TestChineseColumns(t *testing.T) {
	english := scenes()["baking"]()
	chinese := inChinese(english)
	for row, line := range english.table(20) {
		want, got := columnsOf(line), columnsOf(chinese.table(20)[row])
		if row > 0 && strings.Join(want, " ") != strings.Join(got, " ") {
			t.Errorf("row %d is %q, in English %q", row, got, want)
		}
		if w := ansi.StringWidth(chinese.table(20)[row]); w > chinese.width {
			t.Errorf("row %d is %d wide", row, w)
		}
	}
	heads, first := ansi.Strip(chinese.table(20)[0]), ansi.Strip(chinese.table(20)[1])
	for head, cell := range map[string]string{"版本": "new", "状态": "healthy"} {
		h, c := ansi.StringWidth(heads[:strings.Index(heads, head)]), ansi.StringWidth(first[:strings.Index(first, cell)])
		if h != c {
			t.Errorf("%s stands in column %d, %q below it in %d", head, h, cell, c)
		}
	}
}

func columnsOf(line string) []string { return strings.Fields(ansi.Strip(line)) }
