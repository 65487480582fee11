package probe

import (
	"crypto/sha1"
	"encoding/hex"
	"hash/maphash"
	"net"
	"net/netip"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// identity is how the server rows of one container are known.
type identity struct {
	// container is its id.
	container string
	// name is the svname that Rancher gives it, addr its IP in its shortest form.
	name, addr string
}

// identities are those of a caller's containers: most callers have few.
type identities []identity

// identify knows two ways from a row to a container. Rancher's lb-controller names
// a server by the hexadecimal SHA-1 of the container's primary IP as text
// (lb-controller: controller/rancher/rancher.go); other generators do not, and
// then the column addr tells, where it is shown.
func identify(containers []observe.Container) identities {
	held := holders(containers)
	ids := make(identities, 0, len(held))
	for ip, h := range held {
		if h.disputed {
			continue
		}
		sum := sha1.Sum([]byte(ip))
		ids = append(ids, identity{container: h.ID, name: hex.EncodeToString(sum[:]), addr: plainIP(ip)})
	}
	return ids
}

// identitySeed is for sums of what identities are made from.
var identitySeed = maphash.MakeSeed()

// identitySum tells containers that are identified alike, so that they are identified
// once and not at each look.
func identitySum(containers []observe.Container) uint64 {
	var h maphash.Hash
	h.SetSeed(identitySeed)
	for i := range containers {
		c := &containers[i]
		for _, text := range [...]string{c.ID, c.IP, c.State, c.LaunchName} {
			_, _ = h.WriteString(text)
			_ = h.WriteByte(0)
		}
	}
	return h.Sum64()
}

// holder is the container with the best claim to an IP.
type holder struct {
	*observe.Container
	// disputed says that another one has an equal claim.
	disputed bool
}

// holders says which container has an IP now. A stopped container may still be
// listed with an IP that another one uses. Of two with an equal claim neither is
// believed: a guess would blame the wrong version.
func holders(containers []observe.Container) map[string]holder {
	held := make(map[string]holder, len(containers))
	for i := range containers {
		c := &containers[i]
		if c.IP == "" {
			continue
		}
		other, isTaken := held[c.IP]
		switch {
		case !isTaken || claim(c) > claim(other.Container):
			held[c.IP] = holder{Container: c}
		case claim(c) == claim(other.Container):
			held[c.IP] = holder{Container: other.Container, disputed: true}
		}
	}
	return held
}

// claim ranks how surely a container is the one behind its IP.
func claim(c *observe.Container) int {
	rank := 0
	switch c.State {
	case "running", "updating-running", "":
		rank = 3
	case "starting":
		rank = 2
	case "stopping":
		rank = 1
	}
	if c.LaunchName == "" {
		// A sidekick that shares the primary's network has the primary's IP.
		rank += 4
	}
	return rank
}

// container is the id of the one behind a row, or empty. A name says more than an
// address.
func (ids identities) container(r *row) string {
	for i := range ids {
		if ids[i].name == r.name {
			return ids[i].container
		}
	}
	addr := r.plainAddr()
	for i := range ids {
		if addr != "" && ids[i].addr == addr {
			return ids[i].container
		}
	}
	return ""
}

// plainAddr is the IP of the server in its shortest form; empty where it is not shown.
func (r *row) plainAddr() string {
	if r.addr == "" {
		return ""
	}
	host, _, err := net.SplitHostPort(r.addr)
	if err != nil {
		return ""
	}
	return plainIP(host)
}

// plainIP writes an IP in its one shortest form.
func plainIP(s string) string {
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return s
	}
	return ip.Unmap().String()
}
