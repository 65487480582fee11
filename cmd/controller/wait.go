package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
)

// pipelineWait is how long wait waits when it is not told.
const pipelineWait = 30 * time.Minute

// wait is what a pipeline waits for.
type wait struct {
	o                   *options
	image, digest, goal string
	timeout             time.Duration
	asJSON              bool
}

func waitCommand(o *options) *cobra.Command {
	w := &wait{o: o}
	cmd := &cobra.Command{
		Use:   "wait [TARGET]",
		Short: "Wait until a version is finished, upgraded or rolled back: for pipelines",
		Long: `Wait for what comes of a push. Quiet when it comes to what was waited for; else the
exit code says what came instead, and standard error why, with the gates' figures and
the last lines of the new containers.

Which service: TARGET, or every target that follows --image. Which version: --digest,
or what --image names in the registry now; without either, the rollout that is open
or begins next. A version that was decided about before ends the wait at once.

With the daemon (socket or --server) its word counts. Without one Rancher alone is
watched: a service that runs a bare tag then is told by --image, not by --digest.`,
		Example: `  drover wait --image registry.example/shop/api:latest --digest "$(cat digest)"
  drover wait shop/api --for upgraded --timeout 10m && drover finish shop/api
  drover wait api --for rolled-back`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: o.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error { return w.run(cmd, args) },
	}
	f := cmd.Flags()
	f.StringVar(&w.image, "image", "", "the image that was pushed, host/repository:tag")
	f.StringVar(&w.digest, "digest", "", "its digest, sha256:…")
	f.StringVar(&w.goal, "for", string(operator.ToFinished), "finished, upgraded or rolled-back")
	f.DurationVar(&w.timeout, "timeout", pipelineWait, "wait so long at most")
	f.BoolVar(&w.asJSON, "json", false, "print how it ended as JSON")
	_ = cmd.RegisterFlagCompletionFunc("for", completeFor("finished", "upgraded", "rolled-back")) // The flag was just made.
	return cmd
}

