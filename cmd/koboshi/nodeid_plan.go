package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/agent/lease"
	"koboshi/agent/report"
)

type planOptions struct {
	idsOptions
	instances, atOnce, zones int
	churn                    churnFlag
	lease, quarantine        time.Duration
}

func (c *cli) nodeIDPlan() *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "check that a scope has enough ids",
		Long: "Check that a scope has enough ids for a number of instances: those that live, those that ended\n" +
			"without a release, whose ids are locked for the lease and the quarantine, and those that are\n" +
			"replaced at once, as by an instance refresh. With --instances nothing is asked of the table;\n" +
			"without it, the instances are those that hold an id now. Where each zone has ids of its own,\n" +
			"which is so with node_id.datacenter or --zones, every zone has to have enough, also while\n" +
			"another zone is away." +
			exits(failure.OK, failure.Found, failure.Usage, failure.Configuration, failure.Credentials, failure.Resolve, failure.Fetch, failure.Interrupted),
		Example: "  koboshi node-id plan\n  koboshi node-id plan --instances 900 --churn 4/h --range 0-1023\n  koboshi node-id plan --instances 60 --zones 3 --range 0-31",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.runNodeIDPlan(cmd.Context(), cmd.Flags().Changed, o)
		},
	}
	cmd.Flags().IntVar(&o.instances, "instances", 0, "instances that live at once; default: those that hold an id")
	cmd.Flags().Var(&o.churn, "churn", "instances that crash, or end without a release: `N/h`, N/d or N/w")
	cmd.Flags().IntVar(&o.atOnce, "at-once", 0, "instances that are replaced at once; default: a tenth, as an instance refresh does")
	cmd.Flags().IntVar(&o.zones, "zones", 0, "availability zones that have ids of their own each, those of --range")
	cmd.Flags().DurationVar(&o.lease, "lease", time.Hour, "how long a `lease` is; default: that of the configuration, or 1h")
	cmd.Flags().DurationVar(&o.quarantine, "quarantine", 5*time.Minute, "the `quarantine` after it; default: that of the configuration, or 5m")
	return o.addRange(cmd)
}

// churnFlag is the value of --churn, an hour.
type churnFlag float64

// spans are the hours that a churn can be counted in.
var spans = map[string]float64{"h": 1, "d": 24, "w": 168}

func (f churnFlag) String() string {
	if f == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(f), 'g', 3, 64) + "/h"
}

// Type implements pflag.Value.
func (f churnFlag) Type() string { return "N/h" }

// Set implements pflag.Value.
func (f *churnFlag) Set(text string) error {
	number, span, _ := strings.Cut(text, "/")
	n, err := strconv.ParseFloat(number, 64)
	if hours := spans[span]; err == nil && hours > 0 && n >= 0 && n <= math.MaxInt32 {
		*f = churnFlag(n / hours)
		return nil
	}
	return fmt.Errorf("want a number in an hour, a day or a week, such as 4/h or 10/d")
}

func (c *cli) runNodeIDPlan(ctx context.Context, given func(flag string) bool, o planOptions) error {
	if o.instances < 0 || o.atOnce < 0 || o.zones < 0 || o.lease <= 0 || o.quarantine < 0 {
		return usage(errors.New("--instances, --at-once, --zones and --quarantine are at least 0, and --lease is more"))
	}
	s, err := c.plannedScope(given, o)
	if err != nil {
		return err
	}
	d := lease.Demand{Live: o.instances, Crashes: float64(o.churn), Locked: s.locked(given, o), AtOnce: o.atOnce}
	if !given("instances") {
		if d.Live, err = c.holders(ctx, s); err != nil {
			return err
		}
	}
	if !given("at-once") {
		d.AtOnce = (d.Live + 9) / 10
	}
	p := capacityOf(s, d, o.zones)
	if o.json {
		err = c.ui.printJSON(p)
	} else {
		c.ui.capacity(p, d)
	}
	return errors.Join(p.verdict(), err)
}

// plannedScope needs no configuration where the flags say everything.
func (c *cli) plannedScope(given func(flag string) bool, o planOptions) (s scope, err error) {
	if o.ids.given && given("instances") && o.table == "" {
		return scope{ids: lease.IDs{First: o.ids.first, Last: o.ids.last}, known: true}, nil
	}
	s, err = c.scopeOf(o.idsOptions)
	if errors.Is(err, fs.ErrNotExist) {
		return s, failure.WithHint(err, "--instances and --range need no configuration: koboshi node-id plan --instances N --range 0-1023")
	}
	if err == nil && !s.known {
		err = usage(errors.New("--range is missing: it is not known which ids the scope has"))
	}
	return s, err
}

