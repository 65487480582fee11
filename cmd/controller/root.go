package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gitlab.gf.com.cn/clickeggs/drover/internal/language"
)

// version is set when the binary is built.
var version = "dev"

// options are the flags that all commands share.
type options struct {
	// config is the path of targets.yaml.
	config string
	// stateDir holds the journal and the daemon's socket.
	stateDir string
	// server is the URL of a daemon elsewhere, tokenFile where its token is; empty
	// means the daemon on stateDir.
	server, tokenFile string
	// logFormat is json, console or auto; logLevel error, info or debug.
	logFormat, logLevel string
	// language is the person's; what programs read is English whatever it is.
	language language.Language
	// wasStarted says that flags and arguments were good.
	wasStarted bool
}

// commands are the verbs; a new one is added here.
var commands = []func(*options) *cobra.Command{
	runCommand, planCommand, validateCommand, statusCommand, historyCommand, whyCommand, replayCommand, simulateCommand, logsCommand, watchCommand, waitCommand,
	importCommand, exportCommand, lintCommand, deployCommand,
	schemaCommand, healthcheckCommand, manCommand, versionCommand,
}

// embedded are the verbs that need no configuration.
var embedded = []func() *cobra.Command{demoCommand, sandboxCommand}

// run is the program without its process.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root, o := rootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	called, err := root.ExecuteContextC(ctx)
	code := codeOf(err, o.wasStarted)
	var exit *exitError
	if err == nil || errors.As(err, &exit) && exit.cause == nil {
		return code
	}
	text := strings.TrimRight(textIn(o.language, err), "\n")
	if code == exitUsage {
		text = misused(text, called)
	}
	fmt.Fprintln(errOut, "drover: "+text)
	return code
}

// textIn is an error in a language, as far as it knows any.
func textIn(l language.Language, err error) string {
	var said interface {
		error
		In(l language.Language) string
	}
	if errors.As(err, &said) && said.Error() == err.Error() {
		return said.In(l)
	}
	return err.Error()
}

// rootCommand makes the tree of commands and what they share.
func rootCommand() (*cobra.Command, *options) {
	o := &options{language: language.FromEnvironment(os.Getenv)}
	root := &cobra.Command{
		Use:   "drover COMMAND",
		Short: "Deploy images to Rancher 1.6 services, judge them, and take bad ones back",
		Long: `Drover follows image tags in a Docker registry, rolls what is pushed out to Rancher
1.6 services, judges each new version by its containers' health, the load balancer's
counters, HTTP probes and logs, finishes good ones and takes bad ones back.

Flags come before environment variables, those before the defaults.

Exit codes:

` + exitTable(),
		Example: rootExample,
		Version: version, SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return o.prepare(cmd) },
	}
	f := root.PersistentFlags()
	f.StringVarP(&o.config, "config", "c", "config/targets.yaml", "what should run (DROVER_CONFIG)")
	f.StringVar(&o.stateDir, "state-dir", "state", "directory of the journal and the daemon's socket (DROVER_STATE_DIR)")
	f.StringVar(&o.server, "server", "", "URL of a daemon's API, instead of the socket in the state directory (DROVER_SERVER)")
	f.StringVar(&o.tokenFile, "token-file", "", "file with the token for --server (DROVER_TOKEN_FILE), or the token itself in DROVER_TOKEN")
	f.StringVar(&o.logFormat, "log-format", "auto", "json, console, or auto: console on a terminal (DROVER_LOG_FORMAT)")
	f.StringVar(&o.logLevel, "log-level", "info", "error, info or debug (DROVER_LOG_LEVEL)")
	for _, make := range commands {
		root.AddCommand(make(o))
	}
	root.AddCommand(actCommands(o)...)
	for _, make := range embedded {
		root.AddCommand(make())
	}
	sayArguments(root)
	knowOtherWords(root)
	useHelp(root)
	return root, o
}

// prepare completes the flags from the environment and checks them.
func (o *options) prepare(cmd *cobra.Command) error {
	var err error
	cmd.Root().PersistentFlags().VisitAll(func(f *pflag.Flag) {
		name := "DROVER_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value := os.Getenv(name); value != "" && !f.Changed {
			err = errors.Join(err, f.Value.Set(value))
		}
	})
	err = errors.Join(err, oneOf("log format", o.logFormat, "json", "console", "auto"), oneOf("log level", o.logLevel, "error", "info", "debug"))
	o.wasStarted = err == nil
	return err
}

func oneOf(what, got string, allowed ...string) error {
	for _, a := range allowed {
		if got == a {
			return nil
		}
	}
	return fmt.Errorf("%s %q is none of %s", what, got, strings.Join(allowed, ", "))
}
