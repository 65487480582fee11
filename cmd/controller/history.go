package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// past is one rollout of one target.
type past struct {
	Target string `json:"target"`
	web.Rollout
}

func historyCommand(o *options) *cobra.Command {
	var asJSON, verify bool
	cmd := &cobra.Command{
		Use:   "history [TARGET]",
		Short: "Show the rollouts in the journal, oldest first",
		Long: `Read the journal, beside a running daemon or without one: every rollout that is still
kept, how long it took, what it changed and how it ended. --verify checks each line's
hash and the chain of lines instead.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if verify {
				return verifyJournal(cmd.OutOrStdout(), o.stateDir, asJSON)
			}
			rollouts, err := pastOf(o.stateDir)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				key := keyOf(o.config, args[0])
				rollouts = slices.DeleteFunc(rollouts, func(p past) bool { return p.Target != key })
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), append([]past{}, rollouts...))
			}
			return printHistory(cmd.OutOrStdout(), rollouts)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&verify, "verify", false, "check the hash chain of all files")
	return cmd
}

// keyOf is stack/service of a name; what the file does not know is taken as it is.
func keyOf(path, name string) string {
	if config, err := desired.Load(path); err == nil {
		if t, ok := config.Target(name); ok {
			return t.Key()
		}
	}
	return name
}

// pastOf folds the whole journal, rotated files included, and keeps each rollout
// as it was last seen.
func pastOf(stateDir string) ([]past, error) {
	r, err := journal.OpenReadOnly(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no journal in %s", stateDir)
	}
	if err != nil {
		return nil, err
	}
	histories := map[string]reconcile.History{}
	var order []string
	seen := map[string]past{}
	err = r.History(func(e journal.Entry) error {
		if e.Target == "" {
			return nil
		}
		h, err := controller.Fold(histories[e.Target], e)
		if err != nil {
			return fmt.Errorf("reading journal line %d: %w", e.Seq, err)
		}
		histories[e.Target] = h
		for _, rollout := range []*reconcile.Rollout{h.Rollout, h.Last} {
			if rollout == nil {
				continue
			}
			if _, known := seen[rollout.ID]; !known {
				order = append(order, rollout.ID)
			}
			seen[rollout.ID] = past{Target: e.Target, Rollout: *web.RolloutOf(rollout)}
		}
		return nil
	})
	rollouts := make([]past, 0, len(order))
	for _, id := range order {
		rollouts = append(rollouts, seen[id])
	}
	return rollouts, err
}

func printHistory(out io.Writer, rollouts []past) error {
	rows := [][]string{{"STARTED", "TARGET", "ROLLOUT", "FROM", "TO", "TOOK", "OUTCOME", "BY", "REASON"}}
	for i := range rollouts {
		p := &rollouts[i]
		took, outcome := "", "open"
		if !p.Ended.IsZero() {
			took, outcome = p.Ended.Sub(p.Started).Round(time.Second).String(), string(p.Outcome)
		}
		by := p.By
		if by == "" {
			by = "drover"
		}
		rows = append(rows, []string{
			p.Started.UTC().Format(time.RFC3339), p.Target, p.ID, web.Short(p.From), web.Short(p.To), took, outcome, by, p.Reason,
		})
	}
	return printTable(out, rows)
}

// verifyJournal checks the chain. Damage is told after what is intact.
func verifyJournal(out io.Writer, stateDir string, asJSON bool) error {
	reports, err := journal.VerifyDir(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no journal in %s", stateDir)
	}
	if err != nil {
		return fmt.Errorf("the journal is not intact: %w", err)
	}
	if asJSON {
		return json.NewEncoder(out).Encode(reports)
	}
	for _, r := range reports {
		fmt.Fprintf(out, "%s: %d lines, %d to %d, intact, head %s\n", r.Path, r.Lines, r.First, r.Last, r.Head)
		if r.Torn > 0 {
			fmt.Fprintf(out, "  %d bytes of an unfinished last line\n", r.Torn)
		}
	}
	return nil
}
