package reconcile

import "gitlab.gf.com.cn/clickeggs/drover/pkg/observe"

// Failures come in clumps: one client retries, one slow dependency takes eight
// requests with it. Tests that take each failure for news of its own then blame
// good versions (rollout-safety 3.5). How far a service's failures clump is its
// over-dispersion φ: the chi-square of the failures of blocks of requests against
// their own mean, divided by its degrees of freedom. Independent failures have
// φ = 1, runs of mean length m about 2m − 1.

const (
	// blockRequests is how many requests a block has at least.
	blockRequests = 40
	// recentBlocks is how many blocks of the new side count: a bad version may
	// begin to fail in another way than it did at first.
	recentBlocks = 10
	// minBlocks and minFailures are what an estimate needs, and minFailing blocks
	// with failures where it is to speak for the versions to come: one failing block
	// among many is one clump of any length.
	minBlocks  = 3
	minFailing = 2
)

// block is some requests in a row of one side, and how many of them failed.
type block struct {
	requests, failures int32
}

func (b *block) take(c observe.Counts) {
	b.requests = clip(int64(b.requests) + c.Requests)
	b.failures = clip(int64(b.failures) + c.Failures)
}

// clip keeps a sum within 32 bits: a look with two thousand million requests says
// no more than one with half of them.
func clip(n int64) int32 { return int32(min(n, 1<<30)) }

// spread is the dispersion of everything that was seen of one side, in sums that
// take no more room however long it lasts.
type spread struct {
	open block
	// blocks is how many are complete, failing how many of them failed somewhere.
	blocks, failing int32
	// requests and failures are those of the complete blocks; squares is the sum of
	// failures²/requests.
	requests, failures, squares float64
}

func (s *spread) add(c observe.Counts) {
	s.open.take(c)
	if s.open.requests < blockRequests {
		return
	}
	n, x := float64(s.open.requests), float64(s.open.failures)
	s.blocks++
	if x > 0 {
		s.failing++
	}
	s.requests += n
	s.failures += x
	s.squares += x * x / n
	s.open = block{}
}

// fade lets the past count half.
func (s *spread) fade() {
	s.blocks /= 2
	s.failing /= 2
	s.requests /= 2
	s.failures /= 2
	s.squares /= 2
}

// phi is φ as the blocks show it, one failing block or many. It is for bounds,
// which clumps make wider.
func (s *spread) phi() float64 {
	if s.blocks < minBlocks || s.failures < minFailures {
		return 1
	}
	return dispersion(s.requests, s.failures, s.squares, float64(s.blocks))
}

// told is φ where enough blocks failed to tell, and the failures it was learned
// from; none when it is not known.
func (s *spread) told() (phi, failures float64) {
	if s.failing < minFailing || s.blocks < minBlocks || s.failures < minFailures {
		return 1, 0
	}
	return s.phi(), s.failures
}

// dispersion is Σ(x−np)²/(np(1−p)) over the blocks, by their degrees of freedom;
// the sum is (Σx²/n − X²/N) / (p(1−p)) with p = X/N.
func dispersion(requests, failures, squares, blocks float64) float64 {
	p := failures / requests
	if p >= 1 {
		return 1
	}
	return max(1, (squares-failures*p)/(p*(1-p))/(blocks-1))
}

// lastBlocks is the dispersion of one side's last blocks.
type lastBlocks struct {
	open   block
	blocks [recentBlocks]block
	// filled is how many there are, next the place of the next one.
	filled, next uint8
}

func (r *lastBlocks) add(c observe.Counts) {
	r.open.take(c)
	if r.open.requests < blockRequests {
		return
	}
	r.blocks[r.next] = r.open
	r.next = (r.next + 1) % recentBlocks
	r.filled = min(r.filled+1, recentBlocks)
	r.open = block{}
}

func (r *lastBlocks) phi() float64 {
	var requests, failures, squares float64
	for i := range r.blocks[:r.filled] {
		n, x := float64(r.blocks[i].requests), float64(r.blocks[i].failures)
		requests += n
		if x == 0 {
			continue // Most blocks, and a division is dear.
		}
		failures += x
		squares += x * x / n
	}
	if r.filled < minBlocks || failures < minFailures {
		return 1
	}
	return dispersion(requests, failures, squares, float64(r.filled))
}
