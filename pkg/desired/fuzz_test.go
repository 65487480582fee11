package desired

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// FuzzParse holds Parse to its promises for any bytes: it never panics; an error
// is Errors with places in the file; a configuration is complete, and what it
// holds is what the tree saw, although another YAML parser read it.
func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	files, err := filepath.Glob(root + "test/testdata/invalid/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, root+"config/targets.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		config, err := Parse("targets.yaml", text)
		if err != nil {
			checkErrors(t, config, err, text)
			return
		}
		checkComplete(t, config)
		checkAgreement(t, text)
	})
}

func checkErrors(t *testing.T, config *Config, err error, text []byte) {
	var list Errors
	if !errors.As(err, &list) || len(list) == 0 || config != nil {
		t.Fatalf("Parse = %v, %v, want no configuration and Errors", config, err)
	}
	if strings.Contains(err.Error(), "cannot be decoded") {
		t.Errorf("the tree accepts what the decoder refuses:\n%s", text)
	}
	lines := bytes.Count(text, []byte("\n")) + bytes.Count(text, []byte("\r")) + 2
	for _, e := range list {
		if e.Message == "" || e.Line < 0 || strings.ContainsAny(e.Error(), "\n\r") {
			t.Errorf("complaint %+v", e)
		}
		if e.Line > lines && !bytes.ContainsAny(text, "\u0085\u2028\u2029") {
			t.Errorf("complaint about line %d of %d", e.Line, lines)
		}
	}
}

func checkComplete(t *testing.T, config *Config) {
	if len(config.Targets) == 0 {
		t.Error("no targets")
	}
	for _, target := range config.Targets {
		r, g := target.Rollout, target.Gates
		if r.StartFirst == nil || r.Settle == nil || r.Probation == nil || r.Backoff == nil || g.Health == nil || g.Health.MaxRestarts == nil {
			t.Errorf("%s has keys without a value", target.Key())
		}
		if g.LoadBalancer != nil && (g.LoadBalancer.MaxErrorRate == nil || g.LoadBalancer.ProbesCount == nil || g.LoadBalancer.MinRequests < 1) {
			t.Errorf("%s has a load balancer gate without a value", target.Key())
		}
		if r.Bake.Duration >= r.ProgressDeadline.Duration || target.Name == "" {
			t.Errorf("%s breaks a relation", target.Key())
		}
	}
}

// checkAgreement decodes the same file from its tree and compares.
func checkAgreement(t *testing.T, text []byte) {
	complaints := newComplaints("targets.yaml")
	tree := parseTree(text, complaints)
	byDecoder, err := decode(text, tree, true)
	if err != nil {
		t.Fatal(err)
	}
	byTree, err := decode(text, tree, false)
	if err != nil {
		t.Fatalf("the tree of a valid file: %v", err)
	}
	if !reflect.DeepEqual(byDecoder, byTree) {
		t.Errorf("the decoder reads\n%s\nthe tree has\n%s", asJSON(t, byDecoder), asJSON(t, byTree))
	}
}
