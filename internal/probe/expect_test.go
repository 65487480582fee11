package probe

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const statusPage = `{"status":"ok","workers":3,"ready":true,"db":{"state":"up","lag":0.10},"nodes":[{"name":"a"},{"name":"b"}],"grid":[[1,2],[3]],"note":null}`

func TestAnswerIsComparedWithWhatIsExpected(t *testing.T) {
	for name, test := range map[string]struct {
		want  observe.Expect
		unmet string
	}{
		"nothing":               {observe.Expect{}, ""},
		"body":                  {observe.Expect{Body: `"status":"ok"`}, ""},
		"other body":            {observe.Expect{Body: `^fine$`}, "its body does not match ^fine$"},
		"header":                {observe.Expect{Headers: map[string]string{"x-version": "^v2"}}, ""},
		"second of two headers": {observe.Expect{Headers: map[string]string{"Via": "^b$"}}, ""},
		"other header":          {observe.Expect{Headers: map[string]string{"X-Version": "^v3"}}, `its header X-Version is "v2.1", which does not match ^v3`},
		"missing header":        {observe.Expect{Headers: map[string]string{"X-Other": "."}}, `its header X-Other is "", which does not match .`},
		"JSON scalars": {observe.Expect{JSON: map[string]string{
			"status": "ok", "workers": "3", "ready": "true", "db.state": "up", "db.lag": "0.10", "nodes[1].name": "b", "grid[0][1]": "2", "note": "null",
		}}, ""},
		"other scalar":      {observe.Expect{JSON: map[string]string{"db.state": "down"}}, `its JSON has db.state = "up", not "down"`},
		"other number":      {observe.Expect{JSON: map[string]string{"workers": "3.0"}}, `its JSON has workers = "3", not "3.0"`},
		"no member":         {observe.Expect{JSON: map[string]string{"db.size": "1"}}, `its JSON has no db.size: no member "size"`},
		"no item":           {observe.Expect{JSON: map[string]string{"nodes[2].name": "c"}}, `its JSON has no nodes[2].name: no item [2]`},
		"no list":           {observe.Expect{JSON: map[string]string{"db[0]": "c"}}, `its JSON has no db[0]: no item [0]`},
		"no object":         {observe.Expect{JSON: map[string]string{"status.text": "ok"}}, `its JSON has no status.text: "text" is looked for in what is no object`},
		"no scalar":         {observe.Expect{JSON: map[string]string{"db": "up"}}, `its JSON has no db: it is no scalar`},
		"identity by name":  {observe.Expect{Identity: "X-Name"}, ""},
		"identity by IP":    {observe.Expect{Identity: "X-Ip"}, ""},
		"another container": {observe.Expect{Identity: "X-Version"}, `"v2.1" answered, and chat-1 was asked`},
		"no identity":       {observe.Expect{Identity: "X-Nobody"}, "it has no header X-Nobody, so it may be anybody's answer"},
	} {
		c, spec := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Via"] = []string{"a", "b"}
			w.Header().Set("X-Version", "v2.1")
			w.Header().Set("X-Name", "CHAT-1")
			w.Header().Set("X-Ip", "127.0.0.1")
			w.Write([]byte(statusPage))
		})
		c.Name, spec.Want = "chat-1", test.want
		if s := probeOnce(t, spec, c); s.Status != http.StatusOK || s.Unmet != test.unmet {
			t.Errorf("%s: sample = %+v, want unmet %q", name, s, test.unmet)
		}
	}
}

func TestBodiesThatAreNoUsableJSON(t *testing.T) {
	for body, want := range map[string]string{
		"":                                "its body is no JSON",
		"<html>":                          "its body is no JSON",
		`{"a":"b"} x`:                     "its body is no JSON",
		strings.Repeat("[", 20_000):       "its body is no JSON",
		strings.Repeat(" ", 64<<10) + "1": "its body is longer than the 65536 bytes that are read",
	} {
		c, spec := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(body)) })
		spec.Want = observe.Expect{JSON: map[string]string{"a": "b"}}
		if s := probeOnce(t, spec, c); s.Unmet != want {
			t.Errorf("body of %d bytes: unmet %q, want %q", len(body), s.Unmet, want)
		}
	}
}

