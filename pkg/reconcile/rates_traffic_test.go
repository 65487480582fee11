package reconcile

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// lookRequests is the traffic between two looks, learnedRequests what the
	// baseline is learned from.
	lookRequests    = 40
	learnedRequests = 2000
)

// source answers requests, and some fail: in runs of a length whose mean is clump,
// so that a share rate of all requests fails whatever the clump.
type source struct {
	rng   *rand.Rand
	rate  float64
	clump int
	// left is how much of a run is still to come.
	left int
}

func (s *source) serve(requests int) observe.Counts {
	c := observe.Counts{Requests: int64(requests)}
	begins := s.rate / (s.rate + float64(s.clump)*(1-s.rate))
	for range requests {
		switch {
		case s.left > 0:
			s.left--
			c.Failures++
		case s.rng.Float64() < begins:
			c.Failures++
			for s.rng.IntN(s.clump) > 0 { // The run goes on with probability 1 − 1/clump.
				s.left++
			}
		}
	}
	return c
}

// traffic is a service between two versions: what a load balancer would count of it,
// decided on by Decide.
type traffic struct {
	cell
	in                    Input
	fresh, old, neighbour source
}

func newTraffic(c cell, rng *rand.Rand) *traffic {
	make := func(percent float64) source { return source{rng: rng, rate: percent / 100, clump: c.clump} }
	p := newPaper()
	s := &traffic{cell: c, fresh: make(c.before), old: make(c.before), neighbour: make(c.before)}
	s.in = Input{Target: p.target, Now: p.now, Observed: p.snapshot()}
	image := repository + "@" + digest("a")
	s.in.History.Baseline = &Baseline{Part: Part{Image: image, Digest: digest("a"), Manifest: digest("a")}}
	v := &s.in.Observed.Service
	v.Launch = observe.Launch{Image: image, Version: "v0"}
	v.Scale = 2
	v.Containers = v.Containers[:2]
	for i := range v.Containers {
		v.Containers[i].Image = image
	}
	s.in.Observed.LoadBalancer = observe.LoadBalancer{Servers: []observe.Server{
		{Container: v.Containers[0].ID, Status: observe.ServerUp, Weight: 1, Latency: -1},
		{Container: v.Containers[1].ID, Status: observe.ServerUp, Weight: 1, Latency: -1},
	}}
	return s
}

// look decides on what both containers have served since the look before.
func (s *traffic) look(first, second observe.Counts) Decision {
	lb := &s.in.Observed.LoadBalancer
	lb.Servers[0].Delta, lb.Servers[1].Delta = first, second
	if s.hasNeighbours {
		lb.Others = s.neighbour.serve(lookRequests)
		lb.OtherProxies = []observe.ProxyCounts{{Proxy: "80_other", Counts: lb.Others}}
	}
	s.in.Now = s.in.Now.Add(2 * time.Second)
	d := Decide(s.in)
	s.in.Memory = d.Memory
	return d
}

// rollout goes through one rollout: the baseline is learned, the second container is
// replaced, and the new side sees so many requests. Fail is a rollback, Hold a
// shared incident at the end.
func (s *traffic) rollout() Verdict {
	for range learnedRequests / lookRequests {
		s.look(s.old.serve(lookRequests), observe.Counts{})
	}
	s.begin()
	perLook := lookRequests * s.split / 100
	verdict := NoData
	for seen := 0; seen < s.requests; seen += perLook {
		if !s.isLate || seen >= s.requests/2 {
			s.fresh.rate, s.old.rate, s.neighbour.rate = s.course.fresh/100, s.course.old/100, s.course.old/100
		}
		d := s.look(s.old.serve(lookRequests-perLook), s.fresh.serve(perLook))
		if d.Action == Rollback {
			return Fail
		}
		verdict = NoData
		for i := range d.Gates {
			if d.Gates[i].Code == CodeSharedIncident {
				verdict = Hold
			}
		}
	}
	return verdict
}

// begin opens a rollout that has replaced one of the two containers.
func (s *traffic) begin() {
	to := Baseline{Part: Part{Image: repository + "@" + digest("b"), Digest: digest("b"), Manifest: digest("b")}}
	r := &Rollout{
		ID: "parrot-rest-1", Kind: Deploy, To: to, From: *s.in.History.Baseline, Policy: s.in.Target,
		Started: s.in.Now, Deadline: s.in.Now.Add(24 * time.Hour), Confirmed: true,
	}
	s.in.History.Rollout = r
	v := &s.in.Observed.Service
	v.State = observe.StateUpgrading
	v.Launch = observe.Launch{Image: to.Image, Version: "v1", Labels: map[string]string{LabelRollout: r.ID, LabelTo: to.Digest}}
	v.Containers[1].ID, v.Containers[1].Version, v.Containers[1].Image = "1i9", "v1", to.Image
	s.in.Observed.LoadBalancer.Servers[1].Container = "1i9"
}

// TestSourcesFailAsOftenAsTheyShould: the simulation is only as good as its traffic.
func TestSourcesFailAsOftenAsTheyShould(t *testing.T) {
	for _, clump := range clumps {
		for _, rate := range []float64{0.01, 0.2} {
			s := source{rng: rand.New(rand.NewPCG(1, uint64(clump))), rate: rate, clump: clump}
			var all observe.Counts
			var p spread
			for range 5000 {
				c := s.serve(lookRequests)
				add(&all, c)
				p.add(c)
			}
			// The runs make the standard error of a share larger by √φ.
			off := 4 * math.Sqrt(rate*(1-rate)*float64(2*clump)/float64(all.Requests))
			if got := share(all.Failures, all.Requests); math.Abs(got-rate) > off {
				t.Errorf("clumps of %d: %.4f of the requests failed, want %.4f", clump, got, rate)
			}
			phi := p.phi()
			if least, most := 0.6*float64(2*clump-1), 1.2*float64(2*clump-1); phi < least || phi > most {
				t.Errorf("clumps of %d at %v: φ = %.2f, want %.1f to %.1f", clump, rate, phi, least, most)
			}
		}
	}
}
