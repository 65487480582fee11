// Package registrytest is a real registry inside this process: docker/distribution's
// own handlers over HTTP, with everything it stores in memory.
//
// The demo and the sandbox run it, and tests that need a registry; any client may
// push to it. Start listens at once, PushImage and PushIndex push through the wire
// like any other client, Close stops the listener and waits for it.
//
// The library cannot be told to stop: each Start leaves one idle goroutine behind
// (the notification broadcaster of distribution's handlers/app.go).
package registrytest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/docker/distribution/configuration"
	dcontext "github.com/docker/distribution/context"
	_ "github.com/docker/distribution/registry/auth/htpasswd" // Auth "htpasswd".
	_ "github.com/docker/distribution/registry/auth/token"    // Auth "token".
	"github.com/docker/distribution/registry/handlers"
	_ "github.com/docker/distribution/registry/storage/driver/inmemory" // Storage "inmemory".
	"github.com/sirupsen/logrus"                                        //nolint:depguard // Only to silence the registry's own logger.
)

// AuthKind is how a registry asks who is there.
type AuthKind string

const (
	// AuthNone lets everybody in.
	AuthNone AuthKind = ""
	// AuthBasic asks for a user name and password with every request.
	AuthBasic AuthKind = "basic"
	// AuthToken sends clients to a token service, which asks for the user name
	// and password when Users is not empty.
	AuthToken AuthKind = "token"
)

// Options say what kind of registry is started. The zero value is an open
// registry over plain HTTP on a free loopback port.
type Options struct {
	// Addr is where to listen; empty means 127.0.0.1:0.
	Addr string
	// TLS serves HTTPS with a certificate of a new CA; see Registry.CAPEM.
	TLS bool
	// Auth is how clients identify themselves.
	Auth AuthKind
	// Users are passwords by user name.
	Users map[string]string
	// Realm replaces the address of the token service in challenges.
	Realm string
	// TokenTTL is how long tokens are good for; 0 means five minutes.
	TokenTTL time.Duration
	// NotifyURL, when not empty, is where the registry posts its notifications.
	NotifyURL string
	// Wrap, when not nil, is put around the whole handler: to count requests or
	// to make some of them fail.
	Wrap func(http.Handler) http.Handler
}

// Registry is a running registry.
type Registry struct {
	options  Options
	listener net.Listener
	server   *http.Server
	client   *http.Client
	// issuer signs tokens; nil unless Auth is AuthToken.
	issuer *issuer
	// ca is the PEM of the CA; nil unless TLS.
	ca []byte
	// dir holds the files that the library wants to read.
	dir    string
	served chan error
}

// quiet silences the library, which logs to logrus's standard logger whatever
// logger its context holds (registry/auth/token/token.go). Nothing else in this
// program uses logrus.
var quiet = sync.OnceFunc(func() {
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.PanicLevel)
})

// Start makes a registry and serves it until Close.
func Start(options Options) (*Registry, error) {
	quiet()
	if options.Addr == "" {
		options.Addr = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", options.Addr)
	if err != nil {
		return nil, fmt.Errorf("listening for the registry: %w", err)
	}
	r := &Registry{options: options, listener: listener, served: make(chan error, 1)}
	if err := r.setUp(); err != nil {
		return nil, errors.Join(err, listener.Close(), os.RemoveAll(r.dir))
	}
	go func() { r.served <- r.server.Serve(r.listener) }()
	return r, nil
}

// setUp makes certificates, files and handlers.
func (r *Registry) setUp() error {
	dir, err := os.MkdirTemp("", "registrytest-")
	if err != nil {
		return fmt.Errorf("making a directory for the registry's files: %w", err)
	}
	r.dir = dir
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	if r.options.TLS {
		certificate, ca, err := newCertificate()
		if err != nil {
			return err
		}
		r.ca = ca
		r.listener = tls.NewListener(r.listener, &tls.Config{
			Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
		})
		transport.TLSClientConfig = &tls.Config{RootCAs: pool(ca), MinVersion: tls.VersionTLS12}
	}
	r.client = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	handler, err := r.handler()
	if err != nil {
		return err
	}
	r.server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	return nil
}

// handler is the library's handler with the token service beside it.
func (r *Registry) handler() (handler http.Handler, err error) {
	config, err := r.configuration()
	if err != nil {
		return nil, err
	}
	// NewApp panics on a configuration it does not like.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("starting the registry's handlers: %v", p)
		}
	}()
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	logger.SetLevel(logrus.PanicLevel)
	app := handlers.NewApp(dcontext.WithLogger(context.Background(), logger), config)
	mux := http.NewServeMux()
	mux.Handle("/v2/", app)
	if r.issuer != nil {
		mux.HandleFunc("/token", r.serveToken)
	}
	if r.options.Wrap != nil {
		return r.options.Wrap(mux), nil
	}
	return mux, nil
}

// configuration is what a registry's config.yml would say.
func (r *Registry) configuration() (*configuration.Configuration, error) {
	config := &configuration.Configuration{Storage: configuration.Storage{
		"inmemory": configuration.Parameters{},
		"delete":   configuration.Parameters{"enabled": true},
		// The purger is a goroutine that never ends.
		"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
	}}
	config.HTTP.Addr = r.Host()
	// It signs the state of uploads between requests and guards nothing here.
	config.HTTP.Secret = "registrytest"
	config.HTTP.RelativeURLs = true
	config.Validation.Disabled = true
	config.Catalog.MaxEntries = 1000
	if r.options.NotifyURL != "" {
		config.Notifications.Endpoints = []configuration.Endpoint{{
			Name: "notify", URL: r.options.NotifyURL,
			Timeout: 2 * time.Second, Threshold: 3, Backoff: time.Second,
		}}
	}
	var err error
	config.Auth, err = r.auth()
	return config, err
}

// Handler is what answers, for clients that come without a network.
func (r *Registry) Handler() http.Handler { return r.server.Handler }

// Host is host:port, as image names begin.
func (r *Registry) Host() string { return r.listener.Addr().String() }

// URL is the address with its scheme.
func (r *Registry) URL() string {
	if r.options.TLS {
		return "https://" + r.Host()
	}
	return "http://" + r.Host()
}

// CAPEM is the certificate of the CA that signed the server's; nil without TLS.
func (r *Registry) CAPEM() []byte { return r.ca }

// Client speaks to this registry: it trusts its CA.
func (r *Registry) Client() *http.Client { return r.client }

// Ref is the full name of repository:tag in this registry.
func (r *Registry) Ref(repository, tag string) string {
	return strings.Join([]string{r.Host(), "/", repository, ":", tag}, "")
}

// Close stops the registry and forgets what it stored.
func (r *Registry) Close() error {
	err := r.server.Close()
	<-r.served //nolint:errcheck // Close above says what matters; this waits for the goroutine.
	r.client.CloseIdleConnections()
	return errors.Join(err, os.RemoveAll(r.dir))
}
