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
)

func (c *cli) iamPolicy() *cobra.Command {
	partition := partitions[0]
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
	cmd.Flags().StringVar(&partition, "partition", partition, "`name` of AWS's partition: "+strings.Join(partitions, ", "))
	cmd.Flags().BoolVar(&publish, "publish", false, "for the release side")
	return cmd
}

// partitions are AWS's, the first word behind arn: in every name.
var partitions = []string{"aws", "aws-cn", "aws-us-gov"}

func (c *cli) runIAMPolicy(partition string, publish bool) error {
	if !slices.Contains(partitions, partition) {
		return usage(fmt.Errorf("--partition %q, want one of %s", partition, strings.Join(partitions, ", ")))
	}
	cfg, err := c.loadConfig()
	if err != nil {
		return err
	}
	p := arns{partition}
	if !publish {
		return c.ui.printJSON(p.instance(cfg))
	}
	policy := p.publisher(cfg)
	if len(policy.Statement) == 0 {
		return failure.WithHint(failure.Mark(errors.New("no source is s3://: there is nothing to allow"), failure.ErrConfiguration), "publishing to a directory needs no AWS")
	}
	return c.ui.printJSON(policy)
}

// policy is a document of IAM's own grammar.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string
	Effect    string
	Action    []string
	Resource  []string
	Condition map[string]map[string][]string `json:",omitzero"`
}

const policyVersion = "2012-10-17" // the grammar's, not a date of ours

// arns spells what a policy speaks of, in one partition.
type arns struct{ partition string }

// instance is what the agent calls, and nothing more.
func (a arns) instance(cfg *config.Config) policy {
	statements := a.bucket(cfg, "Releases", "s3:GetObject")
	group := "*"
	if cfg.Lifecycle.Group != "" {
		group = literal(cfg.Lifecycle.Group)
	}
	return policy{policyVersion, append(statements,
		statement{
			Sid: "Hooks", Effect: "Allow",
			Action:   []string{"autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"},
			Resource: []string{fmt.Sprintf("arn:%s:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/%s", a.partition, group)},
		},
		statement{
			Sid: "Describe", Effect: "Allow", // AWS scopes these to nothing smaller
			Action:   []string{"autoscaling:DescribeAutoScalingInstances", "autoscaling:DescribeLifecycleHooks"},
			Resource: []string{"*"},
		})}
}

// publisher is what publish, promote, sign and releases call.
func (a arns) publisher(cfg *config.Config) policy {
	return policy{policyVersion, a.bucket(cfg, "Publish", "s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload")}
}

// bucket allows actions on the app's objects in every s3:// source, and to list
// them: only who may list is told that an object is missing, not forbidden.
func (a arns) bucket(cfg *config.Config, sid string, actions ...string) (out []statement) {
	objects := statement{Sid: sid, Effect: "Allow", Action: actions}
	for _, source := range cfg.Source {
		u, err := url.Parse(source)
		if err != nil || u.Scheme != "s3" {
			continue // the configuration has been checked: it is a directory or a web server
		}
		bucket := fmt.Sprintf("arn:%s:s3:::%s", a.partition, u.Host)
		keys := literal(path.Join(strings.Trim(u.Path, "/"), cfg.App)) + "/*"
		objects.Resource = append(objects.Resource, bucket+"/"+keys)
		out = append(out, statement{
			Sid: fmt.Sprintf("List%d", len(out)+1), Effect: "Allow",
			Action: []string{"s3:ListBucket"}, Resource: []string{bucket},
			Condition: map[string]map[string][]string{"StringLike": {"s3:prefix": {keys}}},
		})
	}
	if len(out) == 0 {
		return nil
	}
	return append([]statement{objects}, out...)
}

// literal keeps IAM from reading a name as a pattern.
func literal(name string) string {
	return strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}").Replace(name)
}
