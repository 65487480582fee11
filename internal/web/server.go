package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// SocketName is the socket's file in the state directory.
const SocketName = "drover.sock"

// maxSocketPath is what the shortest sun_path of the supported systems takes
// (unix(7): 108 bytes on Linux; 104 on BSD), its final zero included.
const maxSocketPath = 103

const (
	readTimeout  = 10 * time.Second
	writeTimeout = 20 * time.Second
	idleTimeout  = time.Minute
	// shutdownTimeout is how long requests may take to end after a stop.
	shutdownTimeout = 2 * time.Second
	maxHeader       = 16 << 10
)

// Serve serves the handler on a unix socket at path until ctx ends.
func Serve(ctx context.Context, path string, h http.Handler) error {
	listener, err := listen(ctx, path)
	if err != nil {
		return err
	}
	defer os.Remove(path) //nolint:errcheck // The next start removes a stale one.
	return serveOn(ctx, listener, h)
}

// serveOn serves until ctx ends, and lets requests under way end.
func serveOn(ctx context.Context, listener net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler: h, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		// Event streams end with ctx, or Shutdown would wait for them.
		BaseContext: func(net.Listener) context.Context { return ctx },
		// A scanner that speaks no TLS is no news; the handlers answer what is wrong.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if server.Shutdown(grace) != nil {
		_ = server.Close() // The listener is closed already; only connections are cut.
	}
	<-failed //nolint:errcheck // Says only that the server was closed; this waits for the goroutine.
	return nil
}

// listen makes the socket under another name and renames it when only its owner
// may open it: there is no moment in which others can.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if len(path)+len(".new") > maxSocketPath {
		return nil, fmt.Errorf("the path of the socket is longer than %d bytes, choose a shorter state directory: %s", maxSocketPath-len(".new"), path)
	}
	if err := clear(ctx, path); err != nil {
		return nil, err
	}
	hidden := path + ".new"
	if err := os.Remove(hidden); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing an unfinished socket: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", hidden)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	if err := errors.Join(os.Chmod(hidden, 0o600), os.Rename(hidden, path)); err != nil {
		return nil, fmt.Errorf("making the socket private: %w", errors.Join(err, l.Close()))
	}
	return l, nil
}

// clear makes way for a new socket: a stale one is removed only when nobody
// answers, and nothing but a socket is.
func clear(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("looking at the socket: %w", err)
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("%s is in the way and is no socket", path)
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("another process answers on %s", path), conn.Close())
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing a stale socket: %w", err)
	}
	return nil
}

// SocketPath is the socket of a state directory.
func SocketPath(stateDir string) string { return filepath.Join(stateDir, SocketName) }
