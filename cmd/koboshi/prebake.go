package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/spf13/cobra"

	"koboshi/agent"
	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/instance"
	"koboshi/agent/report"
)

func (c *cli) prebake() *cobra.Command {
	var o agent.PrebakeOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "prebake",
		Short: "install what the channel points to into the image that is being built",
		Long: "Do all of a boot but starting: what the channel points to is installed and current, as\n" +
			"a candidate that has to pass the gate wherever the image is launched. A launch then\n" +
			"downloads nothing while the channel still points to it, and may fall back to it for\n" +
			"fallback.max_age after the baking. Region and credentials come from the environment, else\n" +
			"from the metadata of the instance that bakes. Nothing is started or signalled." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Metadata, failure.Credentials, failure.Resolve, failure.Untrusted, failure.Fetch, failure.Integrity, failure.Archive,
				failure.Disk, failure.Locked, failure.Deadline, failure.Internal, failure.Interrupted),
		Example: "  koboshi prebake\n  koboshi prebake --channel canary --json",
		GroupID: forImage,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.runAgent(cmd.Context(), asJSON, func(a *agent.Agent, ctx context.Context) (report.Report, error) {
				return a.Prebake(ctx, o)
			})
		},
	}
	cmd.Flags().StringVar(&o.Channel, "channel", "", "another `channel` of those that the configuration allows")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

// builderPatience bounds the search for metadata on a machine that may have
// none.
const builderPatience = 10 * time.Second

// builder reads the metadata of the machine that prebakes, where S3 is needed and
// the environment lacks region or credentials. A machine without metadata gets an
// error at once.
func builder(ctx context.Context, settings aws.Config, cfg *config.Config, metadata *instance.Metadata) (instance.Identity, error) {
	role := aws.IsCredentialsProvider(settings.Credentials, (*ec2rolecreds.Provider)(nil))
	located := settings.Region != "" || !slices.ContainsFunc(cfg.Source, lacksRegion)
	if located && !role || !slices.ContainsFunc(cfg.Source, inS3) {
		return instance.Identity{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, builderPatience)
	defer cancel()
	who, err := metadata.Identity(ctx)
	if err != nil {
		return who, failure.WithHint(fmt.Errorf("no AWS region or no credentials are set, and this is no instance: %w", err),
			"set AWS_REGION to the bucket's region, and AWS_PROFILE or AWS_ACCESS_KEY_ID; or bake on an EC2 instance")
	}
	return who, nil
}
