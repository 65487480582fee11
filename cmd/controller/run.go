package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"reflect"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/internal/metrics"
	"gitlab.gf.com.cn/clickeggs/drover/internal/registry"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

const (
	// configPoll is how often targets.yaml is read again.
	configPoll = time.Second
	// stopLimit is how long after a signal the process is gone at the latest.
	stopLimit = 9500 * time.Millisecond
)

func runCommand(o *options) *cobra.Command {
	var healthListen string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Look after the targets until SIGTERM",
		Long: `Follow the images, roll out what is new, judge it, finish or take it back. Starts
also while Rancher or the registry is down. SIGHUP reads the configuration at once;
it is read every second anyway. SIGTERM stops deciding and ends within 10 s; nothing
is rolled back, and the next start goes on from the journal.

--health-listen answers GET /healthz to everybody, and nothing else: for Rancher's
health checks, which reach neither the socket nor what takes a token.`,
		Example: `  drover run
  drover run -c /etc/drover/targets.yaml --state-dir /var/lib/drover
  drover run --health-listen :8471`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDaemon(cmd.Context(), o, healthListen, newLogger(o, cmd.ErrOrStderr()))
		},
	}
	cmd.Flags().StringVar(&healthListen, "health-listen", "", "address on which GET /healthz is answered, host:port")
	return cmd
}

// runDaemon is the daemon from start to end.
func runDaemon(ctx context.Context, o *options, healthListen string, log logr.Logger) (err error) {
	setCollector()
	source, err := desired.NewSource(o.config)
	if err != nil {
		return err
	}
	if err := requireKey(source.Current().Rancher); err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	r := &reloader{source: source, log: log}
	var d *daemon
	runners := []controller.Runner{
		{Name: "memory", Run: giveBack},
		{Name: "configuration", Run: func(ctx context.Context) error { return r.run(ctx) }},
	}
	handler := func() http.Handler { return web.Handler(d.control, d.api(r.warnings)) }
	runners = append(runners, servers(source.Current().API, o.stateDir, healthListen, handler, log)...)
	d, err = newDaemon(source.Current(), o.stateDir, log, runners...)
	if err != nil {
		return fmt.Errorf("starting: %w", startHint(err, o.stateDir))
	}
	r.daemon = d
	sayStart(log, d, source.Current())
	return stopped(ctx, d, log)
}

