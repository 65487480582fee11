package logs

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// maxLearned bounds the templates learned of the old version, maxNovel those of
	// the new one that are kept: a version with more has another trouble.
	maxLearned = 4096
	maxNovel   = 200
	// toldNovel is how many of them a look is told.
	toldNovel = 20
	// learnLines is how many last lines of an old container are learned from.
	learnLines = 5000
	// scanned is how much of a line is looked at.
	scanned = 1024
)

// novelty compares the errors of two versions by their templates: it learns those
// of the old one and keeps those that only the new one writes. What it holds is
// bounded, however long it looks. Its methods may be used at once.
type novelty struct {
	seed maphash.Seed
	// oldLines is how many lines were learned from.
	oldLines atomic.Int64

	mu sync.Mutex
	// learned are the old version's templates, by their hash.
	learned map[uint64]struct{}
	// fresh are the new version's that were not learned when they came.
	fresh map[uint64]*observe.LogTemplate
	// isFull says that the old version has more templates than are learned: then
	// nothing is novel for certain. isCut says the same of the new version's.
	isFull, isCut bool
}

func newNovelty() *novelty {
	return &novelty{seed: maphash.MakeSeed(), learned: map[uint64]struct{}{}, fresh: map[uint64]*observe.LogTemplate{}}
}

// scanner makes templates of one container's lines. It is used by one goroutine
// and keeps its memory.
type scanner struct{ buf []byte }

// template is the template of a line that looks like an error; nil of another.
func (s *scanner) template(line []byte) []byte {
	line = line[:min(len(line), scanned)]
	if !looksLikeError(line) {
		return nil
	}
	s.buf = appendTemplate(s.buf[:0], line)
	return s.buf
}

// learn takes a line of the old version by its template; nil is no error.
func (n *novelty) learn(template []byte) {
	n.oldLines.Add(1)
	if template == nil {
		return
	}
	sum := maphash.Bytes(n.seed, template)
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.learned[sum]; ok {
		return
	}
	if len(n.learned) >= maxLearned {
		n.isFull = true
		return
	}
	n.learned[sum] = struct{}{}
	delete(n.fresh, sum)
}

// see takes an error of the new version.
func (n *novelty) see(template, line []byte, container string) {
	sum := maphash.Bytes(n.seed, template)
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := n.fresh[sum]; t != nil {
		t.Count++
		return
	}
	if _, ok := n.learned[sum]; ok {
		return
	}
	if len(n.fresh) >= maxNovel {
		n.isCut = true
		return
	}
	n.fresh[sum] = &observe.LogTemplate{Template: example(template), Container: container, Count: 1, Example: example(line)}
}

// tell adds to a reading what only the new version writes, the most frequent
// first.
func (n *novelty) tell(out *observe.Logs) {
	n.mu.Lock()
	defer n.mu.Unlock()
	out.OldLines = n.oldLines.Load()
	if n.isFull {
		out.OldProblem = &observe.Problem{Cause: observe.CauseUnusable, Message: "the old version writes more kinds of errors than can be learned"}
		return
	}
	out.NovelKinds, out.NovelCut = len(n.fresh), n.isCut
	for _, t := range n.fresh {
		out.NovelLines += t.Count
		out.Novel = append(out.Novel, *t)
	}
	slices.SortFunc(out.Novel, func(a, b observe.LogTemplate) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Template, b.Template))
	})
	out.Novel = out.Novel[:min(len(out.Novel), toldNovel)]
}
