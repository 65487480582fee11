package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/sandbox"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

const (
	// demoLimit is when a demo that has not come to its end is over.
	demoLimit = 58 * time.Second
	// demoTraffic is requests per second through the load balancer.
	demoTraffic = 60
)

// demoConfig is the targets.yaml of the demo: the real thing with short times.
const demoConfig = `apiVersion: drover/v1
owner: drover-demo
rancher:
  url: %[1]s
  environment: dev
  accessKey: {file: %[2]s/access-key}
  secretKey: {file: %[2]s/secret-key}
registries:
- {host: %[3]q, plainHTTP: true, poll: 1s}
loadBalancers:
- name: chat
  stats: %[4]q
  auth: {username: %[5]s, password: {file: %[2]s/stats-password}}
targets:
- name: parrot-rest
  stack: gf-chat
  service: parrot-rest
  image: %[6]s
  rollout: {batchSize: 1, interval: 1s, settle: 1s, look: 500ms, bake: 5s, probation: 0s, backoff: 0s}
  gates:
    health: {minHealthyTime: 1s, deadline: 20s}
    loadBalancer: {name: chat, maxErrorRate: 5%%}
    http: {port: 8080, path: /healthz, every: 500ms}
`

// demoCommand shows the main job on embedded parts.
func demoCommand() *cobra.Command {
	var asJSON, keep, useHAProxy bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a good version finished and a bad one taken back, on embedded parts",
		Long: `Run everything in one process: a registry, a Rancher 1.6, the service
gf-chat/parrot-rest on three containers behind a load balancer under traffic, and
Drover. A good image is pushed and finished; then one that fails one request in
five while its health check stays green, which is taken back and quarantined.

Ends by itself within a minute: exit 0 when both came out right, 1 when not.`,
		Example: `  drover demo
  drover demo --json | jq -c 'select(.event=="summary")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &demo{tell: newTeller(cmd.OutOrStdout(), asJSON), keep: keep, useHAProxy: useHAProxy}
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per event and a summary last")
	cmd.Flags().BoolVar(&keep, "keep", false, "stay up after the story until Ctrl-C")
	cmd.Flags().BoolVar(&useHAProxy, "haproxy", false, "run the installed haproxy instead of the small load balancer")
	return cmd
}

// demo is one telling of the story.
type demo struct {
	tell             *teller
	keep, useHAProxy bool

	world  *sandbox.World
	daemon *daemon
}

// outcome is what the summary says.
type outcome struct {
	Event      string                `json:"event"`
	OK         bool                  `json:"ok"`
	Good       string                `json:"good"`
	Finished   bool                  `json:"finished"`
	Bad        string                `json:"bad"`
	RolledBack bool                  `json:"rolledBack"`
	Quarantine bool                  `json:"quarantined"`
	Verified   bool                  `json:"verified"`
	Reason     string                `json:"reason,omitempty"`
	Traffic    sandbox.TrafficCounts `json:"traffic"`
	Seconds    float64               `json:"seconds"`
	Error      string                `json:"error,omitempty"`
}

func (d *demo) run(ctx context.Context) (err error) {
	begun := time.Now()
	dir, err := os.MkdirTemp("", "drover-demo-")
	if err != nil {
		return fmt.Errorf("making a state directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d.tell.say("sandbox", "starting a registry, a Rancher 1.6, three containers and a load balancer")
	if d.world, err = sandbox.Start(ctx, sandbox.Options{HAProxy: d.useHAProxy, Pinned: true, CheckInterval: 300 * time.Millisecond}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreCancel(d.world.Close())) }()
	config, err := d.configure(dir)
	if err != nil {
		return err
	}
	if d.daemon, err = newDaemon(config, dir, logr.Discard()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.daemon.close()) }()
	return d.play(ctx, begun)
}

// configure writes the secrets where the configuration says they are.
func (d *demo) configure(dir string) (*desired.Config, error) {
	i := d.world.Info()
	for name, secret := range map[string]string{"access-key": i.AccessKey, "secret-key": i.SecretKey, "stats-password": i.StatsPassword} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("writing the demo's secrets: %w", err)
		}
	}
	text := fmt.Sprintf(demoConfig, i.Rancher, filepath.ToSlash(dir), i.Registry, i.Stats, i.StatsUser, i.Image)
	return desired.Parse("the demo's targets.yaml", []byte(text))
}

// play runs daemon, traffic and logs beside the story, and ends them with it.
func (d *demo) play(ctx context.Context, begun time.Time) error {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	traffic, err := d.world.Traffic(ctx, demoTraffic)
	if err != nil {
		return err
	}
	reports := d.daemon.control.Listen(ctx)
	lines := logs.Follow(ctx, controller.LogSource{Client: d.daemon.clients.Rancher}, logs.FollowOptions{})
	defer lines.Close()
	beside.Go(func() {
		if err := d.daemon.control.Run(ctx); err != nil {
			d.tell.say("error", err.Error())
		}
	})
	beside.Go(func() {
		for line := range lines.Lines(ctx) {
			d.tell.line(line)
		}
	})
	limited, stop := context.WithTimeoutCause(ctx, demoLimit-time.Since(begun), errors.New("the demo took too long"))
	defer stop()
	w := &watching{tell: d.tell, reports: reports, lines: lines}
	result, err := d.story(limited, w)
	if !d.keep {
		cancel()
		beside.Wait() // The summary is the last line: nobody beside the story may speak after it.
	}
	result.Traffic, result.Seconds = traffic.Stop(), time.Since(begun).Seconds()
	result.OK = err == nil && result.Finished && result.RolledBack && result.Quarantine && result.Verified
	if err != nil {
		result.Error = err.Error()
	}
	d.tell.summary(result)
	if d.keep {
		d.stayUp(ctx, w)
	}
	if !result.OK {
		return errors.New("the demo did not come out right")
	}
	return nil
}

// stayUp goes on telling what happens to whatever is pushed next, until the context ends.
func (d *demo) stayUp(ctx context.Context, w *watching) {
	i := d.world.Info()
	d.tell.say("keep", fmt.Sprintf("staying up until Ctrl-C: push to %s, with a label %s=errors=20%% or another of `drover help sandbox`; Rancher %s, load balancer %s",
		i.Image, sandbox.BehaviourLabel, i.Rancher, i.LoadBalancer))
	_ = w.until(ctx, "the end", func(controller.Report, reconcile.Event) bool { return false })
}

// story is the main job, twice.
func (d *demo) story(ctx context.Context, w *watching) (outcome, error) {
	o := outcome{Event: "summary"}
	err := w.until(ctx, "the service is known", func(r controller.Report, _ reconcile.Event) bool {
		return r.Decision.Phase == reconcile.Idle && r.Decision.Code == reconcile.CodeNothingToDo
	})
	if err != nil {
		return o, err
	}
	if o.Good, err = d.world.Push(ctx, "serve", nil); err != nil {
		return o, err
	}
	d.tell.say("push", "a developer pushes a good version, "+short(o.Good))
	err = w.until(ctx, "the good version is finished", func(r controller.Report, e reconcile.Event) bool {
		return e.Kind == reconcile.EventFinished && e.Baseline.Digest == o.Good
	})
	if err != nil {
		return o, err
	}
	o.Finished = true
	if o.Bad, err = d.world.Push(ctx, "errors=20%", nil); err != nil {
		return o, err
	}
	d.tell.say("push", "a developer pushes a bad version, "+short(o.Bad)+": one request in five will fail, its health check stays green")
	err = w.until(ctx, "the bad version is taken back", func(r controller.Report, e reconcile.Event) bool {
		if e.Kind == reconcile.EventRollingBack {
			o.Reason = r.Decision.Reason
		}
		return e.Kind == reconcile.EventRolledBack
	})
	if err != nil {
		return o, err
	}
	o.RolledBack = true
	o.Quarantine, o.Verified = d.verify(ctx, o)
	return o, nil
}

// verify asks Rancher and the journal, not the story, how it came out.
func (d *demo) verify(ctx context.Context, o outcome) (isQuarantined, isVerified bool) {
	_, isQuarantined = d.daemon.control.History(sandbox.Stack + "/" + sandbox.Service).Quarantine[o.Bad]
	s := d.daemon.clients.Rancher.Service(ctx, sandbox.Stack, sandbox.Service)
	running := 0
	for _, c := range s.Containers {
		if c.State == "running" && c.Image == s.Launch.Image && c.Version == s.Launch.Version {
			running++
		}
	}
	return isQuarantined, digestIn(s.Launch.Image) == o.Good && running == s.Scale
}
