package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"koboshi/agent/group"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/iam"
	"koboshi/artifacts/publish"
	"koboshi/artifacts/store"
)

// completions sets what a shell offers for every flag and argument: possible
// values, or nothing, but never file names where no file is expected.
func (c *cli) completions(cmd *cobra.Command) {
	if cmd.ValidArgsFunction == nil && cmd.ValidArgs == nil && !slices.Contains([]string{"publish", "lint", "sign"}, cmd.Name()) {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if offer := c.offer(cmd.Name(), f); offer != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, offer) // the flag is there, and has none
		}
	})
	for _, sub := range cmd.Commands() {
		c.completions(sub)
	}
}

// offer is what completes a flag of a command; nil for one without a value.
func (c *cli) offer(command string, f *pflag.Flag) cobra.CompletionFunc {
	switch f.Name {
	case "config":
		return files("toml")
	case "key":
		return files("key", "pem")
	case "trust":
		return files("pub", "pem")
	case "against":
		return files("json")
	case "svg":
		return files("svg")
	case "root":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	case "out":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	case "log-format":
		return cobra.FixedCompletions([]string{"json", "console"}, cobra.ShellCompDirectiveNoFileComp)
	case "platform":
		return cobra.FixedCompletions([]string{"linux/amd64=", "linux/arm64="}, cobra.ShellCompDirectiveNoSpace)
	case "hook":
		return cobra.FixedCompletions([]string{"pre_start=", "post_start=", "pre_stop="}, cobra.ShellCompDirectiveNoSpace)
	case "health":
		return cobra.FixedCompletions([]string{"url=", "status=", "tcp=", "command=", "timeout=", "bake="}, cobra.ShellCompDirectiveNoSpace)
	case "sse":
		return cobra.FixedCompletions(s3.Algorithms, cobra.ShellCompDirectiveNoFileComp)
	case "command":
		return cobra.FixedCompletions(recordedCommands, cobra.ShellCompDirectiveNoFileComp)
	case "role":
		return cobra.FixedCompletions([]string{publisher, promoter}, cobra.ShellCompDirectiveNoFileComp)
	case "percent":
		return cobra.FixedCompletions([]string{"1", "5", "10", "25", "50", "100"}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder)
	case "show-members":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	case "suspend":
		return cobra.FixedCompletions(names(group.Processes()), cobra.ShellCompDirectiveNoFileComp)
	case "allow":
		return cobra.FixedCompletions(strings.Split(codes(), ", "), cobra.ShellCompDirectiveNoFileComp)
	case "format":
		return cobra.FixedCompletions(tagFormats, cobra.ShellCompDirectiveNoFileComp)
	case "html":
		return files("html")
	case "amis":
		return files("json")
	case "partition":
		return cobra.FixedCompletions(iam.Partitions, cobra.ShellCompDirectiveNoFileComp)
	case "app":
		return c.offerApp
	case "channel", "history", "from-channel":
		return c.offerChannels
	case "with":
		return cobra.FixedCompletions([]string{bySSM}, cobra.ShellCompDirectiveNoFileComp)
	case "version", "to":
		return c.offerVersions(command)
	}
	if f.Value.Type() == "bool" {
		return nil
	}
	return cobra.NoFileCompletions
}

func files(extensions ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(extensions, cobra.ShellCompDirectiveFilterFileExt)
}

func (c *cli) offerApp(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	cfg, err := c.loadConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{cfg.App}, cobra.ShellCompDirectiveNoFileComp
}

// offerChannels offers the channels in the bucket of the other flags, or else
// those of the configuration.
func (c *cli) offerChannels(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if l, err := publishedAt(cmd); err == nil {
		for _, channel := range l.Channels {
			names = append(names, channel.Name)
		}
	} else if cfg, err := c.loadConfig(); err == nil {
		names = cfg.Channels
	}
	return startingWith(names, typed), cobra.ShellCompDirectiveNoFileComp
}

// offerVersions offers the versions in the bucket of the other flags, or else those
// on this machine. For a version to be published there is nothing to offer.
func (c *cli) offerVersions(command string) cobra.CompletionFunc {
	if command == "publish" {
		return cobra.NoFileCompletions
	}
	return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		var names []string
		if l, err := publishedAt(cmd); err == nil {
			for _, release := range l.Releases {
				names = append(names, release.Name)
			}
		} else {
			names = c.installed()
		}
		return startingWith(names, typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// startingWith leaves out names that do not begin with what was typed, and names
// from a bucket that are not safe in a shell: all must be valid versions, as the
// names of channels are, too.
func startingWith(names []string, typed string) (fit []string) {
	for _, name := range names {
		if artifacts.CheckVersion(name) == nil && strings.HasPrefix(name, typed) {
			fit = append(fit, name)
		}
	}
	return fit
}

// installed are the versions on this machine.
func (c *cli) installed() []string {
	cfg, err := c.loadConfig()
	if err != nil {
		return nil
	}
	trust, err := loadTrust(cfg)
	if err != nil {
		return nil
	}
	return installedIn(cfg.Install.Root, trust)
}

func installedIn(root string, trust artifacts.Trust) (names []string) {
	s, err := store.OpenExisting(root, trust)
	if err != nil {
		return nil
	}
	defer func() { _ = s.Close() }() // only read
	releases, err := s.Releases()
	if err != nil {
		return nil
	}
	for _, r := range releases {
		names = append(names, r.Version())
	}
	return slices.Compact(names)
}

// offerPatience is how long a completion waits for a bucket.
const offerPatience = 3 * time.Second

// publishedAt lists the bucket of --source and --app.
func publishedAt(cmd *cobra.Command) (l publish.Listing, err error) {
	source, app := cmd.Flags().Lookup("source"), cmd.Flags().Lookup("app")
	if source == nil || app == nil || source.Value.String() == "" || app.Value.String() == "" {
		return l, errors.New("no bucket is named")
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), offerPatience)
	defer cancel()
	b, err := openBucket(ctx, source.Value.String(), app.Value.String())
	if err != nil {
		return l, err
	}
	return publish.List(ctx, b, app.Value.String(), artifacts.Trust{})
}
