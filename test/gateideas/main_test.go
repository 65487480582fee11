package main

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

// TestIdeasApply: each idea still is a change of the code as it is, so that its
// figures can be made again.
func TestIdeasApply(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, i := range ideas {
		files, err := apply(root, i)
		if err != nil {
			t.Error(err)
			continue
		}
		for path, text := range files {
			if _, err := parser.ParseFile(token.NewFileSet(), path, text, 0); err != nil {
				t.Errorf("idea %q: %v", i.name, err)
			}
		}
		if len(i.cells) == 0 || len(i.cells)%2 != 0 || i.why == "" {
			t.Errorf("idea %q has %d cells and the reason %q, want pairs and a reason", i.name, len(i.cells), i.why)
		}
	}
}

// TestIdeasArePlayed plays one idea a few times: the change takes effect, and the
// gate as it is differs.
func TestIdeasArePlayed(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the simulation anew")
	}
	root := filepath.Join("..", "..")
	const n = 0 // Divide each look by the φ known before it.
	files, err := apply(root, ideas[n])
	if err != nil {
		t.Fatal(err)
	}
	asItIs, err := simulate(root, nil, ideas[n].cells, 60)
	if err != nil {
		t.Fatal(err)
	}
	got, err := simulate(root, files, ideas[n].cells, 60)
	if err != nil {
		t.Fatal(err)
	}
	cell := at(incident, "1000", "50", "8")
	if asItIs[cell].rollback > 0.15 || got[cell].rollback < asItIs[cell].rollback+0.05 {
		t.Errorf("%s: %s as it is, %s with the idea; want that the idea blames more versions for an incident of both", cell, asItIs[cell], got[cell])
	}
}

func TestParse(t *testing.T) {
	text := "=== RUN   TestGateRates\n    rates_test.go:1: cell: 1 → 1 %, 100 requests: 3 1 200\nok\n"
	got, err := parse([]byte(text), []string{"1 → 1 %, 100 requests"})
	if f := got["1 → 1 %, 100 requests"]; err != nil || f.String() != ".015 (.005)" {
		t.Errorf("parse = %v, %v", got, err)
	}
	if _, err := parse([]byte(text), []string{"2 → 2 %"}); err == nil {
		t.Error("a cell that was not simulated is no error")
	}
	if _, err := parse([]byte("cell: a: b c d\n"), nil); err == nil {
		t.Error("a line without figures is no error")
	}
}
