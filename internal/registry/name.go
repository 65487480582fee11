package registry

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// name is a parsed reference to a tag.
type name struct {
	// host is the registry as image names say it.
	host string
	// repo is the path below it.
	repo string
	// tag is the tag; empty for a repository alone.
	tag string
}

// String is host/repository:tag.
func (n name) String() string {
	if n.tag == "" {
		return n.repository()
	}
	return n.host + "/" + n.repo + ":" + n.tag
}

// repository is the name without its tag.
func (n name) repository() string { return n.host + "/" + n.repo }

// at is the name with a digest in place of the tag.
func (n name) at(d digest.Digest) string { return n.repository() + "@" + d.String() }

// parseName reads a reference as docker does: alpine is
// docker.io/library/alpine:latest.
func parseName(s string) (name, error) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return name{}, fmt.Errorf("reading the reference %q: %w", clean(s), err)
	}
	if _, pinned := named.(reference.Digested); pinned {
		return name{}, fmt.Errorf("reading the reference %q: it names a digest, which never changes; name a tag to follow", clean(s))
	}
	n := name{host: reference.Domain(named), repo: reference.Path(named), tag: "latest"}
	if tagged, ok := named.(reference.Tagged); ok {
		n.tag = tagged.Tag()
	}
	return n.within(s), nil
}

// within is the name cut out of the text that it was read from, where it stands there
// as it is: nearly always, and then it takes no memory of its own.
func (n name) within(s string) name {
	if s != n.String() {
		return n
	}
	host, repo := len(n.host), len(n.repo)
	return name{host: s[:host], repo: s[host+1 : host+1+repo], tag: s[len(s)-len(n.tag):]}
}

// endpoint is the host to connect to: Docker Hub's API has another name than its
// images (docker/distribution has it as registry-1.docker.io).
func endpoint(host string) string {
	if host == "docker.io" {
		return "registry-1.docker.io"
	}
	return host
}

// parseDigest accepts the algorithms whose strength is beyond doubt.
func parseDigest(s string) (digest.Digest, error) {
	d, err := digest.Parse(s)
	if err != nil {
		return "", fmt.Errorf("%q is not a digest", clean(s))
	}
	if a := d.Algorithm(); a != digest.SHA256 && a != digest.SHA512 {
		return "", fmt.Errorf("digests of the kind %s are not supported", clean(string(a)))
	}
	return d, nil
}

// verify compares a body with the digest it was named by.
func verify(d digest.Digest, body []byte) error {
	if got := d.Algorithm().FromBytes(body); got != d {
		return &Error{Code: CodeMismatch, Message: fmt.Sprintf("asked for %s and was given %s", d, got)}
	}
	return nil
}

// DefaultPlatform is what Rancher 1.6 hosts are unless a target says otherwise.
const DefaultPlatform = "linux/amd64"

// platform is a parsed os/architecture[/variant].
type platform struct{ os, arch, variant string }

// parsePlatform reads os/architecture[/variant]; empty means DefaultPlatform.
func parsePlatform(s string) platform {
	if s == "" {
		s = DefaultPlatform
	}
	parts := append(strings.Split(s, "/"), "", "")
	return normalPlatform(platform{parts[0], parts[1], parts[2]})
}

// normalPlatform spells a platform in one way, as containerd's platforms package
// does: x86_64 is amd64, aarch64 and arm64/v8 are arm64, arm alone is arm/v7, and
// amd64/v1 is amd64.
func normalPlatform(p platform) platform {
	p.os, p.arch, p.variant = strings.ToLower(p.os), strings.ToLower(p.arch), strings.ToLower(p.variant)
	switch p.arch {
	case "x86_64", "x86-64":
		p.arch = "amd64"
	case "aarch64":
		p.arch = "arm64"
	case "armhf":
		p.arch, p.variant = "arm", "v7"
	}
	switch p.arch + "/" + p.variant {
	case "amd64/v1", "arm64/v8", "arm64/8":
		p.variant = ""
	case "arm/":
		p.variant = "v7"
	}
	return p
}

// String is os/architecture[/variant].
func (p platform) String() string {
	s := p.os + "/" + p.arch
	if p.variant != "" {
		s += "/" + p.variant
	}
	return s
}
