package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// Where a standing is from. Nothing is neither a daemon nor a journal: what the file
// says should run is not where anything stands.
const (
	fromDaemon  = "daemon"
	fromJournal = "journal"
	fromNothing = ""
)

// standing is what status prints.
type standing struct {
	// From is daemon or journal.
	From string `json:"from"`
	// Problems are what is wrong with the daemon itself, or with its file.
	Problems []string   `json:"problems,omitempty"`
	Targets  []web.View `json:"targets"`
}

func statusCommand(o *options) *cobra.Command {
	var asJSON, again bool
	cmd := &cobra.Command{
		Use:   "status [TARGET]...",
		Short: "Show where each target stands",
		Long: `Ask the daemon; without one, read its journal and say so. A TARGET is a name of the
configuration or stack/service. With a TARGET its containers follow: what each was asked
to run, and what Docker runs in it as far as Rancher's events have told. --watch shows it again and again: on a terminal in
place, in a pipe whenever it changes.`,
		Example: `  drover status
  drover status --watch parrot-rest
  drover status --json | jq -r '.targets[] | select(.alert) | .target'`,
		ValidArgsFunction: o.completeMany,
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON {
				o.language = language.English
			}
			show := func(ctx context.Context, out, errOut io.Writer) error {
				return showStatus(ctx, o, args, asJSON, out, errOut)
			}
			if again {
				return repeat(cmd, repeatEvery, func(ctx context.Context, out io.Writer) error { return show(ctx, out, out) })
			}
			return show(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVarP(&again, "watch", "w", false, "show it again and again")
	return cmd
}

func showStatus(ctx context.Context, o *options, names []string, asJSON bool, out, errOut io.Writer) error {
	s, err := standingOf(ctx, o)
	if err != nil {
		return err
	}
	if s.Targets, err = chosen(s.Targets, names); err != nil {
		return err
	}
	if s.From == fromNothing {
		return o.knowsNothing()
	}
	if asJSON {
		return printJSON(out, s)
	}
	if err := s.print(out, errOut, o.language, time.Now()); err != nil || len(names) == 0 {
		return err
	}
	for i := range s.Targets {
		if err := printContainers(out, o.language, &s.Targets[i]); err != nil {
			return err
		}
	}
	return nil
}

// standingOf asks the daemon, or else the journal.
func standingOf(ctx context.Context, o *options) (standing, error) {
	views, err := o.client().Targets(ctx)
	if !o.isDaemonAway(err) {
		s := standing{From: fromDaemon, Targets: views}
		if err == nil {
			s.Problems = problemsOf(o.client().Health(ctx))
		}
		if errors.Is(err, web.ErrNoDaemon) {
			return s, &exitError{exitNoDaemon, o.explainAway(err)}
		}
		return s, err
	}
	histories, hasJournal, err := remembered(o.stateDir)
	if err != nil {
		return standing{}, err
	}
	s := standing{From: fromJournal}
	if !hasJournal {
		s.From = fromNothing
	}
	// The file may be wrong or elsewhere: the journal is worth showing without it.
	config, err := desired.Load(o.config)
	if err != nil {
		switch {
		case !hasJournal:
			return s, o.knowsNothing()
		case len(histories) == 0:
			return standing{}, err
		}
		config = &desired.Config{}
	}
	s.Targets = viewsOf(config, histories)
	return s, nil
}

// knowsNothing says that there is nobody to ask and nothing to read.
func (o *options) knowsNothing() error {
	return &exitError{exitNoDaemon, o.language.Errorf("%w, and there is no journal in it: nothing is known of any target; `drover run` starts a daemon, --state-dir and --server name another place", o.explainAway(web.ErrNoDaemon))}
}

// problemsOf is what a daemon says of itself.
func problemsOf(h web.Health, err error) []string {
	if err != nil {
		return []string{"the daemon does not say how it is: " + err.Error()}
	}
	return append(h.Problems, h.Warnings...)
}

// chosen are the views of the named targets; all without names.
func chosen(views []web.View, names []string) ([]web.View, error) {
	if len(names) == 0 {
		return views, nil
	}
	var some []web.View
	for _, name := range names {
		i := slices.IndexFunc(views, func(v web.View) bool { return v.Target == name || v.Name == name })
		if i < 0 {
			var known []string
			for j := range views {
				known = append(known, cmp.Or(views[j].Name, views[j].Target))
			}
			return nil, fmt.Errorf("no target %q%s", name, thereAre(known))
		}
		some = append(some, views[i])
	}
	return some, nil
}

func (s standing) print(out, errOut io.Writer, l language.Language, now time.Time) error {
	if s.From == fromJournal {
		fmt.Fprintln(errOut, l.Sprintf("no daemon is running; this is what its journal says"))
	}
	for _, p := range s.Problems {
		fmt.Fprintln(errOut, l.Sprintf("ALERT: %s", oneLine(p)))
	}
	rows := [][]string{{l.Sprintf("TARGET"), l.Sprintf("PHASE"), l.Sprintf("RUNNING"), l.Sprintf("WANTED"), l.Sprintf("SINCE"), l.Sprintf("REASON")}}
	for i := range s.Targets {
		v := &s.Targets[i]
		rows = append(rows, []string{v.Target, operator.PhaseIn(l, v.Phase), web.Short(v.Running), web.Short(v.Wanted), ago(v.Since, now), reasonOf(l, v)})
	}
	return printTable(out, rows)
}

// reasonOf is the reason with what a person must not miss.
func reasonOf(l language.Language, v *web.View) string {
	text := v.Reason
	if v.Alert {
		text = l.Sprintf("ALERT: %s", v.Reason)
	}
	if v.Error != "" {
		text += l.Sprintf(" (not carried out: %s)", v.Error)
	}
	if condemned := v.Rollout.Condemned(); condemned != "" && v.Phase != reconcile.Starting { // Whose reason says it.
		text += l.Sprintf(" (same layers as quarantined %s)", condemned)
	}
	if v.PausedBy != "" {
		text += l.Sprintf(" (paused by %s)", v.PausedBy)
	}
	return strings.TrimSpace(text)
}
