//go:build image

package image

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
	docker(t, "build", "--platform", "linux/amd64", "-t", w.Image, dir)
	// By its id, since the next push takes the name away.
	cleanUp(t, "image", "rm", "-f", docker(t, "image", "inspect", "-f", "{{.Id}}", w.Image))
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
	secrets, state string
	options        []string
	// whole is the test whose end removes the containers, also those that a part of
	// it starts.
	whole *testing.T
	// daemon is the container that was started last.
	daemon string
}

// wishes are what a test wants otherwise than most.
type wishes struct {
	// config is appended to targets.yaml, etc are files beside it.
	config string
	etc    map[string]string
	// network and state are names; the engine's own and a new volume when empty.
	network, state string
	// options are further ones of docker run.
	options []string
}

// deploy fills the volumes of one.
func (w *world) deploy(t *testing.T, want wishes) *deployment {
	t.Helper()
	etc := map[string]string{"targets.yaml": w.config(want.config)}
	maps.Copy(etc, want.etc)
	d := &deployment{whole: t, secrets: filled(t, "secrets", w.secrets()), state: want.state}
	if d.state == "" {
		d.state = volume(t, "state")
	}
	d.options = slices.Concat([]string{
		"--network", cmp.Or(want.network, "host"), "-e", "RANCHER_ACCESS_KEY=" + w.AccessKey,
		"-v", filled(t, "etc", etc) + ":/etc/drover:ro", "-v", d.secrets + ":/run/secrets:ro", "-v", d.state + ":/var/lib/drover",
	}, confined, want.options)
	return d
}

// start starts a daemon.
func (d *deployment) start(name string) {
	d.whole.Helper()
	d.daemon = start(d.whole, name, *imageName, append(slices.Clone(d.options), "--")...)
}

// drover runs a command beside the daemon, as whoever is on call does.
func (d *deployment) drover(t *testing.T, args ...string) string {
	t.Helper()
	return docker(t, append([]string{"exec", d.daemon, "drover"}, args...)...)
}

// look runs a script as root beside the state.
func (d *deployment) look(t *testing.T, script string) string {
	t.Helper()
	return shell(t, "", script, "-v", d.state+":/state:ro")
}
