package sandbox

import (
	"fmt"
	"html"
	"io"
	"strconv"
	"strings"
	"time"
)

// column is one field of the statistics: its name and the kinds of rows that fill it. An empty cell means "does not
// apply", which is not 0. Both were read off HAProxy's own answers (samples 20-version-2.1.0 and, for mode tcp, 30-a).
type column struct {
	name, kinds string
}

// Kinds of rows.
const (
	httpFrontend  = 'F'
	httpBackend   = 'B'
	checkedServer = 'S'
	plainServer   = 'N'
	tcpFrontend   = 'f'
	tcpBackend    = 'b'
)

// columns are those of HAProxy 2.1, the one in Rancher's last load balancer image, in its order.
var columns = []column{
	{"pxname", "FBSNfb"},
	{"svname", "FBSNfb"},
	{"qcur", "BSNb"},
	{"qmax", "BSNb"},
	{"scur", "FBSNfb"},
	{"smax", "FBSNfb"},
	{"slim", "FBfb"},
	{"stot", "FBSNfb"},
	{"bin", "FBSNfb"},
	{"bout", "FBSNfb"},
	{"dreq", "FBfb"},
	{"dresp", "FBSNfb"},
	{"ereq", "Ff"},
	{"econ", "BSNb"},
	{"eresp", "BSNb"},
	{"wretr", "BSNb"},
	{"wredis", "BSNb"},
	{"status", "FBSNfb"},
	{"weight", "BSNb"},
	{"act", "BSNb"},
	{"bck", "BSNb"},
	{"chkfail", "S"},
	{"chkdown", "BSb"},
	{"lastchg", "BSNb"},
	{"downtime", "BS"},
	{"qlimit", ""},
	{"pid", "FBSNfb"},
	{"iid", "FBSNfb"},
	{"sid", "FBSNfb"},
	{"throttle", ""},
	{"lbtot", "BSNb"},
	{"tracked", ""},
	{"type", "FBSNfb"},
	{"rate", "FBSNfb"},
	{"rate_lim", "Ff"},
	{"rate_max", "FBSNfb"},
	{"check_status", "S"},
	{"check_code", "S"},
	{"check_duration", "S"},
	{"hrsp_1xx", "FBSN"},
	{"hrsp_2xx", "FBSN"},
	{"hrsp_3xx", "FBSN"},
	{"hrsp_4xx", "FBSN"},
	{"hrsp_5xx", "FBSN"},
	{"hrsp_other", "FBSN"},
	{"hanafail", ""},
	{"req_rate", "Ff"},
	{"req_rate_max", "Ff"},
	{"req_tot", "FBf"},
	{"cli_abrt", "BSNb"},
	{"srv_abrt", "BSNb"},
	{"comp_in", "FBfb"},
	{"comp_out", "FBfb"},
	{"comp_byp", "FBfb"},
	{"comp_rsp", "FBfb"},
	{"lastsess", "BSNb"},
	{"last_chk", "S"},
	{"last_agt", ""},
	{"qtime", "BSNb"},
	{"ctime", "BSNb"},
	{"rtime", "BSNb"},
	{"ttime", "BSNb"},
	{"agent_status", ""},
	{"agent_code", ""},
	{"agent_duration", ""},
	{"check_desc", "S"},
	{"agent_desc", ""},
	{"check_rise", "S"},
	{"check_fall", "S"},
	{"check_health", "S"},
	{"agent_rise", ""},
	{"agent_fall", ""},
	{"agent_health", ""},
	{"addr", ""},
	{"cookie", ""},
	{"mode", "FBSNfb"},
	{"algo", ""},
	{"conn_rate", "Ff"},
	{"conn_rate_max", "Ff"},
	{"conn_tot", "Ff"},
	{"intercepted", "F"},
	{"dcon", "Ff"},
	{"dses", "Ff"},
	{"wrew", "FBSNfb"},
	{"connect", "BSNb"},
	{"reuse", "BSNb"},
	{"cache_lookups", "FB"},
	{"cache_hits", "FB"},
	{"srv_icur", "SN"},
	{"src_ilim", ""},
	{"qtime_max", "BSNb"},
	{"ctime_max", "BSNb"},
	{"rtime_max", "BSNb"},
	{"ttime_max", "BSNb"},
}

