package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/internal/rancher"
	"gitlab.gf.com.cn/clickeggs/drover/internal/watch"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// watchTail is how many lines of history each container gives.
	watchTail = 50
	// actTimeout bounds what a key does.
	actTimeout = 30 * time.Second
)

func watchCommand(o *options) *cobra.Command {
	var by string
	cmd := &cobra.Command{
		Use:   "watch [TARGET | IMAGE]...",
		Short: "Watch a service from the push to the finish, and decide",
		Long: `Show one service: what is rolled out and where it stands, its containers and what the
load balancer counts of each, the gates' verdicts, and the merged live log, old and
new told apart. Waits for the push when nothing goes on yet.

Keys: f finish, r roll back, h hold, u resume; each says what will happen, and asks.
? explains the others. Leaving with q or Ctrl-C leaves the rollout alone.

TARGET is a name of the configuration or any stack/service, IMAGE what a target
follows or a service runs; nothing is every target. Of several services the first
that is rolled out is shown: the one that began last when some are already.
It works without the daemon and for services that nobody targets, by Rancher alone.
A Rancher, a daemon or a network that goes away is waited for, and a laptop may sleep.
In a pipe it tells the same in lines, and ends with the rollout.`,
		Example: `  git push && drover watch parrot-rest
  git push && drover watch   # whichever target it is that CI pushes
  drover watch gf-chat/parrot-rest
  drover watch docker.gf.com.cn/clickeggs/parrot-rest:latest | tee rollout.log`,
		ValidArgsFunction: o.completeMany,
		RunE: func(cmd *cobra.Command, args []string) error {
			if by == "" {
				by = whoami()
			}
			return runWatch(cmd, o, by, args)
		},
	}
	cmd.Flags().StringVar(&by, "by", "", "who decides (default user@host)")
	return cmd
}

