package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/internal/compose"
	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

// maxCompose bounds what is read of a compose file in bytes.
const maxCompose = 1<<20 + 1

func importCommand(_ *options) *cobra.Command {
	var stack string
	var o compose.TargetOptions
	cmd := &cobra.Command{
		Use:   "import docker-compose.yml [rancher-compose.yml]",
		Short: "Make a targets.yaml of a stack's compose files",
		Long: `Print a configuration with a target for every service that follows a tag: sidekicks,
upgrade strategy, gates from health_check and, for what is behind a load balancer with
a statistics page, from lb_config. What could not be said in it, or was guessed, is on
standard error with its line. Nothing is asked of Rancher, and no secret is printed.`,
		Example: `  drover import docker-compose.yml rancher-compose.yml > config/targets.yaml
  drover import --stack gf-chat docker-compose.yml`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			read, err := readStack(stack, args)
			if err != nil {
				return err
			}
			return printTargets(cmd, []*compose.Stack{read}, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&stack, "stack", "", "name of the stack (default the directory of docker-compose.yml)")
	f.StringVar(&o.RancherURL, "rancher-url", os.Getenv(variableURL), "the Rancher that runs it ("+variableURL+")")
	f.StringVar(&o.Environment, "environment", os.Getenv(variableEnvironment), "its environment, name or id ("+variableEnvironment+")")
	f.StringVar(&o.BalancerHost, "lb-host", "", "host of the load balancers' statistics pages (default their name in Rancher's DNS)")
	return cmd
}

// readStack reads one or two files; docker-compose.yml is the first.
func readStack(name string, paths []string) (*compose.Stack, error) {
	if name == "" {
		dir, err := filepath.Abs(filepath.Dir(paths[0]))
		if err != nil {
			return nil, fmt.Errorf("naming the stack: %w", err)
		}
		name = filepath.Base(dir)
	}
	docker, err := readCompose(paths[0])
	if err != nil {
		return nil, err
	}
	if len(paths) == 1 {
		return compose.Read(name, docker, nil)
	}
	rancher, err := readCompose(paths[1])
	if err != nil {
		return nil, err
	}
	return compose.Read(name, docker, &rancher)
}

func readCompose(path string) (compose.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return compose.File{}, fmt.Errorf("reading a compose file: %w", err)
	}
	defer file.Close() //nolint:errcheck // Nothing was written.
	data, err := io.ReadAll(io.LimitReader(file, maxCompose))
	if err != nil {
		return compose.File{}, fmt.Errorf("reading a compose file: %w", err)
	}
	return compose.File{Name: path, Data: data}, nil
}

// printTargets prints the configuration, and on standard error what did not fit
// and what the configuration's own checks say.
func printTargets(cmd *cobra.Command, stacks []*compose.Stack, o compose.TargetOptions) error {
	config, notes := compose.Targets(stacks, o)
	text := compose.Print(config)
	for _, n := range compose.Sorted(notes) {
		fmt.Fprintln(cmd.ErrOrStderr(), "note:", oneLine(n.String()))
	}
	parsed, err := desired.Parse("targets.yaml", []byte(text))
	var complaints desired.Errors
	switch {
	case errors.As(err, &complaints):
		for _, c := range complaints {
			fmt.Fprintln(cmd.ErrOrStderr(), "to be put right:", oneLine(c.Error()))
		}
	case err != nil:
		return err
	default:
		for _, w := range parsed.Warnings() {
			fmt.Fprintln(cmd.ErrOrStderr(), "note:", oneLine(w.Error()))
		}
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), text); err != nil {
		return err
	}
	if len(config.Targets) == 0 {
		return errors.New("no service follows a tag: the notes say why")
	}
	if complaints != nil {
		return fmt.Errorf("the configuration is not valid yet: %d things to be put right", len(complaints))
	}
	return nil
}

func exportCommand(o *options) *cobra.Command {
	var host string
	cmd := &cobra.Command{
		Use:   "export [STACK]...",
		Short: "Make a targets.yaml of stacks that run in Rancher",
		Long: `Read the named stacks (all but Rancher's own without a name) from Rancher and print a
configuration as import does. Rancher is the one of the configuration, or of ` + variableURL + `,
` + variableAccessKey + ` and ` + variableSecretKey + ` when there is none. It only reads.`,
		Example:           `  drover export gf-chat > config/targets.yaml`,
		ValidArgsFunction: o.completeStacks,
		RunE: func(cmd *cobra.Command, args []string) error {
			return exportStacks(cmd, o, args, host)
		},
	}
	cmd.Flags().StringVar(&host, "lb-host", "", "host of the load balancers' statistics pages (default their name in Rancher's DNS)")
	return cmd
}
