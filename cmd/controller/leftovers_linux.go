package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// dropBinaryPages takes the program's own pages, code and constants, out of this
// process: starting touches most of them, looking after targets few. They are clean and
// stay in the page cache, so one that is used again costs a minor fault and no read. What
// cannot be dropped stays.
func dropBinaryPages() {
	self, err := os.Executable()
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close() //nolint:errcheck // Nothing was written.
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if start, end, ok := readOnlyPart(lines.Text(), self); ok {
			_, _, _ = syscall.RawSyscall(syscall.SYS_MADVISE, start, end-start, syscall.MADV_DONTNEED)
		}
	}
}

// readOnlyPart is where a line of /proc/self/maps (proc(5)) has a part of the program
// that it cannot have written to.
func readOnlyPart(line, self string) (start, end uintptr, ok bool) {
	f := strings.Fields(line)
	if len(f) != 6 || f[5] != self || f[1] != "r-xp" && f[1] != "r--p" {
		return 0, 0, false
	}
	from, to, _ := strings.Cut(f[0], "-")
	first, err := strconv.ParseUint(from, 16, strconv.IntSize)
	if err != nil {
		return 0, 0, false
	}
	last, err := strconv.ParseUint(to, 16, strconv.IntSize)
	return uintptr(first), uintptr(last), err == nil && first < last
}
