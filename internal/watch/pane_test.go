package watch

import (
	"regexp"
	"strings"
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
)

func TestPaneIsBounded(t *testing.T) {
	p := pane{filter: filter{errors: true}}
	for i := range 25 {
		p = p.add(lines(1, logs.VersionNew, 1000*i, 1000))
	}
	if len(p.lines) > keptLines || p.total != 25_000 || p.first+len(p.lines) != 25_000 {
		t.Errorf("%d lines of %d are kept, from %d on", len(p.lines), p.total, p.first)
	}
	for _, n := range p.shown {
		if n < p.first || !strings.HasPrefix(p.lines[n-p.first].Text, "ERROR") {
			t.Fatalf("line %d is shown, the first kept is %d", n, p.first)
		}
	}
	long := lines(1, logs.VersionNew, 0, 1)
	long[0].Text = strings.Repeat("é", longestLine)
	for range 6000 {
		p = p.add(long)
	}
	if p.bytes > keptBytes {
		t.Errorf("%d bytes are kept, want at most %d", p.bytes, keptBytes)
	}
	sum := 0
	for i := range p.lines {
		sum += len(p.lines[i].Text) + lineCost
	}
	if sum != p.bytes || len(p.lines[len(p.lines)-1].Text) > longestLine {
		t.Errorf("%d bytes are counted, %d are kept", p.bytes, sum)
	}
}

func TestFilters(t *testing.T) {
	all := append(append(lines(1, logs.VersionOld, 0, 10), lines(4, logs.VersionNew, 10, 10)...), logs.Line{Container: "1i4", Dropped: 5})
	for _, tt := range []struct {
		name string
		f    filter
		want int // Notices of dropped lines included.
	}{
		{"all", filter{}, 21},
		{"new", filter{side: logs.VersionNew}, 11},
		{"old", filter{side: logs.VersionOld}, 11},
		{"one container", filter{container: "1i4"}, 11},
		{"errors", filter{errors: true}, 4},
		{"a text in any case", filter{text: "error cannot"}, 4},
		{"errors of the new", filter{errors: true, side: logs.VersionNew}, 3},
		{"nothing", filter{text: "nosuch", container: "1i9"}, 0},
	} {
		before, after := pane{filter: tt.f}.add(all), pane{}.add(all).narrow(tt.f)
		if len(before.shown) != tt.want || len(after.shown) != tt.want {
			t.Errorf("%s: %d and %d lines are shown, want %d", tt.name, len(before.shown), len(after.shown), tt.want)
		}
	}
}

// room is the number in a line of the test's.
var room = regexp.MustCompile(`rooms?[/ ](\d+)`)

func TestScrolling(t *testing.T) {
	texts := func(p pane) string {
		var all []string
		for _, l := range p.page(3) {
			all = append(all, room.FindStringSubmatch(l.Text)[1])
		}
		return strings.Join(all, " ")
	}
	p := pane{}.add(lines(1, logs.VersionNew, 10, 1)).add(lines(1, logs.VersionNew, 11, 6))
	expect := func(what string, p pane, want string, isHeld bool) {
		t.Helper()
		if got := texts(p); got != want || p.isHeld != isHeld {
			t.Errorf("%s: %q held %t, want %q held %t", what, got, p.isHeld, want, isHeld)
		}
	}
	expect("following", p, "14 15 16", false)
	up := p.scroll(-2, 3)
	expect("up", up, "12 13 14", true)
	expect("while lines come", up.add(lines(1, logs.VersionNew, 18, 4)), "12 13 14", true)
	expect("to the top and further", up.scroll(-100, 3), "10 11 12", true)
	expect("down again", up.scroll(1, 3), "13 14 15", true)
	expect("to the end follows", up.scroll(100, 3), "14 15 16", false)
	expect("down while following", p.scroll(1, 3), "14 15 16", false)
	stopped := p.hold()
	expect("stopped", stopped.add(lines(1, logs.VersionNew, 18, 4)), "14 15 16", true)
	if n := stopped.add(lines(1, logs.VersionNew, 18, 4)).held; n != 4 {
		t.Errorf("%d lines are said to be newer, want 4", n)
	}
	expect("another filter", up.narrow(filter{text: "/15 "}), "15", true)
	expect("nothing to scroll", pane{}.scroll(-5, 3), "", false)
	gone := up
	for range 22 {
		gone = gone.add(lines(1, logs.VersionNew, 0, 1000))
	}
	if page := gone.page(3); len(page) != 3 {
		t.Errorf("when the lines are given up %d are on the screen, want 3", len(page))
	}
}
