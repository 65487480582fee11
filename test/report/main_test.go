package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	for name, c := range map[string]struct {
		in      string
		want    []string
		without []string
		isGood  bool
	}{
		"all good": {
			in: `{"Action":"start","Package":"a"}
{"Action":"output","Package":"a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"    x.go:1: chatter\n"}
{"Action":"pass","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Output":"PASS\n"}
{"Action":"output","Package":"a","Output":"ok  \ta\t0.1s\n"}
{"Action":"pass","Package":"a"}`,
			want:    []string{"ok  \ta\t0.1s\n", "1 packages and 1 tests passed, 0 skipped"},
			without: []string{"chatter", "SKIPPED", "PASS"},
			isGood:  true,
		},
		"a skip is told with its reason": {
			in: `{"Action":"output","Package":"a","Test":"TestY","Output":"=== RUN   TestY\n"}
{"Action":"output","Package":"a","Test":"TestY","Output":"    y.go:1: no haproxy here\n"}
{"Action":"output","Package":"a","Test":"TestY","Output":"--- SKIP: TestY (0.00s)\n"}
{"Action":"skip","Package":"a","Test":"TestY"}
{"Action":"pass","Package":"a"}`,
			want:   []string{"!!! 1 SKIPPED", "!!!   a TestY: y.go:1: no haproxy here\n"},
			isGood: true,
		},
		"a failure is shown": {
			in: `{"Action":"output","Package":"a","Test":"TestZ","Output":"=== RUN   TestZ\n"}
{"Action":"output","Package":"a","Test":"TestZ","Output":"    z.go:1: got 1, want 2\n"}
{"Action":"output","Package":"a","Test":"TestZ","Output":"--- FAIL: TestZ (0.00s)\n"}
{"Action":"fail","Package":"a","Test":"TestZ"}
{"Action":"output","Package":"a","Output":"FAIL\ta\t0.1s\n"}
{"Action":"fail","Package":"a"}
{"Action":"pass","Package":"b"}`,
			want:    []string{"z.go:1: got 1, want 2\n--- FAIL: TestZ", "FAIL\ta"},
			without: []string{"=== RUN"},
		},
		"a build that fails": {
			in: `{"Action":"build-output","ImportPath":"a","Output":"a.go:1:1: syntax error\n"}
{"Action":"build-fail","ImportPath":"a"}
{"Action":"pass","Package":"b"}`,
			want: []string{"a.go:1:1: syntax error"},
		},
		"a test cut off": {
			in: `{"Action":"output","Package":"a","Test":"TestP","Output":"panic: boom\n"}
{"Action":"fail","Package":"a"}`,
			want: []string{"panic: boom"},
		},
		"no events":    {in: "", want: []string{"0 packages"}},
		"other output": {in: "go: cannot find main module\n", want: []string{"go: cannot find main module"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := run(strings.NewReader(c.in), &out)
			if (err == nil) != c.isGood {
				t.Errorf("run = %v, want good: %t", err, c.isGood)
			}
			for _, s := range c.want {
				if !strings.Contains(out.String(), s) {
					t.Errorf("output lacks %q:\n%s", s, &out)
				}
			}
			for _, s := range c.without {
				if strings.Contains(out.String(), s) {
					t.Errorf("output has %q:\n%s", s, &out)
				}
			}
		})
	}
}