// locked is for how long an id is locked after its instance has crashed.
func (s scope) locked(given func(flag string) bool, o planOptions) time.Duration {
	if s.Lease == 0 { // no configuration was read
		return o.lease + o.quarantine
	}
	if !given("lease") {
		o.lease = time.Duration(s.Lease)
	}
	if !given("quarantine") {
		o.quarantine = time.Duration(s.Quarantine)
		if s.Aware { // its app uses nothing after the end
			o.quarantine = 0
		}
	}
	return o.lease + o.quarantine
}

// holders counts the instances that hold an id of the scope now.
func (c *cli) holders(ctx context.Context, s scope) (int, error) {
	t, err := openIDs(ctx, s)
	if err != nil {
		return 0, err
	}
	found, err := lease.Survey(ctx, t, s.ids.First, s.ids.Last, c.ui.requests())
	if err != nil {
		return 0, ofTable(fmt.Errorf("read %s: %w", t, err))
	}
	now, _ := clockOf(found, time.Now())
	return listIDs(s, t.String(), found, now).Held, nil
}

// capacityJSON is the output of node-id plan --json. Where there are zones, IDs and Needed are
// those of each, and OneAway what is needed in each while another zone is away.
type capacityJSON struct {
	IDs           int   `json:"ids"`
	Zones         int   `json:"zones,omitzero"`
	Live          int   `json:"live"`
	Crashed       int   `json:"crashed"` // locked after crashes
	LockedSeconds int64 `json:"locked_seconds"`
	AtOnce        int   `json:"at_once"`
	Needed        int   `json:"needed"`
	OneAway       int   `json:"needed_one_zone_away,omitzero"`
	Holds         bool  `json:"holds"`
}

func capacityOf(s scope, d lease.Demand, zones int) capacityJSON {
	ids := s.ids.Count()
	if zones == 0 && len(s.Datacenter) > 0 {
		zones, ids = len(s.Datacenter), s.fewestInZone()
	}
	each, away := d.InZones(zones)
	p := capacityJSON{IDs: ids, Zones: zones, Live: d.Live, Crashed: d.Crashed(), LockedSeconds: int64(d.Locked / time.Second), AtOnce: d.AtOnce, Needed: each, Holds: away <= ids}
	if zones > 1 {
		p.OneAway = away
	}
	return p
}

// fewestInZone is how many ids the zone has that has the fewest.
func (s scope) fewestInZone() int {
	fewest := math.MaxInt
	for zone := range s.Datacenter {
		first, last, err := s.Within(zone)
		if err != nil {
			continue // the zone is in the map
		}
		fewest = min(fewest, lease.IDs{First: first, Last: last, Reserved: s.ids.Reserved}.Count())
	}
	return fewest
}

// most is what is needed at the worst moment.
func (p capacityJSON) most() int { return max(p.Needed, p.OneAway) }

// verdict is an error where the ids do not suffice.
func (p capacityJSON) verdict() error {
	if p.Holds {
		return nil
	}
	where, hint := "", "widen node_id.range, shorten node_id.lease, or have instances release: koboshi watch does at scale-in"
	if p.Zones > 1 {
		where, hint = " in a zone", "ids of one range for all zones, with node_id.split and no node_id.datacenter, give the same two numbers and need fewer"
	}
	found := fmt.Errorf("%s too few%s: %d needed, %d there", count(p.most()-p.IDs, "id", "ids"), where, p.most(), p.IDs)
	return failure.WithHint(failure.Mark(found, failure.ErrFound), hint)
}

// full is the share of the ids, in percent, above which there is hardly room for more.
const full = 80

func (u *ui) capacity(p capacityJSON, d lease.Demand) {
	of, each := "", ""
	if p.Zones > 1 {
		of, each = fmt.Sprintf(" in each of %d zones", p.Zones), " in each zone"
	}
	u.row("ids", "%d%s", p.IDs, of)
	u.row("live", "%d", p.Live)
	u.row("crashed", "%d: %s, each locks its id for %s", p.Crashed, cmp.Or(churnFlag(d.Crashes).String(), "no crashes"), report.Duration(d.Locked))
	u.row("at-once", "%d", p.AtOnce)
	u.row("needed", "%d%s", p.Needed, each)
	if p.OneAway > 0 {
		u.row("one-away", "%d%s, while another one is away", p.OneAway, each)
	}
	if p.Holds {
		percent := 100 * p.most() / p.IDs
		u.row("holds", "%d %% of the ids are needed", percent)
		if percent >= full {
			u.warn(fmt.Sprintf("%d %% of the ids are needed: there is hardly room for more instances", percent))
		}
	}
}
