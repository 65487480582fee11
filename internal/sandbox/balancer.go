package sandbox

import (
	"context"
	"crypto/sha1" //nolint:gosec // It is a name, as Rancher makes it.
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"time"
)

// StatsURI is where a Balancer shows its statistics; ;csv is appended for the table.
const StatsURI = "/admin?stats"

// What Rancher's load balancer is started with (rancher/lb-controller
// provider/haproxy/config/haproxy_config_util.go).
const (
	retries        = 3
	maxConn        = 4096
	connectTimeout = 5 * time.Second
	serverTimeout  = 50 * time.Second
	// retryWait is HAProxy's pause before it asks the same server again.
	retryWait = time.Second
)

// Balancer spreads requests over servers and shows HAProxy's statistics on the same port.
type Balancer interface {
	// Addr is the host:port it listens on, StatsAddr the one of its statistics page.
	Addr() string
	StatsAddr() string
	// SetServers replaces the servers. When they differ the load balancer reloads, as Rancher's does: every counter
	// begins at zero, and every checked server is UP until its first check.
	SetServers(ctx context.Context, servers []Server) error
	// Close stops it and waits until it is gone.
	Close() error
}

// BalancerOptions say what a Balancer serves.
type BalancerOptions struct {
	// Addr is a loopback host:port; port 0 picks a free one.
	Addr string
	// User and Password guard the statistics page.
	User, Password string
	// Check is the service's health check; nil leaves the servers unchecked.
	Check *Check
	// StatsIn is the section of haproxy.cfg in which the statistics page is:
	// frontend when empty, defaults, backend or listen. The small load balancer has
	// no sections.
	StatsIn string
}

// The sections in which people put the statistics page (load-balancer-and-logs 1.5).
const (
	StatsInFrontend = "frontend"
	StatsInDefaults = "defaults"
	StatsInBackend  = "backend"
	StatsInListen   = "listen"
)

// Check is what Rancher makes of a service's healthCheck for its load balancer.
type Check struct {
	// Port is the containers' port that is asked.
	Port int
	// RequestLine is such as GET "/healthz" "HTTP/1.0"; empty only connects.
	RequestLine string
	// Interval is the time between two checks of a server, Timeout bounds one.
	Interval, Timeout time.Duration
	// Rise and Fall are how many checks in a row change a server's state.
	Rise, Fall int
}

// Server is a container behind a Balancer.
type Server struct {
	IP   string
	Port int
}

// ServerName is the name that Rancher gives a server: the lower-case SHA-1 of its address as text
// (lb-controller controller/rancher/rancher.go).
func ServerName(ip string) string {
	sum := sha1.Sum([]byte(ip)) //nolint:gosec // It is a name, as Rancher makes it.
	return hex.EncodeToString(sum[:])
}

func (s Server) address() string { return fmt.Sprintf("%s:%d", s.IP, s.Port) }

// port is the port of a listening address: the name of the frontend, and with an underscore that of the backend
// (lb-controller config/config.go, FormulateBackendName).
func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// validate refuses options that would break a configuration file or open the sandbox to others.
// statsIn is the section with the statistics page.
func (o BalancerOptions) statsIn() string {
	if o.StatsIn == "" {
		return StatsInFrontend
	}
	return o.StatsIn
}

func (o BalancerOptions) validate() error {
	switch o.statsIn() {
	case StatsInFrontend, StatsInDefaults, StatsInBackend, StatsInListen:
	default:
		return fmt.Errorf("there is no section %q for the statistics page", o.StatsIn)
	}
	if err := checkLoopback(o.Addr); err != nil {
		return err
	}
	if strings.ContainsAny(o.User+o.Password, ": \t\r\n\"'\\#") || o.User == "" || o.Password == "" {
		return fmt.Errorf("user and password must be plain words")
	}
	if c := o.Check; c != nil {
		if c.Port < 1 || c.Interval <= 0 || c.Timeout <= 0 || c.Rise < 1 || c.Fall < 1 {
			return fmt.Errorf("the health check is incomplete: %+v", *c)
		}
		if strings.ContainsAny(c.RequestLine, "\r\n") {
			return fmt.Errorf("the health check's request line has a line break")
		}
	}
	return nil
}
