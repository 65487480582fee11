package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
)

const (
	// defaultTail is how many lines of history a container gives: Rancher's own
	// default.
	defaultTail = "100"
	// commandWindow is how long a line waits for older ones of other containers: a
	// person waits too.
	commandWindow = 100 * time.Millisecond
	// complainAfter is how long a container may be out of reach before it is told.
	complainAfter = 5 * time.Second
)

// logsFlags are what logs was asked for.
type logsFlags struct {
	follow, times, isNew, isOld, asJSON bool
	tail, since, grep                   string
}

func logsCommand(o *options) *cobra.Command {
	var l logsFlags
	var service bool
	cmd := &cobra.Command{
		Use:   "logs STACK/SERVICE...",
		Short: "Show what the containers of services write, merged in order of time",
		Long: `Show the logs of all containers of the named services, merged in the order of
their times.

With -f containers that appear later are joined from their first line on, streams
that break are taken up where they broke, and a container that is restarted is
followed again. Ctrl-C ends it.

A service is named as stack/service, or by its target's name. No daemon is needed:
Rancher is the one of the configuration, or, when there is no file, that of
RANCHER_URL, RANCHER_ACCESS_KEY, RANCHER_SECRET_KEY and RANCHER_ENVIRONMENT.

During a rollout old and new containers are marked. When the output is not read
fast enough lines are dropped here and counted; the containers' host is never
held up. --since takes how long ago, a time, or Unix seconds.`,
		Example: `  drover logs -f -t gf-chat/parrot-rest
  drover logs -f --new gf-chat/parrot-rest gf-chat/parrot-web
  drover logs --since 10m --grep 'panic|error' parrot-rest
  drover logs -f --json parrot-rest | jq -r 'select(.stream=="stderr").text'`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: o.completeMany,
		RunE:              func(cmd *cobra.Command, args []string) error { return runLogs(cmd, o, &l, args) },
	}
	f := cmd.Flags()
	f.BoolVarP(&l.follow, "follow", "f", false, "go on with what comes, until Ctrl-C")
	f.BoolVarP(&l.times, "timestamps", "t", false, "begin each line with its time")
	f.StringVar(&l.tail, "tail", defaultTail, "lines of history of each, or all; with --since all")
	f.StringVar(&l.since, "since", "", "nothing older: 10m, 2006-01-02T15:04:05Z, or seconds")
	f.StringVar(&l.grep, "grep", "", "only lines that match this regular expression")
	f.BoolVar(&l.isNew, "new", false, "leave out containers that the rollout replaces")
	f.BoolVar(&l.isOld, "old", false, "only containers that the rollout replaces")
	f.BoolVar(&l.asJSON, "json", false, "print one JSON object per line")
	f.BoolVarP(&service, "service", "s", false, "names are services: always so, accepted for old scripts")
	return cmd
}

// runLogs shows the logs of services.
func runLogs(cmd *cobra.Command, o *options, l *logsFlags, names []string) error {
	p, opts, err := l.parse(cmd, time.Now())
	if err != nil {
		return err
	}
	d, err := o.connect(cmd, names)
	if err != nil {
		return err
	}
	return d.showLogs(cmd, l, p, opts)
}

// showLogs shows what there is, and with -f what comes.
func (d *direct) showLogs(cmd *cobra.Command, l *logsFlags, p *linePrinter, opts logs.ServiceOptions) error {
	defer d.close()
	if l.follow {
		return d.followLogs(cmd.Context(), p, opts)
	}
	return d.readLogs(cmd.Context(), p, opts)
}

