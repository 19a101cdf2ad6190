package instance

import (
	"context"
	"errors"
	"fmt"
	"regexp"
)

// statePattern is the grammar of lifecycle states: InService, Warmed:Stopped,
// Warmed:Terminating:Retained.
var statePattern = regexp.MustCompile(`^[A-Z][A-Za-z]{0,31}(:[A-Z][A-Za-z]{0,31}){0,2}$`)

// TargetState returns the lifecycle state that the Auto Scaling group wants the
// instance in, such as InService, Terminated or Warmed:Stopped, and "" where the
// instance is in no group. During a whole launch it is InService, the target.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
func (m *Metadata) TargetState(ctx context.Context) (string, error) {
	state, err := m.metadata(ctx, "autoscaling/target-lifecycle-state")
	switch {
	case errors.Is(err, errNotFound):
		return "", nil
	case err != nil:
		return "", err
	case !statePattern.Match(state):
		return "", fmt.Errorf("read autoscaling/target-lifecycle-state: %w: %.64q", ErrMalformed, state)
	}
	return string(state), nil
}
