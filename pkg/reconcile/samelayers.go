package reconcile

import (
	"maps"
	"slices"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// A new digest may hold what was taken back: the same commit built again, the tag
// pushed from a cache. Its layers tell (R16).

// sameLayers is the quarantined digest, the latest, that has the layers of a part that
// changes; empty when none has. Layers that run now are not what failed, and a digest
// that a person asked to be tried again is compared with no more.
func (l *look) sameLayers(to, from Part) string {
	if len(to.changes(from)) == 0 || to.Layers.AreThoseOf(from.Layers) {
		return ""
	}
	found := ""
	for d, q := range l.in.History.Quarantine {
		if !q.Layers.AreThoseOf(to.Layers) || d == to.Digest || d == l.retry() {
			continue
		}
		if other := l.in.History.Quarantine[found]; found == "" || q.At.After(other.At) || q.At.Equal(other.At) && d < found {
			found = d
		}
	}
	return found
}

// allSameLayers are those of the primary and of the sidekicks, in their order.
func (l *look) allSameLayers(to Baseline) []string {
	from := l.in.History.Baseline
	var all []string
	add := func(d string) {
		if d != "" && !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	add(l.sameLayers(to.Part, from.Part))
	for _, name := range slices.Sorted(maps.Keys(to.Sidekicks)) {
		add(l.sameLayers(to.Sidekicks[name], from.Sidekicks[name]))
	}
	return all
}

// sameLayersToo is what a reason not to start yet, or to start, has to say of them.
func (l *look) sameLayersToo(to Baseline) string {
	all := l.allSameLayers(to)
	if len(all) == 0 {
		return ""
	}
	for i, d := range all {
		all[i] = short(d)
	}
	return "; same layers as quarantined " + strings.Join(all, " and ")
}

// layersOf are the layers of digests that are to be quarantined: of those that a
// baseline brought, and of those that the tags still name.
func (l *look) layersOf(digests []string, b *Baseline) map[string]observe.Layers {
	layers := b.LayersOf(digests)
	add := func(tag observe.Image) {
		if tag.Layers.IsKnown() && slices.Contains(digests, tag.Digest) && !layers[tag.Digest].IsKnown() {
			if layers == nil {
				layers = map[string]observe.Layers{}
			}
			layers[tag.Digest] = tag.Layers
		}
	}
	add(l.in.Observed.Image)
	for _, tag := range l.in.Observed.Sidekicks {
		add(tag)
	}
	return layers
}

// LayersOf are the layers of those of a baseline's digests that are among the given
// ones, as far as they are known. It is the tags' digests that have them: what a person
// reads and asks for.
func (b *Baseline) LayersOf(digests []string) map[string]observe.Layers {
	var layers map[string]observe.Layers
	for _, p := range b.Parts() {
		if !p.Layers.IsKnown() || !slices.Contains(digests, p.Digest) {
			continue
		}
		if layers == nil {
			layers = map[string]observe.Layers{}
		}
		layers[p.Digest] = p.Layers
	}
	return layers
}
