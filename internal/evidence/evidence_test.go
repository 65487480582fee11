package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

func open(t *testing.T, limits Limits) (*Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "evidence")
	s, err := Open(dir, "test", limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, dir
}

// only reads the one file there is.
func only(t *testing.T, dir string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files = %v, %v, want one", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func replay(t *testing.T, data []byte) (all []Replayed) {
	t.Helper()
	if err := Replay(bytes.NewReader(data), nil, func(r Replayed) error { all = append(all, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestReplayOfABadRolloutComesToTheSameVerdictAtTheSameRequest: whatever the
// daemon decided, the file is enough to decide it again, look for look.
func TestReplayOfABadRolloutComesToTheSameVerdictAtTheSameRequest(t *testing.T) {
	s, dir := open(t, Limits{})
	w := newWorld(t, s)
	for range 30 {
		w.step() // The baseline is learnt; nothing is recorded.
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("%d files without a rollout", len(files))
	}
	w.digest = "b"
	d := w.until(reconcile.Rollback)
	for range 3 {
		w.step()
	}
	all := replay(t, only(t, dir))
	var verdict *Replayed
	for i := range all {
		if !all[i].IsSame {
			t.Errorf("look %d: decided %q, recorded %q", i, decidedOf(all[i].Decision).summary(), all[i].Recorded.summary())
		}
		if all[i].Decision.Action == reconcile.Rollback {
			verdict = &all[i]
		}
	}
	if verdict == nil {
		t.Fatal("no rollback in the replay")
	}
	if verdict.Decision.Reason != d.Reason || !strings.Contains(d.Reason, "new failed") {
		t.Errorf("replayed %q, decided was %q", verdict.Decision.Reason, d.Reason)
	}
	if !reflect.DeepEqual(verdict.Decision.Gates, d.Gates) {
		t.Errorf("the figures differ:\n%+v\n%+v", verdict.Decision.Gates, d.Gates)
	}
	if w.history.Last == nil || w.history.Last.Outcome != reconcile.RolledBack || !bytes.Contains(only(t, dir), []byte(`"end":{"outcome":"rolled-back"`)) {
		t.Error("the end is not recorded")
	}
}

// Probation belongs to the rollout's evidence; so do commands, restarts of Drover
// and a gap of the looks.
func TestReplayFollowsRestartsCommandsAndProbation(t *testing.T) {
	s, dir := open(t, Limits{})
	w := newWorld(t, s)
	w.bad = 0
	w.target.Rollout.Finish = "manual"
	w.step()
	w.digest = "b"
	w.until(reconcile.Upgrade)
	w.step()
	w.upgraded()
	w.step()
	// The process is killed and begins anew, from the journal.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w.memory = reconcile.Memory{}
	w.step()
	for range 20 {
		w.step()
	}
	w.now = w.now.Add(time.Minute) // Looks were missed: the bake begins again.
	for range 20 {
		w.step()
	}
	e := reconcile.Event{Kind: reconcile.EventApproved, At: w.now, By: "mei", Rollout: w.history.Rollout.ID}
	w.history, w.pending = w.history.Apply(e), []reconcile.Event{e}
	w.until(reconcile.FinishUpgrade)
	for range 30 {
		w.step()
	}
	w.bad = 3
	for range 30 {
		if w.step().Code == reconcile.CodeProbationFailed {
			break
		}
	}
	if last := w.decisions[len(w.decisions)-1]; !strings.Contains(last, string(reconcile.CodeProbationFailed)) {
		t.Fatalf("the last decision is %s", last)
	}
	data, err := os.ReadFile(Path(dir, w.history.Last.ID))
	if err != nil {
		t.Fatal(err)
	}
	all := replay(t, data)
	if len(all) < 50 {
		t.Errorf("%d looks, want those of the probation too", len(all))
	}
	for i := range all {
		if !all[i].IsSame || all[i].Note != "" {
			t.Errorf("look %d: decided %q, recorded %q %s", i, decidedOf(all[i].Decision).summary(), all[i].Recorded.summary(), all[i].Note)
		}
	}
	if n := bytes.Count(data, []byte(`"segment":`)); n != 2 {
		t.Errorf("%d segments, want one for each process", n)
	}
}

// Another policy on the same readings.
func TestReplayWithAnotherPolicy(t *testing.T) {
	s, dir := open(t, Limits{})
	w := newWorld(t, s)
	w.step()
	w.digest = "b"
	w.until(reconcile.Rollback)
	lenient := w.target
	lenient.Gates.LoadBalancer = nil
	failed := false
	err := Replay(bytes.NewReader(only(t, dir)), &lenient, func(r Replayed) error {
		for _, f := range r.Decision.Gates {
			failed = failed || f.Verdict == reconcile.Fail || f.Gate == "load balancer"
		}
		return nil
	})
	if err != nil || failed {
		t.Errorf("without its gate the rollout still fails (%v)", err)
	}
}

// A file of another build begins from zero and says so.
func TestReplayOfAnotherBuild(t *testing.T) {
	s, dir := open(t, Limits{})
	w := newWorld(t, s)
	w.step()
	w.digest = "b"
	w.until(reconcile.Rollback)
	other := bytes.Replace(only(t, dir), []byte(reconcile.MemoryShape), []byte("0123456789abcdef"), 1)
	all := replay(t, other)
	if !strings.Contains(all[0].Note, "another build (test)") || all[1].Note != "" {
		t.Errorf("notes = %q, %q", all[0].Note, all[1].Note)
	}
}

// Launch configurations hold the application's secrets; they are not in the file,
// and neither are known secrets or what looks like one.
func TestFileHoldsNoSecrets(t *testing.T) {
	s, dir := open(t, Limits{})
	s.Redact(NewRedactor("rancher-key-4711", `with "quotes" 12`))
	w := newWorld(t, s)
	w.step()
	w.digest = "b"
	w.until(reconcile.Upgrade)
	w.step()
	lines := []LogLine{
		{Text: "connecting with rancher-key-4711"},
		{Text: `said with "quotes" 12`},
		{Text: `password=hunter2-x Authorization: Bearer abcdefghijklmnop`},
		{Text: `{"token":"hunter2-y","user":"mei"}`},
		{Text: "postgres://chat:hunter2-z@db.example/chat"},
		{Text: "GET /v1/rooms 200"},
	}
	if err := s.AddContainer(w.target.Key(), w.now, Container{Why: "it died", Container: observe.Container{ID: "1i9"}, Lines: lines}); err != nil {
		t.Fatal(err)
	}
	w.until(reconcile.Rollback)
	data := string(only(t, dir))
	for _, secret := range []string{"hunter2", "rancher-key-4711", "quotes", "abcdefghijklmnop"} {
		if strings.Contains(data, secret) {
			i := strings.Index(data, secret)
			t.Errorf("%q is in the file: …%s…", secret, data[max(0, i-80):min(len(data), i+80)])
		}
	}
	if !strings.Contains(data, "GET /v1/rooms 200") || !strings.Contains(data, "withheld") {
		t.Error("too much is masked")
	}
	replay(t, []byte(data))
}

func TestRedactor(t *testing.T) {
	r := NewRedactor("s3cret-value", "tiny")
	for text, want := range map[string]string{
		"nothing here":                                   "nothing here",
		"key s3cret-value end":                           "key *** end",
		"tiny is too short to mask":                      "tiny is too short to mask",
		"PASSWORD: hunter22 next":                        "PASSWORD: *** next",
		`api_key="abc123def" x`:                          `api_key="***" x`,
		`{\"secret\":\"abcdef\",\"n\":1}`:                `{\"secret\":\"***\",\"n\":1}`,
		"Authorization: Basic dXNlcjpwYXNz":              "Authorization: Basic ***",
		"sent bearer eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl": "sent bearer ***",
		"https://mei:hunter22@git.example/x":             "https://mei:***@git.example/x",
		"AKIAIOSFODNN7EXAMPLE":                           "***",
		"glpat-abcdefghij0123":                           "***",
		"secrets are 3, tokens: none":                    "secrets are 3, tokens: none",
		"sha256:0123456789abcdef":                        "sha256:0123456789abcdef",
		"reading secret env:RANCHER_KEY: not set":        "reading secret env:RANCHER_KEY: not set",
	} {
		if got := r.String(text); got != want {
			t.Errorf("String(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzRedactorKeepsJSON(f *testing.F) {
	f.Add(`password=x`, "secret")
	f.Add(`{"token":"a\"b"}`, `a"b\c`)
	f.Add("Bearer abcdefgh\\u0000", "\x00\x01\x02\x03\x04\x05")
	f.Fuzz(func(t *testing.T, text, secret string) {
		r := NewRedactor(secret)
		data, err := json.Marshal(Line{Container: &Container{Why: text, Lines: []LogLine{{Text: text}}}, Cut: text})
		if err != nil {
			t.Skip()
		}
		// A known secret may be a piece of JSON itself; then the line is not written.
		if got := NewRedactor().Bytes(data); !json.Valid(got) {
			t.Errorf("%s became %s", data, got)
		}
		r.Bytes(data)
	})
}

func TestFilesAreBounded(t *testing.T) {
	s, dir := open(t, Limits{File: 40 << 10})
	w := newWorld(t, s)
	w.bad = 0
	w.step()
	w.digest = "b"
	w.until(reconcile.Upgrade)
	for range 300 {
		w.step()
	}
	w.bad = 2
	w.until(reconcile.Rollback)
	for range 2 {
		w.step()
	}
	data := only(t, dir)
	if len(data) > 50<<10 || bytes.Count(data, []byte(`"cut":`)) != 1 || !bytes.Contains(data, []byte(`"end":`)) {
		t.Errorf("%d bytes, %d cuts: want the end after one cut", len(data), bytes.Count(data, []byte(`"cut":`)))
	}
	if all := replay(t, data); len(all) < 20 {
		t.Errorf("%d looks before the cut", len(all))
	}
}

func TestOldFilesGo(t *testing.T) {
	s, dir := open(t, Limits{Files: 3, File: 1 << 20, Total: 100 << 20})
	for i := range 6 {
		path := filepath.Join(dir, fmt.Sprintf("old-%d.jsonl", i))
		if err := os.WriteFile(path, []byte("{}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, s)
	w.step()
	w.digest = "b"
	w.until(reconcile.Upgrade)
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(left) != 4 || !strings.HasSuffix(left[1], "notes.txt") && !strings.HasSuffix(left[0], "notes.txt") && !strings.HasSuffix(left[3], "notes.txt") {
		t.Errorf("files = %v, want the newest three and what is not evidence", left)
	}
	if info, err := os.Stat(Path(dir, w.history.Rollout.ID)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the rollout: %v, %v", info, err)
	}
}

func TestIdsCannotLeadOutOfTheFolder(t *testing.T) {
	for _, id := range []string{"../../etc/passwd", "/etc/passwd", "a\x00b", "", "..", strings.Repeat("x", 500)} {
		path := Path("/state/evidence", id)
		if filepath.Dir(path) != "/state/evidence" || len(filepath.Base(path)) > 120 || filepath.Base(path) == ".jsonl" && id != "" {
			t.Errorf("Path(%q) = %q", id, path)
		}
	}
}

// A disk that is full is told, and everything goes on.
func TestErrorsAreTold(t *testing.T) {
	s, dir := open(t, Limits{})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, nil)
	w.step()
	w.digest = "b"
	in := reconcile.Input{Target: w.target, Observed: w.snapshot(), History: w.history, Memory: w.memory, Now: w.now}
	for range 3 {
		w.step()
	}
	in.History = w.history
	if in.History.Rollout == nil {
		t.Fatal("no rollout")
	}
	if err := s.Record("chat/api", Step{In: in}); err == nil {
		t.Error("Record into no folder succeeds")
	}
}

func TestFilesThatAreNoEvidence(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":  "",
		"text":     "hello\n",
		"journal":  `{"v":1,"seq":1}` + "\n",
		"looks":    `{"at":"2026-11-26T01:00:00Z","look":{}}` + "\n",
		"broken":   `{"rollout":{"version":1,"id":"r"}}` + "\n{broken\n" + `{"at":"2026-11-26T01:00:00Z"}` + "\n",
		"newer":    `{"rollout":{"version":9,"id":"r"}}` + "\n",
		"no start": `{"rollout":{"version":1,"id":"r"}}` + "\n" + `{"look":{}}` + "\n",
		"bad part": `{"rollout":{"version":1}}` + "\n" + `{"segment":{"shape":"x"}}` + "\n" + `{"look":{"seen":{"service":[1]}}}` + "\n",
	} {
		if err := Replay(strings.NewReader(text), nil, func(Replayed) error { return nil }); err == nil {
			t.Errorf("%s: Replay succeeds", name)
		}
	}
	half := `{"rollout":{"version":1,"id":"r"}}` + "\n" + `{"at":"2026-11-26T0`
	if err := Replay(strings.NewReader(half), nil, func(Replayed) error { return nil }); err != nil {
		t.Errorf("a last line half written: %v", err)
	}
}

func FuzzReplay(f *testing.F) {
	dir := f.TempDir()
	s, err := Open(dir, "test", Limits{})
	if err != nil {
		f.Fatal(err)
	}
	w := newWorld(f, s)
	w.step()
	w.digest = "b"
	w.until(reconcile.Rollback)
	data, err := os.ReadFile(Path(dir, w.history.Rollout.ID))
	if err != nil {
		f.Fatal(err)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	f.Add(bytes.Join(lines[:min(6, len(lines))], nil))
	f.Add(lines[0])
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = Replay(bytes.NewReader(data), nil, func(Replayed) error { return nil })
	})
}

// A part of a snapshot that a replay does not know would be decided without.
func TestReplayKnowsEveryPart(t *testing.T) {
	var s observe.Snapshot
	for i := range reflect.TypeFor[observe.Snapshot]().NumField() {
		field := reflect.TypeFor[observe.Snapshot]().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "at" {
			continue // Of the line itself.
		}
		got := fieldOf(&s, name)
		if got == nil || got != reflect.ValueOf(&s).Elem().Field(i).Addr().Interface() {
			t.Errorf("fieldOf(%q) = %v, want %s", name, got, field.Name)
		}
	}
}
