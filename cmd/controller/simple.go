package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"gitlab.gf.com.cn/clickeggs/drover/pkg/desired"
)

func schemaCommand(_ *options) *cobra.Command {
	var docs bool
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of targets.yaml (draft 2020-12)",
		Example: `  drover schema > targets.schema.json
  drover schema --docs | less`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := desired.Schema()
			if docs {
				text, err = desired.Reference(), nil
			}
			if err != nil {
				return fmt.Errorf("making the schema: %w", err)
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&docs, "docs", false, "print the reference of all keys as Markdown instead")
	return cmd
}

func versionCommand(_ *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Example: `  drover version
  drover version --json | jq -r .version`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{
					"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "drover %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func healthcheckCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the daemon whether it still looks and can still write",
		Long: `Exit 0 when the daemon's loop looks at its targets and its journal can be written,
1 when not or when no daemon answers. Rancher and the registry may be down.`,
		Example: `  drover healthcheck
  drover healthcheck --state-dir /var/lib/drover || systemctl restart drover`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := o.client().Health(cmd.Context())
			if err != nil {
				return o.explainAway(err)
			}
			for _, p := range h.Problems {
				fmt.Fprintln(cmd.ErrOrStderr(), "drover:", oneLine(p))
			}
			if !h.OK {
				return quietly(exitFailed)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "healthy, "+counted(h.Targets, "target"))
			return err
		},
	}
}
