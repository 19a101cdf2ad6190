package main

import (
	"context"
	"errors"
	"fmt"

	"koboshi/agent/failure"
	"koboshi/agent/report"
	"koboshi/artifacts/bucket"
	"koboshi/artifacts/publish"
)

// checkJSON is one line of releases --check-store.
type checkJSON struct {
	What  string `json:"what"`
	Level string `json:"level"`          // ok, warn or fail
	Found string `json:"found,omitzero"` // what the store did instead
	Needs string `json:"needs,omitzero"` // what depends on it
}

// checkStore tries the features of a store that the commands next to releases
// depend on. A missing feature that nothing depends on is a warning.
func (c *cli) checkStore(ctx context.Context, b bucket.Bucket, o releasesOptions) error {
	ignoreSIGPIPE()
	checks, err := bucket.CheckStore(ctx, b, "channels/")
	if err != nil {
		return fmt.Errorf("check the store: %w", err)
	}
	rows, failed := judged(checks)
	if o.json {
		err = c.ui.printJSON(rows)
	} else {
		c.ui.listChecks(rows)
	}
	if err != nil || failed == 0 {
		return err
	}
	found := errors.New("the store does not do " + count(failed, "thing", "things") + " that koboshi needs")
	return failure.WithHint(failure.Mark(found, failure.ErrFound), "koboshi help network says what is lost with such a store")
}

// judged are checks with their levels, and how many have failed. One that nothing depends
// on is a warning.
func judged(checks []bucket.Check) (rows []checkJSON, failed int) {
	rows = make([]checkJSON, len(checks))
	for i, check := range checks {
		rows[i] = checkJSON{What: check.What, Level: "ok", Found: report.Clean(check.Found, failure.MaxMessage), Needs: check.Needs}
		switch {
		case check.Found == "":
			rows[i].Needs = ""
		case check.Needs == "":
			rows[i].Level = "warn"
		default:
			rows[i].Level = "fail"
			failed++
		}
	}
	return rows, failed
}

func (u *ui) listChecks(rows []checkJSON) {
	for _, r := range rows {
		text := r.What
		if r.Found != "" {
			text += ": " + r.Found
		}
		if r.Needs != "" {
			text += " (so that " + r.Needs + ")"
		}
		u.printf("%-4s  %s\n", r.Level, text)
	}
}

// warnOfStore warns where a document was replaced without compare-and-swap.
func (u *ui) warnOfStore(found publish.Conditions) {
	const so = ": of two promotions or signatures at once one may be lost without an error, so let one run at a time (koboshi help network)"
	switch found {
	case bucket.Ignored:
		u.warn("the store ignores the condition of a write" + so)
	case publish.NoETag:
		u.warn("the store gives no ETag that can be matched" + so)
	case bucket.Unknown:
		u.warn("it is not known whether the store honours the condition of a write, since the write that tries it out was denied (koboshi help network)")
	}
}
