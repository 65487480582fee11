package rancher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
)

// schemaFields are the fields of a launch configuration and their types, as Rancher's own schema has them.
func schemaFields(tb testing.TB) map[string]string {
	tb.Helper()
	s := ranchersim.New(ranchersim.Options{})
	defer s.Close()
	rec := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "http://rancher.example:8080/v2-beta/projects/"+s.ProjectID()+"/schemas/launchConfig", http.NoBody)
	s.Handler().ServeHTTP(rec, r)
	var schema struct {
		ResourceFields map[string]struct{ Type string }
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &schema); err != nil || len(schema.ResourceFields) < 100 {
		tb.Fatalf("the schema has %d fields (%v), want more than a hundred", len(schema.ResourceFields), err)
	}
	fields := map[string]string{}
	for name, f := range schema.ResourceFields {
		fields[name] = f.Type
	}
	return fields
}

// oddValue is a value of a schema type in a spelling that reading and writing it again would not keep.
func oddValue(name, kind string) string {
	switch {
	case kind == "int":
		return `1e2`
	case kind == "boolean":
		return `false`
	case kind == "date":
		return `"2026-11-24T01:38:12Z"`
	case strings.HasPrefix(kind, "array["):
		return `[ ` + oddValue(name, strings.TrimSuffix(strings.TrimPrefix(kind, "array["), "]")) + ` ,null]`
	case strings.HasPrefix(kind, "map["):
		return `{"b":` + oddValue(name, strings.TrimSuffix(strings.TrimPrefix(kind, "map["), "]")) + `, "a\/b" : "\u00e9\/<&>"}`
	case kind == "json", strings.HasPrefix(kind, "instanceHealthCheck"), strings.Contains(kind, "Config"), strings.Contains(kind, "Options"):
		return `{"port":8080.0,"deep":[-0.0,9007199254740993,1E+2],"z":null,"a":true}`
	}
	return `"a\/b \u2028 ` + name + `"`
}

// everyField is a launch configuration with every field of the schema, unknown ones among them, and extra.
func everyField(tb testing.TB, extra string) string {
	fields := schemaFields(tb)
	var b strings.Builder
	b.WriteString(`{"type":"launchConfig",` + "\n" + ` "imageUuid" : "docker:registry.example/app@` + digestA + `", "version":"0","labels":{"path":"a\/b", "io.drover.old":"x"}`)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch name {
		case "type", "imageUuid", "version", "labels":
			continue
		case "ports":
			b.WriteString(`,"ports":["8080:80\/tcp"]`)
			continue
		case "secrets":
			b.WriteString(`,"secrets":[ {"secretId":"1se1" } ]`)
			continue
		case "healthCheck":
			b.WriteString(`,"healthCheck":{"port":8080.0,"interval":2e3}`)
			continue
		}
		b.WriteString(`,"` + name + `":` + oddValue(name, fields[name]))
	}
	b.WriteString(`,"unknownToUs":{"memory":1073741824.0,"list":[1,1.0,1e0,10E-1]},"":""` + extra + `}`)
	return b.String()
}

// losslessSpec is an upgrade of the primary.
func losslessSpec() UpgradeSpec {
	s := specFor("1s5")
	s.Labels = map[string]string{"io.drover.rollout": "r1", "io.drover.to": "sha256:1"}
	return s
}

