package watch

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
)

// press answers a key. Ctrl-C leaves from everywhere.
func (m Model) press(k tea.KeyPressMsg) (Model, tea.Cmd) {
	key := k.String()
	switch key {
	case "ctrl+c":
		m.isLeft = true
		return m, tea.Quit
	case "ctrl+z":
		return m, tea.Suspend
	}
	switch m.mode {
	case confirming:
		return m.pressConfirm(key)
	case searching:
		return m.pressSearch(k)
	case copying:
		return m.pressCopy(key)
	case helping:
		m.mode = browsing
		return m, nil
	case browsing:
	}
	if by, ok := m.distance(key); ok {
		m.log = m.log.scroll(by, m.logHeight())
		return m, nil
	}
	return m.pressBrowse(key)
}

// pressBrowse answers the keys of the footer.
func (m Model) pressBrowse(key string) (Model, tea.Cmd) {
	switch key {
	case "f":
		return m.ask(operator.Finish)
	case "r":
		return m.ask(operator.Rollback)
	case "h":
		return m.ask(operator.Pause)
	case "u":
		return m.ask(operator.Resume)
	case "a":
		return m.ask(operator.Approve)
	case "q":
		m.isLeft = true
		return m, tea.Quit
	case "?":
		m.mode = helping
	case "/":
		m.mode, m.typed = searching, m.log.filter.text
	case "space":
		if m.log.isHeld {
			m.log = m.log.follow()
		} else {
			m.log = m.log.hold()
		}
	case "c":
		return m.startCopy(), nil
	case "n", "o", "e", "tab", "shift+tab", "esc":
		m.log = m.log.narrow(m.nextFilter(key))
	}
	return m, nil
}

// distance is how far a key scrolls.
func (m Model) distance(key string) (int, bool) {
	const far = 1 << 30
	page := max(m.logHeight()-1, 1)
	switch key {
	case "up", "k":
		return -1, true
	case "down", "j":
		return 1, true
	case "pgup", "b", "ctrl+u":
		return -page, true
	case "pgdown", "ctrl+d":
		return page, true
	case "home", "g":
		return -far, true
	case "end", "G":
		return far, true
	}
	return 0, false
}

// nextFilter is the filter after a key: a second press takes it back.
func (m Model) nextFilter(key string) filter {
	f := m.log.filter
	toggle := func(side logs.Version) {
		if f.side == side {
			side = logs.VersionUnknown
		}
		f.side = side
	}
	switch key {
	case "n":
		toggle(logs.VersionNew)
	case "o":
		toggle(logs.VersionOld)
	case "e":
		f.errors = !f.errors
	case "tab":
		f.container = m.neighbour(f.container, 1)
	case "shift+tab":
		f.container = m.neighbour(f.container, -1)
	case "esc":
		f = filter{}
	}
	return f
}

// neighbour is the container after or before one in the table; "" stands for all.
func (m Model) neighbour(id string, step int) string {
	ids := []string{""}
	at := 0
	for _, c := range m.containers() {
		ids = append(ids, c.ID)
		if c.ID == id {
			at = len(ids) - 1
		}
	}
	return ids[(at+step+len(ids))%len(ids)]
}

// pressConfirm takes yes or no; every other key is no answer.
func (m Model) pressConfirm(key string) (Model, tea.Cmd) {
	switch key {
	case "y", "Y":
		return m.confirm()
	case "n", "N", "esc", "q":
		m.mode = browsing
		return m.say(m.Language.Sprintf("nothing was done"), false), nil
	}
	return m, nil
}

// pressSearch edits the filter's text; what it shows changes with each key.
func (m Model) pressSearch(k tea.KeyPressMsg) (Model, tea.Cmd) {
	switch key := k.String(); key {
	case "enter":
		m.mode = browsing
	case "esc":
		m.mode, m.typed = browsing, ""
		m = m.search()
	case "backspace":
		if r := []rune(m.typed); len(r) > 0 {
			m.typed = string(r[:len(r)-1])
		}
		m = m.search()
	default:
		if k.Text != "" && len(m.typed) < 200 {
			m.typed += k.Text
			m = m.search()
		}
	}
	return m, nil
}

func (m Model) search() Model {
	f := m.log.filter
	f.text = strings.ToLower(m.typed)
	m.log = m.log.narrow(f)
	return m
}
