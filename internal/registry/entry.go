package registry

import (
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// flapWindow is how far back changes of a tag are counted.
	flapWindow = 10 * time.Minute
	// maxFlaps bounds how many are remembered.
	maxFlaps = 32
)

// entry is one distinct reference and what is known of it. All but asking is
// guarded by its host's mutex.
type entry struct {
	name name
	// refs are the ways in which targets write the reference.
	refs []string
	// asking is held while the registry is asked, so that a sweep and the poll do
	// not learn from the same change twice.
	asking sync.Mutex
	// due is when it is asked for next; index its place in the schedule, -1 while
	// it is being asked for.
	due   time.Time
	index int
	// again asks for one more look right after the one under way.
	again bool
	// gone says that no target follows it any more.
	gone bool
	// phase is its place within the interval, the same in each.
	phase float64

	// digest is what the tag was last certainly known to be.
	digest digest.Digest
	// views are what the digest stands for, by platform.
	views []view
	// problem is why the last look failed; nil when it did not.
	problem *observe.Problem
	// failures counts failed looks in a row.
	failures int
	// seenAt is when digest was first seen without another in between, checkedAt
	// when the registry last confirmed it.
	seenAt, checkedAt time.Time
	// changes are when the tag last changed, at most maxFlaps of them.
	changes []time.Time
}

// view is what a digest stands for on one platform; details is nil until known.
type view struct {
	platform platform
	details  *details
}

// outcome is what one look brought.
type outcome struct {
	digest digest.Digest
	views  []view
	err    error
}

// apply takes up the outcome of a look and says whether anyone should know.
func (e *entry) apply(o outcome, now time.Time) (changed bool) {
	if o.err != nil {
		p := problemOf(o.err)
		changed = e.problem == nil || e.problem.Cause != p.Cause
		e.problem = p
		e.failures++
		return changed
	}
	changed = e.problem != nil || e.digest != o.digest
	if e.digest != o.digest {
		e.move(o.digest, now)
	}
	changed = e.merge(o.views) || changed
	e.problem, e.failures, e.checkedAt = nil, 0, now
	return changed
}

// move records that the tag stands for another digest.
func (e *entry) move(to digest.Digest, now time.Time) {
	if e.digest != "" {
		e.changes = append(e.changes, now)
		if len(e.changes) > maxFlaps {
			e.changes = slices.Clone(e.changes[len(e.changes)-maxFlaps:])
		}
	}
	e.digest, e.seenAt = to, now
	for i := range e.views {
		e.views[i].details = nil
	}
}

// merge takes over details and says whether one was not known before.
func (e *entry) merge(views []view) (news bool) {
	for _, v := range views {
		i := slices.IndexFunc(e.views, func(known view) bool { return known.platform == v.platform })
		if i < 0 || e.views[i].details == v.details {
			continue
		}
		news = news || e.views[i].details == nil
		e.views[i].details = v.details
	}
	return news
}

// flaps counts the changes of the last ten minutes.
func (e *entry) flaps(now time.Time) (n int) {
	for _, at := range e.changes {
		if now.Sub(at) <= flapWindow {
			n++
		}
	}
	return n
}

// wants adds a platform and says whether it is a new one.
func (e *entry) wants(p platform) bool {
	if slices.ContainsFunc(e.views, func(v view) bool { return v.platform == p }) {
		return false
	}
	e.views = append(e.views, view{platform: p})
	return true
}

// image is what is known, for one platform.
func (e *entry) image(ref string, on platform, now time.Time) observe.Image {
	i := observe.Image{
		Problem: e.problem, Ref: ref, Repository: e.name.repository(), Digest: e.digest.String(),
		SeenAt: e.seenAt, CheckedAt: e.checkedAt, Flaps: e.flaps(now),
	}
	for _, v := range e.views {
		if v.platform == on && v.details != nil {
			i.Manifest, i.Config = v.details.manifest.String(), v.details.config.String()
			i.Layers, i.PlatformMissing = v.details.content, v.details.platformMissing
			i.Revision, i.Created = v.details.revision, v.details.created
			return i
		}
	}
	if i.Problem == nil {
		i.Problem = &observe.Problem{Cause: observe.CausePending, Message: "the registry has not answered about " + ref + " yet"}
	}
	return i
}