// parse turns the flags into what they mean.
func (l *logsFlags) parse(cmd *cobra.Command, now time.Time) (*linePrinter, logs.ServiceOptions, error) {
	p := newLinePrinter(cmd.OutOrStdout(), cmd.ErrOrStderr())
	p.hasTimes, p.asJSON = l.times, l.asJSON
	opts := logs.ServiceOptions{FollowOptions: logs.FollowOptions{Window: commandWindow, Once: !l.follow}}
	if l.since != "" && !cmd.Flags().Changed("tail") {
		l.tail = "all"
	}
	var err error
	if l.grep != "" {
		p.grep, err = regexp.Compile(l.grep)
	}
	if err != nil {
		return nil, opts, usage("--grep: %w", err)
	}
	if opts.Tail, err = parseTail(l.tail); err != nil {
		return nil, opts, usage("--tail: %w", err)
	}
	if opts.Since, err = parseSince(l.since, now); err != nil {
		return nil, opts, usage("--since: %w", err)
	}
	switch {
	case l.isNew && l.isOld:
		return nil, opts, usage("--new and --old leave nothing: give one of them")
	case l.isNew:
		opts.Wants = func(c logs.Container) bool { return c.Version != logs.VersionOld }
	case l.isOld:
		opts.Wants = func(c logs.Container) bool { return c.Version == logs.VersionOld }
	}
	return p, opts, nil
}

// usage is an error in how a command was called.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// parseTail reads a number of lines or all.
func parseTail(s string) (int, error) {
	if s == "all" {
		return logs.AllLines, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is neither a number of lines nor all", s)
	}
	return min(n, logs.AllLines), nil
}

// parseSince reads a time, or how long ago it was.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	seconds, fraction, _ := strings.Cut(s, ".")
	whole, err := strconv.ParseInt(seconds, 10, 64)
	nanos, err2 := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if err != nil || err2 != nil || whole < 0 {
		return time.Time{}, fmt.Errorf("%q is neither a duration such as 10m, nor a time such as 2006-01-02T15:04:05Z, nor Unix seconds", s)
	}
	return time.Unix(whole, nanos), nil
}

// readLogs shows what there is.
func (d *direct) readLogs(ctx context.Context, p *linePrinter, opts logs.ServiceOptions) error {
	seen := glimpse{}
	for _, n := range d.names {
		seen[n] = d.client.Service(ctx, n.Stack, n.Service)
		for _, problem := range []*observe.Problem{seen[n].Problem, seen[n].ContainersProblem} {
			if problem != nil {
				return d.explain(problem)
			}
		}
	}
	f := logs.FollowServices(ctx, d.source(), seen, opts, d.names...)
	defer f.Close()
	if err := copyLines(ctx, p, f); err != nil {
		return err
	}
	var failed []error
	for _, s := range f.Status() {
		if s.Err != nil {
			failed = append(failed, s.Err)
		}
	}
	return errors.Join(failed...)
}

// followLogs shows what there is and what comes, until the context ends.
func (d *direct) followLogs(ctx context.Context, p *linePrinter, opts logs.ServiceOptions) error {
	stop := d.run(ctx)
	defer stop()
	err := d.sync(ctx)
	if err == nil {
		f := logs.FollowServices(ctx, d.source(), d.informer, opts, d.names...)
		defer f.Close()
		err = copyLines(ctx, p, f)
	}
	if ctx.Err() != nil {
		return nil // Ctrl-C is how it ends.
	}
	return err
}

// copyLines prints lines until there will be no more.
func copyLines(ctx context.Context, p *linePrinter, f *logs.Follower) error {
	told := complaints{}
	for {
		wait, cancel := context.WithTimeout(ctx, complainAfter/5)
		lines, err := f.Next(wait)
		cancel()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		}
		if err := p.print(lines); err != nil {
			return fmt.Errorf("writing log lines: %w", err)
		}
		told.tell(p.notices, f.Status())
	}
}

// complaints are the containers whose stream is broken and was told to be.
type complaints map[string]bool

// tell says once of each container that it cannot be reached for some time, and
// again when it was reached in between.
func (c complaints) tell(out io.Writer, all []logs.Status) {
	for _, s := range all {
		isAway := s.Phase == logs.PhaseConnecting && s.Err != nil && time.Since(s.At) > complainAfter
		if isAway && !c[s.Container.ID] {
			fmt.Fprintf(out, "drover: %s; trying again\n", oneLine(s.Err.Error()))
		}
		c[s.Container.ID] = isAway
	}
}
