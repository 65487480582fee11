package probe

import (
	"bytes"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/quick"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

var update = flag.Bool("update", false, "write the golden files")

// samples are pages captured from HAProxy 1.5 to 3.0; testdata/haproxy.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/haproxy/*.csv")
	if err != nil || len(paths) < 40 {
		t.Fatalf("samples: %d, %v; want 40 or more", len(paths), err)
	}
	all := make(map[string][]byte)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(path), ".csv")] = data
	}
	return all
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/haproxy/" + name + ".csv")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mustParse(t testing.TB, body []byte) *page {
	t.Helper()
	p := new(page)
	if err := p.parse(body); err != nil {
		t.Fatalf("parse: %v", err)
	}
	return p
}

// TestSamplesGolden holds what is read from every sample to a file that people
// have compared with testdata/haproxy/README.md.
func TestSamplesGolden(t *testing.T) {
	for name, body := range samples(t) {
		t.Run(name, func(t *testing.T) {
			got := describePage(mustParse(t, body))
			path := "testdata/golden/" + name + ".txt"
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("page reads as\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func describePage(p *page) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HAProxy %s\n", p.header.layout.name)
	for i := range p.rows {
		r := &p.rows[i]
		if r.kind != typeServer && r.kind != typeBackend {
			continue
		}
		c := r.counters.tally()
		fmt.Fprintf(&b, "%s/%.12s %q weight %d check %q is %s, lastchg %d, pid %d: %d requests %d failed %d 4xx %d retries, %d check failures, %d ms",
			r.proxy, r.name, r.status, r.weight, r.check, classify(r.status, r.check, r.weight), r.lastchg, r.pid,
			c.Requests, c.Failures, c.ClientErrors, c.Retries, c.checkFailures, r.latency(p.header.layout.rtime))
		if r.addr != "" {
			fmt.Fprintf(&b, ", at %s", r.addr)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestSamplesAgainstEncodingCSV reads every sample a second time, by the standard
// library and column names, and compares cell by cell.
func TestSamplesAgainstEncodingCSV(t *testing.T) {
	for name, body := range samples(t) {
		t.Run(name, func(t *testing.T) { compareWithEncodingCSV(t, body, mustParse(t, body)) })
	}
}

func compareWithEncodingCSV(t *testing.T, body []byte, p *page) {
	t.Helper()
	records, err := csv.NewReader(bytes.NewReader(body[2:])).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(records)-1 != len(p.rows) {
		t.Fatalf("rows = %d, want %d", len(p.rows), len(records)-1)
	}
	number := func(v int64) string {
		if v == unset {
			return ""
		}
		return strconv.FormatInt(v, 10)
	}
	for i, record := range records[1:] {
		cells := make(map[string]string)
		for j, column := range records[0] {
			if _, isKnown := cells[column]; !isKnown {
				cells[column] = record[j]
			}
		}
		r := p.rows[i]
		got := map[string]string{
			"pxname": r.proxy, "svname": r.name, "status": r.status, "type": number(int64(r.kind)),
			"check_status": r.check, "weight": number(r.weight), "lastchg": number(r.lastchg),
			"pid": number(r.pid), "rtime": number(r.rtime), "addr": r.addr, "mode": r.mode,
		}
		for column, act := range mandatory {
			if act >= setCounter {
				got[column] = ""
				if r.filled&(1<<(act-setCounter)) != 0 {
					got[column] = number(r.counters[act-setCounter])
				}
			}
		}
		for column, value := range got {
			if want := strings.TrimPrefix(cells[column], "* "); value != want {
				t.Errorf("row %d (%s/%s) %s = %q, want %q", i, r.proxy, r.name, column, value, want)
			}
		}
	}
}

func TestLayoutOfEveryVersion(t *testing.T) {
	for name, want := range map[string]string{
		"20-version-1.5.0": "1.5 or 1.6", "20-version-1.6.0": "1.5 or 1.6",
		"20-version-1.7.0": "1.7 or 1.8", "20-version-1.8.0": "1.7 or 1.8",
		"20-version-2.1.0": "2.1", "20-version-3.0.0": "2.8 or newer",
		"02-mixed-after-40-requests": "2.6",
	} {
		if got := mustParse(t, sample(t, name)).header.layout.name; got != want {
			t.Errorf("layout of %s = %q, want %q", name, got, want)
		}
	}
}

// tiny is a page with the 62 columns of 1.5, without a header line's worth of
// noise: one serverless proxy and one server.
const tinyHeader = "# pxname,svname,status,weight,check_status,type,pid,lastchg,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,econ,eresp,wretr,wredis,chkfail,chkdown,rtime,addr,mode,last_chk,\n"

const tinyPage = tinyHeader +
	"default,BACKEND,UP,0,,1,1,60,0,0,0,0,0,0,0,0,0,0,,0,0,,http,,\n" +
	"web,s1,UP,1,L7OK,2,1,50,0,90,0,4,3,0,2,1,5,6,1,1,7,10.0.0.1:80,http,OK,\n"

func TestTinyPage(t *testing.T) {
	p := mustParse(t, []byte(tinyPage))
	want := observe.Counts{Requests: 100, Failures: 6, ClientErrors: 4, Retries: 11}
	if got := p.rows[1].counters.counts(); got != want {
		t.Errorf("counts = %+v, want %+v", got, want)
	}
}

// TestH3GarbageIsRejectedWhole covers web pages, empty bodies, cut and mangled
// CSV.
func TestH3GarbageIsRejectedWhole(t *testing.T) {
	row := "web,s2,UP,1,L7OK,2,1,50,0,90,0,4,3,0,2,1,5,6,1,1,7,10.0.0.1:80,http,OK,\n"
	for name, body := range map[string]string{
		"empty":               "",
		"blank":               "\n \n",
		"web page":            "<html><body>Statistics Report for HAProxy</body></html>",
		"web page after line": "\n<!DOCTYPE html>\n",
		"json":                `[[{"objType":"Frontend"}]]`,
		"no header":           row,
		"header only":         tinyHeader,
		"cut in a line":       tinyPage + row[:40],
		"too many cells":      tinyPage + strings.TrimSuffix(row, "\n") + "1,2\n",
		"open quote":          tinyPage + `web,"s2,UP` + "\n",
		"text after quote":    tinyPage + strings.Replace(row, "s2", `"s2"x`, 1),
		"no name":             tinyPage + strings.Replace(row, "s2", "", 1),
		"no type":             tinyPage + strings.Replace(row, "L7OK,2,", "L7OK,,", 1),
		"no weight":           tinyPage + strings.Replace(row, "UP,1,", "UP,,", 1),
		"no status":           tinyPage + strings.Replace(row, "UP,1,", ",1,", 1),
		"no errors":           tinyPage + strings.Replace(row, "2,1,5,6", ",1,5,6", 1),
		"half the responses":  tinyPage + strings.Replace(row, "90,0,4", "90,,4", 1),
		"long name":           tinyPage + strings.Replace(row, "s2", strings.Repeat("s", maxText+1), 1),
		"column twice":        strings.Replace(tinyPage, "rtime,", "rtime,rtime,", 1),
		"binary":              "# \x00\xff\xfe,\n\x00\n",
	} {
		p := new(page)
		if err := p.parse([]byte(body)); err == nil {
			t.Errorf("parse(%s) succeeded with %d rows, want an error", name, len(p.rows))
		} else if len(p.rows) != 0 {
			t.Errorf("parse(%s) left %d rows, want none", name, len(p.rows))
		}
	}
}

// TestH4ColumnsAreFoundByName covers reordered, extra and missing columns.
func TestH4ColumnsAreFoundByName(t *testing.T) {
	reverse := func(line string) string {
		cells := strings.Split(strings.TrimSuffix(line, ","), ",")
		for i, j := 0, len(cells)-1; i < j; i, j = i+1, j-1 {
			cells[i], cells[j] = cells[j], cells[i]
		}
		return strings.Join(cells, ",") + ",extra,\n"
	}
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(strings.TrimPrefix(tinyPage, "# ")), "\n") {
		if i == 0 {
			b.WriteString("# ")
		}
		b.WriteString(reverse(line))
	}
	got, want := mustParse(t, []byte(b.String())), mustParse(t, []byte(tinyPage))
	for i := range want.rows {
		if got.rows[i] != want.rows[i] {
			t.Errorf("row %d reversed = %+v, want %+v", i, got.rows[i], want.rows[i])
		}
	}
	for column := range mandatory {
		body := strings.Replace(tinyPage, column+",", "x"+column+",", 1)
		var missing *missingColumnError
		if err := new(page).parse([]byte(body)); !errors.As(err, &missing) || missing.column != column {
			t.Errorf("parse without %s = %v, want a missing column", column, err)
		}
	}
}

func TestModuleColumnsAfterDashAreIgnored(t *testing.T) {
	body := strings.Replace(tinyPage, "last_chk,\n", "-,hrsp_5xx,\n", 1)
	body = strings.ReplaceAll(body, ",http,,\n", ",http,-,77,\n")
	body = strings.ReplaceAll(body, ",http,OK,\n", ",http,-,77,\n")
	if got := mustParse(t, []byte(body)).rows[1].counters[hrsp5xx]; got != 3 {
		t.Errorf("hrsp_5xx = %d, want 3", got)
	}
}

// TestH5BadCountersRejectThePage covers negative, huge and non-numeric counters in
// every column that is a number.
func TestH5BadCountersRejectThePage(t *testing.T) {
	header := strings.Split(strings.TrimSpace(tinyHeader[2:]), ",")
	for i, column := range header {
		act := mandatory[column]
		if column == "rtime" {
			act = setRtime
		}
		if act < setKind {
			continue
		}
		for _, bad := range []string{"-1", "1e3", "NaN", "0x10", "99999999999999", "18446744073709551616", " 1", "1 ", "+1", "1.5"} {
			lines := strings.Split(tinyPage, "\n")
			cells := strings.Split(lines[2], ",")
			cells[i] = bad
			lines[2] = strings.Join(cells, ",")
			if err := new(page).parse([]byte(strings.Join(lines, "\n"))); err == nil {
				t.Errorf("parse with %s = %q succeeded, want an error", column, bad)
			}
		}
	}
}

func TestQuotedCells(t *testing.T) {
	body := strings.Replace(tinyPage, "http,OK,\n", "\"http\",\"says \"\"no, \nnever\"\"\",\n", 1)
	body = strings.Replace(body, "web,s1", `web,"s,""1"""`, 1)
	p := mustParse(t, []byte(body))
	if got, want := p.rows[1].name, `s,"1"`; got != want || p.rows[1].mode != "http" {
		t.Errorf("name = %q, mode = %q, want %q, http", got, p.rows[1].mode, want)
	}
}

func TestLineEndsAndTrailingCommas(t *testing.T) {
	want := mustParse(t, []byte(tinyPage)).rows
	for name, body := range map[string]string{
		"crlf":              strings.ReplaceAll(tinyPage, "\n", "\r\n"),
		"no trailing comma": strings.ReplaceAll(tinyPage, ",\n", "\n"),
		"header only comma": tinyHeader + strings.ReplaceAll(tinyPage[len(tinyHeader):], ",\n", "\n"),
		"empty last line":   tinyPage + "\n\n",
		"no last newline":   strings.TrimSuffix(tinyPage, "\n"),
	} {
		p := new(page)
		if err := p.parse([]byte(body)); err != nil || len(p.rows) != 2 || p.rows[1] != want[1] {
			t.Errorf("parse(%s) = %+v, %v, want %+v", name, p.rows, err, want)
		}
	}
}

func TestPageIsReusable(t *testing.T) {
	p := new(page)
	all := samples(t)
	for range 3 {
		for name, body := range all {
			if err := p.parse(body); err != nil {
				t.Fatal(err)
			}
			if got, want := describePage(p), describePage(mustParse(t, body)); got != want {
				t.Errorf("%s in a used page =\n%s\nwant\n%s", name, got, want)
			}
		}
	}
}

// TestTextsAreBounded feeds pages that never show a name twice.
func TestTextsAreBounded(t *testing.T) {
	p := new(page)
	for i := range 5000 {
		body := strings.ReplaceAll(tinyPage, "web,s1", fmt.Sprintf("web,s%d", i))
		if err := p.parse([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.texts) > 1100 {
		t.Errorf("texts = %d, want few", len(p.texts))
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		status, check string
		weight        int64
		want          observe.ServerStatus
	}{
		{"UP", "L7OK", 1, observe.ServerUp},
		{"UP", "L4OK", 256, observe.ServerUp},
		{"UP", "", 1, observe.ServerUp},
		{"UP", "L7OK", 0, observe.ServerOut},
		{"UP 1/3", "INI", 1, observe.ServerUnknown},
		{"UP 1/3", "", 1, observe.ServerUnknown},
		{"UP 1/3", "L7STS", 1, observe.ServerUp},
		{"UP 2/3", "L7STS", 1, observe.ServerUp},
		{"UP", "UNK", 1, observe.ServerUnknown},
		{"no check", "", 1, observe.ServerUp},
		{"no check", "", 0, observe.ServerOut},
		{"DOWN", "L4CON", 1, observe.ServerDown},
		{"DOWN 1/2", "L7OK", 1, observe.ServerDown},
		{"DOWN (agent)", "L7OK", 1, observe.ServerDown},
		{"DOWN", "INI", 1, observe.ServerUnknown},
		{"MAINT", "", 1, observe.ServerOut},
		{"MAINT", "INI", 1, observe.ServerOut},
		{"MAINT (via web/maint)", "", 1, observe.ServerOut},
		{"MAINT (resolution)", "", 1, observe.ServerOut},
		{"DRAIN", "L7OK", 0, observe.ServerOut},
		{"DRAIN (agent)", "L7OK", 1, observe.ServerOut},
		{"NOLB", "L7OKC", 1, observe.ServerOut},
		{"NOLB 1/2", "L7OKC", 1, observe.ServerOut},
		{"OPEN", "", 1, observe.ServerUnknown},
		{"up", "L7OK", 1, observe.ServerUnknown},
		{"UPPER", "L7OK", 1, observe.ServerUnknown},
		{"UP 1/", "L7OK", 1, observe.ServerUnknown},
		{"UP later", "L7OK", 1, observe.ServerUnknown},
		{"", "L7OK", 1, observe.ServerUnknown},
	} {
		if got := classify(c.status, c.check, c.weight); got != c.want {
			t.Errorf("classify(%q, %q, %d) = %s, want %s", c.status, c.check, c.weight, got, c.want)
		}
	}
}

// TestH19OperatorStates covers MAINT, DRAIN, weight 0 and disabled checks as
// HAProxy shows them after an operator's commands.
func TestH19OperatorStates(t *testing.T) {
	for name, want := range map[string]observe.ServerStatus{
		"04a-maint-runtime":                           observe.ServerOut,
		"04b-drain-runtime":                           observe.ServerOut,
		"04c-weight0-runtime-as-lb-controller-drains": observe.ServerOut,
		"04d-health-disabled":                         observe.ServerUp,
		"04e-ready":                                   observe.ServerUp,
	} {
		p := mustParse(t, sample(t, name))
		for i := range p.rows {
			r := &p.rows[i]
			if strings.HasPrefix(r.name, "01740bc4f65c") {
				if got := classify(r.status, r.check, r.weight); got != want {
					t.Errorf("%s: %q weight %d is %s, want %s", name, r.status, r.weight, got, want)
				}
			}
		}
	}
}

// statusForm is the form as HAProxy's source gives it; splitStatus is the same
// without a regular expression.
var statusForm = regexp.MustCompile(`^(UP|DOWN|NOLB|DRAIN|MAINT|no check|OPEN|FULL|STOP|WAITING)( \d+/\d+| \(.*\))?$`)

func TestSplitStatusIsTheRegexp(t *testing.T) {
	pieces := []string{"UP", "DOWN", "NOLB", "no check", " ", "1", "/", "23", "(", ")", "via", "\n", "x", ""}
	agrees := func(choice [5]uint8) bool {
		var s string
		for _, c := range choice {
			s += pieces[int(c)%len(pieces)]
		}
		_, _, got := splitStatus(s)
		return got == statusForm.MatchString(s)
	}
	if err := quick.Check(agrees, &quick.Config{MaxCount: 20_000}); err != nil {
		t.Error(err)
	}
}

func FuzzPage(f *testing.F) {
	for _, body := range samples(f) {
		f.Add(body)
	}
	f.Add([]byte(tinyPage))
	f.Add([]byte(strings.Replace(tinyPage, "web,s1", `web,"s,""1"""`, 1)))
	f.Fuzz(func(t *testing.T, body []byte) {
		p := new(page)
		if err := p.parse(body); err != nil {
			if len(p.rows) != 0 {
				t.Errorf("rows = %d after %v, want none", len(p.rows), err)
			}
			return
		}
		for i := range p.rows {
			r := &p.rows[i]
			for _, v := range r.counters {
				if v < 0 {
					t.Fatalf("counter %d < 0", v)
				}
			}
			if r.name == "" || r.proxy == "" || r.kind < 0 {
				t.Fatalf("row without a name or type: %+v", r)
			}
		}
		again := new(page)
		if err := again.parse(body); err != nil || len(again.rows) != len(p.rows) {
			t.Errorf("second parse = %d rows, %v, want %d", len(again.rows), err, len(p.rows))
		}
	})
}
