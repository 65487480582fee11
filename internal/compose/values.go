package compose

import (
	"strconv"
	"strings"
)

// isVariable says that a value is not in the file.
func isVariable(text string) bool { return strings.Contains(text, "$") }

// AddPort takes a published port, 8080:80 or 10.0.0.1:8080:80/tcp. A range counts
// with its first; 80 alone is not published.
func (s *Service) AddPort(spec string) {
	parts := strings.Split(spec, ":")
	if len(parts) < 2 {
		return
	}
	first, _, _ := strings.Cut(parts[len(parts)-2], "-")
	if port, err := strconv.ParseUint(first, 10, 16); err == nil && port > 0 {
		s.HostPorts = append(s.HostPorts, uint32(port))
	}
}
