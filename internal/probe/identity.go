package probe

import (
	"crypto/sha1"
	"encoding/hex"
	"net"
	"net/netip"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// identities find the container behind a server row.
type identities struct {
	// byName is keyed by svname, byAddr by the text of an IP.
	byName, byAddr map[string]string
}

// identify knows two ways from a row to a container. Rancher's lb-controller names
// a server by the hexadecimal SHA-1 of the container's primary IP as text
// (lb-controller: controller/rancher/rancher.go); other generators do not, and
// then the column addr tells, where it is shown.
func identify(containers []observe.Container) identities {
	ids := identities{
		byName: make(map[string]string, len(containers)),
		byAddr: make(map[string]string, len(containers)),
	}
	for ip, h := range holders(containers) {
		if h.disputed {
			continue
		}
		sum := sha1.Sum([]byte(ip))
		ids.byName[hex.EncodeToString(sum[:])] = h.ID
		ids.byAddr[plainIP(ip)] = h.ID
	}
	return ids
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

// container is the id of the one behind a row, or empty.
func (ids identities) container(r *row) string {
	if id := ids.byName[r.name]; id != "" {
		return id
	}
	if r.addr == "" {
		return ""
	}
	host, _, err := net.SplitHostPort(r.addr)
	if err != nil {
		return ""
	}
	return ids.byAddr[plainIP(host)]
}

// plainIP writes an IP in its one shortest form.
func plainIP(s string) string {
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return s
	}
	return ip.Unmap().String()
}
