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

// specFor is a sound spec for a service.
func specFor(id string) UpgradeSpec {
	return UpgradeSpec{
		ServiceID: id, ExpectVersion: "0", Image: "registry.example/team/app@" + digestB,
		Labels: map[string]string{"io.drover.rollout": "r1"}, BatchSize: 1, Interval: 2 * time.Second,
	}
}

// serve makes the fake answer one path with text, as it stands.
func (f *fake) serve(path, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || r.URL.Path != path {
			return false
		}
		_, _ = io.WriteString(w, body)
		return true
	}
}

// TestUpgradeBodyAgainstRecording prepares the upgrade that a real server took and
// compares with what was sent then: everything but image and label is as recorded.
func TestUpgradeBodyAgainstRecording(t *testing.T) {
	f := newFake(t)
	service := string(exchange(t, "02-upgrade-finish.jsonl", 1)["responseBody"])
	f.serve("/v2-beta/projects/1a8/services/1s5", service)
	p, err := f.client(web).PrepareUpgrade(t.Context(), specFor("1s5"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/launchConfig/imageUuid", "/launchConfig/labels/io.drover.rollout"}
	if !slices.Equal(p.Diff, want) {
		t.Errorf("Diff = %q, want %q", p.Diff, want)
	}
	recorded := exchange(t, "02-upgrade-finish.jsonl", 4)["requestBody"]
	if got := Diff(recorded, p.Body); !slices.Equal(got, []string{
		"/inServiceStrategy/launchConfig/labels/rollout", "/inServiceStrategy/launchConfig/labels/io.drover.rollout",
	}) {
		t.Errorf("the body differs from the recorded one at %q", got)
	}
	var read struct {
		LaunchConfig json.RawMessage `json:"launchConfig"`
	}
	if err := json.Unmarshal([]byte(service), &read); err != nil || string(read.LaunchConfig) != string(p.Previous) {
		t.Errorf("Previous = %s, want the bytes as read", p.Previous)
	}
}

// launchOdd has everything that typed clients lose: unknown members, numbers with
// a spelling, escapes, false and null.
const launchOdd = `{"type":"launchConfig", "imageUuid":"docker:registry.example/app@` + digestA + `","version":"0",
 "memory":1073741824.0,"cpuShares":1e2,"startOnCreate":false,"unknownMember":{"deep":[null,0.10,"a\/b"]},
 "labels":{"path":"a\/b","io.drover.old":"x"},"secrets":[{"secretId":"1se1"}],"ports":["8080:80/tcp"]}`

// oddService is a service with that launch configuration and a sidekick.
func oddService(changes ...string) string {
	s := `{"id":"1s5","type":"service","baseType":"service","name":"web","stackId":"1st5","state":"active","actions":{"upgrade":"x"},
"launchConfig":` + launchOdd + `,"secondaryLaunchConfigs":[{"name":"metrics","imageUuid":"docker:m:1","version":"0"},
{"name":"log","imageUuid":"docker:registry.example/log@` + digestA + `","version":"0","tty":false}]}`
	return strings.NewReplacer(changes...).Replace(s)
}

func TestUpgradeKeepsEveryByte(t *testing.T) {
	f := newFake(t)
	f.serve("/v2-beta/projects/1a8/services/1s5", oddService())
	spec := specFor("1s5")
	spec.Secondary = map[string]string{"log": "registry.example/log@" + digestB}
	p, err := f.client(web).PrepareUpgrade(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	launch := strings.NewReplacer(digestA, digestB, "registry.example/app", "registry.example/team/app",
		`"io.drover.old":"x"`, `"io.drover.rollout":"r1"`).Replace(launchOdd)
	log := `{"name":"log","imageUuid":"docker:registry.example/log@` + digestB + `","version":"0","tty":false,"labels":{"io.drover.rollout":"r1"}}`
	want := `{"inServiceStrategy":{"batchSize":1,"intervalMillis":2000,"startFirst":false,"launchConfig":` + launch + `,"secondaryLaunchConfigs":[` + log + `]}}`
	if string(p.Body) != want {
		t.Errorf("Body =\n%s\nwant\n%s", p.Body, want)
	}
	if !slices.Contains(p.Diff, "/secondaryLaunchConfigs/log/imageUuid") || !strings.Contains(string(p.PreviousSecondary), `"name":"metrics"`) {
		t.Errorf("Diff = %q, PreviousSecondary = %s", p.Diff, p.PreviousSecondary)
	}
}

func TestRestoreStartsFromTheStoredConfiguration(t *testing.T) {
	f := newFake(t)
	f.serve("/v2-beta/projects/1a8/services/1s5", oddService())
	spec := specFor("1s5")
	spec.Image = "docker:registry.example/app@" + digestB
	spec.Base = json.RawMessage(`{"imageUuid":"docker:old","version":"9","memory":5,"labels":{"io.drover.old":"y"}}`)
	spec.BaseSecondary = json.RawMessage(`[{"name":"log","imageUuid":"docker:registry.example/log@` + digestA + `","version":"7","tty":false},{"name":"metrics","imageUuid":"docker:m:0"}]`)
	p, err := f.client(web).PrepareUpgrade(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	want := `"launchConfig":{"imageUuid":"docker:registry.example/app@` + digestB + `","version":"9","memory":5,"labels":{"io.drover.rollout":"r1"}},` +
		`"secondaryLaunchConfigs":[{"name":"metrics","imageUuid":"docker:m:0"}]}}`
	if !strings.HasSuffix(string(p.Body), want) {
		t.Errorf("Body = %s\nwant it to end in %s", p.Body, want)
	}
	if !slices.Contains(p.Diff, "/launchConfig/memory") {
		t.Errorf("Diff = %q, want it to tell of memory", p.Diff)
	}
}

func TestPrepareRefuses(t *testing.T) {
	sound := func(*UpgradeSpec) {}
	for name, c := range map[string]struct {
		service  string
		kind     string
		change   func(*UpgradeSpec)
		conflict bool
		text     string
	}{
		"tag":                 {oddService(), "project", func(s *UpgradeSpec) { s.Image = "registry.example/app:1" }, false, "64 hex digits"},
		"malformed digest":    {oddService(), "project", func(s *UpgradeSpec) { s.Image = "registry.example/app@sha256:nothex" }, false, "64 hex digits"},
		"batch 0":             {oddService(), "project", func(s *UpgradeSpec) { s.BatchSize = 0 }, false, "batch size 0"},
		"interval 99ms":       {oddService(), "project", func(s *UpgradeSpec) { s.Interval = 99 * time.Millisecond }, false, "interval 99ms"},
		"interval 31s":        {oddService(), "project", func(s *UpgradeSpec) { s.Interval = 31 * time.Second }, false, "interval 31s"},
		"foreign label":       {oddService(), "project", func(s *UpgradeSpec) { s.Labels = map[string]string{"team": "x"} }, false, `label "team"`},
		"no version":          {oddService(), "project", func(s *UpgradeSpec) { s.ExpectVersion = "" }, false, "version"},
		"not an id":           {oddService(), "project", func(s *UpgradeSpec) { s.ServiceID = "1i5" }, false, "no service"},
		"unknown sidekick":    {oddService(), "project", func(s *UpgradeSpec) { s.Secondary = map[string]string{"x": "a@" + digestB} }, true, "sidekick x"},
		"other version":       {oddService(`"version":"0",`, `"version":"1",`), "project", sound, true, "version is 1"},
		"upgrading":           {oddService(`"state":"active"`, `"state":"upgrading"`), "project", sound, true, "upgrading"},
		"inactive":            {oddService(`"state":"active"`, `"state":"inactive"`), "project", sound, true, "inactive"},
		"no action":           {oddService(`{"upgrade":"x"}`, `{"restart":"x"}`), "project", sound, true, "offer"},
		"system":              {oddService(`"state":`, `"system":true,"state":`), "project", sound, false, "Rancher's own"},
		"no image":            {oddService("docker:registry.example/app@"+digestA, "rancher/none"), "project", sound, false, "no Docker image"},
		"no configuration":    {oddService(`"launchConfig":`, `"launchConfig":null,"x":`), "project", sound, false, "no launch configuration"},
		"retained address":    {oddService(`"state":`, `"retainIp":true,"state":`), "project", func(s *UpgradeSpec) { s.StartFirst = true }, false, "retains"},
		"hidden secrets":      {oddService(), "environment", sound, false, "/launchConfig/secrets"},
		"secrets not in role": {oddService(), "user", sound, false, "/launchConfig/secrets"},
		"ports as text":       {oddService(`["8080:80/tcp"]`, `"8080:80"`), "project", sound, false, "ports of the wrong kind"},
		"a key twice":         {oddService(`"cpuShares"`, `"memory"`), "project", sound, false, "stands twice"},
		"a global base":       {oddService(), "project", func(s *UpgradeSpec) { s.Base = json.RawMessage(`{"labels":{"io.rancher.scheduler.global":"true"}}`) }, false, "global"},
		"a broken base":       {oddService(), "project", func(s *UpgradeSpec) { s.Base = json.RawMessage(`{"a":`) }, false, "edited safely"},
		"another service":     {oddService(`"id":"1s5"`, `"id":"1s7"`), "project", sound, false, "was told of service 1s7"},
		"a container":         {oddService(`"type":"service","baseType":"service"`, `"type":"container","baseType":"instance"`), "project", sound, false, "was told of container"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.kind = c.kind
			f.serve("/v2-beta/projects/1a8/services/1s5", c.service)
			spec := specFor("1s5")
			c.change(&spec)
			p, err := f.client(web).PrepareUpgrade(t.Context(), spec)
			var e *Error
			conflict := errors.As(err, &e) && e.Conflict()
			if p != nil && err == nil || conflict != c.conflict || !strings.Contains(err.Error(), c.text) {
				t.Errorf("PrepareUpgrade = %v, want conflict %v and %q", err, c.conflict, c.text)
			}
		})
	}
}

// TestAgentKeyOfTheRecording: the container's own key saw no secrets, and the real
// server dropped them although the body carried them.
func TestAgentKeyOfTheRecording(t *testing.T) {
	f := newFake(t)
	f.kind = "environment"
	f.serve("/v2-beta/projects/1a8/services/1s35", string(exchange(t, "16-keys-and-secrets.jsonl", 6)["responseBody"]))
	f.mu.Lock()
	var seen wireService
	if err := json.Unmarshal(exchange(t, "16-keys-and-secrets.jsonl", 6)["responseBody"], &seen); err != nil {
		t.Fatal(err)
	}
	f.stacks[seen.StackID] = map[string]any{"id": seen.StackID, "type": "stack", "name": "shop", "state": "active"}
	f.mu.Unlock()
	_, err := f.client(web).PrepareUpgrade(t.Context(), specFor("1s35"))
	var unsafe *UnsafeError
	if !errors.As(err, &unsafe) || !slices.Equal(unsafe.Paths, []string{"/launchConfig/secrets"}) {
		t.Errorf("PrepareUpgrade = %v, want a refusal at the secrets", err)
	}
}

func TestCheckBody(t *testing.T) {
	launch := `{"imageUuid":"docker:a@` + digestA + `"}`
	sound := `{"inServiceStrategy":{"batchSize":1,"intervalMillis":2000,"startFirst":false,"launchConfig":` + launch + `}}`
	if err := checkBody("op", []byte(sound), pinnedRules); err != nil {
		t.Errorf("checkBody(sound) = %v", err)
	}
	for _, c := range [][2]string{
		{`"batchSize":1`, `"batchSize":null`},
		{`"batchSize":1`, `"batchSize":1.5`},
		{`"batchSize":1`, `"batchSize":"2"`},
		{`"batchSize":1`, `"batchSize":true`},
		{`"batchSize":1`, `"batchSize":1000000000000`},
		{`"batchSize":1`, `"x":1`},
		{`2000`, `99`},
		{`2000`, `30001`},
		{`2000`, `null`},
		{`false`, `"yes"`},
		{`false`, `null`},
		{launch, `null`},
		{launch, `"text"`},
		{launch, `[]`},
		{launch, `{}`},
		{`"docker:a@` + digestA + `"`, `null`},
		{`docker:a@`, `a@`},
		{digestA, "sha256:nothex"},
		{`"inServiceStrategy"`, `"toServiceStrategy"`},
		{launch, launch + `,"secondaryLaunchConfigs":[{"imageUuid":"docker:x"}]`},
		{launch, launch + `,"secondaryLaunchConfigs":[{"name":"x"}]`},
		{launch, launch + `,"secondaryLaunchConfigs":[{"name":"x","imageUuid":"rancher/none"}]`},
	} {
		if err := checkBody("op", []byte(strings.Replace(sound, c[0], c[1], 1)), pinnedRules); err == nil {
			t.Errorf("checkBody with %s for %s = nil, want a refusal", c[1], c[0])
		}
	}
}

// TestUpgradeAndFinish sends what was prepared and reads the recorded answers.
func TestUpgradeAndFinish(t *testing.T) {
	f := newFake(t)
	const file = "02-upgrade-finish.jsonl"
	f.serve("/v2-beta/projects/1a8/services/1s5", string(exchange(t, file, 1)["responseBody"]))
	c := f.client(web)
	p, err := c.PrepareUpgrade(t.Context(), specFor("1s5"))
	if err != nil {
		t.Fatal(err)
	}
	var sent []byte
	var at, typ string
	answer := exchange(t, file, 4)["responseBody"]
	f.mu.Lock()
	f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		sent, _ = io.ReadAll(r.Body)
		at, typ = r.URL.RequestURI(), r.Header.Get("Content-Type")
		w.WriteHeader(202)
		_, _ = w.Write(answer)
		return true
	}
	f.mu.Unlock()
	s, err := c.Upgrade(t.Context(), p)
	if err != nil || s.State != observe.StateUpgrading || s.Launch.Version == "0" || s.Stack != "shop" {
		t.Errorf("Upgrade = %+v, %v", s, err)
	}
	if string(sent) != string(p.Body) || at != "/v2-beta/projects/1a8/services/1s5/?action=upgrade" || typ != "application/json" {
		t.Errorf("sent %s as %s to %s", sent, typ, at)
	}
	if _, err := c.Rollback(t.Context(), "1s5"); err != nil || len(sent) != 0 || typ != "" {
		t.Errorf("Rollback sent %q as %q: %v", sent, typ, err)
	}
	if _, err := c.CancelUpgrade(t.Context(), "1s5"); err != nil || !strings.HasSuffix(at, "action=cancelupgrade") {
		t.Errorf("CancelUpgrade sent %s: %v", at, err)
	}
	// Another image in the answer: somebody else's upgrade won.
	answer = []byte(strings.ReplaceAll(string(answer), "sha256:bbbb", "sha256:cccc"))
	_, err = c.Upgrade(t.Context(), p)
	var e *Error
	if !errors.As(err, &e) || !e.Unknown() || e.Code != CodeMismatch {
		t.Errorf("Upgrade with another image in the answer = %v", err)
	}
}

func TestFinishLooksFirst(t *testing.T) {
	f := newFake(t)
	upgraded := string(exchange(t, "02-upgrade-finish.jsonl", 24)["responseBody"])
	var w wireService
	if err := json.Unmarshal([]byte(upgraded), &w); err != nil {
		t.Fatal(err)
	}
	f.serve("/v2-beta/projects/1a8/services/1s5", upgraded)
	_, err := f.client(web).FinishUpgrade(t.Context(), "1s5", "another")
	var e *Error
	if !errors.As(err, &e) || !e.Conflict() {
		t.Errorf("FinishUpgrade of another version = %v, want a conflict", err)
	}
	_, _ = f.client(web).FinishUpgrade(t.Context(), "1s5", w.LaunchConfig.Version)
	posts := slices.DeleteFunc(f.requests(), func(r string) bool { return !strings.HasPrefix(r, "POST") })
	if !slices.Equal(posts, []string{"POST /v2-beta/projects/1a8/services/1s5/?action=finishupgrade"}) {
		t.Errorf("sent %q, want one finish", posts)
	}
}

func TestLogs(t *testing.T) {
	f := newFake(t)
	f.addService("1s1", "web")
	f.containers["1i1"] = containerJSON("1i1", "1s1")
	f.addService("1s2", "other")
	f.containers["1i2"] = containerJSON("1i2", "1s2")
	recorded := recording(t, "real-logs-01.jsonl")[0]
	var sent []byte
	f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		sent, _ = io.ReadAll(r.Body)
		_, _ = w.Write(recorded["responseBody"])
		return true
	}
	c := f.client(web)
	address, token, err := c.Logs(t.Context(), "1i1", LogOptions{Follow: true, Lines: 5, Timestamps: true})
	if want := "ws" + strings.TrimPrefix(f.server.URL, "http") + "/v1/logs/"; err != nil || address != want || token != "REDACTED" {
		t.Errorf("Logs = %q, %q, %v; want %q", address, token, err, want)
	}
	if d := Diff(recorded["requestBody"], sent); !slices.Equal(d, []string{"/since"}) {
		t.Errorf("the body differs from the recorded one at %q", d)
	}
	var refused *CapabilityError
	if _, _, err := c.Logs(t.Context(), "1i2", LogOptions{}); !errors.As(err, &refused) {
		t.Errorf("Logs of another service's container = %v, want a refusal", err)
	}
}

// TestRestoreKeepsWhatOthersDid: a sidekick that a person upgraded after the rollout is not taken back with it; the
// refusal names what would be undone (A34).
func TestRestoreKeepsWhatOthersDid(t *testing.T) {
	service := func(version, image string) string {
		return `{"id":"1s5","type":"service","baseType":"service","name":"web","stackId":"1st5","state":"active","actions":{"upgrade":"x"},
			"launchConfig":{"imageUuid":"docker:registry.example/app@` + digestB + `","version":"ours"},
			"secondaryLaunchConfigs":[{"name":"log","imageUuid":"` + image + `","version":"` + version + `"}]}`
	}
	const stored = `[{"name":"log","imageUuid":"docker:log:1","version":"0"}]`
	for name, tt := range map[string]struct {
		version, image string
		refused        bool
		sent           string
	}{
		"untouched":              {"0", "docker:log:1", false, ""},
		"changed by our rollout": {"ours", "docker:log:2", false, `"secondaryLaunchConfigs":[{"name":"log","imageUuid":"docker:log:1","version":"0"}]`},
		"changed by a person":    {"theirs", "docker:log:3", true, ""},
		"only made anew":         {"theirs", "docker:log:1", false, ""},
	} {
		f := newFake(t)
		f.serve("/v2-beta/projects/1a8/services/1s5", service(tt.version, tt.image))
		spec := specFor("1s5")
		spec.ExpectVersion, spec.Image = "ours", "registry.example/app@"+digestA
		spec.Base, spec.BaseSecondary = json.RawMessage(`{"imageUuid":"docker:registry.example/app@`+digestA+`","version":"0"}`), json.RawMessage(stored)
		p, err := f.client(web).PrepareUpgrade(t.Context(), spec)
		var unsafe *UnsafeError
		if errors.As(err, &unsafe) != tt.refused || !tt.refused && err != nil {
			t.Fatalf("%s: PrepareUpgrade = %v, want a refusal: %t", name, err, tt.refused)
		}
		if tt.refused {
			if !slices.Contains(unsafe.Paths, "/secondaryLaunchConfigs/log/imageUuid") || !strings.Contains(err.Error(), "somebody changed sidekick log") {
				t.Errorf("%s: %v, want the path that would be undone", name, err)
			}
			continue
		}
		if !strings.Contains(string(p.Body), tt.sent) || tt.sent == "" && strings.Contains(string(p.Body), "secondary") {
			t.Errorf("%s: Body = %s, want it to have %q", name, p.Body, tt.sent)
		}
	}
}
