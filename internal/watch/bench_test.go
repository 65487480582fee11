package watch

import (
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// BenchmarkLines is what a fortieth of a second of 10,000 lines a second costs: the
// lines, and the screen after them.
func BenchmarkLines(b *testing.B) {
	m := send(newModel(&recorder{}, 160, 50), watched(30, service(observe.StateUpgraded, 3), baking(30)))
	for b.Loop() {
		m = send(m, lines(4, logs.VersionNew, 0, 250))
		_ = m.View()
	}
}

// BenchmarkView is the screen alone.
func BenchmarkView(b *testing.B) {
	m := send(newModel(&recorder{}, 160, 50), watched(30, service(observe.StateUpgraded, 3), baking(30)), lines(4, logs.VersionNew, 0, 2500))
	for b.Loop() {
		_ = m.View()
	}
}
