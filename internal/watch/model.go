package watch

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Actor does what a person decided.
type Actor interface {
	// Plan looks and says what a request would do.
	Plan(r operator.Request) (operator.Plan, error)
	// Do carries a plan out.
	Do(p operator.Plan) error
}

// mode is what keys mean.
type mode int

const (
	// browsing takes the keys of the footer.
	browsing mode = iota
	// confirming shows what will happen and takes yes or no.
	confirming
	// searching types the text of the filter.
	searching
	// copying chooses lines to copy.
	copying
	// helping shows all keys.
	helping
)

// Model is all that is on the screen. Update returns the next one.
type Model struct {
	// By is who acts, NoLogs why there are no log lines.
	By     string
	NoLogs string
	// Language is the person's.
	Language language.Language

	actor Actor
	now   time.Time
	// width and height are the terminal's.
	width, height int

	looked  Looked
	hasLook bool
	track   operator.Track
	gauges  gauges
	log     pane
	// sides are what containers were in the rollout that was followed last, when
	// Rancher tells no longer.
	sides map[string]logs.Version

	mode mode
	plan operator.Plan
	// busy is what is being done, notice what there is to tell, isBad that it is an
	// error, until when it is shown.
	busy   string
	notice string
	isBad  bool
	until  time.Time
	// typed is the filter's text while it is typed.
	typed string
	copy  selection
	// isLeft says that the person left.
	isLeft bool
}

// New makes a model of a service that nothing is known of yet.
func New(key, by string, actor Actor, now time.Time) Model {
	return Model{By: by, actor: actor, now: now, width: 80, height: 24, track: operator.Track{Key: key}}
}

// Init implements tea.Model.
func (m Model) Init() tea.Cmd { return nil }

// Outcome is how the rollout that was followed last ended, or where it stands.
func (m Model) Outcome() operator.Track { return m.track }

// Update implements tea.Model.
func (m Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = max(msg.Width, 20), max(msg.Height, 5)
	case Now:
		m.now = time.Time(msg)
		if m.notice != "" && m.now.After(m.until) {
			m.notice = ""
		}
	case Slept:
		m = m.say(m.Language.Sprintf("this machine slept for %s: looking anew", time.Duration(msg).Round(time.Second)), false)
	case Looked:
		m = m.look(msg)
	case Lines:
		m = m.read(msg)
	case planned:
		return m.offer(msg.plan, msg.err), nil
	case done:
		return m.did(msg), nil
	case tea.KeyPressMsg:
		return m.press(msg)
	case tea.PasteMsg:
		if m.mode == searching {
			m.typed += msg.Content
			m = m.search()
		}
	}
	return m, nil
}

// look takes a look: the rollout goes on, or the next one begins.
func (m Model) look(l Looked) Model {
	m.looked, m.hasLook, m.now = l, true, l.At
	if m.track.Outcome != operator.Open && isUnderWay(&l.Sight) && !m.isSameRollout(&l.Sight) {
		m.track, m.sides = operator.Track{Key: m.track.Key}, nil
	}
	m.sides = remember(m.sides, &l.Service)
	m.track.Watched = l.Daemon != nil
	m.track = m.track.Take(l.Sight)
	m.gauges = m.gauges.take(l.BalancerAt, l.Balancer, l.Service.Containers)
	return m
}

// remember keeps the sides of a service's containers. It changes no map that an
// earlier model holds.
func remember(sides map[string]logs.Version, s *observe.Service) map[string]logs.Version {
	next := make(map[string]logs.Version, len(s.Containers))
	for i := range s.Containers {
		c := &s.Containers[i]
		if side := operator.SideOf(s, c); side != logs.VersionUnknown {
			next[c.ID] = side
		} else if side := sides[c.ID]; side != logs.VersionUnknown {
			next[c.ID] = side
		}
	}
	if s.Problem != nil || len(next) == 0 {
		return sides // A blind moment forgets nothing.
	}
	return next
}

// isUnderWay says that a rollout goes on.
func isUnderWay(s *operator.Sight) bool {
	if s.Daemon != nil && s.Daemon.Rollout != nil {
		return true
	}
	return s.Service.Problem == nil && operator.InUpgrade(s.Service.State)
}

// isSameRollout says that what goes on is what had its outcome: Rancher is a moment
// behind the daemon, or the other way around.
func (m Model) isSameRollout(s *operator.Sight) bool {
	if s.Daemon != nil && s.Daemon.Rollout != nil {
		return s.Daemon.Rollout.ID == m.track.Rollout
	}
	return m.track.Brings == s.Service.Launch.Version || m.track.Before == s.Service.Launch.Version
}

// read takes log lines.
func (m Model) read(lines Lines) Model {
	for i := range lines {
		if lines[i].Version == logs.VersionUnknown {
			lines[i].Version = m.sides[lines[i].Container]
		}
	}
	m.log = m.log.add(lines)
	return m
}

// say shows a notice for a while.
func (m Model) say(text string, isBad bool) Model {
	m.notice, m.isBad, m.until = text, isBad, m.now.Add(10*time.Second)
	return m
}

// ask plans what a key asks for. What the last look shows is enough, but for the
// way back after a finish, which is looked for.
func (m Model) ask(verb operator.Verb) (Model, tea.Cmd) {
	r := operator.Request{Verb: verb, By: m.By}
	switch {
	case m.busy != "":
		return m.say(m.Language.Sprintf("wait: %s", m.busy), true), nil
	case !m.hasLook:
		return m.say(m.Language.Sprintf("nothing was seen yet"), true), nil
	case verb != operator.Rollback || isUnderWay(&m.looked.Sight):
		p, err := operator.MakePlan(m.looked.Sight, r)
		return m.offer(p, err), nil
	}
	m.busy = m.Language.Sprintf("looking for the way back")
	actor := m.actor
	return m, func() tea.Msg {
		p, err := actor.Plan(r)
		return planned{p, err}
	}
}

// offer shows what a plan does and asks about it.
func (m Model) offer(p operator.Plan, err error) Model {
	m.busy = ""
	switch {
	case err != nil:
		return m.say(err.Error(), true)
	case p.Nothing != "":
		return m.say(p.Nothing, false)
	}
	m.mode, m.plan = confirming, p
	return m
}

// confirm carries the plan out.
func (m Model) confirm() (Model, tea.Cmd) {
	m.mode, m.busy = browsing, m.Language.Sprintf("telling %s", m.through())
	p, actor := m.plan, m.actor
	return m, func() tea.Msg { return done{p, actor.Do(p)} }
}

func (m Model) through() string {
	if m.plan.Command != nil {
		return m.Language.Sprintf("the daemon")
	}
	return "Rancher"
}

// did tells what came of it.
func (m Model) did(d done) Model {
	m.busy = ""
	switch {
	case d.err == nil:
		return m.say(m.Language.Sprintf("%s told to %s, by %s", d.plan.Verb, m.through(), m.By), false)
	case operator.IsUnknown(d.err):
		return m.say(m.Language.Sprintf("the answer was lost; look at what comes of it: %s", d.err), true)
	}
	return m.say(d.err.Error(), true)
}
