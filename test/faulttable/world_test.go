package faulttable

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
	"gitlab.gf.com.cn/clickeggs/drover/internal/registry/registrytest"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

const (
	registryHost = "docker.example:5000"
	rancherHost  = "rancher.example:8080"
	repository   = "clickeggs/parrot-rest"
	key          = "gf-chat/parrot-rest"
)

// options say how a world begins. The zero value is a service of three containers with a health check on two hosts.
type options struct {
	scale int
	// isAlone keeps other stories from being played meanwhile.
	isAlone bool
	// versions is how many the registry has, v1 among them; 0 is three.
	versions int
	// noCheck leaves the health check out.
	noCheck bool
	// bareTag has the service run the tag in place of a digest.
	bareTag bool
	// sidekick gives the service a sidekick that the target follows too.
	sidekick bool
	// extra gives it one that the target does not follow.
	extra bool
	// rebuilds are versions that have the layers of another, by that one.
	rebuilds map[string]string
	// rollout and gates are lines of targets.yaml that are added or win over the ones here.
	rollout, gates string
}

// world is everything that a fault table's row needs: a registry with three versions of an image, a Rancher that runs
// the first of them, and Drover's daemon with its real clients and a journal on disk. It lives in a bubble of
// testing/synctest: HTTP goes over a network in memory, and time passes when everybody waits.
type world struct {
	t       *testing.T
	options options

	registry *registrytest.Registry
	digests  map[string]string // By version: v1, v2, v3.
	rancher  *ranchersim.Server
	runtime  *runtime
	network  *network
	closers  []func()

	dir string
	// drover is the running daemon, nil when it was killed.
	drover *drover

	mu sync.Mutex
	// requests are Drover's that may change something, in order.
	requests []request
	logged   bytes.Buffer
}

// request is one that may change something, as Rancher's front door saw it.
type request struct {
	at     time.Time
	method string
	action string
	// status is Rancher's answer; 0 when the connection was cut.
	status int
	// intent is the last intent in the journal at that moment.
	intent string
}

// drover is a running daemon.
type drover struct {
	*controller.Daemon
	link *uplink
	stop context.CancelFunc
	done chan error
}

// play makes a world in a bubble, with Drover running and the service adopted, and lets the story happen. At its end
// what must hold of every row is checked.
func play(t *testing.T, o options, story func(w *world)) {
	t.Helper()
	if !o.isAlone {
		t.Parallel()
	}
	registry, err := registrytest.Start(registrytest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = registry.Close() })
	w := &world{t: t, options: o, registry: registry, digests: map[string]string{}, dir: t.TempDir()}
	for n := range max(o.versions, 3) {
		version := fmt.Sprintf("v%d", n+1)
		spec := registrytest.ImageSpec{
			Labels:  map[string]string{"org.opencontainers.image.version": version},
			Content: cmp.Or(o.rebuilds[version], version),
		}
		if w.digests[version], err = registry.PushImage(t.Context(), repository, version, spec); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w.t = t
		defer w.end()
		w.begin()
		story(w)
	})
}

// begin starts everything.
func (w *world) begin() {
	w.t.Helper()
	w.network = newNetwork()
	w.tag("v1")
	w.closers = append(w.closers, w.network.serve(registryHost, w.registry.Handler()))
	w.startRancher()
	w.createService()
	w.start(w.dir)
	w.until(time.Minute, "the service is adopted", func() bool {
		h := w.history()
		return h.Baseline != nil && h.Status.Phase == reconcile.Idle
	})
}

func (w *world) startRancher() {
	w.runtime = newRuntime(w.config)
	w.rancher = ranchersim.New(ranchersim.Options{Runtime: w.runtime, Seed: 1, Project: "dev", AccessKey: "DROVER", SecretKey: "secret"})
	w.rancher.AddKey(ranchersim.Key{Access: "DROVER-B", Secret: "secret", Project: w.rancher.ProjectID()})
	w.rancher.AddKey(ranchersim.Key{Access: "MEI", Secret: "secret", Kind: ranchersim.AccountKey})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { w.rancher.Run(ctx); close(done) }()
	w.closers = append(w.closers, func() { cancel(); <-done })
	w.closers = append(w.closers, w.network.serve(rancherHost, w.frontDoor(w.rancher.Handler())))
	w.rancher.AddHost("host-1.example", "192.0.2.1")
	w.rancher.AddHost("host-2.example", "192.0.2.2")
}

