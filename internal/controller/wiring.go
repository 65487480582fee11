package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"gitlab.gf.com.cn/clickeggs/drover/internal/check"
	"gitlab.gf.com.cn/clickeggs/drover/internal/gitlab"
	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/probe"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/internal/registry"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// Clients are the real peers of a Core, made from a configuration.
type Clients struct {
	Rancher   *rancher.Client
	Informer  *rancher.Informer
	Images    *registry.Watcher
	Balancers *probe.Reader
	Prober    *probe.Prober
	Metrics   *probe.Prometheus
	Checks    *check.Runner
	Logs      *logs.Watcher

	// onImage and onService are what the informers wake; set by Wake.
	onImage   func(ref string)
	onService func(stack, service string)
}

// Connect makes the clients. It does not talk to anybody yet.
func Connect(config *desired.Config, log logr.Logger) (*Clients, error) {
	return ConnectOver(config, log, nil)
}

// ConnectOver is Connect with connections of one's own.
func ConnectOver(config *desired.Config, log logr.Logger, dial Dial) (*Clients, error) {
	c := &Clients{onImage: func(string) {}, onService: func(string, string) {}}
	// Nil has each client take the network, on its own terms.
	var transport http.RoundTripper
	var logClient *http.Client
	if dial != nil {
		transport = &http.Transport{DialContext: dial}
		logClient = &http.Client{Transport: transport}
	}
	r := config.Rancher
	client, err := connectRancher(r, log, transport)
	if err != nil {
		return nil, err
	}
	c.Rancher = client
	c.Informer = rancher.NewInformer(client, rancher.InformerOptions{
		Relist: r.Relist.Duration, Logger: log.WithName("rancher"),
		OnChange: func(stack, service string) { c.onService(stack, service) },
	})
	c.Images = registry.New(registry.Options{OnChange: func(ref string) { c.onImage(ref) }, Dial: dial})
	c.Balancers = probe.NewReader(probe.ReaderOptions{Transport: transport})
	c.Prober = probe.NewProber(probe.ProberOptions{Transport: transport, Dial: dial})
	c.Metrics = probe.NewPrometheus(transport)
	c.Checks = check.NewRunner(transport)
	c.Logs = logs.NewWatcher(LogSource{Client: client}, logs.WatchOptions{Client: logClient})
	return c, c.Configure(config)
}

// ConnectRancher makes a client that may act on nothing yet. It does not talk to
// Rancher.
func ConnectRancher(r desired.Rancher, log logr.Logger) (*rancher.Client, error) {
	return connectRancher(r, log, nil)
}

