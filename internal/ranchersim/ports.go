package ranchersim

import (
	"net/http"
	"strconv"
	"strings"
)

// portSpec is a port of a launch configuration: [ip:][public:]private[/protocol].
type portSpec struct {
	ip              string
	public, private int // public is 0 when the host port is left to Rancher.
	protocol        string
}

func (p portSpec) String() string {
	out := strconv.Itoa(p.private) + "/" + p.protocol
	switch {
	case p.public > 0:
		out = strconv.Itoa(p.public) + ":" + out
	case p.ip != "":
		out = ":" + out
	}
	if p.ip != "" {
		out = p.ip + ":" + out
	}
	return out
}

func portError(code, message string) *apiError {
	return &apiError{status: http.StatusUnprocessableEntity, code: code, message: message}
}

// parsePort reads a port as PortSpec does in Cattle, with its errors.
func parsePort(s string) (portSpec, *apiError) {
	body, protocol, given := strings.Cut(s, "/")
	p := portSpec{protocol: "tcp"}
	if given {
		p.protocol = protocol
	}
	if p.protocol != "tcp" && p.protocol != "udp" {
		return p, portError("PortInvalidProtocol", "incorrect protocol for port")
	}
	parts := strings.Split(body, ":")
	if len(parts) > 3 {
		return p, wrongPort()
	}
	if len(parts) == 3 {
		p.ip, parts = parts[0], parts[1:]
	}
	numbers := make([]int, len(parts))
	for n, part := range parts {
		if part == "" && p.ip != "" && n == 0 && len(parts) == 2 {
			continue // ip::private leaves the host port to Rancher.
		}
		value, err := strconv.Atoi(part)
		if err != nil || part == "" || part[0] == '-' || part[0] == '+' {
			return p, wrongPort()
		}
		numbers[n] = value
	}
	p.private = numbers[len(numbers)-1]
	if len(numbers) == 2 {
		p.public = numbers[0]
	}
	return p, checkPorts(p)
}

func wrongPort() *apiError {
	return portError("PortWrongFormat", "the specified port spec format is wrong")
}

func checkPorts(p portSpec) *apiError {
	switch {
	case p.public > 65535:
		return portError("PortInvalidPublicPort", "incorrect public port, valid range is 0-65535")
	case p.private > 65535:
		return portError("PortInvalidPrivatePort", "incorrect private port, valid range is 0-65535")
	}
	return nil
}

// checkPortList validates the ports of a launch configuration.
func checkPortList(config map[string]any) *apiError {
	list, _ := config["ports"].([]any)
	for _, item := range list {
		if _, err := parsePort(text(item)); err != nil {
			return err
		}
	}
	return nil
}

// keepRandomPorts gives a port without a public one the public port that the old configuration had for the same
// private port: the only thing an upgrade keeps of what it replaces (ServiceDiscoveryUtil#preserveOldRandomPorts).
func keepRandomPorts(config, old map[string]any) {
	public := map[string]int{}
	before, _ := old["ports"].([]any)
	for _, item := range before {
		if p, err := parsePort(text(item)); err == nil {
			public[strconv.Itoa(p.private)+p.protocol] = p.public
		}
	}
	list, _ := config["ports"].([]any)
	for n, item := range list {
		p, err := parsePort(text(item))
		if err != nil || p.public > 0 {
			continue
		}
		if kept := public[strconv.Itoa(p.private)+p.protocol]; kept > 0 {
			p.public = kept
			list[n] = p.String()
		}
	}
}

// The range that random host ports are drawn from (servicesPortRange of a new project).
const (
	firstRandomPort = 49153
	lastRandomPort  = 65535
)

// allocatePorts draws host ports for those left to Rancher; they become visible in launchConfig.ports.
func (s *Server) allocatePorts(svc *service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, _ := svc.launchConfig["ports"].([]any)
	changed := false
	ports := make([]any, len(list))
	for n, item := range list {
		ports[n] = item
		if p, err := parsePort(text(item)); err == nil && p.public == 0 {
			p.public = firstRandomPort + s.random.IntN(lastRandomPort-firstRandomPort)
			ports[n], changed = p.String(), true
		}
	}
	if changed {
		config := cloneMap(svc.launchConfig)
		config["ports"] = ports
		svc.launchConfig = config
	}
}
