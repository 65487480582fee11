package probe

import (
	"errors"
	"net/url"
	"strings"
)

// endpoint is where an instance's statistics are.
type endpoint struct {
	// name is for people: host:port, or the socket's path.
	name string
	// url is that of the page; empty for a socket.
	url string
	// network and address are the runtime socket's: unix and a path, or tcp and
	// host:port.
	network, address string
	// isJSON says that the statistics come as JSON, which is some thirty times as
	// much text as CSV.
	isJSON bool
}

const jsonSuffix = ";json"

// parseEndpoint understands the address of statistics: http(s)://host[:port]/path of
// the page, or unix:///path and tcp://host:port of the runtime socket. CSV is read
// unless the address ends in ;json.
func parseEndpoint(stats string) (endpoint, error) {
	plain, isJSON := strings.CutSuffix(stats, jsonSuffix)
	u, err := url.Parse(plain)
	if err != nil {
		return endpoint{}, errAddress
	}
	if u.User != nil {
		return endpoint{}, errors.New("must not hold a user name or a password")
	}
	switch {
	case u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
		return endpoint{name: u.Path, network: "unix", address: u.Path, isJSON: isJSON}, nil
	case u.Scheme == "tcp" && u.Port() != "" && u.Path == "":
		return endpoint{name: u.Host, network: "tcp", address: u.Host, isJSON: isJSON}, nil
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
		return endpoint{name: u.Host, url: pageAddress(u, isJSON), isJSON: isJSON}, nil
	}
	return endpoint{}, errAddress
}

var errAddress = errors.New("must be http://host[:port]/path, unix:///path or tcp://host:port")

// pageAddress is the URL of the page in a format. HAProxy matches "stats uri" as a
// prefix and takes what follows a semicolon as options, so /admin?stats becomes
// /admin?stats;csv.
func pageAddress(u *url.URL, isJSON bool) string {
	u.Fragment = ""
	if u.Path == "" {
		u.Path = "/"
	}
	if isJSON {
		return u.String() + jsonSuffix
	}
	return strings.TrimSuffix(u.String(), ";csv") + ";csv"
}

// command is what is written to a runtime socket.
func (e *endpoint) command() string {
	if e.isJSON {
		return "show stat json\n"
	}
	return "show stat\n"
}
