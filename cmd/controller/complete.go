package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
)

// completeTimeout bounds completion: a shell that waits is worse than one that
// does not know.
const completeTimeout = time.Second

// completeTargets completes names of targets, and stack/service of everything that
// Rancher runs.
func (o *options) completeTargets(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return o.completeNames(cmd, begun), cobra.ShellCompDirectiveNoFileComp
}

// completeMany is completeTargets for commands that take several.
func (o *options) completeMany(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	names := o.completeNames(cmd, begun)
	names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(args, n) })
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeFlagTargets is completeTargets for a flag, whatever arguments there are.
func (o *options) completeFlagTargets(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return o.completeTargets(cmd, nil, begun)
}

// completeStacks completes the stacks of targets and of what Rancher runs.
func (o *options) completeStacks(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	_ = o.prepare(cmd)
	ctx, cancel := context.WithTimeout(context.Background(), completeTimeout)
	defer cancel()
	r := o.reach(cmd)
	keys := r.services(ctx)
	if r.config != nil {
		for i := range r.config.Targets {
			keys = append(keys, r.config.Targets[i].Key())
		}
	}
	var stacks []string
	for _, key := range keys {
		stack, _, _ := strings.Cut(key, "/")
		if strings.HasPrefix(stack, begun) && !slices.Contains(args, stack) {
			stacks = append(stacks, stack)
		}
	}
	slices.Sort(stacks)
	return slices.Compact(stacks), cobra.ShellCompDirectiveNoFileComp
}

// completePast completes a target, and then its digests and rollouts, the newest
// first.
func (o *options) completePast(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return o.completeTargets(cmd, args, begun)
	}
	_ = o.prepare(cmd)
	key, _ := keyOf(o.config, args[0])
	known, err := pastOfTarget(o.language, o.stateDir, key)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, id := range slices.Backward(known.order) {
		r := known.rollouts[id]
		for _, name := range []string{web.Short(r.To.Digest), id} {
			if strings.HasPrefix(name, begun) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

func (o *options) completeNames(cmd *cobra.Command, begun string) []string {
	// A shell completes before flags are completed from the environment.
	_ = o.prepare(cmd)
	ctx, cancel := context.WithTimeout(context.Background(), completeTimeout)
	defer cancel()
	return candidates(ctx, o.reach(cmd), begun)
}

// candidates are the names that begin so. Rancher is asked only where the targets
// do not have any.
func candidates(ctx context.Context, r *reach, begun string) []string {
	var names []string
	add := func(name string) {
		if strings.HasPrefix(name, begun) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if r.config != nil {
		for i := range r.config.Targets {
			add(r.config.Targets[i].Name)
			add(r.config.Targets[i].Key())
		}
	}
	if len(names) == 0 {
		views, _ := r.daemon.Targets(ctx) // Nobody can be told here.
		for i := range views {
			add(views[i].Name)
			add(views[i].Target)
		}
	}
	if len(names) == 0 || strings.Contains(begun, "/") {
		for _, key := range r.services(ctx) {
			add(key)
		}
	}
	slices.Sort(names)
	return names
}

// services are stack/service of all that Rancher runs.
func (r *reach) services(ctx context.Context) []string {
	client, err := r.rancher()
	if err != nil {
		return nil
	}
	defer client.Close()
	found, _ := client.AllServices(ctx)
	var keys []string
	for i := range found {
		keys = append(keys, found[i].Stack+"/"+found[i].Name)
	}
	return keys
}

// completeFor hands out what a flag takes.
func completeFor(values ...string) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}
