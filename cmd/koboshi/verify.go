package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/store"
	"koboshi/artifacts/tree"
)

func (c *cli) verify() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "hash the current release again, and compare it with what was published",
		Long: "Read every file of the current release again and compare it with the index that its\n" +
			"signed manifest binds. What was altered, added or removed is listed." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Resolve, failure.Untrusted, failure.Integrity, failure.Disk, failure.Interrupted),
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runVerify(cmd.Context(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// verification is the output of verify --json.
type verification struct {
	Version string   `json:"version"`
	OK      bool     `json:"ok"`
	Altered []string `json:"altered"`
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
}

func (c *cli) runVerify(ctx context.Context, asJSON bool) (err error) {
	limitMemory()
	cfg, err := c.loadConfig()
	if err != nil {
		return err
	}
	trust, err := loadTrust(cfg)
	if err != nil {
		return err
	}
	if _, err := os.Stat(cfg.Install.Root); err != nil {
		return nothingHere(err)
	}
	s, err := store.Open(cfg.Install.Root, trust)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	rel, found, err := s.Current()
	if err != nil || !found {
		return noCurrent(err)
	}
	diff, err := s.Verify(ctx, rel)
	if err != nil {
		return err
	}
	return c.tellVerified(rel, diff, asJSON)
}

func (c *cli) tellVerified(rel store.Release, diff tree.Diff, asJSON bool) error {
	v := verification{rel.Version(), diff.Clean(), diff.Altered, diff.Added, diff.Removed}
	if asJSON {
		if err := c.ui.printJSON(v); err != nil {
			return err
		}
	} else {
		c.ui.listChanges(v)
	}
	if v.OK {
		return nil
	}
	return failure.WithHint(failure.Mark(fmt.Errorf("%s: %s altered, %d added, %d removed", v.Version, count(len(v.Altered), "file", "files"), len(v.Added), len(v.Removed)), failure.ErrAltered),
		"koboshi sync --force installs it again; what shall run here is published and promoted, never edited in place")
}

func (u *ui) listChanges(v verification) {
	if v.OK {
		u.printf("%s: every file is as published\n", v.Version)
	}
	u.listFiles(tree.Diff{Altered: v.Altered, Added: v.Added, Removed: v.Removed})
}

// listFiles prints a line for every file that differs. Names are quoted: they may
// contain any byte.
func (u *ui) listFiles(d tree.Diff) {
	for _, list := range []struct {
		word  string
		paths []string
	}{{"altered", d.Altered}, {"added", d.Added}, {"removed", d.Removed}} {
		for _, path := range list.paths {
			u.printf("%-8s %q\n", list.word, path)
		}
	}
}

// noCurrent is the error where current is missing, or points to no complete
// release. A complete one that does not verify has its own exit code and hint.
func noCurrent(err error) error {
	switch {
	case err == nil:
		err = errors.New("no release is current")
	case errors.Is(err, artifacts.ErrUntrusted), errors.Is(err, artifacts.ErrTooOld):
		return err
	}
	return failure.WithHint(failure.Mark(err, bucket.ErrNotFound), "koboshi boot or koboshi sync installs what the channel points to")
}
