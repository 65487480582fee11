package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gitlab.gf.com.cn/clickeggs/drover/internal/deploytool"
	"gitlab.gf.com.cn/clickeggs/drover/internal/logs"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// deployNames are the names under which pipelines call the tool that Drover
// replaces: its own, and the link in its container image.
var deployNames = []string{"rancher-gitlab-deploy", "upgrade"}

// isDeployTool says whether the program was called by one of these names.
func isDeployTool(argv0 string) bool {
	return slices.Contains(deployNames, strings.TrimSuffix(filepath.Base(argv0), ".exe"))
}

// runDeployTool is the program called by such a name: one command with the tool's
// options and nothing of Drover's own. Wrong options exit 2.
func runDeployTool(ctx context.Context, args []string, out, errOut io.Writer) int {
	o := &options{}
	cmd := deployCommand(o)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(errOut)
	err := cmd.ExecuteContext(ctx)
	code := codeOf(err, o.wasStarted)
	var exit *exitError
	switch {
	case code == exitUsage:
		fmt.Fprintf(errOut, "Usage: %s [OPTIONS]\nTry '%[1]s --help' for help.\n\nError: %v\n", deployNames[0], err)
	case err != nil && (!errors.As(err, &exit) || exit.cause != nil):
		fmt.Fprintf(out, "Error: %v\n", err)
	}
	return code
}

// deployCommand is rancher-gitlab-deploy.
func deployCommand(o *options) *cobra.Command {
	d := &deploy{Options: deploytool.Default()}
	cmd := &cobra.Command{
		Use:   "rancher-gitlab-deploy [finish|rollback|cancel|status|logs]",
		Short: "Do what rancher-gitlab-deploy does, for pipelines that call it",
		Long: `Upgrade a Rancher service in place, wait, and finish, as rancher-gitlab-deploy 1.7
does: same options, environment variables, defaults, exit codes and key words. Called
as rancher-gitlab-deploy or upgrade (a link to drover), it is this command alone.

finish, rollback and cancel end an upgrade that is open; status tells of it, and
logs shows what the containers write.
What differs from the tool, and why, is in docs/rancher-gitlab-deploy.md.

Exit codes: 0 done, 1 failed or rolled back, 2 wrong options.`,
		Example: `  rancher-gitlab-deploy --new-image registry.example/shop/api:$CI_COMMIT_SHA
  upgrade --no-finish-upgrade --start-before-stopping
  upgrade finish`,
		DisableFlagParsing: true, // The two-word options are joined first.
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return nil // Drover's own options and DROVER_* are not for this command.
		},
		RunE: func(cmd *cobra.Command, args []string) error { return d.run(cmd, o, args) },
	}
	d.define(cmd.Flags())
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeHelp(cmd.OutOrStdout(), cmd) })
	return cmd
}

// deploy are the options of one call while they are read.
type deploy struct {
	deploytool.Options
	// follow has logs go on.
	follow bool
}

// run reads the options and makes the call.
func (d *deploy) run(cmd *cobra.Command, o *options, args []string) error {
	isHelp, err := d.parse(cmd.Flags(), args)
	if isHelp {
		return cmd.Help()
	}
	if err != nil {
		return &exitError{exitUsage, err}
	}
	o.wasStarted = true
	streams := deploytool.Streams{Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr()}
	streams.Colour = hasColour(streams.Out)
	if d.JSON || d.Stderr {
		streams.Colour = hasColour(streams.Err)
	}
	if d.Verb == deploytool.Logs {
		return d.logs(cmd, streams)
	}
	if code := deploytool.Run(cmd.Context(), d.Options, streams).ExitCode; code != exitOK {
		return quietly(code)
	}
	return nil
}

// logs shows the logs of the service that is found, as `drover logs` does.
func (d *deploy) logs(cmd *cobra.Command, streams deploytool.Streams) error {
	if !d.SSLVerify {
		return errors.New("logs does not go without checking the certificate: name the authority's in REQUESTS_CA_BUNDLE")
	}
	l := logsFlags{follow: d.follow, tail: defaultTail, asJSON: d.JSON}
	p, opts, err := l.parse(cmd, time.Now())
	if err != nil {
		return err
	}
	find := d.Options
	find.JSON, find.Stderr = false, true // Standard output is for the lines.
	found := deploytool.Run(cmd.Context(), find, streams)
	if found.ExitCode != exitOK {
		return quietly(found.ExitCode)
	}
	// The options win over the variables, which are what a secret is read from.
	if err := errors.Join(os.Setenv(variableAccessKey, d.Key), os.Setenv(variableSecretKey, d.Secret)); err != nil {
		return err
	}
	server := desired.Rancher{
		URL: d.URL, Environment: found.EnvironmentID, CAFile: d.CAFile,
		AccessKey: desired.Secret{Env: variableAccessKey}, SecretKey: desired.Secret{Env: variableSecretKey},
	}
	direct, err := connectTo(cmd.ErrOrStderr(), server, []logs.ServiceName{{Stack: found.Stack, Service: found.Service}})
	if err != nil {
		return err
	}
	return direct.showLogs(cmd, &l, p, opts)
}

