package desired

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestInvalid holds every file of test/testdata/invalid to the messages beside
// it, and every message to saying where and keeping secrets.
func TestInvalid(t *testing.T) {
	files, err := filepath.Glob(root + "test/testdata/invalid/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("found %d files, want the whole folder", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) { checkInvalid(t, file) })
	}
}

func checkInvalid(t *testing.T, file string) {
	config, err := Load(file)
	if err == nil || config != nil {
		t.Fatalf("Load = %v, %v, want no configuration and an error", config, err)
	}
	var list Errors
	if !errors.As(err, &list) || len(list) == 0 {
		t.Fatalf("error of type %T, want Errors", err)
	}
	got := err.Error() + "\n"
	messages := strings.TrimSuffix(file, ".yaml") + ".txt"
	if *update {
		if err := os.WriteFile(messages, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(messages)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("messages:\n%swant:\n%s", got, want)
	}
	if strings.Contains(got, "hunter2") || strings.Contains(got, "zzter2") {
		t.Errorf("a message repeats a secret:\n%s", got)
	}
	if !slices.IsSortedFunc(list, func(a, b Error) int { return a.Line - b.Line }) {
		t.Errorf("messages are not in the order of the lines:\n%s", got)
	}
}
