package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// TCP is where and to whom the API is served beside the unix socket.
type TCP struct {
	// Address is host:port.
	Address string
	// Token is what requests must bring; it is read anew for each, so that it can
	// be rotated.
	Token func() (string, error)
	// CertFile and KeyFile are PEM files to serve HTTPS with, read anew for each
	// connection; both empty serves HTTP.
	CertFile, KeyFile string
	// Listening is told the address once it is open; nil is nobody.
	Listening func(net.Addr)
}

// ServeTCP serves the handler until ctx ends, to those who bring the token.
func ServeTCP(ctx context.Context, t TCP, h http.Handler) error {
	if t.CertFile != "" {
		// A certificate that cannot be read is told at the start, not at the first request.
		if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
			return fmt.Errorf("reading the certificate of the API: %w", err)
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", t.Address)
	if err != nil {
		return fmt.Errorf("listening for the API: %w", err)
	}
	if t.Listening != nil {
		t.Listening(listener.Addr())
	}
	if t.CertFile != "" {
		listener = tls.NewListener(listener, &tls.Config{
			MinVersion: tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
				return &pair, err
			},
		})
	}
	return serveOn(ctx, listener, guarded(h, t.Token))
}

// ServeHealth serves GET /healthz and nothing else until ctx ends, to everybody who
// reaches the address: Rancher's health checks know no unix socket and bring no
// token.
func ServeHealth(ctx context.Context, address string, h http.Handler, listening func(net.Addr)) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening for health checks: %w", err)
	}
	listening(listener.Addr())
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", h)
	return serveOn(ctx, listener, mux)
}

// guarded lets through who brings the token. Health is for load balancers and
// container engines, which bring none.
func guarded(h http.Handler, token func() (string, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			h.ServeHTTP(w, r)
			return
		}
		if err := isBearer(r, token); err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="drover"`)
			fail(w, http.StatusUnauthorized, err.Error())
			return
		}
		h.ServeHTTP(w, r)
	})
}

// isBearer compares in a time that does not depend on the token.
func isBearer(r *http.Request, token func() (string, error)) error {
	want, err := token()
	if err != nil {
		return errors.New("the daemon cannot read its token: see its log and api.token")
	}
	scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || got == "" {
		return errors.New("no token: send Authorization: Bearer … with the token that api.token names")
	}
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
		return errors.New("the token is not the daemon's")
	}
	return nil
}
