// Package conformance drives the embedded Rancher through recordings of a running one and compares what both answer.
package conformance

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// folder is where the recordings are. Others in the same form can be played as well.
var folder = flag.String("recordings", filepath.Join("..", "testdata", "rancher-recordings"), "folder with recordings to play")

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

	Sample    int              // A picture of the service and its containers; only changes are recorded.
	Service   map[string]any   // Of a sample.
	Instances []map[string]any // Of a sample.

	Frame   map[string]any // A frame of the event stream, in one kind of recording …
	Message map[string]any // … and in the other.
	Event   string         // handshake, of the event stream.

	Measured map[string]any // Figures only.
}

func (l line) isExchange() bool { return l.Method != "" && l.Response != nil }

func (l line) body() map[string]any {
	m, _ := l.Response.(map[string]any)
	return m
}

// frame is a frame of the event stream, nil when the line is none.
func (l line) frame() map[string]any {
	if l.Frame != nil {
		return l.Frame
	}
	return l.Message
}

// opensSocket tells whether the line is a handshake of the event stream.
func (l line) opensSocket() bool {
	return strings.Contains(l.Path, "/subscribe") && (l.Headers["upgrade"] != "" || l.Event == "handshake")
}

// isRead tells whether the exchange only reads.
func (l line) isRead() bool { return l.isExchange() && l.Method == "GET" }

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
func (l line) where() string {
	if l.Method == "" {
		return fmt.Sprintf("line %d", l.Seq)
	}
	return fmt.Sprintf("line %d: %s %s", l.Seq, l.Method, l.Path)
}

// scenarios are the recordings in the folder by name, each with its files: a long one goes on in NAME-2.
func scenarios(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(*folder, "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no recordings (%v)", *folder, err)
	}
	slices.Sort(files)
	found := map[string][]string{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		first := continued.ReplaceAllString(name, "")
		found[first] = append(found[first], name)
	}
	for _, names := range found {
		slices.Sort(names) // NAME before NAME-2.
	}
	for name, main := range beside {
		if found[name] != nil && found[main] != nil {
			found[main] = append(found[main], found[name]...)
			delete(found, name)
		}
	}
	return found
}

// beside are recordings of something that went on during another one, by the same clock.
var beside = map[string]string{"real-03-subscribe-upgrade": "real-02-upgrade-rollback-finish"}

// continued is the ending of a file that goes on with a scenario.
var continued = regexp.MustCompile(`-\d$`)

// load reads recordings, one after another.
func load(t *testing.T, names ...string) []line {
	t.Helper()
	var lines []line
	for _, name := range names {
		f, err := os.Open(filepath.Join(*folder, name+".jsonl"))
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
	if len(names) > 1 && beside[names[1]] != "" {
		slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.T, b.T) })
	}
	return lines
}

// report is a note about a health report: UP or DOWN for a container.
var report = regexp.MustCompile(`reports (UP|DOWN) for (?:container )?(1i\d+)`)

// servicePath finds a service's id in a path.
var servicePath = regexp.MustCompile(`/(?:services|loadbalancerservices|dnsservices|externalservices)/(1s\d+)(?:/|\?|$)`)

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

// isServiceRead tells whether the exchange reads one service, without more.
func (l line) isServiceRead() bool {
	return l.isRead() && l.Status == 200 && isService(l.body()) && strings.HasSuffix(l.Path, "/"+l.serviceOf())
}

func isService(body map[string]any) bool {
	return body["baseType"] == "service" && body["state"] != nil
}