// columnIndex finds a column by its name.
var columnIndex = func() map[string]int {
	index := make(map[string]int, len(columns))
	for i, c := range columns {
		index[c.name] = i
	}
	return index
}()

// row is one line of the statistics.
type row []string

// newRow has 0 in every cell that the kind fills.
func newRow(kind rune, proxy, server string) row {
	r := make(row, len(columns))
	for i, c := range columns {
		if strings.ContainsRune(c.kinds, kind) {
			r[i] = "0"
		}
	}
	mode := "http"
	if kind == tcpFrontend || kind == tcpBackend {
		mode = "tcp"
	}
	return r.text("pxname", proxy).text("svname", server).text("pid", "1").text("mode", mode)
}

// text sets a cell by its column's name, which is always one of columns.
func (r row) text(name, value string) row {
	r[columnIndex[name]] = value
	return r
}

func (r row) number(name string, value int64) row { return r.text(name, strconv.FormatInt(value, 10)) }

// fill sets the cells the counters know, where the kind of row has them.
func (r row) fill(c *counters, now time.Time) row {
	for name, value := range map[string]int64{
		"scur": c.open, "smax": c.most, "stot": c.sessions, "bin": c.in, "bout": c.out, "lbtot": c.picked,
		"connect": c.connects, "econ": c.connectErrors, "eresp": c.responseErrors, "wretr": c.retries,
		"wredis": c.redispatches, "cli_abrt": c.clientAborts, "srv_abrt": c.serverAborts,
		"hrsp_1xx": c.statuses[0], "hrsp_2xx": c.statuses[1], "hrsp_3xx": c.statuses[2], "hrsp_4xx": c.statuses[3],
		"hrsp_5xx": c.statuses[4], "hrsp_other": c.statuses[5], "req_tot": c.requests, "intercepted": c.intercepted,
		"rate": c.sessionRate.value(now), "rate_max": c.sessionRate.most, "conn_tot": c.sessions,
		"conn_rate": c.sessionRate.value(now), "conn_rate_max": c.sessionRate.most,
		"req_rate": c.requestRate.value(now), "req_rate_max": c.requestRate.most, "lastsess": since(c.last, now),
		"ctime": c.connectTime.value(), "rtime": c.responseTime.value(), "ttime": c.totalTime.value(),
		"ctime_max": c.connectTime.most, "rtime_max": c.responseTime.most, "ttime_max": c.totalTime.most,
	} {
		if r[columnIndex[name]] != "" {
			r.number(name, value)
		}
	}
	return r
}

// since is a number of whole seconds, -1 for never.
func since(t, now time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return int64(now.Sub(t) / time.Second)
}

// rows are the statistics of a process whose frontend listens on a port: Rancher's empty proxy "default", the frontend,
// its backend's servers and the backend (sample 30-a).
func (p *process) rows(port string, now time.Time) []row {
	p.mu.Lock()
	defer p.mu.Unlock()
	age := since(p.started, now)
	rows := []row{
		newRow(tcpFrontend, "default", "FRONTEND").text("iid", "2").number("slim", maxConn).text("status", "OPEN"),
		newRow(tcpBackend, "default", "BACKEND").text("iid", "2").text("type", "1").number("slim", maxConn/10+1).
			text("status", "UP").number("lastchg", age).text("lastsess", "-1"),
		newRow(httpFrontend, port, "FRONTEND").text("iid", "3").number("slim", maxConn).text("status", "OPEN").
			fill(&p.front, now),
	}
	for i, m := range p.members {
		rows = append(rows, p.memberRow(port+"_", i+1, m, now))
	}
	return append(rows, p.backendRow(port+"_", now))
}

func (p *process) backendRow(name string, now time.Time) row {
	up := int64(p.countUp())
	r := newRow(httpBackend, name, "BACKEND").text("iid", "4").text("type", "1").number("slim", maxConn/10+1).
		fill(&p.back, now).number("weight", up).number("act", up).number("chkdown", p.downs).
		number("lastchg", since(p.changed, now)).text("status", "UP")
	down := p.downFor
	if !p.usable {
		r.text("status", "DOWN")
		down += now.Sub(p.changed)
	}
	return r.number("downtime", int64(down/time.Second))
}