// parse reads command line and environment and checks how they are used.
func (d *deploy) parse(f *pflag.FlagSet, args []string) (isHelp bool, err error) {
	joined, err := joinPairs(f, args)
	if err != nil {
		return false, err
	}
	if err := f.Parse(joined); err != nil {
		return false, err
	}
	if isHelp, _ = f.GetBool("help"); isHelp {
		return true, nil
	}
	switch rest := f.Args(); {
	case len(rest) > 1:
		return false, fmt.Errorf("unexpected arguments %q", rest[1:])
	case len(rest) == 1:
		d.Verb = deploytool.Verb(rest[0])
		if d.Verb == deploytool.Deploy {
			return false, fmt.Errorf("unexpected empty argument")
		}
	}
	if err := fromEnvironment(f); err != nil {
		return false, err
	}
	d.CAFile = firstSet(os.Getenv, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
	return false, d.Check()
}

// deployVariables are the options that the environment may give.
var deployVariables = []struct {
	flag, variable string
	isRequired     bool
}{
	{"rancher-url", "RANCHER_URL", true},
	{"rancher-key", "RANCHER_ACCESS_KEY", true},
	{"rancher-secret", "RANCHER_SECRET_KEY", true},
	{"rancher-label-separator", "RANCHER_LABEL_SEPARATOR", false},
	{"stack", "CI_PROJECT_NAMESPACE", true},
	{"service", "CI_PROJECT_NAME", true},
}

// fromEnvironment completes options that were not given; an empty variable counts
// as none.
func fromEnvironment(f *pflag.FlagSet) error {
	for _, v := range deployVariables {
		if f.Changed(v.flag) {
			continue
		}
		value := os.Getenv(v.variable)
		if value == "" && v.isRequired {
			return fmt.Errorf("missing option --%s, or %s in the environment", v.flag, v.variable)
		}
		if value == "" {
			continue
		}
		if err := f.Set(v.flag, value); err != nil {
			return err
		}
	}
	return nil
}

func firstSet(get func(string) string, names ...string) string {
	for _, name := range names {
		if value := get(name); value != "" {
			return value
		}
	}
	return ""
}

// define names the options, in the tool's order; the last group is Drover's.
func (d *deploy) define(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&d.URL, "rancher-url", "", "Rancher's address, such as http://rancher:8080 (RANCHER_URL)")
	f.StringVar(&d.Key, "rancher-key", "", "environment or account API key (RANCHER_ACCESS_KEY)")
	f.StringVar(&d.Secret, "rancher-secret", "", "its secret; a command line is shown to everybody, so better RANCHER_SECRET_KEY")
	f.StringVar(&d.LabelSeparator, "rancher-label-separator", d.LabelSeparator, "what separates --labels (RANCHER_LABEL_SEPARATOR)")
	f.StringVar(&d.Environment, "environment", "", "Rancher environment, by name or id (default the first that the key sees)")
	f.StringVar(&d.Stack, "stack", "", "name of the stack (CI_PROJECT_NAMESPACE); dots become dashes")
	f.StringVar(&d.Service, "service", "", "name of the service (CI_PROJECT_NAME); dots become dashes")
	onOff(f, &d.StartFirst, "start-before-stopping", "start new containers before old ones are stopped")
	f.Var((*wholeNumber)(&d.BatchSize), "batch-size", "containers to upgrade at once")
	f.Var((*wholeNumber)(&d.BatchInterval), "batch-interval", "seconds between batches")
	f.Var((*wholeNumber)(&d.UpgradeTimeout), "upgrade-timeout", "seconds that each wait may take")
	onOff(f, &d.Wait, "wait-for-upgrade-to-finish", "wait until Rancher has upgraded the service")
	onOff(f, &d.RollbackOnError, "rollback-on-error", "roll back when that wait times out")
	f.StringVar(&d.NewImage, "new-image", "", "image to run (default the same again)")
	onOff(f, &d.Finish, "finish-upgrade", "finish the upgrade when it is complete")
	onOff(f, &d.Sidekicks, "sidekicks", "make all sidekicks anew as well")
	f.Var((*pairList)(&d.SidekickImages), "new-sidekick-image", "image of a sidekick, repeatable")
	onOff(f, &d.Create, "create", "create stack and service when they are missing")
	f.StringVar(&d.Labels, "labels", "", "labels as key=value,key=value")
	f.Var((*pairList)(&d.Label), "label", "a label, repeatable")
	f.StringVar(&d.Variables, "variables", "", "environment variables as key=value,key=value")
	f.Var((*pairList)(&d.Variable), "variable", "an environment variable, repeatable")
	f.StringVar(&d.ServiceLinks, "service-links", "", "links of a created service as name=service,name=service")
	f.Var((*pairList)(&d.ServiceLink), "service-link", "a link of a created service, repeatable")
	f.StringVar(&d.HostID, "host-id", "", "host that a created service must run on")
	onOff(f, &d.Debug, "debug", "show every request, without the key")
	onOff(f, &d.SSLVerify, "ssl-verify", "check Rancher's certificate")
	f.StringVar(&d.Secrets, "secrets", "", "Rancher secrets of a created service as name,name")
	f.StringArrayVar(&d.SecretNames, "secret", nil, "a Rancher secret of a created service, repeatable")

	f.StringVar((*string)(&d.LabelMode), "label-mode", string(d.LabelMode), "replace all labels by those given, or merge")
	f.StringVar((*string)(&d.EnvMode), "env-mode", string(d.EnvMode), "replace all variables by those given, or merge")
	f.StringVar(&d.EnvFile, "env-file", "", "file of variables, KEY=VALUE in each line")
	onOff(f, &d.KeepPending, "keep-pending", "fail rather than finish a previous upgrade")
	f.StringVar(&d.Gate, "gate", d.Gate, "before finishing: none, proof (each new container is well), or how long it must stay well, as 30s")
	f.StringSliceVar(&d.RollbackOn, "rollback-on", nil, "roll back on unhealthy, timeout, error")
	f.StringVar(&d.Digest, "digest", "", "pin the image to sha256:…")
	f.DurationVar(&d.Deadline, "deadline", 0, "bound for the whole call but a rollback, as 10m")
	f.BoolVar(&d.JSON, "json", false, "print the result as JSON, and all else on standard error")
	f.BoolVarP(&d.follow, "follow", "f", false, "logs: go on with what comes")
	f.BoolVar(&d.Stderr, "stderr", false, "print messages on standard error")
	f.BoolP("help", "h", false, "show this")
}

