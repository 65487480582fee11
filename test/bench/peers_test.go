package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gitlab.gf.com.cn/clickeggs/drover/internal/ranchersim"
	"gitlab.gf.com.cn/clickeggs/drover/internal/registry/registrytest"
)

const (
	stackSize = 100
	accessKey = "BENCH"
	secretKey = "bench-secret"
)

// peers are a Rancher and a registry in this process; the daemon is in another.
type peers struct {
	registry *registrytest.Registry
	rancher  *ranchersim.Server
	// url is Rancher's, ca a file with the registry's certificate.
	url, ca string
	dir     string
	// relist is how often the daemon lists Rancher; 0 is its default.
	relist time.Duration
	// changed holds a token when a container changed.
	changed chan struct{}
}

// options say what the peers are like. The wraps see every request.
type options struct {
	// plain serves the registry over HTTP.
	plain bool
	// speed is how much faster than a real Rancher's the waits pass. It also
	// shortens the life of an event stream, which Rancher ends after 12 hours, and
	// the time between two pings.
	speed                 float64
	aroundRancher, around func(http.Handler) http.Handler
}

func startPeers(b *testing.B, o options) *peers {
	b.Helper()
	p := &peers{dir: b.TempDir(), changed: make(chan struct{}, 1)}
	var err error
	if p.registry, err = registrytest.Start(registrytest.Options{TLS: !o.plain, Wrap: o.around}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.registry.Close() })
	p.ca = filepath.Join(p.dir, "ca.pem")
	if err := os.WriteFile(p.ca, p.registry.CAPEM(), 0o600); err != nil {
		b.Fatal(err)
	}
	p.serveRancher(b, o)
	return p
}

func (p *peers) serveRancher(b *testing.B, o options) {
	b.Helper()
	p.rancher = ranchersim.New(ranchersim.Options{
		Project: "dev", AccessKey: accessKey, SecretKey: secretKey, ExternalHealth: true, Speed: o.speed,
	})
	handler := p.rancher.Handler()
	if o.aroundRancher != nil {
		handler = o.aroundRancher(handler)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	ctx, cancel := context.WithCancel(b.Context())
	serving.Go(func() { _ = server.Serve(l) })
	serving.Go(func() { p.rancher.Run(ctx) })
	serving.Go(func() { p.heal(ctx) })
	b.Cleanup(func() {
		cancel()
		_ = server.Close()
		p.rancher.Close()
		serving.Wait()
	})
	p.url = "http://" + l.Addr().String()
	p.rancher.OnContainersChanged(func() {
		select {
		case p.changed <- struct{}{}:
		default:
		}
	})
	p.rancher.AddHost("host-1.example", "127.0.0.1")
}

// heal is the health checker: whatever is initializing is reported up.
func (p *peers) heal(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.changed:
		}
		for _, c := range p.rancher.Containers() {
			if c.State == "running" && strings.HasSuffix(c.Health, "initializing") {
				p.rancher.ReportHealth(c.ID, true)
			}
		}
		if !pause(ctx, 20*time.Millisecond) {
			return
		}
	}
}

// pause waits, and says whether the context still lives.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// target is one service and the image it follows.
type target struct {
	id, stack, service, repository, tag string
	// gates is the target's own, in targets.yaml.
	gates string
}