func (p *process) memberRow(proxy string, sid int, m *member, now time.Time) row {
	kind := plainServer
	if p.check != nil {
		kind = checkedServer
	}
	r := newRow(kind, proxy, m.name).text("iid", "4").number("sid", int64(sid)).text("type", "2").
		text("weight", "1").text("act", "1").fill(&m.counters, now).
		number("lastchg", since(m.changed, now)).text("status", p.status(m))
	if p.check != nil {
		p.fillCheck(r, m, now)
	}
	return r
}

// fillCheck sets the cells that only a checked server has.
func (p *process) fillCheck(r row, m *member, now time.Time) {
	down := m.downFor
	if !p.isUp(m) {
		down += now.Sub(m.changed)
	}
	r.number("downtime", int64(down/time.Second)).number("chkfail", m.fails).number("chkdown", m.downs).
		number("check_rise", int64(p.check.Rise)).number("check_fall", int64(p.check.Fall)).
		number("check_health", int64(m.health)).text("check_desc", checkWords[m.result.status]).
		text("last_chk", cut(m.result.reason, 80)).text("check_status", m.result.status).
		text("check_code", "").text("check_duration", "")
	if m.checking {
		r.text("check_status", "* "+m.result.status) // Sample 11.
	}
	if m.result.code != 0 {
		r.number("check_code", int64(m.result.code))
	}
	if m.result.status != "INI" {
		r.number("check_duration", m.result.took.Milliseconds())
	}
}

// checkWords are HAProxy's descriptions of its check results (samples 01 to 06).
var checkWords = map[string]string{
	"INI":    "Initializing",
	"L4OK":   "Layer4 check passed",
	"L4CON":  "Layer4 connection problem",
	"L4TOUT": "Layer4 timeout",
	"L7OK":   "Layer7 check passed",
	"L7STS":  "Layer7 wrong status",
	"L7RSP":  "Layer7 invalid response",
	"L7TOUT": "Layer7 timeout",
}

// status is the state of a server as HAProxy words it: UP, UP 2/3 going down, DOWN, DOWN 1/2 coming back, no check.
func (p *process) status(m *member) string {
	switch {
	case p.check == nil:
		return "no check"
	case m.health == p.check.Rise+p.check.Fall-1:
		return "UP"
	case m.health >= p.check.Rise:
		return fmt.Sprintf("UP %d/%d", m.health-p.check.Rise+1, p.check.Fall)
	case m.health > 0:
		return fmt.Sprintf("DOWN %d/%d", m.health, p.check.Rise)
	default:
		return "DOWN"
	}
}

// writeCSV writes the table as HAProxy does: the header begins with "# ", and every line ends with a comma.
func writeCSV(w io.Writer, rows []row) {
	var b strings.Builder
	b.WriteString("# ")
	for _, c := range columns {
		b.WriteString(c.name + ",")
	}
	b.WriteByte('\n')
	for _, r := range rows {
		for _, cell := range r {
			b.WriteString(quote(cell) + ",")
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	_, _ = io.WriteString(w, b.String()) // The client may be gone.
}

// quote puts a cell in quotes when it needs them, as RFC 4180 says.
func quote(cell string) string {
	if !strings.ContainsAny(cell, "\",\r\n") {
		return cell
	}
	return `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
}

// shown are the columns of the page for people.
var shown = []string{"pxname", "svname", "status", "scur", "stot", "hrsp_2xx", "hrsp_4xx", "hrsp_5xx", "econ", "eresp", "wretr", "wredis", "lastchg"}

// writeTable writes the page for people.
func writeTable(w io.Writer, rows []row) {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html><html><head><title>Statistics Report for HAProxy</title></head><body><table border=1>\n<tr>")
	for _, name := range shown {
		b.WriteString("<th>" + name + "</th>")
	}
	for _, r := range rows {
		b.WriteString("</tr>\n<tr>")
		for _, name := range shown {
			b.WriteString("<td>" + html.EscapeString(r[columnIndex[name]]) + "</td>")
		}
	}
	b.WriteString("</tr>\n</table></body></html>\n")
	_, _ = io.WriteString(w, b.String()) // The client may be gone.
}
