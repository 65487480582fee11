package controller

import (
	"strings"
	"testing"
)

func TestOwnContainerIsReadFromItsMounts(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	mount := func(from, to string) string {
		return "651 634 259:1 " + from + " " + to + " rw,relatime - ext4 /dev/root rw\n"
	}
	docker := mount("/var/lib/docker/containers/"+id+"/resolv.conf", "/etc/resolv.conf") + mount("/var/lib/docker/containers/"+id+"/hostname", "/etc/hostname")
	for _, tt := range []struct{ name, mounts, host, want string }{
		{"docker", docker, "chat-drover-1", id},
		{"docker with another root", mount("/data/docker/containers/"+id+"/hosts", "/etc/hosts"), "drover", id},
		{"a host that shows the containers of others", mount("/var/lib/docker/containers/"+id+"/mounts/shm", "/var/lib/docker/containers/"+id+"/mounts/shm"), "node-1", ""},
		{"nothing but the host name", mount("/", "/"), id[:12], id[:12]},
		{"no container", mount("/", "/"), "laptop", ""},
		{"a host name that looks a little like one", "", "deadbeef", ""},
		{"nothing", "", "", ""},
	} {
		if got := containerOf([]byte(tt.mounts), tt.host); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
