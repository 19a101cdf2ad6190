package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"koboshi/agent/balancer"
	"koboshi/agent/census"
	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/group"
	"koboshi/agent/guard"
	"koboshi/agent/lease"
	"koboshi/agent/lifecycle"
	"koboshi/agent/signer"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket/s3"
	"koboshi/artifacts/iam"
	"koboshi/artifacts/retire"
)

type policyOptions struct {
	partition         string
	publish, bucket   bool
	guard, fleet      bool
	prune, refresh    bool
	source, app, role string
	keys              []string // ARNs of KMS keys
	signing           []string // likewise, of those that sign
	groups, deploys   []string // of --guard; groups of --refresh, too
}

// The roles of the release side that --role can ask for.
const (
	publisher = "publisher"
	promoter  = "promoter"
)

func (c *cli) iamPolicy() *cobra.Command {
	o := policyOptions{partition: iam.Partitions[0]}
	cmd := &cobra.Command{
		Use:   "iam-policy",
		Short: "print the smallest IAM policy for this configuration",
		Long: "Print the policy that an instance's role needs for this configuration, and nothing more, as\n" +
			"JSON that IAM accepts. Without lifecycle.group every group is allowed: set it\n" +
			"to narrow that. With --publish it is the policy of the release side; with --source and --app\n" +
			"too, no configuration is needed. With --bucket-policy it is the one that the bucket of [node_id]\n" +
			"itself gets: whatever a role allows, no node id is written without a condition, or deleted.\n" +
			"With --guard it is that of koboshi guard, with --fleet that of koboshi fleet, with --prune that of\n" +
			"koboshi releases prune and keep, with --refresh that of koboshi refresh." +
			exits(failure.OK, failure.Usage, failure.Configuration),
		Example: "  koboshi iam-policy >role-policy.json\n  koboshi iam-policy --publish --source s3://acme-releases/apps --app web\n" +
			"  koboshi iam-policy --publish --role promoter --partition aws-cn\n" +
			"  koboshi iam-policy --guard --source s3://acme-releases/apps --app web --group web --codedeploy shop/web-blue-green",
		GroupID: forImage,
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return c.runIAMPolicy(o) },
	}
	cmd.Flags().StringVar(&o.partition, "partition", o.partition, "`name` of AWS's partition: "+strings.Join(iam.Partitions, ", "))
	cmd.Flags().BoolVar(&o.publish, "publish", false, "for the release side")
	cmd.Flags().BoolVar(&o.bucket, "bucket-policy", false, "print the policy of the bucket that has the node ids, which goes beside the role's")
	cmd.Flags().BoolVar(&o.guard, "guard", false, "for koboshi guard")
	cmd.Flags().BoolVar(&o.fleet, "fleet", false, "for koboshi fleet and koboshi rollout status")
	cmd.Flags().BoolVar(&o.prune, "prune", false, "for koboshi releases prune and koboshi releases keep")
	cmd.Flags().BoolVar(&o.refresh, "refresh", false, "for koboshi refresh; a rollback that moves the channel also needs --publish --role promoter")
	cmd.Flags().StringArrayVar(&o.groups, "group", nil, "with --guard or --refresh: an Auto Scaling `group`; default: every group")
	cmd.Flags().StringArrayVar(&o.deploys, "codedeploy", nil, "with --guard: a deployment group of CodeDeploy, `APP/GROUP`")
	cmd.Flags().StringVar(&o.source, "source", "", "with --publish, --prune, --guard or --fleet: `s3://bucket/prefix` instead of the sources of the configuration")
	cmd.Flags().StringVar(&o.app, "app", "", "with --source: the `app`")
	cmd.Flags().StringVar(&o.role, "role", "", "with --publish: only what this `ROLE` writes: "+publisher+" (releases) or "+promoter+" (channels); default: both")
	cmd.Flags().StringArrayVar(&o.keys, "sse-kms-key-id", nil, "`ARN` of a KMS key that the releases are encrypted with; repeat it for several sources")
	cmd.Flags().StringArrayVar(&o.signing, "sign-kms-key-id", nil, "with --publish: `ARN` of a KMS key that signs, as --key awskms:ARN; repeat it for several")
	oneOf(cmd, false, "bucket-policy", "publish", "guard", "fleet", "prune", "refresh")
	excludes(cmd, "bucket-policy", "source", "app", "role", "sse-kms-key-id", "sign-kms-key-id")
	return cmd
}

