package test

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport is who may import which of our packages. A package that is not in
// it may not exist; a line that must change is a conversation first.
var mayImport = map[string][]string{
	"pkg/desired":   {},
	"pkg/observe":   {"pkg/desired"},
	"pkg/reconcile": {"pkg/desired", "pkg/observe"},

	// The clients and the journal know neither each other nor what is decided.
	"internal/registry": {"pkg/desired", "pkg/observe"},
	"internal/rancher":  {"pkg/desired", "pkg/observe"},
	"internal/probe":    {"pkg/desired", "pkg/observe"},
	"internal/logs":     {"pkg/desired", "pkg/observe"},
	"internal/journal":  {},

	// The evidence is written and replayed by the core's own code.
	"internal/evidence": {"pkg/desired", "pkg/observe", "pkg/reconcile"},

	// What an edited file would have made of it is asked of the evidence alone.
	"internal/simulation": {"pkg/desired", "pkg/observe", "pkg/reconcile", "internal/evidence"},

	// What else judges a version is called by one client and answered to nobody.
	"internal/gitlab": {},
	"internal/check":  {"pkg/observe", "internal/gitlab"},

	// The world for tests and the demo does not know Drover.
	"internal/registry/registrytest": {},
	"internal/ranchersim":            {},
	"internal/sandbox":               {"internal/ranchersim", "internal/registry/registrytest"},

	// What people are told may be in their language; it knows nothing of Drover.
	"internal/language": {},

	// Compose files are read for people; the daemon knows nothing of them.
	"internal/compose": {"pkg/desired"},

	"internal/controller": {
		"pkg/desired", "pkg/observe", "pkg/reconcile",
		"internal/registry", "internal/rancher", "internal/probe", "internal/journal", "internal/logs",
		"internal/check", "internal/gitlab", "internal/evidence",
	},
	"internal/deploytool": {"pkg/observe", "internal/rancher"},
	"internal/metrics":    {"pkg/reconcile"},
	"internal/web": {
		"pkg/desired", "pkg/observe", "pkg/reconcile",
		"internal/controller", "internal/journal", "internal/logs",
	},

	"internal/operator": {
		"pkg/desired", "pkg/observe", "pkg/reconcile",
		"internal/controller", "internal/rancher", "internal/journal", "internal/language", "internal/logs", "internal/web",
	},

	"internal/watch/watchtest": {},

	"internal/watch": {"pkg/observe", "pkg/reconcile", "internal/controller", "internal/language", "internal/logs", "internal/web", "internal/operator"},

	"cmd/controller": {
		"pkg/desired", "pkg/observe", "pkg/reconcile",
		"internal/controller", "internal/registry", "internal/registry/registrytest", "internal/rancher",
		"internal/deploytool", "internal/ranchersim", "internal/sandbox", "internal/probe", "internal/journal", "internal/logs", "internal/evidence", "internal/web",
		"internal/compose", "internal/language", "internal/metrics", "internal/operator", "internal/simulation", "internal/watch",
	},

	"test":        {},
	"test/report": {},
	// Changes of the gate that were rejected, played in its place.
	"test/gateideas": {},
}

// testsMayImport is what every package's tests may import besides: the world
// that speaks the real protocols. Tests above internal/ may import all.
var testsMayImport = []string{"internal/ranchersim", "internal/registry/registrytest", "internal/sandbox", "internal/watch/watchtest"}

// heavy are libraries that only some packages may import, by the longest
// prefix. "tests" stands for test files anywhere.
var heavy = map[string][]string{
	"github.com/docker/distribution":                   {"internal/registry", "internal/registry/registrytest", "internal/sandbox"},
	"github.com/docker/distribution/registry/handlers": {"internal/registry/registrytest"},
	"github.com/docker/distribution/registry/storage":  {"internal/registry/registrytest"},
	"github.com/docker/distribution/registry/auth":     {"internal/registry/registrytest"},
	"github.com/sirupsen/logrus":                       {"internal/registry/registrytest"},
	"github.com/coder/websocket":                       {"internal/rancher", "internal/logs", "internal/ranchersim", "internal/sandbox", "tests"},
	"charm.land":                                       {"internal/watch"},
	"github.com/charmbracelet":                         {"internal/watch", "internal/watch/watchtest", "internal/language", "tests"},
	"github.com/creack/pty":                            {"internal/watch/watchtest"},
	"github.com/spf13/cobra":                           {"cmd/controller"},
	"go.uber.org/zap":                                  {"cmd/controller"},
	"github.com/go-logr/zapr":                          {"cmd/controller"},
	"gitlab.com/gitlab-org/api/client-go":              {"internal/gitlab"},
	"k8s.io/client-go":                                 {"internal/controller"},
	"github.com/prometheus/client_golang":              {"internal/metrics"},
	"sigs.k8s.io/yaml":                                 {"pkg/desired", "tests"},
	"go.yaml.in/yaml":                                  {"pkg/desired", "internal/compose", "tests"},
	"github.com/compose-spec/compose-go":               {"internal/compose"},
	"github.com/invopop/jsonschema":                    {"pkg/desired"},
	"github.com/santhosh-tekuri/jsonschema":            {"tests"},
	"github.com/rogpeppe/go-internal":                  {"tests"},
	"pgregory.net/rapid":                               {"tests"},
	"go.uber.org/goleak":                               {"tests"},
}

