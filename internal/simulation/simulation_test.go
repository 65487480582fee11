package simulation

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/evidence"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// recorded are the rollouts that a daemon left beside a sandbox, oldest first (see
// TestSimulateRecorded of cmd/controller): a good version, one that fails a fifth of
// its requests and is taken back, one that fails 4 % and stays, one that dies 20
// seconds after its start, on probation, and the way back from it.
func recorded(t testing.TB) (files [][]byte, config string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "state", "evidence", "*.gz"))
	if err != nil || len(paths) != 5 {
		t.Fatalf("evidence = %v, %v, want five files", paths, err)
	}
	began := map[*byte]time.Time{}
	for _, path := range paths {
		data := unpack(t, path)
		files = append(files, data)
		err := evidence.Read(bytes.NewReader(data), func(line evidence.Line) error {
			if line.Rollout != nil {
				began[&data[0]] = line.Rollout.Started
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(files, func(a, b []byte) int { return began[&a[0]].Compare(began[&b[0]]) })
	text, err := os.ReadFile(filepath.Join("testdata", "targets.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return files, string(text)
}

func unpack(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// recordings reads them.
func recordings(t *testing.T) ([]*Recording, string) {
	t.Helper()
	files, config := recorded(t)
	var all []*Recording
	for i, file := range files {
		var back []byte
		if i == 3 {
			back = files[4]
		}
		r, err := Read(file, back)
		if err != nil {
			t.Fatalf("rollout %d: %v", i, err)
		}
		all = append(all, r)
	}
	return all, config
}

// by decides one of them by an edited file.
func (r *Recording) by(t *testing.T, config string) Result {
	t.Helper()
	result, err := r.By(target(t, config))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// fate is what becomes of a rollout: = for the same, ? for what cannot be told,
// else the fate, with > when that is later than it was and < when it is sooner.
func fate(r Result) string {
	switch {
	case r.Unknown != "":
		return "?"
	case !r.Differs:
		return "="
	case r.Would.Fate == NotStarted:
		return string(NotStarted)
	}
	return string(r.Would.Fate) + [...]string{"<", "", ">"}[cmp.Compare(r.Would.Seconds, r.Was.Seconds)+1]
}

// TestBy edits the file as people do, and asks of each of five recorded rollouts.
func TestBy(t *testing.T) {
	all, config := recordings(t)
	tests := []struct {
		why, old, edited, want string
	}{
		{"nothing is changed", "", "", "= = = = ="},
		{"a longer bake catches what died on probation, and only delays the others", "bake: 5s", "bake: 20s", "finished> = finished> rolled-back undecided>"},
		{"a longer bake than anything was watched", "bake: 5s", "bake: 5m", "undecided> = undecided> rolled-back undecided>"},
		{"a shorter bake", "bake: 5s", "bake: 3s", "finished< = finished< finished< finished<"},
		{"a stricter limit takes the 4 % back", "maxErrorRate: 10%", "maxErrorRate: 1%", "= = rolled-back< * *"},
		{"without the load balancer nobody sees the errors", "    loadBalancer: {name: chat, maxErrorRate: 10%}\n", "", "* undecided * * *"},
		{"a deadline before the end", "deadline: 20s", "deadline: 4s}, BAKE: {", "rolled-back< = rolled-back< rolled-back< stuck<"},
		{"a person finishes", "bake: 5s", "bake: 5s, finish: manual", "awaits-approval = awaits-approval awaits-approval< awaits-approval"},
		{"another path was never asked for", "path: /healthz", "path: /ready", "? = ? ? ?"},
		{"another load balancer was never read", "{name: chat, max", "{name: other, max", "? ? ? ? ?"},
		{"no probation does not take the dying one back", "probation: 25s", "probation: 3s", "= = = finished< not-started"},
		{"a digest that must settle longer begins later", "settle: 1s", "settle: 1m", "finished rolled-back finished taken-back ="},
		{"Rancher's pace is not simulated", "batchSize: 1", "batchSize: 3", "= = = = ="},
		{"a rollback that may not take long", "backoff: 0s", "backoff: 0s, rollbackDeadline: 2s", "not-started not-started not-started not-started ="},
	}
	isOurs := bytes.Contains(all[0].file, []byte(reconcile.MemoryShape))
	if !isOurs {
		t.Log("recorded by another build: starts are not compared (go test ./cmd/controller -run TestSimulateRecorded -update)")
	}
	for _, tt := range tests {
		text := strings.Replace(config, tt.old, tt.edited, 1)
		if before, _, ok := strings.Cut(tt.edited, "}, BAKE: {"); ok { // Both deadlines at once.
			text = strings.Replace(strings.Replace(config, tt.old, before, 1), "bake: 5s", "bake: 5s, progressDeadline: 6200ms", 1)
		}
		text = strings.Replace(text, "- name: chat\n", "- {name: other, stats: 'http://127.0.0.1:1/'}\n- name: chat\n", 1)
		var got []string
		for _, r := range all {
			got = append(got, fate(r.by(t, text)))
		}
		wanted := strings.Fields(tt.want)
		for i := range wanted {
			// How the sandbox fared that day, or a start of which a build whose gates count
			// otherwise cannot tell.
			if wanted[i] == "*" || wanted[i] == string(NotStarted) && !isOurs {
				wanted[i] = got[i]
			}
		}
		if said := strings.Join(got, " "); said != strings.Join(wanted, " ") {
			t.Errorf("%s: %s\n got %s\nwant %s", tt.why, tt.edited, said, tt.want)
		}
	}
}

// What an answer rests on is said with it.
func TestBySaysWhatLimitsIt(t *testing.T) {
	all, config := recordings(t)
	tests := []struct {
		old, edited string
		rollout     int
		want        string
	}{
		{"bake: 5s", "bake: 20s", 3, "judged by the readings of the probation, without old containers beside"},
		{"bake: 5s", "bake: 20s", 4, `it would have been finished at \+\d+s at the earliest`},
		{"    loadBalancer: {name: chat, maxErrorRate: 10%}\n", "", 1, `it would have gone on \((upgrading|bake): .*\), and nothing more was read`},
		{"path: /healthz", "path: /ready", 0, `gates.http.path was not read; by all else: finished at \+\d+s`},
		{"path: /healthz", "path: /ready", 1, "gates.http.path was not read: what it would have failed may have been earlier"},
		{"settle: 1s", "settle: 1m", 0, `it would have begun (59|58|1m0)s? later`},
		{"settle: 1s", "settle: 0s", 0, "a shorter rollout.settle begins sooner, which is not simulated"},
		{"batchSize: 1", "batchSize: 3", 0, "rollout.batchSize changes how Rancher replaces containers, which is not simulated"},
		{"look: 500ms", "look: 1s", 0, "rollout.look changes how often is looked, which is not simulated"},
		{"maxErrorRate: 10%", "maxErrorRate: 1%", 2, `\d+ of \d+ requests failed, the limit is 1%`},
	}
	for _, tt := range tests {
		r := all[tt.rollout].by(t, strings.Replace(config, tt.old, tt.edited, 1))
		said := append(append([]string{r.Unknown}, r.Limits...), r.Notes...)
		if r.Would != nil {
			said = append(said, r.Would.Reason)
		}
		if !regexp.MustCompile(tt.want).MatchString(strings.Join(said, "\n")) {
			t.Errorf("%s, rollout %d: said is %q, want %q in it", tt.edited, tt.rollout, said, tt.want)
		}
	}
}

// What a file does not hold is said, and nothing made up.
func TestReadOfWhatCannotBeTold(t *testing.T) {
	files, config := recorded(t)

	// What the gates had counted was written by another build: the ends are the same
	// all the same, and the start is not judged where that takes what they had counted.
	notes := ""
	for i, file := range files {
		var back []byte
		if i == 3 {
			back = ofAnotherBuild(files[4])
		}
		other, err := Read(ofAnotherBuild(file), back)
		if err != nil {
			t.Fatal(err)
		}
		r := other.by(t, config)
		if r.Differs || r.Unknown != "" {
			t.Errorf("rollout %d of another build: %+v", i, r)
		}
		notes += strings.Join(r.Notes, "\n")
	}
	if !strings.Contains(notes, "recorded by another build") || !strings.Contains(notes, "whether it would have begun is not told") {
		t.Errorf("notes on another build = %q", notes)
	}

	// The file was full before the end.
	lines := bytes.SplitAfter(files[0], []byte("\n"))
	full := append(bytes.Join(lines[:12], nil), `{"at":"2100-01-01T00:00:00Z","cut":"the file is full: no further looks are kept"}`...)
	r := recordingOf(t, full).by(t, config)
	if r.Was.Fate != Open || r.Differs || !strings.Contains(strings.Join(r.Notes, "\n"), "the evidence is not whole") {
		t.Errorf("a file that was full: %+v", r)
	}

	// A record that this build does not come to by itself says nothing of an edit.
	otherwise := bytes.Replace(files[1], []byte(`"kind":"rolling-back"`), []byte(`"kind":"finishing"`), 1)
	r = recordingOf(t, otherwise).by(t, config)
	if r.Differs || !regexp.MustCompile(`this build decides it otherwise by the policy of that time already: rolled-back at \+\d+s, recorded was finished at \+\d+s`).MatchString(r.Unknown) {
		t.Errorf("a record that contradicts itself: %+v", r)
	}

	for name, file := range map[string][]byte{"nothing": nil, "only the head": lines[0], "no evidence": []byte("{}\n")} {
		if _, err := Read(file, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func recordingOf(t *testing.T, file []byte) *Recording {
	t.Helper()
	r, err := Read(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ofAnotherBuild is a file whose memory this build does not read.
func ofAnotherBuild(file []byte) []byte {
	return bytes.ReplaceAll(file, []byte(reconcile.MemoryShape), []byte("0123456789abcdef"))
}
