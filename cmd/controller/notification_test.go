package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// notifyingRegistry is the configuration of Debian's docker-registry that tells a
// Drover of pushes: its address, the API's address, the token.
const notifyingRegistry = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {inmemory: {}, maintenance: {uploadpurging: {enabled: false}}}
http: {addr: %q}
notifications:
  endpoints:
  - name: drover
    url: http://%s/v1/notifications/registry
    headers: {Authorization: [Bearer %s]}
    timeout: 1s
    threshold: 3
    backoff: 1s
`

// TestRegistryNotification: with a poll of an hour it is the notification of a
// registry that nobody here wrote that starts the rollout, over TCP and with the
// token; a command over TCP sees it.
func TestRegistryNotification(t *testing.T) {
	t.Parallel()
	binary, skopeo := needs(t, "docker-registry"), needs(t, "skopeo")
	p := newPeer(t)
	const token = "planted-api-token"
	tokenFile := filepath.Join(p.dir, "api-token")
	if err := os.WriteFile(tokenFile, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	api := freeAddress(t)
	host := runRegistry(t, binary, func(host string) string { return fmt.Sprintf(notifyingRegistry, host, api, token) })
	i := p.world.Info()
	image := strings.Replace(i.Image, i.Registry, host, 1)
	p.copyImage(skopeo, i.Image, image)
	p.edit(func(config string) string {
		config = strings.Replace(config, "registries:\n", fmt.Sprintf("registries:\n- {host: %q, plainHTTP: true, poll: 1h}\n", host), 1)
		config = strings.Replace(config, "image: "+i.Image, "image: "+image, 1)
		return config + fmt.Sprintf("api: {listen: %q, token: {file: %q}}\n", api, tokenFile)
	})
	p.start()
	p.awaitAdopted()

	good := p.push("serve")
	p.copyImage(skopeo, i.Image, image)
	p.await("the notified version is on its way", func() bool { return digestIn(p.service().Launch.Image) == good })
	var out bytes.Buffer
	args := []string{"status", "--json", "--server", "http://" + api, "--token-file", tokenFile}
	if code := run(t.Context(), args, strings.NewReader(""), &out, &out); code != exitOK || !strings.Contains(out.String(), good) {
		t.Errorf("status over TCP ends with %d: %s", code, &out)
	}
	p.await("the notified version runs", func() bool { return p.settled(good) })
	if strings.Contains(p.log.String(), token) {
		t.Error("the log holds the token")
	}
}

// needs skips a test without a program that nobody here wrote; the report at the
// end of `make test` lists it.
func needs(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is NOT INSTALLED", program)
	}
	return path
}

// runRegistry runs docker-registry until the test ends.
func runRegistry(t *testing.T, binary string, config func(host string) string) (host string) {
	t.Helper()
	host = freeAddress(t)
	path := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(path, []byte(config(host)), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(binary, "serve", path)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := http.Get("http://" + host + "/v2/"); err == nil {
			resp.Body.Close()
			return host
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("docker-registry does not answer")
		}
	}
}

// freeAddress finds a port that is free now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// copyImage copies an image from one registry to another, as CI pushes it.
func (p *peer) copyImage(skopeo, from, to string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, skopeo, "--insecure-policy", "copy", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false",
		"docker://"+from, "docker://"+to).CombinedOutput()
	if err != nil {
		p.t.Fatalf("skopeo copy %s %s: %v\n%s", from, to, err, out)
	}
}

// edit changes the configuration before the start.
func (p *peer) edit(change func(string) string) {
	p.t.Helper()
	text, err := os.ReadFile(p.config())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(p.config(), []byte(change(string(text))), 0o600); err != nil {
		p.t.Fatal(err)
	}
}