// connectRancher goes over a transport; nil is the network.
func connectRancher(r desired.Rancher, log logr.Logger, over http.RoundTripper) (*rancher.Client, error) {
	client, err := rancher.New(rancher.Options{
		URL: r.URL, Environment: r.Environment, AccessKey: r.AccessKey.Value, SecretKey: r.SecretKey.Value,
		CAFile: r.CAFile, Timeout: r.Timeout.Duration, Transport: over, Logger: log.WithName("rancher"),
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to Rancher: %w", err)
	}
	return client, nil
}

// Configure tells every client what the file names.
func (c *Clients) Configure(config *desired.Config) error {
	keys := make([]rancher.Key, 0, len(config.Targets))
	refs := make([]registry.Ref, 0, len(config.Targets))
	hosts := map[string]desired.Registry{}
	for i := range config.Targets {
		t := &config.Targets[i]
		keys = append(keys, rancher.Key{Stack: t.Stack, Service: t.Service})
		images := []string{t.Image}
		for _, image := range t.Containers {
			images = append(images, image)
		}
		for _, image := range images {
			refs = append(refs, registry.Ref{Image: image, Platform: t.Platform})
			host := strings.SplitN(image, "/", 2)[0]
			hosts[host] = config.Registry(host)
		}
	}
	registries := make([]desired.Registry, 0, len(hosts))
	for _, r := range hosts {
		registries = append(registries, r)
	}
	c.Rancher.Allow(keys...)
	c.Informer.Update(keys)
	c.Images.Update(registries, refs)
	if err := c.Balancers.Update(balancerSpecs(config)); err != nil {
		return fmt.Errorf("configuring load balancers: %w", err)
	}
	c.Metrics.Update(prometheusSpecs(config))
	c.Checks.Update(checkSpecs(config))
	return nil
}

func checkSpecs(config *desired.Config) []check.Spec {
	specs := make([]check.Spec, 0, len(config.Checks))
	for _, k := range config.Checks {
		spec := check.Spec{Name: k.Name, Timeout: k.Timeout.Duration, Every: k.Every.Duration}
		switch {
		case k.Webhook != nil:
			spec.Webhook = &check.Webhook{URL: k.Webhook.URL}
			if !k.Webhook.Token.IsZero() {
				spec.Webhook.Token = k.Webhook.Token.Value
			}
		case k.Command != nil:
			spec.Command = &check.Command{Run: k.Command.Run, Env: map[string]check.Secret{}}
			for name, secret := range k.Command.Env {
				spec.Command.Env[name] = secret.Value
			}
		case k.Pipeline != nil:
			client := gitlab.New(k.Pipeline.URL, k.Pipeline.Token.Value, nil)
			spec.Pipeline = &check.Pipeline{Client: client, Project: k.Pipeline.Project, Ref: k.Pipeline.Ref, Variables: k.Pipeline.Variables}
		}
		specs = append(specs, spec)
	}
	return specs
}

func prometheusSpecs(config *desired.Config) []probe.PrometheusSpec {
	specs := make([]probe.PrometheusSpec, 0, len(config.Prometheus))
	for _, p := range config.Prometheus {
		spec := probe.PrometheusSpec{Name: p.Name, URL: p.URL, Timeout: p.Timeout.Duration}
		switch {
		case p.Auth != nil:
			spec.Username, spec.Secret = p.Auth.Username, p.Auth.Password.Value
		case !p.Token.IsZero():
			spec.Secret = p.Token.Value
		}
		specs = append(specs, spec)
	}
	return specs
}

// ConnectBalancers makes a reader of the file's load balancers, for one who only
// looks. It does not talk to anybody yet.
func ConnectBalancers(config *desired.Config) (*probe.Reader, error) {
	r := probe.NewReader(probe.ReaderOptions{})
	if err := r.Update(balancerSpecs(config)); err != nil {
		return nil, fmt.Errorf("configuring load balancers: %w", err)
	}
	return r, nil
}

func balancerSpecs(config *desired.Config) []probe.LoadBalancerSpec {
	specs := make([]probe.LoadBalancerSpec, 0, len(config.LoadBalancers))
	for _, lb := range config.LoadBalancers {
		spec := probe.LoadBalancerSpec{Name: lb.Name, Stats: lb.Stats, Backends: lb.Backends}
		if lb.Auth != nil {
			spec.Username, spec.Password = lb.Auth.Username, lb.Auth.Password.Value
		}
		specs = append(specs, spec)
	}
	return specs
}

// Observer joins the clients.
func (c *Clients) Observer() *observe.Observer {
	return &observe.Observer{Images: c.Images, Services: c.Informer, Balancers: c.Balancers, Prober: c.Prober, LogReader: c.Logs, Metrics: c.Metrics, Checks: c.Checks, Acts: c.Rancher}
}

// Runners are the clients' own loops.
func (c *Clients) Runners() []Runner {
	return []Runner{
		{Name: "registry watcher", Run: c.Images.Run},
		{Name: "rancher informer", Run: c.Informer.Run},
		{Name: "log watcher", Run: c.Logs.Run},
		{Name: "checks", Run: c.Checks.Run},
	}
}

// Wake lets the informers wake the controller's keys. It is called once, before
// the runners start.
func (c *Clients) Wake(ctl *Controller) {
	c.onService = func(stack, service string) { ctl.Wake(stack + "/" + service) }
	c.onImage = func(ref string) {
		for _, t := range ctl.Config().Targets {
			if follows(t, ref) {
				ctl.Wake(t.Key())
			}
		}
	}
}

func follows(t desired.Target, ref string) bool {
	if t.Image == ref {
		return true
	}
	for _, image := range t.Containers {
		if image == ref {
			return true
		}
	}
	return false
}

// Forget drops what the clients remember of targets that are no longer stepped.
func (c *Clients) Forget(keys ...string) {
	for _, key := range keys {
		c.Balancers.Forget(key)
		c.Prober.Forget(key)
		c.Prober.Forget(observe.TCPKey(key))
		c.Metrics.Forget(key)
		c.Logs.Forget(key)
	}
}

// LogSource opens container logs through Rancher.
type LogSource struct{ Client *rancher.Client }

var _ logs.Source = LogSource{}

// OpenLogs implements logs.Opener.
func (s LogSource) OpenLogs(ctx context.Context, id string, o logs.Options) (string, error) {
	address, token, err := s.Client.Logs(ctx, id, rancher.LogOptions{Follow: o.Follow, Lines: o.Lines, Timestamps: o.Timestamps, Since: o.Since})
	if err != nil {
		return "", err
	}
	return address + "?token=" + token, nil
}

// ContainerState implements logs.StateReader.
func (s LogSource) ContainerState(ctx context.Context, id string) (string, error) {
	return s.Client.ContainerState(ctx, id)
}

// Identity is who this Drover is, and whether its state directory is new.
type Identity struct {
	// Owner is the stable name that rollouts are signed with.
	Owner string
	// IsNew says that the directory was never used: a journal that begins there was
	// not lost.
	IsNew bool
}

// Identify reads the state directory, or begins it: the configured owner, or
// environment and host name, written down once.
func Identify(config *desired.Config, dir string) (Identity, error) {
	path := filepath.Join(dir, "owner")
	written, err := os.ReadFile(path)
	id := Identity{Owner: config.Owner, IsNew: errors.Is(err, os.ErrNotExist)}
	if err != nil && !id.IsNew {
		return id, fmt.Errorf("reading who this Drover is: %w", err)
	}
	if name := strings.TrimSpace(string(written)); id.Owner == "" {
		id.Owner = name
	}
	if id.Owner == "" {
		host, err := os.Hostname()
		if err != nil {
			return id, fmt.Errorf("naming this Drover: %w (set owner in the configuration)", err)
		}
		id.Owner = strings.TrimPrefix(config.Rancher.Environment+"-"+host, "-")
	}
	if strings.TrimSpace(string(written)) == id.Owner {
		return id, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return id, fmt.Errorf("creating the state directory: %w", err)
	}
	if err := os.WriteFile(path, []byte(id.Owner+"\n"), 0o600); err != nil {
		return id, fmt.Errorf("writing down who this Drover is: %w", err)
	}
	return id, nil
}

// conservative is how long nothing starts after the journal was lost or damaged.
const conservative = time.Hour

// ConservativeUntil is the end of that time (C11, C12); zero when the journal is
// whole, or when there never was one here.
func ConservativeUntil(r journal.Recovery) time.Time {
	if r.IncompleteSince.IsZero() {
		return time.Time{}
	}
	return r.IncompleteSince.Add(conservative)
}
