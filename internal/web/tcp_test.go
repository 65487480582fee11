package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
)

// token is what the daemon of the tests wants to be brought.
const token = "planted-token"

func tokenIs(text string) func() (string, error) {
	return func() (string, error) { return text, nil }
}

// serveTCP serves on a free port and returns its address.
func serveTCP(t *testing.T, o TCP, h http.Handler) string {
	t.Helper()
	return opened(t, func(ctx context.Context, listening func(net.Addr)) error {
		o.Address, o.Listening = "127.0.0.1:0", listening
		return ServeTCP(ctx, o, h)
	})
}

// opened runs a server until the test's end and returns its address.
func opened(t *testing.T, serve func(ctx context.Context, listening func(net.Addr)) error) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	open, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() { ended <- serve(ctx, func(a net.Addr) { open <- a }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serving ends with %v", err)
		}
	})
	select {
	case a := <-open:
		return a.String()
	case err := <-ended:
		ended <- nil
		t.Fatalf("serving ends with %v", err)
		return ""
	}
}

// TestHealthAlone: a port for health checks answers nothing else, and asks for no
// token.
func TestHealthAlone(t *testing.T) {
	var failed atomic.Bool
	h := Handler(&fake{}, Options{JournalFailed: func(context.Context) error {
		if failed.Load() {
			return errors.New("disk full")
		}
		return nil
	}})
	address := opened(t, func(ctx context.Context, listening func(net.Addr)) error {
		return ServeHealth(ctx, "127.0.0.1:0", h, listening)
	})
	// As HAProxy's httpchk asks: HTTP/1.0 and no Host.
	ask := func(line string) string {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "%s HTTP/1.0\r\n\r\n", line)
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	for line, want := range map[string]string{
		"GET /healthz": "HTTP/1.0 200 ", "POST /healthz": "HTTP/1.0 405 ", "GET /v1/targets": "HTTP/1.0 404 ",
		"GET /metrics": "HTTP/1.0 404 ", "GET /": "HTTP/1.0 404 ", "GET /healthz/../v1/targets": "HTTP/1.0 307 ",
	} {
		if got := ask(line); !strings.HasPrefix(got, want) {
			t.Errorf("%s is answered with %.60q, want %q", line, got, want)
		}
	}
	failed.Store(true)
	if got := ask("GET /healthz"); !strings.HasPrefix(got, "HTTP/1.0 503 ") || !strings.Contains(got, "disk full") {
		t.Errorf("an ill daemon answers %q, want 503 and why", got)
	}
}

func TestOverTCPEveryRequestBringsTheToken(t *testing.T) {
	f := &fake{}
	var notified int
	h := Handler(f, Options{Notify: func(io.Reader) (int, error) { notified++; return 1, nil }})
	base := "http://" + serveTCP(t, TCP{Token: tokenIs(token)}, h)
	for _, c := range []struct {
		method, path, header string
		want                 int
	}{
		{"GET", "/healthz", "", http.StatusOK},
		{"GET", "/v1/targets", "", http.StatusUnauthorized},
		{"GET", "/v1/targets", "Bearer", http.StatusUnauthorized},
		{"GET", "/v1/targets", "Bearer other", http.StatusUnauthorized},
		{"GET", "/v1/targets", "Basic " + token, http.StatusUnauthorized},
		{"GET", "/v1/events", "", http.StatusUnauthorized},
		{"GET", "/healthz/../v1/targets", "", http.StatusUnauthorized},
		{"POST", "/v1/targets/web/api/commands", "", http.StatusUnauthorized},
		{"POST", "/v1/notifications/registry", "", http.StatusUnauthorized},
		{"GET", "/v1/targets", "Bearer " + token, http.StatusOK},
		{"POST", "/v1/notifications/registry", "bearer " + token, http.StatusOK},
	} {
		status, body := send1(t, c.method, base+c.path, c.header)
		if status != c.want {
			t.Errorf("%s %s with %q answers %d %s, want %d", c.method, c.path, c.header, status, body, c.want)
		}
		if strings.Contains(body, token) {
			t.Errorf("%s %s shows the token: %s", c.method, c.path, body)
		}
	}
	if len(f.told) != 0 || notified != 1 {
		t.Errorf("%d commands and %d notifications came through, want none and one", len(f.told), notified)
	}
}

