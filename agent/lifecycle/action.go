package lifecycle

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"
)

var (
	// ErrNotCompleted is a lifecycle action that could not be completed.
	ErrNotCompleted = errors.New("the lifecycle action could not be completed")
	// ErrNoHook is a group without the lifecycle hook.
	ErrNoHook = errors.New("no such lifecycle hook")
	// ErrForeignHook is a lifecycle hook of CodeDeploy, which alone may complete its actions.
	ErrForeignHook = errors.New("lifecycle hook belongs to CodeDeploy")
	// ErrDenied is a call that the instance's role may not make.
	ErrDenied = errors.New("access denied")
	// ErrNoAction is an instance that is not waiting: not yet, or no longer.
	ErrNoAction = errors.New("no active lifecycle action")
)

// Action is a lifecycle action: an instance that waits in a lifecycle hook of its
// group. The zero Action is none.
type Action struct {
	Group    string
	Hook     string // name of the lifecycle hook
	Instance string // instance id
}

// Result is how an action is completed. At scale-in both end in termination, but
// Abandon stops the group's other lifecycle hooks.
type Result string

// The results of a lifecycle action.
const (
	Continue Result = "CONTINUE"
	Abandon  Result = "ABANDON"
)

// check refuses actions that are not ours to complete.
func (a Action) check() error {
	switch {
	case strings.HasPrefix(a.Hook, "CodeDeploy-managed-"):
		return fmt.Errorf("lifecycle hook %s: %w", a.Hook, ErrForeignHook)
	case a.Group == "" || a.Hook == "" || a.Instance == "":
		return fmt.Errorf("lifecycle hook %q of group %q for instance %q: a name is missing", a.Hook, a.Group, a.Instance)
	}
	return nil
}

// String returns group/hook, for messages.
func (a Action) String() string { return a.Group + "/" + a.Hook }

// explain gives the service's refusals a class. AWS has no separate error code
// for an action that is not active.
func explain(err error) error {
	refusal, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return err
	}
	switch code := refusal.ErrorCode(); {
	case code == "ValidationError" && strings.Contains(refusal.ErrorMessage(), "No active Lifecycle Action"):
		return ErrNoAction
	case code == "AccessDenied", code == "AccessDeniedException", code == "UnauthorizedOperation":
		return fmt.Errorf("%w: %s (%s)", ErrDenied, refusal.ErrorMessage(), code)
	}
	return err
}
