package doctor

import (
	"errors"
	"fmt"
	"time"

	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
	"koboshi/artifacts/bucket"
)

const (
	allowDescribe = "allow autoscaling:DescribeAutoScalingInstances on *; koboshi iam-policy prints what is needed"
	allowHooks    = "allow autoscaling:DescribeLifecycleHooks on *; koboshi iam-policy prints what is needed"
	allowBeat     = "allow autoscaling:RecordLifecycleActionHeartbeat on the group; koboshi iam-policy prints what is needed"
)

// errNobody is why there is nothing to ask about a hook.
var errNobody = errors.New("no group, so nobody to tell")

// groupIsKnown is about DescribeAutoScalingInstances, tried, and what it says.
func groupIsKnown(f *facts) []Finding {
	m, named := f.group.value, f.config.Lifecycle.Group
	switch err := f.group.err; {
	case errors.Is(err, bucket.ErrDenied) && named != "":
		return warning(allowDescribe, "group %s; DescribeAutoScalingInstances is refused, and with it telling a hook that is over from one to come: %v", named, err)
	case errors.Is(err, bucket.ErrDenied):
		return failure(allowDescribe, "which group this instance is in cannot be asked: %v", err)
	case err != nil:
		return unknown(err)
	case m.group == "" && named == "":
		return fine("this instance is in no Auto Scaling group: there is nobody to tell")
	case m.group == "":
		return warning("drop lifecycle.group, which is found out where there is one", "Auto Scaling does not know this instance, while its group is said to be %s", named)
	case named != "" && m.group != named:
		return failure("drop lifecycle.group, which is found out", "this instance is in group %s, not in %s", m.group, named)
	}
	return fine("group %s, %s", m.group, m.state)
}

// maxWait and maxBeats are AWS's limits of a whole wait, whatever heartbeats
// are sent.
const (
	maxWait  = 48 * time.Hour
	maxBeats = 100
)

// hookOutlastsBoot is about DescribeLifecycleHooks, tried, and the hook's
// timeouts against the deadline of a boot.
func hookOutlastsBoot(f *facts) []Finding {
	hook, deadline := f.launchHook(), time.Duration(f.config.Lifecycle.Deadline)
	switch err := f.hook.err; {
	case f.group.err != nil && hook.Group == "":
		return unknown(f.group.err)
	case hook.Hook == "":
		return fine("no launch hook is configured: there is nobody to tell")
	case hook.Group == "":
		return fine("%v", errNobody)
	case errors.Is(err, lifecycle.ErrNoHook):
		return warning("aws autoscaling put-lifecycle-hook adds it, or correct lifecycle.launch_hook", "group %s has no hook %s: instances come into service before the app does", hook.Group, hook.Hook)
	case errors.Is(err, bucket.ErrDenied):
		return failure(allowHooks, "the hook's timeout cannot be asked, so a long boot gets no heartbeats: %v", err)
	case err != nil:
		return unknown(err)
	}
	timeout := f.hook.value
	longest := min(maxWait, maxBeats*timeout)
	silent := time.Duration(f.config.Lifecycle.HeartbeatAfter + f.config.Lifecycle.ContinueJitter)
	switch {
	case longest < deadline:
		return failure("raise the hook's heartbeat timeout or lower lifecycle.deadline", "hook %s ends after %s whatever is sent, before lifecycle.deadline (%s)", hook, report.Duration(longest), report.Duration(deadline))
	case timeout < deadline && errors.Is(f.heartbeat.err, bucket.ErrDenied):
		return failure(allowBeat, "hook %s ends after %s, before lifecycle.deadline (%s), since no heartbeat may be sent", hook, report.Duration(timeout), report.Duration(deadline))
	case timeout <= silent:
		return failure("raise the hook's heartbeat timeout, or lower lifecycle.heartbeat_after or lifecycle.continue_jitter",
			"hook %s waits %s, and the first heartbeat may come only after lifecycle.heartbeat_after + lifecycle.continue_jitter (%s)", hook, report.Duration(timeout), report.Duration(silent))
	}
	return fine("hook %s waits %s from heartbeat to heartbeat, %s in all; lifecycle.deadline is %s", hook, report.Duration(timeout), report.Duration(longest), report.Duration(deadline))
}

// noHook is why a call on the hook was not tried, or nil.
func (f *facts) noHook() error {
	hook := f.launchHook()
	switch {
	case f.group.err != nil && hook.Group == "":
		return f.group.err
	case hook.Group == "" || hook.Hook == "":
		return errNobody
	case errors.Is(f.hook.err, lifecycle.ErrNoHook):
		return fmt.Errorf("%w %s", lifecycle.ErrNoHook, hook)
	}
	return nil
}

// heartbeatIsAllowed judges a heartbeat that was sent: AWS looks at the
// permission first, and only then whether anything waits.
func heartbeatIsAllowed(f *facts) []Finding {
	if why := f.noHook(); errors.Is(why, errNobody) {
		return fine("%v", why)
	} else if why != nil {
		return unknown(why)
	}
	switch err := f.heartbeat.err; {
	case err == nil:
		return fine("RecordLifecycleActionHeartbeat is allowed; the hook waits for this instance, and its timeout began anew")
	case errors.Is(err, lifecycle.ErrNoAction):
		return fine("RecordLifecycleActionHeartbeat is allowed")
	case errors.Is(err, bucket.ErrDenied):
		return failure(allowBeat, "no heartbeat may be sent: %v", err)
	case errors.Is(err, lifecycle.ErrForeignHook):
		return failure("give koboshi a hook of its own: lifecycle.launch_hook", "%v", err)
	default:
		return unknown(err)
	}
}

// completeIsAllowed goes by what happened: the call cannot be tried without
// ending a wait.
func completeIsAllowed(f *facts) []Finding {
	if why := f.noHook(); errors.Is(why, errNobody) {
		return fine("%v", why)
	} else if why != nil {
		return unknown(why)
	}
	if told := f.state.value.For(f.who.value.ID).Signalled; told != nil && told.Result != "" {
		return fine("CompleteLifecycleAction was allowed when the boot of %s said %s", told.At.UTC().Format(time.RFC3339), told.Result)
	}
	return warning("compare the role's policy with koboshi iam-policy", "CompleteLifecycleAction cannot be tried without ending a wait, and this instance has not called it yet")
}
