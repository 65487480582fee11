package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr/funcr"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// TestTokenThatCannotBeRead: the answer says "see its log", and the log has it, once
// for each time that the file went away.
func TestTokenThatCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	lines := 0
	token := tokenOf(&desired.API{Token: desired.Secret{File: path}}, funcr.New(func(_, _ string) { lines++ }, funcr.Options{}))
	for round := 1; round <= 2; round++ {
		for range 3 {
			if got, err := token(); err == nil {
				t.Errorf("without its file the token is %q", got)
			}
		}
		if lines != round {
			t.Errorf("%d lines about a token that is gone for the %d. time, want one each time", lines, round)
		}
		if err := os.WriteFile(path, []byte("planted\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := token(); got != "planted" || err != nil {
			t.Errorf("token = %q, %v, want planted", got, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
