package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
	"gitlab.gf.com.cn/clickeggs/drover/internal/operator"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/observe"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"
)

// syncTimeout is how long plan waits for the first listing of Rancher.
const syncTimeout = 20 * time.Second

// planned is what would happen to one target.
type planned struct {
	Target string          `json:"target"`
	Phase  reconcile.Phase `json:"phase"`
	Code   reconcile.Code  `json:"code"`
	Reason string          `json:"reason"`
	// Action is the write that would be made now; empty with Pending means that
	// something is waited for.
	Action  reconcile.Action `json:"action,omitempty"`
	Pending bool             `json:"pending"`
	// FirstSight is what would be remembered before anything else.
	FirstSight string `json:"firstSight,omitempty"`
	// Settle is what is waited for first: that the digest stays the same. One look
	// cannot see that; the rest says what happens then.
	Settle  string `json:"settle,omitempty"`
	Running string `json:"running,omitempty"`
	Wanted  string `json:"wanted,omitempty"`
	// Error says that the target could not be judged.
	Error string `json:"error,omitempty"`
}

func planCommand(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Look and decide once, and touch nothing",
		Long: `Read the journal, look at registry, Rancher and load balancers once, and print what
the daemon would decide and what holds it back. Nothing is written anywhere; it may run
beside a daemon.

Exit 0 when there is nothing to do, 3 when changes are pending, 1 on an error.`,
		Example: `  drover plan
  drover plan --json | jq -r '.[] | select(.pending) | .target'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				o.language = language.English
			}
			plans, err := makePlans(cmd.Context(), o, newLogger(o, cmd.ErrOrStderr()), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := printPlans(cmd.OutOrStdout(), o.language, plans, asJSON); err != nil {
				return err
			}
			return planExit(plans)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// makePlans looks at every target once.
func makePlans(ctx context.Context, o *options, log logr.Logger, errOut io.Writer) ([]planned, error) {
	config, err := desired.Load(o.config)
	if err != nil {
		return nil, err
	}
	histories, hasJournal, err := remembered(o.stateDir)
	if err != nil {
		return nil, err
	}
	if !hasJournal {
		fmt.Fprintln(errOut, o.language.Sprintf("no journal in %s: every target is looked at as if for the first time; --state-dir names another place", o.stateDir))
	}
	self, err := selfName(config, o.stateDir)
	if err != nil {
		return nil, err
	}
	clients, err := controller.Connect(config, log)
	if err != nil {
		return nil, err
	}
	defer clients.Rancher.Close()
	if _, err := clients.Rancher.Environment(ctx); err != nil {
		return nil, err // An informer would try again and again.
	}
	ctx, cancel := context.WithCancel(ctx)
	var informing sync.WaitGroup
	defer informing.Wait()
	defer cancel()
	informing.Go(func() { _ = clients.Informer.Run(ctx) }) // Its failures show in what is seen.
	fill(ctx, clients)
	parts := controller.Parts{Observer: clients.Observer(), Rancher: clients.Rancher, Self: self, Log: log, Now: time.Now}
	p := planner{
		asWritten: controller.NewCore(parts, config, histories),
		settled:   controller.NewCore(parts, settled(config), histories),
	}
	return p.planAll(ctx, config.Targets), nil
}

// fill fills the caches of registry and Rancher. What cannot be read becomes a
// Problem of the look.
func fill(ctx context.Context, clients *controller.Clients) {
	var filling sync.WaitGroup
	defer filling.Wait()
	filling.Go(func() { clients.Images.Sweep(ctx) })
	bounded, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	_ = clients.Informer.WaitSync(bounded)
}

// selfName is the daemon's name; nothing is written down for it.
func selfName(config *desired.Config, stateDir string) (string, error) {
	if config.Owner != "" {
		return config.Owner, nil
	}
	if _, err := os.Stat(filepath.Join(stateDir, "owner")); err != nil {
		scratch, err := os.MkdirTemp("", "drover-plan-")
		if err != nil {
			return "", fmt.Errorf("naming this Drover: %w", err)
		}
		defer os.RemoveAll(scratch) //nolint:errcheck // A leftover is harmless.
		stateDir = scratch
	}
	id, err := controller.Identify(config, stateDir)
	return id.Owner, err
}

func (r *planned) take(seen observe.Snapshot, d reconcile.Decision, h reconcile.History) {
	r.Phase, r.Code, r.Reason, r.Action = d.Phase, d.Code, d.Reason, d.Action
	r.Wanted = seen.Image.Digest
	if h.Baseline != nil {
		r.Running = h.Baseline.Digest
	}
	switch {
	case d.Phase == reconcile.Blind, d.Phase == reconcile.Gone, d.Code == reconcile.CodeRegistryProblem:
		r.Error = d.Reason
	default:
		r.Pending = isPending(d, h)
	}
}

// isPending says that something is done or waited for. A target that lost its
// service to somebody else only watches, whatever its tag names.
func isPending(d reconcile.Decision, h reconcile.History) bool {
	if d.Action != reconcile.NoAction || h.Rollout != nil {
		return true
	}
	switch d.Phase {
	case reconcile.Idle, reconcile.Probation, reconcile.Gone, reconcile.Blind:
		return false
	case reconcile.Held:
		// A pause is only named when something new waits behind it.
		return d.Code == reconcile.CodePaused || d.Code == reconcile.CodeHoldFile
	default:
		return true
	}
}

func printPlans(out io.Writer, l language.Language, plans []planned, asJSON bool) error {
	if asJSON {
		return printJSON(out, append([]planned{}, plans...))
	}
	rows := [][]string{{l.Sprintf("TARGET"), l.Sprintf("PHASE"), l.Sprintf("ACTION"), l.Sprintf("RUNNING"), l.Sprintf("WANTED"), l.Sprintf("REASON")}}
	for i := range plans {
		p := &plans[i]
		reason := p.Reason
		if p.Error != "" {
			reason = l.Sprintf("ERROR: %s", p.Error)
		}
		for _, first := range []string{p.Settle, p.FirstSight} {
			if first != "" && first != p.Reason {
				reason = l.Sprintf("%s; then: %s", first, reason)
			}
		}
		rows = append(rows, []string{p.Target, operator.PhaseIn(l, p.Phase), string(p.Action), web.Short(p.Running), web.Short(p.Wanted), reason})
	}
	return printTable(out, rows)
}

// planExit is the exit code: an error counts more than a change.
func planExit(plans []planned) error {
	code := exitOK
	for i := range plans {
		switch {
		case plans[i].Error != "":
			return quietly(exitFailed)
		case plans[i].Pending:
			code = exitChanges
		}
	}
	if code == exitOK {
		return nil
	}
	return quietly(code)
}
