// Package conformance drives the embedded Rancher through recordings of a running one and compares what both answer.
package conformance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// line is one line of a recording; its README says what the members mean.
type line struct {
	Seq      int
	T        float64
	Note     string
	Reduced  bool
	Method   string
	Path     string
	Status   int
	Request  json.RawMessage   `json:"requestBody"`
	Headers  map[string]string `json:"requestHeaders"`
	Response any               `json:"responseBody"`
}

func (l line) isExchange() bool { return l.Method != "" && l.Response != nil }

func (l line) body() map[string]any {
	m, _ := l.Response.(map[string]any)
	return m
}

// requestText is the body as it was sent; one that is no JSON was recorded as a string.
func (l line) requestText() string {
	var text string
	if json.Unmarshal(l.Request, &text) == nil {
		return text
	}
	if string(l.Request) == "null" {
		return ""
	}
	return string(l.Request)
}

// where names a line in a complaint.
func (l line) where() string { return fmt.Sprintf("line %d: %s %s", l.Seq, l.Method, l.Path) }

// load reads recordings, one after another.
func load(t *testing.T, names ...string) []line {
	t.Helper()
	var lines []line
	for _, name := range names {
		f, err := os.Open(filepath.Join("..", "testdata", "rancher-recordings", name+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		scanner := bufio.NewScanner(f)
		scanner.Buffer(nil, 16<<20)
		for scanner.Scan() {
			var l line
			if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			lines = append(lines, l)
		}
		if err := scanner.Err(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return lines
}

// report is a note about a health report: UP or DOWN for a container.
var report = regexp.MustCompile(`reports (UP|DOWN) for container (1i\d+)`)

// servicePath finds a service's id in a path.
var servicePath = regexp.MustCompile(`/(?:services|loadbalancerservices)/(1s\d+)(?:/|\?|$)`)

// serviceOf is the recorded id of the service an exchange is about, "" when it is about none.
func (l line) serviceOf() string {
	if m := servicePath.FindStringSubmatch(l.Path); m != nil {
		return m[1]
	}
	return ""
}

// isInstances tells whether the exchange lists a service's containers.
func (l line) isInstances() bool {
	path, _, _ := strings.Cut(l.Path, "?")
	return l.Method == "GET" && strings.HasSuffix(path, "/instances")
}
