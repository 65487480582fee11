// Package test holds the tests about the repository as a whole: who may import
// whom, what each dependency is for, and what the text must not contain.
package test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// root is the repository, seen from this package's directory.
const root = ".."

// module is the path in go.mod.
const module = "gitlab.gf.com.cn/clickeggs/drover"

// source is one Go file of the module.
type source struct {
	// path is relative to the repository, with slashes.
	path   string
	isTest bool
	syntax *ast.File
	files  *token.FileSet
}

// pkg is the file's directory, as in pkg/desired.
func (s source) pkg() string { return path.Dir(s.path) }

// line is where a node stands, as path:line.
func (s source) line(n ast.Node) string {
	p := s.files.Position(n.Pos())
	return strings.TrimPrefix(filepath.ToSlash(p.String()), root+"/")
}

// walk calls visit for every regular file of the repository that people write.
func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // Another test's temporary file.
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() && (rel == ".git" || rel == "bin" || rel == "dist") {
			return fs.SkipDir
		}
		if d.Type().IsRegular() && rel != ".git" { // In a worktree .git is a file.
			visit(rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	walk(t, func(rel string) {
		if !strings.HasSuffix(rel, ".go") || strings.Contains(rel, "testdata/") || strings.HasPrefix(rel, "internal/depskeep/") {
			return
		}
		all = append(all, parsed(t, rel, nil))
	})
	if len(all) < 20 {
		t.Fatalf("found %d Go files: the test looks in the wrong place", len(all))
	}
	return all
}

// parsed is one file; its text is read from the repository when src is nil.
func parsed(t *testing.T, rel string, src any) source {
	t.Helper()
	files := token.NewFileSet()
	syntax, err := parser.ParseFile(files, filepath.Join(root, rel), src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatalf("parsing: %v", err)
	}
	return source{path: rel, isTest: strings.HasSuffix(rel, "_test.go"), syntax: syntax, files: files}
}

// read reads a file of the repository.
func read(t *testing.T, rel string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, rel))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
