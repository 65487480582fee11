package probe

import (
	"bytes"
	"fmt"
)

// action is what is done with a column.
type action uint8

const (
	skip action = iota
	setProxy
	setName
	setStatus
	setCheck
	setAddr
	setMode
	setKind
	setWeight
	setPid
	setLastchg
	setRtime
	// setCounter + i stores counter i.
	setCounter
)

// mandatory are the columns without which nothing is measured. All are in every
// version since 1.5 (haproxy: doc/configuration.txt 9.1 at v1.5.0).
var mandatory = map[string]action{
	"pxname": setProxy, "svname": setName, "status": setStatus,
	"check_status": setCheck, "type": setKind, "weight": setWeight,
	"pid": setPid, "lastchg": setLastchg,
	"hrsp_1xx":   setCounter + hrsp1xx,
	"hrsp_2xx":   setCounter + hrsp2xx,
	"hrsp_3xx":   setCounter + hrsp3xx,
	"hrsp_4xx":   setCounter + hrsp4xx,
	"hrsp_5xx":   setCounter + hrsp5xx,
	"hrsp_other": setCounter + hrspOther,
	"econ":       setCounter + econ, "eresp": setCounter + eresp,
	"wretr": setCounter + wretr, "wredis": setCounter + wredis,
	"chkfail": setCounter + chkfail, "chkdown": setCounter + chkdown,
}

// optional are used where they are.
var optional = map[string]action{
	"addr": setAddr, "mode": setMode, "rtime": setRtime,
}

// layout is a HAProxy version as far as its columns tell.
type layout struct {
	// name is for display.
	name string
	// rtime says how the average response time has to be read.
	rtime rtimeRule
	// mayKeepCounters says that a new process may begin with the counters of the
	// one before it (stats-file, since 3.0) instead of zeros.
	mayKeepCounters bool
}

// rtimeRule is how rtime is made (rollout-safety 3.1).
type rtimeRule uint8

const (
	// rtimeUnknown is a version between the two rules: not used.
	rtimeUnknown rtimeRule = iota
	// rtimeFromZero averages over 512 requests whether there were as many or not:
	// a fresh server looks fast.
	rtimeFromZero
	// rtimeTrue averages over the requests there were.
	rtimeTrue
)

// layouts are told apart by the newest column each added, newest first.
var layouts = []struct {
	marker string
	layout layout
}{
	{"h1req", layout{"2.8 or newer", rtimeTrue, true}},
	{"agg_check_status", layout{"2.6", rtimeTrue, false}},
	{"agg_server_status", layout{"2.5 or 2.6.0", rtimeUnknown, false}},
	{"uweight", layout{"2.4", rtimeUnknown, false}},
	{"need_conn_est", layout{"2.2 or 2.3", rtimeUnknown, false}},
	{"srv_icur", layout{"2.1", rtimeFromZero, false}},
	{"wrew", layout{"1.9 or 2.0", rtimeFromZero, false}},
	{"agent_status", layout{"1.7 or 1.8", rtimeFromZero, false}},
	{"ttime", layout{"1.5 or 1.6", rtimeFromZero, false}},
}

// maxColumns bounds the header; 3.0 has 135.
const maxColumns = 1000

// missingColumnError says that a column is not there. No later poll will change
// that.
type missingColumnError struct{ column string }

func (e *missingColumnError) Error() string {
	return fmt.Sprintf("column %s is missing", e.column)
}

// header is what a header line means.
type header struct {
	// line is the line itself: the same line needs no second look.
	line []byte
	// actions are those of the leading columns, up to the last that is used.
	actions []action
	// unused is how many named columns follow them.
	unused int
	layout layout
}

// read understands a header line, without its "# ".
func (h *header) read(line []byte) error {
	if h.actions != nil && bytes.Equal(line, h.line) {
		return nil
	}
	names, err := headerNames(line)
	if err != nil {
		return err
	}
	actions, err := headerActions(names)
	if err != nil {
		return err
	}
	used := len(actions)
	for used > 0 && actions[used-1] == skip {
		used--
	}
	*h = header{
		line:    bytes.Clone(line),
		actions: actions[:used],
		unused:  len(actions) - used,
		layout:  layoutOf(names),
	}
	return nil
}

// headerNames are the columns of the line; a trailing comma names none.
func headerNames(line []byte) ([]string, error) {
	line = bytes.TrimSuffix(line, []byte(","))
	if bytes.Count(line, []byte(",")) >= maxColumns {
		return nil, fmt.Errorf("%w: more than %d columns", errNotStatistics, maxColumns)
	}
	var names []string
	for name := range bytes.SplitSeq(line, []byte(",")) {
		names = append(names, string(name))
	}
	return names, nil
}

// headerActions looks the columns up. From the column named "-" on there are
// fields of modules in no fixed order, with names of their own.
func headerActions(names []string) ([]action, error) {
	actions := make([]action, len(names))
	found := make(map[string]bool, len(mandatory))
	for i, name := range names {
		if name == "-" {
			break
		}
		act, isMandatory := mandatory[name]
		if !isMandatory {
			act = optional[name]
		}
		if act != skip && found[name] {
			return nil, fmt.Errorf("column %s comes twice", name)
		}
		actions[i], found[name] = act, true
	}
	return actions, checkMandatory(found)
}

func checkMandatory(found map[string]bool) error {
	missing := ""
	for name := range mandatory {
		if !found[name] && (missing == "" || name < missing) {
			missing = name
		}
	}
	if missing != "" {
		return &missingColumnError{missing}
	}
	return nil
}

func layoutOf(names []string) layout {
	has := make(map[string]bool, len(names))
	for _, name := range names {
		has[name] = true
	}
	return layoutWith(func(column string) bool { return has[column] })
}

func layoutWith(has func(column string) bool) layout {
	for _, l := range layouts {
		if has(l.marker) {
			return l.layout
		}
	}
	return layout{name: "unknown"}
}
