package doctor

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"koboshi/agent/balancer"
	"koboshi/agent/config"
	"koboshi/agent/flush"
	"koboshi/agent/lifecycle"
	"koboshi/agent/report"
)

// lateBeat is how long after its beginning a drain may first see that the lifecycle
// hook waits: the longest pause between two questions, and the question.
const lateBeat = 35 * time.Second

// drains reports whether the configuration asks for more than a stop.
func (f *facts) drains() bool {
	return len(f.Config.Drain.TargetGroups) > 0 || len(f.Config.Drain.Flush) > 0
}

// checkTerminateHook is about the lifecycle hook that waits for a drain. Without one
// the app serves until the machine shuts down.
func checkTerminateHook(f *facts) []Finding {
	hook, deadline := f.terminateHook(), time.Duration(f.config.Drain.Deadline)
	switch err := f.terminate.err; {
	case f.group.err != nil && hook.Group == "":
		return unknown(f.group.err)
	case hook.Group == "":
		return fine("%v", errNoAction)
	case hook.Hook == "":
		return f.noTerminateHook("lifecycle.terminate_hook is empty")
	case errors.Is(err, lifecycle.ErrNoHook):
		return f.noTerminateHook(fmt.Sprintf("group %s has no lifecycle hook %s", hook.Group, hook.Hook))
	case errors.Is(err, lifecycle.ErrDenied):
		return failure(allowHooks, "the timeout of lifecycle hook %s is unknown: %v", hook, err)
	case err != nil:
		return unknown(err)
	}
	timeout, longest := f.terminate.value.Timeout, f.terminate.value.Longest()
	switch {
	case !f.terminate.value.Terminating:
		return failure("correct lifecycle.terminate_hook, or add one: aws autoscaling put-lifecycle-hook", "lifecycle hook %s waits at the launch of instances, not at their end", hook)
	case longest < deadline:
		return failure("raise the lifecycle hook's heartbeat timeout or lower drain.deadline", "lifecycle hook %s ends after %s whatever is sent, before drain.deadline (%s)", hook, report.Duration(longest), report.Duration(deadline))
	case timeout < deadline && errors.Is(f.heartbeat.err, lifecycle.ErrDenied):
		return failure(allowBeat, "lifecycle hook %s ends after %s, before drain.deadline (%s), since no heartbeat may be sent", hook, report.Duration(timeout), report.Duration(deadline))
	case timeout <= lateBeat:
		return failure("raise the lifecycle hook's heartbeat timeout to 60 s or more", "lifecycle hook %s waits %s, and the first heartbeat may come %s after its wait began", hook, report.Duration(timeout), report.Duration(lateBeat))
	}
	return fine("lifecycle hook %s waits %s from heartbeat to heartbeat, %s in all; drain.deadline is %s", hook, report.Duration(timeout), report.Duration(longest), report.Duration(deadline))
}

// noTerminateHook is a finding only where the configuration asks for a drain: the hook's
// name has a default.
func (f *facts) noTerminateHook(why string) []Finding {
	what := "the app serves until the instance shuts down"
	if len(f.Config.Drain.TargetGroups) > 0 {
		what = "Auto Scaling ends the instance without waiting for its drain"
	}
	if !f.drains() {
		return fine("%s: %s, and no drain is configured", why, what)
	}
	if len(f.Config.Drain.Flush) > 0 {
		what += fmt.Sprintf(", and its logs have drain.on_shutdown (%s)", report.Duration(time.Duration(f.Config.Drain.OnShutdown)))
	}
	return warning("aws autoscaling put-lifecycle-hook adds it: koboshi help scale-in", "%s: %s", why, what)
}

const allowTargets = "allow elasticloadbalancing:DescribeTargetHealth on *; koboshi iam-policy prints what is needed"

// checkTargets is about DescribeTargetHealth, tried on each target group, and whether
// this instance is in it.
func checkTargets(f *facts) []Finding {
	var found []Finding
	for i, arn := range f.Config.Drain.TargetGroups {
		found = append(found, f.target(targetName(arn), f.targets[i])...)
	}
	return found
}

func (f *facts) target(name string, health fact[[]string]) []Finding {
	switch err := health.err; {
	case errors.Is(err, balancer.ErrNoGroup):
		return failure("correct drain.target_groups: koboshi config show", "target group %s does not exist", name)
	case errors.Is(err, balancer.ErrDenied):
		return failure(allowTargets, "target group %s: %v", name, err)
	case err != nil:
		return unknown(fmt.Errorf("target group %s: %w", name, err))
	case len(health.value) > 0:
		return fine("target group %s has this instance: %s", name, strings.Join(health.value, ", "))
	case f.group.value.state != "" && f.group.value.state != "InService":
		return fine("target group %s does not have this instance, which is %s", name, f.group.value.state)
	}
	return warning("attach it to the Auto Scaling group, or correct drain.target_groups", "target group %s does not have this instance: a drain would not wait for it", name)
}

// targetName is the name in a target group's ARN.
func targetName(arn string) string { return path.Base(path.Dir(arn)) }

// checkFlush is one look at each log shipper. That something waits to be delivered is
// as it should be while the app runs.
func checkFlush(f *facts) []Finding {
	var found []Finding
	for i, shipper := range f.Flushers {
		found = append(found, shipperFinding(shipper, f.shippers[i])...)
	}
	return found
}

func shipperFinding(shipper flusher, look fact[flush.Answer]) []Finding {
	name := fmt.Sprintf("%s (%s)", shipper.Name(), shipper.Kind())
	asks := shipper.Kind() == config.FlushCommand || shipper.Kind() == config.FlushWait
	const settings = "koboshi help scale-in has the settings that it needs"
	switch answer := look.value; {
	case look.err != nil:
		return unknown(fmt.Errorf("%s: %w", name, look.err))
	case asks: // nothing is known before its one question
		return fine("%s: %s", name, answer.Note)
	case answer.Outcome == flush.Unknown:
		return warning(settings, "%s: a drain could not find out what is delivered: %s", name, answer.Note)
	case answer.Slow != "":
		return warning(settings, "%s: proving that everything is delivered takes long: %s", name, answer.Slow)
	default:
		return fine("%s: %s at this moment", name, answer)
	}
}
