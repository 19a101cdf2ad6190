package main

import (
	"runtime"

	"koboshi/agent/failure"

	"github.com/spf13/cobra"
)

func (c *cli) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print this agent's version",
		Long:    "Print this agent's version and platform." + exits(failure.OK),
		GroupID: forImage,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c.ui.printf("koboshi %s %s/%s\n", version, runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
