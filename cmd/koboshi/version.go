package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
)

func (c *cli) version() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "print this agent's version",
		Long:    "Print this agent's version and platform. --json is {version, go, os, arch, revision}; revision\nis the commit, left out where the build does not record it." + exits(failure.OK),
		GroupID: forImage,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return c.ui.printJSON(versionJSON{version, runtime.Version(), runtime.GOOS, runtime.GOARCH, revision()})
			}
			c.ui.printf("%s", versionLine())
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func versionLine() string {
	return fmt.Sprintf("koboshi %s %s/%s\n", version, runtime.GOOS, runtime.GOARCH)
}

type versionJSON struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Revision string `json:"revision,omitzero"`
}

// revision is the commit of the build, with -dirty for a changed checkout; ""
// where the build does not record it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	built := map[string]string{}
	for _, s := range info.Settings {
		built[s.Key] = s.Value
	}
	if built["vcs.modified"] == "true" {
		return built["vcs.revision"] + "-dirty"
	}
	return built["vcs.revision"]
}
