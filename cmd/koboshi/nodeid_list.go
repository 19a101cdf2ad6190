package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/agent/lease"
	"koboshi/agent/report"
)

func (c *cli) nodeIDList() *cobra.Command {
	var o idsOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the ids of a scope: which instance holds each, and until when",
		Long: "List every id of a scope that was ever given: its state, the instance that holds it or held it\n" +
			"last, its generation, when that was stored, until when it may be used, and when it is free for\n" +
			"another one. What is no item of koboshi's is listed with the reason: its id is never given. Of ids\n" +
			"outside the range those are listed that are still held." +
			exits(failure.OK, failure.Usage, failure.Configuration, failure.Credentials, failure.Resolve, failure.Fetch, failure.Interrupted),
		Example: "  koboshi node-id list\n  koboshi node-id list --table s3://acme-releases/apps/web --scope web --range 0-1023",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.runNodeIDList(cmd.Context(), o) },
	}
	return o.addRange(cmd)
}

func (c *cli) runNodeIDList(ctx context.Context, o idsOptions) error {
	s, err := c.scopeOf(o)
	if err != nil {
		return err
	}
	t, err := openIDs(ctx, s)
	if err != nil {
		return err
	}
	found, err := lease.Survey(ctx, t, everyID.First, everyID.Last, c.ui.requests())
	if err != nil {
		return ofTable(fmt.Errorf("list %s: %w", t, err))
	}
	now, skew := clockOf(found, time.Now())
	if skew != 0 {
		c.ui.warn(fmt.Sprintf("this machine's clock differs from the table's by %s: what is free when is by the table's", report.Duration(skew)))
	}
	l := listIDs(s, t.String(), found, now)
	if o.json {
		return c.ui.printJSON(l)
	}
	return c.ui.listIDs(l)
}

// clockOf is the time by which ids are judged: this machine's, or where that is wrong,
// the table's. Then it also returns by how much.
func clockOf(found []lease.Stored, here time.Time) (now time.Time, skew time.Duration) {
	var there time.Time
	for _, s := range found {
		if s.Date.After(there) {
			there = s.Date
		}
	}
	if there.IsZero() || there.Sub(here).Abs() <= maxClockSkew {
		return here, 0
	}
	return there, there.Sub(here).Abs()
}

// idsJSON is the output of node-id list --json. Range and Unused, the ids of it that
// were never given, are absent where it is not known which ids the scope has.
type idsJSON struct {
	Scope   string   `json:"scope"`
	Table   string   `json:"table"`
	Range   []int    `json:"range,omitzero"`
	Held    int      `json:"held"`
	Expired int      `json:"expired"`
	Free    int      `json:"free"`
	Bad     int      `json:"bad"`
	Unused  *int     `json:"unused,omitzero"`
	Outside int      `json:"outside"` // of the range, and still held
	IDs     []idJSON `json:"ids"`
}

// idJSON is an id. FreeSeconds is when a next holder may use it: from now, or since then
// where it is negative.
type idJSON struct {
	ID          int       `json:"id"`
	State       string    `json:"state"` // held, ending, expired or free; bad for what is no item
	Owner       string    `json:"owner,omitzero"`
	Gen         int64     `json:"gen,omitzero"`
	Since       time.Time `json:"since,omitzero"` // when this was stored
	Ends        time.Time `json:"ends,omitzero"`  // its holder uses nothing after that
	FreeSeconds int64     `json:"free_in_seconds"`
	Outside     bool      `json:"outside,omitzero"`
	Reserved    bool      `json:"reserved,omitzero"`
	Why         string    `json:"why,omitzero"`
}

const badID = "bad"

// listIDs judges what was found. Ids outside of the range that are free are left out.
func listIDs(s scope, table string, found []lease.Stored, now time.Time) idsJSON {
	l := idsJSON{Scope: s.Scope, Table: table, IDs: []idJSON{}}
	if s.known {
		l.Range, l.Unused = []int{s.ids.First, s.ids.Last}, new(s.ids.Count())
	}
	for _, stored := range found {
		row := judgeID(stored, now)
		row.Outside = s.known && (row.ID < s.ids.First || row.ID > s.ids.Last)
		row.Reserved = slices.Contains(s.ids.Reserved, row.ID)
		switch state := lease.Standing(row.State); {
		case row.Outside && (state == lease.Unused || state == lease.Expired):
			continue
		case row.Outside && row.State != badID:
			l.Outside++
		default:
			l.count(row)
		}
		l.IDs = append(l.IDs, row)
	}
	return l
}

func (l *idsJSON) count(row idJSON) {
	switch lease.Standing(row.State) {
	case lease.InUse, lease.Ending:
		l.Held++
	case lease.Expired:
		l.Expired++
	case lease.Unused:
		l.Free++
	default:
		l.Bad++
	}
	if l.Unused != nil && !row.Reserved && !row.Outside {
		*l.Unused--
	}
}

func judgeID(s lease.Stored, now time.Time) idJSON {
	row := idJSON{ID: s.ID, State: badID, Since: s.Modified.UTC()}
	if s.Item == nil {
		row.Why = textOf(s.Bad)
		return row
	}
	standing, left := s.Item.Standing(millis(now))
	row.State, row.Owner, row.Gen, row.FreeSeconds = string(standing), report.Clean(s.Item.Owner, report.MaxText), s.Item.Gen, int64(left/time.Second)
	row.Since, row.Ends, row.Why = s.Item.Written.UTC(), time.UnixMilli(s.Item.HW).UTC(), whyFree(standing, left)
	return row
}

// whyFree is when the next holder may use an id, and why then.
func whyFree(s lease.Standing, left time.Duration) string {
	switch {
	case s == lease.InUse:
		return "free in " + report.Duration(left) + ", unless it is renewed"
	case s == lease.Ending:
		return "free in " + report.Duration(left) + ": until then its app may use it, by its own clock"
	case s == lease.Expired:
		return "since " + report.Duration(-left) + ": it was not renewed"
	case left > 0:
		return "the next holder waits " + report.Duration(left) + ": what was used may reach so far"
	}
	return ""
}

func (u *ui) listIDs(l idsJSON) error {
	w := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "id\tstate\towner\tgen\tsince\tends\tnote") // Flush reports an error
	for _, r := range l.IDs {
		gen := "-"
		if r.Gen > 0 {
			gen = strconv.FormatInt(r.Gen, 10)
		}
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.State, cmp.Or(r.Owner, "-"), gen, timeText(r.Since), timeText(r.Ends), r.note())
	}
	if err := w.Flush(); err != nil {
		return err
	}
	u.printf("%s in %s: %s\n", l.Scope, l.Table, l.summary())
	return nil
}

// note is the last column of an id.
func (r idJSON) note() string {
	var notes []string
	if r.Outside {
		notes = append(notes, "outside of the range")
	}
	if r.Reserved {
		notes = append(notes, "reserved")
	}
	if r.Why != "" {
		notes = append(notes, r.Why)
	}
	return cmp.Or(strings.Join(notes, "; "), "-")
}

// summary is how many ids there are of each kind.
func (l idsJSON) summary() string {
	text := fmt.Sprintf("%d held, %d expired, %d free", l.Held, l.Expired, l.Free)
	if l.Bad > 0 {
		text += fmt.Sprintf(", %d no item", l.Bad)
	}
	if l.Unused != nil {
		text += fmt.Sprintf(", %d never given", *l.Unused)
	}
	if l.Outside > 0 {
		text += fmt.Sprintf("; %d held outside of %d-%d", l.Outside, l.Range[0], l.Range[1])
	}
	return text
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Truncate(time.Second).Format(time.RFC3339)
}
