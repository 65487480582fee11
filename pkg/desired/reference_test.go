package desired

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/targets.md and the messages of test/testdata/invalid anew")

const root = "../../"

func TestReference(t *testing.T) {
	const page = root + "docs/targets.md"
	want := Reference()
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from the types; run: go test ./pkg/desired -run TestReference -update", page)
	}
}

// TestEveryFieldIsDescribed keeps the types, which the page, the schema and the
// checks are made from, complete.
func TestEveryFieldIsDescribed(t *testing.T) {
	walkTypes(reflect.TypeFor[Config](), map[reflect.Type]bool{}, func(owner reflect.Type, f reflect.StructField) {
		name := owner.Name() + "." + f.Name
		text := describe(owner, f.Name)
		if !strings.HasSuffix(text, ".") || strings.HasPrefix(text, f.Name+" ") {
			t.Errorf("%s is described as %q, want a sentence that begins with its name", name, text)
		}
		r := rulesOf(f)
		if r.key == "" {
			t.Errorf("%s has no key", name)
		}
		if _, ok := grammars[r.is]; !ok {
			t.Errorf("%s: no grammar %q", name, r.is)
		}
		if _, ok := grammars[r.keys]; !ok {
			t.Errorf("%s: no grammar %q for its keys", name, r.keys)
		}
		switch inner := element(f.Type); {
		case inner == durationType:
			if least, most := mustDuration(r.least), mustDuration(r.most); least >= most {
				t.Errorf("%s: range %s to %s", name, r.least, r.most)
			}
		case inner.Kind() == reflect.Int, inner.Kind() == reflect.Float64 && inner != percentType:
			if err := checkRange(r.most, r); err != nil || r.least == "" {
				t.Errorf("%s: range %q to %q", name, r.least, r.most)
			}
			// Zero means "not set", so it must not be a value unless it is behind a pointer.
			if f.Type.Kind() == reflect.Int && checkRange("0", r) == nil {
				t.Errorf("%s: 0 is in its range, so it must be a pointer", name)
			}
		}
		if f.Type == durationType && mustDuration(r.least) == 0 {
			t.Errorf("%s: 0 is in its range, so it must be a pointer", name)
		}
	})
}

func walkTypes(t reflect.Type, done map[reflect.Type]bool, visit func(reflect.Type, reflect.StructField)) {
	if done[t] {
		return
	}
	done[t] = true
	for f := range fieldsOf(t) {
		visit(t, f)
		if inner := element(f.Type); isStruct(inner) {
			walkTypes(inner, done, visit)
		}
	}
}

// TestReferenceShowsRealMessages holds the mistakes shown on the page to what
// Parse says of the page's own example with those mistakes in it.
func TestReferenceShowsRealMessages(t *testing.T) {
	blocks := targetBlocks(intro)
	if len(blocks) != 1 {
		t.Fatalf("the introduction has %d examples, want 1", len(blocks))
	}
	broken := strings.NewReplacer("  service:", "  sevice:", "{name: chat,", "{name: chta,").Replace(blocks[0])
	_, err := Parse("targets.yaml", []byte(broken))
	if err == nil {
		t.Fatal("the broken example is valid")
	}
	if !strings.Contains(intro, "```\n"+err.Error()+"\n```") {
		t.Errorf("the page does not show the messages of its example:\n%s", err)
	}
}
