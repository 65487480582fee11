package reconcile

import (
	"testing"
	"time"
)

// BenchmarkDecide decides for a service of ten containers: idle, and in the
// middle of a bake with every gate at work.
func BenchmarkDecide(b *testing.B) {
	b.Run("idle", func(b *testing.B) {
		p := tenContainers()
		p.run(20*time.Second, func(Decision) {})
		benchmark(b, p, Idle)
	})
	b.Run("bake", func(b *testing.B) {
		p := tenContainers()
		p.tag, p.seenAt = "b", p.now
		for p.last.Phase != Bake || p.last.Code != CodeBaking {
			p.run(2*time.Second, func(Decision) {})
		}
		benchmark(b, p, Bake)
	})
}

func tenContainers() *paper {
	p := newPaper()
	p.target.Rollout.BatchSize = 5
	p.scale, p.containers = 10, nil
	for range p.scale {
		p.create("a", "healthy")
		p.containers[len(p.containers)-1].ImageID = ""
	}
	p.run(4*time.Second, func(Decision) {})
	return p
}

func benchmark(b *testing.B, p *paper, want Phase) {
	in := Input{Target: InForce(p.target, p.history), Observed: p.snapshot(), History: p.history, Memory: p.memory, Now: p.now.Add(time.Second)}
	if d := Decide(in); d.Phase != want {
		b.Fatalf("phase is %s (%s), want %s", d.Phase, d.Reason, want)
	}
	b.ReportAllocs()
	for b.Loop() {
		Decide(in)
	}
}
