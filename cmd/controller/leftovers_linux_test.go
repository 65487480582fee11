package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestOnlyReadOnlyPartsAreDropped: a page that was written to would be lost.
func TestOnlyReadOnlyPartsAreDropped(t *testing.T) {
	for _, tt := range []struct {
		line string
		want bool
	}{
		{"00400000-01109000 r-xp 00000000 fe:00 104370   /usr/bin/drover", true},
		{"01109000-01f46000 r--p 00d09000 fe:00 104370   /usr/bin/drover", true},
		{"01f46000-020a3000 rw-p 01b46000 fe:00 104370   /usr/bin/drover", false},
		{"00400000-01109000 r-xs 00000000 fe:00 104370   /usr/bin/drover", false},
		{"7f0000000000-7f0000001000 r--p 00000000 fe:00 1 /usr/lib/libc.so.6", false},
		{"7f0000000000-7f0000001000 rw-p 00000000 00:00 0", false},
		{"01109000-00400000 r-xp 00000000 fe:00 104370   /usr/bin/drover", false},
		{"x-y r-xp 00000000 fe:00 104370   /usr/bin/drover", false},
		{"", false},
	} {
		if _, _, got := readOnlyPart(tt.line, "/usr/bin/drover"); got != tt.want {
			t.Errorf("%q is dropped: %v, want %v", tt.line, got, tt.want)
		}
	}
}

// TestDropBinaryPages drops this program's own, which goes on.
func TestDropBinaryPages(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	parts := 0
	for line := range strings.Lines(string(maps)) {
		if _, _, ok := readOnlyPart(line, self); ok {
			parts++
		}
	}
	if parts == 0 {
		t.Error("no part of the program is found that could be dropped")
	}
	before := residentFile(t)
	dropBinaryPages()
	if after := residentFile(t); after >= before {
		t.Errorf("%d kB of files are resident, before they were dropped %d", after, before)
	}
}

// residentFile is RssFile, in kB.
func residentFile(t *testing.T) (kB int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssFile:")
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		t.Fatalf("RssFile: %v", err)
	}
	return kB
}
