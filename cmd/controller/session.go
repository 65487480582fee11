package main

import (
	"context"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/internal/registry"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

// reach is what a command can reach: the file, Rancher by it, and the daemon. Each
// may be missing, and then it says why.
type reach struct {
	o *options
	// config is nil when the file is missing or wrong; problem says which.
	config  *desired.Config
	problem error
	daemon  *web.Client
}

// reach reads the file, or the environment.
func (o *options) reach(cmd *cobra.Command) *reach {
	r := &reach{o: o, daemon: o.client()}
	r.config, r.problem = o.load(cmd)
	return r
}

// rancher makes a client that may act on some services, or on none.
func (r *reach) rancher(keys ...rancher.Key) (*rancher.Client, error) {
	if r.config == nil {
		return nil, r.problem
	}
	client, err := controller.ConnectRancher(r.config.Rancher, logr.Discard())
	if err != nil {
		return nil, err
	}
	client.Allow(keys...)
	return client, nil
}

// subject finds what a name means; the daemon is asked only about names that the
// file does not know.
func (r *reach) subject(ctx context.Context, name string) (operator.Subject, error) {
	s, err := operator.Resolve(r.config, nil, name)
	if err == nil {
		return s, nil
	}
	views, asked := r.daemon.Targets(ctx)
	if asked != nil {
		if r.config == nil {
			return s, &exitError{exitNoDaemon, r.o.language.Errorf("%w: nothing was done, because without it and without %s nobody knows what %q is", r.o.explainAway(asked), r.o.config, name)}
		}
		return s, err
	}
	return operator.Resolve(r.config, views, name)
}

// session is a person at the service of a name.
func (r *reach) session(ctx context.Context, name string) (*operator.Session, error) {
	subject, err := r.subject(ctx, name)
	if err != nil {
		return nil, err
	}
	return r.sessionAt(ctx, subject)
}

// sessionAt is a person at a service. A daemon elsewhere that was named must
// answer: it is not passed over.
func (r *reach) sessionAt(ctx context.Context, subject operator.Subject) (*operator.Session, error) {
	s := &operator.Session{
		Subject: subject, Daemon: r.daemon, StateDir: r.o.stateDir, Now: time.Now,
		NoDaemon: r.o.noDaemon(), Language: r.o.language,
	}
	if r.o.server != "" {
		if _, err := r.daemon.Health(ctx); err != nil {
			return nil, &exitError{exitNoDaemon, r.o.language.Errorf("%w: nothing was done; without --server this acts on Rancher alone", r.o.explainAway(err))}
		}
	}
	client, err := r.rancher(rancher.Key{Stack: subject.Stack, Service: subject.Service})
	if err != nil {
		s.NoRancher = err.Error()
		return s, nil //nolint:nilerr // The daemon alone is enough for most; a look says why there is no Rancher.
	}
	s.Rancher = client
	s.Images = newTagReader(r.config)
	return s, nil
}

// tagReader asks registries what tags are now, one at a time.
type tagReader struct {
	config *desired.Config
	images *registry.Watcher
}

func newTagReader(config *desired.Config) *tagReader {
	return &tagReader{config, registry.New(registry.Options{})}
}

// Image implements operator.Images.
func (t *tagReader) Image(ctx context.Context, ref, platform string) observe.Image {
	host, _, _ := strings.Cut(ref, "/")
	t.images.Update([]desired.Registry{t.config.Registry(host)}, []registry.Ref{{Image: ref, Platform: platform}})
	t.images.Sweep(ctx)
	return t.images.Image(ctx, ref, platform)
}
