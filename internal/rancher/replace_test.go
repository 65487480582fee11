package rancher

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// toolRecording is a recording of rancher-gitlab-deploy 1.7 against a running server.
func toolRecording(name string) string { return "../../../test/testdata/rancher-recordings/" + name }

// recordedService is a service as the tool read it, given to the fake.
func (f *fake) recordedService(file string, at int) {
	f.t.Helper()
	var list struct{ Data []json.RawMessage }
	if err := json.Unmarshal(exchange(f.t, toolRecording(file), 3)["responseBody"], &list); err != nil {
		f.t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(list.Data[at], &s); err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stacks["1st2"] = map[string]any{"id": "1st2", "type": "stack", "name": "st-parrot-rest", "state": "active"}
	f.services[s["id"].(string)] = s
}

// replaceSpec is a sound spec for a service.
func replaceSpec(id string) ReplaceSpec {
	return ReplaceSpec{
		ServiceID: id, ExpectVersion: "0", From: []observe.ServiceState{observe.StateActive},
		BatchSize: 1, Interval: 2 * time.Second,
	}
}

// TestReplaceBodiesAgainstRecordings prepares what the tool sent to a running server: the bodies are the same.
func TestReplaceBodiesAgainstRecordings(t *testing.T) {
	const image = "docker.example.com/clickeggs/parrot-rest"
	for _, c := range []struct {
		file string
		at   int
		spec ReplaceSpec
	}{
		{"rgd-01-plain.jsonl", 0, replaceSpec("1s2")},
		{"rgd-02-new-image.jsonl", 0, ReplaceSpec{
			ServiceID: "1s2", ExpectVersion: "38c87717-c7bd-4838-a77f-ba213eb2ff04", Image: image + ":1.4.2", BatchSize: 1, Interval: 2 * time.Second,
		}},
		{"rgd-03-digest-start-first.jsonl", 0, ReplaceSpec{
			ServiceID: "1s2", ExpectVersion: "57a0afee-1cf6-4cf5-bb29-189aed07842e", Image: image + "@" + digestB,
			BatchSize: 2, Interval: time.Second, StartFirst: true,
		}},
		{"rgd-06-sidekicks.jsonl", 1, ReplaceSpec{
			ServiceID: "1s3", ExpectVersion: "0", Sidekicks: true, BatchSize: 1, Interval: 2 * time.Second,
			SidekickImages: map[string]string{"log": "docker.example.com/team/log:2"},
		}},
	} {
		f := newFake(t)
		f.recordedService(c.file, c.at)
		c.spec.From = []observe.ServiceState{observe.StateActive}
		p, err := f.client().PrepareReplace(t.Context(), c.spec)
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		sent := exchange(t, toolRecording(c.file), 4)["requestBody"]
		if diff := Diff(sent, p.Body); len(diff) > 0 {
			t.Errorf("%s: the body differs from what the tool sent at %q", c.file, diff)
		}
	}
}

// TestReplacedLabelsAndVariables replaces and merges, and keeps every other byte.
func TestReplacedLabelsAndVariables(t *testing.T) {
	const launch = `{"imageUuid" : "docker:a:1","x": 1.50, "labels":{"io.rancher.container.pull_image":"always", "team":"shop"},` +
		`"environment":null,"version":"0","unknown":{"a":[1,2]}}`
	for _, c := range []struct {
		name               string
		labels, env        *Replacement
		want               string
		dropped, droppedIn []string
	}{
		{"nothing", nil, nil, launch, nil, nil},
		{
			"replace", &Replacement{Values: map[string]string{"team": "chat", "a<b": "&"}}, &Replacement{Values: map[string]string{"B": "2", "A": "1"}},
			`{"imageUuid" : "docker:a:1","x": 1.50, "labels":{"a<b":"&","team":"chat"},"environment":{"A":"1","B":"2"},"version":"0","unknown":{"a":[1,2]}}`,
			[]string{"io.rancher.container.pull_image"},
			nil,
		},
		{
			"merge", &Replacement{Values: map[string]string{"team": "chat", "tier": "web"}, Merge: true}, nil,
			`{"imageUuid" : "docker:a:1","x": 1.50, "labels":{"io.rancher.container.pull_image":"always", "team":"chat","tier":"web"},` +
				`"environment":null,"version":"0","unknown":{"a":[1,2]}}`,
			nil, nil,
		},
	} {
		f := newFake(t)
		f.serve("/v2-beta/projects/1a8/services/1s5", `{"id":"1s5","type":"service","baseType":"service","name":"web","stackId":"1st5",
			"state":"active","actions":{"upgrade":"x"},"launchConfig":`+launch+`,"secondaryLaunchConfigs":[]}`)
		spec := replaceSpec("1s5")
		spec.Labels, spec.Environment = c.labels, c.env
		p, err := f.client().PrepareReplace(t.Context(), spec)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		want := `{"inServiceStrategy":{"batchSize":1,"intervalMillis":2000,"startFirst":false,"launchConfig":` + c.want + `,"secondaryLaunchConfigs":[]}}`
		if string(p.Body) != want {
			t.Errorf("%s: body\n%s\nwant\n%s", c.name, p.Body, want)
		}
		if !slices.Equal(p.DroppedLabels, c.dropped) || !slices.Equal(p.DroppedVariables, c.droppedIn) {
			t.Errorf("%s: dropped labels %q and variables %q, want %q and %q", c.name, p.DroppedLabels, p.DroppedVariables, c.dropped, c.droppedIn)
		}
	}
}

// TestReplaceIsRefused lists what is not even sent.
func TestReplaceIsRefused(t *testing.T) {
	for name, change := range map[string]func(*fake, *ReplaceSpec){
		"a digest that is none":     func(_ *fake, s *ReplaceSpec) { s.Image = "a/b@sha256:nothex" },
		"an image with a space":     func(_ *fake, s *ReplaceSpec) { s.Image = "a b" },
		"a sidekick without image":  func(_ *fake, s *ReplaceSpec) { s.SidekickImages = map[string]string{"log": ""} },
		"no batch":                  func(_ *fake, s *ReplaceSpec) { s.BatchSize = 0 },
		"no interval":               func(_ *fake, s *ReplaceSpec) { s.Interval = 0 },
		"another version":           func(_ *fake, s *ReplaceSpec) { s.ExpectVersion = "1" },
		"another state":             func(_ *fake, s *ReplaceSpec) { s.From = []observe.ServiceState{observe.StateInactive} },
		"no upgrade offered":        func(f *fake, _ *ReplaceSpec) { f.services["1s5"]["actions"] = map[string]any{} },
		"a key that hides secrets":  func(f *fake, _ *ReplaceSpec) { f.kind = "environment" },
		"no launch configuration":   func(f *fake, _ *ReplaceSpec) { f.services["1s5"]["launchConfig"] = nil },
		"no image in the service":   func(f *fake, _ *ReplaceSpec) { f.services["1s5"]["launchConfig"].(map[string]any)["imageUuid"] = nil },
		"from scaled to global":     func(_ *fake, s *ReplaceSpec) { s.Labels = &Replacement{Values: map[string]string{labelGlobal: "true"}} },
		"ports of the wrong kind":   func(f *fake, _ *ReplaceSpec) { f.services["1s5"]["launchConfig"].(map[string]any)["ports"] = "80" },
		"a sidekick without a name": func(f *fake, _ *ReplaceSpec) { f.services["1s5"]["secondaryLaunchConfigs"] = []any{map[string]any{}} },
	} {
		f := newFake(t)
		f.addService("1s5", "web")
		spec := replaceSpec("1s5")
		change(f, &spec)
		p, err := f.client(web).PrepareReplace(t.Context(), spec)
		if err == nil {
			t.Errorf("%s: prepared %s, want a refusal", name, p.Body)
		}
	}
}

// TestForeignEditIsSeen breaks the edit on purpose: the proof knows nothing of how it was done.
func TestForeignEditIsSeen(t *testing.T) {
	const before = `{"imageUuid":"docker:a","x":1.50,"labels":{}}`
	for after, want := range map[string]bool{
		`{"imageUuid":"docker:b","x":1.50,"labels":{}}`:          true,
		`{"imageUuid":"docker:b","x":1.50,"labels":{"a":"b"}}`:   false,
		`{"imageUuid":"docker:b","x":1.5,"labels":{}}`:           false,
		`{"imageUuid":"docker:b","labels":{}}`:                   false,
		`{"imageUuid":"docker:b","x":1.50,"labels":{},"y":null}`: false,
	} {
		if err := proveReplaced("op", "", []byte(before), []byte(after), []string{"imageUuid"}); (err == nil) != want {
			t.Errorf("proveReplaced(%s) = %v, want it proved: %t", after, err, want)
		}
	}
}

// TestOnlyAClientMadeForItCreates holds the capability to the one who has it.
func TestOnlyAClientMadeForItCreates(t *testing.T) {
	f := newFake(t)
	f.addService("1s5", "web")
	var sent []string
	f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		body, _ := io.ReadAll(r.Body)
		sent = append(sent, r.URL.RequestURI()+" "+string(body))
		switch {
		case strings.HasSuffix(r.URL.Path, "/stacks"):
			_, _ = io.WriteString(w, `{"id":"1st3","type":"stack","name":"newstack","state":"activating"}`)
		default:
			_, _ = io.WriteString(w, `{"id":"1s9","type":"service","baseType":"service","name":"newsvc","stackId":"1st3"}`)
		}
		return true
	}
	service := NewService{Stack: Named{"1st3", "newstack"}, Name: "newsvc", Image: "docker.example.com/a/b:1"}
	for _, c := range []*Client{f.client(web), f.client()} {
		_, errStack := c.CreateStack(t.Context(), "newstack")
		_, errService := c.CreateService(t.Context(), service)
		errLinks := c.SetServiceLinks(t.Context(), "1s5", nil)
		for _, err := range []error{errStack, errService, errLinks} {
			var refused *CapabilityError
			if !errors.As(err, &refused) {
				t.Errorf("an ordinary client creates: %v, want a CapabilityError", err)
			}
		}
	}
	if len(sent) > 0 {
		t.Fatalf("sent %q, want nothing", sent)
	}

	maker, err := New(Options{
		URL: f.server.URL, AccessKey: text("access"), SecretKey: text("hush"), MayCreate: true,
		Allow: []Key{{Stack: "newstack", Service: "newsvc"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer maker.Close()
	if _, err := maker.CreateStack(t.Context(), "newstack"); err != nil {
		t.Error(err)
	}
	if _, err := maker.CreateService(t.Context(), service); err != nil {
		t.Error(err)
	}
	if err := maker.SetServiceLinks(t.Context(), "1s9", []ServiceLink{{"db", "1s5"}}); err != nil {
		t.Error(err)
	}
	if err := maker.SetServiceLinks(t.Context(), "1s5", nil); err == nil {
		t.Error("links of a service that is not allowed were set")
	}
	want := []string{
		`/v2-beta/projects/1a8/stacks {"name":"newstack"}`,
		`/v2-beta/projects/1a8/services {"name":"newsvc","stackId":"1st3","startOnCreate":true,"launchConfig":` +
			`{"imageUuid":"docker:docker.example.com/a/b:1","labels":{},"environment":{},"secrets":[]}}`,
		`/v2-beta/projects/1a8/services/1s9/?action=setservicelinks {"serviceLinks":[{"name":"db","serviceId":"1s5"}]}`,
	}
	if !slices.Equal(sent, want) {
		t.Errorf("sent\n%q\nwant\n%q", sent, want)
	}
}

// TestTrace tells of requests without the credentials.
func TestTrace(t *testing.T) {
	f := newFake(t)
	var told []Exchange
	c, err := New(Options{
		URL: f.server.URL, AccessKey: text("access"), SecretKey: text("hush"), Trace: func(e Exchange) { told = append(told, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Environments(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].Method != "GET" || told[0].Path != "/v2-beta/projects" || told[0].Status != 200 {
		t.Errorf("told %+v, want the one request", told)
	}
}

// TestGuardOfAMaker tries what even a client that may create must never send.
func TestGuardOfAMaker(t *testing.T) {
	base := parsed(t, "http://rancher.example:8080/v2-beta")
	g := &guard{base: base, grants: &grants{}, mayCreate: true}
	g.grants.allow([]Key{web})
	g.grants.learnService("1s5", web)
	g.grants.learnService("1s6", Key{"shop", "other"})
	const p = "http://rancher.example:8080/v2-beta/projects/1a8"
	for url, passes := range map[string]bool{
		p + "/stacks":   true,
		p + "/services": true,
		p + "/services/1s5/?action=setservicelinks":    true,
		p + "/services/1s6/?action=setservicelinks":    false,
		p + "/services/1s5/?action=remove":             false,
		p + "/services?action=upgrade":                 false,
		p + "/services?x=1":                            false,
		p + "/services/1s5":                            false,
		p + "/stacks/1st5/?action=remove":              false,
		p + "/secrets":                                 false,
		p + "/containers":                              false,
		p + "/hosts":                                   false,
		"http://rancher.example:8080/v2-beta/projects": false,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, reason := g.check(r); (reason == "") != passes {
			t.Errorf("POST %s: %q, want it to pass: %t", url, reason, passes)
		}
	}
}
