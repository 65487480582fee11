package rancher

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

func TestDiff(t *testing.T) {
	for _, c := range []struct {
		name, before, after string
		want                []string
	}{
		{"equal but for spaces and order", `{"a":1,"b":[1, 2]}`, `{ "b" : [1,2],"a":1 }`, nil},
		{"escapes mean the same", `{"a":"x\/y"}`, `{"a":"x/y"}`, nil},
		{"numbers by their spelling", `{"a":1.0}`, `{"a":1}`, []string{"/a"}},
		{"large numbers", `{"a":9007199254740993}`, `{"a":9007199254740992}`, []string{"/a"}},
		{"null is not absent", `{"a":null}`, `{}`, []string{"/a"}},
		{"added", `{}`, `{"a/b":1,"c~d":2}`, []string{"/a~1b", "/c~0d"}},
		{"nested", `{"a":{"b":[1,{"c":2}]}}`, `{"a":{"b":[1,{"c":3},4]}}`, []string{"/a/b/1/c", "/a/b/2"}},
		{"kinds", `{"a":{}}`, `{"a":[]}`, []string{"/a"}},
		{"a key twice", `{"a":{"x":1,"x":2}}`, `{"a":{"x":2}}`, []string{"/a"}},
		{"broken text", `{"a":"\ud800"}`, `{"a":"\ud801"}`, []string{"/a"}},
		{"no JSON", `{`, `}`, []string{""}},
		{"root", `1`, `2`, []string{""}},
	} {
		if got := Diff(json.RawMessage(c.before), json.RawMessage(c.after)); !slices.Equal(got, c.want) {
			t.Errorf("%s: Diff(%s, %s) = %q, want %q", c.name, c.before, c.after, got, c.want)
		}
	}
}

func TestSetOwnLabels(t *testing.T) {
	own := map[string]string{"io.drover.to": "b", "io.drover.rollout": "r2"}
	for _, c := range []struct{ before, after string }{
		{`{"x":1e2}`, `{"x":1e2,"labels":{"io.drover.rollout":"r2","io.drover.to":"b"}}`},
		{`{"labels":null}`, `{"labels":{"io.drover.rollout":"r2","io.drover.to":"b"}}`},
		{`{"labels":{ }, "x":1}`, `{"labels":{"io.drover.rollout":"r2","io.drover.to":"b" }, "x":1}`},
		{
			`{"labels":{"team":"a\/b", "io.drover.to":"a" ,"io.drover.gone":"x"}}`,
			`{"labels":{"team":"a\/b", "io.drover.to":"b","io.drover.rollout":"r2"}}`,
		},
		{`{"labels":{"io.droverX":"kept"}}`, `{"labels":{"io.droverX":"kept","io.drover.rollout":"r2","io.drover.to":"b"}}`},
	} {
		got, err := setOwnLabels([]byte(c.before), own)
		if err != nil || string(got) != c.after {
			t.Errorf("setOwnLabels(%s) = %s, %v; want %s", c.before, got, err, c.after)
		}
	}
	for _, broken := range []string{`{"labels":[]}`, `{"labels":{"a":1,"a":2}}`, `{"labels":{},"labels":{}}`, `[]`, `{`} {
		if got, err := setOwnLabels([]byte(broken), own); err == nil {
			t.Errorf("setOwnLabels(%s) = %s, want an error", broken, got)
		}
	}
}

func TestProveFindsWhatAnEditLost(t *testing.T) {
	before := `{"imageUuid":"docker:a","labels":{"team":"x"},"startOnCreate":false,"memory":1073741824.0}`
	for after, lost := range map[string]bool{
		`{"imageUuid":"docker:b","labels":{"team":"x","io.drover.to":"1"},"startOnCreate":false,"memory":1073741824.0}`: false,
		`{"imageUuid":"docker:b","labels":{"team":"x"},"memory":1073741824.0}`:                                          true,
		`{"imageUuid":"docker:b","labels":{"team":"y"},"startOnCreate":false,"memory":1073741824.0}`:                    true,
		`{"imageUuid":"docker:b","labels":null,"startOnCreate":false,"memory":1073741824.0}`:                            true,
		`{"imageUuid":"docker:b","labels":{"team":"x"},"startOnCreate":false,"memory":1073741824}`:                      true,
		`{"imageUuid":"docker:b","labels":{"team":"x"},"startOnCreate":false,"memory": 1073741824.0}`:                   true,
	} {
		if err := prove("op", "/launchConfig", []byte(before), []byte(after)); (err != nil) != lost {
			t.Errorf("prove(%s) = %v, want lost %v", after, err, lost)
		}
	}
}

// FuzzEdit looks for a launch configuration that an edit changes elsewhere.
func FuzzEdit(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { "imageUuid" : "docker:x" , "labels" : { } } `, `{"labels":{"io.drover.a":"1","b":"2","io.drover.c":"3"}}`,
		`{"a":[1e400,-0.0,1.50],"b":"\u2028\/","labels":{"io.drover.x":null}}`, `{"":{"":""},"labels":null}`,
		`{"labels":{"a":"}","io.drover.\u0061":"1"},"imageUuid":"\\\""}`,
	} {
		f.Add([]byte(seed), "io.drover.to", "v<&>")
	}
	f.Fuzz(func(t *testing.T, launch []byte, key, value string) {
		key = ownLabels + key
		after, err := setMember(launch, "imageUuid", quote("docker:app@"+digestB))
		if err != nil {
			return
		}
		if after, err = setOwnLabels(after, map[string]string{key: value}); err != nil {
			return
		}
		if !json.Valid(after) {
			t.Fatalf("%q became %q, which is no JSON", launch, after)
		}
		if err := prove("op", "", launch, after); err != nil {
			t.Fatalf("%q became %q: %v", launch, after, err)
		}
		again, err := setOwnLabels(after, map[string]string{key: value})
		if err != nil || !bytes.Equal(after, again) {
			t.Fatalf("a second edit of %q gave %q, %v", after, again, err)
		}
	})
}

// FuzzDiff holds Diff to what equality means.
func FuzzDiff(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"x"}]}`), []byte(`{"a":[1,{"b":"y"}],"c":null}`))
	f.Add([]byte(`"\ud800"`), []byte(`"\ufffd"`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if d := Diff(a, a); d != nil {
			t.Fatalf("Diff(%q, itself) = %q", a, d)
		}
		forth, back := Diff(a, b), Diff(b, a)
		if (forth == nil) != (back == nil) {
			t.Fatalf("Diff(%q, %q) = %q, back %q", a, b, forth, back)
		}
	})
}