func (c *cli) runIAMPolicy(o policyOptions) error {
	if err := o.check(); err != nil {
		return usage(err)
	}
	if o.refresh {
		return c.ui.printJSON(iam.New(group.RefreshStatements(o.partition, o.groups)...))
	}
	if o.source != "" && o.guard {
		return c.printGuardPolicy(o, places(o.app, o.source))
	}
	if o.source != "" && o.fleet {
		return c.ui.printJSON(fleetPolicy(o.partition, places(o.app, o.source)))
	}
	if o.source != "" {
		return c.printPublisherPolicy(o, places(o.app, o.source))
	}
	cfg, err := c.loadConfig()
	if (o.publish || o.prune) && errors.Is(err, fs.ErrNotExist) {
		return failure.WithHint(err, "--source and --app need no configuration: koboshi iam-policy "+o.purpose()+" --source s3://BUCKET/PREFIX --app APP")
	}
	if err != nil {
		return err
	}
	if o.publish || o.prune {
		return c.printPublisherPolicy(o, places(cfg.App, cfg.Source...))
	}
	if o.guard {
		return c.printGuardPolicy(o, places(cfg.App, cfg.Source[:1]...))
	}
	if o.fleet {
		return c.ui.printJSON(fleetPolicy(o.partition, places(cfg.App, cfg.ReportTo())))
	}
	if o.bucket {
		return c.printBucketPolicy(o.partition, cfg.NodeID)
	}
	return c.ui.printJSON(instancePolicy(o.partition, cfg, o.keys...))
}

func (c *cli) printPublisherPolicy(o policyOptions, all []s3.Place) error {
	if len(all) == 0 {
		return failure.WithHint(failure.Mark(errors.New("no source is s3://: there is nothing to allow"), failure.ErrConfiguration), "publishing to a directory needs no AWS")
	}
	if o.prune {
		return c.ui.printJSON(prunePolicy(o, all))
	}
	return c.ui.printJSON(publisherPolicy(o, all))
}

// purpose is the flag that asks for a policy of the release side.
func (o policyOptions) purpose() string {
	if o.prune {
		return "--prune"
	}
	return "--publish"
}

// prunePolicy allows the calls of koboshi releases prune and keep: to read everything,
// to write marks, and to delete what is not one.
func prunePolicy(o policyOptions, all []s3.Place) iam.Policy {
	return iam.New(slices.Concat(
		s3.Statements(o.partition, "Read", s3.ReadActions, all...),
		s3.PruneStatements(o.partition, retire.Name, all...),
		s3.KeyStatements(o.keys, s3.WriteKeyActions...))...)
}

// printGuardPolicy allows the calls of koboshi guard. A lock in a directory needs none
// of S3.
func (c *cli) printGuardPolicy(o policyOptions, all []s3.Place) error {
	for n := range all {
		all[n].Prefix = path.Join(all[n].Prefix, guard.Directory)
	}
	return c.ui.printJSON(iam.New(slices.Concat(
		s3.Statements(o.partition, "Guard", []string{"s3:GetObject", "s3:PutObject"}, all...),
		s3.KeyStatements(o.keys, s3.WriteKeyActions...),
		group.Statements(o.partition, o.groups, o.deploys))...))
}

// fleetPolicy allows the calls of koboshi fleet and koboshi rollout status.
func fleetPolicy(partition string, all []s3.Place) iam.Policy {
	return iam.New(append(s3.Statements(partition, "Fleet", s3.ReadActions, all...), group.ReadStatements()...)...)
}

func (c *cli) printBucketPolicy(partition string, n config.NodeID) error {
	t := n.Table
	switch {
	case !n.On():
		return failure.WithHint(failure.Mark(errors.New("node_id.scope is not set: there are no node ids to protect"), failure.ErrConfiguration), "koboshi help node-ids")
	case t.Kind != config.TableS3:
		return failure.WithHint(failure.Mark(fmt.Errorf("node_id.table %s is not in a bucket: there is no policy of one", t), failure.ErrConfiguration), "the role's policy is enough: without --bucket-policy")
	}
	return c.ui.printJSON(iam.New(lease.BucketStatements(partition, t.Bucket, t.Prefix)...))
}

