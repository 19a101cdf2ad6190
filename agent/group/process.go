package group

import (
	"fmt"
	"slices"
	"strings"
)

// Process is one of the things that a group does by itself, and that can be suspended.
//
// Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html
type Process string

// The processes of a group. The mock has a list of its own, which the name of a process
// that AWS adds has to be put into, too.
const (
	Launch            Process = "Launch"
	Terminate         Process = "Terminate"
	AddToLoadBalancer Process = "AddToLoadBalancer"
	AlarmNotification Process = "AlarmNotification"
	AZRebalance       Process = "AZRebalance"
	HealthCheck       Process = "HealthCheck"
	InstanceRefresh   Process = "InstanceRefresh"
	ReplaceUnhealthy  Process = "ReplaceUnhealthy"
	ScheduledActions  Process = "ScheduledActions"
)

// Processes are all of them.
func Processes() []Process {
	return []Process{Launch, Terminate, AddToLoadBalancer, AlarmNotification, AZRebalance, HealthCheck, InstanceRefresh, ReplaceUnhealthy, ScheduledActions}
}

// ParseProcess reads the name of a process, as AWS spells it.
func ParseProcess(name string) (Process, error) {
	all := Processes()
	if slices.Contains(all, Process(name)) {
		return Process(name), nil
	}
	for _, p := range all {
		if strings.EqualFold(string(p), name) {
			return "", fmt.Errorf("no process %q: it is written %s", name, p)
		}
	}
	return "", fmt.Errorf("no process %q: want one of %s", name, Names(all))
}

// Names lists processes for people, sorted.
func Names(processes []Process) string {
	var names []string
	for _, p := range processes {
		names = append(names, string(p))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
