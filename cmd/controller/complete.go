package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completeTimeout bounds completion: a shell that waits is worse than one that
// does not know.
const completeTimeout = 2 * time.Second

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
