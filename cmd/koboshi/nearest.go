package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/publish"
	"koboshi/artifacts/retire"
)

// nearestPatience bounds the search for a version that was probably meant.
const nearestPatience = 3 * time.Second

// didYouMean adds to the error of a version that does not exist a hint with the
// nearest one that does.
func didYouMean(ctx context.Context, err error, version string, known func(context.Context) []string) error {
	if !errors.Is(err, bucket.ErrNotFound) && !errors.Is(err, bucket.ErrDenied) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, nearestPatience)
	defer cancel()
	near, found := artifacts.Nearest(version, known(ctx))
	if !found || near == version { // it is there, and something else is not
		return err
	}
	return failure.WithHint(err, "did you mean "+near+"? koboshi releases lists what is published")
}

// removed adds to the error of a version that koboshi releases prune has removed, or is
// removing, a hint that says so and since when, as its mark does. It reports whether it did.
func removed(ctx context.Context, err error, app, version string, sources ...bucket.Reader) (error, bool) {
	if !errors.Is(err, bucket.ErrNotFound) && !errors.Is(err, bucket.ErrDenied) {
		return err, false
	}
	ctx, cancel := context.WithTimeout(ctx, nearestPatience)
	defer cancel()
	for _, source := range sources {
		found, readErr := retire.Read(ctx, source, app, version)
		if readErr == nil && found.State.Ends() {
			gone := retire.RetiredError{Version: version, State: found.State, At: found.At}
			return failure.WithHint(err, gone.Error()+": choose another version, or publish it under a new one"), true
		}
	}
	return err, false
}

// unknownVersion is removed and didYouMean for the release side. Without permission to
// list there is the usual hint.
func unknownVersion(ctx context.Context, err error, app, version string, b bucket.Bucket) error {
	if hinted, is := removed(ctx, err, app, version, b); is {
		return hinted
	}
	return didYouMean(ctx, err, version, func(ctx context.Context) []string {
		versions, _ := publish.Versions(ctx, b)
		return versions
	})
}

// nearestFlag gives the error of an unknown flag the nearest one of the command,
// for a hint.
func nearestFlag(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	near, found := artifacts.Nearest(unknown.GetSpecifiedName(), names)
	if !found {
		return err
	}
	return failure.WithHint(err, "did you mean --"+near+"?")
}

// published are the versions in the first source that can be listed, and that this
// instance may list; else those that this machine has, or had.
func (o origin) published(ctx context.Context) []string {
	for _, source := range o.Sources() {
		if b, ok := source.(bucket.Bucket); ok {
			if versions, err := publish.Versions(ctx, b); err == nil {
				return versions
			}
		}
	}
	return o.here()
}

// versionsHere are the versions that are on this machine, and those that were.
func versionsHere(cfg *config.Config, trust artifacts.Trust) []string {
	versions := installedIn(cfg.Install.Root, trust)
	if dir, err := os.OpenRoot(cfg.State.Dir); err == nil {
		runs, _ := report.LoadHistory(dir) // only for a hint
		for _, run := range runs {
			versions = append(versions, run.Version)
		}
		_ = dir.Close() // only read
	}
	return slices.DeleteFunc(versions, func(v string) bool { return artifacts.CheckVersion(v) != nil })
}