// createService makes the service run v1, pinned, and waits for its health.
func (w *world) createService() {
	w.t.Helper()
	stack, err := w.rancher.CreateStack("gf-chat")
	if err != nil {
		w.t.Fatal(err)
	}
	spec := ranchersim.ServiceSpec{StackID: stack, Name: "parrot-rest", Scale: w.scale(), LaunchConfig: w.launch(""), Start: true}
	if w.options.sidekick || w.options.extra {
		spec.Sidekicks = []json.RawMessage{w.launch("logger")}
	}
	if _, err := w.rancher.CreateService(spec); err != nil {
		w.t.Fatal(err)
	}
	w.until(5*time.Minute, "the containers run", func() bool {
		all := w.rancher.Containers()
		return len(all) >= w.scale() && !slices.ContainsFunc(all, func(c ranchersim.Container) bool {
			return c.State != "running" || c.Health != "" && c.Health != "healthy"
		})
	})
	w.untilState(time.Minute, "active")
}

func (w *world) launch(sidekick string) json.RawMessage {
	image := w.image("v1")
	if w.options.bareTag {
		image = registryHost + "/" + repository + ":latest"
	}
	launch := map[string]any{"imageUuid": "docker:" + image, "labels": map[string]any{"team": "chat"}}
	if sidekick != "" {
		launch["name"] = sidekick
	} else if !w.options.noCheck {
		launch["healthCheck"] = map[string]any{
			"port": 8080, "requestLine": `GET "/healthz" "HTTP/1.0"`, "interval": 2000, "responseTimeout": 1000,
			"healthyThreshold": 2, "unhealthyThreshold": 3, "strategy": "recreate",
		}
	}
	text, err := json.Marshal(launch)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func (w *world) scale() int {
	return max(w.options.scale, 0) + map[bool]int{true: 3}[w.options.scale == 0]
}

// frontDoor notes what Drover asks Rancher to change.
func (w *world) frontDoor(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		action := r.URL.Query().Get("action")
		if user, _, _ := r.BasicAuth(); user != "DROVER" || r.Method == http.MethodGet || action == "logs" {
			next.ServeHTTP(rw, r)
			return
		}
		w.mu.Lock()
		n := len(w.requests)
		w.requests = append(w.requests, request{at: time.Now(), method: r.Method, action: action, intent: w.lastIntent()})
		w.mu.Unlock()
		answer := &statusWriter{ResponseWriter: rw}
		next.ServeHTTP(answer, r)
		w.mu.Lock()
		w.requests[n].status = answer.status
		w.mu.Unlock()
	})
}

// statusWriter remembers an answer's status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (s *statusWriter) Write(b []byte) (int, error) {
	if s.status == 0 {
		s.WriteHeader(http.StatusOK)
	}
	return s.ResponseWriter.Write(b)
}

// start runs a Drover on a state directory.
func (w *world) start(dir string) { w.drover = w.run(dir, "drover") }

// run starts a daemon that signs with a name.
func (w *world) run(dir, owner string) *drover {
	w.t.Helper()
	config, err := desired.Parse("targets.yaml", []byte(w.targets(owner)))
	if err != nil {
		w.t.Fatal(err)
	}
	d := &drover{link: &uplink{network: w.network}, done: make(chan error, 1)}
	logger := funcr.New(func(prefix, args string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		fmt.Fprintf(&w.logged, "%s %s %s %s\n", time.Now().Format("15:04:05.000"), owner, prefix, args)
	}, funcr.Options{})
	if d.Daemon, err = controller.NewDaemon(config, dir, logger, d.link.dial); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.stop = cancel
	go func() { d.done <- d.Control.Run(ctx) }()
	return d
}

