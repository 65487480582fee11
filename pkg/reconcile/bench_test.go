package reconcile

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// BenchmarkDecide decides for a service of ten containers with the load balancer
// gate: idle, and in the middle of a bake, when the ten old ones are there as
// well. Beside it stands what the go runtime takes to hand an input of that size
// over and a decision back, in the same run.
func BenchmarkDecide(b *testing.B) {
	b.Run("idle", func(b *testing.B) { benchmark(b, Decide, idleInput(), Idle) })
	b.Run("bake", func(b *testing.B) { benchmark(b, Decide, bakeInput(b), Bake) })
	b.Run("handing over", func(b *testing.B) { benchmark(b, handOver, idleInput(), "") })
}

// TestDecideAllocatesAHandful holds the part of the speed that does not depend on
// the machine: what the collector has to clear away afterwards.
func TestDecideAllocatesAHandful(t *testing.T) {
	for name, in := range map[string]Input{"idle": idleInput(), "bake": bakeInput(t)} {
		if n := testing.AllocsPerRun(100, func() { Decide(in) }); n > 3 {
			t.Errorf("%s: Decide made %v allocations, want at most 3", name, n)
		}
	}
}

func idleInput() Input {
	p := tenContainers()
	p.run(20*time.Second, func(Decision) {})
	return p.nextInput()
}

func bakeInput(t testing.TB) Input {
	p := tenContainers()
	p.tag, p.seenAt = "b", p.now
	for n := 0; p.last.Phase != Bake || p.last.Code != CodeBaking; n++ {
		if n == 100 {
			t.Fatalf("phase is %s (%s), want a bake under way", p.last.Phase, p.last.Reason)
		}
		p.run(2*time.Second, func(Decision) {})
	}
	return p.nextInput()
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

// nextInput is what the next look would be decided from.
func (p *paper) nextInput() Input {
	return Input{Target: InForce(p.target, p.history), Observed: p.snapshot(), History: p.history, Memory: p.memory, Now: p.now.Add(time.Second)}
}

//go:noinline
func handOver(in Input) Decision { return Decision{Memory: in.Memory} }

func benchmark(b *testing.B, decide func(Input) Decision, in Input, want Phase) {
	if d := decide(in); d.Phase != want {
		b.Fatalf("phase is %s (%s), want %s", d.Phase, d.Reason, want)
	}
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		decide(in)
	}
	// On a machine that others use as well the clock shows them too.
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// processorTime is what this process has used, the collector included.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkJudge20x500 decides once for each of twenty services of five hundred
// containers in the middle of a rollout: with BenchmarkLook20x500 of internal/probe,
// which reads as many pages, a whole look at twenty load balancers.
func BenchmarkJudge20x500(b *testing.B) {
	const services, containers = 20, 500
	s := newTraffic(cell{course: course{before: 1, fresh: 1, old: 1}, clump: 3}, rand.New(rand.NewPCG(1, 1)))
	s.begin()
	v, lb := &s.in.Observed.Service, &s.in.Observed.LoadBalancer
	for i := len(v.Containers); i < containers; i++ {
		c, server := v.Containers[i%2], lb.Servers[i%2]
		c.ID = fmt.Sprintf("1i%d", 1000+i)
		server.Container = c.ID
		v.Containers, lb.Servers = append(v.Containers, c), append(lb.Servers, server)
	}
	v.Scale = containers
	b.ReportAllocs()
	for b.Loop() {
		for range services {
			lb.Servers[b.N%containers].Delta = counts(20, 1)
			s.in.Now = s.in.Now.Add(2 * time.Second)
			d := Decide(s.in)
			if s.in.Memory = d.Memory; len(d.Gates) == 0 {
				b.Fatalf("%s %s: nothing was judged", d.Phase, d.Reason)
			}
		}
	}
}
