package main

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/lifecycle"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/iam"
)

func (c *cli) iamPolicy() *cobra.Command {
	partition := iam.Partitions[0]
	var publish bool
	cmd := &cobra.Command{
		Use:   "iam-policy",
		Short: "print the smallest IAM policy for this configuration",
		Long: "Print the policy that an instance's role needs for this configuration, and nothing more, as\n" +
			"JSON that IAM accepts. Without lifecycle.group every group is allowed: set it\n" +
			"to narrow that. With --publish it is the policy of the release side." +
			exits(failure.OK, failure.Usage, failure.Configuration),
		Example: "  koboshi iam-policy >role-policy.json\n  koboshi iam-policy --publish --partition aws-cn",
		GroupID: forImage,
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return c.runIAMPolicy(partition, publish) },
	}
	cmd.Flags().StringVar(&partition, "partition", partition, "`name` of AWS's partition: "+strings.Join(iam.Partitions, ", "))
	cmd.Flags().BoolVar(&publish, "publish", false, "for the release side")
	return cmd
}

func (c *cli) runIAMPolicy(partition string, publish bool) error {
	if !slices.Contains(iam.Partitions, partition) {
		return usage(fmt.Errorf("--partition %q, want one of %s", partition, strings.Join(iam.Partitions, ", ")))
	}
	cfg, err := c.loadConfig()
	if err != nil {
		return err
	}
	if !publish {
		return c.ui.printJSON(instancePolicy(partition, cfg))
	}
	policy := publisherPolicy(partition, cfg)
	if len(policy.Statement) == 0 {
		return failure.WithHint(failure.Mark(errors.New("no source is s3://: there is nothing to allow"), failure.ErrConfiguration), "publishing to a directory needs no AWS")
	}
	return c.ui.printJSON(policy)
}

// instancePolicy allows the agent's calls, and nothing more.
func instancePolicy(partition string, cfg *config.Config) iam.Policy {
	return iam.New(append(s3.Statements(partition, "Releases", s3.ReadActions, places(cfg)...),
		lifecycle.Statements(partition, cfg.Lifecycle.Group)...)...)
}

// publisherPolicy allows the calls of publish, promote, sign and releases.
func publisherPolicy(partition string, cfg *config.Config) iam.Policy {
	return iam.New(s3.Statements(partition, "Publish", s3.WriteActions, places(cfg)...)...)
}

// places are where the app's objects are, in every source of S3.
func places(cfg *config.Config) (all []s3.Place) {
	for _, source := range cfg.Source {
		u, err := url.Parse(source)
		if err != nil || u.Scheme != "s3" {
			continue // the configuration was checked: it is a directory or a web server
		}
		all = append(all, s3.Place{Bucket: u.Host, Prefix: path.Join(strings.Trim(u.Path, "/"), cfg.App)})
	}
	return all
}
