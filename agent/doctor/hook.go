package doctor

import (
	"errors"
	"fmt"
	"time"

	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
)

const (
	allowDescribe = "allow autoscaling:DescribeAutoScalingInstances on *; koboshi iam-policy prints what is needed"
	allowHooks    = "allow autoscaling:DescribeLifecycleHooks on *; koboshi iam-policy prints what is needed"
	allowBeat     = "allow autoscaling:RecordLifecycleActionHeartbeat on the group; koboshi iam-policy prints what is needed"
)

// errNoAction is why there is nothing to ask about a lifecycle hook.
var errNoAction = errors.New("no group, so no lifecycle action to complete")

// checkGroup is about DescribeAutoScalingInstances, tried, and its answer.
func checkGroup(f *facts) []Finding {
	m, named := f.group.value, f.config.Lifecycle.Group
	switch err := f.group.err; {
	case errors.Is(err, lifecycle.ErrDenied) && named != "":
		return warning(allowDescribe, "group %s; DescribeAutoScalingInstances is refused, so a lifecycle action that is over looks like one to come: %v", named, err)
	case errors.Is(err, lifecycle.ErrDenied):
		return failure(allowDescribe, "the group of this instance is unknown: %v", err)
	case err != nil:
		return unknown(err)
	case m.group == "" && named == "":
		return fine("this instance is in no Auto Scaling group: there is no lifecycle action to complete")
	case m.group == "":
		return warning("an instance that its group gives up, as after ABANDON, is terminated; otherwise remove lifecycle.group: koboshi finds the group where there is one",
			"Auto Scaling does not know this instance, while its tag or lifecycle.group says %s", named)
	case named != "" && m.group != named:
		return failure("remove lifecycle.group: koboshi finds it", "this instance is in group %s, not in %s", m.group, named)
	}
	return fine("group %s, %s", m.group, m.state)
}

// checkTimeout is about DescribeLifecycleHooks, tried, and the hook's
// timeouts against the deadline of a boot.
func checkTimeout(f *facts) []Finding {
	hook, deadline := f.launchHook(), time.Duration(f.config.Lifecycle.Deadline)
	switch err := f.hook.err; {
	case f.group.err != nil && hook.Group == "":
		return unknown(f.group.err)
	case hook.Hook == "":
		return fine("lifecycle.launch_hook is empty: there is no lifecycle action to complete")
	case hook.Group == "":
		return fine("%v", errNoAction)
	case errors.Is(err, lifecycle.ErrNoHook):
		return warning("aws autoscaling put-lifecycle-hook adds it, or correct lifecycle.launch_hook", "group %s has no lifecycle hook %s: instances come into service before the app is healthy", hook.Group, hook.Hook)
	case errors.Is(err, lifecycle.ErrDenied):
		return failure(allowHooks, "the timeout of the lifecycle hook is unknown, so a long boot sends no heartbeats: %v", err)
	case err != nil:
		return unknown(err)
	}
	timeout, longest := f.hook.value.Timeout, f.hook.value.Longest()
	silent := time.Duration(f.config.Lifecycle.HeartbeatAfter + f.config.Lifecycle.ContinueJitter)
	switch {
	case f.hook.value.Terminating:
		return failure("correct lifecycle.launch_hook, or add one: aws autoscaling put-lifecycle-hook", "lifecycle hook %s waits at the end of instances, not at their launch", hook)
	case longest < deadline:
		return failure("raise the lifecycle hook's heartbeat timeout or lower lifecycle.deadline", "lifecycle hook %s ends after %s whatever is sent, before lifecycle.deadline (%s)", hook, report.Duration(longest), report.Duration(deadline))
	case timeout < deadline && errors.Is(f.heartbeat.err, lifecycle.ErrDenied):
		return failure(allowBeat, "lifecycle hook %s ends after %s, before lifecycle.deadline (%s), since no heartbeat may be sent", hook, report.Duration(timeout), report.Duration(deadline))
	case timeout <= silent:
		return failure("raise the lifecycle hook's heartbeat timeout, or lower lifecycle.heartbeat_after or lifecycle.continue_jitter",
			"lifecycle hook %s waits %s, and the first heartbeat may come only after lifecycle.heartbeat_after + lifecycle.continue_jitter (%s)", hook, report.Duration(timeout), report.Duration(silent))
	}
	return fine("lifecycle hook %s waits %s from heartbeat to heartbeat, %s in all; lifecycle.deadline is %s", hook, report.Duration(timeout), report.Duration(longest), report.Duration(deadline))
}

// noHook is why a call on the lifecycle hook was not tried, or nil.
func (f *facts) noHook() error {
	hook := f.launchHook()
	switch {
	case f.group.err != nil && hook.Group == "":
		return f.group.err
	case hook.Group == "" || hook.Hook == "":
		return errNoAction
	case errors.Is(f.hook.err, lifecycle.ErrNoHook):
		return fmt.Errorf("%w %s", lifecycle.ErrNoHook, hook)
	}
	return nil
}

// checkHeartbeat judges a heartbeat that was sent: AWS looks at the
// permission first, and only then whether anything waits.
func checkHeartbeat(f *facts) []Finding {
	if why := f.noHook(); errors.Is(why, errNoAction) {
		return fine("%v", why)
	} else if why != nil {
		return unknown(why)
	}
	switch err := f.heartbeat.err; {
	case err == nil:
		return fine("RecordLifecycleActionHeartbeat is allowed; a lifecycle action waits for this instance, and its timeout began anew")
	case errors.Is(err, lifecycle.ErrNoAction):
		return fine("RecordLifecycleActionHeartbeat is allowed")
	case errors.Is(err, lifecycle.ErrDenied):
		return failure(allowBeat, "no heartbeat may be sent: %v", err)
	case errors.Is(err, lifecycle.ErrForeignHook):
		return failure("give koboshi a lifecycle hook of its own: lifecycle.launch_hook", "%v", err)
	default:
		return unknown(err)
	}
}

// checkComplete goes by what happened: the call cannot be tried without
// ending a wait.
func checkComplete(f *facts) []Finding {
	if why := f.noHook(); errors.Is(why, errNoAction) {
		return fine("%v", why)
	} else if why != nil {
		return unknown(why)
	}
	if done := f.state.value.For(f.who.value.ID).Signalled; done != nil && done.Result != "" {
		return fine("CompleteLifecycleAction was allowed when the boot of %s sent %s", done.At.UTC().Format(time.RFC3339), done.Result)
	}
	return warning("compare the role's policy with koboshi iam-policy", "CompleteLifecycleAction cannot be tried without ending a wait, and this instance has not called it yet")
}
