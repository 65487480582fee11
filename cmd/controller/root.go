package main

import "github.com/spf13/cobra"

// version is set when the binary is built.
var version = "dev"

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "drover",
		Short:         "Deploy images to Rancher 1.6 services, judge them, and take bad ones back",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(demoCommand(), sandboxCommand())
	return root
}
