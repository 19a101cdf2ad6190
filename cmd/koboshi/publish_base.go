package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/publish"
)

func (o *publishOptions) addBases(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.bases, "base", nil, "make a delta from this `version`, which instances have; repeat it for several")
	cmd.Flags().StringArrayVar(&o.trust, "trust", nil, "public key `FILE` that the bases are signed with; default: the keys that sign now")
}

func (o *publishOptions) checkBases() error {
	seen := map[string]bool{o.version: true}
	for _, base := range o.bases {
		if err := artifacts.CheckVersion(base); err != nil {
			return usage(fmt.Errorf("--base: %w", err))
		}
		if seen[base] {
			return usage(fmt.Errorf("--base %s: given twice, or the version itself", base))
		}
		seen[base] = true
	}
	if len(o.bases) > artifacts.MaxDeltas {
		return usage(fmt.Errorf("--base: %d of them, want at most %d", len(o.bases), artifacts.MaxDeltas))
	}
	return nil
}

// addDeltas makes the deltas and returns those that are not worth publishing.
func (c *cli) addDeltas(ctx context.Context, o publishOptions, b bucket.Bucket, draft publish.Draft) (left []publish.Outcome, err error) {
	from := publish.Base{Bucket: b, App: o.app, Keys: draft.Keys}
	if len(o.trust) > 0 {
		if from.Trust, err = readTrust(o.trust); err != nil {
			return nil, err
		}
	}
	for _, from.Version = range o.bases {
		outcomes, err := publish.AddDeltas(ctx, from, draft.Packed, publish.Options{Progress: c.ui.transfer("delta " + from.Version)})
		c.ui.clear()
		if err != nil {
			return nil, unknownVersion(ctx, err, o.app, from.Version, b)
		}
		for _, one := range outcomes {
			if one.Left != "" {
				left = append(left, one)
			}
		}
	}
	return left, nil
}

func (u *ui) deltas(a artifacts.Artifact) {
	for _, d := range a.Deltas {
		u.printf("  from %s  %s, %.1f %%\n", d.Base, report.Bytes(d.Size), 100*float64(d.Size)/float64(a.Size))
	}
}

// leftOut prints which deltas are not published, and why.
func (u *ui) leftOut(left []publish.Outcome) {
	for _, one := range left {
		u.warn(fmt.Sprintf("no delta from %s for %s: %s", one.Base, one.Platform, one.Left))
	}
}
