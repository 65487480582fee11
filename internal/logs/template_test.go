package logs

import (
	"bytes"
	"testing"
)

func TestTemplates(t *testing.T) {
	for line, want := range map[string]string{
		"2026-11-26T01:05:01.123Z ERROR connection 4711 to 10.42.0.7:5432 lost after 12ms": "# ERROR connection # to # lost after #",
		"[2026-11-26 01:05:01,456] error: user 17 not found":                               "[# #] error: user # not found",
		"Error: request 5f2c9a1b-77aa-4cde-beef-0123456789ab failed":                       "Error: request # failed",
		"cannot open deadbeefcafe in cafe":                                                 "cannot open # in cafe",
		`panic: runtime error: index out of range [5] with length 3`:                       "panic: runtime error: index out of range [#] with length #",
		`failed to load user "alice" from 'eu-west'`:                                       `failed to load user "#" from '#'`,
		"can't connect: it isn't there":                                                    "can't connect: it isn't there",
		`said "something and no end`:                                                       `said "something and no end`,
		"GET /v1/rooms/4711/messages?limit=50 failed":                                      "GET /#/# failed",
		"open /var/lib/chat/cache: permission denied":                                      "open /var/#: permission denied",
		"Get http://registry.example:5000/v2/x: dial tcp: refused":                         "Get http://#/#: dial tcp: refused",
		"    at Object.<anonymous> (/app/server.js:12:3)":                                  "at Object.<anonymous> (/app/#)",
		"\x1b[31mERROR\x1b[0m  too   many\tblanks  ":                                       "ERROR too many blanks",
		"错误：用户 42 不存在":                                                                     "错误：用户 # 不存在",
		`{"level":"error","time":"2026-11-26T01:05:01Z","msg":"job 12 failed","user":"alice","ctx":{"err":"dial tcp 10.0.0.1:80: refused"}}`: "level=error msg=job # failed err=dial tcp #: refused",
		`{"level":"error","msg":"said \"no\" to 5"`: `level=error msg=said \"#" to #`,
		`{"a":1,"b":"two"}`:                         `{"#":#,"#":"#"}`,
		`{`:                                         `{`,
		"":                                          "",
		"sha256:0123456789abcdef0123456789abcdef0123 not pulled": "# not pulled",
		"worker-3 died; worker-4 died":                           "worker-# died; worker-# died",
	} {
		if got := string(appendTemplate(nil, []byte(line))); got != want {
			t.Errorf("template of %q\n = %q\nwant %q", line, got, want)
		}
	}
}

// Lines of one statement have one template, whatever stands in them.
func TestLinesOfOneStatementHaveOneTemplate(t *testing.T) {
	for _, group := range [][]string{
		{
			"2026-11-26T01:05:01.123Z ERROR [req 91ab] upstream 10.42.0.7:8080 timed out after 3001ms",
			"2026-12-01T23:59:59.9Z ERROR [req 7] upstream 10.42.13.200:8080 timed out after 3s",
		},
		{
			`E1126 01:05:01.123456       1 reflector.go:138] failed to list "default/chat": 503`,
			`E0203 11:15:41.000001      17 reflector.go:138] failed to list "prod/x": 502`,
		},
		{
			`{"ts":1795656185.1,"level":"error","msg":"cannot save","room":"r1","err":"ER_DUP_ENTRY 1062"}`,
			`{"ts":1795656999,"level":"error","msg":"cannot save","room":"lobby","err":"ER_DUP_ENTRY 1063"}`,
		},
		{
			`ERROR 4711 --- [nio-8080-exec-12] c.g.chat.RoomService : room 5f2c9a1b-77aa-4cde-beef-0123456789ab gone`,
			`ERROR 1 --- [nio-8080-exec-3] c.g.chat.RoomService : room aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee gone`,
		},
	} {
		first := appendTemplate(nil, []byte(group[0]))
		for _, line := range group[1:] {
			if got := appendTemplate(nil, []byte(line)); !bytes.Equal(got, first) {
				t.Errorf("two templates of one statement:\n%s\n%s", first, got)
			}
		}
	}
}

func TestWhatLooksLikeAnError(t *testing.T) {
	for line, want := range map[string]bool{
		"ERROR connection lost":                                 true,
		"2026-11-26 01:05:01 [error] worker 3":                  true,
		"java.lang.NullPointerException: null":                  true,
		"ValueError: invalid literal":                           true,
		"Traceback (most recent call last):":                    true,
		"(node:1) UnhandledPromiseRejectionWarning: x":          true,
		"panic: runtime error":                                  true,
		"FATAL:  password authentication failed":                true,
		"E1126 01:05:01.123456  1 x.go:1] boom":                 true,
		"dial tcp: connection refused":                          true,
		`{"level":"error","msg":"x"}`:                           true,
		`{"severity": "CRITICAL", "message": "x"}`:              true,
		"level=fatal msg=x":                                     true,
		"request failed":                                        true,
		"err=EOF":                                               true,
		"GET /v1/rooms 200 9ms":                                 false,
		"listening on 8080":                                     false,
		"I1126 01:05:01.123456  1 x.go:1] error page served":    false,
		`{"level":"info","msg":"error budget is fine"}`:         false,
		"level=warn msg=\"request failed, trying again\"":       false,
		"2026-11-26 01:05:01 INFO  c.g.Chat - failed logins: 0": false,
		"2026-11-26 01:05:01 WARNING retry after error":         false,
		"terrific mirror of the interferred personnel":          false,
		"errand done":                                           false,
		"level of water rising, error":                          true,
		"":                                                      false,
	} {
		if got := looksLikeError([]byte(line)); got != want {
			t.Errorf("looksLikeError(%q) = %t, want %t", line, got, want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"ERROR 1 \"x\" /a/b/c 'y", `{"msg":"\"`, "\x1b[", "\xff\xfe#-#-dead", "level=", "E1126 ", "错误 42"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		looksLikeError(line)
		once := appendTemplate(nil, line)
		if !bytes.Equal(line, before) {
			t.Fatal("the line was changed")
		}
		// A word or a path may begin just below the bound and is kept whole.
		if len(once) > maxTemplate+len(line) || len(once) > maxTemplate+scanned && len(line) <= scanned {
			t.Errorf("template of %d bytes", len(once))
		}
		if got := appendTemplate([]byte("before"), line); !bytes.HasPrefix(got, []byte("before")) {
			t.Errorf("what was there before is gone: %q", got)
		}
	})
}
