package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// The variables that say where Rancher is when there is no file: those that
// Rancher's own tools and rancher-gitlab-deploy read.
const (
	variableURL         = "RANCHER_URL"
	variableEnvironment = "RANCHER_ENVIRONMENT"
	variableAccessKey   = "RANCHER_ACCESS_KEY"
	variableSecretKey   = "RANCHER_SECRET_KEY"
)

// direct is Rancher as a command sees it that needs no daemon: the pictures and
// the log streams of some services.
type direct struct {
	client   *rancher.Client
	informer *rancher.Informer
	names    []logs.ServiceName
	// server is the URL, for messages in language.
	server   string
	language language.Language
	// isSynced says that the first pictures were there: before that what is wrong
	// is an error, and later something that may pass.
	isSynced atomic.Bool
}

// connect makes a direct to the services behind the names, which are stack/service
// or names of targets. It may read them and ask for their logs, and nothing else;
// it does not talk to Rancher yet.
func (o *options) connect(cmd *cobra.Command, names []string) (*direct, error) {
	server, targets, err := o.whereRancher(cmd)
	if err != nil {
		return nil, err
	}
	var services []logs.ServiceName
	for _, name := range names {
		n, err := serviceNamed(name, targets)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(services, n) {
			services = append(services, n)
		}
	}
	d, err := connectTo(cmd.ErrOrStderr(), server, services)
	if d != nil {
		d.language = o.language
	}
	return d, err
}

// connectTo makes a direct to services of a Rancher; notices go to errOut.
func connectTo(errOut io.Writer, server desired.Rancher, services []logs.ServiceName) (*direct, error) {
	d := &direct{server: server.URL, names: services}
	keys := make([]rancher.Key, len(services))
	for i, n := range services {
		keys[i] = rancher.Key(n)
	}
	log := d.logger(errOut)
	var err error
	if d.client, err = controller.ConnectRancher(server, log); err != nil {
		return nil, err
	}
	d.client.AllowLogs(keys...)
	d.informer = rancher.NewInformer(d.client, rancher.InformerOptions{Relist: server.Relist.Duration, Logger: log})
	d.informer.Update(keys)
	return d, nil
}

// whereRancher is the file's Rancher with the file's targets, or the environment's
// when there is no file at the default place.
func (o *options) whereRancher(cmd *cobra.Command) (desired.Rancher, []desired.Target, error) {
	config, err := o.load(cmd)
	if err != nil {
		return desired.Rancher{}, nil, err
	}
	return config.Rancher, config.Targets, nil
}

// load reads the file, or the environment's Rancher when there is no file at the
// default place.
func (o *options) load(cmd *cobra.Command) (*desired.Config, error) {
	wasNamed := cmd.Root().PersistentFlags().Changed("config") || os.Getenv("DROVER_CONFIG") != ""
	if _, err := os.Stat(o.config); wasNamed || !errors.Is(err, fs.ErrNotExist) {
		return desired.Load(o.config)
	}
	if os.Getenv(variableURL) == "" {
		return nil, o.language.Errorf("there is no %s and %s is not set: name a file with -c, or set %s, %s and %s",
			o.config, variableURL, variableURL, variableAccessKey, variableSecretKey)
	}
	return &desired.Config{Rancher: desired.Rancher{
		URL: os.Getenv(variableURL), Environment: os.Getenv(variableEnvironment),
		AccessKey: desired.Secret{Env: variableAccessKey}, SecretKey: desired.Secret{Env: variableSecretKey},
	}}, nil
}

// serviceNamed is the service behind stack/service or a target's name.
func serviceNamed(name string, targets []desired.Target) (logs.ServiceName, error) {
	for i := range targets {
		if t := &targets[i]; t.Name == name {
			return logs.ServiceName{Stack: t.Stack, Service: t.Service}, nil
		}
	}
	stack, service, isPath := strings.Cut(name, "/")
	if !isPath || stack == "" || service == "" || strings.Contains(service, "/") {
		var names []string
		for i := range targets {
			names = append(names, targets[i].Name)
		}
		return logs.ServiceName{}, usage("%q is neither stack/service nor the name of a target%s", name, thereAre(names))
	}
	return logs.ServiceName{Stack: stack, Service: service}, nil
}

// logger tells in plain words what goes on with the connection.
func (d *direct) logger(w io.Writer) logr.Logger {
	return logr.New(plainLog{w, &d.isSynced})
}

// run keeps the pictures fresh until stop is called.
func (d *direct) run(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = d.informer.Run(ctx) }) // It ends with its context only, and says so by nil.
	return func() { cancel(); running.Wait() }
}

// close ends what run leaves open.
func (d *direct) close() { d.client.Close() }

// source opens the services' log streams.
func (d *direct) source() logs.Source { return controller.LogSource{Client: d.client} }

// glance is how often sync looks whether the first picture is there or will not
// come.
const glance = 10 * time.Millisecond

// sync waits for the first pictures. Whatever keeps one from coming is an error,
// and so is a service that does not exist.
func (d *direct) sync(ctx context.Context) error {
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		pending := false
		for _, n := range d.names {
			p := d.informer.Service(ctx, n.Stack, n.Service, false).Problem
			switch {
			case p == nil:
			case p.Cause == observe.CausePending:
				pending = true
			default:
				return d.explain(p)
			}
		}
		if !pending {
			d.isSynced.Store(true)
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// explain is a problem with what a person can do about it.
func (d *direct) explain(p *observe.Problem) error {
	if p.Cause == observe.CauseNotFound {
		return errors.New(p.Message)
	}
	if p.Cause == observe.CauseAuth {
		return d.language.Errorf("rancher at %s does not take the key: %s; an environment API key is needed", d.server, p.Message)
	}
	return fmt.Errorf("rancher at %s: %s", d.server, p.Message)
}

// glimpse is services as they were read once.
type glimpse map[logs.ServiceName]observe.Service

// Service implements logs.Services.
func (g glimpse) Service(_ context.Context, stack, service string, _ bool) observe.Service {
	return g[logs.ServiceName{Stack: stack, Service: service}]
}

// Watch implements logs.Services: nothing changes.
func (g glimpse) Watch(string, string) (changed <-chan struct{}, stop func()) { return nil, func() {} }
