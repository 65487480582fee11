package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// simulateData is a state directory, packed, that a daemon left beside a sandbox, and the
// targets.yaml it ran with: a good version, one that fails a fifth of its requests
// and is taken back, one that fails few and stays, one that dies on probation.
var simulateData = filepath.Join("..", "..", "internal", "simulation", "testdata")

// recordForSimulate plays these rollouts and keeps what is left of them: go test
// ./cmd/controller -run TestSimulateRecorded -update.
func recordForSimulate(t *testing.T) {
	t.Helper()
	p := newPeer(t)
	text, err := os.ReadFile(p.config())
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer("probation: 0s", "probation: 25s", "maxErrorRate: 5%", "maxErrorRate: 10%",
		"settle: 300ms", "settle: 1s", "bake: 2s", "bake: 5s", "interval: 200ms", "interval: 1s", "minHealthyTime: 500ms", "minHealthyTime: 1s").Replace(string(text))
	if err := os.WriteFile(p.config(), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	p.start()
	p.awaitAdopted()
	over := func(behaviour string, outcome reconcile.Outcome, kind reconcile.Kind) {
		digest := p.push(behaviour)
		p.await(behaviour+" is over", func() bool {
			h := p.history()
			return h.Last != nil && h.Rollout == nil && h.Probation == nil && h.Last.Outcome == outcome && h.Last.Kind == kind &&
				(h.Last.To.Digest == digest || kind == reconcile.Restore)
		})
	}
	over("serve", reconcile.Finished, reconcile.Deploy)
	over("errors=20%", reconcile.RolledBack, reconcile.Deploy)
	over("errors=4%", reconcile.Finished, reconcile.Deploy)
	over("crash-after=20s", reconcile.Finished, reconcile.Restore)
	p.kill()
	kept := filepath.Join(simulateData, "state")
	if err := errors.Join(os.RemoveAll(kept), pack(p.state(), kept)); err != nil {
		t.Fatal(err)
	}
	dir := filepath.ToSlash(p.dir)
	if err := os.WriteFile(filepath.Join(simulateData, "targets.yaml"), []byte(strings.ReplaceAll(changed, dir, "keys")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// pack keeps the journal and the evidence of a state directory.
func pack(state, to string) error {
	return filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".jsonl" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var packed bytes.Buffer
		z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := z.Write(data); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		file := filepath.Join(to, strings.TrimPrefix(path, state)+".gz")
		return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, packed.Bytes(), 0o644))
	})
}

// unpack is what pack kept.
func unpack(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return err
		}
		if data, err = io.ReadAll(z); err != nil {
			return err
		}
		file := filepath.Join(to, strings.TrimSuffix(strings.TrimPrefix(path, from), ".gz"))
		return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, data, 0o600))
	})
}

// recorded puts the recorded state directory and its targets.yaml into a script's
// directory, and says which rollouts there are.
func recorded(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: recorded")
	}
	ts.Check(unpack(filepath.Join(simulateData, "state"), ts.MkAbs("state")))
	config, err := os.ReadFile(filepath.Join(simulateData, "targets.yaml"))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("targets.yaml"), config, 0o600))
	rollouts, err := pastOf(language.English, ts.MkAbs("state"), time.Now())
	ts.Check(err)
	// The second fails a fifth of its requests, the third few.
	ts.Setenv("BAD", strings.TrimPrefix(rollouts[1].To, "sha256:")[:8])
	ts.Setenv("BAD_ROLLOUT", rollouts[1].ID)
	ts.Setenv("SOME_ROLLOUT", rollouts[2].ID)
}

// edit replaces a text in a file: edit FILE OLD NEW TO.
func edit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: edit FILE OLD NEW TO")
	}
	before := ts.ReadFile(args[0])
	after := strings.Replace(before, args[1], args[2], 1)
	if after == before {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), []byte(after), 0o600))
}

// TestSimulateRecorded: what is kept is intact, and by the file of that time
// nothing would have ended otherwise; with -update it is recorded anew.
func TestSimulateRecorded(t *testing.T) {
	if *update {
		recordForSimulate(t)
	}
	state := filepath.Join(t.TempDir(), "state")
	if err := unpack(filepath.Join(simulateData, "state"), state); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := verifyJournal(&out, language.English, state, false); err != nil {
		t.Error(err)
	}
	all, err := simulateAll(state, filepath.Join(simulateData, "targets.yaml"), nil, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var fates []string
	for i := range all {
		s := &all[i]
		if s.Unknown != "" || s.Differs || len(s.Changed) > 0 {
			t.Errorf("%s: %+v, want it as it was; a build whose gates count otherwise needs a new record (-update)", s.Rollout, s.Result)
			continue
		}
		fates = append(fates, string(s.Was.Fate))
	}
	if got, want := strings.Join(fates, " "), "finished rolled-back finished taken-back finished"; got != want {
		t.Errorf("recorded are %s, want %s", got, want)
	}
}
