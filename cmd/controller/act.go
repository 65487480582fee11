package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/controller"
	"gitlab.gf.com.cn/clickeggs/drover/internal/web"
)

// act is one command to the daemon.
type act struct {
	o      *options
	cmd    controller.Command
	target string
	// isSure does not ask.
	isSure, asJSON bool
}

func approveCommand(o *options) *cobra.Command {
	return actCommand(o, controller.Approve, "Approve the open rollout of a target with finish: manual", true)
}

func finishCommand(o *options) *cobra.Command {
	return actCommand(o, controller.Finish, "Finish the open rollout now, without bake and gates", true)
}

func rollbackCommand(o *options) *cobra.Command {
	return actCommand(o, controller.Abort, "Take the open rollout back", true)
}

func pauseCommand(o *options) *cobra.Command {
	return actCommand(o, controller.Pause, "Stop every write to a target but a rollback", false)
}

func resumeCommand(o *options) *cobra.Command {
	return actCommand(o, controller.Resume, "End a pause, a hold or a stuck rollout", false)
}

func retryCommand(o *options) *cobra.Command {
	return actCommand(o, controller.Retry, "Let a digest that was taken back be tried again", false)
}

// actCommand makes a command; byRollout says that it is about an open rollout.
func actCommand(o *options, verb controller.Verb, short string, byRollout bool) *cobra.Command {
	a := &act{o: o, cmd: controller.Command{Verb: verb}}
	cmd := &cobra.Command{
		Use:   string(verb) + " TARGET",
		Short: short,
		Long: short + `.

The daemon writes the decision down with who gave it, and acts on it. TARGET is a
name of the configuration or stack/service. On a terminal it asks first.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.target = args[0]
			return a.run(cmd)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&a.isSure, "yes", false, "do not ask")
	f.StringVar(&a.cmd.By, "by", "", "who decides (default user@host)")
	f.BoolVar(&a.asJSON, "json", false, "print the target afterwards as JSON")
	if byRollout {
		f.StringVar(&a.cmd.Rollout, "rollout", "", "refuse unless this rollout is the open one")
	}
	if verb == controller.Retry {
		f.StringVar(&a.cmd.Digest, "digest", "", "the digest to try again (default the one taken back last)")
	}
	return cmd
}

func (a *act) run(cmd *cobra.Command) error {
	if a.cmd.By == "" {
		a.cmd.By = whoami()
	}
	client := a.o.client()
	view, err := find(cmd.Context(), client, a.target)
	if err != nil {
		return a.explain(err)
	}
	if err := a.bind(cmd, view); err != nil {
		return err
	}
	if view, err = client.Tell(cmd.Context(), view.Target, a.cmd); err != nil {
		return a.explain(err)
	}
	if a.asJSON {
		return printJSON(cmd.OutOrStdout(), view)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s written down, by %s\n", view.Target, a.cmd.Verb, oneLine(a.cmd.By))
	return err
}

// find is the target of a name.
func find(ctx context.Context, client *web.Client, name string) (web.View, error) {
	views, err := client.Targets(ctx)
	if err != nil {
		return web.View{}, err
	}
	some, err := chosen(views, []string{name})
	if err != nil {
		return web.View{}, err
	}
	return some[0], nil
}

// bind asks a person, and binds the command to the rollout they were shown: one
// that is opened while they think is not what they meant (C33).
func (a *act) bind(cmd *cobra.Command, v web.View) error {
	isAboutRollout := cmd.Flags().Lookup("rollout") != nil
	if isAboutRollout && a.cmd.Rollout == "" && v.Rollout != nil {
		a.cmd.Rollout = v.Rollout.ID
	}
	if a.isSure || !isTerminal(cmd.InOrStdin()) {
		return nil
	}
	question := fmt.Sprintf("%s %s", a.cmd.Verb, v.Target)
	if isAboutRollout && v.Rollout != nil {
		question += fmt.Sprintf(" (rollout %s to %s: %s)", v.Rollout.ID, web.Short(v.Rollout.To), oneLine(v.Reason))
	}
	return confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), question)
}

// errNotConfirmed says that a person thought better of it.
var errNotConfirmed = errors.New("not confirmed, nothing done")

func confirm(in io.Reader, out io.Writer, question string) error {
	fmt.Fprintf(out, "%s? [y/N] ", question)
	line, err := bufio.NewReader(io.LimitReader(in, 64)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return errNotConfirmed
	}
	return nil
}

// explain gives an error its exit code.
func (a *act) explain(err error) error {
	var status *web.StatusError
	switch {
	case errors.Is(err, web.ErrNoDaemon):
		return &exitError{exitNoDaemon, fmt.Errorf("%w %s: nothing was done; start one with `drover run`, or act in Rancher", err, a.o.whereDaemon())}
	case errors.As(err, &status) && status.Refused():
		return &exitError{exitRefused, fmt.Errorf("refused: %w", err)}
	}
	return err
}

// whoami is user@host, as far as it is known.
func whoami() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); name == "" && err == nil {
		name = u.Username
	}
	if name == "" {
		name = "unknown"
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
