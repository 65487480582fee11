package desired

import (
	_ "embed"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"sync"
)

// The comments in these two files are what the schema and the reference page
// say of each key.
var (
	//go:embed types.go
	typesSource string
	//go:embed secret.go
	secretSource string
)

// comments holds doc comments by Type and by Type.Field.
var comments = sync.OnceValue(func() map[string]string {
	table := map[string]string{}
	for _, source := range []string{typesSource, secretSource} {
		file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.ParseComments)
		if err != nil {
			panic("desired: embedded source: " + err.Error()) // It was compiled into this binary.
		}
		for _, d := range file.Decls {
			if types, ok := d.(*ast.GenDecl); ok && types.Tok == token.TYPE {
				collect(table, types)
			}
		}
	}
	return table
})

func collect(table map[string]string, d *ast.GenDecl) {
	for _, s := range d.Specs {
		spec := s.(*ast.TypeSpec) // By d.Tok.
		table[spec.Name.Name] = oneLine(d.Doc)
		fields, ok := spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range fields.Fields.List {
			for _, name := range f.Names {
				table[spec.Name.Name+"."+name.Name] = oneLine(f.Doc)
			}
		}
	}
}

func oneLine(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

// describe is what the comment of a field says, without the field's name.
func describe(t reflect.Type, field string) string {
	return withoutName(comments()[t.Name()+"."+field], field)
}

// describeType is what the comment of a type says, without the type's name.
func describeType(t reflect.Type) string { return withoutName(comments()[t.Name()], t.Name()) }

// withoutName turns "Name is what gates refer to." into "What gates refer to.":
// a reader of the page has the name beside it.
func withoutName(text, name string) string {
	rest, found := strings.CutPrefix(text, name+" ")
	if !found || rest == "" {
		return text
	}
	rest = strings.TrimPrefix(rest, "is ")
	rest = strings.TrimPrefix(rest, "are ")
	return strings.ToUpper(rest[:1]) + rest[1:]
}
