package desired

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// compileSchema also holds the schema to the 2020-12 meta-schema.
func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("targets.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("targets.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(s *jsonschema.Schema, text string) error {
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

// yamlBlock finds the YAML blocks of a Markdown page.
var yamlBlock = regexp.MustCompile("(?ms)^```ya?ml\n(.*?)^```")

// targetBlocks are those that are a whole targets.yaml.
func targetBlocks(page string) []string {
	var blocks []string
	for _, m := range yamlBlock.FindAllStringSubmatch(page, -1) {
		if strings.HasPrefix(m[1], "# config/targets.yaml") || strings.Contains(m[1], "apiVersion: "+APIVersion) {
			blocks = append(blocks, m[1])
		}
	}
	return blocks
}

// TestExamplesAreValid reads every targets.yaml that is shown to people.
func TestExamplesAreValid(t *testing.T) {
	schema := compileSchema(t)
	checked := 0
	check := func(name, text string) {
		checked++
		if err := validate(schema, text); err != nil {
			t.Errorf("%s: schema: %v", name, err)
		}
		if _, err := Parse(filepath.Base(name), []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	shipped, err := os.ReadFile(root + "config/targets.yaml")
	if err != nil {
		t.Fatal(err)
	}
	check("config/targets.yaml", string(shipped))
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range targetBlocks(string(text)) {
			check(page, block)
		}
	}
	if checked < 2 {
		t.Errorf("checked %d examples, want the shipped file and at least one in the docs", checked)
	}
}

func pages(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob(root + "README*.md")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root+"docs", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// TestSchemaRefuses shows that the schema catches what an editor can show while
// the file is being written.
func TestSchemaRefuses(t *testing.T) {
	schema := compileSchema(t)
	for name, change := range map[string][2]string{
		"unknown key":       {"bake: 10m", "bacthSize: 1"},
		"bare duration":     {"bake: 10m", "bake: 10"},
		"wrong enum":        {"finish: auto", "finish: atuo"},
		"literal secret":    {"{env: KEY}", "hunter2"},
		"two places":        {"{env: KEY}", "{env: KEY, file: /x}"},
		"password in URL":   {"http://rancher.example", "http://a:b@rancher.example"},
		"digest to follow":  {":latest", "@sha256:" + strings.Repeat("0", 64)},
		"port out of range": {"port: 8080", "port: 80800"},
		"share above one":   {"maxErrorRate: 1%", "maxErrorRate: 2"},
		"no targets":        {"targets:", "targetss:"},
		"underscore":        {"stack: web", "stack: we_b"},
	} {
		if err := validate(schema, valid); err != nil {
			t.Fatalf("the file before the change: %v", err)
		}
		text := strings.Replace(valid, change[0], change[1], 1)
		if text == valid {
			t.Errorf("%s: nothing to change", name)
		}
		if validate(schema, text) == nil {
			t.Errorf("%s: the schema accepts it", name)
		}
	}
}
