package watch

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Styles use the terminal's own sixteen colours, which are readable on black and
// on white.
var (
	bold   = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Faint(true)
	good   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	bad    = lipgloss.NewStyle().Foreground(lipgloss.Red)
	warn   = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	marked = lipgloss.NewStyle().Reverse(true)
)

// leastLog is how many lines of the log are always shown.
const leastLog = 3

// View implements tea.Model.
func (m Model) View() tea.View {
	v := tea.NewView(strings.Join(m.screen(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "drover watch " + m.track.Key
	return v
}

// screen are the lines of the screen, as many as it has.
func (m Model) screen() []string {
	var lines []string
	switch m.mode {
	case copying:
		lines = m.copyScreen()
	case helping:
		lines = m.helpScreen()
	default:
		top, foot := m.frame()
		lines = append(top, m.logTitle())
		lines = append(lines, m.logLines(m.height-len(top)-len(foot)-1)...)
		lines = append(lines, foot...)
	}
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], m.width, "…")
	}
	return lines[:min(len(lines), m.height)]
}

// frame is what stands above and below the log. The lower part is what a person
// decides on, so the upper one gives way.
func (m Model) frame() (top, foot []string) {
	foot = m.footer()
	room := m.height - len(foot) - 1 - leastLog
	head := m.header()
	top = head[:min(len(head), max(room, 1))]
	room -= len(top)
	gates := m.gateLines()
	rows := m.table(room - len(gates))
	if len(rows) == 0 {
		gates = nil // Gates without servers are what is looked at last.
	}
	top = append(top, rows...)
	if room -= len(rows); room > 0 {
		top = append(top, gates[:min(len(gates), room)]...)
	}
	return top, foot
}

// logHeight is how many lines of the log are on the screen.
func (m Model) logHeight() int {
	if m.mode == copying {
		return m.copyHeight()
	}
	top, foot := m.frame()
	return max(m.height-len(top)-len(foot)-1, 1)
}

// header says what is rolled out, where it stands, and what cannot be seen.
func (m Model) header() []string {
	if !m.hasLook {
		return []string{bold.Render(m.track.Key), m.Language.Sprintf("looking…")}
	}
	lines := []string{m.title(), m.standing()}
	if p := m.problems(); p != "" {
		lines = append(lines, warn.Render(p))
	}
	return lines
}

// title names service, tag, digests and commit.
func (m Model) title() string {
	parts := []string{bold.Render(m.track.Key)}
	if tag := m.tag(); tag != "" {
		parts = append(parts, clean(tag[strings.LastIndexByte(tag, '/')+1:]))
	}
	parts = append(parts, clean(m.digests()))
	if r := m.rollout(); r != nil && r.Revision != "" {
		parts = append(parts, m.Language.Sprintf("commit %s", clean(r.Revision[:min(len(r.Revision), 8)])))
	}
	if condemned := m.rollout().Condemned(); condemned != "" {
		parts = append(parts, warn.Render(m.Language.Sprintf("same layers as quarantined %s", clean(condemned))))
	}
	if m.looked.Daemon == nil {
		parts = append(parts, warn.Render(m.Language.Sprintf("no daemon")))
	}
	return strings.Join(parts, "  ")
}

// tag is the followed tag.
func (m Model) tag() string {
	switch {
	case m.looked.Daemon != nil:
		return m.looked.Daemon.Image
	case m.looked.Subject.Image != "":
		return m.looked.Subject.Image
	}
	return operator.FollowedTag(&m.looked.Service)
}

// rollout is the daemon's open rollout, or the last one while its end is shown.
func (m Model) rollout() *web.Rollout {
	d := m.looked.Daemon
	switch {
	case d == nil:
		return nil
	case d.Rollout != nil:
		return d.Rollout
	case d.Last != nil && d.Last.ID == m.track.Rollout:
		return d.Last
	}
	return nil
}

// digests are what runs and what comes.
func (m Model) digests() string {
	if r := m.rollout(); r != nil {
		return web.Short(r.From) + " → " + web.Short(r.To)
	}
	if m.track.Brings != "" {
		return operator.ShortImage(m.track.From) + " → " + operator.ShortImage(m.track.To)
	}
	runs := operator.ShortImage(m.looked.Service.Launch.Image)
	if d := m.looked.Daemon; d != nil {
		runs = web.Short(d.Running)
	}
	if named := m.named(); named != "" && web.Short(named) != runs {
		return m.Language.Sprintf("runs %s, the tag names %s", runs, web.Short(named))
	}
	return m.Language.Sprintf("runs %s", runs)
}