// imports lists a file's imports.
func imports(s source) []string {
	var paths []string
	for _, i := range s.syntax.Imports {
		p, _ := strconv.Unquote(i.Path.Value) // The parser has checked it.
		paths = append(paths, p)
	}
	return paths
}

func TestEveryPackageIsInTheTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if _, ok := mayImport[s.pkg()]; !ok && !seen[s.pkg()] && !strings.HasPrefix(s.pkg(), "test/") {
			t.Errorf("%s is not in the table of test/arch_test.go", s.pkg())
		}
		seen[s.pkg()] = true
	}
}

func TestOwnImports(t *testing.T) {
	for _, s := range sources(t) {
		for _, p := range imports(s) {
			own, isOwn := strings.CutPrefix(p, module+"/")
			if isOwn && !isAllowed(s, own) {
				t.Errorf("%s imports %s, which the table does not allow", s.path, own)
			}
		}
	}
}

// isAllowed says whether a file may import one of our packages.
func isAllowed(s source, own string) bool {
	allowed := mayImport[s.pkg()]
	switch {
	case slices.Contains(allowed, own):
		return true
	case !s.isTest:
		return false
	case own == s.pkg(), strings.HasPrefix(s.pkg()+"/", "test/"), strings.HasPrefix(s.pkg(), "cmd/"):
		return true
	}
	return strings.HasPrefix(s.pkg(), "internal/") && slices.Contains(testsMayImport, own)
}

func TestHeavyLibrariesStayWhereTheyAre(t *testing.T) {
	for _, s := range sources(t) {
		for _, p := range imports(s) {
			prefix := heavyPrefix(p)
			if prefix == "" || slices.Contains(heavy[prefix], s.pkg()) {
				continue
			}
			isTest := s.isTest || strings.HasPrefix(s.pkg()+"/", "test/")
			if !isTest || !slices.Contains(heavy[prefix], "tests") {
				t.Errorf("%s imports %s, which only %v may", s.path, p, heavy[prefix])
			}
		}
	}
}

// heavyPrefix is the longest entry of heavy that an import falls under.
func heavyPrefix(p string) string {
	longest := ""
	for prefix := range heavy {
		if (p == prefix || strings.HasPrefix(p, prefix+"/")) && len(prefix) > len(longest) {
			longest = prefix
		}
	}
	return longest
}

// impure are packages that the deciding package may not import at all; context
// only carries I/O, so it is among them.
var impure = []string{
	"context", "os", "net", "io/fs", "io/ioutil", "syscall", "log", "math/rand", "crypto/rand",
	"runtime", "sync", "testing", "embed", "plugin", "unsafe",
}

// clock are the functions of package time that read or use the clock.
var clock = []string{
	"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker", "Local", "LoadLocation",
}

func TestTheDecisionIsPure(t *testing.T) {
	seen := false
	for _, s := range sources(t) {
		if s.pkg() != "pkg/reconcile" || s.isTest {
			continue
		}
		seen = true
		for _, complaint := range impurities(s) {
			t.Error(complaint)
		}
	}
	if !seen {
		t.Error("pkg/reconcile was not found")
	}
}

// impurities lists where a file could see or touch anything but its input.
func impurities(s source) []string {
	var found []string
	clockName := "time"
	for _, i := range s.syntax.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		for _, bad := range impure {
			if p == bad || strings.HasPrefix(p, bad+"/") {
				found = append(found, s.line(i)+": Decide is pure and may not import "+p)
			}
		}
		if p == "time" && i.Name != nil {
			clockName = i.Name.Name
		}
	}
	ast.Inspect(s.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, s.line(n)+": Decide is pure and starts no goroutine")
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && x.Name == clockName && slices.Contains(clock, n.Sel.Name) {
				found = append(found, s.line(n)+": time is an input; time."+n.Sel.Name+" reads or uses the clock")
			}
		}
		return true
	})
	return found
}

func TestImpuritiesAreSeen(t *testing.T) {
	const text = `package reconcile
import ("os"; clk "time"; "math/rand/v2"; "strings")
var started = clk.Now()
func f() { go g(); _ = clk.Duration(1); <-clk.After(1); strings.ToUpper(os.Args[0]); rand.Int() }
`
	got := impurities(parsed(t, "pkg/reconcile/x.go", text))
	if len(got) != 5 { // os, math/rand, Now, go, After.
		t.Errorf("found %d impurities, want 5:\n%s", len(got), strings.Join(got, "\n"))
	}
}

func TestTheTableIsEnforced(t *testing.T) {
	file := func(path string) source { return parsed(t, path, "package x") }
	for _, c := range []struct {
		path, own string
		want      bool
	}{
		{"pkg/reconcile/a.go", "pkg/observe", true},
		{"pkg/reconcile/a.go", "internal/journal", false},
		{"internal/rancher/a.go", "internal/registry", false},
		{"internal/rancher/a.go", "internal/ranchersim", false},
		{"internal/rancher/a_test.go", "internal/ranchersim", true},
		{"internal/rancher/a_test.go", "pkg/reconcile", false},
		{"internal/journal/a.go", "pkg/observe", false},
		{"pkg/observe/a_test.go", "internal/ranchersim", false},
		{"test/e2e/a_test.go", "internal/controller", true},
		{"internal/new/a.go", "pkg/desired", false},
	} {
		if got := isAllowed(file(c.path), c.own); got != c.want {
			t.Errorf("%s imports %s: allowed %t, want %t", c.path, c.own, got, c.want)
		}
	}
}
