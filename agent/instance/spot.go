package instance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// SpotAction is what EC2 is about to do with a Spot Instance. The zero SpotAction
// is none.
type SpotAction struct {
	Action string    `json:"action"` // terminate, stop or hibernate
	Time   time.Time `json:"time"`   // when, UTC
}

// SpotAction returns the interruption notice of a Spot Instance, the zero value
// where there is none.
//
// Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
func (m *Metadata) SpotAction(ctx context.Context) (SpotAction, error) {
	var a SpotAction
	found, err := m.document(ctx, "spot/instance-action", &a)
	switch {
	case err != nil || !found:
		return SpotAction{}, err
	case a.Time.IsZero() || a.Action != "terminate" && a.Action != "stop" && a.Action != "hibernate":
		return SpotAction{}, fmt.Errorf("read spot/instance-action: %w: action %.32q at %s", ErrMalformed, a.Action, a.Time.Format(time.RFC3339))
	}
	return a, nil
}

// Rebalance returns when EC2 began to recommend that the instance is replaced, zero
// where it does not.
//
// Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
func (m *Metadata) Rebalance(ctx context.Context) (time.Time, error) {
	var notice struct {
		Time time.Time `json:"noticeTime"`
	}
	found, err := m.document(ctx, "events/recommendations/rebalance", &notice)
	switch {
	case err != nil || !found:
		return time.Time{}, err
	case notice.Time.IsZero():
		return time.Time{}, fmt.Errorf("read events/recommendations/rebalance: %w: no time", ErrMalformed)
	}
	return notice.Time, nil
}

// maxDocument bounds a document of metadata, in bytes.
const maxDocument = 4096

// document reads a JSON document into out. Members that it does not have are
// ignored: EC2 may add some.
func (m *Metadata) document(ctx context.Context, path string, out any) (found bool, err error) {
	text, err := m.metadata(ctx, path)
	switch {
	case errors.Is(err, errNotFound):
		return false, nil
	case err != nil:
		return false, err
	case len(text) > maxDocument:
		return false, fmt.Errorf("read %s: %w: %d bytes", path, ErrMalformed, len(text))
	}
	if err := json.Unmarshal(text, out); err != nil {
		return false, fmt.Errorf("read %s: %w: %.64q", path, ErrMalformed, text)
	}
	return true, nil
}
