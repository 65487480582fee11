package probe

import (
	"bytes"
	"errors"
	"fmt"
)

// maxRows bounds a page.
const maxRows = 100_000

// rowType is the column "type".
type rowType int64

const (
	typeFrontend rowType = 0
	typeBackend  rowType = 1
	typeServer   rowType = 2
	typeListener rowType = 3
)

// row is one line of the statistics.
type row struct {
	// proxy and name are pxname and svname.
	proxy, name string
	kind        rowType
	status      string
	// check is check_status without the "* " of a running check.
	check string
	// addr is ip:port of the server; shown over HTTP by 1.7 and later, and only
	// with stats show-legends.
	addr string
	// mode is tcp or http; 1.7 and later.
	mode   string
	weight int64
	// pid is the number of the process, 1 to nbproc; not an OS pid.
	pid int64
	// lastchg is the age of the row's state in seconds.
	lastchg int64
	// rtime is the average response time in ms as HAProxy shows it.
	rtime int64
	// filled has a bit for each counter whose cell was not empty.
	filled   uint16
	counters counters
}

// unset is the value of a number whose cell was empty: "does not apply or not
// known", which is not 0.
const unset = -1

// responseCells are the bits of hrsp_*; errorCells those of econ to wredis, which
// every server row has.
const (
	responseCells = 1<<(hrspOther+1) - 1
	errorCells    = 1<<econ | 1<<eresp | 1<<wretr | 1<<wredis
)

// newRow is a row of which nothing is known.
func newRow() row { return row{kind: unset, weight: unset, pid: unset, lastchg: unset, rtime: unset} }

// countsResponses says that the proxy counts HTTP responses. In mode tcp the cells
// are empty or 0.
func (r *row) countsResponses() bool {
	return r.filled&responseCells != 0 && r.mode != "tcp"
}

// page is one parsed answer. It is used again from poll to poll: a page like the
// one before costs no memory.
type page struct {
	header header
	rows   []row
	// texts holds each distinct text once.
	texts map[string]string
}

// errNotStatistics says that the answer is no statistics page at all.
var errNotStatistics = errors.New("not HAProxy statistics in CSV")

// parse reads a whole answer. An error rejects all of it: half a page would look
// like servers that have gone.
func (p *page) parse(body []byte) error {
	p.rows = p.rows[:0]
	line, rest, err := cutHeader(body)
	if err != nil {
		return err
	}
	if err := p.header.read(line); err != nil {
		return err
	}
	p.forgetTexts()
	s := scanner{data: rest, line: 2}
	for !s.done() {
		if s.skipEmptyLine() {
			continue
		}
		if err := p.parseRow(&s); err != nil {
			p.rows = p.rows[:0]
			return fmt.Errorf("line %d: %w", s.line, err)
		}
	}
	if len(p.rows) == 0 {
		return fmt.Errorf("%w: there are no rows", errNotStatistics)
	}
	return nil
}

// cutHeader splits off the first line, which begins with "# ".
func cutHeader(body []byte) (line, rest []byte, err error) {
	trimmed := bytes.TrimSpace(body)
	switch {
	case len(trimmed) == 0:
		return nil, nil, fmt.Errorf("%w: the page is empty", errNotStatistics)
	case trimmed[0] == '<':
		return nil, nil, fmt.Errorf("%w: it is a web page", errNotStatistics)
	}
	line, rest, _ = bytes.Cut(body, []byte("\n"))
	line, isHeader := bytes.CutPrefix(bytes.TrimSuffix(line, []byte("\r")), []byte("# "))
	if !isHeader {
		return nil, nil, fmt.Errorf("%w: there is no header line", errNotStatistics)
	}
	return line, rest, nil
}

// parseRow reads one line into the next row.
func (p *page) parseRow(s *scanner) error {
	if len(p.rows) == maxRows {
		return fmt.Errorf("more than %d rows", maxRows)
	}
	p.rows = append(p.rows, newRow())
	r := &p.rows[len(p.rows)-1]
	for i, act := range p.header.actions {
		cell, err := s.cell()
		if err != nil {
			return err
		}
		if act == skip || len(cell) == 0 {
			continue
		}
		if err := p.set(r, act, cell); err != nil {
			return fmt.Errorf("cell %d: %w", i+1, err)
		}
	}
	if err := r.verify(); err != nil {
		return fmt.Errorf("%.100q/%.100q: %w", r.proxy, r.name, err)
	}
	return s.endLine(p.header.unused)
}

// set stores a cell that is not empty.
func (p *page) set(r *row, act action, cell []byte) error {
	switch act {
	case setProxy, setName, setStatus, setCheck, setAddr, setMode:
		return p.setText(r, act, cell)
	default:
	}
	v, ok := parseCounter(cell)
	if !ok {
		return fmt.Errorf("%.40q is not a count", cell)
	}
	switch act {
	case setKind:
		r.kind = rowType(v)
	case setWeight:
		r.weight = v
	case setPid:
		r.pid = v
	case setLastchg:
		r.lastchg = v
	case setRtime:
		r.rtime = v
	default:
		r.counters[act-setCounter] = v
		r.filled |= 1 << (act - setCounter)
	}
	return nil
}

func (p *page) setText(r *row, act action, cell []byte) error {
	if len(cell) > maxText {
		return fmt.Errorf("longer than %d bytes", maxText)
	}
	switch act {
	case setProxy:
		r.proxy = p.text(cell)
	case setName:
		r.name = p.text(cell)
	case setStatus:
		r.status = p.text(cell)
	case setCheck:
		r.check = p.text(bytes.TrimPrefix(cell, []byte("* ")))
	case setAddr:
		r.addr = p.text(cell)
	case setMode:
		r.mode = p.text(cell)
	default:
	}
	return nil
}

// verify says what contradicts itself in a row.
func (r *row) verify() error {
	switch {
	case r.proxy == "" || r.name == "":
		return errors.New("a row without a name")
	case r.kind == unset || r.pid == unset:
		return errors.New("a row without type or pid")
	case r.kind != typeServer:
		return nil
	case r.status == "" || r.weight == unset:
		return errors.New("a server without status or weight")
	case r.filled&errorCells != errorCells:
		return errors.New("a server without error counters")
	case r.filled&responseCells != 0 && r.filled&responseCells != responseCells:
		return errors.New("a server with some response counters and not all")
	}
	return nil
}

// text returns the one copy of a text.
func (p *page) text(cell []byte) string {
	if s, ok := p.texts[string(cell)]; ok {
		return s
	}
	s := string(cell)
	p.texts[s] = s
	return s
}

// forgetTexts starts the texts again when most of them can only be of rows that
// are gone.
func (p *page) forgetTexts() {
	if p.texts == nil || len(p.texts) > 1000+8*cap(p.rows) {
		p.texts = make(map[string]string)
	}
}
