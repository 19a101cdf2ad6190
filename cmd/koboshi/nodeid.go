package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/config"
	"koboshi/agent/failure"
	"koboshi/agent/instance"
	"koboshi/agent/lease"
	"koboshi/artifacts/bucket"
)

func (c *cli) nodeID() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node-id",
		Short: "show, list, plan and release node ids",
		Long: "Show the node id of this machine, list those of a scope, check that there are enough of them,\n" +
			"try out the table, or release an id.",
		GroupID: onInstance,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage(errors.New("node-id: want " + list(nodeIDCommands, "or")))
		},
	}
	cmd.AddCommand(c.nodeIDShow(), c.nodeIDList(), c.nodeIDPlan(), c.nodeIDInit(), c.nodeIDRelease())
	return cmd
}

var nodeIDCommands = []string{"show", "list", "plan", "init", "release"}

// idsOptions are the ids that a command is about: those of the configuration, or with
// --table those of the flags.
type idsOptions struct {
	table, scope string
	ids          idRange
	json         bool
}

func (o *idsOptions) addTable(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&o.table, "table", "", "`URL` of the table, s3://bucket/prefix or dynamodb://table, with ?region=R where needed; then no configuration is read")
	cmd.Flags().StringVar(&o.scope, "scope", "", "the `scope`; default: that of the configuration")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (o *idsOptions) addRange(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().Var(&o.ids, "range", "the `first-last` id that the scope has, such as 0-1023; default: those of the configuration")
	return o.addTable(cmd)
}

// scope is a set of ids, and what its configuration says of them.
type scope struct {
	config.NodeID
	ids   lease.IDs
	known bool // what ids there are; else every id that there can be is one
}

// scopeOf reads what the options are about.
func (c *cli) scopeOf(o idsOptions) (s scope, err error) {
	if o.table == "" {
		s, err = c.configuredScope(o.scope)
	} else {
		s, err = flaggedScope(o)
	}
	if err != nil {
		return s, err
	}
	if o.ids.given {
		s.ids, s.known = lease.IDs{First: o.ids.first, Last: o.ids.last}, true
	}
	return s, nil
}

func flaggedScope(o idsOptions) (s scope, err error) {
	if o.scope == "" {
		return s, usage(errors.New("--scope is missing: it goes with --table"))
	}
	if s.Table, err = config.ParseTable(o.table); err != nil {
		return s, usage(fmt.Errorf("--table: %w", err))
	}
	if err := lease.CheckScope(o.scope); err != nil {
		return s, usage(fmt.Errorf("--scope: %w", err))
	}
	s.Scope, s.ids = o.scope, everyID
	return s, nil
}

// everyID are all ids that any scope can have.
var everyID = lease.IDs{Last: lease.MaxID}

// configuredScope is that of the configuration, or another one of its table, of which it
// is not known what ids it has.
func (c *cli) configuredScope(other string) (s scope, err error) {
	cfg, err := c.loadConfig()
	if errors.Is(err, fs.ErrNotExist) {
		return s, failure.WithHint(err, "--table and --scope need no configuration: --table s3://BUCKET/PREFIX --scope SCOPE")
	}
	if err != nil {
		return s, err
	}
	if !cfg.NodeID.On() {
		return s, c.noNodeIDs(cfg)
	}
	s.NodeID = cfg.NodeID
	if other == "" || other == s.Scope {
		s.ids, s.known = lease.IDs{First: s.Range[0], Last: s.Range[1], Reserved: s.Reserved}, true
		return s, nil
	}
	if err := lease.CheckScope(other); err != nil {
		return s, usage(fmt.Errorf("--scope: %w", err))
	}
	s.NodeID, s.ids = config.NodeID{Scope: other, Table: s.Table}, everyID
	return s, nil
}

// idRange is the value of --range.
type idRange struct {
	first, last int
	given       bool
}

func (r idRange) String() string {
	if !r.given {
		return ""
	}
	return fmt.Sprintf("%d-%d", r.first, r.last)
}

// Type implements pflag.Value.
func (r idRange) Type() string { return "range" }

// Set implements pflag.Value.
func (r *idRange) Set(text string) error {
	first, last, _ := strings.Cut(text, "-")
	from, err := strconv.ParseUint(first, 10, 20)
	to, err2 := strconv.ParseUint(last, 10, 20)
	if err != nil || err2 != nil || from > to {
		return fmt.Errorf("want the first id and the last, within 0-%d, such as 0-1023", lease.MaxID)
	}
	*r = idRange{int(from), int(to), true}
	return nil
}

// maxClockSkew is how far the clock of a table may be from this machine's: further, a
// machine refuses to claim and to renew.
const maxClockSkew = 2 * time.Minute

// millis is a moment as items have it.
func millis(t time.Time) lease.Millis { return t.UnixMilli() }

// openIDs opens the table of a scope, with region and credentials of the environment, or
// of the instance.
func openIDs(ctx context.Context, s scope) (lease.Table, error) {
	cfg, err := loadAWS(ctx, s.Table.String()+s.Scope)
	if err != nil {
		return nil, err
	}
	metadata, region := instance.New(instance.Options{}), s.Table.Region
	if region == "" && cfg.Region == "" {
		if region, err = regionHere(ctx, metadata); err != nil {
			return nil, failure.WithHint(failure.Mark(fmt.Errorf("no AWS region is set, and this is no instance: %w", err), failure.ErrConfiguration), "set AWS_REGION to the table's region, or write it behind the table: ?region=eu-west-1")
		}
	}
	return openTable(forInstance(cfg, metadata, region), s.Table, s.Scope)
}

// regionHere is the region of the instance that this is.
func regionHere(ctx context.Context, metadata *instance.Metadata) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, builderPatience)
	defer cancel()
	who, err := metadata.Identity(ctx)
	return who.Region, err
}

// ofTable gives an error of a table of node ids the hint that fits there: what the rights
// of a release say elsewhere does not.
func ofTable(err error) error {
	switch {
	case errors.Is(err, bucket.ErrDenied):
		return failure.WithHint(err, "koboshi iam-policy prints the rights that the table of node ids needs; koboshi node-id init tries them out")
	case errors.Is(err, bucket.ErrNotFound):
		return failure.WithHint(err, "compare --table, or node_id.table, with the bucket's name and region")
	}
	return err
}