// named is what the followed tag names now.
func (m Model) named() string {
	if m.looked.Daemon != nil {
		return m.looked.Daemon.Wanted
	}
	return m.looked.Tag.Digest
}

// standing is where it stands, with its outcome when it has one.
func (m Model) standing() string {
	switch t := m.track; t.Outcome {
	case operator.Finished:
		if r := m.rollout(); r != nil && r.Kind == reconcile.Restore {
			return good.Bold(true).Render(m.Language.Sprintf("BACK")+m.took()) + m.Language.Sprintf(": a fresh upgrade went back to %s", web.Short(r.To))
		}
		return good.Bold(true).Render(m.Language.Sprintf("FINISHED")+m.took()) + reason(t.Reason)
	case operator.RolledBack:
		return bad.Bold(true).Render(m.Language.Sprintf("ROLLED BACK")+m.took()) + reason(t.Reason)
	case operator.NotApplied:
		return bad.Bold(true).Render(m.Language.Sprintf("NOT APPLIED")) + reason(t.Reason)
	case operator.TakenOver:
		return warn.Bold(true).Render(m.Language.Sprintf("TAKEN OVER")) + reason(t.Reason)
	case operator.Open:
	}
	text := clean(m.track.Text)
	if !isUnderWay(&m.looked.Sight) {
		text += faint.Render(m.waiting())
	} else if !m.track.Begun.IsZero() {
		text += faint.Render(m.Language.Sprintf("  since %s", clock(m.now.Sub(m.track.Begun))))
	}
	if d := m.looked.Daemon; d != nil && d.Alert {
		return bad.Bold(true).Render("! ") + text
	}
	return text
}

// waiting says what is waited for while nothing goes on.
func (m Model) waiting() string {
	switch tag, d := m.tag(), m.looked.Daemon; {
	case m.looked.Service.State != observe.StateActive, d != nil && d.Phase != reconcile.Idle && d.Phase != reconcile.Probation:
		return ""
	case tag == "":
		return m.Language.Sprintf("  (waiting for an upgrade)")
	case d == nil && m.named() != "" && web.Short(m.named()) != operator.ShortImage(m.looked.Service.Launch.Image):
		return m.Language.Sprintf("  (`drover upgrade` brings it, or a pipeline does)")
	default:
		return m.Language.Sprintf("  (waiting for a push of %s)", tag[strings.LastIndexByte(tag, '/')+1:])
	}
}

// took is how long a rollout took that has its outcome.
func (m Model) took() string {
	r := m.rollout()
	if r == nil || r.Ended.IsZero() || r.Started.IsZero() {
		return ""
	}
	return m.Language.Sprintf(" after %s", clock(r.Ended.Sub(r.Started)))
}

func reason(text string) string {
	if text == "" {
		return ""
	}
	return ": " + clean(text)
}

// problems are what cannot be seen now.
func (m Model) problems() string {
	var all []string
	if p := m.looked.Service.Problem; p != nil {
		if since := m.track.BlindSince; since.IsZero() {
			all = append(all, m.Language.Sprintf("Rancher cannot be read: %s", p.Message))
		} else {
			all = append(all, m.Language.Sprintf("Rancher cannot be read since %s: %s", clock(m.now.Sub(since)), p.Message))
		}
	}
	if p := m.looked.DaemonProblem; p != "" {
		all = append(all, m.Language.Sprintf("the daemon does not answer: %s", p))
	}
	if lb := m.looked.Balancer; lb != nil && lb.Problem != nil {
		all = append(all, m.Language.Sprintf("load balancer: %s", lb.Problem.Message))
	}
	return clean(strings.Join(all, "; "))
}

