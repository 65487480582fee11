package sandbox

import (
	"fmt"
	"strings"
)

// haproxyConfig is one configuration file of the real load balancer.
type haproxyConfig struct {
	options BalancerOptions
	// addr is where the frontend listens, plain where the proxy "default" does.
	addr, plain string
	// socket is the path of the admin socket.
	socket  string
	servers []Server
}

// String renders the file in the shape of lb-controller's (provider/haproxy/config/haproxy_template.cfg, sample
// config-rancher-generated.cfg), with the statistics page where a user's custom text puts it. Left out is what needs
// root or Rancher's network: chroot, user, error files, resolvers.
func (c haproxyConfig) String() string {
	name := port(c.addr)
	var b strings.Builder
	fmt.Fprintf(&b, "global\n    maxconn %d\n    stats socket %s mode 600 level admin\n    stats timeout 2m\n\n", maxConn, c.socket)
	fmt.Fprintf(&b, "defaults\n    maxconn %d\n    mode %s\n    option forwardfor\n    option http-server-close\n"+
		"    option redispatch\n    retries %d\n    timeout client 50000\n    timeout connect %d\n    timeout server %d\n%s\n",
		maxConn, c.defaultMode(), retries, connectTimeout.Milliseconds(), serverTimeout.Milliseconds(), c.stats(StatsInDefaults))
	fmt.Fprintf(&b, "listen default\nbind %s\nmode %s\n%s\n", c.plain, c.listenMode(), c.stats(StatsInListen))
	fmt.Fprintf(&b, "frontend %s\nbind %s\nmode http\n%sdefault_backend %s_\n\n", name, c.addr, c.stats(StatsInFrontend), name)
	fmt.Fprintf(&b, "backend %s_\nacl forwarded_proto hdr_cnt(X-Forwarded-Proto) eq 0\nacl forwarded_port hdr_cnt(X-Forwarded-Port) eq 0\n"+
		"    http-request add-header X-Forwarded-Port %%[dst_port] if forwarded_port\n"+
		"    http-request add-header X-Forwarded-Proto https if { ssl_fc } forwarded_proto\n%s", name, c.stats(StatsInBackend))
	c.writeCheck(&b)
	b.WriteString("mode http\n")
	for _, s := range c.servers {
		fmt.Fprintf(&b, "server %s %s %s\n", ServerName(s.IP), s.address(), c.checkWords())
	}
	return b.String()
}

// stats are the lines of the statistics page when it is in this section.
func (c haproxyConfig) stats(section string) string {
	if c.options.statsIn() != section {
		return ""
	}
	return fmt.Sprintf("    stats enable\n    stats uri %s\n    stats auth %s:%s\n", StatsURI, c.options.User, c.options.Password)
}

// defaultMode is Rancher's, unless the custom text with the page in defaults says http, as it must.
func (c haproxyConfig) defaultMode() string {
	if c.options.statsIn() == StatsInDefaults {
		return "http"
	}
	return "tcp"
}

func (c haproxyConfig) listenMode() string {
	if c.options.statsIn() == StatsInListen {
		return "http"
	}
	return c.defaultMode()
}

func (c haproxyConfig) writeCheck(b *strings.Builder) {
	check := c.options.Check
	if check == nil {
		return
	}
	fmt.Fprintf(b, "    timeout check %d\n", check.Timeout.Milliseconds())
	if check.RequestLine != "" {
		fmt.Fprintf(b, "    option httpchk %s\n", check.RequestLine)
	}
}

// checkWords end a server line.
func (c haproxyConfig) checkWords() string {
	check := c.options.Check
	if check == nil {
		return ""
	}
	return fmt.Sprintf(" check port %d inter %d rise %d fall %d", check.Port, check.Interval.Milliseconds(), check.Rise, check.Fall)
}
