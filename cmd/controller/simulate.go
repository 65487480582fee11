package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/evidence"
	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/simulation"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

func simulateCommand(o *options) *cobra.Command {
	var asJSON bool
	var names []string
	var since string
	cmd := &cobra.Command{
		Use:   "simulate [TARGETS.YAML]",
		Short: "Say which past rollouts would have ended otherwise by an edited targets.yaml",
		Long: `Decide every rollout of the journal again, from its evidence in the state directory,
with what the edited file (default --config) changes in rollout and gates, by the code
that the daemon decides with; and list what happened beside what would have happened.

Hold, pause, abort and retry are not simulated, nor is Rancher's pace (batchSize,
interval, startFirst). What was never read cannot be judged, and is said so; after a
recorded rollback nothing more was read. Each rollout is judged for itself, and begins
when the limits leave it room beside the others; a start that looser limits would have
had sooner is not found.

Exit 0 when nothing would have ended otherwise, 3 when something would, 1 on an error
or when nothing could be told.`,
		Example: `  drover simulate new-targets.yaml
  drover simulate --target parrot-rest --since 720h new-targets.yaml
  drover simulate --json | jq -r '.[] | select(.differs) | .rollout'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := parseSince(since, time.Now())
			if err != nil {
				return usage("--since: %w", err)
			}
			path := o.config
			if len(args) == 1 {
				path = args[0]
			}
			all, err := simulateAll(o.stateDir, path, names, from)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), all)
			} else {
				err = printSimulated(cmd.OutOrStdout(), all)
			}
			return errors.Join(err, simulatedExit(all))
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.StringSliceVar(&names, "target", nil, "only rollouts of this target; repeatable")
	f.StringVar(&since, "since", "", "only rollouts that began since: 720h, or a time such as 2006-01-02T15:04:05Z")
	_ = cmd.RegisterFlagCompletionFunc("target", o.completeFlagTargets) // The flag was just made.
	return cmd
}

// simulated is one rollout of the journal, simulated.
type simulated struct {
	Rollout string    `json:"rollout"`
	Target  string    `json:"target"`
	Digest  string    `json:"digest"`
	Started time.Time `json:"started"`
	// Outcome is what the journal says; empty while it is open.
	Outcome string `json:"outcome,omitempty"`
	simulation.Result
}

// simulateAll decides the rollouts of a journal by another file.
func simulateAll(stateDir, path string, names []string, since time.Time) ([]simulated, error) {
	config, err := desired.Load(path)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, name := range names {
		key, _ := keyOf(path, name)
		keys = append(keys, key)
	}
	rollouts, err := pastOf(language.English, stateDir, time.Now())
	if err != nil {
		return nil, err
	}
	all := []simulated{}
	turns := make([]simulation.Turn, len(rollouts))
	at := map[string]int{}
	for i := range rollouts {
		p := &rollouts[i]
		turns[i], at[p.ID] = turnOf(p, config), i
		if len(keys) > 0 && !slices.Contains(keys, p.Target) || p.Started.Before(since) {
			continue
		}
		s := simulated{Rollout: p.ID, Target: p.Target, Digest: p.To, Started: p.Started, Outcome: string(p.Outcome)}
		s.Result = simulateOne(stateDir, p, wayBackOf(rollouts[i+1:], p.Target), config)
		turns[i].Lasts, turns[i].IsRollback = s.lasts(p)
		all = append(all, s)
	}
	waits := simulation.Waits(turns, config.Limits)
	for i := range all {
		all[i].Wait(waits[at[all[i].Rollout]])
	}
	return all, nil
}

// turnOf is a rollout among the others, as it was.
func turnOf(p *past, config *desired.Config) simulation.Turn {
	t := simulation.Turn{
		Target: p.Target, Started: p.Started, IsWayBack: p.Kind == reconcile.Restore,
		Lasts: time.Duration(p.Seconds * float64(time.Second)), IsRollback: p.Outcome == reconcile.RolledBack,
	}
	if target, ok := config.Target(p.Target); ok && target.Gates.LoadBalancer != nil {
		t.LoadBalancer = target.Gates.LoadBalancer.Name
	}
	return t
}

// lasts is how long a rollout would have been open, and whether it would have ended as
// a rollback: what Rancher needed after the decision it would have needed as well.
func (s *simulated) lasts(p *past) (time.Duration, bool) {
	was := time.Duration(p.Seconds * float64(time.Second))
	if s.Would == nil || s.Was == nil {
		return was, p.Outcome == reconcile.RolledBack
	}
	switch {
	case s.Would.Fate == simulation.NotStarted:
		return 0, false
	case s.Would.Fate == simulation.TakenBack: // It was finished before; the way back is a rollout of its own.
		return was, false
	case s.Was.Fate == simulation.TakenBack: // That was decided on its probation, when it was not open any more.
		return s.Would.After(), s.Would.Fate == simulation.RolledBack
	}
	return max(was+s.Would.After()-s.Was.After(), 0), s.Would.Fate == simulation.RolledBack
}

// wayBackOf is the rollout that took a target's version back after its finish,
// among those that came later; empty when the next is another one.
func wayBackOf(later []past, key string) string {
	i := slices.IndexFunc(later, func(p past) bool { return p.Target == key })
	if i < 0 || later[i].Kind != reconcile.Restore {
		return ""
	}
	return later[i].ID
}

// simulateOne decides one rollout. What is in the way is part of the answer.
func simulateOne(stateDir string, p *past, back string, config *desired.Config) simulation.Result {
	unknown := func(why string) simulation.Result { return simulation.Result{Unknown: why} }
	target, ok := config.Target(p.Target)
	if !ok {
		return unknown("the file has no such target")
	}
	dir := controller.EvidenceDir(stateDir)
	data, err := readEvidence(evidence.Path(dir, p.ID))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unknown("its evidence is gone; that of the newest rollouts is kept")
	case err != nil:
		return unknown("its evidence cannot be read: " + err.Error())
	}
	var next []byte
	if back != "" {
		next, _ = readEvidence(evidence.Path(dir, back)) // Without it the probation's last look is missing, no more.
	}
	recording, err := simulation.Read(data, next)
	if err != nil {
		return unknown("its evidence cannot be replayed: " + err.Error())
	}
	result, err := recording.By(target)
	if err != nil {
		return unknown("its evidence cannot be decided again: " + err.Error())
	}
	return result
}

// maxEvidence bounds a file that is read: several times what a daemon writes.
const maxEvidence = 64 << 20

func readEvidence(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxEvidence {
		return nil, fmt.Errorf("%s has %d bytes, more than any daemon writes", path, info.Size())
	}
	return os.ReadFile(path)
}

// simulatedExit is 3 when something would have ended otherwise.
func simulatedExit(all []simulated) error {
	told := 0
	for i := range all {
		if all[i].Differs {
			return quietly(exitChanges)
		}
		if all[i].Unknown == "" {
			told++
		}
	}
	if told == 0 && len(all) > 0 {
		return errors.New("nothing could be told of any rollout")
	}
	return nil
}
