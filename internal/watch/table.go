package watch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// containers are the primary containers in the order of the table: new ones first.
func (m Model) containers() []observe.Container {
	var all []observe.Container
	for _, c := range m.looked.Service.Containers {
		if c.LaunchName == "" {
			all = append(all, c)
		}
	}
	rank := map[logs.Version]int{logs.VersionNew: 0, logs.VersionUnknown: 1, logs.VersionOld: 2}
	slices.SortFunc(all, func(a, b observe.Container) int {
		return cmp.Or(cmp.Compare(rank[m.side(&a)], rank[m.side(&b)]), strings.Compare(a.Name, b.Name), cmp.Compare(a.CreateIndex, b.CreateIndex), strings.Compare(a.ID, b.ID))
	})
	return all
}

func (m Model) side(c *observe.Container) logs.Version {
	if side := operator.SideOf(&m.looked.Service, c); side != logs.VersionUnknown {
		return side
	}
	return m.sides[c.ID]
}

// column is one of the table's.
type column struct {
	width int
	// isNumber stands at the right, gives says how early it gives way on a narrow
	// screen: 0 never.
	isNumber bool
	gives    int
}

// columns follow the container's name: version, state, the load balancer's word,
// requests per second, failed, retries, latency, trend.
var columns = []column{
	{width: 7},
	{width: 12},
	{width: 10, gives: 3},
	{width: 7, isNumber: true},
	{width: 6, isNumber: true},
	{width: 7, isNumber: true, gives: 1},
	{width: 7, isNumber: true, gives: 2},
	{width: sparkWidth, gives: 4},
}

// fitting says which columns a screen has room for, beside a name of some width.
func (m Model) fitting(name int) []bool {
	fits := make([]bool, len(columns))
	width := name
	for i, c := range columns {
		fits[i] = true
		width += 2 + c.width
	}
	for gives := 1; gives <= 4 && width > m.width; gives++ {
		for i, c := range columns {
			if c.gives == gives {
				fits[i] = false
				width -= 2 + c.width
			}
		}
	}
	return fits
}

// line puts cells under their heads.
func line(name string, cells []string, fits []bool) string {
	var b strings.Builder
	b.WriteString(name)
	for i, c := range columns {
		if !fits[i] {
			continue
		}
		cell := ansi.Truncate(cells[i], c.width, "…")
		pad := strings.Repeat(" ", c.width-ansi.StringWidth(cell))
		b.WriteString("  ")
		if c.isNumber {
			b.WriteString(pad + cell)
		} else {
			b.WriteString(cell + pad)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// table are the containers with their servers, in so many lines at most.
func (m Model) table(most int) []string {
	all := m.containers()
	if len(all) == 0 || most < 2 {
		return nil
	}
	width := 9
	for i := range all {
		width = max(width, ansi.StringWidth(m.nameOf(&all[i])))
	}
	width = min(width, 32)
	fits := m.fitting(width)
	lines := []string{faint.Render(line(language.Pad(m.Language.Sprintf("container"), width), m.heads(), fits))}
	highest := m.gauges.highest()
	for i := range all {
		if len(lines) == most-1 && i < len(all)-1 {
			lines = append(lines, faint.Render(m.Language.Sprintf("… and %d more containers", len(all)-i)))
			break
		}
		lines = append(lines, m.row(&all[i], width, highest, fits))
	}
	return lines
}

// heads are the columns' in the order of columns.
func (m Model) heads() []string {
	l := m.Language
	return []string{
		l.Sprintf("version"), l.Sprintf("state"), l.Sprintf("balancer"), l.Sprintf("req/s"),
		l.Sprintf("failed"), l.Sprintf("retries"), l.Sprintf("latency"), l.Sprintf("trend"),
	}
}

// nameOf is a container as it is named beside its lines, with its id: old and new
// ones have the same names.
func (m Model) nameOf(c *observe.Container) string {
	return strings.TrimPrefix(clean(c.Name), m.looked.Subject.Stack+"-") + " " + c.ID
}

func (m Model) row(c *observe.Container, width int, highest float64, fits []bool) string {
	g, isShown := m.gauges[c.ID]
	cells := []string{string(m.side(c)), stateOf(c), "-", "-", "-", "-", "-", ""}
	if isShown {
		cells[2] = clean(g.status)
	}
	if perSecond, failed, retries, ok := g.rate(); ok {
		cells[3], cells[4], cells[5] = fmt.Sprintf("%.1f", perSecond), fmt.Sprintf("%.1f%%", 100*failed), fmt.Sprint(retries)
		cells[7] = spark(g.steps(), highest)
	}
	if isShown && g.latency >= 0 {
		cells[6] = fmt.Sprintf("%d ms", g.latency)
	}
	name := language.Pad(language.Clip(m.nameOf(c), width), width)
	return m.tint(line(name, cells, fits), c, g, isShown)
}

// stateOf is Rancher's word for a container: its health while it runs.
func stateOf(c *observe.Container) string {
	if (c.State == "running" || c.State == "updating-running") && c.Health != "" {
		return c.Health
	}
	return c.State
}

// tint colours a row by what it says.
func (m Model) tint(row string, c *observe.Container, g gauge, isShown bool) string {
	_, failed, _, ok := g.rate()
	switch isNew := m.side(c) == logs.VersionNew; {
	case c.Health == "unhealthy" || c.State == "error" || c.State == "erroring" || isNew && isShown && g.class == observe.ServerDown:
		return bad.Render(row)
	case m.log.filter.container == c.ID:
		return marked.Render(row)
	case ok && failed >= 0.01:
		return warn.Render(row)
	case m.side(c) == logs.VersionOld && c.State != "running":
		return faint.Render(row)
	}
	return row
}
