package reconcile

import (
	"maps"
	"slices"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// pinnedAll is a baseline by the digests of all its images, where they are known:
// what a way back names must not be what the tags name by now.
func (l *look) pinnedAll(b Baseline) Baseline {
	b.Image = pinned(b.Part, l.in.Observed.Image)
	b.Sidekicks = maps.Clone(b.Sidekicks)
	for name, side := range b.Sidekicks {
		side.Image = pinned(side, l.in.Observed.Sidekicks[name])
		b.Sidekicks[name] = side
	}
	return b
}

// isPinned says that every image is named by its digest.
func (b Baseline) isPinned() bool {
	for _, side := range b.Sidekicks {
		if digestOf(side.Image) == "" {
			return false
		}
	}
	return digestOf(b.Image) != ""
}

// pinned is an image by its digest, where that and the repository are known.
func pinned(p Part, tag observe.Image) string {
	if digestOf(p.Image) != "" || p.Digest == "" || tag.Repository == "" {
		return p.Image
	}
	return tag.Repository + "@" + p.Digest
}

// passedOver says which digest a tag names that was there when something else was
// adopted, and of which sidekick; empty when none does.
func (l *look) passedOver() (digest, sidekick string) {
	b := l.in.History.Baseline
	if l.isPassedOver(b.Part, l.in.Observed.Image) {
		return b.Over, ""
	}
	if len(b.Sidekicks) == 0 {
		return "", "" // Nothing is allocated for what nearly every target is.
	}
	for _, name := range slices.Sorted(maps.Keys(b.Sidekicks)) {
		if tag, followed := l.in.Observed.Sidekicks[name]; followed && l.isPassedOver(b.Sidekicks[name], tag) {
			return tag.Digest, name
		}
	}
	return "", ""
}

func (l *look) isPassedOver(from Part, tag observe.Image) bool {
	return from.Over != "" && from.Over == tag.Digest && differs(from, tag) && !l.isReleased(partOf(tag))
}

// wanted is the baseline the tags ask for. An index that brings the same manifest
// for the platform is nothing new (ruling 14). What was passed over stays as it runs,
// and does not keep the other images from being followed.
func (l *look) wanted() (Baseline, bool) {
	b := l.in.History.Baseline
	part, isNewer := l.wantedPart(b.Part, l.in.Observed.Image)
	to := Baseline{Part: part}
	for name, from := range b.Sidekicks {
		img, followed := l.in.Observed.Sidekicks[name]
		if !followed {
			continue
		}
		side, isNewerSide := l.wantedPart(from, img)
		isNewer = isNewer || isNewerSide
		if to.Sidekicks == nil {
			to.Sidekicks = make(map[string]Part, len(b.Sidekicks))
		}
		to.Sidekicks[name] = side
	}
	if isNewer {
		// With a sidekick's new digest the primary comes by its own, also where it ran
		// under the bare tag.
		to.Image = pinned(to.Part, l.in.Observed.Image)
	}
	return to, isNewer
}

func (l *look) wantedPart(from Part, tag observe.Image) (to Part, isNewer bool) {
	if !differs(from, tag) || l.isPassedOver(from, tag) {
		return from, false
	}
	return partOf(tag), true
}

// partOf is an image pinned to what its tag names.
func partOf(img observe.Image) Part {
	return Part{Image: img.Repository + "@" + img.Digest, Digest: img.Digest, Manifest: img.Manifest, Config: img.Config, Layers: img.Layers}
}

func differs(from Part, to observe.Image) bool {
	if to.Digest == from.Digest {
		return false
	}
	return to.Manifest == "" || to.Manifest != from.Manifest
}