// sentLaunch is the launch configuration in an upgrade's body, as text.
func sentLaunch(tb testing.TB, body []byte) []byte {
	tb.Helper()
	var b struct {
		InServiceStrategy struct {
			LaunchConfig json.RawMessage `json:"launchConfig"`
		} `json:"inServiceStrategy"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		tb.Fatalf("%s: %v", body, err)
	}
	return b.InServiceStrategy.LaunchConfig
}

// prepareLaunch prepares the upgrade of a service with a launch configuration.
func prepareLaunch(launch string) (*Prepared, error) {
	var w rawService
	service := `{"id":"1s5","type":"service","baseType":"service","name":"web","stackId":"1st5","state":"active","actions":{"upgrade":"x"},"launchConfig":` + launch + `}`
	if err := json.Unmarshal([]byte(service), &w); err != nil {
		return nil, err
	}
	spec := losslessSpec()
	if err := spec.checkService("op", &w); err != nil {
		return nil, err
	}
	return spec.prepare("op", &w)
}

// TestUpgradeKeepsEverySchemaField: every field that Rancher's schema knows, and unknown ones, come back byte for byte but
// for the image and our labels.
func TestUpgradeKeepsEverySchemaField(t *testing.T) {
	launch := everyField(t, "")
	p, err := prepareLaunch(launch)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(
		`"imageUuid" : "docker:registry.example/app@`+digestA+`"`, `"imageUuid" : "docker:registry.example/team/app@`+digestB+`"`,
		`{"path":"a\/b", "io.drover.old":"x"}`, `{"path":"a\/b","io.drover.rollout":"r1","io.drover.to":"sha256:1"}`,
	).Replace(launch)
	if got := string(sentLaunch(t, p.Body)); got != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
}

// TestDroppedFieldsAreRefusedByTheirPath: whichever field an edit would lose, it is refused, and the refusal names it.
func TestDroppedFieldsAreRefusedByTheirPath(t *testing.T) {
	before := []byte(everyField(t, ""))
	all, err := members(before)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.key == "imageUuid" {
			continue
		}
		after, err := cutMember(before, m.key)
		if err != nil {
			t.Fatal(err)
		}
		var unsafe *UnsafeError
		err = prove("op", "/launchConfig", before, after)
		if !errors.As(err, &unsafe) || !slices.Contains(unsafe.Paths, "/launchConfig/"+pointer(m.key)) || !strings.Contains(err.Error(), "/launchConfig/"+pointer(m.key)) {
			t.Errorf("without %s: %v, want a refusal that names it", m.key, err)
		}
	}
}

// leaves are the values of a document in order, each with its path and, for numbers, its spelling. It is made with the
// standard library's own reader and knows nothing of the edit.
func leaves(tb testing.TB, text []byte) []string {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var all []string
	var walk func(path string)
	walk = func(path string) {
		token, err := d.Token()
		if err != nil {
			tb.Fatalf("%q: %v", text, err)
		}
		open, isDelim := token.(json.Delim)
		if !isDelim {
			all = append(all, fmt.Sprintf("%s = %T %v", path, token, token))
			return
		}
		all = append(all, fmt.Sprintf("%s %v", path, open))
		for i := 0; d.More(); i++ {
			key := fmt.Sprint(i)
			if open == '{' {
				token, _ := d.Token()
				key = token.(string)
			}
			if at := path + "/" + key; path == "" && key == "imageUuid" || path == "/labels" && strings.HasPrefix(key, ownLabels) {
				from := len(all)
				walk(at)
				all = all[:from]
			} else {
				walk(at)
			}
		}
		_, _ = d.Token()
	}
	walk("")
	return all
}

// FuzzUpgradeIsLossless looks for a member of a launch configuration that an upgrade does not send back as it was read.
func FuzzUpgradeIsLossless(f *testing.F) {
	every := everyField(f, "")
	for _, seed := range [][2]string{
		{"memory", "1073741824.0"},
		{"n", "-0"},
		{"n", "1E400"},
		{"n", "0.10"},
		{"n", `{"labels":{"io.drover.x":1},"imageUuid":"y"}`},
		{"", `"\ud800"`},
		{"a~/b", `[[],{},[{"":null}]]`},
		{"labelsX", `{"io.drover.x":"kept"}`},
		{"io.drover.x", `"\u0000"`},
		{"imageuuid", `"docker:x"`},
		{"Labels", `{"io.rancher.scheduler.global":"true"}`},
		{"VERSION", `"1"`},
		{"healthcheck", `1`},
	} {
		f.Add(seed[0], []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		if !json.Valid(value) {
			t.Skip()
		}
		launch := every[:len(every)-1] + "," + string(quote(key)) + ":" + string(value) + "}"
		p, err := prepareLaunch(launch)
		if err != nil {
			return // Refused, and nothing lost.
		}
		before, after := leaves(t, []byte(launch)), leaves(t, sentLaunch(t, p.Body))
		if !slices.Equal(before, after) {
			t.Fatalf("member %q: %s\nwas sent back as\n%s", key, value, sentLaunch(t, p.Body))
		}
	})
}