func runWatch(cmd *cobra.Command, o *options, by string, names []string) error {
	ctx := cmd.Context()
	isScreen := isTerminal(cmd.OutOrStdout()) && isTerminal(cmd.InOrStdin())
	if !isScreen {
		o.language = language.English // Lines are read by programs too.
	}
	r := o.reach(cmd)
	subject, err := r.subjectToWatch(cmd, names)
	if err != nil {
		return err
	}
	s, err := r.sessionAt(ctx, subject)
	if err != nil {
		return err
	}
	// What cannot work at all is an error, not a screen.
	if first := s.Look(ctx); first.Daemon == nil && first.Service.Problem != nil && isHopeless(first.Service.Problem) {
		return errors.New(first.Service.Problem.Message)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	acting := *s
	m := watch.New(subject.Key(), by, actor{ctx, o.language, &acting}, time.Now())
	feed, close, err := r.feed(ctx, s)
	m.NoLogs, m.Language = textOf(err), o.language
	defer close()
	if isScreen {
		m, err = watch.Run(ctx, m, feed, cmd.InOrStdin(), cmd.OutOrStdout())
	} else {
		m, err = watch.Plain(ctx, m, feed, cmd.OutOrStdout())
	}
	if err != nil {
		return err
	}
	return leave(cmd, o.language, m.Outcome(), isScreen)
}

// isHopeless says that looking again will not help.
func isHopeless(p *observe.Problem) bool {
	return p.Cause == observe.CauseNotFound || p.Cause == observe.CauseUnusable || p.Cause == observe.CauseAuth
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// leave says how it ended, or that it goes on. Leaving a screen is no failure;
// a pipe that is cut off is.
func leave(cmd *cobra.Command, l language.Language, t operator.Track, isScreen bool) error {
	switch {
	case t.Outcome == operator.Open && isScreen:
		_, err := fmt.Fprintln(cmd.OutOrStdout(), l.Sprintf("left %s alone: %s\n`drover watch %[1]s` comes back to it", t.Key, oneLine(t.Text)))
		return err
	case isScreen:
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", t.Key, oneLine(joinReason(outcomeIn(l, string(t.Outcome)), t.Reason)))
		if t.Outcome == operator.Finished {
			return nil
		}
		return quietly(exitOtherwise)
	}
	return endOf(l, t, operator.ToFinished, context.Canceled)
}

// subjectToWatch is the one that was named, or the first of several that is rolled
// out.
func (r *reach) subjectToWatch(cmd *cobra.Command, names []string) (operator.Subject, error) {
	subjects, err := r.watched(cmd.Context(), names)
	switch {
	case err != nil:
		return operator.Subject{}, err
	case len(subjects) == 1:
		return subjects[0], nil
	}
	return r.firstOf(cmd, subjects)
}

// watched are the services that a person wants to watch, each once.
func (r *reach) watched(ctx context.Context, names []string) ([]operator.Subject, error) {
	if len(names) == 0 {
		return r.everything(ctx)
	}
	var all []operator.Subject
	for _, name := range names {
		found, err := r.named(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, s := range found {
			if !slices.ContainsFunc(all, func(o operator.Subject) bool { return o.Key() == s.Key() }) {
				all = append(all, s)
			}
		}
	}
	return all, nil
}

// named is the service of a name, or all that follow an image.
func (r *reach) named(ctx context.Context, name string) ([]operator.Subject, error) {
	s, err := r.subject(ctx, name)
	var missing *operator.NotFoundError
	if !errors.As(err, &missing) || !strings.Contains(name, "/") {
		return []operator.Subject{s}, err
	}
	return r.byImage(ctx, name)
}

// everything is each target of the daemon, or of the file where none answers.
func (r *reach) everything(ctx context.Context) ([]operator.Subject, error) {
	views, asked := r.daemon.Targets(ctx)
	var keys []string
	for i := range views {
		keys = append(keys, views[i].Target)
	}
	if asked != nil && r.config != nil {
		for i := range r.config.Targets {
			keys = append(keys, r.config.Targets[i].Key())
		}
	}
	var all []operator.Subject
	for _, key := range keys {
		s, err := operator.Resolve(r.config, views, key)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	switch {
	case len(all) > 0:
		return all, nil
	case asked != nil:
		return nil, usage("name what to watch: %w, and %w", r.o.explainAway(asked), r.problem)
	}
	return nil, usage("name what to watch: the daemon has no targets")
}

// feed looks at a session's service. The error says why there is no log.
func (r *reach) feed(ctx context.Context, s *operator.Session) (f *watch.Feed, close func(), err error) {
	f = &watch.Feed{Session: s}
	if r.config == nil {
		return f, func() {}, r.problem
	}
	f.Balancer = r.balancer(s.Subject)
	tags := newTagReader(r.config)
	f.Tag = func(ctx context.Context, ref string) observe.Image { return tags.Image(ctx, ref, "") }
	name := logs.ServiceName{Stack: s.Subject.Stack, Service: s.Subject.Service}
	d, err := connectTo(io.Discard, r.config.Rancher, []logs.ServiceName{name})
	if err != nil {
		return f, func() {}, err
	}
	stop := d.run(ctx)
	changed, unwatch := d.informer.Watch(name.Stack, name.Service)
	f.Changed = changed
	follower := logs.FollowServices(ctx, d.source(), d.informer, logs.ServiceOptions{
		FollowOptions: logs.FollowOptions{Window: commandWindow}, Tail: watchTail,
	}, name)
	f.Lines = follower
	f.Renew = func() {
		if client, ok := s.Rancher.(*rancher.Client); ok {
			client.Close()
		}
		d.client.Close()
		d.informer.Relist()
		follower.Reconnect()
	}
	return f, func() {
		unwatch()
		follower.Close()
		stop()
		d.close()
	}, nil
}

// balancer reads the target's load balancer, or for a service without one the first
// of the file in which its containers are found; nil when the file has none.
func (r *reach) balancer(s operator.Subject) func(context.Context, []observe.Container) *observe.LoadBalancer {
	var names []string
	if s.Target != nil && s.Target.Gates.LoadBalancer != nil {
		names = append(names, s.Target.Gates.LoadBalancer.Name)
	} else {
		for i := range r.config.LoadBalancers {
			names = append(names, r.config.LoadBalancers[i].Name)
		}
	}
	reader, err := controller.ConnectBalancers(r.config)
	if err != nil || len(names) == 0 {
		return nil
	}
	return func(ctx context.Context, containers []observe.Container) *observe.LoadBalancer {
		var last *observe.LoadBalancer
		for _, name := range names {
			lb := reader.Read(ctx, "watch", name, containers)
			if last == nil || lb.Problem == nil && isBehind(&lb) {
				last = &lb
			}
			if isBehind(&lb) {
				names = []string{name}
				break
			}
		}
		if s.Target == nil && last.Problem != nil {
			return nil // Nobody said that the service is behind it.
		}
		return last
	}
}

// isBehind says that a container of the service was found in the statistics.
func isBehind(lb *observe.LoadBalancer) bool {
	for i := range lb.Servers {
		if lb.Servers[i].Container != "" {
			return true
		}
	}
	return false
}

// actor does what a person decides in the screen.
type actor struct {
	ctx      context.Context
	language language.Language
	session  *operator.Session
}

var _ watch.Actor = actor{}

// Plan implements watch.Actor.
func (a actor) Plan(r operator.Request) (operator.Plan, error) {
	ctx, cancel := context.WithTimeout(a.ctx, actTimeout)
	defer cancel()
	return operator.MakePlan(a.session.LookFor(ctx, r), r)
}

// Do implements watch.Actor.
func (a actor) Do(p operator.Plan) error {
	ctx, cancel := context.WithTimeout(a.ctx, actTimeout)
	defer cancel()
	err := a.session.Do(ctx, p)
	if errors.Is(err, web.ErrNoDaemon) {
		return a.language.Errorf("%w any more: it is not known whether it took the command", err)
	}
	return err
}
