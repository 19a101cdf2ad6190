package doctor

import (
	"context"
	"errors"

	"koboshi/agent/census"
	"koboshi/agent/report"
	"koboshi/artifacts/bucket"
)

// askRecords tries whether a health record may be written.
func (f *facts) askRecords(ctx context.Context, b bucket.Bucket) {
	switch {
	case !f.Config.Fleet.Report || b == nil:
	case f.who.err != nil:
		f.records.err = errNoID
	default:
		f.records = ask0(ctx, func(ctx context.Context) error { return census.Probe(ctx, b, f.who.value.ID) })
	}
}

// checkHealthReport is about the health records. No run fails without them.
func checkHealthReport(f *facts) []Finding {
	to := f.Config.ReportTo()
	switch err := f.records.err; {
	case !f.Config.Fleet.Report:
		return nil
	case errors.Is(err, bucket.ErrDenied):
		return warning("koboshi iam-policy prints what the role needs: s3:PutObject on health/*", "%s takes no health record of this instance: %v", to, err)
	case err != nil:
		return unknown(err)
	}
	if was := f.state.value.Reported; was != nil && f.state.value.Instance == f.who.value.ID {
		return fine("health records can be written to %s; the last change was %s ago", to, report.Duration(f.Now.Sub(was.At)))
	}
	return fine("health records can be written to %s; none was written yet", to)
}