// H21: what answers must be the container that was asked, and not the load
// balancer or another container behind its address.
func TestH21AnswerOfAnotherContainer(t *testing.T) {
	c, spec := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Served-By", "chat-2") })
	c.Name, spec.Want = "chat-1", observe.Expect{Identity: "X-Served-By"}
	if s := probeOnce(t, spec, c); s.Unmet != `"chat-2" answered, and chat-1 was asked` {
		t.Errorf("sample = %+v, want it to be told who answered", s)
	}
}

func TestExpectationThatCannotBeCompiled(t *testing.T) {
	for _, want := range []observe.Expect{{Body: "("}, {Headers: map[string]string{"X": "("}}} {
		probes := NewProber(ProberOptions{}).Probe(t.Context(), "k", observe.ProbeSpec{Port: 80, Want: want}, nil)
		if probes.Problem == nil || probes.Problem.Cause != observe.CauseUnusable {
			t.Errorf("Probe with %+v = %+v, want it to be unusable", want, probes)
		}
	}
}

func TestTCPProbe(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	spec := observe.ProbeSpec{TCP: true, Port: listener.Addr().(*net.TCPAddr).Port, Timeout: 5 * time.Second}
	if s := probeOnce(t, spec, running("1i1", "127.0.0.1")); s.Error != "" || s.Status != 0 || s.Latency <= 0 {
		t.Errorf("sample of an open port = %+v, want a connection", s)
	}
	listener.Close()
	if s := probeOnce(t, spec, running("1i1", "127.0.0.1")); !strings.Contains(s.Error, "refused") {
		t.Errorf("sample of a closed port = %+v, want a refusal", s)
	}
}

func TestTCPProbeTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, errors.New("gave up")
		}
		probes := NewProber(ProberOptions{Dial: hang}).Probe(t.Context(), "k", observe.ProbeSpec{TCP: true, Port: 80, Timeout: 3 * time.Second}, []observe.Container{running("1i1", "10.0.0.1")})
		if len(probes.Samples) != 1 || probes.Samples[0].Error != "timeout after 3s" || probes.Samples[0].Latency != 3*time.Second {
			t.Errorf("Probe = %+v, want a time-out", probes)
		}
	})
}

// Synthetic traffic at a stated rate comes in bursts, one per look; a container
// that answers slowly must not hold up the look with them.
func TestBurstOfAHighRateIsBoundedByTime(t *testing.T) {
	for answer, want := range map[time.Duration]int{time.Millisecond: 40, 700 * time.Millisecond: 3} {
		synctest.Test(t, func(t *testing.T) {
			slow := func(context.Context, string, string) (net.Conn, error) {
				time.Sleep(answer)
				client, _ := net.Pipe()
				return client, nil
			}
			p := NewProber(ProberOptions{Dial: slow})
			spec := observe.ProbeSpec{TCP: true, Port: 80, Every: 50 * time.Millisecond}
			c := []observe.Container{running("1i1", "10.0.0.1")}
			p.Probe(t.Context(), "k", spec, c)
			time.Sleep(2*time.Second - answer)
			before := time.Now()
			probes := p.Probe(t.Context(), "k", spec, c)
			if got := len(probes.Samples); got != want {
				t.Errorf("answers after %v: %d samples in a look, want %d", answer, got, want)
			}
			if took := time.Since(before); took > burstTime+time.Second {
				t.Errorf("answers after %v: the look took %v", answer, took)
			}
		})
	}
}

func FuzzExpectation(f *testing.F) {
	f.Add([]byte(statusPage), "nodes[1].name", "b", "ok")
	f.Add([]byte(`[[1]]`), "[0][0]", "1", "^.$")
	f.Add([]byte(`{"":{"":1}}`), ".", "1", "")
	f.Add([]byte("{\"a\":\xff}"), "a[", "", "\\x{ff}")
	f.Fuzz(func(t *testing.T, body []byte, path, text, pattern string) {
		x, err := newExpectation(observe.Expect{Body: pattern, JSON: map[string]string{path: text}, Headers: map[string]string{"X": pattern}})
		if err != nil {
			return
		}
		got := x.unmet(running("1i1", "10.0.0.1"), http.Header{"X": {string(body[:min(len(body), 99)])}}, body, false)
		if len(got) > maxError {
			t.Errorf("unmet has %d bytes", len(got))
		}
		if len(got) == maxError && utf8.ValidString(path+text+pattern) && !utf8.ValidString(got) {
			t.Errorf("unmet was cut within a character: %q", got)
		}
	})
}
