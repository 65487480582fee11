package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// TestLintOfOwnDeployment: what deploy/ brings is clean by our own rules, and
// naming the directory is naming its pair.
func TestLintOfOwnDeployment(t *testing.T) {
	dir := filepath.Join("..", "..", "deploy")
	for _, args := range [][]string{{dir}, {dir + "/"}, {filepath.Join(dir, dockerCompose)}, {dir, filepath.Join(dir, rancherCompose)}} {
		var out bytes.Buffer
		args = append([]string{"lint", "--strict", "--json"}, args...)
		if code := run(t.Context(), args, strings.NewReader(""), &out, &out); code != exitOK || strings.TrimSpace(out.String()) != "[]" {
			t.Errorf("drover %s ends with %d, want %d and nothing to say:\n%s", strings.Join(args, " "), code, exitOK, &out)
		}
	}
}