// populate pushes the images and creates the services, and returns when every
// container is healthy.
func (p *peers) populate(b *testing.B, n, repositories, scale int) []target {
	b.Helper()
	targets := make([]target, n)
	for i := range targets {
		targets[i] = target{
			stack: fmt.Sprintf("stack-%02d", i/stackSize), service: fmt.Sprintf("service-%04d", i),
			repository: fmt.Sprintf("bench/img%04d", i%repositories), tag: fmt.Sprintf("v%d", i/repositories),
		}
	}
	p.push(b, targets)
	stack := ""
	for i := range targets {
		t := &targets[i]
		var err error
		if i%stackSize == 0 {
			if stack, err = p.rancher.CreateStack(t.stack); err != nil {
				b.Fatal(err)
			}
		}
		launch := fmt.Sprintf(`{"imageUuid":"docker:%s","healthCheck":{"port":8080,"interval":2000,"responseTimeout":2000,"healthyThreshold":2,"unhealthyThreshold":3}}`,
			p.registry.Ref(t.repository, t.tag))
		t.id, err = p.rancher.CreateService(ranchersim.ServiceSpec{
			StackID: stack, Name: t.service, Scale: scale, LaunchConfig: json.RawMessage(launch), Start: true,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	await(b, 3*time.Minute, "every container is healthy", func() bool { return p.healthy() == n*scale })
	return targets
}

func (p *peers) push(b *testing.B, targets []target) {
	var pushing sync.WaitGroup
	const workers = 4
	for worker := range workers {
		pushing.Go(func() {
			for i := worker; i < len(targets); i += workers {
				t := targets[i]
				if _, err := p.registry.PushImage(b.Context(), t.repository, t.tag, registrytest.ImageSpec{Content: t.repository}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	pushing.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

func (p *peers) healthy() (n int) {
	for _, c := range p.rancher.Containers() {
		if c.State == "running" && c.Health == "healthy" {
			n++
		}
	}
	return n
}

// await asks until it is so.
func await(b *testing.B, limit time.Duration, what string, is func() bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), limit)
	defer cancel()
	for !is() {
		if !pause(ctx, 50*time.Millisecond) {
			b.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// config writes a targets.yaml; policy is what every target has beside its names.
func (p *peers) config(b *testing.B, head, policy string, targets []target) string {
	b.Helper()
	var text bytes.Buffer
	relist := ""
	if p.relist > 0 {
		relist = fmt.Sprintf(", relist: %s", p.relist)
	}
	fmt.Fprintf(&text, "apiVersion: drover/v1\nowner: bench\nrancher: {url: %s%s, environment: dev, accessKey: {env: BENCH_ACCESS_KEY}, secretKey: {env: BENCH_SECRET_KEY}}\n%s\ndefaults: %s\ntargets:\n", p.url, relist, head, policy)
	for _, t := range targets {
		fmt.Fprintf(&text, "- {name: %s, stack: %s, service: %s, image: %q%s}\n", t.service, t.stack, t.service, p.registry.Ref(t.repository, t.tag), t.gates)
	}
	path := filepath.Join(p.dir, "targets.yaml")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// process is a child that is measured from outside.
type process struct {
	cmd *exec.Cmd
	log *bytes.Buffer
	// stop ends it, once.
	stop func()
}

// startDaemon builds the binary as `make build` does, and runs it.
func (p *peers) startDaemon(b *testing.B, config string) *process {
	b.Helper()
	binary := filepath.Join(p.dir, "drover")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../../cmd/controller")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("building drover: %v\n%s", err, out)
	}
	return p.runDaemon(b, config)
}

// runDaemon runs the binary that startDaemon built, on the state that is there.
func (p *peers) runDaemon(b *testing.B, config string) *process {
	b.Helper()
	cmd := exec.Command(filepath.Join(p.dir, "drover"), "run", "--config", config, "--state-dir", filepath.Join(p.dir, "state"), "--log-format", "json")
	cmd.Env = append(os.Environ(), "BENCH_ACCESS_KEY="+accessKey, "BENCH_SECRET_KEY="+secretKey)
	return start(b, cmd)
}

func start(b *testing.B, cmd *exec.Cmd) *process {
	b.Helper()
	p := &process{cmd: cmd, log: &bytes.Buffer{}}
	cmd.Stderr = p.log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	p.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			b.Logf("%s ended with %v\n%s", cmd.Path, err, tail(p.log.String(), 2000))
		}
	})
	b.Cleanup(p.stop)
	return p
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// cpu is the processor time a process has used, from /proc/<pid>/stat (proc(5):
// fields 14 and 15, in hundredths of a second).
func (p *process) cpu(b *testing.B) time.Duration {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+2:]))
	ticks := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memory is a line of /proc/<pid>/status in MB, such as VmRSS.
func (p *process) memory(b *testing.B, name string) float64 {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kB, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kB) * 1024 / 1e6
		}
	}
	b.Fatalf("no %s in %s", name, raw)
	return 0
}
