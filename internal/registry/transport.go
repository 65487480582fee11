package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// dialFunc connects; tests replace it.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

const (
	// maxRedirects is what a blob behind an object store needs, twice over.
	maxRedirects = 4
	// maxPEM bounds a CA file.
	maxPEM = 4 << 20
)

// newTransport makes the connections of one registry, shared by all its
// references. HTTP/1.1 with one kept connection per concurrent request costs less
// CPU for small answers than multiplexing them over HTTP/2.
func newTransport(config desired.Registry, dial dialFunc) (*http.Transport, error) {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	roots, err := roots(config.CAFile)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		MaxIdleConnsPerHost:    config.Concurrency,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// Bodies are hashed as they are sent.
		DisableCompression: true,
		ReadBufferSize:     4 << 10,
		WriteBufferSize:    4 << 10,
	}, nil
}

// roots are the system's certificate authorities and those of the file; nil means
// the system's alone.
func roots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := readFile(path, maxPEM)
	if err != nil {
		return nil, unusable("reading the CA file: %v", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, unusable("the CA file %s holds no certificate", path)
	}
	return pool, nil
}

// readFile reads a file that is not longer than limit.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, limit)
}

// readAll reads what is not longer than limit.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, invalid("longer than %d bytes", limit)
	}
	return body, nil
}

// checkRedirect follows few redirects, none from https to http, and takes the
// credentials off as soon as another host or port is asked. net/http alone would
// keep them for subdomains and other ports of the same name.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) > maxRedirects:
		return invalid("more than %d redirects", maxRedirects)
	case req.URL.Scheme != "https" && first.URL.Scheme == "https":
		return unusable("redirected from https to %s://%s: refused", clean(req.URL.Scheme), clean(req.URL.Host))
	case !strings.EqualFold(hostPort(req.URL), hostPort(first.URL)):
		req.Header.Del("Authorization")
	}
	return nil
}

// isCertificateError says that TLS itself worked and the certificate is no good:
// expired, for another name, from an unknown authority. It does not pass by itself.
func isCertificateError(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	// A server that speaks plain HTTP (net/http has no type for its complaint).
	return strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// dockerConfig is the part of Docker's config.json that is understood.
type dockerConfig struct {
	Auths map[string]struct {
		Auth          string `json:"auth"`
		Username      string `json:"username"`
		Password      string `json:"password"`
		IdentityToken string `json:"identitytoken"`
	} `json:"auths"`
	CredHelpers map[string]string `json:"credHelpers"`
	CredsStore  string            `json:"credsStore"`
}

// errHelper says what cannot be done about a credential helper.
func errHelper(host, what string) error {
	return unusable("the Docker configuration keeps the credentials of %s in %s, which is not supported: "+
		"set username and password, or write them to auths", host, what)
}

// secretFunc finds a secret.
type secretFunc func(desired.Secret) (string, error)
