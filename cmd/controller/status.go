package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
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
	if asJSON {
		return printJSON(out, s)
	}
	if err := s.print(out, errOut, o.language, time.Now()); err != nil || len(names) == 0 {
		return err
	}
	for i := range s.Targets {
		if err := printContainers(out, &s.Targets[i]); err != nil {
			return err
		}
	}
	return nil
}

// standingOf asks the daemon, or else the journal.
func standingOf(ctx context.Context, o *options) (standing, error) {
	views, err := o.client().Targets(ctx)
	if !o.isDaemonAway(err) {
		s := standing{From: "daemon", Targets: views}
		if err == nil {
			s.Problems = problemsOf(o.client().Health(ctx))
		}
		return s, o.explainAway(err)
	}
	histories, err := remembered(o.stateDir)
	if err != nil {
		return standing{}, err
	}
	// The file may be wrong or elsewhere: the journal is worth showing without it.
	config, err := desired.Load(o.config)
	if err != nil {
		if len(histories) == 0 {
			return standing{}, err
		}
		config = &desired.Config{}
	}
	return standing{From: "journal", Targets: fromJournal(config, histories)}, nil
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
	if s.From == "journal" {
		fmt.Fprintln(errOut, l.Sprintf("no daemon is running; this is what its journal says"))
	}
	for _, p := range s.Problems {
		fmt.Fprintln(errOut, "ALERT: "+oneLine(p))
	}
	rows := [][]string{{"TARGET", "PHASE", "RUNNING", "WANTED", "SINCE", "REASON"}}
	for i := range s.Targets {
		v := &s.Targets[i]
		rows = append(rows, []string{v.Target, string(v.Phase), web.Short(v.Running), web.Short(v.Wanted), ago(v.Since, now), reasonOf(v)})
	}
	return printTable(out, rows)
}

// reasonOf is the reason with what a person must not miss.
func reasonOf(v *web.View) string {
	parts := []string{v.Reason}
	if v.Alert {
		parts = append([]string{"ALERT:"}, parts...)
	}
	if v.Error != "" {
		parts = append(parts, "(not carried out: "+v.Error+")")
	}
	if v.PausedBy != "" {
		parts = append(parts, "(paused by "+v.PausedBy+")")
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}