// targets is the whole configuration: a rollout of a minute or two.
func (w *world) targets(owner string) string {
	secret := filepath.Join(w.dir, "key")
	access := strings.ToUpper(owner)
	secret += "-" + owner
	for name, text := range map[string]string{"access": access, "secret": "secret"} {
		if err := os.WriteFile(secret+"-"+name, []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	sidekick := ""
	if w.options.sidekick {
		sidekick = "\n  containers: {logger: " + registryHost + "/" + repository + ":latest}"
	}
	return strings.NewReplacer("OWNER", owner, "KEY", secret, "REGISTRY", registryHost, "RANCHER", rancherHost, "REPOSITORY", repository,
		"SIDEKICK", sidekick, "ROLLOUT", lines("    ", w.options.rollout), "GATES", lines("    ", w.options.gates)).Replace(`apiVersion: drover/v1
owner: OWNER
rancher: {url: "http://RANCHER", environment: dev, accessKey: {file: "KEY-access"}, secretKey: {file: "KEY-secret"}, timeout: 5s, relist: 1m}
registries:
- {host: "REGISTRY", plainHTTP: true, poll: 5s}
defaults:
  rollout:
    batchSize: 1
    interval: 2s
    settle: 0s
    bake: 30s
    probation: 1m
    look: 2s
    progressDeadline: 10m
    noDataLimit: 1m
    rollbackDeadline: 3m
    backoff: 30s
  gates:
    health: {minHealthyTime: 5s, deadline: 2m}
targets:
- stack: gf-chat
  service: parrot-rest
  image: REGISTRY/REPOSITORY:latestSIDEKICK
  rollout:
    finish: auto
ROLLOUT
  gates:
    health: {maxRestarts: 0}
GATES
`)
}

func lines(indent, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(indent + strings.TrimRight(line, "\n") + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// end ends the daemon as SIGTERM does.
func (d *drover) end() error {
	d.stop()
	err := <-d.done
	err = errors.Join(err, d.Close())
	d.link.cut()
	return err
}

// kill ends the daemon as SIGKILL does: from this moment on nothing is written and nothing leaves.
func (w *world) kill() {
	w.t.Helper()
	d := w.drover
	w.drover = nil
	if err := d.Journal.Close(); err != nil {
		w.t.Fatal(err)
	}
	d.link.cut()
	_ = d.end() // It ends in whatever way it can.
}

// end stops everything, and checks what must hold whatever happened.
func (w *world) end() {
	if w.drover != nil {
		if err := w.drover.end(); err != nil {
			w.t.Errorf("stopping: %v", err)
		}
		w.checkJournal(w.history())
		w.checkRequests()
	}
	for _, c := range slices.Backward(w.closers) {
		c()
	}
	if w.t.Failed() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.t.Logf("requests: %s\nlog:\n%s", w.sentLocked(), w.logged.String())
	}
}

// checkJournal: the chain holds, and what was remembered is what the file says.
func (w *world) checkJournal(remembered reconcile.History) {
	w.t.Helper()
	if _, err := journal.VerifyDir(w.dir); err != nil {
		w.t.Errorf("the journal: %v", err)
	}
	h := reconcile.History{}
	for _, e := range w.journal() {
		var err error
		if h, err = controller.Fold(h, e); err != nil {
			w.t.Errorf("journal line %d: %v", e.Seq, err)
		}
	}
	if got, want := shape(w.t, h), shape(w.t, remembered); got != want {
		w.t.Errorf("the journal says\n%s\nbut Drover remembered\n%s", got, want)
	}
}

func shape(t *testing.T, h reconcile.History) string {
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkRequests: no service was ever PUT, and every action was written down before it left (I9, durable before
// visible).
func (w *world) checkRequests() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	intents := map[string]string{
		"upgrade": string(reconcile.EventStarted), "finishupgrade": string(reconcile.EventFinishing), "rollback": string(reconcile.EventRollingBack),
		"cancelupgrade": string(reconcile.EventCancel),
	}
	for _, r := range w.requests {
		if r.method != http.MethodPost || intents[r.action] == "" {
			w.t.Errorf("Drover sent %s %q", r.method, r.action)
		} else if r.intent != intents[r.action] {
			w.t.Errorf("%s left when the journal's last intent was %q", r.action, r.intent)
		}
	}
}

// lastIntent is the last event in the journal on disk that says what will be done,
// to whichever service.
func (w *world) lastIntent() string {
	last := ""
	for _, e := range w.journalOf("") {
		switch reconcile.EventKind(e.Type) {
		case reconcile.EventStarted, reconcile.EventFinishing, reconcile.EventRollingBack, reconcile.EventCancel:
			last = e.Type
		default:
		}
	}
	return last
}

// journal is what is on disk about the target.
func (w *world) journal() []journal.Entry { return w.journalOf(key) }

// journalOf is what is on disk about a target, or about all of them.
func (w *world) journalOf(target string) []journal.Entry {
	w.t.Helper()
	r, err := journal.OpenReadOnly(w.dir)
	if err != nil {
		return nil // Not begun yet.
	}
	var entries []journal.Entry
	err = r.History(func(e journal.Entry) error {
		if target == "" || e.Target == target {
			entries = append(entries, e)
		}
		return nil
	})
	if err != nil {
		w.t.Errorf("reading the journal: %v", err)
	}
	return entries
}

// config is the image configuration behind a reference.
func (w *world) config(image string) (string, bool) {
	_, rest, _ := strings.Cut(image, registryHost+"/")
	name, reference, isPinned := strings.Cut(rest, "@")
	if !isPinned {
		name, reference, _ = strings.Cut(rest, ":")
	}
	rec := w.askRegistry(http.MethodGet, "/v2/"+name+"/manifests/"+reference, "", nil)
	var manifest struct{ Config struct{ Digest string } }
	if rec.Code != http.StatusOK || json.Unmarshal(rec.Body.Bytes(), &manifest) != nil {
		return "", false
	}
	return manifest.Config.Digest, true
}

const manifestType = "application/vnd.docker.distribution.manifest.v2+json"

func (w *world) askRegistry(method, path, contentType string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, "http://"+registryHost+path, bytes.NewReader(body))
	r.Header.Set("Accept", manifestType)
	r.Header.Set("Content-Type", contentType)
	rec := httptest.NewRecorder()
	w.registry.Handler().ServeHTTP(rec, r)
	return rec
}

// tag has latest name a version, as a push does.
func (w *world) tag(version string) {
	w.t.Helper()
	manifest := w.askRegistry(http.MethodGet, "/v2/"+repository+"/manifests/"+version, "", nil)
	rec := w.askRegistry(http.MethodPut, "/v2/"+repository+"/manifests/latest", manifestType, manifest.Body.Bytes())
	if rec.Code != http.StatusCreated {
		w.t.Fatalf("tagging %s: %d %s", version, rec.Code, rec.Body)
	}
}

// push has CI push a version that behaves so.
func (w *world) push(version string, b behaviour) {
	w.t.Helper()
	config, ok := w.config(w.image(version))
	if !ok {
		w.t.Fatalf("the registry has no %s", version)
	}
	w.runtime.behaves(config, b)
	w.tag(version)
}

// image is a version as Drover pins it.
func (w *world) image(version string) string {
	return registryHost + "/" + repository + "@" + w.digests[version]
}

// version is the short name of an image.
func (w *world) version(image string) string {
	for version, digest := range w.digests {
		if strings.HasSuffix(image, digest) {
			return version
		}
	}
	return strings.TrimPrefix(strings.TrimPrefix(image, "docker:"), registryHost+"/"+repository)
}

// person asks Rancher as somebody with the browser does.
func (w *world) person(method, path string, body any) (int, map[string]any) {
	w.t.Helper()
	var reader io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	link := &uplink{network: w.network}
	client := &http.Client{Transport: &http.Transport{DialContext: link.dial, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+rancherHost+"/v2-beta/projects/"+w.rancher.ProjectID()+path, reader)
	if err != nil {
		w.t.Fatal(err)
	}
	r.SetBasicAuth("MEI", "secret")
	resp, err := client.Do(r)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return resp.StatusCode, nil
	}
	return resp.StatusCode, out
}
