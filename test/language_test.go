package test

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"testing"
)

// messages are the formats of everything that is said in the person's language, by
// where: the calls of Sprintf and Errorf on a language.Language, of refuse, which
// passes its format on, and of say, by which a finding says its figures.
func messages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, s := range sources(t) {
		if s.path == "pkg/reconcile/finding.go" {
			addSaid(t, s, found)
		}
		if s.isTest || s.pkg() == "internal/language" || !slices.Contains(imports(s), module+"/internal/language") && s.pkg() != "internal/operator" && s.pkg() != "internal/watch" && s.pkg() != "cmd/controller" {
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !saysSomething(call) {
				return true
			}
			format, ok := call.Args[0].(*ast.BasicLit)
			if !ok || format.Kind != token.STRING {
				if where := funcOf(s, call); where != "refuse" {
					t.Errorf("%s: a message in %s is no literal: it cannot be translated", s.path, where)
				}
				return true
			}
			text, _ := strconv.Unquote(format.Value) // The parser has checked it.
			found[text] = s.path
			return true
		})
	}
	return found
}

// addSaid adds what say is called with.
func addSaid(t *testing.T, s source, found map[string]string) {
	t.Helper()
	before := len(found)
	ast.Inspect(s.syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		if f, isName := call.Fun.(*ast.Ident); !isName || f.Name != "say" {
			return true
		}
		format, ok := call.Args[0].(*ast.BasicLit)
		if !ok {
			t.Errorf("%s: a figure in %s is no literal: it cannot be translated", s.path, funcOf(s, call))
			return true
		}
		text, _ := strconv.Unquote(format.Value) // The parser has checked it.
		found[text] = s.path
		return true
	})
	if len(found) < before+30 {
		t.Errorf("%s says %d figures: the test no longer finds them", s.path, len(found)-before)
	}
}

// saysSomething says that a call says something in the person's language.
func saysSomething(call *ast.CallExpr) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return false
	}
	if x, isName := f.X.(*ast.Ident); isName && x.Name == "fmt" {
		return false
	}
	return f.Sel.Name == "Sprintf" || f.Sel.Name == "Errorf" || f.Sel.Name == "refuse"
}

// funcOf is the function around a node.
func funcOf(s source, n ast.Node) string {
	for _, d := range s.syntax.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Pos() <= n.Pos() && n.End() <= f.End() {
			return f.Name.Name
		}
	}
	return ""
}

// translations are the keys of the table in internal/language.
func translations(t *testing.T) map[string]bool {
	t.Helper()
	keys := map[string]bool{}
	ast.Inspect(parsed(t, "internal/language/chinese.go", nil).syntax, func(n ast.Node) bool {
		pair, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		if key, ok := pair.Key.(*ast.BasicLit); ok {
			text, _ := strconv.Unquote(key.Value) // The parser has checked it.
			keys[text] = true
		}
		return true
	})
	return keys
}

// TestEveryMessageIsTranslated holds code and translations to each other: whatever
// is said in the person's language has a translation, and each translation is said.
func TestEveryMessageIsTranslated(t *testing.T) {
	said, translated := messages(t), translations(t)
	if len(said) < 100 {
		t.Fatalf("found %d messages: the test no longer finds them", len(said))
	}
	for _, text := range slices.Sorted(maps.Keys(said)) {
		if !translated[text] {
			t.Errorf("%s says %q, which internal/language/chinese.go does not translate", said[text], text)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(translated)) {
		if said[text] == "" {
			t.Errorf("internal/language/chinese.go translates %q, which nobody says any more", text)
		}
	}
}
