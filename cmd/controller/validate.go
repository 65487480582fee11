package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// Levels of a check.
const (
	levelOK   = "ok"
	levelWarn = "warn"
	levelFail = "fail"
)

// check is one line of validate.
type check struct {
	// Level is ok, warn or fail.
	Level string `json:"level"`
	// Subject is what was checked: a file's line, a target, a load balancer.
	Subject string `json:"subject"`
	Message string `json:"message"`
}

func validateCommand(o *options) *cobra.Command {
	var asJSON, live bool
	cmd := &cobra.Command{
		Use:   "validate [FILE]...",
		Short: "Check targets.yaml, and with --live what it names",
		Long: `Read the configuration, or the files named, and print everything that is wrong with it,
and what works but is hardly meant. Exit 1 when any line says fail.

--live also asks the running Rancher, registries, load balancers and Prometheus servers
and probes what runs, without touching anything, and says of each gate whether it would
be blind, and why.`,
		Example: `  drover validate
  drover validate --live -c config/targets.yaml
  drover validate teams/*/targets.yaml`,
		RunE: func(cmd *cobra.Command, files []string) error {
			if len(files) == 0 {
				files = []string{o.config}
			}
			var checks []check
			for _, file := range files {
				found, err := validateOne(cmd, o, file, live)
				if err != nil {
					return err
				}
				checks = append(checks, found...)
			}
			return reportChecks(cmd.OutOrStdout(), checks, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&live, "live", false, "ask what runs too, and say which gate would be blind")
	return cmd
}

// validateOne checks a file, and what it names when that is asked for.
func validateOne(cmd *cobra.Command, o *options, file string, live bool) ([]check, error) {
	config, checks, err := validateFile(file)
	if err != nil || !live || config == nil {
		return checks, err
	}
	found, err := checkLive(cmd.Context(), config, newLogger(o, cmd.ErrOrStderr()))
	return append(checks, found...), err
}

// validateFile reads the file; the configuration is nil when it is wrong.
func validateFile(path string) (*desired.Config, []check, error) {
	config, err := desired.Load(path)
	var complaints desired.Errors
	if errors.As(err, &complaints) {
		return nil, checksOf(levelFail, path, complaints), nil
	}
	if err != nil {
		return nil, nil, err
	}
	checks := checksOf(levelWarn, path, config.Warnings())
	return config, append(checks, check{levelOK, path, counted(len(config.Targets), "target")}), nil
}

// checksOf keeps the form file:line: path: message, which editors jump to.
func checksOf(level, path string, complaints desired.Errors) []check {
	var checks []check
	for _, c := range complaints {
		subject := path
		if c.Line > 0 {
			subject = fmt.Sprintf("%s:%d", path, c.Line)
		}
		message := c.Message
		if c.Path != "" {
			message = c.Path + ": " + message
		}
		checks = append(checks, check{level, subject, message})
	}
	return checks
}

// reportChecks prints all and fails when one failed.
func reportChecks(out io.Writer, checks []check, asJSON bool) error {
	hasFailed := false
	for _, c := range checks {
		hasFailed = hasFailed || c.Level == levelFail
		if !asJSON {
			fmt.Fprintf(out, "%-4s  %s: %s\n", c.Level, oneLine(c.Subject), oneLine(c.Message))
		}
	}
	if asJSON {
		if err := printJSON(out, checks); err != nil {
			return err
		}
	}
	if hasFailed {
		return quietly(exitFailed)
	}
	return nil
}
