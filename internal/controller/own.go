package controller

import (
	"io"
	"os"
	"regexp"
)

// Drover may run as a service of the Rancher that it drives. It finds out which
// Docker container it is in, and the informer marks the service of that container
// as its own: a rollout of it would end the one who judges the rollout (C36).

// mountsFile is where Linux tells a process what is mounted for it. Docker mounts
// /etc/hostname, /etc/hosts and /etc/resolv.conf from the container's own folder,
// with cgroup v1 and v2 alike.
const mountsFile = "/proc/self/mountinfo"

var (
	mountedFrom = regexp.MustCompile(`/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf)`)
	// shortID is the host name that Docker gives a container, unless it is told another.
	shortID = regexp.MustCompile(`^[0-9a-f]{12}$`)
)

// ownContainer is Docker's id of the container that this process runs in, or its
// beginning; empty when it runs in none, as far as can be told.
func ownContainer() string {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	mounts, err := os.Open(mountsFile)
	if err != nil {
		return containerOf(nil, host) // Not Linux.
	}
	defer mounts.Close()
	text, err := io.ReadAll(io.LimitReader(mounts, 1<<20))
	if err != nil {
		text = nil
	}
	return containerOf(text, host)
}

// containerOf reads the id out of what is mounted; else a host name that is one.
func containerOf(mounts []byte, host string) string {
	if m := mountedFrom.FindSubmatch(mounts); m != nil {
		return string(m[1])
	}
	if shortID.MatchString(host) {
		return host
	}
	return ""
}
