package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"koboshi/agent/failure"
	"koboshi/artifacts"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/publish"
)

type historyFlags struct {
	channel string // "" = the history is not wanted
	last    int
}

func (f *historyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.channel, "history", "", "list the promotions of this `channel`, with --trust: who, when, from what to what, and why")
	cmd.Flags().IntVar(&f.last, "last", 50, "with --history: the newest so `many`")
	excludes(cmd, "history", "amis", "max-age")
	alsoCheck(cmd, func(cmd *cobra.Command) error {
		given := cmd.Flags().Changed
		switch {
		case given("history") && !given("trust"):
			return errors.New("--history needs --trust: without a key nothing in it can be verified")
		case given("last") && !given("history"):
			return errors.New("--last is for --history")
		case f.last < 1:
			return fmt.Errorf("--last %d: want at least 1", f.last)
		}
		return nil
	})
}

// historyJSON is the output of releases --history --json.
type historyJSON struct {
	Channel string      `json:"channel"`
	Entries []entryJSON `json:"entries"`
	Older   int         `json:"older"` // so many entries were not read
}

type entryJSON struct {
	Sequence int64               `json:"sequence"`
	At       time.Time           `json:"at,omitzero"`
	From     *artifacts.Position `json:"from,omitzero"` // left out where the channel was new
	To       *artifacts.Position `json:"to,omitzero"`
	By       []string            `json:"by,omitzero"` // ids of the keys that have signed
	Reason   string              `json:"reason,omitzero"`
	InEffect bool                `json:"in_effect"`
	Verified bool                `json:"verified"`
	Error    string              `json:"error,omitzero"`
}

func (c *cli) listHistory(ctx context.Context, b bucket.Bucket, o releasesOptions, trust artifacts.Trust) error {
	if err := artifacts.CheckName(o.history.channel); err != nil {
		return usage(fmt.Errorf("--history: %w", err))
	}
	h, err := publish.Moves(ctx, b, o.app, o.history.channel, trust, o.history.last)
	if err != nil {
		return err
	}
	if len(h.Entries) == 0 {
		nothing := fmt.Errorf("channel %s of %s has no history", o.history.channel, o.app)
		return failure.WithHint(failure.Mark(nothing, bucket.ErrNotFound), "each promotion by this version or a later one adds to it; koboshi releases lists the channels")
	}
	out := historyJSON{Channel: o.history.channel, Older: h.Older}
	for _, e := range h.Entries {
		row := entryJSON{Sequence: e.Sequence, Error: textOf(e.Err)}
		if e.Err == nil {
			row.At, row.From, row.To, row.By, row.Reason = e.Move.At, e.Move.From, &e.Move.To, e.By, e.Move.Reason
			row.InEffect, row.Verified = e.InEffect, true
		}
		out.Entries = append(out.Entries, row)
	}
	if o.json {
		return c.ui.printJSON(out)
	}
	if newest := h.Entries[0]; h.Pointer != nil && newest.Sequence < h.Pointer.Sequence {
		c.ui.warn(fmt.Sprintf("the channel points to %s with sequence %d, which has no entry: it was promoted by an older koboshi, or the entry was removed", h.Pointer.Version, h.Pointer.Sequence))
	}
	return c.ui.promotions(out)
}

// promotions lists the history of a channel.
func (u *ui) promotions(h historyJSON) error {
	w := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	for _, e := range h.Entries {
		if !e.Verified {
			_, _ = fmt.Fprintf(w, "%d\tnot verified: %s\n", e.Sequence, e.Error) // Flush reports it
			continue
		}
		var short []string
		for _, id := range e.By {
			short = append(short, id[:min(12, len(id))])
		}
		note := e.Reason
		if !e.InEffect {
			note = strings.TrimSpace("not in effect; " + note)
			note = strings.TrimSuffix(note, ";")
		}
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s -> %s\t%s\t%s\n", e.Sequence, e.At.Format(time.RFC3339), position(e.From), position(e.To), strings.Join(short, ", "), cmp.Or(note, "-"))
	}
	err := w.Flush()
	if h.Older > 0 {
		u.printf("and %d older: --last lists more\n", h.Older)
	}
	return err
}

// position is what a channel pointed to.
func position(p *artifacts.Position) string {
	switch {
	case p == nil:
		return "new channel"
	case p.Next != nil:
		return p.Version + ", " + share(p.Next)
	}
	return p.Version
}
