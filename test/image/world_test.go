//go:build image

package image

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// world is `drover sandbox` in a container on the engine's own network, so that
// docker can push to its registry, and users in another who ask its balancer.
type world struct {
	Registry, Rancher, LoadBalancer, Stats string
	StatsUser, StatsPassword               string
	AccessKey, SecretKey                   string
	Image                                  string
}

// newWorld starts one.
func newWorld(t *testing.T) *world {
	t.Helper()
	args := append([]string{"--network", "host"}, confined...)
	name := start(t, "sandbox", *imageName, append(args, "--", "sandbox", "--speed", "4")...)
	w := &world{}
	await(t, "the sandbox is up", time.Minute, func() (bool, string) {
		said := docker(t, "logs", name)
		line, _, isWhole := strings.Cut(said, "\n")
		if strings.HasPrefix(line, "{") && (isWhole || strings.HasSuffix(line, "}")) {
			decode(t, line, w)
		}
		return w.Image != "", said
	})
	// The balancer asks to be asked: without requests nobody could tell a version
	// that fails one in five.
	address := strings.TrimPrefix(w.LoadBalancer, "http://")
	const users = `while :; do
  if exec 3<>"/dev/tcp/$1/$2"; then printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3 >/dev/null; exec 3>&-; fi
  sleep 0.02
done`
	host, port, _ := strings.Cut(address, ":")
	start(t, "users", pipelineName(), "--network", "host", "--", "bash", "-c", users, "users", host, port)
	return w
}

// push builds an application that behaves so, pushes it to the tag that Drover
// follows, and returns its digest.
func (w *world) push(t *testing.T, behaviour string) string {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("FROM scratch\nCOPY made /made\nLABEL io.drover.sandbox=%q\n", behaviour)
	for name, content := range map[string]string{"Dockerfile": text, "made": time.Now().String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cleanUp(t, "image", "rm", "-f", w.Image)
	docker(t, "build", "--platform", "linux/amd64", "-t", w.Image, dir)
	docker(t, "push", w.Image)
	repository := w.Image[:strings.LastIndexByte(w.Image, ':')]
	for named := range strings.FieldsSeq(docker(t, "image", "inspect", "-f", "{{join .RepoDigests \" \"}}", w.Image)) {
		if digest, ok := strings.CutPrefix(named, repository+"@"); ok {
			return digest
		}
	}
	t.Fatalf("docker does not say which digest it pushed to %s", w.Image)
	return ""
}

// token is what who asks the API over TCP brings.
const token = "a-token-that-must-not-be-seen-anywhere"

// config is a targets.yaml for the world. More is added at its end.
func (w *world) config(more string) string {
	return fmt.Sprintf(`apiVersion: drover/v1
rancher:
  url: %s
  environment: dev
  accessKey: {env: RANCHER_ACCESS_KEY}
  secretKey: {file: /run/secrets/rancher-secret-key}
registries:
- {host: %q, plainHTTP: true, poll: 1s}
loadBalancers:
- name: chat
  stats: %q
  auth: {username: %s, password: {file: /run/secrets/chat-stats-password}}
targets:
- name: parrot-rest
  stack: gf-chat
  service: parrot-rest
  image: %s
  rollout: {batchSize: 1, interval: 1s, settle: 1s, look: 500ms, bake: 10s, probation: 0s, backoff: 0s}
  gates:
    health: {minHealthyTime: 1s, deadline: 1m}
    loadBalancer: {name: chat, maxErrorRate: 5%%}
    http: {port: 8080, path: /healthz, every: 500ms}
%s`, w.Rancher, w.Registry, w.Stats, w.StatsUser, w.Image, more)
}

// secrets are the files under /run/secrets, by name.
func (w *world) secrets() map[string]string {
	return map[string]string{"rancher-secret-key": w.SecretKey, "chat-stats-password": w.StatsPassword, "drover-token": token}
}

// filled is a volume with files that only Drover's user may read.
func filled(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	v := volume(t, name)
	for file, content := range files {
		shell(t, content+"\n", `cat >"/v/`+file+`"`, "-v", v+":/v")
	}
	shell(t, "", "chown -R 65532:65532 /v; chmod 500 /v; chmod 400 /v/*", "-v", v+":/v")
	return v
}

// deployment is what deploy/docker-compose.yml asks for, as options of docker run.
type deployment struct {
	etc, secrets, state string
	options             []string
}

// deploy fills the volumes of one.
func (w *world) deploy(t *testing.T, more string, options ...string) *deployment {
	t.Helper()
	d := &deployment{
		etc:     filled(t, "etc", map[string]string{"targets.yaml": w.config(more)}),
		secrets: filled(t, "secrets", w.secrets()),
		state:   volume(t, "state"),
	}
	d.options = append([]string{
		"--network", "host", "-e", "RANCHER_ACCESS_KEY=" + w.AccessKey,
		"-v", d.etc + ":/etc/drover:ro", "-v", d.secrets + ":/run/secrets:ro", "-v", d.state + ":/var/lib/drover",
	}, confined...)
	d.options = append(d.options, options...)
	return d
}

// start starts a daemon.
func (d *deployment) start(t *testing.T, name string, options ...string) string {
	t.Helper()
	return start(t, name, *imageName, append(append(d.options[:len(d.options):len(d.options)], options...), "--")...)
}

// look runs a script as root beside the state.
func (d *deployment) look(t *testing.T, script string) string {
	t.Helper()
	return shell(t, "", script, "-v", d.state+":/state:ro")
}
