package rancher

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestNetworkErrorsInWords: what Go says of a request without an answer ("EOF",
// "context deadline exceeded") tells nobody what to look for.
func TestNetworkErrorsInWords(t *testing.T) {
	slow := make(chan struct{})
	t.Cleanup(func() { close(slow) })
	handlers := map[string]http.HandlerFunc{
		"the connection was closed without an answer": func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			connection.Close()
		},
		"no answer in time": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-slow:
			case <-r.Context().Done():
			}
		},
	}
	for want, handler := range handlers {
		server := httptest.NewServer(handler)
		if got := askAt(t, server.URL); !strings.HasSuffix(got, ": "+want) {
			t.Errorf("the error is %q, want it to end in %q", got, want)
		}
		server.Close()
	}
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	if got, want := askAt(t, server.URL), "; a private CA is named by caFile"; !strings.HasSuffix(got, want) {
		t.Errorf("the error is %q, want it to end in %q", got, want)
	}
}

// askAt is the error of finding the environment at a Rancher.
func askAt(t *testing.T, url string) string {
	t.Helper()
	key := func() (string, error) { return "key", nil }
	c, err := New(Options{URL: url, AccessKey: key, SecretKey: key, Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err = c.Environment(t.Context()); err == nil {
		t.Fatal("there is an environment, want none")
	}
	return err.Error()
}
