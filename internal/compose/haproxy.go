package compose

import (
	"strconv"
	"strings"
)

// statsPage is where a custom haproxy.cfg puts the statistics page.
type statsPage struct {
	// uri is its path and query.
	uri string
	// port is the section's own; 0 means that of the load balancer's rules.
	port int
	// username is of the first stats auth; hasAuth that there is one. The password
	// is not kept.
	username string
	hasAuth  bool
}

// defaultStatsURI is HAProxy's (configuration manual, "stats uri").
const defaultStatsURI = "/haproxy?stats"

// statsPages finds the pages of a custom haproxy.cfg: in defaults, in a frontend,
// in a backend or in a listen section of its own, as people write them
// (load-balancer-and-logs 1.5).
func statsPages(config string) []statsPage {
	var pages []statsPage
	var current *statsPage
	end := func() {
		if current != nil && current.uri != "" {
			pages = append(pages, *current)
		}
		current = nil
	}
	for line := range strings.Lines(config) {
		words := strings.Fields(strings.SplitN(line, "#", 2)[0])
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "global", "defaults", "frontend", "backend", "listen":
			end()
			if words[0] != "global" {
				current = &statsPage{port: sectionPort(words)}
			}
		case "bind":
			if current != nil && len(words) > 1 {
				current.port = portOf(words[1])
			}
		case "stats":
			if current != nil {
				current.take(words[1:])
			}
		}
	}
	end()
	return pages
}

func (p *statsPage) take(words []string) {
	if len(words) == 0 {
		return
	}
	switch words[0] {
	case "enable", "uri", "auth":
		if p.uri == "" {
			p.uri = defaultStatsURI
		}
	}
	switch {
	case words[0] == "uri" && len(words) > 1:
		p.uri = words[1]
	case words[0] == "auth" && len(words) > 1 && !p.hasAuth:
		p.username, _, p.hasAuth = strings.Cut(words[1], ":")
	}
}

// sectionPort is the port in the names that Rancher gives to frontends ("80") and
// backends ("80_host_path").
func sectionPort(words []string) int {
	if len(words) < 2 {
		return 0
	}
	name, _, _ := strings.Cut(words[1], "_")
	port, err := strconv.ParseUint(name, 10, 16)
	if err != nil {
		return 0
	}
	return int(port)
}

func portOf(address string) int {
	port, err := strconv.ParseUint(address[strings.LastIndexByte(address, ':')+1:], 10, 16)
	if err != nil {
		return 0
	}
	return int(port)
}
