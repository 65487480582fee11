package logs

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestLinesOfEveryRecording holds the lines that are made of every recorded log stream of a real host, frame by frame.
func TestLinesOfEveryRecording(t *testing.T) {
	files, err := filepath.Glob("../../test/testdata/rancher-recordings/real-logs-*.jsonl")
	if err != nil || len(files) != 3 {
		t.Fatalf("%d recordings of logs (%v), want 3", len(files), err)
	}
	for _, file := range files {
		var out bytes.Buffer
		for _, stream := range streamsOf(t, file) {
			fmt.Fprintf(&out, "%s\n", stream)
			for _, g := range decodeAll(recorded(t, filepath.Base(file), stream)) {
				fmt.Fprintf(&out, "  %s %s %s\n", g.output, clockOf(g.nanos), shortened(g.text))
			}
		}
		golden := filepath.Join("testdata", "golden", strings.TrimSuffix(filepath.Base(file), ".jsonl")+".txt")
		if *update {
			if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%s: the lines are\n%s\nwant\n%s", file, &out, want)
		}
	}
}

// streamsOf are the labels of a recording's streams that have text frames, as they come.
func streamsOf(t *testing.T, file string) []string {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []string
	seen := map[string]bool{}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var l struct {
			Stream string
			Opcode int
		}
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		if l.Opcode == 1 && !seen[l.Stream] {
			seen[l.Stream] = true
			all = append(all, l.Stream)
		}
	}
	return all
}

// clockOf is a line's time; a line without one has a dash.
func clockOf(nanos int64) string {
	if nanos == 0 {
		return "-"
	}
	return time.Unix(0, nanos).UTC().Format(time.RFC3339Nano)
}

// shortened is a line's text, and of a long one its beginning, length and hash.
func shortened(text string) string {
	if len(text) <= 120 {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q… %d bytes, sha256 %.12x", text[:40], len(text), sha256.Sum256([]byte(text)))
}