// onOff defines --name and --no-name; the last one on the command line counts.
func onOff(f *pflag.FlagSet, p *bool, name, usage string) {
	f.BoolVar(p, name, *p, usage+" (--no-"+name+" turns it off)")
	f.VarPF((*negated)(p), "no-"+name, "", "").NoOptDefVal = "true"
	_ = f.MarkHidden("no-" + name) // The flag was just made.
}

// negated is a flag that turns another off.
type negated bool

func (n *negated) String() string { return strconv.FormatBool(!bool(*n)) }
func (n *negated) Type() string   { return "bool" }

func (n *negated) Set(s string) error {
	v, err := strconv.ParseBool(s)
	*n = negated(!v)
	return err
}

// wholeNumber is a number as Python reads it: with white space and underscores, in
// tens.
type wholeNumber int

func (n *wholeNumber) String() string { return strconv.Itoa(int(*n)) }
func (n *wholeNumber) Type() string   { return "int" }

func (n *wholeNumber) Set(s string) error {
	v, err := strconv.Atoi(strings.ReplaceAll(strings.TrimSpace(s), "_", ""))
	if err != nil {
		return fmt.Errorf("%q is not a whole number", s)
	}
	*n = wholeNumber(v)
	return nil
}

// between joins the two words of an option into one for pflag, which takes one.
const between = "\x00"

// pairList is an option of two words that may be repeated.
type pairList []deploytool.Pair

func (l *pairList) String() string { return "" }
func (l *pairList) Type() string   { return "name value" }

func (l *pairList) Set(s string) error {
	key, value, ok := strings.Cut(s, between)
	if !ok {
		return fmt.Errorf("it takes two arguments")
	}
	*l = append(*l, deploytool.Pair{Key: key, Value: value})
	return nil
}

// joinPairs turns --label KEY VALUE and --label=KEY VALUE into one word.
func joinPairs(f *pflag.FlagSet, args []string) ([]string, error) {
	var joined []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			return append(append(joined, arg), args...), nil
		}
		long, isLong := strings.CutPrefix(arg, "--")
		name, first, hasFirst := strings.Cut(long, "=")
		flag := f.Lookup(name)
		switch {
		case !isLong || flag == nil || flag.NoOptDefVal != "":
			joined = append(joined, arg)
			continue
		case !hasFirst && len(args) == 0:
			return nil, fmt.Errorf("option --%s requires an argument", name)
		case !hasFirst:
			first, args = args[0], args[1:]
		}
		if _, isPair := flag.Value.(*pairList); isPair {
			if len(args) == 0 {
				return nil, fmt.Errorf("option --%s requires 2 arguments", name)
			}
			first, args = first+between+args[0], args[1:]
		}
		joined = append(joined, "--"+name+"="+first)
	}
	return joined, nil
}