// requireKey refuses a start without the key to Rancher: what the environment does not
// have now it never has while this process lives. A file may still come.
func requireKey(r desired.Rancher) error {
	for _, part := range []struct {
		name   string
		secret desired.Secret
	}{{"rancher.accessKey", r.AccessKey}, {"rancher.secretKey", r.SecretKey}} {
		if part.secret.Env == "" {
			continue
		}
		if _, err := part.secret.Value(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// servers are all that answers: the socket always, TCP where it is asked for. The
// handler is made when they run, because the daemon is made with them.
func servers(api *desired.API, stateDir, healthListen string, handler func() http.Handler, log logr.Logger) []controller.Runner {
	all := []controller.Runner{{Name: "web server", Run: func(ctx context.Context) error {
		return web.Serve(ctx, web.SocketPath(stateDir), handler())
	}}}
	if api != nil {
		all = append(all, controller.Runner{Name: "web server over TCP", Run: func(ctx context.Context) error {
			return web.ServeTCP(ctx, tcpOf(api, log), handler())
		}})
	}
	if healthListen != "" {
		all = append(all, controller.Runner{Name: "health checks", Run: func(ctx context.Context) error {
			return web.ServeHealth(ctx, healthListen, handler(), func(a net.Addr) {
				log.Info("answering health checks", "address", a.String())
			})
		}})
	}
	return all
}

// afterCrashes waits before a start that follows others which did not end properly.
func afterCrashes(ctx context.Context, s *controller.Starts, log logr.Logger) {
	if s.Delay() == 0 {
		return
	}
	values := []any{"starts", s.Unended(), "wait", s.Delay().String()}
	if until := s.ObserveUntil(); !until.IsZero() {
		values = append(values, "observeOnlyUntil", until.UTC().Format(time.RFC3339))
	}
	log.Info("earlier starts ended without being stopped: look for what kills this process", values...)
	wait := time.NewTimer(s.Delay())
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}

// tcpOf is where the configuration has the API served over TCP.
func tcpOf(api *desired.API, log logr.Logger) web.TCP {
	token := tokenOf(api, log)
	return web.TCP{
		Address: api.Listen, Token: token, CertFile: api.CertFile, KeyFile: api.KeyFile,
		Listening: func(a net.Addr) {
			log.Info("serving the API over TCP", "address", a.String(), "https", api.CertFile != "")
			_, _ = token() // What is wrong with it is told now, not at the first request.
		},
	}
}

// tokenOf reads the token anew at each request, and tells once when it cannot.
func tokenOf(api *desired.API, log logr.Logger) func() (string, error) {
	var isTold atomic.Bool
	return func() (string, error) {
		token, err := api.Token.Value()
		if wasTold := isTold.Swap(err != nil); err != nil && !wasTold {
			log.Error(err, "the token of the API cannot be read; requests over TCP are refused")
		}
		return token, err
	}
}

// sayStart logs what a person wants to know of a start.
func sayStart(log logr.Logger, d *daemon, config *desired.Config) {
	log.Info("started", "version", version, "targets", len(config.Targets), "state", d.journal.Dir())
	sayWarnings(log, config)
	if rec := d.journal.Recovery(); rec.Corrupt != "" {
		log.Error(rec.Cause, "the journal was damaged; it was kept aside", "path", rec.Corrupt)
	}
}

func sayWarnings(log logr.Logger, config *desired.Config) {
	for _, w := range config.Warnings() {
		log.Info("warning about the configuration", "warning", w.Error())
	}
}

// stopped runs the daemon and sees to it that it ends in time.
func stopped(ctx context.Context, d *daemon, log logr.Logger) error {
	ended := make(chan error, 1)
	go func() {
		afterCrashes(ctx, d.starts, log)
		err := d.control.Run(ctx)
		if err == nil {
			err = d.starts.End()
		}
		ended <- errors.Join(err, d.close())
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping")
	late := time.NewTimer(stopLimit)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
		return errors.New("a step did not end in time; the next start reads from Rancher what came of it")
	}
}

// api is the other end of the daemon's API.
func (d *daemon) api(warnings func() []string) web.Options {
	return web.Options{
		JournalFailed: d.journal.Writable,
		Warnings:      warnings,
		Metrics:       metrics.Handler(d.control, version),
		Notify: func(body io.Reader) (int, error) {
			notifications, err := registry.ParseNotification(body)
			if err != nil {
				return 0, err
			}
			return d.clients.Images.Notify(notifications), nil
		},
	}
}

// reloader takes over new contents of targets.yaml.
type reloader struct {
	source *desired.Source
	daemon *daemon
	log    logr.Logger
	// mu orders a reload by signal and one by polling.
	mu sync.Mutex
	// wrong is why the file is not in force, since when; nil while it is.
	wrong atomic.Pointer[wrongFile]
}

// wrongFile is a targets.yaml that was not taken.
type wrongFile struct {
	err error
	at  time.Time
}

// warnings tell whoever asks the daemon that it goes by an older file.
func (r *reloader) warnings() []string {
	w := r.wrong.Load()
	if w == nil {
		return nil
	}
	return []string{fmt.Sprintf("the configuration file is wrong since %s, and the last valid one stays in force: %v", w.at.UTC().Format(time.RFC3339), w.err)}
}

// run polls the file and listens for SIGHUP until ctx ends.
func (r *reloader) run(ctx context.Context) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	var polling sync.WaitGroup
	polling.Go(func() { r.source.Run(ctx, configPoll, r.take, r.right, r.keep) })
	defer polling.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangups:
			r.reload()
		}
	}
}

func (r *reloader) reload() {
	switch changed, err := r.source.Reload(); {
	case err != nil:
		r.keep(err)
	case changed:
		r.take(r.source.Current())
	default:
		r.right()
		r.log.Info("configuration read again, nothing changed")
	}
}

// keep says that a wrong file changes nothing.
func (r *reloader) keep(err error) {
	now := &wrongFile{err: err, at: time.Now()}
	if before := r.wrong.Load(); before != nil {
		now.at = before.at
	}
	r.wrong.Store(now)
	r.log.Error(err, "the configuration is wrong; the last valid one stays in force")
}

// right notes that the file is valid, and says so when it was not.
func (r *reloader) right() {
	if r.wrong.Swap(nil) != nil {
		r.log.Info("the configuration is right again")
	}
}

// take puts a configuration in force.
func (r *reloader) take(config *desired.Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.right()
	control := r.daemon.control
	old := control.Config()
	if err := r.daemon.configure(config); err != nil {
		r.log.Error(err, "the configuration is not fully in force")
	}
	r.log.Info("configuration changed", "targets", len(config.Targets))
	sayWarnings(r.log, config)
	if old.Rancher != config.Rancher || old.Owner != config.Owner || !reflect.DeepEqual(old.API, config.API) {
		r.log.Info("rancher, owner or api changed: restart to put that in force")
	}
	control.WakeAll(configPoll)
}

// startHint says what to do about a journal that is held, or a state directory that
// belongs to another: a directory of the host that was mounted as it is, most often.
func startHint(err error, stateDir string) error {
	var locked *journal.LockedError
	switch {
	case errors.As(err, &locked):
		return fmt.Errorf("%w: one daemon at a time; read with `drover status`", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: the state directory must be the own one of the user that runs Drover: chown -R %d:%d %s", err, os.Getuid(), os.Getgid(), stateDir)
	}
	return err
}