// gateLines are the daemon's verdicts.
func (m Model) gateLines() []string {
	d := m.looked.Daemon
	if d == nil || len(d.Gates) == 0 {
		return nil
	}
	lines := []string{faint.Render(language.Pad(m.Language.Sprintf("gate"), 15) + " " + language.Pad(m.Language.Sprintf("verdict"), 7) + " " + m.Language.Sprintf("figures"))}
	for i := range d.Gates {
		g := &d.Gates[i]
		lines = append(lines, fmt.Sprintf("%-15s %s %s", g.Gate, verdict(string(g.Verdict)), clean(operator.FiguresIn(m.Language, &g.Finding, g.Text))))
	}
	return lines
}

func verdict(v string) string {
	text := fmt.Sprintf("%-7s", v)
	switch v {
	case "Pass":
		return good.Render(text)
	case "Fail":
		return bad.Render(text)
	default:
		return warn.Render(text)
	}
}

// footer is the question, the notice, or the keys.
func (m Model) footer() []string {
	switch {
	case m.mode == confirming:
		return m.question()
	case m.mode == searching:
		return []string{"/" + m.typed + "▏" + faint.Render(m.Language.Sprintf("  enter keeps the filter, esc drops it"))}
	case m.busy != "":
		return []string{warn.Render(m.busy + "…")}
	case m.notice != "" && m.isBad:
		return []string{bad.Render(clean(m.notice))}
	case m.notice != "":
		return []string{good.Render(clean(m.notice))}
	}
	return []string{m.keys()}
}

// question says what will happen, and asks.
func (m Model) question() []string {
	lines := []string{warn.Bold(true).Render(m.Language.Sprintf("%s %s?", m.plan.Verb, m.track.Key))}
	for _, says := range m.plan.Says {
		for line := range strings.Lines(ansi.Wrap("· "+clean(says), m.width-2, "")) {
			lines = append(lines, "  "+strings.TrimRight(line, "\n"))
		}
	}
	return append(lines, bold.Render("[y]")+m.Language.Sprintf(" yes   ")+bold.Render("[n]")+m.Language.Sprintf(" no"))
}

// keys are the keys that mean something now.
func (m Model) keys() string {
	var shown []string
	add := func(key, what string) { shown = append(shown, bold.Render(key)+" "+what) }
	if isUnderWay(&m.looked.Sight) {
		add("f", m.Language.Sprintf("finish"))
	}
	add("r", m.Language.Sprintf("roll back"))
	if d := m.looked.Daemon; d != nil {
		add("h", m.Language.Sprintf("hold"))
		add("u", m.Language.Sprintf("resume"))
	}
	add("q", m.Language.Sprintf("leave"))
	add("?", m.Language.Sprintf("keys"))
	add("/", m.Language.Sprintf("filter"))
	add("n", m.Language.Sprintf("new"))
	add("o", m.Language.Sprintf("old"))
	add("e", m.Language.Sprintf("errors"))
	add("tab", m.Language.Sprintf("container"))
	if m.log.isHeld {
		add("space", m.Language.Sprintf("follow"))
	} else {
		add("space", m.Language.Sprintf("stop"))
	}
	add("c", m.Language.Sprintf("copy"))
	return strings.Join(shown, "  ")
}

// onOneLine takes out what moves the cursor and is no attack.
var onOneLine = strings.NewReplacer("\t", "  ", "\n", " ", "\r", " ")

// clean keeps text that came from elsewhere on its line.
func clean(text string) string { return logs.Harmless(onOneLine.Replace(text), false) }

// clock is a duration as a countdown shows it: 03:12, or 1:03:12.
func clock(d time.Duration) string { return operator.Clock(d) }

// helpScreen explains every key.
func (m Model) helpScreen() []string {
	return strings.Split(bold.Render(m.Language.Sprintf("drover watch: keys"))+m.Language.Sprintf(`

  f        finish the upgrade under way: without bake and gates, every container proved
  r        roll back what is under way, or the last finished one
  h        hold: nothing starts and nothing is finished, until it is resumed
  u        resume
  a        approve, where finish is manual
           each says what will happen, and asks

  space    stop the log, and follow it again
  ↑ ↓ pgup pgdn home end    scroll
  /        only lines with a text
  n o      only the new version's lines, only the old one's
  e        only lines that look like errors
  tab      only one container's lines, the next one, all
  esc      all lines again
  c        copy: the log alone, with the terminal's own selection or
           space to mark, y to copy, esc to go back

  q ctrl-c leave; the rollout goes on

any key goes back`), "\n")
}