var keyARN = regexp.MustCompile(`^arn:([a-z-]+):kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)

func (o policyOptions) check() error {
	if !slices.Contains(iam.Partitions, o.partition) {
		return fmt.Errorf("--partition %q, want one of %s", o.partition, strings.Join(iam.Partitions, ", "))
	}
	if o.refresh {
		return o.checkRefresh()
	}
	switch {
	case !o.publish && !o.prune && !o.guard && !o.fleet && (o.source != "" || o.app != "" || o.role != ""):
		return errors.New("--source, --app and --role are for --publish; an instance's policy follows its configuration")
	case !o.publish && len(o.signing) > 0:
		return errors.New("--sign-kms-key-id is for --publish")
	case !o.publish && o.role != "":
		return errors.New("--role is for --publish")
	case !o.guard && len(o.groups)+len(o.deploys) > 0:
		return errors.New("--codedeploy is for --guard, and --group for --guard and --refresh")
	case (o.source == "") != (o.app == ""):
		return errors.New("--source and --app go together")
	case o.role != "" && o.role != publisher && o.role != promoter:
		return fmt.Errorf("--role %q, want %s or %s", o.role, publisher, promoter)
	}
	if o.source != "" {
		if err := artifacts.CheckName(o.app); err != nil {
			return fmt.Errorf("--app: %w", err)
		}
		if err := config.CheckSource(o.source); err != nil {
			return fmt.Errorf("--source: %w", err)
		}
	}
	return o.checkKeys()
}

func (o policyOptions) checkRefresh() error {
	if o.source != "" || o.app != "" || o.role != "" || len(o.keys)+len(o.signing)+len(o.deploys) > 0 {
		return errors.New("--refresh is combined with --group and --partition only: it is about no bucket")
	}
	return nil
}

func (o policyOptions) checkKeys() error {
	for i, key := range slices.Concat(o.keys, o.signing) {
		flag := "--sse-kms-key-id"
		if i >= len(o.keys) {
			flag = "--sign-kms-key-id"
		}
		switch arn := keyARN.FindStringSubmatch(key); {
		case arn == nil:
			return failure.WithHint(fmt.Errorf("%s %q is not the ARN of a key, as a policy needs it", flag, key), "aws kms describe-key --key-id ID-OR-ALIAS --query KeyMetadata.Arn prints it")
		case arn[1] != o.partition:
			return fmt.Errorf("%s %s is in partition %s, not in %s: see --partition", flag, key, arn[1], o.partition)
		}
	}
	return nil
}

// instancePolicy allows the agent's calls, and nothing more. The keys are those of
// KMS with which releases are encrypted.
func instancePolicy(partition string, cfg *config.Config, keys ...string) iam.Policy {
	return iam.New(slices.Concat(
		s3.Statements(partition, "Releases", s3.ReadActions, places(cfg.App, cfg.Source...)...),
		recordStatements(partition, cfg),
		s3.KeyStatements(keys, keyActions(cfg)...),
		nodeStatements(partition, cfg.NodeID),
		lifecycle.Statements(partition, cfg.Lifecycle.Group),
		lifecycle.StackStatements(partition, cfg.Signal.Stack),
		balancerStatements(cfg.Drain))...)
}

// keyActions are an instance's with a KMS key: it writes objects only where it has a
// node id, or health records.
func keyActions(cfg *config.Config) []string {
	if cfg.NodeID.Table.Kind == config.TableS3 || cfg.Fleet.Report {
		return s3.WriteKeyActions
	}
	return s3.ReadKeyActions
}

// recordStatements are for the health records of an instance: it writes its own, and
// nothing keeps it from another's.
func recordStatements(partition string, cfg *config.Config) []iam.Statement {
	if !cfg.Fleet.Report {
		return nil
	}
	return s3.PutSmallStatements(partition, "HealthRecords", strings.TrimSuffix(census.Directory, "/"), places(cfg.App, cfg.ReportTo())...)
}

// nodeStatements are for the node id of an instance.
func nodeStatements(partition string, n config.NodeID) []iam.Statement {
	switch t := n.Table; t.Kind {
	case config.TableS3:
		return lease.ObjectStatements(partition, t.Bucket, t.Prefix, n.Scope)
	case config.TableDynamoDB:
		return lease.ItemStatements(partition, t.Region, t.Name, n.Scope)
	}
	return nil
}

// balancerStatements are for the target groups that a drain waits for.
func balancerStatements(d config.Drain) []iam.Statement {
	if len(d.TargetGroups) == 0 {
		return nil
	}
	return balancer.Statements(d.TargetGroups, d.Deregister != config.DeregisterNever)
}

// publisherPolicy allows the calls of publish, promote, sign and releases, or with
// a role those that write releases, or those that write channels.
func publisherPolicy(o policyOptions, all []s3.Place) iam.Policy {
	written := map[string]string{publisher: "releases", promoter: "channels"}[o.role]
	if written == "" {
		return iam.New(slices.Concat(s3.Statements(o.partition, "Publish", s3.WriteActions, all...),
			s3.KeyStatements(o.keys, s3.WriteKeyActions...), signer.Statements(o.signing))...)
	}
	return iam.New(slices.Concat(
		s3.Statements(o.partition, "Read", s3.ReadActions, all...),
		s3.PutStatements(o.partition, "Write", written, all...),
		s3.KeyStatements(o.keys, s3.WriteKeyActions...), signer.Statements(o.signing))...)
}

// places are where the app's objects are, in every source of S3.
func places(app string, sources ...string) (all []s3.Place) {
	for _, source := range sources {
		u, err := url.Parse(source)
		if err != nil || u.Scheme != "s3" {
			continue // the source was checked: it is a directory or a web server
		}
		all = append(all, s3.Place{Bucket: u.Host, Prefix: path.Join(strings.Trim(u.Path, "/"), app)})
	}
	return all
}
