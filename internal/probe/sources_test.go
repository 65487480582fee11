package probe

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

func TestEndpoints(t *testing.T) {
	for stats, want := range map[string]endpoint{
		"http://lb.example/admin?stats":      {name: "lb.example", url: "http://lb.example/admin?stats;csv"},
		"http://lb.example/admin?stats;csv":  {name: "lb.example", url: "http://lb.example/admin?stats;csv"},
		"https://lb.example:81/s;json":       {name: "lb.example:81", url: "https://lb.example:81/s;json", isJSON: true},
		"http://lb.example":                  {name: "lb.example", url: "http://lb.example/;csv"},
		"unix:///var/run/haproxy.sock":       {name: "/var/run/haproxy.sock", network: "unix", address: "/var/run/haproxy.sock"},
		"unix:///var/run/haproxy.sock;json":  {name: "/var/run/haproxy.sock", network: "unix", address: "/var/run/haproxy.sock", isJSON: true},
		"tcp://lb.example:9999":              {name: "lb.example:9999", network: "tcp", address: "lb.example:9999"},
		"tcp://[fd00::1]:9999;json":          {name: "[fd00::1]:9999", network: "tcp", address: "[fd00::1]:9999", isJSON: true},
		"http://lb.example/admin?stats#up":   {name: "lb.example", url: "http://lb.example/admin?stats;csv"},
		"http://admin:secret@lb.example/":    {},
		"tcp://lb.example":                   {},
		"tcp://lb.example:9999/x":            {},
		"unix://relative.sock":               {},
		"unix://host/var/run/haproxy.sock":   {},
		"ftp://lb.example/":                  {},
		"lb.example":                         {},
		"http://":                            {},
		"tcp://admin:secret@lb.example:9999": {},
	} {
		got, err := parseEndpoint(stats)
		if got != want || (err == nil) != (want.name != "") {
			t.Errorf("parseEndpoint(%q) = %+v, %v, want %+v", stats, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("parseEndpoint(%q) tells the password: %v", stats, err)
		}
	}
}

// TestRealHAProxySourcesAgree: the page and both runtime sockets, in both formats,
// count the same of the same requests.
func TestRealHAProxySourcesAgree(t *testing.T) {
	h := newHAProxy(t, behave(t, "good", "127.0.0.11", good), behave(t, "fails", "127.0.0.12", fails), behave(t, "hangs up", "127.0.0.13", hangUp))
	page := fmt.Sprintf("http://127.0.0.1:%d/admin?stats", h.stats)
	readers := map[string]*Reader{}
	for _, stats := range []string{
		page, page + ";json", "unix://" + h.socket(), "unix://" + h.socket() + ";json", fmt.Sprintf("tcp://127.0.0.1:%d", h.admin),
	} {
		spec := h.spec("secret")
		spec.Stats = []string{stats}
		readers[stats] = newReaderOf(t, spec)
		h.await(readers[stats], "all servers to be up by "+stats, h.allUp)
	}
	h.send(30)
	want := look(t, readers[page], "k", h.containers()...)
	if serverOf(t, want, "fails").Delta != (observe.Counts{Requests: 10, Failures: 10}) {
		t.Fatalf("by the page in CSV: %+v, want 10 failures of 10", want.Servers)
	}
	for stats, r := range readers {
		if stats == page {
			continue
		}
		got := look(t, r, "k", h.containers()...)
		if got.Version != want.Version {
			t.Errorf("%s: version %q, by the page %q", stats, got.Version, want.Version)
		}
		for _, c := range h.containers() {
			a, b := serverOf(t, got, c.ID), serverOf(t, want, c.ID)
			a.Instance, b.Instance = "", ""
			if a != b {
				t.Errorf("%s: %s = %+v, by the page %+v", stats, c.ID, a, b)
			}
		}
	}
}

// TestRealHAProxyReloadBySocket: the new process takes the socket over.
func TestRealHAProxyReloadBySocket(t *testing.T) {
	old := behave(t, "old", "127.0.0.11", good)
	h := newHAProxy(t, old)
	spec := h.spec("")
	spec.Stats = []string{"unix://" + h.socket()}
	r := newReaderOf(t, spec)
	h.await(r, "the server to be up", h.allUp)
	h.send(20)
	wantDelta(t, look(t, r, "k", h.containers()...), "old", 20, 0)
	h.reload(old, behave(t, "new", "127.0.0.12", fails))
	isReloaded := false
	h.await(r, "both servers to be up", func(lb observe.LoadBalancer) bool {
		isReloaded = isReloaded || lb.Reloaded
		return h.allUp(lb)
	})
	if !isReloaded {
		t.Error("no look was Reloaded")
	}
	h.send(20)
	wantDelta(t, look(t, r, "k", h.containers()...), "new", 10, 10)
}

// fakeSocket answers every connection to a runtime socket, once the command came.
func fakeSocket(t *testing.T, answer func(net.Conn)) *Reader {
	t.Helper()
	dir, err := os.MkdirTemp("", "lb") // A path of a socket is short.
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); os.RemoveAll(dir) })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				command := make([]byte, 64)
				if n, _ := conn.Read(command); string(command[:n]) == "show stat\n" || string(command[:n]) == "show stat json\n" {
					answer(conn)
				}
			}()
		}
	}()
	r := NewReader(ReaderOptions{Fresh: 1, Timeout: 200 * time.Millisecond, MaxPage: 1 << 20})
	if err := r.Update([]LoadBalancerSpec{{Name: "lb", Stats: []string{"unix://" + path}}, {Name: "none", Stats: []string{"unix://" + path + ".gone"}}}); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSocketsThatDoNotAnswer(t *testing.T) {
	silent := fakeSocket(t, func(conn net.Conn) { conn.Read(make([]byte, 1)) })
	wantProblem(t, silent.Read(t.Context(), "k", "lb", nil), observe.CauseUnreachable, "no answer within 200ms")
	wantProblem(t, silent.Read(t.Context(), "k", "none", nil), observe.CauseUnreachable, "no such file")
	closed := fakeSocket(t, func(net.Conn) {})
	wantProblem(t, closed.Read(t.Context(), "k", "lb", nil), observe.CauseUnreachable, "without an answer")
	endless := fakeSocket(t, func(conn net.Conn) {
		for line := []byte(strings.Repeat("x", 4096)); ; {
			if _, err := conn.Write(line); err != nil {
				return
			}
		}
	})
	wantProblem(t, endless.Read(t.Context(), "k", "lb", nil), observe.CauseInvalid, "larger than")
	garbage := fakeSocket(t, func(conn net.Conn) { conn.Write([]byte("Unknown command.\n")) })
	wantProblem(t, garbage.Read(t.Context(), "k", "lb", nil), observe.CauseInvalid, "no header line")
}

