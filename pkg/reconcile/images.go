package reconcile

import (
	"cmp"
	"fmt"
	"strings"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// RunsAsAsked says whether Docker runs in a container what its launch configuration
// names, and whether that is known: Rancher's events have to have told which image
// it is, and Drover has to know what the reference is. Most versions of Docker tell
// the digest of the image's configuration, those with containerd's store that of a
// manifest.
func RunsAsAsked(h History, c *observe.Container) (isAsked, isKnown bool) {
	if c.ImageID == "" {
		return false, false
	}
	for _, b := range []*Baseline{toOf(h.Rollout), h.Baseline, fromOf(h.Rollout)} {
		p := partFor(b, c.LaunchName)
		if p.Image == c.Image && p.Config != "" {
			return c.ImageID == p.Config || c.ImageID == p.Manifest || c.ImageID == p.Digest, true
		}
	}
	return false, false
}

func toOf(r *Rollout) *Baseline {
	if r == nil {
		return nil
	}
	return &r.To
}

func fromOf(r *Rollout) *Baseline {
	if r == nil {
		return nil
	}
	return &r.From
}

// partFor is what a baseline knows of the primary or of a sidekick.
func partFor(b *Baseline, launchName string) Part {
	switch {
	case b == nil:
		return Part{}
	case launchName == "":
		return b.Part
	}
	return b.Sidekicks[launchName]
}

// mixedImages says which containers of one version are known to run different
// images; nil when none are. It happens to a bare tag: each host runs what the tag
// named when that host pulled it (rancher-api 12.15).
func (l *look) mixedImages() *step {
	all := l.svc().Containers
	for i := range all {
		if j := firstLike(all, i); all[j].ImageID != all[i].ImageID {
			d := l.calm(CodeImagesDiffer, 0, l.sayMixed(&all[j]))
			// What is pinned is what was asked for: its hosts are of several platforms.
			d.Alert = d.Code == CodeImagesDiffer && digestOf(all[j].Image) == ""
			return &d
		}
	}
	return nil
}

// firstLike is the first container whose image should be that of the i-th: itself,
// when that one does not run or its image is not known.
func firstLike(all []observe.Container, i int) int {
	c := &all[i]
	if c.ImageID == "" || !isRunning(c) {
		return i
	}
	for j := range i {
		first := &all[j]
		if first.ImageID != "" && isRunning(first) && first.LaunchName == c.LaunchName && first.Version == c.Version {
			return j
		}
	}
	return i
}

// sayMixed lists what the containers like one run, in the order of the containers.
func (l *look) sayMixed(like *observe.Container) string {
	var images []string
	by := map[string][]string{}
	all := l.svc().Containers
	for i := range all {
		c := &all[i]
		if c.LaunchName != like.LaunchName || c.Version != like.Version || c.ImageID == "" || !isRunning(c) {
			continue
		}
		if by[c.ImageID] == nil {
			images = append(images, c.ImageID)
		}
		by[c.ImageID] = append(by[c.ImageID], c.Name+" on "+cmp.Or(c.HostID, "an unknown host"))
	}
	for i, id := range images {
		images[i] = short(id) + " runs in " + strings.Join(by[id], ", ")
	}
	return fmt.Sprintf("different images run as %s: %s", shortImage(like.Image), strings.Join(images, "; "))
}