// send1 sends one request as it is, without cleaning its path.
func send1(t *testing.T, method, url, authorization string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestTokenIsReadForEachRequest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	read := func() (string, error) { b, err := os.ReadFile(path); return string(b), err }
	base := "http://" + serveTCP(t, TCP{Token: read}, Handler(&fake{}, Options{}))
	if status, body := send1(t, "GET", base+"/v1/targets", "Bearer x"); status != http.StatusUnauthorized || !strings.Contains(body, "cannot read its token") {
		t.Errorf("without a token file the answer is %d %s", status, body)
	}
	for _, now := range []string{"first", "second"} {
		if err := os.WriteFile(path, []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, _ := send1(t, "GET", base+"/v1/targets", "Bearer "+now); status != http.StatusOK {
			t.Errorf("the token %q of now is answered with %d", now, status)
		}
	}
	if status, _ := send1(t, "GET", base+"/v1/targets", "Bearer first"); status != http.StatusUnauthorized {
		t.Errorf("the token of before is answered with %d", status)
	}
}

func TestRemoteClient(t *testing.T) {
	f := &fake{}
	base := "http://" + serveTCP(t, TCP{Token: tokenIs(token)}, Handler(f, Options{}))
	views, err := NewRemoteClient(base+"/", tokenIs(token)).Targets(t.Context())
	if err != nil || len(views) != 1 || views[0].Target != key {
		t.Errorf("Targets() = %+v, %v", views, err)
	}
	if _, err := NewRemoteClient(base, tokenIs(token)).Tell(t.Context(), key, controller.Command{Verb: controller.Pause, By: "jo"}); err != nil || len(f.told) != 1 {
		t.Errorf("Tell() = %v, %d commands arrived", err, len(f.told))
	}
	var status *StatusError
	if _, err := NewRemoteClient(base, tokenIs("other")).Targets(t.Context()); !errors.As(err, &status) || status.Status != http.StatusUnauthorized {
		t.Errorf("Targets() with a wrong token = %v", err)
	}
	if _, err := NewRemoteClient("http://127.0.0.1:1", tokenIs(token)).Targets(t.Context()); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("Targets() where nobody listens = %v, want ErrNoDaemon", err)
	}
}

// TestRemoteClientKeepsItsToken: what answers with a redirect does not get it.
func TestRemoteClientKeepsItsToken(t *testing.T) {
	var got string
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") }))
	defer thief.Close()
	asked := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer asked.Close()
	if _, err := NewRemoteClient(asked.URL, tokenIs(token)).Targets(t.Context()); err == nil {
		t.Error("a redirect is no error")
	}
	if got != "" {
		t.Errorf("the redirect's target was sent %q", got)
	}
}

func TestOverTCPWithTLS(t *testing.T) {
	// httptest's own certificate, written to files.
	donor := httptest.NewTLSServer(nil)
	defer donor.Close()
	pair := donor.TLS.Certificates[0]
	dir := t.TempDir()
	cert, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, cert, "CERTIFICATE", pair.Certificate[0])
	writePEM(t, keyFile, "PRIVATE KEY", pkcs8(t, pair))
	address := serveTCP(t, TCP{Token: tokenIs(token), CertFile: cert, KeyFile: keyFile}, Handler(&fake{}, Options{}))
	resp, err := donor.Client().Get("https://" + address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.TLS == nil {
		t.Errorf("/healthz over TLS answers %d", resp.StatusCode)
	}
	err = ServeTCP(t.Context(), TCP{Address: "127.0.0.1:0", CertFile: keyFile, KeyFile: cert}, nil)
	if err == nil || !strings.Contains(err.Error(), "reading the certificate of the API") {
		t.Errorf("ServeTCP() with files the wrong way round = %v", err)
	}
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func pkcs8(t *testing.T, pair tls.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