func TestSocketInCSV(t *testing.T) {
	r := fakeSocket(t, func(conn net.Conn) { conn.Write(sample(t, "02-show-stat-socket")) })
	if lb := r.Read(t.Context(), "k", "lb", []observe.Container{running("1i1", "127.0.0.11")}); lb.Problem != nil || len(lb.Servers) == 0 {
		t.Errorf("%+v, want the rows of the sample", lb)
	}
}

func TestJSONIsWhole(t *testing.T) {
	const f = `{"objType":"Server","proxyId":1,"id":1,"field":{"pos":0,"name":%q},"processNum":1,"tags":{},"value":{"type":%q,"value":%s}}`
	one := func(name, kind, value string) string { return fmt.Sprintf(f, name, kind, value) }
	for text, want := range map[string]string{
		"":                       "the answer is empty",
		"<html>":                 "leave ;json out of the address",
		"# pxname,svname":        "begins with",
		`{"errorStr":"no luck"}`: `"no luck"`,
		"[":                      "EOF",
		"[]":                     "no rows",
		"[[]]":                   "a row without a name",
		"[] []":                  "follows its end",
		"[{}]":                   "row 1",
		"[[" + one("pxname", "str", `"80_"`) + "]]":                                         "without a name",
		"[[" + one("type", "u32", "-2") + "]]":                                              "not a count",
		"[[" + one("econ", "u64", "1.5e3") + "]]":                                           "not a count",
		"[[" + one("econ", "u64", `"7"`) + "]]":                                             "not a count",
		"[[" + one("pxname", "str", "7") + "]]":                                             "cannot unmarshal",
		"[[" + one("pid", "u32", "1") + "," + one("pid", "u32", "2") + "]]":                 "comes twice",
		"[[" + strings.Repeat(one("x", "str", `"x"`)+",", 1001) + one("x", "u", "0") + "]]": "more than 1000 fields",
	} {
		var p page
		err := p.parseJSON([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
		if len(p.rows) != 0 {
			t.Errorf("%.60q: %d rows are left of a rejected answer", text, len(p.rows))
		}
	}
	var unusable *unusableError
	if err := new(page).parseJSON([]byte("<html>")); !errors.As(err, &unusable) {
		t.Errorf("a web page instead of JSON: %v, want unusable: waiting changes nothing", err)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte("[[]]"))
	f.Add([]byte(`[[{"objType":"Server","field":{"name":"pxname"},"value":{"type":"str","value":"80_"}}]]`))
	f.Add([]byte(`{"errorStr":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var p page
		if err := p.parseJSON(bytes.Clone(body)); err != nil && len(p.rows) > 0 {
			t.Fatalf("%v, and %d rows are left", err, len(p.rows))
		}
		for i := range p.rows {
			for _, c := range p.rows[i].counters {
				if c < 0 {
					t.Fatalf("a negative counter: %+v", p.rows[i])
				}
			}
		}
	})
}
