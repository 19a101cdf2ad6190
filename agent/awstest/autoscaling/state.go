package autoscaling

// State is a lifecycle state as DescribeAutoScalingInstances shows it; "" is
// an instance outside any group.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html
type State string

// The states an instance passes through.
const (
	Pending            State = "Pending"
	PendingWait        State = "Pending:Wait"
	PendingProceed     State = "Pending:Proceed"
	InService          State = "InService"
	Terminating        State = "Terminating"
	TerminatingWait    State = "Terminating:Wait"
	TerminatingProceed State = "Terminating:Proceed"
	Terminated         State = "Terminated"
)

// States that only imds.Switches.TargetState can show.
const (
	Detached         State = "Detached"
	Standby          State = "Standby"
	WarmedHibernated State = "Warmed:Hibernated"
	WarmedRunning    State = "Warmed:Running"
	WarmedStopped    State = "Warmed:Stopped"
	WarmedTerminated State = "Warmed:Terminated"
)

// event is what moves an instance from state to state.
type event int

const (
	hooked  event = iota // a hook makes the transition wait
	passed               // nothing (more) to wait for
	leaving              // scale-in, abandoned launch, TerminateInstanceInAutoScalingGroup
)

// lifecycle is the whole state machine: an event without an entry changes nothing.
var lifecycle = map[State]map[event]State{
	Pending:            {hooked: PendingWait, passed: InService, leaving: Terminating},
	PendingWait:        {passed: PendingProceed, leaving: Terminating},
	PendingProceed:     {passed: InService, leaving: Terminating},
	InService:          {leaving: Terminating},
	Terminating:        {hooked: TerminatingWait, passed: Terminated},
	TerminatingWait:    {passed: TerminatingProceed},
	TerminatingProceed: {passed: Terminated},
}

// Target is what IMDS shows at autoscaling/target-lifecycle-state: where the
// instance is going, not where it is.
func (s State) Target() State {
	switch s {
	case "":
		return ""
	case Terminating, TerminatingWait, TerminatingProceed, Terminated:
		return Terminated
	default:
		return InService
	}
}

// leaves reports whether the instance no longer counts for its group.
func (s State) leaves() bool { return s.Target() == Terminated }
