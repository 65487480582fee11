package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
)

func TestLinePrinter(t *testing.T) {
	at := time.Date(2026, 11, 24, 1, 45, 56, 5, time.UTC)
	lines := []logs.Line{
		{Container: "1i1", Name: "shop-web-1", Service: "shop/web", Time: at, Text: "a\x1b[31m"},
		{Container: "1i2", Name: "shop-web-10", Service: "shop/web", Version: logs.VersionNew, Output: logs.OutputStderr, Text: "b"},
		{Container: "1i1", Name: "shop-web-1", Service: "shop/web", Dropped: 7},
		{Container: "1i1", Name: "shop-web-1", Service: "shop/web", Text: "left out"},
	}
	for _, c := range []struct {
		name string
		set  func(*linePrinter)
		want string
	}{
		{"plain", func(*linePrinter) {}, "web-1 | a\x1b[31m\nweb-10 new | b\n"},
		{"times", func(p *linePrinter) { p.hasTimes = true }, "2026-11-24T01:45:56.000000005Z web-1 | a\x1b[31m\n" + strings.Repeat(" ", 30) + " web-10 new | b\n"},
		{
			"colours", func(p *linePrinter) { p.isColoured, p.isTerminal = true, true },
			"\x1b[" + sgrOf(logs.ColourOf("1i1")) + "mweb-1\x1b[0m | a\x1b[31m\x1b[0m\n\x1b[" + sgrOf(logs.ColourOf("1i2")) + "mweb-10 new\x1b[0m | b\n",
		},
		{"json", func(p *linePrinter) { p.asJSON = true }, `{"container":"1i1","name":"shop-web-1","service":"shop/web","stream":"unknown","time":"2026-11-24T01:45:56.000000005Z","text":"a\u001b[31m"}
{"container":"1i2","name":"shop-web-10","service":"shop/web","version":"new","stream":"stderr","text":"b"}
{"container":"1i1","name":"shop-web-1","service":"shop/web","stream":"unknown","text":"","dropped":7}
`},
	} {
		var out, notices bytes.Buffer
		p := newLinePrinter(&out, &notices)
		p.grep = regexp.MustCompile("^[ab]")
		c.set(p)
		if err := p.print(lines); err != nil {
			t.Fatal(err)
		}
		if out.String() != c.want {
			t.Errorf("%s: printed\n%q\nwant\n%q", c.name, &out, c.want)
		}
		if said := notices.String(); (said == "drover: 7 lines of shop-web-1 were dropped: the output is not read fast enough\n") == p.asJSON {
			t.Errorf("%s: the notice is %q", c.name, said)
		}
	}
}

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Time{
		"":                          {},
		"90m":                       now.Add(-90 * time.Minute),
		"2026-11-24T09:45:56+08:00": time.Date(2026, 11, 24, 1, 45, 56, 0, time.UTC),
		"2026-11-24":                time.Date(2026, 11, 24, 0, 0, 0, 0, time.Local),
		"1795484742.5":              time.Unix(1795484742, 500_000_000),
		"0":                         now,
	} {
		if got, err := parseSince(in, now); err != nil || !got.Equal(want) {
			t.Errorf("parseSince(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"-5m", "soon", "-3", "1.x", "2026-13-01"} {
		if got, err := parseSince(in, now); err == nil {
			t.Errorf("parseSince(%q) = %v, want an error", in, got)
		}
	}
}
