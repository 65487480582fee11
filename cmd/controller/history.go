package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/journal"
	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// past is one rollout of one target.
type past struct {
	Target string `json:"target"`
	web.Rollout
	// Seconds is how long it took, or has taken so far.
	Seconds float64 `json:"seconds"`
	// Verdicts are what the gates said when it was decided to finish or to roll back.
	Verdicts []reconcile.Finding `json:"verdicts,omitempty"`
}

// verdict is the gates' in a word: the worst of them, and whose it is.
func (p *past) verdict() string {
	for _, v := range []reconcile.Verdict{reconcile.Fail, reconcile.NoData, reconcile.Hold} {
		for i := range p.Verdicts {
			if p.Verdicts[i].Verdict == v {
				return string(v) + " " + p.Verdicts[i].Gate
			}
		}
	}
	if len(p.Verdicts) > 0 {
		return string(reconcile.Pass)
	}
	return ""
}

func historyCommand(o *options) *cobra.Command {
	var asJSON, verify, again bool
	cmd := &cobra.Command{
		Use:   "history [TARGET]",
		Short: "Show the rollouts in the journal, oldest first",
		Long: `Read the journal, beside a running daemon or without one: every rollout that is still
kept, how long it took, what it changed, what the gates said, who decided, and how it
ended. --verify checks each line's hash and the chain of lines instead.`,
		Example: `  drover history parrot-rest
  drover history --json | jq -r '.[] | select(.outcome=="rolled-back") | .to'
  drover history --watch`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: o.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON {
				o.language = language.English
			}
			if verify {
				return verifyJournal(cmd.OutOrStdout(), o.language, o.stateDir, asJSON)
			}
			show := func(_ context.Context, out io.Writer) error { return showHistory(o, args, asJSON, out) }
			if again {
				return repeat(cmd, repeatEvery, show)
			}
			return show(cmd.Context(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVarP(&again, "watch", "w", false, "show it again and again")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&verify, "verify", false, "check the hash chain of all files")
	return cmd
}

func showHistory(o *options, names []string, asJSON bool, out io.Writer) error {
	rollouts, err := pastOf(o.language, o.stateDir, time.Now())
	if err != nil {
		return err
	}
	if len(names) == 1 {
		key, isListed := keyOf(o.config, names[0])
		rollouts = slices.DeleteFunc(rollouts, func(p past) bool { return !isCalled(p.Target, key) })
		if len(rollouts) == 0 && !isListed {
			return o.language.Errorf("nothing is known of a target %q", names[0])
		}
	}
	if asJSON {
		return printJSON(out, append([]past{}, rollouts...))
	}
	return printHistory(out, o.language, rollouts)
}

// keyOf is stack/service of a name, and whether the file knows it; what it does not
// know is taken as it is.
func keyOf(path, name string) (key string, isListed bool) {
	if config, err := desired.Load(path); err == nil {
		if t, ok := config.Target(name); ok {
			return t.Key(), true
		}
	}
	return name, false
}

// isCalled says that a target of the journal is the one called key. A file that has
// become wrong, or that no longer names the target, knows no names; then its service
// alone is enough.
func isCalled(target, key string) bool {
	_, service, _ := strings.Cut(target, "/")
	return target == key || service == key
}

// pastOf folds the whole journal, rotated files included, and keeps each rollout
// as it was last seen.
func pastOf(l language.Language, stateDir string, now time.Time) ([]past, error) {
	r, err := journal.OpenReadOnly(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoJournal(l, stateDir)
	}
	if err != nil {
		return nil, err
	}
	f := folding{histories: map[string]reconcile.History{}, seen: map[string]*past{}}
	err = r.History(f.take)
	rollouts := make([]past, 0, len(f.order))
	for _, id := range f.order {
		p := f.seen[id]
		ended := p.Ended
		if ended.IsZero() {
			ended = now
		}
		p.Seconds = ended.Sub(p.Started).Seconds()
		rollouts = append(rollouts, *p)
	}
	return rollouts, err
}

// errNoJournal says that a state directory has none, and what makes one.
func errNoJournal(l language.Language, stateDir string) error {
	return l.Errorf("no journal in %s: `drover run` writes one; --state-dir names another place", stateDir)
}

// folding are all rollouts of a journal, in the order in which they began.
type folding struct {
	histories map[string]reconcile.History
	order     []string
	seen      map[string]*past
}

// take goes on with a line of the journal.
func (f *folding) take(e journal.Entry) error {
	if e.Target == "" {
		return nil
	}
	h, err := controller.Fold(f.histories[e.Target], e)
	if err != nil {
		return fmt.Errorf("reading journal line %d: %w", e.Seq, err)
	}
	f.histories[e.Target] = h
	for _, rollout := range []*reconcile.Rollout{h.Rollout, h.Last} {
		if rollout == nil {
			continue
		}
		p := f.seen[rollout.ID]
		if p == nil {
			p = &past{Target: e.Target}
			f.seen[rollout.ID], f.order = p, append(f.order, rollout.ID)
		}
		p.Rollout = *web.RolloutOf(rollout)
	}
	return f.takeVerdicts(e)
}

// takeVerdicts keeps what the gates said when it was decided to finish or to roll
// back.
func (f *folding) takeVerdicts(e journal.Entry) error {
	switch reconcile.EventKind(e.Type) {
	case reconcile.EventFinishing, reconcile.EventRollingBack:
	default:
		return nil
	}
	var event reconcile.Event
	if err := json.Unmarshal(e.Data, &event); err != nil {
		return fmt.Errorf("reading journal line %d: %w", e.Seq, err)
	}
	if p := f.seen[event.Rollout]; p != nil && len(event.Findings) > 0 {
		p.Verdicts = event.Findings
	}
	return nil
}

func printHistory(out io.Writer, l language.Language, rollouts []past) error {
	if len(rollouts) == 0 {
		_, err := fmt.Fprintln(out, l.Sprintf("no rollout yet"))
		return err
	}
	rows := [][]string{{
		l.Sprintf("STARTED"), l.Sprintf("TARGET"), l.Sprintf("ROLLOUT"), l.Sprintf("FROM"), l.Sprintf("TO"), l.Sprintf("TOOK"),
		l.Sprintf("OUTCOME"), l.Sprintf("VERDICT"), l.Sprintf("BY"), l.Sprintf("REASON"),
	}}
	for i := range rollouts {
		p := &rollouts[i]
		took, outcome := time.Duration(p.Seconds*float64(time.Second)).Round(time.Second).String(), l.Sprintf("open")
		if !p.Ended.IsZero() {
			outcome = outcomeIn(l, string(p.Outcome))
		}
		by := p.By
		if by == "" {
			by = "drover"
		}
		rows = append(rows, []string{
			p.Started.UTC().Format(time.RFC3339), p.Target, p.ID, web.Short(p.From), web.Short(p.To), took, outcome, p.verdict(), by, p.Reason,
		})
	}
	return printTable(out, rows)
}

// verifyJournal checks the chain. Damage is told after what is intact.
func verifyJournal(out io.Writer, l language.Language, stateDir string, asJSON bool) error {
	reports, err := journal.VerifyDir(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return errNoJournal(l, stateDir)
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