// waited is how one service's wait ended.
type waited struct {
	Target  string  `json:"target"`
	Image   string  `json:"image,omitempty"`
	Digest  string  `json:"digest,omitempty"`
	For     string  `json:"for"`
	Outcome string  `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
	Text    string  `json:"text,omitempty"`
	Seconds float64 `json:"seconds"`
	// Gates and Lines are the evidence when it did not come to what was waited for.
	Gates []web.Gate  `json:"gates,omitempty"`
	Lines []logs.Line `json:"lines,omitempty"`

	err error
}

func (w *wait) run(cmd *cobra.Command, args []string) error {
	w.o.language = language.English // Pipelines read it.
	if err := w.check(args); err != nil {
		return err
	}
	r := w.o.reach(cmd)
	subjects, err := w.subjects(cmd.Context(), r, args)
	if err != nil {
		return err
	}
	if err := w.resolve(cmd.Context(), r); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), w.timeout, errTimeout)
	defer cancel()
	results := make([]waited, len(subjects))
	var waiting sync.WaitGroup
	for i := range subjects {
		waiting.Go(func() { results[i] = w.one(ctx, r, subjects[i]) })
	}
	waiting.Wait()
	return w.report(cmd, results)
}

// check refuses what cannot be waited for.
func (w *wait) check(args []string) error {
	switch {
	case oneOf("goal", w.goal, "finished", "upgraded", "rolled-back") != nil:
		return usage("--for %q is none of finished, upgraded, rolled-back", w.goal)
	case len(args) == 0 && w.image == "":
		return usage("name a TARGET, or with --image what was pushed")
	}
	return nil
}

// subjects are the named service, or all that follow the image.
func (w *wait) subjects(ctx context.Context, r *reach, args []string) ([]operator.Subject, error) {
	if len(args) == 1 {
		s, err := r.subject(ctx, args[0])
		return []operator.Subject{s}, err
	}
	return r.byImage(ctx, w.image)
}

// byImage are the targets that follow an image, or else the services that run it.
func (r *reach) byImage(ctx context.Context, image string) ([]operator.Subject, error) {
	views, asked := r.daemon.Targets(ctx)
	if found := operator.ByImage(r.config, views, image); len(found) > 0 {
		return found, nil
	}
	client, err := r.rancher()
	if err != nil {
		return nil, fmt.Errorf("nobody is known to follow %s: %w", image, errors.Join(r.o.explainAway(asked), err))
	}
	defer client.Close()
	services, err := client.AllServices(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for who runs %s: %w", image, err)
	}
	found := operator.Running(services, image)
	if len(found) == 0 {
		return nil, fmt.Errorf("no target follows %s, and no service runs it", image)
	}
	return found, nil
}

// resolve asks the registry what the image is now, when nobody said.
func (w *wait) resolve(ctx context.Context, r *reach) error {
	if w.image == "" || w.digest != "" {
		return nil
	}
	if r.config == nil {
		return usage("say the --digest: without %s the registry cannot be asked", r.o.config)
	}
	image := newTagReader(r.config).Image(ctx, w.image, "")
	if image.Problem != nil {
		return fmt.Errorf("asking the registry what %s is: %s; --digest says it", w.image, image.Problem.Message)
	}
	w.digest = image.Digest
	return nil
}

// one waits for one service.
func (w *wait) one(ctx context.Context, r *reach, subject operator.Subject) waited {
	begun := time.Now()
	result := waited{Target: subject.Key(), Image: w.image, Digest: w.digest, For: w.goal}
	s, err := r.sessionAt(ctx, subject)
	if err != nil {
		result.err = err
		return result
	}
	goal := operator.Goal(w.goal)
	lines, stop := r.lastLines(ctx, subject)
	defer stop()
	track := operator.Track{Key: subject.Key(), Digest: w.digest, Image: w.image}
	track.Watched = s.Look(ctx).Daemon != nil
	track, err = s.Follow(ctx, track, goal, followEvery, func(_ operator.Track, sight operator.Sight) {
		if d := sight.Daemon; d != nil && len(d.Gates) > 0 {
			result.Gates = d.Gates
		}
	})
	result.err = endOf(s.Language, track, goal, err)
	result.Outcome, result.Reason, result.Text = outcomeOf(operator.Plan{Goal: goal}, track), track.Reason, track.Text
	result.Seconds = time.Since(begun).Seconds()
	if result.err == nil {
		result.Gates = nil
		return result
	}
	stop()
	result.Lines = lines.take()
	return result
}

// report is silent about what came as it should. The first that did not gives the
// exit code.
func (w *wait) report(cmd *cobra.Command, results []waited) error {
	if w.asJSON {
		if err := printJSON(cmd.OutOrStdout(), results); err != nil {
			return err
		}
	}
	var first error
	for i := range results {
		r := &results[i]
		if r.err == nil {
			continue
		}
		if first == nil {
			first = r.err
		} else if !w.asJSON {
			fmt.Fprintln(cmd.ErrOrStderr(), "drover:", oneLine(r.err.Error()))
		}
		if !w.asJSON {
			r.print(cmd.ErrOrStderr())
		}
	}
	return first
}

// print shows the evidence.
func (r *waited) print(out io.Writer) {
	if len(r.Gates) > 0 {
		fmt.Fprintf(out, "what the gates of %s said last:\n", r.Target)
	}
	for i := range r.Gates {
		g := &r.Gates[i]
		fmt.Fprintf(out, "  %-14s %-6s %s\n", g.Gate, g.Verdict, oneLine(g.Text))
	}
	if len(r.Lines) > 0 {
		fmt.Fprintf(out, "the last lines of its new containers:\n")
	}
	for i := range r.Lines {
		l := &r.Lines[i]
		fmt.Fprintf(out, "  %s %s | %s\n", l.Time.Format("15:04:05.000"), oneLine(l.Name), oneLine(l.Text))
	}
}

// keptLines is how many last lines of new containers a failure shows.
const keptLines = 40

// lastLines keeps the last lines of new containers: Rancher removes them with the
// version that is taken back.
type lastLines struct {
	mu    sync.Mutex
	lines []logs.Line
}

func (l *lastLines) add(lines []logs.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range lines {
		if lines[i].Version == logs.VersionNew && lines[i].Dropped == 0 {
			l.lines = append(l.lines, lines[i])
		}
	}
	if n := len(l.lines) - keptLines; n > 0 {
		l.lines = append([]logs.Line(nil), l.lines[n:]...)
	}
}

// keep takes lines until ctx or the follower ends.
func keep(ctx context.Context, kept *lastLines, f *logs.Follower) {
	for {
		lines, err := f.Next(ctx)
		if err != nil {
			return
		}
		kept.add(lines)
	}
}

func (l *lastLines) take() []logs.Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines
}

// lastLines follows the new containers of a service. Without Rancher there are no
// lines; stop may be called twice.
func (r *reach) lastLines(ctx context.Context, subject operator.Subject) (kept *lastLines, stop func()) {
	kept = &lastLines{}
	if r.config == nil {
		return kept, func() {}
	}
	d, err := connectTo(io.Discard, r.config.Rancher, []logs.ServiceName{{Stack: subject.Stack, Service: subject.Service}})
	if err != nil {
		return kept, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() {
		defer d.close()
		defer d.run(ctx)()
		f := logs.FollowServices(ctx, d.source(), d.informer, logs.ServiceOptions{
			Wants: func(c logs.Container) bool { return c.Version == logs.VersionNew },
		}, d.names...)
		keep(ctx, kept, f)
		f.Close()
		keep(context.WithoutCancel(ctx), kept, f) // What is still on its way.
	})
	return kept, sync.OnceFunc(func() { cancel(); following.Wait() })
}
