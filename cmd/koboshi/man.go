package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/artifacts/store"
)

// man writes what packages install under /usr/share/man. It is for those who
// build them, so --help does not list it.
func (c *cli) man() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:    "man --out DIR",
		Short:  "write the manual pages",
		Long:   "Write a manual page for every command, DIR/koboshi.1 and so on." + exits(failure.OK, failure.Usage, failure.Disk),
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return writeManPages(cmd.Root(), out) },
	}
	cmd.Flags().StringVar(&out, "out", "", "`DIR` that takes the pages")
	return required(cmd, "out")
}

func writeManPages(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return failure.Mark(err, store.ErrDisk)
	}
	for _, cmd := range pages(root) {
		if err := os.WriteFile(filepath.Join(dir, pageName(cmd)+".1"), []byte(manPage(cmd)), 0o644); err != nil {
			return failure.Mark(err, store.ErrDisk)
		}
	}
	return nil
}

// pages are the commands that have a page: this one, and those beneath it that
// its help lists.
func pages(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			all = append(all, pages(sub)...)
		}
	}
	return all
}
